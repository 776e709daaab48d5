/**
 * Reading: look up the blocks in one synchronous step, then one batch of device reads into the
 * caller's memory.
 *
 * Holes and what inode bodies hold are filled in by hand. A read takes no locks, since freed blocks
 * are not reused while it is in flight (io-epochs.ts); except where a write answered early is on
 * its way, or data that could not be written is kept in memory, and is laid over what the device
 * has (lost-writes.ts). Device reads are widened to whole sectors, so the result may begin a little
 * after the start of the memory.
 */
import type { Device, IoCompletion } from '../../aio/device.ts';
import { empty } from '../base/empty.ts';
import { fsErrorFromNumber } from '../base/errors.ts';
import type { Operation, ReadRequest } from '../base/filesystem.ts';
import type { FileBlock } from '../base/numbers.ts';
import type { AccessTimes } from '../inodes/access-times.ts';
import type { InodeTable } from '../inodes/inode-table.ts';
import type { OperationRunner } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';
import type { ExtentMap } from '../tree/extents.ts';
import { type InodeRef, inlineBytes, isInline, requireRegular, sizeOf } from '../tree/inode.ts';
import { type MappedRange, mapSegments, type Segment } from './data-map.ts';
import type { EarlyWrites } from './early-writes.ts';
import type { IoEpochs } from './io-epochs.ts';
import type { LostWrites } from './lost-writes.ts';
import { type LockHolder, type RangeLocks, WHOLE_FILE } from './range-locks.ts';

/** What reading and writing share of a volume. */
export interface FileContext {
  readonly device: Device;
  readonly blockBytes: number;
  readonly table: InodeTable;
  readonly extents: ExtentMap;
  readonly runner: OperationRunner;
  readonly epochs: IoEpochs;
  readonly locks: RangeLocks;
  readonly early: EarlyWrites;
  readonly access: AccessTimes;
  readonly lost: LostWrites;
}

class ReadTask implements Operation<Transaction>, IoCompletion, LockHolder, MappedRange {
  readonly mapped: Segment[] = [];
  #inline = false;
  #epoch = -1;
  #left = 0;
  #errno = 0;
  #locked = false;

  constructor(
    readonly context: FileContext,
    readonly request: ReadRequest,
  ) {}

  /** The blocks that are read, once that is known: no fields, so that a task is no larger. */
  get first(): FileBlock {
    return Math.floor(this.request.offsetBytes / this.context.blockBytes);
  }

  get end(): FileBlock {
    const { offsetBytes, resultBytes } = this.request;
    return Math.ceil((offsetBytes + resultBytes) / this.context.blockBytes);
  }

  start(): void {
    const { context, request } = this;
    if (!context.early.pending(request.inode) && !context.lost.keeps(request.inode)) {
      context.runner.execute(this);
      return;
    }
    // All of the file, since a write elsewhere may be about to move the end over what is read here.
    this.#locked = true;
    context.locks.acquire(request.inode, 0, WHOLE_FILE, this);
  }

  granted(): void {
    this.context.runner.execute(this);
  }

  #end(thrown: unknown): void {
    if (this.#locked && thrown === undefined) this.context.lost.overlay(this.request);
    if (this.#locked) this.context.locks.release(this.request.inode, this);
    this.request.finished(thrown);
  }

  perform(tx: Transaction): void {
    const { request, context } = this;
    const inode = context.table.get(tx, request.inode);
    requireRegular(inode);
    if (request.movesAccessTime) context.access.touched(tx, inode);
    const size = sizeOf(inode);
    const length = Math.max(0, Math.min(request.lengthBytes, size - request.offsetBytes));
    request.resultBytes = length;
    request.resultOffset = request.memoryOffset;
    this.#inline = isInline(inode);
    empty(this.mapped);
    if (length === 0) return;
    if (this.#inline) this.#copyInline(inode);
    else mapSegments(tx, context.extents, inode, this);
  }

  #copyInline(inode: InodeRef): void {
    const { offsetBytes, resultBytes, memory, memoryOffset } = this.request;
    const body = inlineBytes(inode);
    memory.bytes.set(body.subarray(offsetBytes, offsetBytes + resultBytes), memoryOffset);
  }

  finished(thrown: unknown): void {
    if (thrown !== undefined || this.mapped.length === 0) {
      this.#end(thrown);
      return;
    }
    this.#epoch = this.context.epochs.enter();
    this.#left = 1;
    this.#transfer();
    this.ioDone(0);
  }

  /** Queues the device reads and fills the holes. */
  #transfer(): void {
    const { request, context } = this;
    const { blockBytes, device } = context;
    const sector = device.sectorBytes;
    const from = Math.floor(request.offsetBytes / sector) * sector;
    const to = Math.ceil((request.offsetBytes + request.resultBytes) / sector) * sector;
    request.resultOffset = request.memoryOffset + request.offsetBytes - from;
    for (const segment of this.mapped) {
      const start = Math.max(from, segment.fileBlock * blockBytes);
      const end = Math.min(to, (segment.fileBlock + segment.length) * blockBytes);
      const at = request.memoryOffset + start - from;
      if (segment.block === 0 || segment.unwritten) {
        request.memory.bytes.fill(0, at, at + end - start);
        continue;
      }
      this.#left++;
      const place = segment.block * blockBytes + start - segment.fileBlock * blockBytes;
      device.read(request.memory, at, end - start, place, this);
    }
  }

  ioDone(errno: number): void {
    if (errno !== 0) this.#errno = errno;
    if (--this.#left > 0) return;
    this.context.epochs.leave(this.#epoch);
    this.#end(this.#errno === 0 ? undefined : fsErrorFromNumber(this.#errno));
  }
}

export function readFile(context: FileContext, request: ReadRequest): void {
  new ReadTask(context, request).start();
}
