/** Workloads on model volumes: each fills one, a seed decides everything, and fsck finds nothing. */
import { describe, expect, test } from 'vitest';
import { BUILT_IN_ALLOCATORS, DEFAULT_ALLOCATOR } from '../../src/alloc/built-in.ts';
import { checkVolume } from '../../src/check/checker.ts';
import { type RunPlan, runModel } from '../../src/lab/runners/model-runner.ts';
import { ModelVolume } from '../../src/lab/runners/model-volume.ts';
import { WORKLOADS } from '../../src/lab/workloads/catalogue.ts';
import type { Workload } from '../../src/lab/workloads/workload.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';

const MIB = 2 ** 20;
const WATCHER = { progress: () => {}, isStopped: () => false };

function workload(name: string): Workload {
  const found = WORKLOADS.get(name);
  if (found === undefined) throw new Error(`no workload ${name}`);
  return found;
}

function plan(name: string, changes: Partial<RunPlan> = {}): RunPlan {
  return {
    workload: workload(name),
    allocator: DEFAULT_ALLOCATOR,
    sizeBytes: 64 * MIB,
    blockBytes: 4096,
    seed: 1,
    fullness: 0.8,
    churn: 0.5,
    samples: 1,
    ...changes,
  };
}

describe.each([...WORKLOADS.keys()])('%s', (name) => {
  test('fills the volume as far as it should, and goes on', async () => {
    const { samples } = await runModel(plan(name), WATCHER);
    expect(samples).toHaveLength(2);
    const [first, last] = samples;
    const fullness = workload(name).fullness ?? 0.8;
    expect(first?.fullness).toBeGreaterThan(fullness * 0.75);
    expect(first?.fullness).toBeLessThan(fullness + 0.12);
    expect(last?.churn).toBeGreaterThanOrEqual(0.5);
    expect(last?.refusedOperations).toBe(0);
    expect(last?.layout.files).toBeGreaterThan(4);
  });
});

test('the same seed gives the same figures, another one others', async () => {
  const [one, again, other] = await Promise.all(
    [1, 1, 2].map(async (seed) => (await runModel(plan('mail', { seed }), WATCHER)).samples),
  );
  expect(again).toEqual(one);
  expect(other).not.toEqual(one);
});

test('what a policy does shows in the figures', async () => {
  const extents = async (name: string) => {
    const allocator = BUILT_IN_ALLOCATORS.get(name) ?? DEFAULT_ALLOCATOR;
    const { samples } = await runModel(plan('database', { allocator, churn: 1 }), WATCHER);
    return samples.at(-1)?.layout.meanExtents ?? 0;
  };
  expect(await extents('first-fit')).toBeGreaterThan(3 * (await extents('goal-and-window')));
});

test('a volume that is too small refuses, and says how full it was', async () => {
  const { samples } = await runModel(plan('files', { fullness: 1.1, churn: 0.2 }), WATCHER);
  expect(samples.at(-1)?.refusedOperations).toBeGreaterThan(0);
  expect(samples.at(-1)?.freeAtFirstRefusal).toBeLessThan(0.05);
});

test.each(['agrawal', 'database', 'build'])('the volume that %s leaves is sound', async (name) => {
  const model = await ModelVolume.make({ ...plan(name) });
  const place = {
    random: new SeededRandom(3),
    capacityBytes: 60 * MIB,
    fullness: 0.8,
    blockBytes: 4096,
  };
  for (const operation of workload(name).operations(place)) {
    if (operation !== 'filled') await model.apply(operation);
    if (model.operations > 6000) break;
  }
  await model.settle();
  await model.volume.checkInvariants();
  const files = [];
  for await (const extents of model.filesInOrder()) files.push(extents);
  expect(files.length).toBe(model.files.size);
  const { device } = model;
  await model.close();
  const result = await checkVolume(device.reopen());
  expect(result.problems).toEqual([]);
});
