/**
 * The end of a file as its appenders know it: where the next append begins while others are under
 * way.
 *
 * All files that one owner has open on one inode share one tail, so their appends never overlap
 * either.
 */
import { fstatSync } from 'node:fs';

export class InodeTail {
  #unfinishedWrites = 0;
  /** Highest end of the unfinished writes, and of those that ended while others went on. */
  #end = 0;

  /** A write up to `end` begins. */
  begin(end: number): void {
    this.#unfinishedWrites++;
    if (end > this.#end) this.#end = end;
  }

  /** A write has ended. */
  finish(): void {
    if (--this.#unfinishedWrites === 0) this.#end = 0;
  }

  /** Where an append that is made now begins: after the file and after every write under way. */
  next(descriptor: number): number {
    return Math.max(fstatSync(descriptor).size, this.#end);
  }
}

interface SharedTail {
  readonly tail: InodeTail;
  users: number;
}

/** The tails of the inodes that are open, each named by its key: device and number. */
export class InodeTails {
  readonly #tails = new Map<string, SharedTail>();

  /** The tail of an inode; give it back with `release`. */
  share(key: string): InodeTail {
    const shared = this.#tails.get(key) ?? { tail: new InodeTail(), users: 0 };
    shared.users++;
    this.#tails.set(key, shared);
    return shared.tail;
  }

  release(key: string): void {
    const shared = this.#tails.get(key);
    if (shared && --shared.users === 0) this.#tails.delete(key);
  }
}
