/**
 * Rules of the volume for names, times and modes that are Quarry's own, or that only the kernel may
 * ask for. What POSIX and Linux promise is in test/posix.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { FileType } from '../../src/fs/format/format.ts';
import { SetClock } from '../posix/set-clock.ts';
import { CALLER, TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;

let clock: SetClock;
let volume: TestVolume;

beforeEach(async () => {
  clock = new SetClock();
  volume = await TestVolume.make(8 * MIB, 4096, { clock });
});

test('ctime is what the kernel says, where it keeps it, and the time of birth stays', async () => {
  await volume.create('/f');
  const [birthSeconds, birthNanoseconds] = [clock.seconds, clock.nanoseconds];
  clock.advance();
  const changes = { changeSeconds: 31, changeNanoseconds: 32 };
  await volume.change('/f', changes);
  expect(await volume.stat('/f')).toMatchObject({ ...changes, birthSeconds, birthNanoseconds });
});

describe('times of a truncation', () => {
  test.each([
    ['a file in its inode', 100],
    ['a file of blocks', 10_000],
  ])('%s: moved by another size, and not by the same', async (_, sizeBytes) => {
    await volume.create('/f');
    await volume.truncate('/f', sizeBytes);
    clock.advance();
    const before = await volume.stat('/f');
    await volume.truncate('/f', sizeBytes);
    expect(await volume.stat('/f')).toEqual(before);
    await volume.truncate('/f', sizeBytes - 1);
    const moved = { modifySeconds: clock.seconds, changeSeconds: clock.seconds };
    expect(await volume.stat('/f')).toMatchObject(moved);
  });
});

describe('a write by an ordinary user', () => {
  function writeAs(inode: number, killPrivileges: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      volume.volume.write({
        inode,
        offsetBytes: 0,
        lengthBytes: 100,
        memory: volume.device.allocateMemory(32 * 1024),
        memoryOffset: 0,
        updateTimes: true,
        killPrivileges,
        mayEndEarly: false,
        finished: (thrown) => (thrown === undefined ? resolve() : reject(thrown)),
      });
      volume.volume.submit();
    });
  }

  test.each([
    [0o6775, 0o775],
    [0o4755, 0o755],
    [0o2755, 0o755],
    // Without execution by the group, set-group-id once meant mandatory locking.
    [0o2745, 0o2745],
    [0o1777, 0o1777],
  ])('makes of mode %o %o', async (before, after) => {
    const inode = await volume.create('/f');
    await volume.change('/f', { mode: before });
    await writeAs(inode, false);
    expect((await volume.statInode(inode)).mode & 0o7777).toBe(before);
    await writeAs(inode, true);
    expect((await volume.statInode(inode)).mode & 0o7777).toBe(after);
  });

  test('a truncation does as much', async () => {
    const inode = await volume.create('/f');
    await volume.change('/f', { mode: 0o6775 });
    await volume.volume.setSize(inode, 5, true);
    expect((await volume.statInode(inode)).mode & 0o7777).toBe(0o775);
  });
});

test('groups of new files: the directory gives them, with directoryGroups always, and then no setgid', async () => {
  const group = 77;
  await volume.mkdir('/plain');
  await volume.create('/setgid', FileType.directory | 0o2755);
  for (const path of ['/plain', '/setgid']) await volume.change(path, { gid: group });
  const made = async (path: string) => {
    await volume.create(path, FileType.directory | 0o755);
    const { gid, mode } = await volume.stat(path);
    return [gid, mode & 0o2000];
  };
  expect(await made('/plain/a')).toEqual([CALLER.gid, 0]);
  expect(await made('/setgid/a')).toEqual([group, 0o2000]);
  volume.volume.adjust({ directoryGroups: true });
  expect(await made('/plain/b')).toEqual([group, 0]);
  expect(await made('/setgid/b')).toEqual([group, 0]);
  volume.volume.adjust({ commitSeconds: 3 });
  expect(await made('/plain/c')).toEqual([group, 0]);
  volume.volume.adjust({ directoryGroups: false });
  expect(await made('/plain/d')).toEqual([CALLER.gid, 0]);
});
