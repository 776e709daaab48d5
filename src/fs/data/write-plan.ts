/**
 * The plan of a write: where each of its blocks is or will be, and what must happen around the
 * data. It decides and reserves, and moves no bytes.
 *
 *   segments   the range as it lies on the device; those that are `fresh` were reserved here
 *   edges      how much of the first and the last block is written, and what of it is old and has
 *              to be kept
 *   body       what the inode's body held, if it has to move out to block 0
 *   extra      a block before the range that is written too: block 0 with the body, or the old last
 *              block, whose end becomes zeros
 *
 * A plan is made inside a transaction and changes nothing on disk. A transaction that fails takes
 * the reservations back, and the plan is made again from the top; after one that succeeds they are
 * the writer's, to be recorded or given back.
 */
import { strict as assert } from 'node:assert';
import { empty } from '../base/empty.ts';
import type { WriteRequest } from '../base/filesystem.ts';
import type { BlockNumber, BlockRun, FileBlock } from '../base/numbers.ts';
import { requireWritable } from '../inodes/file-flags.ts';
import type { Quotas } from '../inodes/quotas.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import type { Transaction } from '../transaction/transaction.ts';
import type { ExtendedAttributes } from '../tree/extended-attributes.ts';
import {
  type InodeRef,
  inlineBytes,
  inlineCapacity,
  isInline,
  requireRegular,
  sizeOf,
} from '../tree/inode.ts';
import type { CopyBuffers } from './copy-buffers.ts';
import { isBlank, type MappedRange, mapSegments, type Segment } from './data-map.ts';
import type { FileContext } from './file-reader.ts';
import type { Freeing } from './freeing.ts';
import type { PendingBlocks } from './pending-blocks.ts';
import type { ScratchPool } from './scratch.ts';
import type { WritesUnderWay, WriteUnderWay } from './writes-under-way.ts';

/** What writing takes of a volume, beside what reading does. */
export interface WriteContext extends FileContext {
  readonly freeing: Freeing;
  readonly space: SpaceMap;
  readonly attributes: ExtendedAttributes;
  /** Undefined where the volume has none. */
  readonly quotas: Quotas | undefined;
  readonly scratch: ScratchPool;
  readonly copies: CopyBuffers;
  /** Extents that one transaction may enter or give back. */
  readonly extentsPerStep: number;
  /** Told when data reached the device's cache: the next sync has to flush. */
  dataWritten(): void;
  /** What was done before is durable when it resolves, but for data answered early. */
  commit(): Promise<void>;
  readonly pending: PendingBlocks;
  readonly underWay: WritesUnderWay;
  /** Told when the space that a file is said to use changed by a write. */
  spaceChanged(inode: number): void;
}

/**
 * What comes of planning: device writes, then the record; the data fits the inode's body; nothing
 * before the whole file is locked; or nothing before the unwritten extents in the range are data,
 * because there is no room for the nodes that parting them may take.
 */
export type PlanOutcome = 'transfer' | 'body' | 'widen' | 'zeroOut';

/**
 * What the range is before anything is reserved. One array serves all plans: they are made one
 * after the other.
 */
const MAPPED: Segment[] = [];

export class WritePlan implements WriteUnderWay, MappedRange {
  /** Blocks of the file: the first, … */
  readonly first: number;
  /** … and the one behind the last. */
  readonly end: number;
  /** Bytes between the start of the first block and the data. */
  readonly skew: number;
  readonly offsetBytes: number;
  /** Where the data ends in the file. */
  readonly endByte: number;
  /** Size of the file when the plan was made. */
  size = 0;
  readonly segments: Segment[] = [];
  body: Uint8Array | undefined;
  extra: Segment | undefined;
  /** First byte of the extra block that becomes a zero (or holds the body). */
  extraFrom = 0;
  /** Bounds of the device write, in bytes from the start of the first block. */
  writeFrom = 0;
  writeTo = 0;
  /**
   * Bytes of the first block that were data before, and stand before the new: from `writeFrom` on
   * they are read first.
   */
  headKept = 0;
  /** Bytes behind the new data, in its last sector, that were data before and are read first. */
  tailKept = 0;
  older: WriteUnderWay | undefined;
  /** The file is written on from its end. */
  #appends = false;
  /** Blocks that the record may need to part unwritten extents: to be held until then. */
  nodes = 0;
  readonly #context: WriteContext;
  readonly #inode: number;
  /** It was taken on before flags of the inode could forbid it. */
  readonly #accepted: boolean;

