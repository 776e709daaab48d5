/**
 * Files of which the kernel shows more than was written.
 *
 * With the writeback cache the kernel keeps the size of a file by itself, and believes no answer
 * about it: a write(2) that ended when its pages were dirty has moved the end, and if those pages
 * cannot be written the end stays where it is, and the pages stay in the cache, as if they had
 * been, until the inode leaves the kernel's memory. So after a failed WRITE the kernel is asked to
 * let go of the inode. It does not while the file is open, and does not say so; it is asked again,
 * first soon, then less often, until it gives the inode up.
 */
import type { Notices } from './notices.ts';

const FIRST_MILLISECONDS = 1;
const LONGEST_MILLISECONDS = 500;
/** More files at once than anybody writes to. */
const MOST_INODES = 4096;

export class UnwrittenFiles {
  readonly #notices: Notices;
  readonly #inodes = new Set<number>();
  #delay = FIRST_MILLISECONDS;
  #timer: NodeJS.Timeout | undefined;

  constructor(notices: Notices) {
    this.#notices = notices;
  }

  /** A WRITE to the inode failed. */
  failed(inode: number): void {
    if (this.#inodes.size >= MOST_INODES) this.#inodes.clear();
    this.#inodes.add(inode);
    this.#delay = FIRST_MILLISECONDS;
    clearTimeout(this.#timer);
    this.#askLater();
  }

  /** The kernel gave the inode up. */
  gone(inode: number): void {
    if (this.#inodes.size > 0) this.#inodes.delete(inode);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#inodes.clear();
  }

  #askLater(): void {
    this.#timer = setTimeout(() => this.#ask(), this.#delay);
    this.#timer.unref();
    this.#delay = Math.min(2 * this.#delay, LONGEST_MILLISECONDS);
  }

  #ask(): void {
    if (this.#inodes.size === 0) return;
    for (const inode of this.#inodes) this.#notices.letGo(inode);
    this.#askLater();
  }
}
