/**
 * The lengths that a search tries one after the other: the length wished for, then powers of two, at last the minimum.
 *
 * Powers of two, so that different requests ask for the same lengths, and what one search learnt about the space
 * (see barren-stretches.ts) helps the next.
 */

/** The length to try after `length` failed, or 0 if that was the minimum. */
export function shorter(length: number, minimum: number): number {
  if (length <= minimum) return 0;
  const below = 2 ** Math.floor(Math.log2(length - 1));
  return Math.max(below, minimum);
}
