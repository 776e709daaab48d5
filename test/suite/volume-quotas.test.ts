/**
 * Quotas in a volume in memory: that usage is what the inodes add up to whatever is done, where
 * limits hold and where not, and that counting can be turned on and off. The checker, which counts
 * by itself, is the judge of usage.
 */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import type { Clock } from '../../src/fs/base/clock.ts';
import { emptyStatistics } from '../../src/fs/base/empty-attributes.ts';
import { FileFlag } from '../../src/fs/base/filesystem.ts';
import { defaultFeatures } from '../../src/fs/format/features.ts';
import { FileType, QuotaKind, ROOT_INODE } from '../../src/fs/format/format.ts';
import type { QuotaEntry } from '../../src/fs/inodes/quota-records.ts';
import type { LimitChanges } from '../../src/fs/inodes/quotas.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;
const BLOCK = 4096;
const USER = 1000;
const { user, group, project } = QuotaKind;
const EDQUOT = { code: 'EDQUOT' };
const encoder = new TextEncoder();

/** Time that passes when it is told to. */
class SetClock implements Clock {
  seconds = 1_000_000;
  nanoseconds = 0;
  read(): void {}
  roughSeconds(): number {
    return this.seconds;
  }
}

const clock = new SetClock();
let subject: TestVolume;

async function withQuotas(blockBytes = BLOCK, sizeBytes = 16 * MIB): Promise<TestVolume> {
  const device = new MemoryDevice(sizeBytes);
  await formatted(device, blockBytes, undefined, undefined, defaultFeatures().add('quota'));
  return TestVolume.open(device, { clock });
}

beforeEach(async () => {
  clock.seconds = 1_000_000;
  subject = await withQuotas();
  await subject.change('/', { mode: 0o777 });
  subject.asker = { isLimited: true };
});

/** All that is counted agrees with the inodes. */
afterEach(async () => {
  const copy = (subject.device as MemoryDevice).clone.bind(subject.device);
  await subject.volume.unmount();
  expect((await checkVolume(copy())).problems.map(({ message }) => message)).toEqual([]);
});

async function usage(kind: QuotaKind, id = USER): Promise<QuotaEntry | undefined> {
  return (await subject.volume.quotas.page(kind, id, 1)).entries.find((entry) => entry.id === id);
}

async function used(kind: QuotaKind, id = USER): Promise<[blocks: number, inodes: number]> {
  const entry = await usage(kind, id);
  return [entry?.blocks ?? 0, entry?.inodes ?? 0];
}

function limit(kind: QuotaKind, changes: LimitChanges, id = USER): Promise<void> {
  return subject.volume.quotas.setLimits(kind, id, changes);
}

async function fileOf(path: string, blocks: number): Promise<number> {
  const inode = await subject.create(path);
  if (blocks > 0) await subject.write(inode, 0, Buffer.alloc(blocks * BLOCK, 'x'));
  return inode;
}

async function setProject(path: string, projectId: number, flags?: number): Promise<void> {
  const inode = await subject.resolve(path);
  await subject.run((tx) => subject.volume.changeFlags(tx, inode, { projectId, flags }));
}

/** An unlinked file that nobody holds is freed a moment later. */
async function remove(path: string): Promise<void> {
  await subject.unlink(path);
  await subject.volume.sync();
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
}