  constructor(context: WriteContext, request: WriteRequest) {
    const { blockBytes } = context;
    this.#context = context;
    this.#inode = request.inode;
    this.#accepted = request.accepted ?? request.fromCache ?? request.mayEndEarly;
    this.offsetBytes = request.offsetBytes;
    this.endByte = request.offsetBytes + request.lengthBytes;
    this.first = Math.floor(request.offsetBytes / blockBytes);
    this.end = Math.ceil(this.endByte / blockBytes);
    this.skew = request.offsetBytes - this.first * blockBytes;
  }

  /** No field, so that a plan is no larger for it. */
  get mapped(): Segment[] {
    return MAPPED;
  }

  /**
   * @param wide the whole file is locked
   * @param zeroedOut what may become data before the record is data
   * @throws EISDIR, EINVAL, EROFS, ENOSPC; EPERM by the flags of the inode
   */
  make(tx: Transaction, inode: InodeRef, wide: boolean, zeroedOut = false): PlanOutcome {
    requireRegular(inode);
    requireWritable(inode, this.offsetBytes, this.#accepted);
    if (tx.readOnly) throw tx.refusal();
    this.size = sizeOf(inode);
    this.#appends = this.offsetBytes === this.size;
    empty(this.segments);
    this.body = undefined;
    this.extra = undefined;
    this.nodes = 0;
    if (isInline(inode)) {
      if (this.endByte <= inlineCapacity(inode)) return 'body';
      // Only the holder of block 0 may move the body out.
      if (this.first > 0 && !wide) return 'widen';
      const goal = this.#planBody(tx, inode);
      this.#reserveHole(tx, goal, this.first, this.end);
    } else {
      if (!this.#planOldTail(tx, inode, wide)) return 'widen';
      if (!this.#planRange(tx, inode, zeroedOut)) return wide ? 'zeroOut' : 'widen';
    }
    this.#expectCovered();
    this.#planEdges();
    return 'transfer';
  }

  #expectCovered(): void {
    const last = this.segments[this.segments.length - 1];
    const covered =
      this.segments[0]?.fileBlock === this.first && last && last.fileBlock + last.length === this.end;
    assert(covered, 'the segments of a plan cover its range');
  }

  /** Returns the goal for the range. */
  #planBody(tx: Transaction, inode: InodeRef): BlockNumber {
    if (this.size === 0) return -1;
    this.body = inlineBytes(inode).slice(0, this.size);
    if (this.first === 0) return -1;
    const run = this.#reserve(tx, -1, 1);
    this.extra = { fileBlock: 0, block: run.start, length: 1, fresh: true, unwritten: false };
    this.extraFrom = 0;
    return run.start + 1;
  }

  /**
   * Bytes behind the old end of the file, in a block before this write, must become zeros. False if
   * that takes a wider lock.
   */
  #planOldTail(tx: Transaction, inode: InodeRef, wide: boolean): boolean {
    const { blockBytes, extents } = this.#context;
    const tail = Math.floor(this.size / blockBytes);
    const inTail = this.size - tail * blockBytes;
    if (inTail === 0 || tail >= this.first) return true;
    const { block, unwritten } = extents.find(tx, inode, tail);
    if (block === 0 || unwritten) return true;
    if (!wide) return false;
    this.extra = { fileBlock: tail, block, length: 1, fresh: false, unwritten: false };
    this.extraFrom = inTail;
    return true;
  }

