/**
 * Where workloads draw their numbers from: a few distributions over a seeded source of random bits.
 * Each function takes the source first, and two of the same state give the same number.
 */
import { strict as assert } from 'node:assert';
import type { SeededRandom } from '../sim/seeded-random.ts';

/** Uniform in [0, 1), of 32 bits. */
export function uniform(random: SeededRandom): number {
  return random.uint32() / 2 ** 32;
}

/** A whole number in [low, high], both possible. */
export function wholeBetween(random: SeededRandom, low: number, high: number): number {
  return low + Math.floor(uniform(random) * (high - low + 1));
}

/** Of mean 0 and deviation 1: George Box and Mervin Muller, 1958. */
export function normal(random: SeededRandom): number {
  const radius = Math.sqrt(-2 * Math.log(1 - uniform(random)));
  return radius * Math.cos(2 * Math.PI * uniform(random));
}

/** Its logarithm has mean `mu` and deviation `sigma`, so that e^mu is the median. */
export function lognormal(random: SeededRandom, mu: number, sigma: number): number {
  return Math.exp(mu + sigma * normal(random));
}

/** Of the given mean; what comes at no time of its own. */
export function exponential(random: SeededRandom, mean: number): number {
  return -mean * Math.log(1 - uniform(random));
}

/**
 * Values with weights, as a study gives them: the weight at a value is that of all between the
 * value before it and itself.
 */
export class Histogram {
  readonly #upper: number[];
  readonly #cumulative: number[];
  /** Weights divided by their sum. */
  readonly shares: readonly number[];

  /** @param rows `[value, weight]` with values that rise, and weights ≥ 0 that are not all 0. */
  constructor(rows: readonly (readonly [number, number])[]) {
    const total = rows.reduce((sum, [, weight]) => sum + weight, 0);
    assert(total > 0, 'a histogram has weight');
    this.shares = rows.map(([, weight]) => weight / total);
    this.#upper = rows.map(([value]) => value);
    let sum = 0;
    this.#cumulative = this.shares.map((share) => {
      sum += share;
      return sum;
    });
  }

  get size(): number {
    return this.shares.length;
  }

  /** The largest value of class `index`. */
  upper(index: number): number {
    const value = this.#upper[index];
    assert(value !== undefined, 'a class of the histogram');
    return value;
  }

  /** The index of a class. */
  drawClass(random: SeededRandom): number {
    const at = uniform(random);
    const found = this.#cumulative.findIndex((sum) => at < sum);
    return found < 0 ? this.size - 1 : found;
  }

  /** A whole number, as likely as any other of its class. */
  draw(random: SeededRandom): number {
    const index = this.drawClass(random);
    const low = index === 0 ? 0 : this.upper(index - 1) + 1;
    return wholeBetween(random, Math.min(low, this.upper(index)), this.upper(index));
  }
}
