/**
 * Keeps the kernel's idea of st_blocks true.
 *
 * The kernel has the count that the last answer gave, and asks again by itself after a close only.
 * A WRITE that changes the count while the file is open, or is recorded after it was closed, would
 * leave it wrong for good, and `tar -S` takes a file with bytes and without blocks for a hole. So
 * whatever changes it makes it `stale`, until some answer tells the new one. Of what is still stale
 * a moment later the kernel is told so by a notice, and asks when somebody wants to know; until
 * then, further changes need no word. The moment is there because most files are told by an answer
 * that comes anyway: cp sets times after it has written, and the answer to that has the count. Who
 * asked for the file to be synced need not wait even for the moment (`settle`).
 */
import type { Notices } from './notices.ts';

/** Long against the time between two requests of one caller, short against a look at the clock. */
const MOMENT_MILLISECONDS = 5;
/** Files about which more is not remembered than is right to forget: they get a notice too many. */
const MOST_FILES = 4096;

export class BlockCounts {
  readonly #notices: Notices;
  /**
   * Files of which the kernel may have a count that is not so any more, and when it will be told.
   */
  readonly #stale = new Map<number, number>();
  /** Files of which it was told, and has not asked since; true: and has read it for certain. */
  readonly #outdated = new Map<number, boolean>();
  #timer: NodeJS.Timeout | undefined;
  #timerAt = 0;

  constructor(notices: Notices) {
    this.#notices = notices;
  }

  changed(inode: number): void {
    if (this.#outdated.has(inode) || this.#stale.has(inode)) return;
    const now = Date.now();
    this.#stale.set(inode, now + MOMENT_MILLISECONDS);
    this.#tellAt(now + MOMENT_MILLISECONDS, now);
  }

  /** An answer with the inode's attributes goes out. */
  told(inode: number): void {
    if (this.#stale.size > 0) this.#stale.delete(inode);
    this.perhapsTold(inode);
  }

  /** An answer with the inode's attributes goes out that the kernel may throw away. */
  perhapsTold(inode: number): void {
    if (this.#outdated.size > 0) this.#outdated.delete(inode);
  }

  /** The kernel gave the inode up. */
  gone(inode: number): void {
    this.told(inode);
  }

  /** Before the answer to a request on an open file of the inode. */
  settle(inode: number): void {
    if (!this.#stale.delete(inode) && this.#outdated.get(inode) !== false) return;
    this.#notices.forgetBlocksNow(inode);
    this.#remember(inode, true);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#stale.clear();
  }

  #tellAt(due: number, now: number): void {
    if (this.#timer !== undefined) {
      if (this.#timerAt <= due) return;
      clearTimeout(this.#timer);
    }
    this.#timerAt = due;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#tell();
    }, due - now);
    this.#timer.unref();
  }

  #tell(): void {
    const now = Date.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [inode, due] of this.#stale) {
      if (due <= now && this.#notices.forgetBlocks(inode)) {
        this.#stale.delete(inode);
        this.#remember(inode, false);
      } else next = Math.min(next, Math.max(due, now + MOMENT_MILLISECONDS));
    }
    // One waking for all: the thread that writes them takes a processor from somebody.
    this.#notices.deliver();
    if (next < Number.POSITIVE_INFINITY) this.#tellAt(next, now);
  }

  #remember(inode: number, read: boolean): void {
    if (this.#outdated.size >= MOST_FILES) this.#outdated.clear();
    this.#outdated.set(inode, read);
  }
}
