/**
 * The last group before another that has free blocks, from a question that only looks forward.
 *
 * Twice as many groups each time are looked over backwards, until there is one among them; then the
 * range is halved until the last one is found. So it costs the square of the logarithm of the
 * distance.
 */
import type { FreeSpace } from './allocator.ts';

/** The last group below `group` with a free block, or −1. May miss. */
export function previousGroup(space: Pick<FreeSpace, 'nextGroup'>, group: number): number {
  let high = group;
  for (let step = 1; high > 0; step *= 2) {
    const from = Math.max(0, high - step);
    const found = space.nextGroup(from, 1);
    if (found >= 0 && found < high) return lastIn(space, found, high);
    high = from;
  }
  return -1;
}

/** The last one in [low, high); `low` is one. */
function lastIn(space: Pick<FreeSpace, 'nextGroup'>, low: number, high: number): number {
  let known = low;
  let end = high;
  while (end - known > 1) {
    const middle = Math.floor((known + end) / 2);
    const found = space.nextGroup(middle, 1);
    if (found >= 0 && found < end) known = found;
    else end = middle;
  }
  return known;
}
