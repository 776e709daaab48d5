/** What the laboratory measures, on layouts whose figures can be told by hand. */
import { describe, expect, test } from 'vitest';
import { Histogram } from '../../src/lab/distributions.ts';
import { ColdReadGatherer, DISK, NVME_SSD, SATA_SSD } from '../../src/lab/measures/cold-read.ts';
import { FreeSpaceGatherer } from '../../src/lab/measures/free-space.ts';
import { LayoutGatherer } from '../../src/lab/measures/layout.ts';
import { compare, estimate } from '../../src/lab/statistics.ts';
import { AgeCohorts } from '../../src/lab/workloads/age-cohorts.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';

/** Extents at the given places, file block after file block. */
function file(...runs: [block: number, length: number][]) {
  let fileBlock = 0;
  return runs.map(([block, length]) => {
    const extent = { fileBlock, block, length };
    fileBlock += length;
    return extent;
  });
}

describe('layout', () => {
  test('scores, extents and quantiles', () => {
    const layout = new LayoutGatherer(4096);
    layout.add(file([10, 4]));
    layout.add(file([20, 2], [22, 2]));
    layout.add(file([40, 1], [50, 1], [60, 2]));
    layout.add(file([100, 1]));
    layout.add([]);
    // 3 + 3 + 3 blocks have a predecessor; of the third file only one lies behind it.
    expect(layout.figures()).toMatchObject({
      files: 4,
      blocks: 13,
      meanExtents: 6 / 4,
      p50Extents: 1,
      p95Extents: 3,
      maxExtents: 3,
      inOnePiece: 3 / 4,
      layoutScore: 7 / 9,
    });
  });

  test('an empty volume is perfect', () => {
    expect(new LayoutGatherer(4096).figures()).toMatchObject({ layoutScore: 1, inOnePiece: 1, files: 0 });
  });
});

test('free space: powers, aligned chunks, and what is of no use', () => {
  const free = new FreeSpaceGatherer(4096);
  free.add(1, 1);
  free.add(10, 22);
  free.add(512, 512);
  free.add(2000, 300);
  expect(free.figures()).toMatchObject({
    freeBlocks: 835,
    runs: 4,
    largestRun: 512,
    inChunksOf2MiB: 512 / 835,
    inChunksOf64KiB: (16 + 512 + 288) / 835,
  });
  expect(free.figures().unusableFor64KiB).toBeCloseTo(1 / 835, 12);
  expect(free.figures().unusableFor1MiB).toBeCloseTo(23 / 835, 12);
  expect(free.figures().runsByPower).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1, 1]);
});

describe('cold read', () => {
  test('files that lie in the order they are read cost what a fresh copy costs', () => {
    const read = new ColdReadGatherer(4096, 2 ** 30);
    read.add(file([0, 10]));
    read.add(file([10, 5], [15, 5]));
    expect(read.figures()).toMatchObject({ diskSlowdown: 1, sataSlowdown: 1, nvmeSlowdown: 1 });
  });

  test('each piece elsewhere costs a seek on a disk and a request on flash', () => {
    const read = new ColdReadGatherer(4096, 4096 * 1000);
    read.add(file([0, 1], [500, 1]));
    const seek =
      DISK.leastSeekSeconds +
      (DISK.mostSeekSeconds - DISK.leastSeekSeconds) * Math.sqrt(499 / 1000) +
      DISK.turnSeconds / 2;
    const ahead = (499 * 4096) / DISK.bytesPerSecond;
    expect(read.figures().diskSeconds).toBeCloseTo(8192 / DISK.bytesPerSecond + Math.min(seek, ahead), 9);
    for (const [model, seconds] of [
      [SATA_SSD, read.figures().sataSeconds],
      [NVME_SSD, read.figures().nvmeSeconds],
    ] as const) {
      expect(seconds).toBeCloseTo(2 * model.requestSeconds + 8192 / model.bytesPerSecond, 9);
    }
  });
});

describe('statistics', () => {
  test('an interval holds the mean, and is as narrow as the values are alike', () => {
    expect(estimate([1, 1, 1, 1])).toEqual({ mean: 1, low: 1, high: 1, count: 4 });
    const { low, mean, high } = estimate([1, 2, 3, 4, 5]);
    expect(mean).toBe(3);
    expect(low).toBeGreaterThanOrEqual(1);
    expect(low).toBeLessThan(3);
    expect(high).toBeGreaterThan(3);
  });

  test('two are told apart seed by seed, or not', () => {
    expect(compare([1, 5, 9, 13], [2, 6, 10, 14], 'less')).toBe('better');
    expect(compare([1, 5, 9, 13], [2, 6, 10, 14], 'more')).toBe('worse');
    expect(compare([1, 6, 9, 14], [2, 5, 10, 13], 'less')).toBe('cannot be told');
    expect(compare([1, 1], [2, 2], 'less')).toBe('cannot be told');
  });
});

test('a histogram is drawn as it says', () => {
  const histogram = new Histogram([
    [10, 1],
    [20, 3],
  ]);
  const random = new SeededRandom(1);
  const drawn = Array.from({ length: 4000 }, () => histogram.draw(random));
  expect(Math.min(...drawn)).toBe(0);
  expect(Math.max(...drawn)).toBe(20);
  expect(drawn.filter((value) => value <= 10).length / 4000).toBeCloseTo(0.25, 1);
});

test('ages come to spread as a study has them', () => {
  const cohorts = new AgeCohorts(
    new Histogram([
      [1, 40],
      [4, 40],
      [20, 20],
    ]),
    100_000,
  );
  const random = new SeededRandom(5);
  let now = 0;
  let atFirst = 0;
  for (let step = 0; step < 4000; step++) {
    if (step === 1000) atFirst = cohorts.distance(now);
    cohorts.add({ number: step, directory: 0, sizeBytes: 100, at: 0 }, now);
    now += 100;
    if (step >= 1000) cohorts.take(random, now);
  }
  expect(atFirst).toBeGreaterThan(0.2);
  expect(cohorts.distance(now)).toBeLessThan(0.1);
});
