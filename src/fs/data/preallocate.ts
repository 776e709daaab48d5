/**
 * Space for a file before its data: holes become unwritten extents, which read as zeros until they
 * are written to.
 *
 * A range is gone through from the front in transactions of bounded size, under the lock of the
 * whole file, since its end may move too. What was taken stays the file's when there is no room for
 * the rest, which is seen before anything is taken, as far as it can be. The end moves when all is
 * there, if it is to move; if not, what lies behind it waits there for whoever moves it, and a
 * truncation gives it back.
 */
import { fsError } from '../base/errors.ts';
import type { FallocateRequest } from '../base/filesystem.ts';
import type { BlockRun, FileBlock } from '../base/numbers.ts';
import { transact } from '../transaction/operation-runner.ts';
import type { SpaceRequest } from '../transaction/space-map.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { MOST_UNWRITTEN_BLOCKS } from '../tree/extents.ts';
import { blocksOf, type InodeRef, inlineCapacity, isInline, requireRegular, sizeOf } from '../tree/inode.ts';
import { leaveBody, resizeLocked } from './file-resizer.ts';
import { inSteps } from './steps.ts';
import type { WriteContext } from './write-plan.ts';

/** Blocks that one step goes through, about: some milliseconds' worth of bitmaps. */
const BLOCKS_PER_STEP = 16 * MOST_UNWRITTEN_BLOCKS;

export class Preallocation {
  readonly #first: FileBlock;
  readonly #end: FileBlock;
  readonly #endByte: number;
  #tookSpace = false;

  constructor(
    readonly context: WriteContext,
    readonly request: FallocateRequest,
  ) {
    const { offsetBytes, lengthBytes } = request;
    this.#endByte = offsetBytes + lengthBytes;
    this.#first = Math.floor(offsetBytes / context.blockBytes);
    this.#end = Math.ceil(this.#endByte / context.blockBytes);
  }

  /**
   * Under the lock of the whole file.
   * @throws FsError ENOSPC, EDQUOT, EISDIR, EINVAL, EROFS, EIO
   */
  async run(): Promise<void> {
    try {
      await this.#run();
    } finally {
      if (this.#tookSpace) this.context.spaceChanged(this.request.inode);
    }
  }

  async #run(): Promise<void> {
    const { size, capacity } = await transact(this.context, (tx) => this.#look(tx), this.request);
    if (this.#endByte > capacity) await this.#takeAll(size, capacity > 0);
    if (this.#endByte > size && !this.request.keepSize)
      await resizeLocked(this.context, this.request.inode, this.#endByte);
  }

  /** The size of the file, and how much its inode can hold itself: 0 if it does not. */
  #look(tx: Transaction): { size: number; capacity: number } {
    const { table, space, quotas } = this.context;
    const inode = table.get(tx, this.request.inode);
    requireRegular(inode);
    if (tx.readOnly) throw tx.refusal();
    // It may have some of the blocks, but no more than all that it has.
    const blocks = this.#end - this.#first - blocksOf(inode);
    if (blocks > space.availableToAsker) throw fsError('ENOSPC');
    if (blocks > 0) quotas?.planned(tx, inode, blocks);
    return { size: sizeOf(inode), capacity: isInline(inode) ? inlineCapacity(inode) : 0 };
  }

  async #takeAll(size: number, isInBody: boolean): Promise<void> {
    const { context, request } = this;
    if (isInBody) await leaveBody(context, request.inode, size, request);
    try {
      await inSteps(context, { first: this.#first, end: this.#end }, (tx, at) => this.#take(tx, at), request);
    } catch (thrown) {
      if (isInBody) await resizeLocked(context, request.inode, size).catch(() => {});
      throw thrown;
    }
  }

  /** One step from a block on. Returns where to go on. */
  #take(tx: Transaction, from: FileBlock): FileBlock {
    if (tx.readOnly) throw tx.refusal();
    const { extents, extentsPerStep, table } = this.context;
    const inode = table.get(tx, this.request.inode);
    let at = from;
    let goal = -1;
    const end = Math.min(from + BLOCKS_PER_STEP, this.#end);
    for (let left = extentsPerStep; left > 0 && at < end; left--) {
      const { block, length, follows } = extents.find(tx, inode, at);
      const count = Math.min(length, this.#end - at);
      if (goal < 0) goal = follows;
      const taken =
        block === 0 ? this.#fill(tx, inode, at, this.#wanted(count, goal)) : { start: block, length: count };
      at += taken.length;
      goal = taken.start + taken.length;
    }
    return at;
  }

  #wanted(length: number, goal: number): SpaceRequest {
    const most = Math.min(length, MOST_UNWRITTEN_BLOCKS);
    return { goal, length: most, minimum: 1, inode: this.request.inode, kind: 'data', stream: false };
  }

  /** One run of blocks for the start of a hole. */
  #fill(tx: Transaction, inode: InodeRef, at: FileBlock, want: SpaceRequest): BlockRun {
    const { space, extents } = this.context;
    const run = space.allocate(tx, want);
    extents.insert(tx, inode, { fileBlock: at, block: run.start, length: run.length, unwritten: true });
    this.#tookSpace = true;
    return run;
  }
}
