/**
 * Writing: reserve, write the data, then record it.
 *
 *   lock the range ──▶ plan ──▶ fill the edges ──▶ device writes ──▶ record ──▶ unlock
 *                      blocks looked up,           bits set, extents inserted, size moved: one transaction
 *                      new ones reserved
 *
 * A crash before the record leaks nothing and shows nothing: reserved blocks are free on disk. A write in very many pieces is recorded in several
 * transactions, from the front, the size with them. Data that fits
 * into the inode's body goes there in the plan, and that is all. A small write from a cache is answered after the
 * plan (early-writes.ts): its space is sure then.
 *
 * The caller's memory stands for whole blocks: the byte at `memoryOffset` is the start of the first block. So data that does not
 * begin on a block boundary is moved up first, and the edges around it are filled:
 *   in a fresh block       with zeros (or what the inode's body held), and the whole block is written;
 *   in a mapped block      not at all where the edge is a sector boundary, else with the rest of that sector, read first.
 *
 * What lies in a block behind the end of the file is undefined on disk. Whoever moves the end outwards makes zeros of it: the
 * part in the blocks written here is zeroed on the way, an old last block before them (`old tail`) on its own. For that, and
 * for a body to be moved out to block 0 when the write begins elsewhere, the lock is widened to the whole file and the plan made again.
 */
import type { IoCompletion, Memory } from '../aio/device.ts';
import { mapSegments, type Segment } from './data-map.ts';
import { MOST_EARLY_BYTES } from './early-writes.ts';
import { fsError, fsErrorFromNumber } from './errors.ts';
import type { FileContext } from './file-reader.ts';
import type { Operation, WriteRequest } from './filesystem.ts';
import { MAX_FILE_BYTES, TreeKind } from './format.ts';
import {
  dropPrivileges,
  type InodeRef,
  inlineBytes,
  inlineCapacity,
  isInline,
  requireRegular,
  setInline,
  setSizeOf,
  sizeOf,
  touchModified,
} from './inode.ts';
import { type LockHolder, WHOLE_FILE } from './range-locks.ts';
import type { ScratchPool } from './scratch.ts';
import type { SpaceMap } from './space-map.ts';
import type { Transaction } from './transaction.ts';
import { initialiseTree } from './tree.ts';

export interface WriteContext extends FileContext {
  readonly space: SpaceMap;
  readonly scratch: ScratchPool;
  /** Extents that one transaction may enter or give back. */
  readonly extentsPerStep: number;
  /** Told when data reached the device's cache: the next sync has to flush. */
  dataWritten(): void;
}

/** Room in scratch memory beside one block: the sectors at the two edges, each at most this long. */
const SECTOR_ROOM = 4096;
/** Length of scratch memory for volumes of this block size. */
export function scratchBytes(blockBytes: number): number {
  return Math.max(blockBytes, SECTOR_ROOM) + 2 * SECTOR_ROOM;
}

type Phase = 'plan' | 'fill' | 'transfer' | 'record';
type Outcome = 'transfer' | 'widen' | 'done';

class WriteTask implements Operation<Transaction>, IoCompletion, LockHolder {
  #phase: Phase = 'plan';
  #outcome: Outcome = 'transfer';
  #wide = false;
  #moved = false;
  readonly #first: number;
  readonly #end: number;
  /** Bytes between the start of the first block and the data. */
  readonly #skew: number;
  readonly #endByte: number;
  #size = 0;
  readonly #segments: Segment[] = [];
  /** Segments that are in the extent map, … */
  #recorded = 0;
  /** … and how many will be when the running record succeeds. */
  #recording = 0;
  /** What the inode's body held, to be moved out. */
  #body: Uint8Array | undefined;
  /** A block outside the range that is written too: block 0 with the body, or the old tail. */
  #extra: Segment | undefined;
  #extraFrom = 0;
  #scratch: Memory | undefined;
  /** Bounds of the device write, in bytes from the start of the first block. */
  #writeFrom = 0;
  #writeTo = 0;
  #fillHead = 0;
  #fillTail = 0;
  #epoch = -1;
  #left = 0;
  #errno = 0;
  /** Undefined once the write was answered; the caller's memory is not ours any more then. */
  #request: WriteRequest | undefined;
  readonly #inode: number;
  readonly #offsetBytes: number;
  readonly #lengthBytes: number;
  readonly #updateTimes: boolean;
  readonly #killPrivileges: boolean;
  #memory: Memory;
  #memoryOffset: number;
  #ticket = -1;

