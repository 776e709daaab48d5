/** Numbers as ranges. */
import { expect, test } from 'vitest';
import { rangeTexts } from '../../src/check/number-ranges.ts';

test.each([
  [[], []],
  [[7], ['7']],
  [
    [3, 4, 5, 9],
    ['3-5', '9'],
  ],
  [
    [0, 2, 4],
    ['0', '2', '4'],
  ],
  [
    [0, 1, 10, 11],
    ['0-1', '10-11'],
  ],
  [
    [5, 5, 6],
    ['5', '5-6'],
  ],
])('%j', (numbers, texts) => expect(rangeTexts(numbers)).toEqual(texts));
