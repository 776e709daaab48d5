/** What the laboratory measures, on layouts whose figures can be told by hand. */
import { describe, expect, test } from 'vitest';
import { Histogram, normal } from '../../src/lab/distributions.ts';
import { ColdReadGatherer, DISK, NVME_SSD, SATA_SSD } from '../../src/lab/measures/cold-read.ts';
import { effortBetween } from '../../src/lab/measures/effort.ts';
import { FreeSpaceGatherer } from '../../src/lab/measures/free-space.ts';
import { LayoutGatherer } from '../../src/lab/measures/layout.ts';
import { OnePieceGatherer } from '../../src/lab/measures/one-piece.ts';
import { RequestStream } from '../../src/lab/measures/request-stream.ts';
import { compare, estimate, studentQuantile } from '../../src/lab/statistics.ts';
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

describe('files in one piece', () => {
  /** A look at a space of 1000 blocks of 4 KiB. */
  function look(gatherer: OnePieceGatherer, ...runs: number[]): void {
    gatherer.beginLook();
    for (const length of runs) gatherer.add(length);
    gatherer.endLook();
  }

  test('each run takes as many as it has room for, and the rest stays free', () => {
    const gatherer = new OnePieceGatherer(4096, 1000);
    look(gatherer, 3, 20, 77);
    // Of pieces of 4 blocks there is room for 0 + 5 + 19, of 16 for 0 + 1 + 4, of 64 for one.
    expect(gatherer.figures()).toMatchObject({
      full4KiB: 1,
      full16KiB: (900 + 20 + 76) / 1000,
      full64KiB: (900 + 16 + 64) / 1000,
      full256KiB: (900 + 64) / 1000,
      full1MiB: 0.9,
      full64MiB: 0.9,
    });
  });

  test('the first look that finds no run says how full it was', () => {
    const gatherer = new OnePieceGatherer(4096, 1000);
    look(gatherer, 300, 100);
    look(gatherer, 250, 15);
    look(gatherer, 15, 15);
    look(gatherer, 300, 100);
    expect(gatherer.figures()).toMatchObject({
      without4KiB: -1,
      without16KiB: -1,
      without64KiB: 1 - 30 / 1000,
      without256KiB: 1 - 30 / 1000,
      without1MiB: 1 - 265 / 1000,
      without4MiB: 1 - 400 / 1000,
    });
  });

  test('where blocks are larger than the piece, it takes one', () => {
    const gatherer = new OnePieceGatherer(65_536, 100);
    look(gatherer, 1, 5);
    expect(gatherer.figures()).toMatchObject({ full4KiB: 1, full64KiB: 1, full256KiB: 0.98 });
  });
});

describe('dynamic layout score', () => {
  test('a block counts where it lies behind the one asked for before', () => {
    const stream = new RequestStream();
    stream.request(10, 4);
    stream.request(14, 2);
    stream.request(5, 3);
    stream.request(14, 1);
    // Behind the first block come 9: 3 + 2 + 3 + 1, of which 3 + 2 + 2 + 0 follow.
    expect(stream.takeScore()).toBeCloseTo(7 / 9, 12);
  });

  test('a score is of what came since the last one, which it goes on from', () => {
    const stream = new RequestStream();
    expect(stream.takeScore()).toBe(1);
    stream.request(0, 8);
    expect(stream.takeScore()).toBe(1);
    stream.request(8, 1);
    expect(stream.takeScore()).toBe(1);
    stream.request(100, 2);
    expect(stream.takeScore()).toBe(1 / 2);
  });

  test('of reads it goes from file to file', () => {
    const read = new ColdReadGatherer(4096, 2 ** 30);
    read.add(file([0, 10]));
    read.add(file([10, 5], [40, 5]));
    expect(read.figures().readScore).toBeCloseTo(18 / 19, 12);
  });
});

