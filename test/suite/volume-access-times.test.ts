/**
 * Access times: which reads move them, what is said of them meanwhile, and what is on disk in the
 * end.
 */
import { expect, test, vi } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import type { Clock } from '../../src/fs/base/clock.ts';
import type { AccessRules } from '../../src/fs/base/filesystem.ts';
import { MOST_ACCESS_TIMES } from '../../src/fs/base/limits.ts';
import { FileType } from '../../src/fs/format/format.ts';
import { AccessTimes } from '../../src/fs/inodes/access-times.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;
const DAY = 24 * 60 * 60;
const NEVER: AccessRules = { files: 'never', directories: 'never' };
const ALWAYS: AccessRules = { files: 'always', directories: 'always' };

class SetClock implements Clock {
  seconds = 1_000_000;
  nanoseconds = 5;
  read(): void {}
  roughSeconds(): number {
    return this.seconds;
  }
}

interface Scene {
  readonly clock: SetClock;
  readonly volume: TestVolume;
  readonly inode: number;
  /** Reads the file and says its access time. */
  readAt(seconds: number): Promise<number>;
  accessTime(inode?: number): Promise<number>;
}

async function scene(accessRules?: AccessRules): Promise<Scene> {
  const clock = new SetClock();
  const volume = await TestVolume.make(8 * MIB, 4096, { clock, ...(accessRules ? { accessRules } : {}) });
  const inode = await volume.create('/file');
  await volume.write(inode, 0, new Uint8Array(5000).fill(7));
  const accessTime = async (of = inode) => (await volume.statInode(of)).accessSeconds;
  const readAt = async (seconds: number) => {
    clock.seconds = seconds;
    await volume.read(inode, 0, 100);
    return accessTime();
  };
  return { clock, volume, inode, accessTime, readAt };
}

/** The times as they stand on the device after the unmount, and nothing for the checker to find. */
async function onDisk({ volume, inode }: Scene): Promise<number> {
  await volume.volume.unmount();
  const device = (volume.device as MemoryDevice).clone();
  expect((await checkVolume(device)).problems).toEqual([]);
  const again = await TestVolume.open(device, { readOnly: true });
  const { accessSeconds } = await again.statInode(inode);
  await again.volume.unmount();
  return accessSeconds;
}

test('relative: the first read after a change moves it, the next ones do not, one after a day does', async () => {
  const stage = await scene();
  expect(await stage.readAt(1_000_010)).toBe(1_000_010);
  expect(await stage.readAt(1_000_020)).toBe(1_000_010);
  expect(await stage.readAt(1_000_010 + DAY - 1)).toBe(1_000_010);
  expect(await stage.readAt(1_000_010 + DAY)).toBe(1_000_010 + DAY);
  stage.clock.seconds += 10;
  await stage.volume.change('/file', { mode: 0o600 });
  expect(await stage.readAt(1_000_025 + DAY)).toBe(1_000_025 + DAY);
  expect(await onDisk(stage)).toBe(1_000_025 + DAY);
});

test('relative goes by nanoseconds where the seconds are the same', async () => {
  const { clock, volume, inode, accessTime } = await scene();
  clock.nanoseconds = 6;
  await volume.read(inode, 0, 1);
  clock.nanoseconds = 7;
  await volume.read(inode, 0, 1);
  expect((await volume.statInode(inode)).accessNanoseconds).toBe(6);
  await volume.change('/file', { modifySeconds: clock.seconds, modifyNanoseconds: 6 });
  clock.seconds++;
  await volume.read(inode, 0, 1);
  expect(await accessTime()).toBe(clock.seconds);
  await volume.volume.unmount();
});

test('always moves it at each read, never at none', async () => {
  const always = await scene(ALWAYS);
  expect(await always.readAt(1_000_010)).toBe(1_000_010);
  expect(await always.readAt(1_000_011)).toBe(1_000_011);
  expect(await onDisk(always)).toBe(1_000_011);
  const never = await scene(NEVER);
  expect(await never.readAt(1_000_010)).toBe(1_000_000);
  expect(await onDisk(never)).toBe(1_000_000);
});

test('directories and symlinks are read too, and directories may have a rule of their own', async () => {
  for (const directories of ['relative', 'never'] as const) {
    const { clock, volume } = await scene({ files: 'relative', directories });
    const directory = await volume.mkdir('/directory');
    const link = await volume.symlink('target', '/link');
    clock.seconds += 10;
    await volume.volume.run((tx) => volume.volume.accessed(tx, directory));
    await volume.volume.run((tx) => volume.volume.accessed(tx, link));
    const moved = directories === 'relative' ? 10 : 0;
    expect((await volume.statInode(directory)).accessSeconds).toBe(1_000_000 + moved);
    expect((await volume.statInode(link)).accessSeconds).toBe(1_000_010);
    await volume.volume.unmount();
  }
});

test('reads cost no transaction: nothing is dirty before the commit, and that writes the time', async () => {
  const stage = await scene();
  await stage.volume.volume.sync();
  const { commits } = stage.volume.volume.counters();
  await stage.readAt(1_000_010);
  expect(stage.volume.volume.counters()).toMatchObject({ dirtyFrames: 0, commits });
  await stage.volume.volume.sync();
  expect(stage.volume.volume.counters()).toMatchObject({ dirtyFrames: 0, commits: commits + 1 });
  const crashed = await TestVolume.open((stage.volume.device as MemoryDevice).clone(), { readOnly: true });
  expect((await crashed.statInode(stage.inode)).accessSeconds).toBe(1_000_010);
  await crashed.volume.unmount();
  await stage.volume.volume.unmount();
});

