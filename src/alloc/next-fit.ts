/**
 * Next-fit: the first hole that is large enough, searched from where the last one was taken, round
 * the space.
 *
 * It spreads the volume evenly, writes in rising order, and leaves freed blocks alone for a whole
 * round. If no hole has the full length, the length is halved until one has. Kind, goal and inode
 * are ignored.
 */
import {
  type AllocationRequest,
  type Allocator,
  defineAllocator,
  type FreeSpace,
  type Run,
} from './allocator.ts';
import { patienceFor, shorter } from './run-lengths.ts';

class NextFit implements Allocator {
  readonly #space: FreeSpace;
  /** The block after the last one taken. */
  #cursor = 0;

  constructor(space: FreeSpace) {
    this.#space = space;
  }

  allocate(want: AllocationRequest): Run | undefined {
    const space = this.#space;
    const cursor = this.#cursor < space.blockCount ? this.#cursor : 0;
    for (let least = want.length; least > 0; least = shorter(least, want.minimum)) {
      const patience = patienceFor(least, want.minimum);
      const run =
        space.findRun(cursor, space.blockCount, least, want.length, patience) ??
        space.findRun(0, cursor, least, want.length, patience);
      if (run !== undefined) return run;
    }
    return undefined;
  }

  taken(run: Run): void {
    this.#cursor = run.start + run.length;
  }

  stats(): Record<string, number> {
    return { cursor: this.#cursor };
  }
}

export default defineAllocator({ name: 'next-fit', options: {}, create: (space) => new NextFit(space) });
