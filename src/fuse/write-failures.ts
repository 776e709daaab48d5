/**
 * Tells a writer that its cached writes do not reach the disk.
 *
 * With the writeback cache a write(2) is done when its pages are dirty; that the volume is full
 * shows later, when they are written back, and the kernel reports it at fsync and close only. A
 * program that writes until it is told to stop would never stop. So after a failed WRITE the kernel
 * is told that the inode's attributes are stale. Before the next write(2) it asks for them, by a
 * GETATTR that names an open file, and that one is answered with the error.
 *
 * Each failure is told once, and forgotten when nobody has asked for some seconds: a later reader
 * must not get it. An answer with attributes that was on its way may make the kernel take them for
 * fresh again; so while nobody has asked, a WRITE that fails a moment later has it told again.
 */
import type { Notices } from './notices.ts';

const REMEMBERED_MILLISECONDS = 5000;
const MOMENT_MILLISECONDS = 5;
/** More files at once than anybody writes to. */
const MOST_INODES = 4096;

interface Failure {
  readonly errno: number;
  readonly until: number;
  toldAt: number;
}

export class WriteFailures {
  readonly #byInode = new Map<number, Failure>();

  /** A WRITE to the inode failed. */
  note(notices: Notices, inode: number, errno: number): void {
    const now = performance.now();
    const before = this.#byInode.get(inode);
    if (before !== undefined && before.until > now) {
      if (now - before.toldAt < MOMENT_MILLISECONDS) return;
      before.toldAt = now;
    } else {
      if (this.#byInode.size >= MOST_INODES) this.#byInode.clear();
      this.#byInode.set(inode, { errno, until: now + REMEMBERED_MILLISECONDS, toldAt: now });
    }
    notices.forgetAttributes(inode);
  }

  /** The kernel gave the inode up: the next file may have its number, and is not to hear of it. */
  gone(inode: number): void {
    if (this.#byInode.size > 0) this.#byInode.delete(inode);
  }

  /** The errno to tell a writer of the inode now; 0 for none. */
  take(inode: number): number {
    if (this.#byInode.size === 0) return 0;
    const failure = this.#byInode.get(inode);
    if (failure === undefined) return 0;
    this.#byInode.delete(inode);
    return failure.until > performance.now() ? failure.errno : 0;
  }
}
