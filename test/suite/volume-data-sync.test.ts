/**
 * A sync of data alone, as fdatasync(2) asks for: a flush where nothing but times has changed since
 * the last commit, a commit otherwise. The crash simulator has the rest (test/crash/scenarios.ts).
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;
const BLOCK = 4096;

class CountingDevice extends MemoryDevice {
  writes = 0;
  flushes = 0;

  override write(...request: Parameters<MemoryDevice['write']>): void {
    this.writes++;
    super.write(...request);
  }

  override flush(...request: Parameters<MemoryDevice['flush']>): void {
    this.flushes++;
    super.flush(...request);
  }

  /** What they are from now on. */
  reset(): void {
    this.writes = 0;
    this.flushes = 0;
  }
}

let device: CountingDevice;
let volume: TestVolume;
let inode: number;

function data(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

/** The volume as the device has it now. */
function onDisk(): Promise<TestVolume> {
  return TestVolume.open(device.clone());
}

beforeEach(async () => {
  device = new CountingDevice(16 * MIB);
  await formatted(device, BLOCK);
  volume = await TestVolume.open(device);
  inode = await volume.create('/file');
  await volume.create('/other');
  await volume.write(inode, 0, data(10 * BLOCK, 1));
  await volume.volume.sync();
  device.reset();
});

describe('is a flush', () => {
  test.each([false, true])(
    'after a write within the file, the kernel keeping the times: %s',
    async (keeps) => {
      volume.keepsTimes = keeps;
      volume.early = keeps;
      await volume.write(inode, BLOCK, data(2 * BLOCK, 2));
      await volume.volume.sync(inode, true);
      expect([device.writes, device.flushes]).toEqual([1, 1]);
      const copy = await onDisk();
      expect(await copy.read(await copy.resolve('/file'), 2 * BLOCK, 1)).toEqual(data(1, 2));
    },
  );

  test.each([false, true])(
    'after a write by an ordinary user, who has nothing to take away, answered early: %s',
    async (early) => {
      volume.killsPrivileges = true;
      volume.early = early;
      await volume.write(inode, 0, data(BLOCK, 2));
      await volume.volume.sync(inode, true);
      expect([device.writes, device.flushes]).toEqual([1, 1]);
    },
  );

  test('after a change of times, which a later sync of all brings to the disk', async () => {
    await volume.change('/file', { modifySeconds: 77, changeSeconds: 78 });
    await volume.write(inode, 0, data(100, 3));
    await volume.volume.sync(inode, true);
    expect([device.writes, device.flushes]).toEqual([1, 1]);
    await volume.change('/file', { modifySeconds: 77, changeSeconds: 78 });
    await volume.volume.sync(inode);
    expect(device.writes).toBeGreaterThan(1);
    expect(await (await onDisk()).stat('/file')).toMatchObject({ modifySeconds: 77, changeSeconds: 78 });
  });

  test('after a read, whose time is in memory only', async () => {
    await volume.run((tx) => volume.volume.accessed(tx, inode));
    await volume.volume.sync(inode, true);
    expect(device.writes).toBe(0);
  });

  test('again, when a sync of data has brought everything else to the disk', async () => {
    await volume.write(inode, 10 * BLOCK, data(BLOCK, 4));
    await volume.volume.sync(inode, true);
    device.reset();
    await volume.write(inode, 10 * BLOCK, data(BLOCK, 5));
    await volume.volume.sync(inode, true);
    expect([device.writes, device.flushes]).toEqual([1, 1]);
  });
});

describe('is a commit', () => {
  test.each<[string, () => Promise<unknown>, (copy: TestVolume) => Promise<unknown>, unknown]>([
    [
      'after a write behind the end',
      () => volume.write(inode, 10 * BLOCK, data(5, 4)),
      async (copy) => (await copy.stat('/file')).sizeBytes,
      10 * BLOCK + 5,
    ],
    ...[false, true].map(
      (keeps): [string, () => Promise<unknown>, (copy: TestVolume) => Promise<unknown>, unknown] => [
        `after one behind the end, in the last block, the kernel keeping the times: ${keeps}`,
        async () => {
          await volume.truncate('/file', 9 * BLOCK + 100);
          await volume.volume.sync();
          volume.keepsTimes = keeps;
          await volume.write(inode, 9 * BLOCK + 100, data(200, 4));
        },
        async (copy) => (await copy.stat('/file')).sizeBytes,
        9 * BLOCK + 300,
      ],
    ),
    [
      'after one into a hole',
      async () => {
        await volume.truncate('/other', 9 * BLOCK);
        await volume.volume.sync();
        await volume.write(await volume.resolve('/other'), 3 * BLOCK, data(BLOCK, 6));
      },
      async (copy) => [...(await copy.read(await copy.resolve('/other'), 3 * BLOCK, 1))],
      [6],
    ],
    [
      'after one into blocks that were reserved',
      async () => {
        const other = await volume.resolve('/other');
        const range = { inode: other, offsetBytes: 0, lengthBytes: 4 * BLOCK, killPrivileges: false };
        await volume.volume.fallocate({ ...range, action: 'allocate', keepSize: false, updateTimes: true });
        await volume.volume.sync();
        await volume.write(other, 0, data(BLOCK, 7));
      },
      async (copy) => [...(await copy.read(await copy.resolve('/other'), 0, 1))],
      [7],
    ],
    [
      'after one that is small enough for the inode',
      async () => {
        const other = await volume.resolve('/other');
        await volume.write(other, 0, data(10, 1));
        await volume.volume.sync();
        await volume.write(other, 0, data(10, 8));
      },
      async (copy) => [...(await copy.read(await copy.resolve('/other'), 9, 1))],
      [8],
    ],
    [
      'after a change of the mode',
      () => volume.change('/file', { mode: 0o600 }),
      async (copy) => (await copy.stat('/file')).mode & 0o777,
      0o600,
    ],
    [
      'after a change of the owner, with times',
      () => volume.change('/file', { uid: 5, modifySeconds: 9 }),
      async (copy) => (await copy.stat('/file')).uid,
      5,
    ],
    [
      'after a change of the group alone',
      () => volume.change('/file', { gid: 6 }),
      async (copy) => (await copy.stat('/file')).gid,
      6,
    ],
    ...[false, true].map(
      (early): [string, () => Promise<unknown>, (copy: TestVolume) => Promise<unknown>, unknown] => [
        `after a write that took set-user-id away, answered early: ${early}`,
        async () => {
          await volume.change('/file', { mode: 0o4755 });
          await volume.volume.sync();
          volume.killsPrivileges = true;
          volume.early = early;
          await volume.write(inode, 0, data(BLOCK, 2));
        },
        async (copy) => (await copy.stat('/file')).mode & 0o7777,
        0o755,
      ],
    ),
    [
      'after a change of times that took it away',
      async () => {
        await volume.change('/file', { mode: 0o4755 });
        await volume.volume.sync();
        await volume.change('/file', { killPrivileges: true, modifySeconds: 5 });
      },
      async (copy) => (await copy.stat('/file')).mode & 0o7777,
      0o755,
    ],
    [
      'after times and more in one transaction',
      () =>
        volume.run((tx) => {
          volume.volume.changeAttributes(tx, inode, { modifySeconds: 5 });
          volume.volume.changeAttributes(tx, inode, { mode: 0o600 });
          volume.volume.changeAttributes(tx, inode, { modifySeconds: 6 });
        }),
      async (copy) => (await copy.stat('/file')).mode & 0o777,
      0o600,
    ],
    [
      'after a truncation',
      () => volume.truncate('/file', 5),
      async (copy) => (await copy.stat('/file')).sizeBytes,
      5,
    ],
    [
      'after a new name',
      () => volume.link('/file', '/name'),
      (copy) => copy.list('/'),
      ['file', 'name', 'other'],
    ],
    ['after a rename', () => volume.rename('/file', '/name'), (copy) => copy.list('/'), ['name', 'other']],
    ['after a name went', () => volume.unlink('/other'), (copy) => copy.list('/'), ['file']],
  ])('%s', async (_, change, look, expected) => {
    await change();
    await volume.volume.sync(inode, true);
    const seen = await look(await onDisk());
    expect(Array.isArray(seen) ? [...seen].sort() : seen).toEqual(expected);
  });
});

test('waits for what was answered early', async () => {
  // Every request is held back for a while.
  const slow = new SimulatedDevice({ sizeBytes: 16 * MIB, seed: 3, stragglers: 1 });
  await formatted(slow, BLOCK);
  volume = await TestVolume.open(slow);
  inode = await volume.create('/file');
  await volume.write(inode, 0, data(BLOCK, 1));
  await volume.volume.sync();
  volume.early = true;
  volume.keepsTimes = true;
  await volume.write(inode, 0, data(BLOCK, 2));
  await volume.volume.sync(inode, true);
  const { content } = slow.crash(5);
  const copy = await TestVolume.open(new MemoryDevice(slow.sizeBytes, 512, { content }));
  expect(await copy.read(inode, 0, BLOCK)).toEqual(data(BLOCK, 2));
});
