/**
 * A volume at rest: clean on disk while it is mounted, woken by the first change, and never clean
 * while something is not at home.
 */
import { describe, expect, test, vi } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { CorruptionError, Errno } from '../../src/fs/base/errors.ts';
import { readSuperblock } from '../../src/fs/format/superblock.ts';
import type { VolumeOptions } from '../../src/fs/life/volume-options.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;

async function isClean(device: MemoryDevice): Promise<boolean> {
  return (await readSuperblock(device.clone())).isClean;
}

/**
 * Mounts a copy of what is on the device now.
 * @returns the names in its root; the journal must not be needed if it is clean
 */
async function namesOnDisk(device: MemoryDevice): Promise<string[]> {
  const copy = device.clone();
  expect((await checkVolume(copy.clone())).problems).toEqual([]);
  const lines: string[] = [];
  const volume = await TestVolume.open(copy, { readOnly: true, log: (line) => lines.push(line) });
  if (await isClean(device)) expect(lines).toEqual([]);
  const names = await volume.list('/');
  await volume.volume.unmount();
  return names;
}

async function scene(): Promise<{ volume: TestVolume; device: MemoryDevice }> {
  const volume = await TestVolume.make(8 * MIB, 4096);
  await volume.write(await volume.create('/file'), 0, new Uint8Array(10_000).fill(3));
  return { volume, device: volume.device as MemoryDevice };
}

test('everything is at home and the volume clean, reads go on and move nothing', async () => {
  const { volume, device } = await scene();
  expect(await isClean(device)).toBe(false);
  await volume.volume.rest();
  expect(volume.volume.resting).toBe(true);
  expect(await namesOnDisk(device)).toEqual(['file']);
  expect(await isClean(device)).toBe(true);
  const before = await volume.stat('/file');
  expect(await volume.read(await volume.resolve('/file'), 9_999, 10)).toEqual(new Uint8Array([3]));
  await volume.volume.sync();
  expect(await volume.stat('/file')).toEqual(before);
  expect(await isClean(device)).toBe(true);
  await volume.volume.unmount();
  expect(await isClean(device)).toBe(true);
});

test.each([
  ['a new name', (volume: TestVolume) => volume.mkdir('/new')],
  [
    'a write',
    async (volume: TestVolume) => volume.write(await volume.resolve('/file'), 0, new Uint8Array(9)),
  ],
  ['a truncation', (volume: TestVolume) => volume.truncate('/file', 100)],
  ['a new mode', (volume: TestVolume) => volume.change('/file', { mode: 0o600 })],
  ['a name less', (volume: TestVolume) => volume.unlink('/file')],
])('%s wakes it: it is in use before anything else is written', async (_, change) => {
  const { volume, device } = await scene();
  await volume.volume.rest();
  await change(volume);
  expect(await isClean(device)).toBe(false);
  expect(volume.volume.resting).toBe(false);
  await volume.volume.sync();
  expect(await namesOnDisk(device)).toEqual(await volume.list('/'));
  await volume.volume.rest();
  expect(await isClean(device)).toBe(true);
  expect(await namesOnDisk(device)).toEqual(await volume.list('/'));
  await volume.volume.unmount();
});

test('many changes at once, in the middle of going to rest, are all made, and rests come and go', async () => {
  const { volume, device } = await scene();
  for (let round = 0; round < 10; round++) {
    const work = Array.from({ length: 20 }, (_, i) => volume.mkdir(`/d${round}-${i}`));
    const rested = volume.volume.rest();
    await Promise.all([...work, volume.mkdir(`/late${round}`), rested, volume.volume.rest()]);
  }
  const names = await volume.list('/');
  expect(names.length).toBe(10 * 21 + 1);
  await volume.volume.rest();
  expect(await namesOnDisk(device)).toEqual(names);
  await volume.volume.unmount();
});

test('an inode whose last holder goes does not wake it, and is freed when it wakes', async () => {
  const { volume, device } = await scene();
  const inode = await volume.resolve('/file');
  volume.volume.acquire(inode);
  await volume.unlink('/file');
  await volume.volume.rest();
  volume.volume.forget(inode, 1);
  await volume.volume.sync();
  expect(volume.volume.resting).toBe(true);
  expect(await isClean(device)).toBe(true);
  // The lowest free number is taken: it was freed before.
  expect(await volume.mkdir('/new')).toBe(inode);
  await volume.volume.unmount();
  expect(await namesOnDisk(device)).toEqual(['new']);
});

test('one left to the next mount is freed by it', async () => {
  const { volume, device } = await scene();
  const inode = await volume.resolve('/file');
  volume.volume.acquire(inode);
  await volume.unlink('/file');
  await volume.volume.rest();
  volume.volume.forget(inode, 1);
  await volume.volume.unmount();
  const again = await TestVolume.open(device.clone());
  await expect(again.statInode(inode)).rejects.toMatchObject({ code: 'ESTALE' });
  await again.volume.unmount();
  expect((await checkVolume((again.device as MemoryDevice).reopen())).problems).toEqual([]);
});

