/**
 * The survey of free space: kept up while files come and go, it says what the bitmaps on the device
 * say when they are read from scratch, by code of its own; in bounded pieces, and nothing is
 * written for it.
 */
import { describe, expect, test } from 'vitest';
import { readSuperblock } from '../../src/fs/format/superblock.ts';
import type { SpaceSurvey } from '../../src/fs/transaction/space-survey.ts';
import { FaultList } from '../../src/inspect/fault-list.ts';
import { visitFreeRuns } from '../../src/inspect/free-runs.ts';
import { VolumeSource } from '../../src/inspect/volume-source.ts';
import type { MemoryDevice } from '../../src/sim/memory-device.ts';
import { TestVolume } from './volume-harness.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

interface Found {
  readonly free: number[];
  readonly runs: number[];
  readonly blocks: number[];
  readonly largest: number;
}

/** From the bitmaps, by the code of `quarry frag`. */
async function foundOnDevice(device: MemoryDevice, survey: SpaceSurvey): Promise<Found> {
  const free = new Array<number>(survey.cellCount).fill(0);
  const runs: number[] = [];
  const blocks: number[] = [];
  let largest = 0;
  await visitFreeRuns(new VolumeSource(device, await readSuperblock(device)), new FaultList(), {
    free: (block, length) => {
      const power = Math.floor(Math.log2(length));
      runs[power] = (runs[power] ?? 0) + 1;
      blocks[power] = (blocks[power] ?? 0) + length;
      largest = Math.max(largest, length);
      for (let at = block; at < block + length; at++) {
        const cell = Math.floor(at / survey.blocksPerCell);
        free[cell] = (free[cell] ?? 0) + 1;
      }
    },
    unknown: () => expect.unreachable(),
  });
  return { free, runs, blocks, largest };
}

/** The map as a watcher puts it together, from what changed since its last question. */
class Watcher {
  readonly free = new Map<number, number>();
  revision = 0;
  told = 0;

  take(survey: SpaceSurvey): void {
    const cells = survey.cellsSince(this.revision);
    for (let i = 0; i < cells.length; i += 2) this.free.set(cells[i] ?? -1, cells[i + 1] ?? -1);
    this.told = cells.length / 2;
    this.revision = survey.revision;
  }
}

async function settle(volume: TestVolume, survey: SpaceSurvey): Promise<void> {
  await volume.volume.sync();
  while (survey.staleGroups > 0) await volume.volume.surveyOn(survey);
}

