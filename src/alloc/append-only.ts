/**
 * Append-only: always forward, as a log is written; at the end of the space from its start again.
 *
 * Each answer is the first free run behind the last one, however short, and never an earlier place:
 * what is written one after the other lies one after the other, whichever file it belongs to. On an
 * empty volume that is the fastest way to write, on disks and flash alike. A log that comes round
 * has to go on between what is still alive: Rosenblum and Ousterhout call it threading ("The Design
 * and Implementation of a Log-Structured File System", ACM TOCS 1992). They clean segments instead;
 * here nobody does. So on an old volume a file has as many pieces as there are holes on its way.
 * next-fit goes the same way, but passes over holes that are too short.
 *
 * Kind, goal and inode are ignored.
 */
import {
  type AllocationRequest,
  type Allocator,
  defineAllocator,
  type FreeSpace,
  type Run,
} from './allocator.ts';

class AppendOnly implements Allocator {
  readonly #space: FreeSpace;
  /** The block after the last one written. */
  #head = 0;
  #rounds = 0;

  constructor(space: FreeSpace) {
    this.#space = space;
  }

  allocate({ length, minimum }: AllocationRequest): Run | undefined {
    const space = this.#space;
    const end = space.blockCount;
    // The second time all of it: a run that is long enough may begin before the head.
    return space.findRun(this.#head, end, minimum, length) ?? space.findRun(0, end, minimum, length);
  }

  taken(run: Run): void {
    if (run.start < this.#head) this.#rounds++;
    this.#head = run.start + run.length;
  }

  stats(): Record<string, number> {
    return { head: this.#head, rounds: this.#rounds };
  }
}

export default defineAllocator({
  name: 'append-only',
  options: {},
  create: (space) => new AppendOnly(space),
});
