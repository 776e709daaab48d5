/**
 * Keeps the kernel's idea of st_blocks true.
 *
 * The kernel has the count that the last answer gave, and asks again by itself after a close only. A WRITE that changes the count while the
 * file is open, or is recorded after it was closed, would leave it wrong for good, and `tar -S` takes a file
 * with bytes and without blocks for a hole. So whatever changes it makes it `stale`, until some answer tells the new one. What is still stale
 * a moment later is taken from the kernel by a notice. The moment is there because most files are told by an answer that comes
 * anyway: cp sets times after it has written, and the answer to that has the count.
 *
 * Who asked for the file to be synced need not wait even for the moment (`settle`).
 */
import type { Notices } from './notices.ts';

/** Long against the time between two requests of one caller, short against a look at the clock. */
const MOMENT_MILLISECONDS = 5;
/** Files that know of no count, more of which are not remembered: they get a notice too many. */
const MOST_UNTOLD = 4096;

export class BlockCounts {
  readonly #notices: Notices;
  /** The kernel may have a count that is not so any more. */
  readonly #stale = new Set<number>();
  /** The kernel was told that it has none, and has not asked since. */
  readonly #untold = new Set<number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(notices: Notices) {
    this.#notices = notices;
  }

  changed(inode: number): void {
    if (this.#untold.has(inode)) return;
    this.#stale.add(inode);
    this.#tellSoon();
  }

  /** An answer with the inode's attributes goes out. */
  told(inode: number): void {
    if (this.#stale.size > 0) this.#stale.delete(inode);
    if (this.#untold.size > 0) this.#untold.delete(inode);
  }

  /** An answer with the inode's attributes goes out that the kernel may throw away. */
  perhapsTold(inode: number): void {
    if (this.#untold.size > 0) this.#untold.delete(inode);
  }

  /** The kernel gave the inode up. */
  gone(inode: number): void {
    this.told(inode);
  }

  /** Before the answer to a request on an open file of the inode. A notice that was sent may not have arrived yet. */
  settle(inode: number): void {
    if (!this.#stale.delete(inode) && !this.#untold.has(inode)) return;
    this.#notices.forgetAttributesNow(inode);
    this.#remember(inode);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#stale.clear();
  }

  #tellSoon(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#tell();
    }, MOMENT_MILLISECONDS);
    this.#timer.unref();
  }

  #tell(): void {
    for (const inode of this.#stale) {
      if (!this.#notices.forgetAttributes(inode)) break;
      this.#stale.delete(inode);
      this.#remember(inode);
    }
    if (this.#stale.size > 0) this.#tellSoon();
  }

  #remember(inode: number): void {
    if (this.#untold.size >= MOST_UNTOLD) this.#untold.clear();
    this.#untold.add(inode);
  }
}
