/**
 * What a discarded range reads as: anything, so that whoever still relies on it is found out.
 *
 * A discard is simulated as a write of such bytes. That is all that its contract allows: until a
 * flush covers it, power loss may leave it done, not done, or done for some of the sectors.
 */
import { SeededRandom } from './seeded-random.ts';

/** @param turn another one for each discard of a device: it never leaves the same twice */
export function remnantOf({ deviceOffset, lengthBytes }: DiscardedRange, turn = 1): Uint8Array<ArrayBuffer> {
  const random = new SeededRandom(deviceOffset / 512 + turn * 7919 + 1);
  const words = new Uint32Array(lengthBytes / 4);
  for (let at = 0; at < words.length; at++) words[at] = random.uint32();
  return new Uint8Array(words.buffer);
}

interface DiscardedRange {
  readonly deviceOffset: number;
  readonly lengthBytes: number;
}
