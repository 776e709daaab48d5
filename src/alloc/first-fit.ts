/**
 * First-fit: the first hole from the front of the space that is large enough.
 *
 * It packs the volume to the front, and leaves the largest holes at its end. If no hole has the
 * full length, the length is halved until one has; in a fragmented volume each request looks a
 * little further for a longer one. Kind, goal and inode are ignored, and there is no state: what is
 * known to be full is remembered by the free space itself.
 */
import {
  type AllocationRequest,
  type Allocator,
  defineAllocator,
  type FreeSpace,
  type Run,
} from './allocator.ts';
import { patienceFor, shorter } from './run-lengths.ts';

class FirstFit implements Allocator {
  readonly #space: FreeSpace;

  constructor(space: FreeSpace) {
    this.#space = space;
  }

  allocate(want: AllocationRequest): Run | undefined {
    const { blockCount } = this.#space;
    for (let least = want.length; least > 0; least = shorter(least, want.minimum)) {
      const run = this.#space.findRun(0, blockCount, least, want.length, patienceFor(least, want.minimum));
      if (run !== undefined) return run;
    }
    return undefined;
  }
}

export default defineAllocator({ name: 'first-fit', options: {}, create: (space) => new FirstFit(space) });