  constructor(
    readonly context: WriteContext,
    request: WriteRequest,
  ) {
    const { blockBytes } = context;
    this.#request = request;
    this.#inode = request.inode;
    this.#offsetBytes = request.offsetBytes;
    this.#lengthBytes = request.lengthBytes;
    this.#updateTimes = request.updateTimes;
    this.#killPrivileges = request.killPrivileges;
    this.#memory = request.memory;
    this.#memoryOffset = request.memoryOffset;
    this.#endByte = request.offsetBytes + request.lengthBytes;
    this.#first = Math.floor(request.offsetBytes / blockBytes);
    this.#end = Math.ceil(this.#endByte / blockBytes);
    this.#skew = request.offsetBytes - this.#first * blockBytes;
  }

  start(): void {
    if (this.#lengthBytes === 0) this.#answer(undefined);
    else if (this.#endByte > MAX_FILE_BYTES) this.#answer(fsError('EFBIG'));
    else this.context.locks.acquire(this.#inode, this.#first, this.#end, this);
  }

  granted(): void {
    this.#phase = 'plan';
    this.context.runner.execute(this);
  }

  perform(tx: Transaction): void {
    const inode = this.context.table.get(tx, this.#inode);
    if (this.#phase === 'plan') this.#plan(tx, inode);
    else this.#record(tx, inode);
  }

  finished(thrown: unknown): void {
    if (this.#phase === 'record') this.#recordEnded(thrown);
    else if (thrown !== undefined || this.#outcome === 'done') this.#close(thrown);
    else if (this.#outcome === 'widen') this.#widen();
    else this.#fill();
  }

  #widen(): void {
    const { locks } = this.context;
    locks.release(this.#inode, this);
    this.#wide = true;
    locks.acquire(this.#inode, 0, WHOLE_FILE, this);
  }

  #close(thrown: unknown): void {
    if (this.#scratch) this.context.scratch.give(this.#scratch);
    this.context.locks.release(this.#inode, this);
    if (this.#ticket >= 0) {
      this.context.early.giveBuffer(this.#memory);
      this.context.early.end(this.#inode, this.#ticket, thrown);
    } else this.#answer(thrown);
  }

  #answer(thrown: unknown): void {
    const request = this.#request;
    this.#request = undefined;
    request?.finished(thrown);
  }

  /** Answers now if the caller lets us and there is memory for a copy. */
  #answerEarly(): void {
    const { early } = this.context;
    if (!this.#request?.mayEndEarly || this.#lengthBytes > MOST_EARLY_BYTES) return;
    const copy = early.takeBuffer();
    if (copy === undefined) return;
    const data = this.#memory.bytes.subarray(this.#memoryOffset, this.#memoryOffset + this.#lengthBytes);
    copy.bytes.set(data, this.#skew);
    this.#moved = true;
    this.#memory = copy;
    this.#memoryOffset = 0;
    this.#ticket = early.begin(this.#inode, this.#endByte);
    this.#answer(undefined);
  }

  // ---- plan ----

  #plan(tx: Transaction, inode: InodeRef): void {
    requireRegular(inode);
    if (tx.readOnly) throw fsError('EROFS');
    this.#size = sizeOf(inode);
    this.#outcome = 'transfer';
    this.#body = undefined;
    this.#extra = undefined;
    if (isInline(inode)) {
      if (this.#endByte <= inlineCapacity(inode)) {
        this.#writeBody(tx, inode);
        return;
      }
      if (!this.#planBody(tx, inode)) return;
    } else if (!this.#planOldTail(tx, inode)) return;
    this.#planRange(tx, inode);
  }

  #writeBody(tx: Transaction, inode: InodeRef): void {
    const from = this.#memoryOffset;
    tx.modify(inode.frame);
    inlineBytes(inode).set(this.#memory.bytes.subarray(from, from + this.#lengthBytes), this.#offsetBytes);
    this.#touch(tx, inode, this.#endByte);
    this.#outcome = 'done';
  }

  /** The body must move out; only the holder of block 0 may do that. */
  #planBody(tx: Transaction, inode: InodeRef): boolean {
    if (this.#first > 0 && !this.#wide) {
      this.#outcome = 'widen';
      return false;
    }
    if (this.#size === 0) return true;
    this.#body = inlineBytes(inode).slice(0, this.#size);
    if (this.#first > 0) {
      const run = this.#reserve(tx, -1, 1);
      this.#extra = { fileBlock: 0, block: run.start, length: 1, fresh: true };
      this.#extraFrom = 0;
    }
    return true;
  }

  /** Bytes behind the old end of the file, in a block before this write, must become zeros. */
  #planOldTail(tx: Transaction, inode: InodeRef): boolean {
    const { blockBytes, extents } = this.context;
    const tail = Math.floor(this.#size / blockBytes);
    const inTail = this.#size - tail * blockBytes;
    if (inTail === 0 || tail >= this.#first) return true;
    const { block } = extents.find(tx, inode, tail);
    if (block === 0) return true;
    if (!this.#wide) {
      this.#outcome = 'widen';
      return false;
    }
    this.#extra = { fileBlock: tail, block, length: 1, fresh: false };
    this.#extraFrom = inTail;
    return true;
  }

  #planRange(tx: Transaction, inode: InodeRef): void {
    const { extents } = this.context;
    if (isInline(inode)) {
      this.#segments.length = 0;
      this.#reserveHole(tx, this.#extra ? this.#extra.block + 1 : -1, this.#first, this.#end);
      return;
    }
    const mapped: Segment[] = [];
    mapSegments(tx, extents, inode, this.#first, this.#end, mapped);
    this.#segments.length = 0;
    for (const segment of mapped) {
      if (segment.block !== 0) {
        this.#segments.push(segment);
        continue;
      }
      const goal = this.#goal(tx, inode, segment.fileBlock);
      this.#reserveHole(tx, goal, segment.fileBlock, segment.fileBlock + segment.length);
    }
  }

  /** The block after the one before. */
  #goal(tx: Transaction, inode: InodeRef, fileBlock: number): number {
    const before = this.#segments[this.#segments.length - 1];
    if (before) return before.block + before.length;
    if (fileBlock === 0) return -1;
    const { block } = this.context.extents.find(tx, inode, fileBlock - 1);
    return block === 0 ? -1 : block + 1;
  }

  #reserveHole(tx: Transaction, goal: number, first: number, end: number): void {
    let at = first;
    let next = goal;
    while (at < end) {
      const run = this.#reserve(tx, next, end - at);
      this.#segments.push({ fileBlock: at, block: run.start, length: run.length, fresh: true });
      at += run.length;
      next = run.start + run.length;
    }
  }

  #reserve(tx: Transaction, goal: number, length: number): { start: number; length: number } {
    return this.context.space.reserve(tx, {
      goal,
      length,
      minimum: 1,
      inode: this.#inode,
      kind: 'data',
      stream: this.#offsetBytes === this.#size,
    });
  }

  // ---- fill the edges ----

  #fill(): void {
    this.#phase = 'fill';
    this.#epoch = this.context.epochs.enter();
    this.#left = 1;
    this.#answerEarly();
    this.#moveUp();
    this.#fillHeadEdge();
    this.#fillTailEdge();
    if (this.#extra) this.#fillExtra(this.#extra);
    this.ioDone(0);
  }

  #moveUp(): void {
    if (this.#skew === 0 || this.#moved) return;
    const from = this.#memoryOffset;
    this.#memory.bytes.copyWithin(from + this.#skew, from, from + this.#lengthBytes);
    this.#moved = true;
  }

  /** Zeros bytes [from, to) counted from the start of the first block. */
  #zero(from: number, to: number): void {
    if (to <= from) return;
    this.#memory.bytes.fill(0, this.#memoryOffset + from, this.#memoryOffset + to);
  }

  #fillHeadEdge(): void {
    const { blockBytes, device } = this.context;
    const segment = this.#segments[0] as Segment;
    this.#fillHead = 0;
    this.#writeFrom = 0;
    if (this.#skew === 0) return;
    if (segment.fresh) {
      this.#zero(0, this.#skew);
      if (this.#body && this.#first === 0) this.#setBody(0, this.#skew);
      return;
    }
    const old = Math.min(Math.max(this.#size - this.#first * blockBytes, 0), this.#skew);
    this.#zero(old, this.#skew);
    this.#writeFrom = Math.floor(old / device.sectorBytes) * device.sectorBytes;
    if (this.#writeFrom === old) return;
    this.#fillHead = old;
    this.#readSector(segment, this.#writeFrom, 0);
  }

  #fillTailEdge(): void {
    const { blockBytes, device } = this.context;
    const segment = this.#segments[this.#segments.length - 1] as Segment;
    const base = (this.#end - 1 - this.#first) * blockBytes;
    const inBlock = this.#endByte - (this.#end - 1) * blockBytes;
    this.#fillTail = 0;
    this.#writeTo = base + blockBytes;
    if (inBlock === blockBytes) return;
    if (segment.fresh) {
      this.#zero(base + inBlock, base + blockBytes);
      if (this.#body && this.#end === 1) this.#setBody(inBlock, this.#size);
      return;
    }
    const sectorEnd = Math.ceil(inBlock / device.sectorBytes) * device.sectorBytes;
    this.#writeTo = base + sectorEnd;
    const oldEnd = Math.min(Math.max(this.#size - (this.#end - 1) * blockBytes, inBlock), sectorEnd);
    this.#zero(base + oldEnd, base + sectorEnd);
    if (oldEnd === inBlock) return;
    this.#fillTail = oldEnd - inBlock;
    this.#readSector(segment, base + sectorEnd - device.sectorBytes, SECTOR_ROOM);
  }

  /** Copies bytes [from, to) of the body, as far as it goes, to their place in the first block. */
  #setBody(from: number, to: number): void {
    const memory = this.#memory;
    const memoryOffset = this.#memoryOffset;
    const body = this.#body as Uint8Array;
    if (from < body.length)
      memory.bytes.set(body.subarray(from, Math.min(to, body.length)), memoryOffset + from);
  }

  #scratchMemory(): Memory {
    this.#scratch ??= this.context.scratch.take();
    return this.#scratch;
  }

  /** Where the edge sectors stand in scratch memory. */
  get #edges(): number {
    return Math.max(this.context.blockBytes, SECTOR_ROOM);
  }

  /** Reads the sector at `from`, counted from the start of the first block, which lies in the segment, to an edge place. */
  #readSector(segment: Segment, from: number, edge: number): void {
    const { device, blockBytes } = this.context;
    const inSegment = from - (segment.fileBlock - this.#first) * blockBytes;
    this.#left++;
    device.read(
      this.#scratchMemory(),
      this.#edges + edge,
      device.sectorBytes,
      segment.block * blockBytes + inSegment,
      this,
    );
  }

  #fillExtra(extra: Segment): void {
    const { device, blockBytes } = this.context;
    const { bytes } = this.#scratchMemory();
    bytes.fill(0, 0, blockBytes);
    if (this.#body) {
      bytes.set(this.#body);
      return;
    }
    const sectorStart = Math.floor(this.#extraFrom / device.sectorBytes) * device.sectorBytes;
    if (sectorStart === this.#extraFrom) return;
    this.#left++;
    device.read(
      this.#scratchMemory(),
      sectorStart,
      device.sectorBytes,
      extra.block * blockBytes + sectorStart,
      this,
    );
  }

  /** Takes over what was read around the edges. */
  #merge(): void {
    const { device, blockBytes } = this.context;
    const memory = this.#memory;
    const memoryOffset = this.#memoryOffset;
    if (this.#fillHead > 0) {
      const length = this.#fillHead - this.#writeFrom;
      const from = this.#edges;
      const sector = this.#scratchMemory().bytes.subarray(from, from + length);
      memory.bytes.set(sector, memoryOffset + this.#writeFrom);
    }
    if (this.#fillTail > 0) {
      const inSector = this.#endByte % device.sectorBytes;
      const from = this.#edges + SECTOR_ROOM + inSector;
      const sector = this.#scratchMemory().bytes.subarray(from, from + this.#fillTail);
      memory.bytes.set(sector, memoryOffset + this.#skew + this.#lengthBytes);
    }
    if (this.#extra && !this.#extra.fresh) this.#scratchMemory().bytes.fill(0, this.#extraFrom, blockBytes);
  }

  // ---- transfer ----

  #transfer(): void {
    this.#phase = 'transfer';
    this.#left = 1;
    const { device, blockBytes } = this.context;
    const memory = this.#memory;
    const memoryOffset = this.#memoryOffset;
    for (const segment of this.#segments) {
      const base = (segment.fileBlock - this.#first) * blockBytes;
      const from = Math.max(base, this.#writeFrom);
      const to = Math.min(base + segment.length * blockBytes, this.#writeTo);
      this.#left++;
      device.write(memory, memoryOffset + from, to - from, segment.block * blockBytes + from - base, this);
    }
    if (this.#extra) {
      const from = Math.floor(this.#extraFrom / device.sectorBytes) * device.sectorBytes;
      this.#left++;
      device.write(
        this.#scratchMemory(),
        from,
        blockBytes - from,
        this.#extra.block * blockBytes + from,
        this,
      );
    }
    this.ioDone(0);
  }

  ioDone(errno: number): void {
    if (errno !== 0) this.#errno = errno;
    if (--this.#left > 0) return;
    if (this.#errno !== 0) {
      this.context.epochs.leave(this.#epoch);
      this.#giveBack();
      this.#close(fsErrorFromNumber(this.#errno));
      return;
    }
    if (this.#phase === 'fill') {
      this.#merge();
      this.#transfer();
      return;
    }
    this.context.epochs.leave(this.#epoch);
    this.context.dataWritten();
    this.#phase = 'record';
    if (this.#needsRecord()) this.context.runner.execute(this);
    else this.#close(undefined);
  }

  // ---- record ----

  #needsRecord(): boolean {
    if (this.#updateTimes || this.#killPrivileges || this.#endByte > this.#size || this.#extra) return true;
    return this.#segments.some((segment) => segment.fresh);
  }

  /** As many segments as one transaction may enter; mostly all. */
  #record(tx: Transaction, inode: InodeRef): void {
    const segments = this.#segments;
    tx.modify(inode.frame);
    if (isInline(inode)) {
      setInline(inode, false);
      initialiseTree(inode, TreeKind.extents);
    }
    if (this.#recorded === 0 && this.#extra?.fresh) this.#enter(tx, inode, this.#extra);
    let at = this.#recorded;
    for (let left = this.context.extentsPerStep; at < segments.length && left > 0; at++) {
      const segment = segments[at] as Segment;
      if (!segment.fresh) continue;
      this.#enter(tx, inode, segment);
      left--;
    }
    this.#recording = at;
    const last = segments[at - 1] as Segment;
    this.#touch(tx, inode, Math.min(this.#endByte, (last.fileBlock + last.length) * this.context.blockBytes));
  }

  #recordEnded(thrown: unknown): void {
    if (thrown !== undefined) {
      this.#giveBack();
      this.#close(thrown);
      return;
    }
    this.#recorded = this.#recording;
    if (this.#recorded < this.#segments.length) this.context.runner.execute(this);
    else this.#close(undefined);
  }

  #enter(tx: Transaction, inode: InodeRef, segment: Segment): void {
    this.context.space.claim(tx, segment.block, segment.length);
    this.context.extents.insert(tx, inode, segment.fileBlock, segment.block, segment.length);
  }

  #touch(tx: Transaction, inode: InodeRef, endByte: number): void {
    if (endByte > sizeOf(inode)) setSizeOf(inode, endByte);
    if (this.#updateTimes) touchModified(inode, tx.clock);
    if (this.#killPrivileges) dropPrivileges(inode);
  }

  #giveBack(): void {
    const { space } = this.context;
    if (this.#extra?.fresh && this.#recorded === 0) space.unreserve(this.#extra.block, this.#extra.length);
    for (const segment of this.#segments.slice(this.#recorded)) {
      if (segment.fresh) space.unreserve(segment.block, segment.length);
    }
  }
}

export function writeFile(context: WriteContext, request: WriteRequest): void {
  new WriteTask(context, request).start();
}
