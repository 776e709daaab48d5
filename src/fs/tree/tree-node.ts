/**
 * One node of a tree: a slotted page in a region of bytes. Leaf functions, no state.
 *
 *   | header 8 | slot 0 | slot 1 | … →      free      ← … | record | record |
 *   region start                         heapStart                region end
 *
 * Slots hold offsets of records from the start of the region, in order of keys. A record removed
 * leaves garbage in the heap, which `compact` gathers when room is needed. A region is a whole
 * block after its header, or the body of an inode: `Region` says where.
 */
import { strict as assert } from 'node:assert';
import { TWO_32 } from '../../common/bytes.ts';
import { offsetOf } from '../../common/record.ts';
import {
  AttributeRecord,
  BranchRecord,
  EntryRecord,
  ExtentRecord,
  MAX_BLOCK_BYTES,
  NodeHeader,
  QuotaRecord,
  SLOT_BYTES,
  TreeKind,
} from '../format/format.ts';
import { MOST_NODE_RECORDS } from '../format/limits.ts';

const HEAD = NodeHeader.sizeBytes;
// A search through a node takes twice as long by fields, so these are read where they stand.
const LEVEL_AT = offsetOf(NodeHeader.level, 'u8');
const KIND_AT = offsetOf(NodeHeader.kind, 'u8');
const COUNT_AT = offsetOf(NodeHeader.count, 'u16');
const KEY_AT = offsetOf(BranchRecord.key, 'u64');
for (const { key } of [ExtentRecord, EntryRecord, AttributeRecord, QuotaRecord])
  assert(offsetOf(key, 'u64') === KEY_AT, 'every record of a tree begins with its key');

/** Where a node's region lies: `size` bytes at `base` of these bytes. */
export interface Region {
  bytes: Uint8Array;
  view: DataView;
  base: number;
  size: number;
}

export function initialiseNode(region: Region, kind: number, level: number): void {
  const { view, base } = region;
  NodeHeader.level.set(view, base, level);
  NodeHeader.kind.set(view, base, kind);
  NodeHeader.count.set(view, base, 0);
  NodeHeader.heapStart.set(view, base, region.size);
  NodeHeader.garbage.set(view, base, 0);
}

export function nodeCount(region: Region): number {
  return region.view.getUint16(region.base + COUNT_AT, true);
}

export function nodeLevel(region: Region): number {
  return region.view.getUint8(region.base + LEVEL_AT);
}

/** Offset of record `index` within the region's bytes. */
export function recordAt(region: Region, index: number): number {
  const { base } = region;
  return base + region.view.getUint16(base + HEAD + index * SLOT_BYTES, true);
}

export function keyAt(region: Region, index: number): number {
  const { view } = region;
  const at = recordAt(region, index) + KEY_AT;
  const high = view.getUint32(at + 4, true);
  const low = view.getUint32(at, true);
  return high === 0 ? low : low + high * TWO_32;
}

