/**
 * Files that lost one of several names, where the kernel may not have counted that yet.
 *
 * The kernel takes a link off its own count when it reads the answer to UNLINK, or to a RENAME over
 * the name. Whoever asks for the attributes in between is told of the new count, and the kernel
 * then takes one off that. So until it must have read the answer, what is told of the file is not
 * to be kept. The thread that took the name away has read it when it asks again.
 */

/** By then the thread has read its answer, however busy the machine is. */
const MOST_MILLISECONDS = 10_000;
/** Files that are remembered; those before have been read. */
const MOST_FILES = 65_536;

interface LostName {
  readonly thread: number;
  readonly atMilliseconds: number;
}

export class UnlinkedFiles {
  readonly #now: () => number;
  /** In the order in which they lost their names. */
  readonly #files = new Map<number, LostName>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The thread (0: unknown) takes a name of the file away, which has others left. */
  lostName(inode: number, thread: number): void {
    const atMilliseconds = this.#now();
    this.#files.delete(inode);
    this.#files.set(inode, { thread, atMilliseconds });
    for (const [first, { atMilliseconds: then }] of this.#files) {
      if (this.#files.size <= MOST_FILES && atMilliseconds - then < MOST_MILLISECONDS) break;
      this.#files.delete(first);
    }
  }

  /** May the kernel keep what the thread is being told of the file? */
  mayKeep(inode: number, thread: number): boolean {
    if (this.#files.size === 0) return true;
    const lost = this.#files.get(inode);
    if (lost === undefined) return true;
    const isRead = thread !== 0 && lost.thread === thread;
    if (!isRead && this.#now() - lost.atMilliseconds < MOST_MILLISECONDS) return false;
    this.#files.delete(inode);
    return true;
  }

  /** The kernel gave the inode up. */
  gone(inode: number): void {
    if (this.#files.size > 0) this.#files.delete(inode);
  }
}
