/** Workloads on model volumes: each fills one, a seed decides everything, and fsck finds nothing. */
import { describe, expect, test } from 'vitest';
import { BUILT_IN_ALLOCATORS, DEFAULT_ALLOCATOR } from '../../src/alloc/built-in.ts';
import { checkVolume } from '../../src/check/checker.ts';
import { ModelFigures } from '../../src/lab/runners/model-figures.ts';
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
    sizeBytes: 32 * MIB,
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

/** A place that no block divides. */
const ODD_BYTES = 64 * MIB * 0.95;

test.each([...WORKLOADS.values()])(
  '$name: places, lengths and waits are numbers that a system call takes',
  (found) => {
    const place = { random: new SeededRandom(3), capacityBytes: ODD_BYTES, fullness: 0.8, blockBytes: 4096 };
    let left = 60_000;
    for (const operation of found.operations(place)) {
      if (left-- === 0) break;
      if (operation === 'filled') continue;
      if (operation.kind === 'wait') expect(operation.seconds).toBeGreaterThanOrEqual(0);
      if (operation.kind === 'truncate') expect(Number.isSafeInteger(operation.sizeBytes)).toBe(true);
      if (operation.kind !== 'write') continue;
      const { offsetBytes, lengthBytes } = operation;
      if (Number.isSafeInteger(offsetBytes) && Number.isSafeInteger(lengthBytes) && lengthBytes > 0) continue;
      expect.fail(`a write of ${lengthBytes} bytes at ${offsetBytes}`);
    }
  },
);

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

describe('what only a model can tell', () => {
  test('stands in every sample, and fits the rest of it', async () => {
    const { samples } = await runModel(plan('files', { churn: 1, samples: 2 }), WATCHER);
    expect(samples).toHaveLength(3);
    for (const { fullness, coldRead, model = expect.fail('the model tells') } of samples) {
      expect(model.full4KiB).toBeCloseTo(1, 12);
      const bySize = [model.full4KiB, model.full64KiB, model.full1MiB, model.full16MiB, model.full64MiB];
      expect(bySize).toEqual([...bySize].sort((one, other) => other - one));
      // Of 64 MiB the metadata has some: nothing of that size ever fits. Blocks that are kept back
      // count in neither part of `fullness`.
      expect(model.full64MiB).toBeCloseTo(fullness, 2);
      expect(model.without64MiB).toBeGreaterThanOrEqual(0);
      expect(model.without64MiB).toBeLessThan(0.1);
      expect(model.without4KiB).toBe(-1);
      expect(coldRead.readScore).toBeGreaterThan(0.5);
      expect(coldRead.readScore).toBeLessThan(1);
      expect(model.dataWriteScore).toBeGreaterThan(0.5);
      expect(model.dataWriteScore).not.toBe(model.allWriteScore);
      expect(model.metadataBlocksChanged).toBeGreaterThan(0.5);
      expect(model.metadataBlocksLogged).toBeGreaterThan(0);
      expect(model.metadataBlocksLogged).toBeLessThan(model.metadataBlocksChanged);
      expect(model.mapLooks).toBeGreaterThan(2);
      expect(model.spaceIndexBytes).toBeGreaterThan(2048);
      expect(model.policyIndexBytes).toBeGreaterThan(0);
      expect(model.internalWaste).toBe(0);
    }
  });

  test('buddy wastes what it rounds up', async () => {
    const allocator = BUILT_IN_ALLOCATORS.get('buddy') ?? DEFAULT_ALLOCATOR;
    const { samples } = await runModel(plan('files', { allocator, fullness: 0.5 }), WATCHER);
    expect(samples.at(-1)?.model?.internalWaste).toBeGreaterThan(0.1);
    expect(samples.at(-1)?.model?.policyIndexBytes).toBeGreaterThan(0);
  });

  test('what looking itself costs is not counted', async () => {
    const looksAfter = async (looks: number) => {
      const model = await ModelVolume.make(plan('files'));
      await model.apply({ kind: 'create', file: 1, directory: 0 });
      const figures = new ModelFigures(model, 64 * MIB);
      await model.apply({ kind: 'write', file: 1, offsetBytes: 0, lengthBytes: 8192 });
      for (let done = 0; done < looks; done++) await figures.look();
      await model.settle();
      const { mapLooks } = await figures.take();
      await model.close();
      return mapLooks;
    };
    expect(await looksAfter(1)).toBeGreaterThan(1);
    expect(await looksAfter(5)).toBe(await looksAfter(1));
  });

  test('looking changes nothing', async () => {
    const layoutAfter = async (looks: boolean) => {
      const model = await ModelVolume.make(plan('mail'));
      const figures = new ModelFigures(model, 64 * MIB);
      const place = { random: new SeededRandom(3), capacityBytes: 60 * MIB, fullness: 0.8, blockBytes: 4096 };
      for (const operation of workload('mail').operations(place)) {
        if (operation !== 'filled') await model.apply(operation);
        if (looks && model.operations % 500 === 0) await figures.look();
        if (model.operations === 20_000) break;
      }
      await model.settle();
      const files = [];
      for await (const extents of model.filesInOrder()) files.push(extents);
      await model.close();
      return files;
    };
    const undisturbed = await layoutAfter(false);
    expect(undisturbed.length).toBeGreaterThan(100);
    expect(await layoutAfter(true)).toEqual(undisturbed);
  });
});

