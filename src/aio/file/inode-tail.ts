/**
 * The end of a file as its appenders know it: where the next append begins while others are under
 * way.
 *
 * All files that this thread has open on one inode share one tail, so their appends never overlap
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

const tails = new Map<string, SharedTail>();

/** The tail of the inode that `key` names (device and number); give it back with `releaseTail`. */
export function shareTail(key: string): InodeTail {
  const shared = tails.get(key) ?? { tail: new InodeTail(), users: 0 };
  shared.users++;
  tails.set(key, shared);
  return shared.tail;
}

export function releaseTail(key: string): void {
  const shared = tails.get(key);
  if (shared && --shared.users === 0) tails.delete(key);
}
