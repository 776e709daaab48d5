/**
 * Random: the first hole from a random place that is large enough. The control of an experiment.
 *
 * Whatever a policy is good for must show against one that knows nothing. It is not the worst
 * there can be: a file that starts anywhere still lies in one piece as long as holes are long, and
 * wear is even. Option `seed`, a whole number (1 if not given): the same requests on the same
 * volume get the same places.
 *
 * Kind, goal and inode are ignored.
 */
import {
  type AllocationRequest,
  type Allocator,
  type AllocatorOptions,
  defineAllocator,
  type FreeSpace,
  type Run,
} from './allocator.ts';
import { patienceFor, shorter } from './run-lengths.ts';

class RandomPlace implements Allocator {
  readonly #space: FreeSpace;
  readonly #seed: number;
  /** Moves on when an answer was used: asked again, the policy says the same. */
  #draws = 0;

  constructor(space: FreeSpace, seed: number) {
    this.#space = space;
    this.#seed = seed;
  }

  allocate({ length, minimum }: AllocationRequest): Run | undefined {
    const space = this.#space;
    const place = Math.floor(fraction(this.#seed, this.#draws) * space.blockCount);
    for (let least = length; least > 0; least = shorter(least, minimum)) {
      const patience = patienceFor(least, minimum);
      const run =
        space.findRun(place, space.blockCount, least, length, patience) ??
        space.findRun(0, space.blockCount, least, length, patience);
      if (run !== undefined) return run;
    }
    return undefined;
  }

  taken(): void {
    this.#draws++;
  }

  stats(): Record<string, number> {
    return { seed: this.#seed, draws: this.#draws };
  }
}

/** The `index`th number of the seed, from 0 up to 1: SplitMix in 32 bits. */
function fraction(seed: number, index: number): number {
  let mixed = (seed + Math.imul(index + 1, 0x9e3779b9)) >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
}

function seedOf({ seed = '1' }: AllocatorOptions): number {
  const value = Number(seed);
  if (Number.isSafeInteger(value)) return value;
  throw new RangeError(`allocator option seed=${seed} is not a whole number`);
}

export default defineAllocator({
  name: 'random',
  options: { seed: 'what decides which places are taken' },
  create: (space, options) => new RandomPlace(space, seedOf(options)),
});