/** A generator of numbers below `most`, the same each time. */
function randomBelow(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

async function churn(volume: TestVolume, below: (most: number) => number, steps: number): Promise<void> {
  for (let step = 0; step < steps; step++) {
    const path = `/file-${below(40)}`;
    const inode = await volume.resolve(path).catch(() => 0);
    if (inode === 0) {
      const made = await volume.create(path);
      await volume.write(made, 0, new Uint8Array(1 + below(300 * KIB)).fill(step));
    } else if (below(3) === 0) await volume.truncate(path, below(100 * KIB));
    else {
      await volume.unlink(path);
      volume.volume.forget(inode, 1);
    }
    if (below(10) === 0) await volume.volume.sync();
  }
}

async function surveyed(volume: TestVolume, mostCells: number): Promise<SpaceSurvey> {
  const survey = volume.volume.beginSurvey(mostCells);
  if (survey === undefined) throw new Error('no survey');
  return survey;
}

describe('a survey', () => {
  // Cells that are parts of groups, that cross from one to the next, and that hold several.
  test.each([10, 501, 16384, 3])('of at most %d cells follows the bitmaps', async (mostCells) => {
    const volume = await TestVolume.make(48 * MIB, KIB);
    const survey = await surveyed(volume, mostCells);
    expect(survey.cellCount).toBeLessThanOrEqual(mostCells);
    const watcher = new Watcher();
    const below = randomBelow(mostCells);
    for (let round = 0; round < 6; round++) {
      await churn(volume, below, 25);
      await volume.volume.surveyOn(survey);
      watcher.take(survey);
    }
    await settle(volume, survey);
    watcher.take(survey);
    const { runs, blocks, largestRunBlocks } = survey.freeRuns();
    const device = (volume.device as MemoryDevice).clone.bind(volume.device);
    await volume.volume.unmount();
    const found = await foundOnDevice(device(), survey);
    expect(Array.from(found.free, (_, cell) => watcher.free.get(cell) ?? 0)).toEqual(found.free);
    expect(runs.map((count, i) => [count, blocks[i]])).toEqual(
      runs.map((_, i) => [found.runs[i] ?? 0, found.blocks[i] ?? 0]),
    );
    expect(largestRunBlocks).toBe(found.largest);
    expect(watcher.free.size).toBe(survey.cellCount);
  });

  test('tells only of the cells that changed, and looks only at groups that did', async () => {
    const volume = await TestVolume.make(48 * MIB, KIB);
    const survey = await surveyed(volume, 16384);
    await settle(volume, survey);
    const watcher = new Watcher();
    watcher.take(survey);
    expect(watcher.told).toBe(survey.cellCount);
    watcher.take(survey);
    expect(watcher.told).toBe(0);

    const inode = await volume.create('/one');
    await volume.write(inode, 0, new Uint8Array(30 * KIB).fill(1));
    expect(survey.staleGroups).toBeGreaterThan(0);
    expect(survey.staleGroups).toBeLessThanOrEqual(2);
    await settle(volume, survey);
    watcher.take(survey);
    // 30 blocks of data, and some of metadata, in cells of 3.
    expect(watcher.told).toBeGreaterThanOrEqual(10);
    expect(watcher.told).toBeLessThan(40);
    await volume.volume.unmount();
  });

  test('what is taken back is not in it', async () => {
    const volume = await TestVolume.make(8 * MIB, KIB);
    const survey = await surveyed(volume, 1000);
    await settle(volume, survey);
    const before = survey.freeRuns();
    const failed = volume.volume.run((tx) => {
      volume.volume.create(tx, 1, new TextEncoder().encode('lost'), {
        mode: 0o040755,
        deviceNumber: 0,
        caller: { uid: 0, gid: 0, umask: 0 },
      });
      throw new Error('not after all');
    });
    await expect(failed).rejects.toThrow('not after all');
    await settle(volume, survey);
    expect(survey.freeRuns()).toEqual(before);
    await volume.volume.unmount();
  });

  test('a round is bounded, and after the last survey nothing is noted', async () => {
    const volume = await TestVolume.make(400 * MIB, KIB);
    const survey = await surveyed(volume, 4096);
    const all = survey.groupCount;
    expect(all).toBeGreaterThan(50);
    // A clock on which each look takes 10 ms, so that a round is over after some groups.
    const { turns } = volume.volume;
    const real = turns.now.bind(turns);
    let now = real();
    turns.now = () => {
      now += 10;
      return now;
    };
    await volume.volume.surveyOn(survey);
    turns.now = real;
    expect(survey.unknownGroups).toBeLessThan(all);
    expect(survey.unknownGroups).toBeGreaterThan(all - 10);
    await settle(volume, survey);
    volume.volume.endSurvey();
    const inode = await volume.create('/later');
    await volume.write(inode, 0, new Uint8Array(30 * KIB).fill(1));
    expect(survey.staleGroups).toBe(0);
    await volume.volume.unmount();
  });

  test('needs no write, and does not wake a volume that rests', async () => {
    const volume = await TestVolume.make(8 * MIB, KIB);
    await volume.volume.rest();
    const survey = await surveyed(volume, 1000);
    await settle(volume, survey);
    expect(volume.volume.resting).toBe(true);
    expect(survey.unknownGroups).toBe(0);
    await volume.volume.unmount();
  });
});

describe('allocations are counted', () => {
  test('runs, blocks, goals and what they hit, what is freed', async () => {
    const volume = await TestVolume.make(16 * MIB, KIB);
    const inode = await volume.create('/log');
    await volume.volume.sync();
    const before = volume.volume.counters().allocations;
    for (let i = 0; i < 5; i++) await volume.write(inode, i * 4 * KIB, new Uint8Array(4 * KIB).fill(i));
    const after = volume.volume.counters().allocations;
    const since = (name: keyof typeof after) => after[name] - before[name];
    // The blocks that were handed out for its 20 are in use, but for those that came back.
    expect(since('dataBlocks') - since('returnedBlocks')).toBe(20);
    expect([since('dataGoals'), since('dataGoalHits')]).toEqual([4, 4]);
    await volume.truncate('/log', 0);
    await volume.volume.sync();
    expect(volume.volume.counters().allocations.freedBlocks - after.freedBlocks).toBe(20);
    await volume.volume.unmount();
  });
});
