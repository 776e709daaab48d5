/**
 * How many files have how many extents: what a cumulative distribution is drawn from.
 *
 * Counts up to 16 are told apart; above, a count stands for all up to it, in eighths of a power of
 * two. So there are some hundred rows at most, whatever the files are.
 */

/** Files with so many extents, or more than the row before has; in the order of extents. */
export type ExtentCount = readonly [extents: number, files: number];

const TOLD_APART = 16;
const STEPS_PER_POWER = 8;

/** The largest count of the class that a count is in. */
function upperOf(extents: number): number {
  if (extents <= TOLD_APART) return extents;
  return Math.floor(2 ** (Math.ceil(Math.log2(extents) * STEPS_PER_POWER) / STEPS_PER_POWER));
}

export class ExtentCounter {
  readonly #files = new Map<number, number>();

  /** @param extents of a file; those without any do not count */
  add(extents: number): void {
    if (extents === 0) return;
    const upper = Math.max(extents, upperOf(extents));
    this.#files.set(upper, (this.#files.get(upper) ?? 0) + 1);
  }

  counts(): ExtentCount[] {
    return [...this.#files].sort(([one], [other]) => one - other);
  }
}

/** Several distributions as one. */
export function summedCounts(all: readonly (readonly ExtentCount[])[]): ExtentCount[] {
  const sums = new Map<number, number>();
  for (const [extents, files] of all.flat()) sums.set(extents, (sums.get(extents) ?? 0) + files);
  return [...sums].sort(([one], [other]) => one - other);
}
