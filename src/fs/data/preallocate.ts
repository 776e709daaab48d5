/**
 * Space for a file before its data: holes become unwritten extents, which read as zeros until they
 * are written to.
 *
 * A range is gone through from the front in transactions of bounded size, under its lock. What was
 * taken stays the file's when there is no room for the rest. The end moves when all is there.
 */
import { fsError } from '../base/errors.ts';
import type { FileBlock } from '../base/numbers.ts';
import { ExtentFlag, MAX_FILE_BYTES } from '../format/format.ts';
import { PromisedOperation } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { type InodeRef, inlineCapacity, isInline, requireRegular, sizeOf } from '../tree/inode.ts';
import { resizeFile } from './file-resizer.ts';
import type { LockHolder } from './range-locks.ts';
import type { WriteContext } from './write-plan.ts';

class Preallocation implements LockHolder {
  granted: () => void = () => {};
  readonly #first: FileBlock;
  readonly #end: FileBlock;

  constructor(
    readonly context: WriteContext,
    readonly inode: number,
    offsetBytes: number,
    endByte: number,
  ) {
    this.#first = Math.floor(offsetBytes / context.blockBytes);
    this.#end = Math.ceil(endByte / context.blockBytes);
  }

  async run(): Promise<void> {
    const { context, inode } = this;
    const locked = new Promise<void>((resolve) => {
      this.granted = resolve;
    });
    context.locks.acquire(inode, this.#first, this.#end, this);
    await locked;
    try {
      for (let at = this.#first; at < this.#end; ) at = await this.#step(at);
    } finally {
      context.locks.release(inode, this);
      context.device.submit();
    }
  }

  /** Returns where to go on. */
  #step(from: FileBlock): Promise<FileBlock> {
    const { context, inode } = this;
    const operation = new PromisedOperation((tx) => this.#take(tx, context.table.get(tx, inode), from));
    context.runner.execute(operation);
    context.device.submit();
    return operation.promise;
  }

  #take(tx: Transaction, inode: InodeRef, from: FileBlock): FileBlock {
    requireRegular(inode);
    if (tx.readOnly) throw tx.refusal();
    const { extents, extentsPerStep } = this.context;
    let at = from;
    let goal = -1;
    for (let left = extentsPerStep; left > 0 && at < this.#end; left--) {
      const { block, length } = extents.find(tx, inode, at);
      const count = Math.min(length, this.#end - at);
      const taken = block === 0 ? this.#fill(tx, inode, at, count, goal) : { start: block, length: count };
      at += taken.length;
      goal = taken.start + taken.length;
    }
    return at;
  }

  /** One run of blocks for the start of a hole. */
  #fill(
    tx: Transaction,
    inode: InodeRef,
    at: FileBlock,
    length: number,
    goal: number,
  ): { start: number; length: number } {
    const { space, extents } = this.context;
    const want = { goal, length, minimum: 1, inode: inode.number, kind: 'data', stream: false } as const;
    const run = space.allocate(tx, want);
    extents.insert(tx, inode, at, run.start, run.length, ExtentFlag.unwritten);
    return run;
  }
}

/**
 * Gives the file all blocks of the range, as fallocate(2) does, and makes it as long.
 * @throws FsError EINVAL, EFBIG, EISDIR, ENOSPC, EROFS, EIO
 */
export async function preallocate(
  context: WriteContext,
  inode: number,
  offsetBytes: number,
  lengthBytes: number,
): Promise<void> {
  if (!(offsetBytes >= 0 && lengthBytes > 0)) throw fsError('EINVAL');
  const endByte = offsetBytes + lengthBytes;
  if (endByte > MAX_FILE_BYTES) throw fsError('EFBIG');
  const { size, capacity } = await look(context, inode);
  if (endByte <= capacity) {
    if (endByte > size) await resizeFile(context, inode, endByte, false);
    return;
  }
  // What the inode holds itself moves out as its file becomes longer.
  if (capacity > 0) await resizeFile(context, inode, endByte, false);
  try {
    await new Preallocation(context, inode, offsetBytes, endByte).run();
  } catch (thrown) {
    if (capacity > 0) await resizeFile(context, inode, size, false).catch(() => {});
    throw thrown;
  }
  if (capacity === 0 && endByte > size) await resizeFile(context, inode, endByte, false);
}

/** The size of the file, and how much its inode can hold itself: 0 if it does not. */
async function look(context: WriteContext, inode: number): Promise<{ size: number; capacity: number }> {
  const operation = new PromisedOperation((tx) => {
    const found = context.table.get(tx, inode);
    requireRegular(found);
    if (tx.readOnly) throw tx.refusal();
    return { size: sizeOf(found), capacity: isInline(found) ? inlineCapacity(found) : 0 };
  });
  context.runner.execute(operation);
  context.device.submit();
  return await operation.promise;
}
