/**
 * Directories whose attributes may be on their way to somebody who has not looked at them yet.
 *
 * When a directory changes, the kernel takes what it knows of it for outdated, at the end of the
 * request that changed it. Somebody else's answer from before, read by the kernel after that, would
 * make the old times count as fresh again, and for good (files are spared: there each change
 * numbers what the kernel knows). So before the answer to a change the kernel is told that what is
 * under way is outdated.
 *
 * A thread asks for one thing at a time: what it was told before, it has read when it asks again.
 * So of a directory in which one thread makes files nothing has to be told.
 */
import type { Notices } from './notices.ts';

/**
 * Directories that are remembered in one generation; two are kept. Whoever was told before so many
 * others has read it: half a second ago, at the least.
 */
const MOST_DIRECTORIES = 65_536;
/** Told to more than one thread, or to one that has no number here. */
const SEVERAL = -1;

export class ToldDirectories {
  /** The thread that was told, by inode: those told last, and those before. */
  #told = new Map<number, number>();
  #before = new Map<number, number>();

  /** An answer with the directory's attributes goes to the thread (0: unknown). */
  told(inode: number, thread: number): void {
    const known = this.#told.get(inode) ?? this.#before.get(inode);
    if (known === thread && thread !== 0) return;
    if (this.#told.size >= MOST_DIRECTORIES) {
      this.#before = this.#told;
      this.#told = new Map();
    }
    this.#told.set(inode, known === undefined && thread !== 0 ? thread : SEVERAL);
  }

  /** Before the answer to the thread's change of the directory, which holds it. */
  changed(inode: number, thread: number, notices: Notices): void {
    const known = this.#told.get(inode) ?? this.#before.get(inode);
    if (known === undefined || (known === thread && thread !== 0)) return;
    this.gone(inode);
    notices.forgetAttributesNow(inode);
  }

  /** The kernel gave the inode up. */
  gone(inode: number): void {
    this.#told.delete(inode);
    this.#before.delete(inode);
  }
}