test('a read-only mount is not woken', async () => {
  const volume = await (await scene()).volume.remount({ readOnly: true });
  await volume.volume.rest();
  await expect(volume.mkdir('/new')).rejects.toMatchObject({ code: 'EROFS' });
  await volume.volume.unmount();
});

test('it is not said to be clean when the device fails, nor woken when it cannot be marked', async () => {
  for (const failWhen of ['resting', 'waking'] as const) {
    const device = new SimulatedDevice({ sizeBytes: 8 * MIB });
    await formatted(device, 4096);
    const volume = await TestVolume.open(device);
    await volume.mkdir('/before');
    if (failWhen === 'waking') await volume.volume.rest();
    device.fault = ({ operation }) => (operation === 'write' ? Errno.EIO : 0);
    if (failWhen === 'resting') await expect(volume.volume.rest()).rejects.toThrow();
    await expect(volume.mkdir('/new')).rejects.toMatchObject({ code: 'EROFS' });
    expect(volume.volume.resting).toBe(false);
    expect(volume.volume.readOnly).toBe(true);
    await volume.volume.unmount().catch(() => {});
  }
});

test.each([3600, 0])(
  'the interval between commits can be changed while something waits for one: from %s s',
  async (commitSeconds) => {
    const volume = await TestVolume.make(8 * MIB, 4096, { commitSeconds });
    await volume.mkdir('/waiting');
    const { commits } = volume.volume.counters();
    volume.volume.adjust({ commitSeconds: 0.01 });
    await expect.poll(() => volume.volume.counters().commits).toBeGreaterThan(commits);
    await volume.volume.unmount();
  },
);

/** Whether the promise settles soon. */
async function settles(promise: Promise<unknown>): Promise<boolean> {
  const late = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 2000));
  return Promise.race([promise.then(() => true), late]);
}

/**
 * A volume on which `meanwhile` is called whenever the device is asked for something, and which is
 * put to rest then.
 */
async function restMeanwhile(
  options: VolumeOptions,
  begin: (volume: TestVolume, device: SimulatedDevice) => Promise<() => void>,
): Promise<TestVolume> {
  const device = new SimulatedDevice({ sizeBytes: 8 * MIB, seed: 3 });
  await formatted(device, 4096);
  const volume = await TestVolume.open(device, options);
  const meanwhile = await begin(volume, device);
  const before = device.fault;
  device.fault = (request) => {
    meanwhile();
    return before(request);
  };
  expect(await settles(volume.volume.rest())).toBe(true);
  device.fault = before;
  return volume;
}

const STRICT = { accessRules: { files: 'always', directories: 'always' } } as const;

test('reads that go on while it goes to rest do not keep it from it, nor wake it', async () => {
  const volume = await restMeanwhile(STRICT, async (made) => {
    const inode = await made.create('/file');
    await made.write(inode, 0, new Uint8Array(100).fill(3));
    return () => void made.read(inode, 0, 10);
  });
  await volume.volume.sync();
  expect(volume.volume.resting).toBe(true);
  await volume.volume.unmount();
});

test('removed files of many pieces that are let go of while it goes to rest do not keep it from it', async () => {
  const volume = await restMeanwhile({}, async (made) => {
    const inode = await made.create('/file');
    for (let i = 0; i < 600; i++) await made.write(inode, 2 * i * 4096, new Uint8Array(4096));
    made.volume.acquire(inode);
    await made.unlink('/file');
    let held = true;
    return () => {
      if (held) made.volume.forget(inode, 1);
      held = false;
    };
  });
  await volume.volume.unmount();
});

test('data that found no room on the host does not keep it from it, and is written when there is some', async () => {
  let inode = 0;
  const volume = await restMeanwhile({}, async (made, device) => {
    inode = await made.create('/file');
    await made.volume.sync();
    made.early = true;
    device.fault = ({ operation, lengthBytes }) =>
      operation === 'write' && lengthBytes === 20_480 ? Errno.ENOSPC : 0;
    await made.write(inode, 0, new Uint8Array(20_480).fill(5));
    made.early = false;
    return () => {};
  });
  expect(volume.volume.counters().lostBytesKept).toBe(20_480);
  const device = volume.device as SimulatedDevice;
  device.fault = () => 0;
  await volume.volume.unmount();
  const { content } = device.crash(5);
  const again = await TestVolume.open(new MemoryDevice(device.sizeBytes, 512, { content }));
  expect(await again.read(inode, 0, 20_480)).toEqual(new Uint8Array(20_480).fill(5));
  await again.volume.unmount();
});

