/**
 * Keeps the kernel's idea of st_blocks true.
 *
 * The kernel has the count that the last answer gave, and asks again by itself after a close only. A WRITE that changes the count while the
 * file is open, or is recorded after it was closed, would leave it wrong for good, and `tar -S` takes a file
 * with bytes and without blocks for a hole. So whatever changes it makes it `stale`, until some answer tells the new one. What is still stale
 * a moment later is taken from the kernel by a notice. The moment is there because most files are told by an answer that comes
 * anyway: cp sets times after it has written, and the answer to that has the count.
 *
 * Who asked for the file to be synced need not wait even for the moment (`settle`). A file that is written on and on is taken from the
 * kernel less and less often, down to once in 50 ms: each time its writer has to ask before his next write(2), and waits behind his own data.
 */
import type { Notices } from './notices.ts';

/** Long against the time between two requests of one caller, short against a look at the clock. */
const MOMENT_MILLISECONDS = 5;
/** By how much the next notice of the same file waits longer, … */
const LONGER = 4;
/** … at most so long; a file without a notice for twice as long begins anew. */
const LONGEST_MILLISECONDS = 50;
/** Files about which more is not remembered than is right to forget: they get a notice too many, or too soon. */
const MOST_FILES = 4096;

interface Notice {
  at: number;
  /** How long the next one waits. */
  waitMilliseconds: number;
  /** The kernel has not asked since. */
  open: boolean;
}

export class BlockCounts {
  readonly #notices: Notices;
  /** Files of which the kernel may have a count that is not so any more, and when it will be told. */
  readonly #stale = new Map<number, number>();
  readonly #sent = new Map<number, Notice>();
  #timer: NodeJS.Timeout | undefined;
  #timerAt = 0;

  constructor(notices: Notices) {
    this.#notices = notices;
  }

  changed(inode: number): void {
    const notice = this.#sent.get(inode);
    if (notice?.open || this.#stale.has(inode)) return;
    const now = Date.now();
    const wait = notice === undefined ? 0 : notice.at + notice.waitMilliseconds - now;
    const due = now + Math.max(wait, MOMENT_MILLISECONDS);
    this.#stale.set(inode, due);
    this.#tellAt(due, now);
  }

  /** An answer with the inode's attributes goes out. */
  told(inode: number): void {
    if (this.#stale.size > 0) this.#stale.delete(inode);
    this.perhapsTold(inode);
  }

  /** An answer with the inode's attributes goes out that the kernel may throw away. */
  perhapsTold(inode: number): void {
    if (this.#sent.size === 0) return;
    const notice = this.#sent.get(inode);
    if (notice !== undefined) notice.open = false;
  }

  /** The kernel gave the inode up. */
  gone(inode: number): void {
    this.#stale.delete(inode);
    this.#sent.delete(inode);
  }

  /** Before the answer to a request on an open file of the inode. A notice that was sent may not have arrived yet. */
  settle(inode: number): void {
    if (!this.#stale.delete(inode) && !this.#sent.get(inode)?.open) return;
    this.#notices.forgetAttributesNow(inode);
    this.#remember(inode, Date.now());
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
      if (due <= now && this.#notices.forgetAttributes(inode)) {
        this.#stale.delete(inode);
        this.#remember(inode, now);
      } else next = Math.min(next, Math.max(due, now + MOMENT_MILLISECONDS));
    }
    if (next < Number.POSITIVE_INFINITY) this.#tellAt(next, now);
  }

  #remember(inode: number, now: number): void {
    const before = this.#sent.get(inode);
    const goesOn = before !== undefined && now - before.at < 2 * LONGEST_MILLISECONDS;
    const wait = goesOn ? before.waitMilliseconds * LONGER : MOMENT_MILLISECONDS * LONGER;
    if (this.#sent.size >= MOST_FILES) this.#sent.clear();
    this.#sent.set(inode, { at: now, waitMilliseconds: Math.min(wait, LONGEST_MILLISECONDS), open: true });
  }
}
