/**
 * Best-fit: the smallest hole that is large enough; of equal ones the lowest.
 *
 * The idea is to keep large holes for those who need them. It wastes the least at each step, and
 * leaves behind, step by step, many holes so small that nobody can use them. Where sizes repeat,
 * holes are filled exactly, and it does well. If no hole has the full length, the longest one
 * gives the fewest pieces. XFS does so for what has no place of its own to be near to
 * (xfs_alloc_ag_vextent_size); malloc implementations are compared in Wilson et al., "Dynamic
 * Storage Allocation: A Survey and Critical Review", 1995.
 *
 * Kind, goal and inode are ignored: files lie where holes are, not near each other.
 */
import {
  type AllocationRequest,
  type Allocator,
  defineAllocator,
  type FreeSpace,
  type Run,
} from './allocator.ts';
import { PATIENCE_GROUPS } from './run-lengths.ts';

class BestFit implements Allocator {
  readonly #space: FreeSpace;
  #exact = 0;
  #others = 0;

  constructor(space: FreeSpace) {
    this.#space = space;
  }

  allocate({ length, minimum }: AllocationRequest): Run | undefined {
    const space = this.#space;
    const hole = space.smallestRun(length, 0, PATIENCE_GROUPS) ?? space.longestRun(0, PATIENCE_GROUPS);
    if (hole !== undefined && hole.length >= minimum) {
      return { start: hole.start, length: Math.min(hole.length, length) };
    }
    return space.findRun(0, space.blockCount, minimum, length);
  }

  taken(run: Run, { length }: AllocationRequest): void {
    if (run.length === length) this.#exact++;
    else this.#others++;
  }

  stats(): Record<string, number> {
    return { wholeRequests: this.#exact, cutRequests: this.#others };
  }
}

export default defineAllocator({ name: 'best-fit', options: {}, create: (space) => new BestFit(space) });