/** Ends after so many writes before it says 'filled' and so many behind. */
function ending(before: number, behind: number): Workload {
  return {
    ...{ name: 'short', says: '', source: '' },
    *operations() {
      const write = { kind: 'write', file: 1, offsetBytes: 0, lengthBytes: 4096 } as const;
      yield { kind: 'create', file: 1, directory: 0 };
      for (let done = 0; done < before; done++) yield write;
      yield 'filled';
      for (let done = 0; done < behind; done++) yield write;
    },
  };
}

describe('the end of a run', () => {
  const short = (workload: Workload, changes: Partial<RunPlan> = {}) =>
    runModel({ ...plan('web'), workload, ...changes }, WATCHER);

  test('no churn: the full volume is looked at once, and that is all', async () => {
    const { samples } = await short(ending(5, Number.POSITIVE_INFINITY), { churn: 0, samples: 5 });
    expect(samples).toHaveLength(1);
    expect(samples[0]?.churn).toBeLessThan(0.001);
  }, 10_000);

  test('a workload that ends too soon has not been run', async () => {
    await expect(short(ending(5, 7))).rejects.toThrow('workload short ended before the churn was over');
    const never: Workload = {
      ...ending(0, 0),
      *operations() {
        yield { kind: 'create', file: 1, directory: 0 };
      },
    };
    await expect(short(never)).rejects.toThrow("workload short ended before it said 'filled'");
    await expect(short({ ...never, churnBytes: 4096 })).rejects.toThrow("before it said 'filled'");
    expect((await short({ ...ending(5, 7), churnBytes: 7 * 4096 })).samples).toHaveLength(2);
  });
});

test('a volume of 100 GiB takes the memory of its journal and its metadata', async () => {
  const sizeBytes = 100 * 1024 * MIB;
  const model = await ModelVolume.make(plan('video', { sizeBytes }));
  const place = { random: new SeededRandom(3), capacityBytes: sizeBytes, fullness: 0.9, blockBytes: 4096 };
  for (const operation of workload('video').operations(place)) {
    if (operation !== 'filled') await model.apply(operation);
    if (model.writtenBytes >= 2 * sizeBytes) break;
  }
  const { journalBlocks } = model.volume.counters();
  expect(journalBlocks).toBeLessThan(2 ** 16);
  // Its few files need less than a mebibyte; bitmaps and summaries of 800 groups some three.
  expect(model.device.keptBytes).toBeLessThan(journalBlocks * 4096 + 8 * MIB);
  await model.close();
}, 120_000);

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