test('a volume that is damaged stays read-only, though it was met while it went to rest or woke', async () => {
  const damaging = (made: TestVolume) => {
    let times = 0;
    return () => {
      if (times++ === 0) made.volume.corrupt(new CorruptionError(1, 'is not what it should be'));
    };
  };
  const resting = await restMeanwhile({}, async (made) => {
    await made.mkdir('/before');
    return damaging(made);
  });
  expect(resting.volume.resting).toBe(false);
  await expect(resting.mkdir('/new')).rejects.toMatchObject({ code: 'EROFS' });
  await resting.volume.unmount();

  const waking = await restMeanwhile({}, async () => () => {});
  const damage = damaging(waking);
  (waking.device as SimulatedDevice).fault = () => {
    damage();
    return 0;
  };
  await expect(waking.mkdir('/new')).rejects.toMatchObject({ code: 'EROFS' });
  expect(waking.volume.readOnly).toBe(true);
  await waking.volume.unmount();
});

test('what wakes it goes on before it goes to rest again', async () => {
  const { volume } = await scene();
  const inode = await volume.resolve('/file');
  volume.volume.acquire(inode);
  await volume.unlink('/file');
  await volume.volume.rest();
  const made = volume.mkdir('/new');
  await Promise.resolve();
  const resting = volume.volume.rest();
  // It has the file's lock, for which freeing the file waits, for which the rest waits.
  const written = volume.write(inode, 0, new Uint8Array(9));
  volume.volume.forget(inode, 1);
  expect(await settles(Promise.all([made, resting, written]))).toBe(true);
  await volume.volume.unmount();
  expect((await checkVolume((volume.device as MemoryDevice).reopen())).problems).toEqual([]);
});

const RESTS: VolumeOptions = { readOnly: true, mayRest: true };

describe('a mount that begins read-only', () => {
  test('writes nothing, and may become writable: the first change marks the volume as in use', async () => {
    const { volume, device } = await scene();
    await volume.volume.unmount();
    const before = device.clone();
    const quiet = await TestVolume.open(device.reopen(), RESTS);
    expect(quiet.volume).toMatchObject({ readOnly: true, resting: true, readOnlyForGood: false });
    await quiet.read(await quiet.resolve('/file'), 0, 10);
    await quiet.volume.sync();
    await quiet.volume.unmount();
    expect(await namesOnDisk(device)).toEqual(['file']);
    const whole = (one: MemoryDevice) => one.peek(0, one.sizeBytes);
    expect(Buffer.compare(whole(device), whole(before))).toBe(0);
    const woken = await TestVolume.open(device.reopen(), RESTS);
    await woken.create('/new');
    expect(await isClean(device)).toBe(false);
    await woken.volume.unmount();
    expect(await isClean(device)).toBe(true);
    expect(await namesOnDisk(device)).toEqual(['file', 'new']);
  });

  test('what the rest before has left is freed when it wakes', async () => {
    const { volume, device } = await scene();
    const held = [];
    for (const name of ['a', 'b', 'c']) {
      const inode = await volume.create(`/${name}`);
      await volume.write(inode, 0, new Uint8Array(100_000).fill(1));
      volume.volume.acquire(inode);
      held.push(inode);
      await volume.unlink(`/${name}`);
    }
    await volume.volume.rest();
    const copy = device.clone();
    const free = async (found: TestVolume) => (await found.volume.space()).freeBlocks;
    const woken = await TestVolume.open(copy, RESTS);
    const before = await free(woken);
    await woken.create('/new');
    await woken.volume.sync();
    await vi.waitFor(async () => expect(await free(woken)).toBeGreaterThan(before + 70), 5000);
    expect((await checkVolume(copy.clone())).problems).toEqual([]);
    await woken.volume.unmount();
    expect(await namesOnDisk(copy)).toEqual(['file', 'new']);
    for (const inode of held) volume.volume.forget(inode, 1);
    await volume.volume.unmount();
  });

  test('does not wake while nobody may change it', async () => {
    const { volume, device } = await scene();
    await volume.volume.unmount();
    let mayWake = false;
    const quiet = await TestVolume.open(device.reopen(), { ...RESTS, mayWake: () => mayWake });
    await expect(quiet.create('/new')).rejects.toMatchObject({ code: 'EROFS' });
    expect(await isClean(device)).toBe(true);
    mayWake = true;
    await quiet.create('/new');
    await quiet.volume.unmount();
  });

  test('stays so if it was not closed in order, or the device takes no changes', async () => {
    const { volume, device } = await scene();
    await volume.volume.sync();
    const crashed = await TestVolume.open(device.clone(), RESTS);
    expect(crashed.volume).toMatchObject({ readOnly: true, resting: false, readOnlyForGood: true });
    await expect(crashed.create('/new')).rejects.toMatchObject({ code: 'EROFS' });
    expect(await crashed.list('/')).toEqual(['file']);
    await crashed.volume.unmount();
    await volume.volume.unmount();
  });
});