test('effort is counted from sample to sample', () => {
  const before = {
    operations: 100,
    metadataBlocksChanged: 1000,
    metadataBlocksLogged: 50,
    spaceMapLooks: 7,
    runsReserved: 2,
  };
  const now = {
    operations: 300,
    metadataBlocksChanged: 1800,
    metadataBlocksLogged: 150,
    spaceMapLooks: 37,
    runsReserved: 12,
    spaceIndexBytes: 4096,
    usedBlocks: 90,
    policy: { withheldBlocks: 30, indexBytes: 24 },
  };
  expect(effortBetween(before, now)).toEqual({
    metadataBlocksChanged: 4,
    metadataBlocksLogged: 1 / 2,
    mapLooks: 3,
    spaceIndexBytes: 4096,
    policyIndexBytes: 24,
    internalWaste: 1 / 4,
  });
  expect(effortBetween(before, { ...before, ...{ spaceIndexBytes: 0, usedBlocks: 0, policy: {} } })).toEqual({
    metadataBlocksChanged: 0,
    metadataBlocksLogged: 0,
    mapLooks: 0,
    spaceIndexBytes: 0,
    policyIndexBytes: 0,
    internalWaste: 0,
  });
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

const PAIRS = 2000;

describe('statistics', () => {
  test('an interval holds the mean, and is as narrow as the values are alike', () => {
    expect(estimate([1, 1, 1, 1])).toEqual({ mean: 1, low: 1, high: 1, count: 4 });
    // Student's: 3 ± 2.7764 × √(2.5 / 5).
    const { low, mean, high } = estimate([1, 2, 3, 4, 5]);
    expect([low, mean, high].map((value) => value.toFixed(3))).toEqual(['1.037', '3.000', '4.963']);
    expect(estimate([1, 5])).toEqual({ mean: 3, low: 3, high: 3, count: 2 });
  });

  test("Student's quantiles are those of the tables, also behind the end of ours", () => {
    const quantiles = [2, 4, 10, 11, 15, 30, 120].map((degrees) => studentQuantile(degrees).toFixed(3));
    expect(quantiles).toEqual(['4.303', '2.776', '2.228', '2.201', '2.131', '2.042', '1.980']);
  });

  test.each([3, 5, 12])('of equals, 5 of 100 pairs are told apart, with %i seeds', (seeds) => {
    const random = new SeededRandom(5);
    const values = () => Array.from({ length: seeds }, () => normal(random));
    let told = 0;
    for (let pair = 0; pair < PAIRS; pair++) {
      // What is of the seed is the same for both.
      const common = values();
      const own = () => values().map((value, index) => value + 3 * (common[index] ?? 0));
      if (compare(own(), own(), 'less') !== 'cannot be told') told++;
    }
    expect(told / PAIRS).toBeGreaterThan(0.03);
    expect(told / PAIRS).toBeLessThan(0.07);
  });

  test('the interval of a mean holds the mean 95 times in 100', () => {
    const random = new SeededRandom(6);
    let held = 0;
    for (let round = 0; round < PAIRS; round++) {
      const { low, high } = estimate(Array.from({ length: 5 }, () => 7 + normal(random)));
      if (low <= 7 && 7 <= high) held++;
    }
    expect(held / PAIRS).toBeGreaterThan(0.93);
    expect(held / PAIRS).toBeLessThan(0.97);
  });

  test('two are told apart seed by seed, or not', () => {
    expect(compare([1, 5, 9, 13], [2, 6, 10, 14], 'less')).toBe('better');
    expect(compare([1, 5, 9, 13], [2, 6, 10, 14], 'more')).toBe('worse');
    expect(compare([1, 6, 9, 14], [2, 5, 10, 13], 'less')).toBe('cannot be told');
    expect(compare([1, 1], [2, 2], 'less')).toBe('cannot be told');
    // No variance: the same difference with each seed.
    expect(compare([1, 2, 4], [1.5, 2.5, 4.5], 'less')).toBe('better');
    expect(compare([1, 2, 4], [1, 2, 4], 'less')).toBe('cannot be told');
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

test('cohorts keep no more than a few entries of files that are gone', () => {
  // Files go by age alone from the first cohort, which is always short of them.
  const ages = new Histogram([
    [1, 90],
    [20, 10],
  ]);
  const cohorts = new AgeCohorts(ages, 1000);
  const random = new SeededRandom(5);
  const live = 10;
  for (let step = 0; step < 50_000; step++) {
    cohorts.add({ number: step, directory: 0, sizeBytes: 100, at: 0 }, step * 100);
    if (step >= live) cohorts.take(random, step * 100);
  }
  expect(cohorts.listed).toBeLessThan(2 * live + 2 * 16);
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