test('what was gathered is written by the commit that the clock brings, without any change beside it', async () => {
  const clock = new SetClock();
  const volume = await TestVolume.make(8 * MIB, 4096, { clock, commitSeconds: 0.02 });
  const inode = await volume.create('/file');
  await vi.waitFor(() => expect(volume.volume.counters().dirtyFrames).toBe(0));
  clock.seconds += 10;
  const { commits } = volume.volume.counters();
  await volume.read(inode, 0, 1);
  await vi.waitFor(() => expect(volume.volume.counters().commits).toBeGreaterThan(commits));
  await vi.waitFor(() => expect(volume.volume.counters().dirtyFrames).toBe(0));
  const crashed = await TestVolume.open((volume.device as MemoryDevice).clone(), { readOnly: true });
  expect((await crashed.statInode(inode)).accessSeconds).toBe(clock.seconds);
  await crashed.volume.unmount();
  await volume.volume.unmount();
});

test('a time that is set wins over one that was gathered', async () => {
  const stage = await scene();
  await stage.readAt(1_000_010);
  await stage.volume.change('/file', { accessSeconds: 77, accessNanoseconds: 8 });
  expect(await stage.accessTime()).toBe(77);
  await stage.volume.volume.sync();
  expect(await stage.accessTime()).toBe(77);
  expect(await onDisk(stage)).toBe(77);
});

test('other changes leave the gathered time as it is', async () => {
  const stage = await scene();
  await stage.readAt(1_000_010);
  await stage.volume.truncate('/file', 10);
  await stage.volume.change('/file', { modifySeconds: 5 });
  expect(await stage.accessTime()).toBe(1_000_010);
  expect(await onDisk(stage)).toBe(1_000_010);
});

test('the time of a file that is gone does not come back in the next one of its number', async () => {
  const stage = await scene();
  await stage.readAt(3_000_000);
  await stage.volume.unlink('/file');
  await stage.volume.volume.sync();
  stage.clock.seconds = 1_000_020;
  expect(await stage.volume.create('/next')).toBe(stage.inode);
  expect(await stage.accessTime()).toBe(1_000_020);
  expect(await onDisk(stage)).toBe(1_000_020);
});

test('a read-only mount moves nothing', async () => {
  const stage = await scene();
  const volume = await stage.volume.remount({ readOnly: true, clock: stage.clock, accessRules: ALWAYS });
  stage.clock.seconds += 10;
  await volume.read(stage.inode, 0, 10);
  expect((await volume.statInode(stage.inode)).accessSeconds).toBe(1_000_000);
  await volume.volume.unmount();
});

test('they are brought in once for a commit, however much changes until it is made', async () => {
  const device = new MemoryDevice(64 * MIB);
  await formatted(device, 1024, 128);
  const volume = await TestVolume.open(device, { accessRules: ALWAYS });
  const inodes: number[] = [];
  for (let i = 0; i < 700; i++) inodes.push(await volume.create(`/f${i}`));
  await volume.volume.sync();
  for (const inode of inodes) await volume.volume.run((tx) => volume.volume.accessed(tx, inode));
  const write = vi.spyOn(AccessTimes.prototype, 'write');
  const before = volume.volume.counters().commits;
  await Promise.all(
    inodes.map((inode) =>
      volume.volume.run((tx) => {
        volume.volume.changeAttributes(tx, inode, { mode: 0o600 });
      }),
    ),
  );
  const commits = volume.volume.counters().commits - before;
  expect(commits).toBeGreaterThan(2);
  expect(write.mock.calls.length).toBeLessThanOrEqual(commits + 1);
  write.mockRestore();
  await volume.volume.unmount();
});

test('far more files than are kept, more blocks than are cached, and the smallest journal', async () => {
  const device = new MemoryDevice(64 * MIB);
  await formatted(device, 1024, 128);
  const clock = new SetClock();
  const volume = await TestVolume.open(device, { clock, accessRules: ALWAYS, cacheBytes: 4 * MIB });
  const count = MOST_ACCESS_TIMES + 1000;
  const names = Array.from({ length: count }, (_, i) => new TextEncoder().encode(`f${i}`));
  const request = {
    mode: FileType.regular | 0o644,
    deviceNumber: 0,
    caller: { uid: 0, gid: 0, umask: 0 },
  };
  const inodes: number[] = [];
  for (const name of names)
    inodes.push(await volume.volume.run((tx) => volume.volume.create(tx, 1, name, request)));
  clock.seconds += 10;
  for (const inode of inodes) await volume.volume.run((tx) => volume.volume.accessed(tx, inode));
  await volume.volume.unmount();
  const again = await TestVolume.open(device.clone(), { readOnly: true });
  let moved = 0;
  for (const inode of inodes) if ((await again.statInode(inode)).accessSeconds === clock.seconds) moved++;
  expect(moved).toBeGreaterThanOrEqual(MOST_ACCESS_TIMES);
  await again.volume.unmount();
  expect((await checkVolume(device.clone())).problems).toEqual([]);
});
