/**
 * Means over seeds, how sure they are, and whether two policies can be told apart.
 *
 * Intervals are bootstrap intervals of 95 % (Efron, 1979): from the values at hand as many are
 * drawn again and again, and the middle 95 of a hundred means count. Two policies that ran the same
 * seeds are compared seed by seed: if the interval of the mean difference leaves out 0, they
 * differ.
 */
import { SeededRandom } from '../sim/seeded-random.ts';

const RESAMPLES = 2000;
const OUTSIDE = 0.025;
/** With fewer values than this no interval says anything. */
const FEWEST_VALUES = 3;

export interface Estimate {
  readonly mean: number;
  /** 95 % interval; both are the mean where there are too few values. */
  readonly low: number;
  readonly high: number;
  readonly count: number;
}

export type Comparison = 'better' | 'worse' | 'cannot be told';

function meanOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The same values give the same interval. */
export function estimate(values: readonly number[]): Estimate {
  const mean = meanOf(values);
  const count = values.length;
  if (count < FEWEST_VALUES) return { mean, low: mean, high: mean, count };
  const random = new SeededRandom(count);
  const means: number[] = [];
  for (let round = 0; round < RESAMPLES; round++) {
    let sum = 0;
    for (let drawn = 0; drawn < count; drawn++) sum += random.pick(values);
    means.push(sum / count);
  }
  means.sort((one, other) => one - other);
  const at = (share: number) => means[Math.min(RESAMPLES - 1, Math.floor(share * RESAMPLES))] ?? mean;
  return { mean, low: at(OUTSIDE), high: at(1 - OUTSIDE), count };
}

/**
 * What `one` is beside `other`.
 * @param one values, seed by seed
 * @param other values of the same seeds in the same order
 * @param prefers which of two values is the better
 */
export function compare(
  one: readonly number[],
  other: readonly number[],
  prefers: 'more' | 'less',
): Comparison {
  const differences = one.slice(0, other.length).map((value, index) => value - (other[index] ?? value));
  if (differences.length < FEWEST_VALUES) return 'cannot be told';
  const { low, high } = estimate(differences);
  if (low <= 0 && high >= 0) return 'cannot be told';
  return low > 0 === (prefers === 'more') ? 'better' : 'worse';
}
