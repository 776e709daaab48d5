/**
 * The policy while a volume becomes smaller: the lowest free blocks, and none from `limit` on. It
 * is asked directly, and nothing decides in its place where it finds nothing.
 */
import type { AllocationRequest, Allocator, FreeSpace, Run } from './allocator.ts';

export class BelowLimit implements Allocator {
  readonly #space: FreeSpace;
  /** Exclusive, counted from the start of the space. */
  readonly #limit: number;

  constructor(space: FreeSpace, limit: number) {
    this.#space = space;
    this.#limit = limit;
  }

  allocate({ minimum, length }: AllocationRequest): Run | undefined {
    const found = this.#space.findRun(0, this.#limit, minimum, length);
    if (found === undefined) return undefined;
    const below = Math.min(found.length, this.#limit - found.start);
    return below < minimum ? undefined : { start: found.start, length: below };
  }
}
