/** How files lie in pieces, and which of them go where. */
import { describe, expect, test } from 'vitest';
import type { Segment } from '../../src/fs/data/data-map.ts';
import { areSame, countPieces, firstPieces, joined, movesTo } from '../../src/fs/data/file-pieces.ts';

function segment(fileBlock: number, block: number, length: number, unwritten = false): Segment {
  return { fileBlock, block, length, fresh: false, unwritten };
}

test('pieces are counted over holes, and from what comes before', () => {
  const runs = [
    { start: 10, length: 5 },
    { start: 15, length: 1 },
    { start: 40, length: 2 },
    { start: 10, length: 1 },
  ];
  expect(countPieces(runs, -1)).toBe(3);
  expect(countPieces(runs, 10)).toBe(2);
  expect(countPieces(runs, 11)).toBe(3);
  expect(countPieces([], 3)).toBe(0);
});

describe('the first pieces that go together', () => {
  const segments = [segment(0, 100, 4), segment(8, 104, 2), segment(10, 50, 3), segment(13, 20, 3)];

  test.each([
    { most: 100, isAll: true, expected: { skipped: 0, taken: 4 } },
    { most: 12, isAll: true, expected: { skipped: 0, taken: 4 } },
    { most: 11, isAll: true, expected: { skipped: 0, taken: 3 } },
    { most: 9, isAll: true, expected: { skipped: 0, taken: 3 } },
    { most: 8, isAll: true, expected: { skipped: 0, taken: 2 } },
    { most: 6, isAll: true, expected: { skipped: 0, taken: 2 } },
    { most: 5, isAll: true, expected: { skipped: 2, taken: 0 } },
    // The last piece may go on behind what is known.
    { most: 100, isAll: false, expected: { skipped: 0, taken: 3 } },
  ])('at most $most blocks, all of the file: $isAll', ({ most, isAll, expected }) => {
    expect(firstPieces(segments, -1, most, isAll)).toEqual(expected);
    expect(firstPieces(segments, 100, most, isAll)).toEqual(expected);
  });

  test('of a file without blocks, and of one whose piece does not end', () => {
    expect(firstPieces([], -1, 10, true)).toEqual({ skipped: 0, taken: 0 });
    const whole = [segment(0, 5, 3), segment(7, 8, 3)];
    expect(firstPieces(whole, -1, 100, false)).toEqual({ skipped: 2, taken: 0 });
  });
});

test('a map in other parts is the same map', () => {
  const parts = [segment(0, 10, 4), segment(4, 14, 4), segment(8, 18, 2, true), segment(12, 22, 1, true)];
  const whole = [segment(0, 10, 8), segment(8, 18, 2, true), segment(12, 22, 1, true)];
  expect(joined(parts, 0, 100)).toEqual(whole);
  expect(areSame(joined(parts, 0, 100), whole)).toBe(true);
  expect(joined(parts, 3, 9)).toEqual([segment(3, 13, 5), segment(8, 18, 1, true)]);
  expect(joined([segment(0, 0, 9), segment(9, 5, 1)], 0, 100)).toEqual([segment(9, 5, 1)]);
  for (const other of [
    [segment(0, 10, 7), segment(8, 18, 2, true), segment(12, 22, 1, true)],
    [segment(0, 10, 8), segment(8, 18, 2), segment(12, 22, 1, true)],
    [segment(0, 11, 8), segment(8, 18, 2, true), segment(12, 22, 1, true)],
    [segment(0, 10, 8), segment(8, 18, 2, true), segment(13, 22, 1, true)],
    [segment(0, 10, 8), segment(8, 18, 2, true)],
  ])
    expect(areSame(joined(other, 0, 100), whole)).toBe(false);
});

describe('blocks go to runs in their order', () => {
  const segments = [segment(0, 100, 4), segment(10, 50, 3, true)];
  const runs = [
    { start: 200, length: 2 },
    { start: 300, length: 9 },
  ];
  const move = (fileBlock: number, from: number, to: number, length: number, unwritten = false) => ({
    fileBlock,
    from,
    to,
    length,
    unwritten,
  });

  test('each part lies together on both sides', () => {
    expect(movesTo(segments, runs, 0)).toEqual([
      move(0, 100, 200, 2),
      move(2, 102, 300, 2),
      move(10, 50, 302, 3, true),
    ]);
  });

  test('behind those that are used', () => {
    expect(movesTo(segments, runs, 2)).toEqual([move(0, 100, 300, 4), move(10, 50, 304, 3, true)]);
    expect(movesTo(segments, runs, 4)).toEqual([move(0, 100, 302, 4), move(10, 50, 306, 3, true)]);
    expect(() => movesTo(segments, runs, 5)).toThrow('as many blocks to move to');
  });
});
