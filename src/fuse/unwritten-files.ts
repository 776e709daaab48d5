/**
 * Files of which the kernel shows what is not so.
 *
 * With the writeback cache the kernel keeps the size of a file by itself, and believes no answer
 * about it: a write(2) that ended when its pages were dirty has moved the end, and if those pages
 * cannot be written the end stays where it is, and the pages stay in the cache, as if they had
 * been, until the inode leaves the kernel's memory. So after a failed WRITE the kernel is asked to
 * let go of the inode. It does not while the file is open, and does not say so; it is asked again,
 * first soon, then less often, until it gives the inode up.
 *
 * In the same way it keeps the time of change, and an ioctl that changes flags does not move it
 * (fuse_fileattr_set in fs/fuse/ioctl.c, fuse_change_attributes in fs/fuse/inode.c of Linux).
 * Whoever has the file open goes on seeing the old one; so that is asked for a few times only.
 */
import type { Notices } from './notices.ts';

const FIRST_MILLISECONDS = 1;
/** Twice the first: what the delay is while the first is waited for. */
const SECOND_MILLISECONDS = 2 * FIRST_MILLISECONDS;
const LONGEST_MILLISECONDS = 500;
/** More files at once than anybody writes to. */
const MOST_INODES = 4096;
/** For a time of change: some three seconds. */
const ASKED_FOR_TIMES = 14;

export class UnwrittenFiles {
  readonly #notices: Notices;
  /** How often each is still to be asked for. */
  readonly #inodes = new Map<number, number>();
  #delay = FIRST_MILLISECONDS;
  #timer: NodeJS.Timeout | undefined;

  constructor(notices: Notices) {
    this.#notices = notices;
  }

  /** A WRITE to the inode failed. */
  failed(inode: number): void {
    this.#begin(inode, Number.POSITIVE_INFINITY);
  }

  /** Its time of change moved, and the kernel does not know. */
  changed(inode: number): void {
    this.#begin(inode, Math.max(this.#inodes.get(inode) ?? 0, ASKED_FOR_TIMES));
  }

  /** The kernel gave the inode up. */
  gone(inode: number): void {
    if (this.#inodes.size > 0) this.#inodes.delete(inode);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#inodes.clear();
  }

  #begin(inode: number, times: number): void {
    const isNew = !this.#inodes.has(inode);
    if (isNew && this.#inodes.size >= MOST_INODES) {
      // What failed is worth more than a time.
      if (Number.isFinite(times)) return;
      this.#inodes.clear();
    }
    this.#inodes.set(inode, times);
    // One that is about to come is not put off by the next file.
    if (this.#timer !== undefined && this.#delay === SECOND_MILLISECONDS) return;
    this.#delay = FIRST_MILLISECONDS;
    clearTimeout(this.#timer);
    this.#askLater();
  }

  #askLater(): void {
    this.#timer = setTimeout(() => this.#ask(), this.#delay);
    this.#timer.unref();
    this.#delay = Math.min(2 * this.#delay, LONGEST_MILLISECONDS);
  }

  #ask(): void {
    this.#timer = undefined;
    if (this.#inodes.size === 0) return;
    for (const [inode, times] of this.#inodes) {
      // The kernel takes no more now: the others next time.
      if (!this.#notices.letGo(inode)) break;
      if (times > 1) this.#inodes.set(inode, times - 1);
      else this.#inodes.delete(inode);
    }
    this.#askLater();
  }
}
