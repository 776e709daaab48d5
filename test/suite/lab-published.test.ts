/**
 * What others have published of allocators has to come out of the laboratory. Where it does not, the
 * laboratory is wrong, or the claim has conditions that are not met here.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { BUILT_IN_ALLOCATORS, DEFAULT_ALLOCATOR } from '../../src/alloc/built-in.ts';
import { wholeBetween } from '../../src/lab/distributions.ts';
import type { RunSample } from '../../src/lab/runners/ageing-run.ts';
import { runModel } from '../../src/lab/runners/model-runner.ts';
import { compare } from '../../src/lab/statistics.ts';
import { BitmapDisk } from '../../src/lab/verify/bitmap-disk.ts';
import { WORKLOADS } from '../../src/lab/workloads/catalogue.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { Owner, want } from './alloc-owner.ts';

const SEEDS = [1, 2, 3];

const known = new Map<string, Promise<RunSample[]>>();

/** The last sample of each seed. */
function aged(policy: string, workload: string, options: Record<string, string> = {}) {
  const key = JSON.stringify([policy, workload, options]);
  const samples = known.get(key) ?? age(policy, workload, options);
  known.set(key, samples);
  return samples;
}

async function age(policy: string, workload: string, options: Record<string, string>) {
  const samples: RunSample[] = [];
  for (const seed of SEEDS) {
    const result = await runModel(
      {
        workload: WORKLOADS.get(workload) ?? expect.fail(`no workload ${workload}`),
        allocator: BUILT_IN_ALLOCATORS.get(policy) ?? DEFAULT_ALLOCATOR,
        allocatorOptions: options,
        sizeBytes: 64 * 2 ** 20,
        blockBytes: 4096,
        seed,
        fullness: 0.9,
        churn: 1,
        samples: 1,
      },
      { progress: () => {}, isStopped: () => false },
    );
    const last = result.samples.at(-1);
    if (last !== undefined) samples.push(last);
  }
  return samples;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const split = (samples: readonly RunSample[]) => samples.map(({ layout }) => 1 - layout.layoutScore);

test('first-fit at equilibrium has half as many holes as pieces (Knuth, TAOCP 1, 2.5)', () => {
  const disk = new BitmapDisk({ groupBlocks: 60_000, blockCount: 60_000 });
  const firstFit = BUILT_IN_ALLOCATORS.get('first-fit') ?? DEFAULT_ALLOCATOR;
  const owner = new Owner(firstFit, disk);
  const random = new SeededRandom(11);
  const live: { start: number; length: number }[] = [];
  const ratios: number[] = [];
  for (let step = 0; step < 40_000; step++) {
    const length = wholeBetween(random, 1, 100);
    if (live.length < 700) {
      const run = owner.allocate(want({ length, minimum: length }));
      if (run !== undefined) live.push(run);
      continue;
    }
    const at = random.below(live.length);
    const [gone] = live.splice(at, 1);
    if (gone !== undefined) owner.free(gone);
    if (step < 10_000 || step % 1000 !== 0) continue;
    let holes = 0;
    for (
      let run = owner.index.runAfter(0);
      run !== undefined;
      run = owner.index.runAfter(run.start + run.length)
    )
      holes++;
    ratios.push(holes / live.length);
  }
  expect(ratios.length).toBeGreaterThan(10);
  expect(mean(ratios)).toBeGreaterThan(0.4);
  expect(mean(ratios)).toBeLessThan(0.6);
});

test('buddy wastes a quarter to a third on uniform sizes (Peterson and Norman, CACM 1977)', () => {
  const disk = new BitmapDisk({ groupBlocks: 2 ** 16, blockCount: 2 ** 16 });
  const owner = new Owner(BUILT_IN_ALLOCATORS.get('buddy') ?? DEFAULT_ALLOCATOR, disk);
  const random = new SeededRandom(11);
  const live: { start: number; length: number }[] = [];
  const wastes: number[] = [];
  for (let step = 0; step < 8000; step++) {
    const length = wholeBetween(random, 1, 256);
    const run = owner.allocate(want({ length, minimum: length }));
    if (run !== undefined) live.push(run);
    if (live.length < 200) continue;
    const [gone] = live.splice(random.below(live.length), 1);
    if (gone !== undefined) owner.free(gone);
    const usedBlocks = owner.index.blockCount - owner.index.freeBlocks;
    const withheld = owner.policy.stats?.().withheldBlocks ?? 0;
    if (step % 100 === 0) wastes.push(withheld / (usedBlocks + withheld));
  }
  expect(wastes.length).toBeGreaterThan(50);
  expect(mean(wastes)).toBeGreaterThan(0.2);
  expect(mean(wastes)).toBeLessThan(0.35);
});

describe('on volumes aged by agrawal to 90 %', () => {
  const of: Record<string, RunSample[]> = {};
  beforeAll(async () => {
    of.firstFit = await aged('first-fit', 'agrawal');
    of.nextFit = await aged('next-fit', 'agrawal');
    of.bestFit = await aged('best-fit', 'agrawal');
    of.aligned = await aged('aligned', 'agrawal');
    of.blocks = await aged('ffs-groups', 'agrawal');
    of.clusters = await aged('ffs-groups', 'agrawal', { realloc: 'on' });
  }, 120_000);

  test('next-fit is worse than first-fit and best-fit (Bays, CACM 1977)', () => {
    const nextFit = split(of.nextFit ?? []);
    expect(compare(nextFit, split(of.firstFit ?? []), 'less')).toBe('worse');
    expect(compare(nextFit, split(of.bestFit ?? []), 'less')).toBe('worse');
  });

  test('clusters that move together halve the fragmentation of FFS (Smith and Seltzer, 1996)', () => {
    const ratio = mean(split(of.clusters ?? [])) / mean(split(of.blocks ?? []));
    expect(ratio).toBeGreaterThan(0.35);
    expect(ratio).toBeLessThan(0.65);
  });
});

test('which of two is better depends on the work (Kadekodi and others, Geriatrix, 2018)', async () => {
  const disk = (samples: readonly RunSample[]) => samples.map(({ coldRead }) => coldRead.diskSlowdown);
  const onProfile = compare(
    disk(await aged('aligned', 'agrawal')),
    disk(await aged('first-fit', 'agrawal')),
    'less',
  );
  const onMail = compare(disk(await aged('aligned', 'mail')), disk(await aged('first-fit', 'mail')), 'less');
  expect([onProfile, onMail]).toEqual(['worse', 'better']);
}, 120_000);

test('who keeps whole chunks has more of them (Kadekodi and others, WineFS, 2021)', async () => {
  const chunks = (samples: readonly RunSample[]) => samples.map(({ free }) => free?.inChunksOf2MiB ?? 0);
  const aligned = chunks(await aged('aligned', 'mail'));
  expect(compare(aligned, chunks(await aged('first-fit', 'mail')), 'more')).toBe('better');
}, 120_000);
