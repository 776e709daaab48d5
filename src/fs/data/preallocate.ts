/**
 * Space for a file before its data: holes become unwritten extents, which read as zeros until they
 * are written to.
 *
 * A range is gone through from the front in transactions of bounded size, under the lock of the
 * whole file, since its end may move too. What was taken stays the file's when there is no room for
 * the rest. The end moves when all is there.
 */
import { fsError } from '../base/errors.ts';
import type { FileBlock } from '../base/numbers.ts';
import { ExtentFlag, MAX_FILE_BYTES } from '../format/format.ts';
import { requireMutable } from '../inodes/file-flags.ts';
import { transact } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { type InodeRef, inlineCapacity, isInline, requireRegular, sizeOf } from '../tree/inode.ts';
import { resizeLocked, withWholeFile } from './file-resizer.ts';
import type { WriteContext } from './write-plan.ts';

class Preallocation {
  readonly #first: FileBlock;
  readonly #end: FileBlock;
  #tookSpace = false;

  constructor(
    readonly context: WriteContext,
    readonly inode: number,
    offsetBytes: number,
    readonly endByte: number,
  ) {
    this.#first = Math.floor(offsetBytes / context.blockBytes);
    this.#end = Math.ceil(endByte / context.blockBytes);
  }

  /** Under the lock of the whole file. */
  async run(): Promise<void> {
    try {
      await this.#run();
    } finally {
      if (this.#tookSpace) this.context.spaceChanged(this.inode);
    }
  }

  async #run(): Promise<void> {
    const { size, capacity } = await transact(this.context, (tx) => this.#look(tx));
    if (this.endByte <= capacity) return await this.#lengthen(size);
    if (capacity > 0) return await this.#leaveBody(size);
    await this.#takeAll();
    await this.#lengthen(size);
  }

  /** The size of the file, and how much its inode can hold itself: 0 if it does not. */
  #look(tx: Transaction): { size: number; capacity: number } {
    const inode = this.context.table.get(tx, this.inode);
    requireRegular(inode);
    requireMutable(inode);
    if (tx.readOnly) throw tx.refusal();
    return { size: sizeOf(inode), capacity: isInline(inode) ? inlineCapacity(inode) : 0 };
  }

  async #lengthen(size: number): Promise<void> {
    if (this.endByte > size) await resizeLocked(this.context, this.inode, this.endByte);
  }

  /** What the inode holds itself moves out as its file becomes longer. */
  async #leaveBody(size: number): Promise<void> {
    await this.#lengthen(size);
    try {
      await this.#takeAll();
    } catch (thrown) {
      await resizeLocked(this.context, this.inode, size).catch(() => {});
      throw thrown;
    }
  }

  async #takeAll(): Promise<void> {
    for (let at = this.#first; at < this.#end; )
      at = await transact(this.context, (tx) => this.#take(tx, at));
  }

  /** One step from a block on. Returns where to go on. */
  #take(tx: Transaction, from: FileBlock): FileBlock {
    if (tx.readOnly) throw tx.refusal();
    const { extents, extentsPerStep, table } = this.context;
    const inode = table.get(tx, this.inode);
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
    this.#tookSpace = true;
    return run;
  }
}

/**
 * Gives the file all blocks of the range, as fallocate(2) does, and makes it as long.
 * @throws FsError EINVAL, EFBIG, EISDIR, ENOSPC, EROFS, EIO; EPERM of an immutable file
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
  const preallocation = new Preallocation(context, inode, offsetBytes, endByte);
  await withWholeFile(context, inode, () => preallocation.run());
}
