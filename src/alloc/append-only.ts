/**
 * Append-only: always forward, as a log is written; at the end of the space from its start again.
 *
 * Each answer is the first free run behind the last one, however short, and never an earlier place:
 * what is written one after the other lies one after the other, whichever file it belongs to. On
 * an empty volume that is the fastest way to write, on disks and flash alike. A log that comes round
 * has to go on between what is still alive: this is *threading* it through the holes, as
 * Rosenblum and Ousterhout call it ("The Design and Implementation of a Log-Structured File
 * System", 1992); there is nobody who cleans segments. So an old volume gives each file as many
 * pieces as there are holes on the way. next-fit goes the same way, but passes over holes that are
 * too short.
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
    // The second time from 0: the run at the head may begin before it, and be long enough as a whole.
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
