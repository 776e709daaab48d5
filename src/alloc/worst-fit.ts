/**
 * Worst-fit: always from the longest hole; of equal ones the lowest.
 *
 * The idea is the opposite of best-fit's: what is left of a large hole is still large enough to be
 * of use. It makes no slivers as long as there are large holes, but it uses these up first, so that
 * soon no long run is left anywhere, and is known to work badly (Wilson et al., "Dynamic Storage
 * Allocation: A Survey and Critical Review", 1995). As a side effect it spreads files over the
 * volume, each with room behind it.
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
import { PATIENCE_GROUPS } from './run-lengths.ts';

class WorstFit implements Allocator {
  readonly #space: FreeSpace;

  constructor(space: FreeSpace) {
    this.#space = space;
  }

  allocate({ length, minimum }: AllocationRequest): Run | undefined {
    const space = this.#space;
    const hole = space.longestRun(0, PATIENCE_GROUPS);
    if (hole !== undefined && hole.length >= minimum) {
      return { start: hole.start, length: Math.min(hole.length, length) };
    }
    return space.findRun(0, space.blockCount, minimum, length);
  }
}

export default defineAllocator({ name: 'worst-fit', options: {}, create: (space) => new WorstFit(space) });
