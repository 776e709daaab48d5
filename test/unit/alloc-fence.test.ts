/**
 * The fence: whatever a policy of somebody else does, every operation succeeds, every byte is
 * right, the checker finds nothing, the space is all there at the end, and the log says which
 * policy, which hook and what.
 */
import { describe, expect, test } from 'vitest';
import type { AllocatorDefinition } from '../../src/alloc/allocator.ts';
import { SpaceIndex } from '../../src/alloc/space-index.ts';
import { SpaceGate, SpaceView } from '../../src/alloc/space-view.ts';
import { checkVolume } from '../../src/check/checker.ts';
import { BitmapDisk } from '../../src/lab/verify/bitmap-disk.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { HOSTILE_POLICIES, type HostilePolicy, honest } from '../suite/hostile-policies.ts';
import { fuzzVolume } from '../suite/volume-fuzz.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';

const BLOCK_BYTES = 1024;
const VOLUME_BYTES = 8 * 1024 * 1024;
const FILES = 12;

function pattern(file: number, length: number): Uint8Array {
  return new Uint8Array(length).map((_, at) => (at * 31 + file * 7 + 1) & 0xff);
}

/**
 * Creates, appends in turn, removes half, and fills the holes. Nothing of it may fail: the volume
 * is never half full.
 */
async function work(volume: TestVolume): Promise<void> {
  await volume.mkdir('/d');
  const inodes: number[] = [];
  for (let file = 0; file < FILES; file++) inodes.push(await volume.create(`/d/${file}`));
  for (let piece = 0; piece < 4; piece++) {
    for (const [file, inode] of inodes.entries()) {
      await volume.write(
        inode,
        piece * 9000,
        pattern(file, 36_000).subarray(piece * 9000, (piece + 1) * 9000),
      );
    }
  }
  for (const [file, inode] of inodes.entries()) {
    if (file % 2 !== 0) continue;
    volume.volume.acquire(inode);
    await volume.unlink(`/d/${file}`);
    volume.volume.forget(inode, 1);
  }
  await volume.volume.sync();
  for (let file = 0; file < FILES; file += 2) {
    await volume.write(await volume.create(`/d/${file}`), 0, pattern(file, 36_000));
  }
  await volume.truncate('/d/1', 100);
  await volume.truncate('/d/1', 36_000);
  await volume.write(await volume.resolve('/d/1'), 0, pattern(1, 36_000));
  await volume.volume.sync();
}

async function verify(volume: TestVolume): Promise<void> {
  for (let file = 0; file < FILES; file++) {
    const seen = await volume.read(await volume.resolve(`/d/${file}`), 0, 40_000);
    expect(Buffer.compare(seen, pattern(file, 36_000))).toBe(0);
  }
}

/** Mounts with the default, removes everything, and finds as many free blocks as mkfs left. */
async function expectAllSpaceBack(device: MemoryDevice, freeBlocks: number): Promise<void> {
  const volume = await TestVolume.open(device.reopen());
  await verify(volume);
  for (let file = 0; file < FILES; file++) await volume.unlink(`/d/${file}`);
  await volume.rmdir('/d');
  await volume.volume.sync();
  expect((await volume.statistics()).freeBlocks).toBe(freeBlocks);
  await volume.volume.unmount();
}

function definitionOf(policy: HostilePolicy): AllocatorDefinition {
  return { name: 'mine', create: policy.create as AllocatorDefinition['create'] };
}

async function emptyVolume(): Promise<{ device: MemoryDevice; freeBlocks: number }> {
  const device = new MemoryDevice(VOLUME_BYTES);
  await formatted(device, BLOCK_BYTES);
  const volume = await TestVolume.open(device);
  const { freeBlocks } = await volume.statistics();
  await volume.volume.unmount();
  return { device: device.reopen(), freeBlocks };
}

async function expectRefused(policy: HostilePolicy): Promise<void> {
  const { device } = await emptyVolume();
  const before = device.clone();
  const options = { allocator: definitionOf(policy), allocatorFile: '/x/mine.js' };
  const thrown: unknown = await TestVolume.open(device.reopen(), options).catch((error) => error);
  expect(thrown).toBeInstanceOf(Error);
  expect((thrown as Error).message).toMatch(policy.says);
  expect((thrown as Error).message).toMatch(/^allocator 'mine' \(\/x\/mine\.js\): [^\n]+$/);
  expect(Buffer.compare(device.peek(0, VOLUME_BYTES), before.peek(0, VOLUME_BYTES))).toBe(0);
}

async function expectHarmless(policy: HostilePolicy): Promise<void> {
  const { device, freeBlocks } = await emptyVolume();
  const log: string[] = [];
  const volume = await TestVolume.open(device, {
    allocator: definitionOf(policy),
    allocatorFile: '/x/mine.js',
    log: (line) => log.push(line),
  });
  await work(volume);
  await verify(volume);
  const counters = JSON.parse(JSON.stringify(volume.volume.counters()));
  expect(counters).toMatchObject({
    allocator: 'mine',
    allocatorFile: '/x/mine.js',
    readOnly: false,
    failure: '',
  });
  expect(counters.reservedBlocks).toBe(0);
  const { outcome } = policy;
  const faulty = outcome === 'dismissed' || outcome === 'without figures';
  expect(counters.allocatorFault).toMatch(faulty ? policy.says : /^$/);
  expect(counters.allocatorPassedOver > 0).toBe(outcome === 'passed over');
  const lines = log.filter((line) => line.includes('mine'));
  expect(lines).toHaveLength(outcome === 'in office' ? 0 : 1);
  if (outcome !== 'in office') {
    expect(lines[0]).toMatch(policy.says);
    expect(lines[0]).toMatch(/^allocator 'mine' \(\/x\/mine\.js\): [^\p{Cc}]+$/u);
  }
  await volume.volume.unmount();
  const { clean, problems } = await checkVolume(device.reopen());
  expect({ clean, problems }).toEqual({ clean: true, problems: [] });
  await expectAllSpaceBack(device, freeBlocks);
}

