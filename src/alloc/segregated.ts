/**
 * Segregated sizes: requests of different size classes in different areas of the space.
 *
 * Small pieces die between large ones and leave holes that only small ones fit into; kept apart,
 * each class finds holes of its own size. After the segregated fits of memory allocators (Wilson
 * et al., "Dynamic Storage Allocation: A Survey and Critical Review", 1995). It keeps long runs in
 * the area of the large, and it does badly where the sizes of a volume are not those it was cut
 * for: a class that has filled its area goes to the next larger one's, and round. A disk head
 * travels between the parts of one file, and a file that is written in small pieces counts as
 * small.
 *
 * The space is cut into three areas of one size: pieces below `small` blocks (16 if not given), in
 * between, and from `large` blocks on (256). In an area it is first-fit. The bitmap says nothing
 * of areas, so these may change from mount to mount. Kind, goal and inode are ignored.
 */
import {
  type AllocationRequest,
  type Allocator,
  defineAllocator,
  type FreeSpace,
  type Run,
} from './allocator.ts';
import { blocksOption } from './policy-options.ts';
import { patienceFor, shorter } from './run-lengths.ts';

class Segregated implements Allocator {
  readonly #space: FreeSpace;
  /** Each class but the last ends below so many blocks. */
  readonly #bounds: readonly number[];
  /** Requests that found their place in the area of their class, and those that did not. */
  #atHome = 0;
  #abroad = 0;

  constructor(space: FreeSpace, bounds: readonly number[]) {
    this.#space = space;
    this.#bounds = bounds;
  }

  allocate({ length, minimum }: AllocationRequest): Run | undefined {
    const home = this.#classOf(length);
    for (let least = length; least > 0; least = shorter(least, minimum)) {
      for (let step = 0; step < this.#areas; step++) {
        const from = this.#startOf((home + step) % this.#areas);
        const limit = this.#startOf(((home + step) % this.#areas) + 1);
        const run = this.#space.findRun(from, limit, least, length, patienceFor(least, minimum));
        if (run !== undefined) return run;
      }
    }
    return undefined;
  }

  taken({ start }: Run, { length }: AllocationRequest): void {
    const home = this.#classOf(length);
    if (start >= this.#startOf(home) && start < this.#startOf(home + 1)) this.#atHome++;
    else this.#abroad++;
  }

  stats(): Record<string, number> {
    return { atHome: this.#atHome, abroad: this.#abroad };
  }

  get #areas(): number {
    return this.#bounds.length + 1;
  }

  #classOf(length: number): number {
    return this.#bounds.filter((bound) => length >= bound).length;
  }

  #startOf(area: number): number {
    return Math.floor((this.#space.blockCount * area) / this.#areas);
  }
}

export default defineAllocator({
  name: 'segregated',
  options: { small: 'blocks from which on a piece is not small', large: 'blocks from which on it is large' },
  create: (space, options) =>
    new Segregated(space, [blocksOption(options, 'small', 16), blocksOption(options, 'large', 256)]),
});
