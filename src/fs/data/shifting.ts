/**
 * Ranges taken out of a file, or put into it: what follows gets other places in the file, and stays
 * where it is on the device.
 *
 *   collapse   a hole of the range; then the extents behind it move down, from the front; then the
 *              end does
 *   insert     the end moves up first; then the extents from the range on do, from the back
 *
 * So the hole wanders through the file in transactions of bounded size, and after each of them the
 * file is whole, as far as fsck can tell. A crash leaves the hole where it was then: it is not one
 * change for whoever reads the file (nor is it on ext4). Under the lock of the whole file, until
 * all of it is durable: after a crash, a write in place before that would show where its block was
 * in the file. FUSE has no words for this: it is there for whoever has the volume in his own
 * process.
 */
import { fsError } from '../base/errors.ts';
import type { FallocateRequest } from '../base/filesystem.ts';
import type { FileBlock } from '../base/numbers.ts';
import { FILE_BLOCK_LIMIT, MAX_FILE_BYTES } from '../format/format.ts';
import { transact } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { isInline, requireRegular, sizeOf } from '../tree/inode.ts';
import { Clearing } from './clearing.ts';
import { leaveBody, resizeLocked } from './file-resizer.ts';
import { inSteps } from './steps.ts';
import type { WriteContext } from './write-plan.ts';

export class Shifting {
  readonly #first: FileBlock;
  readonly #blocks: number;

  constructor(
    readonly context: WriteContext,
    readonly request: FallocateRequest,
  ) {
    const { offsetBytes, lengthBytes } = request;
    this.#first = offsetBytes / context.blockBytes;
    this.#blocks = lengthBytes / context.blockBytes;
  }

  /** @throws FsError EINVAL, EFBIG, EISDIR, ENOSPC (for a node of the tree), EROFS, EIO */
  async run(): Promise<void> {
    const { context, request } = this;
    if (!Number.isInteger(this.#first) || !Number.isInteger(this.#blocks)) throw fsError('EINVAL');
    const size = await transact(context, (tx) => this.#look(tx));
    // What is to be written again has a place, which would be another one.
    const lost = context.lost.errorOf(request.inode);
    if (lost !== undefined) throw lost;
    if (request.action === 'collapse') await this.#collapse(size);
    else await this.#insert(size);
    await context.commit();
  }

  #look(tx: Transaction): number {
    const { action, offsetBytes, lengthBytes } = this.request;
    const inode = this.context.table.get(tx, this.request.inode);
    requireRegular(inode);
    if (tx.readOnly) throw tx.refusal();
    const size = sizeOf(inode);
    const [last, most] =
      action === 'collapse' ? [offsetBytes + lengthBytes, size] : [offsetBytes, size + lengthBytes];
    if (last >= size) throw fsError('EINVAL');
    if (most > MAX_FILE_BYTES) throw fsError('EFBIG');
    return size;
  }

  async #collapse(size: number): Promise<void> {
    const { context, request } = this;
    await new Clearing(context, request).punch();
    const behind = { first: this.#first + this.#blocks, end: FILE_BLOCK_LIMIT };
    await inSteps(context, behind, (tx, from) => {
      const inode = this.#inode(tx);
      let at = from;
      for (let left = this.#mostShifted; left > 0 && at < FILE_BLOCK_LIMIT; left--)
        at = context.extents.shiftDown(tx, inode, at, this.#blocks);
      return at;
    });
    await resizeLocked(context, request.inode, size - request.lengthBytes);
  }

  async #insert(size: number): Promise<void> {
    const { context, request } = this;
    const isBody = await transact(context, (tx) => isInline(this.#inode(tx)));
    if (isBody) await leaveBody(context, request.inode, size);
    // Space that is kept behind the end would go on from there, perhaps too far.
    await resizeLocked(context, request.inode, size);
    await resizeLocked(context, request.inode, size + request.lengthBytes);
    // Steps count up, and the extents are gone through from the last one down.
    const last = FILE_BLOCK_LIMIT;
    await inSteps(context, { first: 0, end: last - this.#first }, (tx, done) => {
      const inode = this.#inode(tx);
      let to = last - done;
      for (let left = this.#mostShifted; left > 0 && to > this.#first; left--)
        to = context.extents.shiftUp(tx, inode, { first: this.#first, end: to }, this.#blocks);
      return last - to;
    });
  }

  /** Each is taken out in one place and put in at another. */
  get #mostShifted(): number {
    return Math.max(1, Math.floor(this.context.extentsPerStep / 2));
  }

  #inode(tx: Transaction) {
    if (tx.readOnly) throw tx.refusal();
    return this.context.table.get(tx, this.request.inode);
  }
}