describe('a policy that does wrong', () => {
  test.each(HOSTILE_POLICIES.map((policy) => [policy.title, policy] as const))('%s', async (_, policy) => {
    await (policy.outcome === 'refused' ? expectRefused(policy) : expectHarmless(policy));
  });

  test('does so now and then, in any hook, under random operations', async () => {
    for (const seed of [1, 2, 3]) {
      let calls = 0;
      const now = (): boolean => ++calls % 97 === 0;
      const allocator: AllocatorDefinition = {
        name: 'moody',
        create: (space) => {
          const base = honest(space);
          return {
            ...base,
            allocate: (want) => (now() ? undefined : base.allocate(want)),
            release: () => {
              if (calls > 400 && now()) throw new Error('tired');
            },
          };
        },
      };
      await fuzzVolume({ seed, steps: 300, blockBytes: 1024, volumeBytes: 8 * 1024 * 1024, allocator });
    }
  });

  test('is told of what was taken in its place', async () => {
    const taken: number[] = [];
    let asked = 0;
    const { device } = await emptyVolume();
    const volume = await TestVolume.open(device, {
      allocator: {
        name: 'mine',
        create: () => ({
          allocate: () => {
            asked++;
            return undefined;
          },
          taken: ({ start }) => taken.push(start),
        }),
      },
    });
    await work(volume);
    expect(taken.length).toBeGreaterThan(20);
    expect(volume.volume.counters().allocatorPassedOver).toBeLessThanOrEqual(asked);
    await volume.volume.unmount();
  });
});

describe('a policy that does right', () => {
  test('is not passed over on a volume that is really full', async () => {
    const { device } = await emptyVolume();
    const log: string[] = [];
    const allocator = { name: 'mine', create: honest };
    const volume = await TestVolume.open(device, { allocator, log: (line) => log.push(line) });
    const inode = await volume.create('/file');
    let offset = 0;
    let code = '';
    while (code === '') {
      await volume.write(inode, offset, pattern(1, 100_000)).catch((thrown) => {
        code = thrown.code;
      });
      offset += 100_000;
    }
    expect(code).toBe('ENOSPC');
    expect(volume.volume.counters()).toMatchObject({ allocatorPassedOver: 0, allocatorFault: '' });
    expect(volume.volume.counters().policy).toEqual({ asked: 1 });
    await volume.unlink('/file');
    await volume.volume.unmount();
    expect(log).toEqual([]);
    expect(await checkVolume(device.reopen())).toMatchObject({ clean: true });
  });
});

describe('what a policy is given', () => {
  test('the space answers while a hook runs, and only then', async () => {
    const { device } = await emptyVolume();
    let ask: () => unknown = () => undefined;
    const volume = await TestVolume.open(device, {
      allocator: {
        name: 'mine',
        create: (space) => {
          expect(space.freeBlocks).toBeGreaterThan(0);
          expect(space.findRun(0, space.blockCount, 1, 1)).toBeDefined();
          ask = () => space.freeBlocks;
          return honest(space);
        },
      },
    });
    expect(ask).toThrow('while no hook of the allocator was running');
    await volume.volume.unmount();
  });

  test('the questions about whole runs, which refuse what is no whole number', () => {
    const index = new SpaceIndex(new BitmapDisk({ groupBlocks: 100, blockCount: 250, metadataBlocks: 1 }));
    index.reserve({ start: 50, length: 10 });
    const gate = new SpaceGate();
    const view = new SpaceView(index, gate);
    const questions: [(value: number) => unknown, unknown][] = [
      [(block) => view.runAround(block), undefined],
      [(block) => view.runBefore(block), { start: 1, length: 49 }],
      [(block) => view.runAfter(block), { start: 60, length: 40 }],
      [(minimum) => view.smallestRun(minimum), { start: 1, length: 49 }],
      [(near) => view.smallestRun(1, near), { start: 60, length: 40 }],
      [(patience) => view.smallestRun(45, 0, patience), { start: 1, length: 49 }],
      [(near) => view.longestRun(near), { start: 101, length: 99 }],
      [(patience) => view.longestRun(0, patience), { start: 101, length: 99 }],
    ];
    // Block 50 is in use; the shortest run of 48 blocks or more has 49.
    const argumentOf = (at: number) => (at === 3 ? 48 : 50);
    for (const [at, [ask, expected]] of questions.entries()) {
      expect(() => ask(50)).toThrow('while no hook of the allocator was running');
      gate.enter();
      expect(ask(argumentOf(at))).toEqual(expected);
      expect(() => ask(0.5)).toThrow('which is no whole number');
      expect(() => ask(Number.NaN)).toThrow(RangeError);
      expect(gate.failed).toBe(false);
      gate.leave();
    }
  });

  test('options that cannot be changed', async () => {
    const { device } = await emptyVolume();
    const opening = TestVolume.open(device, {
      allocatorOptions: { a: '1' },
      allocator: {
        name: 'mine',
        create: (space, options) => {
          Object.assign(options, { a: '2' });
          return honest(space);
        },
      },
    });
    await expect(opening).rejects.toThrow("allocator 'mine': create() threw: Cannot assign");
  });
});
