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
import { MOST_OUTDATED, type Notices } from './notices.ts';

/** Long against the time between two requests of one caller, short against a look at the clock. */
const MOMENT_MILLISECONDS = 5;
/** So long the kernel may always wait for some answer before a thread is asked to tell it. */
const BUSY_MILLISECONDS = 5;
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
  /** The kernel has to be told, and waited for an answer; until then told by no thread. */
  #owedUntil: number | undefined;

  constructor(notices: Notices) {
    this.#notices = notices;
  }

  changed(inode: number): void {
    if (this.#outdated.has(inode) || this.#stale.has(inode)) return;
    const now = performance.now();
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

  /** Every request that was received is answered. */
  idle(): void {
    if (this.#owedUntil !== undefined) this.#tell();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#owedUntil = undefined;
    this.#stale.clear();
  }

  #tellAt(due: number, now: number): void {
    if (this.#timer !== undefined) {
      if (this.#timerAt <= due) return;
      clearTimeout(this.#timer);
    }
    this.#timerAt = due;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#tell();
      },
      Math.ceil(due - now),
    );
    this.#timer.unref();
  }

  #tell(): void {
    const now = performance.now();
    const due: number[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const [inode, when] of this.#stale) {
      if (when <= now) due.push(inode);
      else next = Math.min(next, when);
    }
    if (!this.#tellAll(due, now)) next = Math.min(next, this.#owedUntil ?? now + BUSY_MILLISECONDS);
    if (next < Number.POSITIVE_INFINITY) this.#tellAt(next, now);
  }

  /** Returns false if there are some that could not be told. */
  #tellAll(inodes: readonly number[], now: number): boolean {
    for (let told = 0; told < inodes.length; told += MOST_OUTDATED) {
      const some = inodes.slice(told, told + MOST_OUTDATED);
      if (!this.#notices.forgetBlocks(some)) {
        this.#owedUntil ??= now + BUSY_MILLISECONDS;
        return this.#owedUntil <= now && this.#tellByThread(inodes.slice(told));
      }
      for (const inode of some) this.#tellDone(inode);
    }
    this.#owedUntil = undefined;
    return true;
  }

  #tellByThread(inodes: readonly number[]): boolean {
    const told = inodes.filter((inode) => this.#notices.forgetBlocksLater(inode));
    for (const inode of told) this.#tellDone(inode);
    // One waking for all: it takes a processor from somebody.
    this.#notices.deliver();
    this.#owedUntil = undefined;
    return told.length === inodes.length;
  }

  #tellDone(inode: number): void {
    this.#stale.delete(inode);
    this.#remember(inode, false);
  }

  #remember(inode: number, read: boolean): void {
    if (this.#outdated.size >= MOST_FILES) this.#outdated.clear();
    this.#outdated.set(inode, read);
  }
}
