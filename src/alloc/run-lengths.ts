/**
 * The lengths that a search tries one after the other: the length wished for, then powers of two,
 * at last the minimum.
 *
 * Powers of two, so that different requests ask for the same lengths, and what one search learnt
 * about the space (see barren-stretches.ts) helps the next. Patience only for the minimum: a longer
 * run is a wish, and not worth reading every bitmap of a fragmented volume within one request.
 */

/**
 * Groups that one search for a longer run looks into: half a millisecond where they are in memory.
 */
export const PATIENCE_GROUPS = 8;

/** How many groups to look into for a run of `least` blocks where `minimum` would do. */
export function patienceFor(least: number, minimum: number): number {
  return least > minimum ? PATIENCE_GROUPS : Number.POSITIVE_INFINITY;
}

/** The length to try after `length` failed, or 0 if that was the minimum. */
export function shorter(length: number, minimum: number): number {
  if (length <= minimum) return 0;
  const below = 2 ** Math.floor(Math.log2(length - 1));
  return Math.max(below, minimum);
}
