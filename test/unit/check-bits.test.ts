/**
 * The two things that bitset gets wrong at the borders of its words, done right for the checker.
 */
import { BitSet } from 'bitset';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lowestClear, setBits } from '../../src/check/claimed-blocks.ts';

const WORD_BITS = 32;
const MOST_WORDS = 8;

/** Often right at a border. */
const place = fc.oneof(
  fc.nat(MOST_WORDS * WORD_BITS - 1),
  fc
    .tuple(fc.integer({ min: 1, max: MOST_WORDS }), fc.constantFrom(-1, 0, 1))
    .map(([word, beside]) => Math.min(MOST_WORDS * WORD_BITS - 1, word * WORD_BITS + beside)),
);

test('ranges of bits, and the lowest that is clear', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(place, place), { maxLength: 4 }), (ranges) => {
      const set = new BitSet();
      const model = new Set<number>();
      for (const [one, other] of ranges) {
        const from = Math.min(one, other);
        const to = Math.max(one, other);
        setBits(set, from, to);
        for (let bit = from; bit <= to; bit++) model.add(bit);
      }
      let lowest = 0;
      while (model.has(lowest)) lowest++;
      expect(set.toArray()).toEqual([...model].sort((a, b) => a - b));
      expect(lowestClear(set)).toBe(lowest);
    }),
    { numRuns: 2000 },
  );
});

test('whole words and nothing else', () => {
  for (let words = 0; words <= 70; words++) {
    const set = new BitSet();
    if (words > 0) setBits(set, 0, words * WORD_BITS - 1);
    expect(lowestClear(set)).toBe(words * WORD_BITS);
  }
});