describe('usage', () => {
  test('follows files, their size, holes and space set aside', async () => {
    const file = await fileOf('/file', 10);
    expect(await used(user)).toEqual([10, 1]);
    await subject.truncate('/file', 4 * BLOCK);
    expect(await used(user)).toEqual([4, 1]);
    await subject.volume.punchHole(file, 0, 2 * BLOCK);
    expect(await used(user)).toEqual([2, 1]);
    await subject.volume.preallocate(file, 0, 20 * BLOCK);
    expect(await used(user)).toEqual([20, 1]);
    await subject.write(file, 0, Buffer.alloc(3 * BLOCK, 'y'));
    expect(await used(user)).toEqual([20, 1]);
    expect(await used(group)).toEqual([20, 1]);
    await remove('/file');
    expect(await usage(user)).toBeUndefined();
  });

  test('follows directories, links, attributes and unnamed files', async () => {
    await subject.mkdir('/folder');
    for (let i = 0; i < 60; i++)
      await subject.symlink('x', `/folder/a name that is rather long, number ${i}`);
    const [blocks] = await used(user);
    expect(blocks).toBeGreaterThan(0);
    expect((await used(user))[1]).toBe(61);
    await subject.symlink('y'.repeat(2000), '/long');
    expect(await used(user)).toEqual([blocks + 1, 62]);
    const attribute = { name: encoder.encode('user.large'), value: Buffer.alloc(1000, 1) };
    const inode = await subject.resolve('/long');
    await subject.run((tx) => subject.volume.setExtendedAttribute(tx, inode, attribute));
    expect(await used(user)).toEqual([blocks + 2, 62]);
    await subject.link('/long', '/other');
    expect(await used(user)).toEqual([blocks + 2, 62]);
    const request = { mode: FileType.regular | 0o600, deviceNumber: 0, caller: subject.caller };
    const unnamed = await subject.run((tx) => subject.volume.createUnnamed(tx, ROOT_INODE, request));
    expect((await used(user))[1]).toBe(63);
    subject.volume.forget(unnamed, 1);
    await subject.volume.sync();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await used(user))[1]).toBe(62);
  });

  test('moves with the owner, the group and the project', async () => {
    await fileOf('/file', 6);
    await subject.change('/file', { uid: 1001, gid: 1002 });
    expect(await usage(user)).toBeUndefined();
    expect(await used(user, 1001)).toEqual([6, 1]);
    expect(await used(group, 1002)).toEqual([6, 1]);
    expect(await used(project, 7)).toEqual([0, 0]);
    await setProject('/file', 7);
    expect(await used(project, 7)).toEqual([6, 1]);
    await setProject('/file', 8);
    expect(await used(project, 7)).toEqual([0, 0]);
    expect(await used(project, 8)).toEqual([6, 1]);
    await setProject('/file', 0);
    expect((await subject.volume.quotas.page(project, 0, 9)).entries).toEqual([]);
  });

  test('is kept over a mount, and of many ids', async () => {
    subject.asker = undefined;
    for (let id = 1; id <= 300; id++) {
      subject.caller = { uid: id * 7919, gid: id * 104_729, umask: 0 };
      await fileOf(`/${id}`, id % 3);
    }
    subject = await subject.remount({ clock });
    expect(await used(user, 7919 * 200)).toEqual([2, 1]);
    const page = await subject.volume.quotas.page(group, 0, 1000);
    expect(page.entries).toHaveLength(301);
    for (let id = 1; id <= 300; id++) await subject.unlink(`/${id}`);
    await remove('/none').catch(() => {});
    expect((await subject.volume.quotas.page(user, 1, 9)).entries).toEqual([]);
  });

  test('does not change when a file is put together', async () => {
    const one = await fileOf('/one', 0);
    const two = await fileOf('/two', 0);
    for (let i = 0; i < 30; i++) {
      await subject.write(one, i * BLOCK, Buffer.alloc(BLOCK, 1));
      await subject.write(two, i * 2 * BLOCK, Buffer.alloc(BLOCK, 2));
    }
    await limit(user, { hardBlocks: 10 });
    const before = await used(user);
    const { outcome } = await subject.volume.defragment({ inode: one, from: 0, dryRun: false });
    expect(outcome).toBe('better');
    expect(await used(user)).toEqual(before);
  });
});