  /** False if there is no room for what the record may need. */
  #planRange(tx: Transaction, inode: InodeRef, zeroedOut: boolean): boolean {
    const { extents, space } = this.#context;
    const follows = mapSegments(tx, extents, inode, this);
    const unwritten = countUnwritten(MAPPED);
    // Behind the end of the file there is what is kept back for tree nodes, and no more.
    if (unwritten > 0 && !zeroedOut) this.nodes = extents.nodesToPart(inode, unwritten);
    if (this.nodes > 0 && !space.hasNodes(this.nodes)) return false;
    for (const segment of MAPPED) {
      if (segment.block !== 0) {
        this.segments.push(segment);
        continue;
      }
      // Behind the segment before, or what comes before the range.
      const goal = this.segments.length > 0 ? this.next : follows < 0 ? this.#behindOther() : follows;
      this.#reserveHole(tx, goal, segment.fileBlock, segment.fileBlock + segment.length);
    }
    return true;
  }

  /** Behind what a write under way will have put before the range, or −1. */
  #behindOther(): BlockNumber {
    const before = this.#context.underWay.before(this.#inode, this.first);
    if (before === undefined) return -1;
    if (this.offsetBytes === before.endByte && before.endByte > this.size) this.#appends = true;
    return before.next;
  }

  #reserveHole(tx: Transaction, goal: BlockNumber, first: FileBlock, end: FileBlock): void {
    let at = first;
    let next = goal;
    while (at < end) {
      const run = this.#reserve(tx, next, end - at);
      this.segments.push({
        fileBlock: at,
        block: run.start,
        length: run.length,
        fresh: true,
        unwritten: false,
      });
      at += run.length;
      next = run.start + run.length;
    }
  }

  #reserve(tx: Transaction, goal: BlockNumber, length: number): BlockRun {
    return this.#context.space.reserve(tx, {
      goal,
      length,
      minimum: 1,
      inode: this.#inode,
      kind: 'data',
      stream: this.#appends,
    });
  }

  /**
   * A blank block is written whole; of a mapped one the sectors that change, and the zeros around
   * data that was never there.
   */
  #planEdges(): void {
    const { blockBytes } = this.#context;
    const { sectorBytes } = this.#context.device;
    const head = this.segments[0] as Segment;
    const beforeHead = this.size - this.first * blockBytes;
    this.headKept = isBlank(head) ? 0 : Math.min(Math.max(beforeHead, 0), this.skew);
    this.writeFrom = Math.floor(this.headKept / sectorBytes) * sectorBytes;

    const tail = this.segments[this.segments.length - 1] as Segment;
    const lastStart = (this.end - 1) * blockBytes;
    const inLast = this.endByte - lastStart;
    const sectorEnd = isBlank(tail) ? blockBytes : Math.ceil(inLast / sectorBytes) * sectorBytes;
    const oldEnd = isBlank(tail) ? inLast : Math.min(Math.max(this.size - lastStart, inLast), sectorEnd);
    this.tailKept = oldEnd - inLast;
    this.writeTo = (this.end - 1 - this.first) * blockBytes + sectorEnd;
  }

  /** Blocks that the file will have more than before, without those of its tree. */
  get freshBlocks(): number {
    let blocks = this.extra?.fresh ? this.extra.length : 0;
    for (const segment of this.segments) if (segment.fresh) blocks += segment.length;
    return blocks;
  }

  get next(): BlockNumber {
    const last = this.segments[this.segments.length - 1] as Segment;
    return last.block + last.length;
  }

  /**
   * The reservations from segment `recorded` on go back, with that of the extra block if nothing
   * was recorded.
   */
  giveBack(recorded: number): void {
    const { space } = this.#context;
    if (this.extra?.fresh && recorded === 0) space.unreserve(this.extra.block, this.extra.length);
    for (const segment of this.segments.slice(recorded)) {
      if (segment.fresh) space.unreserve(segment.block, segment.length);
    }
  }
}

function countUnwritten(segments: readonly Segment[]): number {
  let count = 0;
  for (const segment of segments) if (segment.unwritten) count++;
  return count;
}
