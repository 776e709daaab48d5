/**
 * Blocks of files that writes answered early will have added when they are recorded.
 *
 * Whoever wrote may look at his file at once, and must find the space in use that it will be; a
 * file with bytes and without blocks is taken for a hole by programs that save holes.
 */
import { strict as assert } from 'node:assert';
export class PendingBlocks {
  readonly #byInode = new Map<number, number>();

  /** @param count negative when they are recorded, or given up */
  add(inode: number, count: number): void {
    if (count === 0) return;
    const blocks = this.of(inode) + count;
    assert(blocks >= 0, 'no more blocks are recorded than were pending');
    if (blocks > 0) this.#byInode.set(inode, blocks);
    else this.#byInode.delete(inode);
  }

  of(inode: number): number {
    return this.#byInode.size === 0 ? 0 : (this.#byInode.get(inode) ?? 0);
  }
}
