/** Figures of fragmentation against layouts whose figures are known. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InodeSet } from '../../src/common/inode-set.ts';
import { FreeSpaceTally } from '../../src/inspect/free-figures.ts';
import { visitClearBits } from '../../src/inspect/free-runs.ts';
import { PieceCounter } from '../../src/inspect/inode-extents.ts';
import { LayoutTally, scoreOf } from '../../src/inspect/layout-figures.ts';
import { bandOf, TimeBands } from '../../src/inspect/time-bands.ts';

const BLOCK_BYTES = 4096;

function piecesOf(...extents: [block: number, length: number][]): [blocks: number, pieces: number] {
  const counter = new PieceCounter();
  for (const [block, length] of extents) counter.add({ block, length });
  return [counter.blocks, counter.pieces];
}

describe('pieces', () => {
  test('extents that go on where the one before ended are one', () => {
    expect(piecesOf()).toEqual([0, 0]);
    expect(piecesOf([0, 1])).toEqual([1, 1]);
    expect(piecesOf([100, 10], [110, 5])).toEqual([15, 1]);
    expect(piecesOf([100, 10], [111, 5], [90, 10], [100, 1])).toEqual([26, 3]);
  });
});

describe('the layout score', () => {
  test('of one file', () => {
    expect(scoreOf({ blocks: 1, pieces: 1 })).toBeNull();
    expect(scoreOf({ blocks: 10, pieces: 1 })).toBe(1);
    expect(scoreOf({ blocks: 11, pieces: 11 })).toBe(0);
    expect(scoreOf({ blocks: 11, pieces: 6 })).toBe(0.5);
  });

  test('of none', () => {
    const tally = new LayoutTally(BLOCK_BYTES, 10);
    expect(tally.figures()).toEqual({
      files: 0,
      blocks: 0,
      extents: 0,
      extentsPerFile: null,
      inOnePiece: null,
      layoutScore: { byBytes: null, byFile: null },
    });
    expect(tally.sizeClasses()).toEqual([]);
    expect(tally.worst()).toEqual([]);
  });

  test('of several: by bytes each block counts, by file each file', () => {
    const tally = new LayoutTally(BLOCK_BYTES, 10);
    tally.add({ inode: 2, blocks: 1, pieces: 1 });
    tally.add({ inode: 3, blocks: 11, pieces: 6 });
    tally.add({ inode: 4, blocks: 91, pieces: 1 });
    const { layoutScore, inOnePiece, extents, blocks } = tally.figures();
    expect([blocks, extents, inOnePiece]).toEqual([103, 8, 2 / 3]);
    expect(layoutScore.byBytes).toBeCloseTo(95 / 100, 12);
    expect(layoutScore.byFile).toBeCloseTo(0.75, 12);
    expect(
      tally.sizeClasses().map((found) => [found.upToBytes, found.files, found.layoutScore.byBytes]),
    ).toEqual([
      [16384, 1, null],
      [65536, 1, 0.5],
      [2 ** 20, 1, 1],
    ]);
  });

  test('a size on a bound is in the class below it, and there is no largest', () => {
    const tally = new LayoutTally(BLOCK_BYTES, 0);
    tally.add({ inode: 2, blocks: 4, pieces: 1 });
    tally.add({ inode: 3, blocks: 5, pieces: 1 });
    tally.add({ inode: 4, blocks: 2 ** 30, pieces: 1 });
    expect(tally.sizeClasses().map(({ aboveBytes, upToBytes }) => [aboveBytes, upToBytes])).toEqual([
      [0, 16384],
      [16384, 65536],
      [2 ** 30, null],
    ]);
  });
});

describe('extents per file', () => {
  test('percentiles are values that occur', () => {
    const tally = new LayoutTally(BLOCK_BYTES, 0);
    for (let pieces = 1; pieces <= 100; pieces++) tally.add({ inode: pieces, blocks: 200, pieces });
    expect(tally.figures().extentsPerFile).toEqual({ mean: 50.5, p50: 50, p95: 95, p99: 99, max: 100 });
  });

  test('of one file', () => {
    const tally = new LayoutTally(BLOCK_BYTES, 0);
    tally.add({ inode: 9, blocks: 9, pieces: 7 });
    expect(tally.figures().extentsPerFile).toEqual({ mean: 7, p50: 7, p95: 7, p99: 7, max: 7 });
  });

  test('agree with a sorted list', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (counts) => {
        const tally = new LayoutTally(BLOCK_BYTES, 5);
        for (const [i, pieces] of counts.entries()) tally.add({ inode: i + 1, blocks: 64, pieces });
        const sorted = [...counts].sort((a, b) => a - b);
        const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1];
        expect(tally.figures().extentsPerFile).toMatchObject({
          p50: at(0.5),
          p95: at(0.95),
          p99: at(0.99),
          max: sorted.at(-1),
        });
        const worst = counts
          .map((pieces, i) => ({ inode: i + 1, pieces }))
          .filter(({ pieces }) => pieces > 1)
          .sort((a, b) => b.pieces - a.pieces || a.inode - b.inode)
          .slice(0, 5);
        expect(tally.worst().map(({ inode, pieces }) => ({ inode, pieces }))).toEqual(worst);
      }),
    );
  });
});

describe('free space', () => {
  test('none', () => {
    expect(new FreeSpaceTally(BLOCK_BYTES).figures()).toEqual({
      freeBlocks: 0,
      runs: 0,
      largestRunBlocks: 0,
      meanRunBlocks: null,
      histogram: [],
      aligned: [
        { chunkBytes: 65536, chunks: 0, share: null },
        { chunkBytes: 2 ** 21, chunks: 0, share: null },
      ],
    });
  });

  test('a histogram by powers of two', () => {
    const tally = new FreeSpaceTally(BLOCK_BYTES);
    tally.add(10, 2);
    tally.add(20, 3);
    tally.add(100, 8);
    tally.add(200, 15);
    const { histogram, freeBlocks, runs, largestRunBlocks, meanRunBlocks } = tally.figures();
    expect([freeBlocks, runs, largestRunBlocks, meanRunBlocks]).toEqual([28, 4, 15, 7]);
    expect(histogram).toEqual([
      { fromBytes: 8192, belowBytes: 16384, runs: 2, blocks: 5, share: 5 / 28 },
      { fromBytes: 16384, belowBytes: 32768, runs: 0, blocks: 0, share: 0 },
      { fromBytes: 32768, belowBytes: 65536, runs: 2, blocks: 23, share: 23 / 28 },
    ]);
  });

  test('aligned chunks: only those that are free as a whole', () => {
    const tally = new FreeSpaceTally(BLOCK_BYTES);
    // 64 KiB are 16 blocks: of 1 to 47 the chunks 16 to 31 and 32 to 47 are whole.
    tally.add(1, 47);
    tally.add(100, 3);
    const [small, large] = tally.figures().aligned;
    expect(small).toEqual({ chunkBytes: 65536, chunks: 2, share: 32 / 50 });
    expect(large).toEqual({ chunkBytes: 2 ** 21, chunks: 0, share: 0 });
    const whole = new FreeSpaceTally(BLOCK_BYTES);
    whole.add(512, 1024);
    expect(whole.figures().aligned[1]).toEqual({ chunkBytes: 2 ** 21, chunks: 2, share: 1 });
  });

  test('runs of clear bits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0, 0xff, 0x0f, 0x81, 0x10), { minLength: 1, maxLength: 12 }),
        fc.nat(96),
        (bytes, wanted) => {
          const length = Math.min(wanted, 8 * bytes.length);
          const clear: number[] = [];
          visitClearBits(Uint8Array.from(bytes), length, (bit, count) => {
            expect(clear.at(-1)).not.toBe(bit - 1);
            for (let i = 0; i < count; i++) clear.push(bit + i);
          });
          const expected = Array.from({ length }, (_, bit) => bit).filter(
            (bit) => ((bytes[bit >>> 3] ?? 0) & (1 << (bit & 7))) === 0,
          );
          expect(clear).toEqual(expected);
        },
      ),
    );
  });
});

test('a set of inodes', () => {
  const numbers = [0, 1, 7, 8, 32767, 32768, 5_000_000, 2 ** 47];
  const set = new InodeSet();
  for (const number of numbers) expect(set.add(number)).toBe(true);
  for (const number of numbers) expect([set.has(number), set.add(number)]).toEqual([true, false]);
  expect([set.size, set.has(2), set.has(32769), set.has(2 ** 47 - 1)]).toEqual([8, false, false, false]);
});

describe('bands of times', () => {
  test('have equally many blocks, the youngest first', () => {
    const bands = new TimeBands();
    for (let time = 1; time <= 12; time++) bands.add(1000 + time, 10);
    const bounds = bands.bounds(3);
    expect(bounds).toEqual([1009, 1005, 1001]);
    expect([2000, 1009, 1008, 1005, 1004, 1].map((time) => bandOf(time, bounds))).toEqual([0, 0, 1, 1, 2, 2]);
  });

  test('are fewer where times do not differ', () => {
    const bands = new TimeBands();
    bands.add(5, 100);
    bands.add(7, 1);
    expect(bands.bounds(6)).toEqual([5]);
    expect(new TimeBands().bounds(6)).toEqual([]);
    expect(bandOf(5, [])).toBe(0);
  });

  test('of very many times are coarser', () => {
    const bands = new TimeBands();
    for (let time = 0; time < 200_000; time++) bands.add(time, 1);
    const [first = 0, second = 0] = bands.bounds(2);
    expect(Math.abs(first - 100_000)).toBeLessThan(100);
    expect(second).toBe(0);
  });
});