describe('a hard limit', () => {
  test('of blocks is met by writes, as they come or from a cache, and not passed', async () => {
    await limit(user, { hardBlocks: 8 });
    const file = await fileOf('/file', 6);
    await expect(subject.write(file, 6 * BLOCK, Buffer.alloc(3 * BLOCK))).rejects.toMatchObject(EDQUOT);
    expect(await used(user)).toEqual([6, 1]);
    await subject.write(file, 6 * BLOCK, Buffer.alloc(2 * BLOCK));
    await subject.write(file, 0, Buffer.alloc(8 * BLOCK, 'over what is there'));
    await expect(subject.write(file, 8 * BLOCK, Buffer.alloc(1))).rejects.toMatchObject(EDQUOT);
    await subject.truncate('/file', BLOCK);
    await subject.write(file, BLOCK, Buffer.alloc(BLOCK));
  });

  test('is told of by the fsync of what was answered early, as want of space is', async () => {
    await limit(user, { hardBlocks: 4 });
    subject.early = true;
    subject.fromCache = true;
    const file = await fileOf('/file', 3);
    await expect(subject.write(file, 3 * BLOCK, Buffer.alloc(2 * BLOCK))).rejects.toMatchObject(EDQUOT);
    await expect(subject.volume.sync(file)).rejects.toMatchObject(EDQUOT);
    await subject.truncate('/file', 3 * BLOCK);
    await subject.volume.sync(file);
  });

  test('counts what writes under way have reserved', async () => {
    await limit(user, { hardBlocks: 10 });
    subject.early = true;
    const file = await fileOf('/file', 0);
    const writes = Array.from({ length: 8 }, (_, i) =>
      subject.write(file, i * 2 * BLOCK, Buffer.alloc(2 * BLOCK, 1)),
    );
    const ended = await Promise.allSettled(writes);
    expect(ended.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
    await subject.volume.sync(file).catch(() => {});
    expect(await used(user)).toEqual([10, 1]);
  });

  test('is met by preallocation, before any of it', async () => {
    await limit(user, { hardBlocks: 8 });
    const inode = await fileOf('/file', 2);
    const request = { inode, offsetBytes: 0, keepSize: false, updateTimes: true, killPrivileges: false };
    const allocate = (blocks: number) =>
      subject.volume.fallocate({
        ...request,
        action: 'allocate',
        lengthBytes: blocks * BLOCK,
        isLimited: true,
      });
    await expect(allocate(9)).rejects.toMatchObject(EDQUOT);
    expect(await used(user)).toEqual([2, 1]);
    await allocate(8);
    await subject.write(inode, 0, Buffer.alloc(8 * BLOCK, 'into what was set aside'));
  });

  test('of blocks is met by data that leaves the inode, long links, names and attributes', async () => {
    const file = await subject.create('/file');
    await subject.write(file, 0, Buffer.alloc(100, 'small'));
    await subject.mkdir('/folder');
    await limit(user, { hardBlocks: 1 });
    await fileOf('/full', 1);
    await expect(subject.truncate('/file', 5000)).rejects.toMatchObject(EDQUOT);
    await expect(subject.symlink('y'.repeat(2000), '/long')).rejects.toMatchObject(EDQUOT);
    const attribute = { name: encoder.encode('user.large'), value: Buffer.alloc(1000, 1) };
    const set = () => subject.run((tx) => subject.volume.setExtendedAttribute(tx, file, attribute));
    await expect(set()).rejects.toMatchObject(EDQUOT);
    const many = async () => {
      for (let i = 0; i < 20; i++)
        await subject.symlink('x', `/folder/a name that is rather long, number ${i}`);
    };
    await expect(many()).rejects.toMatchObject(EDQUOT);
    await remove('/full');
    await set();
  });

  test('of inodes is met by whatever is made, and not by names', async () => {
    await subject.create('/file');
    await limit(user, { hardInodes: 1 });
    await expect(subject.create('/other')).rejects.toMatchObject(EDQUOT);
    await expect(subject.mkdir('/folder')).rejects.toMatchObject(EDQUOT);
    await expect(subject.symlink('x', '/link')).rejects.toMatchObject(EDQUOT);
    await subject.link('/file', '/second');
    await subject.rename('/second', '/third');
    await remove('/third');
    await expect(subject.create('/other')).rejects.toMatchObject(EDQUOT);
    await remove('/file');
    await subject.create('/other');
  });

  test('holds for who is given something', async () => {
    await fileOf('/file', 4);
    await limit(user, { hardBlocks: 3 }, 1001);
    await limit(group, { hardInodes: 1 }, 1002);
    await limit(project, { hardBlocks: 3 }, 9);
    await expect(subject.change('/file', { uid: 1001 })).rejects.toMatchObject(EDQUOT);
    await expect(setProject('/file', 9)).rejects.toMatchObject(EDQUOT);
    await subject.change('/file', { gid: 1002 });
    await subject.create('/more');
    await expect(subject.change('/more', { gid: 1002 })).rejects.toMatchObject(EDQUOT);
    expect(await used(user)).toEqual([4, 2]);
  });

  test('holds for nobody who may pass it, for no id 0, and not where a mount has it off', async () => {
    await limit(user, { hardBlocks: 1, hardInodes: 1 });
    await expect(limit(user, { hardBlocks: 1 }, 0)).rejects.toMatchObject({ code: 'EINVAL' });
    subject.asker = undefined;
    await fileOf('/file', 5);
    await fileOf('/other', 0);
    subject.asker = { isLimited: true };
    await expect(fileOf('/third', 0)).rejects.toMatchObject(EDQUOT);
    subject.volume.adjust({ quota: false });
    await fileOf('/third', 5);
    expect(await used(user)).toEqual([10, 3]);
  });
});

describe('a soft limit', () => {
  test('may be passed until the time of grace is over', async () => {
    await subject.volume.quotas.setGrace(user, { blockSeconds: 100, inodeSeconds: 50 });
    await limit(user, { softBlocks: 4, hardBlocks: 20, softInodes: 1 });
    const file = await fileOf('/file', 4);
    expect((await usage(user))?.blockLimits.deadline).toBe(0);
    await subject.write(file, 4 * BLOCK, Buffer.alloc(BLOCK));
    expect((await usage(user))?.blockLimits.deadline).toBe(1_000_100);
    clock.seconds += 60;
    await subject.write(file, 5 * BLOCK, Buffer.alloc(BLOCK));
    expect((await usage(user))?.blockLimits.deadline).toBe(1_000_100);
    await subject.create('/second');
    clock.seconds += 50;
    await expect(subject.write(file, 6 * BLOCK, Buffer.alloc(BLOCK))).rejects.toMatchObject(EDQUOT);
    await expect(subject.create('/third')).rejects.toMatchObject(EDQUOT);
    await subject.truncate('/file', 4 * BLOCK);
    expect((await usage(user))?.blockLimits.deadline).toBe(0);
    await subject.write(file, 4 * BLOCK, Buffer.alloc(BLOCK));
    expect((await usage(user))?.blockLimits.deadline).toBe(1_000_210);
  });

  test('that is set below what there is begins the time; one that is raised ends it', async () => {
    await fileOf('/file', 4);
    await limit(user, { softBlocks: 2 });
    expect((await usage(user))?.blockLimits.deadline).toBe(1_000_000 + 7 * 24 * 3600);
    await limit(user, { softBlocks: 4 });
    expect((await usage(user))?.blockLimits.deadline).toBe(0);
  });
});

describe('a project', () => {
  test('is given by a directory to what is made in it, and is the size of that', async () => {
    await subject.mkdir('/folder');
    await setProject('/folder', 5, FileFlag.inheritsProject);
    await subject.mkdir('/folder/below');
    await fileOf('/folder/below/file', 3);
    expect(await used(project, 5)).toEqual([3, 3]);
    await limit(project, { hardBlocks: 8, hardInodes: 10 }, 5);
    const inode = await subject.resolve('/folder/below');
    const space = emptyStatistics();
    await subject.run((tx) => subject.volume.statistics(tx, space, inode));
    expect(space).toMatchObject({ blocks: 8, freeBlocks: 5, inodes: 3, freeInodes: 7 });
    await subject.run((tx) => subject.volume.statistics(tx, space, ROOT_INODE));
    expect(space.blocks).toBeGreaterThan(1000);
  });

  test('is not left or entered by a link or a new name', async () => {
    await subject.mkdir('/folder');
    await setProject('/folder', 5, FileFlag.inheritsProject);
    await fileOf('/file', 0);
    const crossing = { code: 'EXDEV' };
    await expect(subject.rename('/file', '/folder/file')).rejects.toMatchObject(crossing);
    await expect(subject.link('/file', '/folder/file')).rejects.toMatchObject(crossing);
    await fileOf('/folder/own', 0);
    await expect(subject.rename('/file', '/folder/own', 2)).rejects.toMatchObject(crossing);
    await expect(subject.rename('/folder/own', '/file', 2)).rejects.toMatchObject(crossing);
    await subject.rename('/folder/own', '/out');
    await setProject('/file', 5);
    await subject.rename('/file', '/folder/file');
  });
});

describe('counting', () => {
  test('is turned on for what is there, off, and on again with the limits that there were', async () => {
    const device = new MemoryDevice(16 * MIB);
    await formatted(device, 1024);
    await subject.volume.unmount();
    subject = await TestVolume.open(device, { clock });
    for (let id = 1; id <= 100; id++) {
      subject.caller = { uid: id, gid: 100, umask: 0 };
      await subject.write(await subject.create(`/${id}`), 0, Buffer.alloc(id * 100, 'x'));
    }
    expect(await subject.volume.quotas.kinds()).toEqual([]);
    await expect(subject.volume.quotas.page(user, 0, 9)).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
    await subject.volume.quotas.turnOn([user, project]);
    subject = await subject.remount({ clock });
    expect(await subject.volume.quotas.kinds()).toEqual([user, project]);
    await expect(subject.volume.quotas.page(group, 0, 9)).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
    expect(await used(user, 100)).toEqual([10, 1]);
    await limit(user, { hardBlocks: 99 }, 100);
    await subject.unlink('/100');
    await subject.volume.quotas.turnOn([user, group]);
    subject = await subject.remount({ clock });
    expect((await usage(user, 100))?.blockLimits.hard).toBe(99);
    expect(await used(user, 100)).toEqual([0, 0]);
    expect((await used(group, 100))[1]).toBe(99);
    await subject.volume.quotas.turnOff();
    subject = await subject.remount({ clock });
    expect(await subject.volume.quotas.kinds()).toEqual([]);
  });

  test('goes with a volume that becomes smaller', async () => {
    subject.asker = undefined;
    await fileOf('/large', 2500);
    for (let id = 1; id <= 200; id++) {
      subject.caller = { uid: id, gid: id, umask: 0 };
      await fileOf(`/${id}`, 1);
    }
    await remove('/large');
    await subject.volume.shrink(8 * MIB);
    subject = await subject.remount({ clock });
    expect(await used(user, 150)).toEqual([1, 1]);
  });
});