/** Index of the first record whose key is ≥ `key`; the count if there is none. */
export function lowerBound(region: Region, key: number): number {
  let low = 0;
  let high = nodeCount(region);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keyAt(region, middle) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the child that holds `key` in an inner node. */
export function childFor(region: Region, key: number): number {
  const at = lowerBound(region, key);
  if (at < nodeCount(region) && keyAt(region, at) === key) return at;
  return at === 0 ? 0 : at - 1;
}

/** Length in bytes of the record at `at`. */
export function recordBytes(region: Region, at: number): number {
  const { view, base } = region;
  if (view.getUint8(base + LEVEL_AT) > 0) return BranchRecord.sizeBytes;
  const kind = view.getUint8(base + KIND_AT);
  if (kind === TreeKind.extents) return ExtentRecord.sizeBytes;
  if (kind === TreeKind.quotas) return QuotaRecord.sizeBytes;
  if (kind === TreeKind.directory) return EntryRecord.sizeBytes + EntryRecord.nameBytes.get(view, at);
  const partBytes = AttributeRecord.partBytes.get(view, at);
  return AttributeRecord.sizeBytes + AttributeRecord.nameBytes.get(view, at) + partBytes;
}

/** Bytes that header, slots and live records take. */
export function usedBytes(region: Region): number {
  const { view, base, size } = region;
  const heap = size - NodeHeader.heapStart.get(view, base) - NodeHeader.garbage.get(view, base);
  return HEAD + nodeCount(region) * SLOT_BYTES + heap;
}

export function hasRoom(region: Region, lengthBytes: number): boolean {
  return region.size - usedBytes(region) >= lengthBytes + SLOT_BYTES;
}

/**
 * Makes room for a record of `lengthBytes` as number `index`; `hasRoom` must hold. Returns where
 * the caller writes it.
 */
export function insertRecord(region: Region, index: number, lengthBytes: number): number {
  const { view, bytes, base } = region;
  const count = nodeCount(region);
  const slotsEnd = HEAD + (count + 1) * SLOT_BYTES;
  if (NodeHeader.heapStart.get(view, base) - lengthBytes < slotsEnd) compact(region);
  const heapStart = NodeHeader.heapStart.get(view, base) - lengthBytes;
  assert(heapStart >= slotsEnd && index <= count, 'a record has room in the node that it goes to');
  const slot = base + HEAD + index * SLOT_BYTES;
  bytes.copyWithin(slot + SLOT_BYTES, slot, base + HEAD + count * SLOT_BYTES);
  view.setUint16(slot, heapStart, true);
  NodeHeader.heapStart.set(view, base, heapStart);
  NodeHeader.count.set(view, base, count + 1);
  return base + heapStart;
}

export function removeRecord(region: Region, index: number): void {
  const { view, bytes, base } = region;
  const count = nodeCount(region);
  assert(index < count, 'a record that is removed is there');
  const at = recordAt(region, index);
  const length = recordBytes(region, at);
  bytes.fill(0, at, at + length);
  const slot = base + HEAD + index * SLOT_BYTES;
  bytes.copyWithin(slot, slot + SLOT_BYTES, base + HEAD + count * SLOT_BYTES);
  view.setUint16(base + HEAD + (count - 1) * SLOT_BYTES, 0, true);
  NodeHeader.count.set(view, base, count - 1);
  if (count === 1) {
    NodeHeader.heapStart.set(view, base, region.size);
    NodeHeader.garbage.set(view, base, 0);
  } else if (at - base === NodeHeader.heapStart.get(view, base)) {
    NodeHeader.heapStart.set(view, base, at - base + length);
  } else {
    NodeHeader.garbage.set(view, base, NodeHeader.garbage.get(view, base) + length);
  }
}

const scratch = new Uint8Array(MAX_BLOCK_BYTES);

/** Moves the records together at the end of the region. */
export function compact(region: Region): void {
  const { view, bytes, base, size } = region;
  const count = nodeCount(region);
  const oldStart = NodeHeader.heapStart.get(view, base);
  scratch.set(bytes.subarray(base + oldStart, base + size), oldStart);
  let top = size;
  for (let i = count - 1; i >= 0; i--) {
    const at = recordAt(region, i);
    const length = recordBytes(region, at);
    const from = at - base;
    top -= length;
    moved[i] = top;
    movedFrom[i] = from;
    movedLength[i] = length;
  }
  for (let i = 0; i < count; i++) {
    const from = movedFrom[i] as number;
    const to = base + (moved[i] as number);
    bytes.set(scratch.subarray(from, from + (movedLength[i] as number)), to);
    view.setUint16(base + HEAD + i * SLOT_BYTES, moved[i] as number, true);
  }
  bytes.fill(0, base + oldStart, base + top);
  NodeHeader.heapStart.set(view, base, top);
  NodeHeader.garbage.set(view, base, 0);
}

/**
 * Makes the region longer or shorter at its end; the records must fit. What it leaves behind is
 * zero.
 */
export function resizeNode(region: Region, size: number): void {
  assert(usedBytes(region) <= size, 'the records of a node that becomes shorter have room');
  compact(region);
  const { view, bytes, base } = region;
  const heapStart = NodeHeader.heapStart.get(view, base);
  const shift = size - region.size;
  bytes.copyWithin(base + heapStart + shift, base + heapStart, base + region.size);
  if (shift > 0) bytes.fill(0, base + heapStart, base + heapStart + shift);
  else bytes.fill(0, base + size, base + region.size);
  for (let i = 0; i < nodeCount(region); i++) {
    const slot = base + HEAD + i * SLOT_BYTES;
    view.setUint16(slot, view.getUint16(slot, true) + shift, true);
  }
  NodeHeader.heapStart.set(view, base, heapStart + shift);
  region.size = size;
}

const moved = new Uint16Array(MOST_NODE_RECORDS);
const movedFrom = new Uint16Array(MOST_NODE_RECORDS);
const movedLength = new Uint16Array(MOST_NODE_RECORDS);

/**
 * Appends records [from, to) of one node to the end of another, which must have room and the same
 * kind and level.
 */
export function appendRecords(source: Region, from: number, to: number, target: Region): void {
  for (let i = from; i < to; i++) {
    const at = recordAt(source, i);
    const length = recordBytes(source, at);
    const into = insertRecord(target, nodeCount(target), length);
    target.bytes.set(source.bytes.subarray(at, at + length), into);
  }
}

/** Removes records [from, count). */
export function truncateNode(region: Region, from: number): void {
  for (let i = nodeCount(region) - 1; i >= from; i--) removeRecord(region, i);
}

/** Index at which a node is cut in two of about the same bytes; ≥ 1 and < count. */
export function middleOf(region: Region): number {
  const count = nodeCount(region);
  const half = (usedBytes(region) - HEAD) / 2;
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += SLOT_BYTES + recordBytes(region, recordAt(region, i));
    if (sum >= half) return Math.min(Math.max(i, 1), count - 1);
  }
  return count - 1;
}
