/**
 * The edges of a write: makes whole blocks, or whole sectors, of data that begins and ends
 * anywhere.
 *
 * The caller's memory stands for whole blocks: the byte at `memoryOffset` is the start of the first
 * block. So data that does not begin on a block boundary is moved up first, and the edges around it
 * are filled:
 *   in a blank block       with zeros (or what the inode's body held), and the whole block is
 *                          written;
 *   in a mapped block      not at all where the edge is a sector boundary, else with the rest of
 *                          that sector, read first.
 *
 * `fillEdges` does what can be done at once and queues the reads; `mergeEdges` takes over what was
 * read. How much has to be filled is the plan's decision (write-plan.ts). Sectors read and the
 * extra block stand in scratch memory:
 *
 *   0                        edgesFrom             + MAX_SECTOR_BYTES
 *   extra block, if any    | sector of the head  | sector of the tail
 */

import type { Memory } from '../../aio/device.ts';
import { MAX_SECTOR_BYTES } from '../../common/limits.ts';
import type { Segment } from './data-map.ts';
import type { WritePlan } from './write-plan.ts';

/** Where the edge sectors stand in scratch memory. */
function edgesFrom(blockBytes: number): number {
  return Math.max(blockBytes, MAX_SECTOR_BYTES);
}

/** Length of scratch memory for volumes of this block size. */
export function scratchBytes(blockBytes: number): number {
  return edgesFrom(blockBytes) + 2 * MAX_SECTOR_BYTES;
}

/** The blocks of a write in memory, and the means to fill them. */
export interface WriteImage {
  readonly blockBytes: number;
  readonly sectorBytes: number;
  /** The first block of the range starts here. */
  readonly memory: Memory;
  readonly memoryOffset: number;
  /** Memory of `scratchBytes`, the same at each call. */
  scratch(): Memory;
  /** Queues a read of one sector into scratch memory. */
  readSector(scratchOffset: number, deviceOffset: number): void;
}

/** Zeros, the body and the reads that the plan asks for. */
export function fillEdges(image: WriteImage, plan: WritePlan): void {
  const { skew, headKept, writeFrom, writeTo, tailKept } = plan;
  const dataEnd = endOfData(image, plan);
  zero(image, headKept, skew);
  zero(image, dataEnd + tailKept, writeTo);
  if (plan.body) fillFromBody(image, plan, plan.body, dataEnd);
  const start = plan.first * image.blockBytes;
  if (headKept > writeFrom) readEdge(image, plan.segments[0], start + writeFrom, 0);
  const tail = start + writeTo - image.sectorBytes;
  if (tailKept > 0) readEdge(image, plan.segments.at(-1), tail, MAX_SECTOR_BYTES);
  if (plan.extra) fillExtra(image, plan, plan.extra);
}

/** Where the data ends, in bytes from the start of the first block. */
function endOfData(image: WriteImage, plan: WritePlan): number {
  return plan.endByte - plan.first * image.blockBytes;
}

/** Zeros bytes [from, to), counted from the start of the first block. */
function zero({ memory, memoryOffset }: WriteImage, from: number, to: number): void {
  if (to > from) memory.bytes.fill(0, memoryOffset + from, memoryOffset + to);
}

/** The body around the data, if the range begins with block 0. It is shorter than a block. */
function fillFromBody(image: WriteImage, plan: WritePlan, body: Uint8Array, dataEnd: number): void {
  if (plan.first > 0) return;
  const { memory, memoryOffset } = image;
  memory.bytes.set(body.subarray(0, plan.skew), memoryOffset);
  if (dataEnd < body.length) memory.bytes.set(body.subarray(dataEnd), memoryOffset + dataEnd);
}

/** Reads the sector at byte `from` of the file, which lies in the segment, to an edge place. */
function readEdge(image: WriteImage, segment: Segment | undefined, from: number, edge: number): void {
  const { fileBlock, block } = segment as Segment;
  const inSegment = from - fileBlock * image.blockBytes;
  image.readSector(edgesFrom(image.blockBytes) + edge, block * image.blockBytes + inSegment);
}

/** The extra block: the body and zeros, or the old last block from the sector of its end on. */
function fillExtra(image: WriteImage, plan: WritePlan, extra: Segment): void {
  const { bytes } = image.scratch();
  bytes.fill(0, 0, image.blockBytes);
  if (plan.body) {
    bytes.set(plan.body);
    return;
  }
  const sectorStart = Math.floor(plan.extraFrom / image.sectorBytes) * image.sectorBytes;
  if (sectorStart === plan.extraFrom) return;
  image.readSector(sectorStart, extra.block * image.blockBytes + sectorStart);
}

/** Takes over what was read around the edges. */
export function mergeEdges(image: WriteImage, plan: WritePlan): void {
  const { headKept, writeFrom, tailKept } = plan;
  const { memory, memoryOffset, blockBytes } = image;
  if (headKept > writeFrom) {
    const from = edgesFrom(blockBytes);
    const kept = image.scratch().bytes.subarray(from, from + headKept - writeFrom);
    memory.bytes.set(kept, memoryOffset + writeFrom);
  }
  if (tailKept > 0) {
    const from = edgesFrom(blockBytes) + MAX_SECTOR_BYTES + (plan.endByte % image.sectorBytes);
    const kept = image.scratch().bytes.subarray(from, from + tailKept);
    memory.bytes.set(kept, memoryOffset + endOfData(image, plan));
  }
  if (plan.extra && !plan.extra.fresh) image.scratch().bytes.fill(0, plan.extraFrom, blockBytes);
}
