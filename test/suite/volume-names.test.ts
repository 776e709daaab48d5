/**
 * What names, owners and times do, asked of the volume itself.
 *
 * On a mount the kernel answers many of these questions before they reach us, so a mount test
 * cannot see that an answer of ours is wrong. Here nothing stands in between.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/fs/base/clock.ts';
import { type Caller, RenameFlag } from '../../src/fs/base/filesystem.ts';
import { FileType, ROOT_INODE } from '../../src/fs/format/format.ts';
import { TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;

/** A clock that stands still until it is told. */
class SetClock implements Clock {
  seconds = 1000;
  nanoseconds = 1;

  read(): void {}

  roughSeconds(): number {
    return this.seconds;
  }

  advance(): void {
    this.seconds += 10;
    this.nanoseconds += 7;
  }
}

let clock: SetClock;
let volume: TestVolume;

beforeEach(async () => {
  clock = new SetClock();
  volume = await TestVolume.make(8 * MIB, 4096, { clock });
});

function named(name: string): Uint8Array {
  return new TextEncoder().encode(name);
}

function make(mode: number, caller: Caller, name = 'made', parent = ROOT_INODE): Promise<number> {
  const request = { mode, deviceNumber: 0, caller };
  return volume.volume.run((tx) => volume.volume.create(tx, parent, named(name), request));
}

describe('rename with RENAME_EXCHANGE', () => {
  beforeEach(async () => {
    await volume.mkdir('/a');
    await volume.mkdir('/a/b');
    await volume.mkdir('/a/b/c');
    await volume.create('/a/b/c/file');
  });

  test.each([
    ['a directory with one in it', '/a', '/a/b'],
    ['a directory with one deep in it', '/a', '/a/b/c'],
    ['one deep in a directory with that', '/a/b/c', '/a'],
    ['a directory with a file in it', '/a', '/a/b/c/file'],
    ['a file with a directory above it', '/a/b/c/file', '/a/b'],
  ])('refuses %s', async (_, from, to) => {
    await expect(volume.rename(from, to, RenameFlag.exchange)).rejects.toMatchObject({ code: 'EINVAL' });
    expect((await volume.stat('/a/b/c/file')).linkCount).toBe(1);
  });

  test('exchanges what lies beside each other, and their parents with them', async () => {
    await volume.mkdir('/other');
    await volume.create('/other/file');
    const [moved, came] = [await volume.resolve('/a/b'), await volume.resolve('/other')];
    await volume.rename('/a/b', '/other', RenameFlag.exchange);
    expect(await volume.resolve('/other')).toBe(moved);
    expect(await volume.resolve('/a/b')).toBe(came);
    expect(await volume.resolve('/a/b/..')).toBe(await volume.resolve('/a'));
    expect(await volume.resolve('/other/..')).toBe(ROOT_INODE);
    expect(await volume.list('/a/b')).toEqual(['file']);
  });
});

describe('rename', () => {
  beforeEach(async () => {
    await volume.create('/f');
    await volume.mkdir('/empty');
    await volume.mkdir('/full');
    await volume.create('/full/f');
  });

  test.each([
    ['a directory', 'a file', '/empty', '/f', 'ENOTDIR'],
    ['a file', 'a directory', '/f', '/empty', 'EISDIR'],
    ['a directory', 'one with names', '/empty', '/full', 'ENOTEMPTY'],
    ['a directory', 'a name below it', '/full', '/full/below', 'EINVAL'],
  ])('of %s over %s is refused', async (_from, _to, from, to, code) => {
    await expect(volume.rename(from, to)).rejects.toMatchObject({ code });
    expect(await volume.list('/')).toEqual(['empty', 'f', 'full']);
  });

  test('with RENAME_NOREPLACE takes no name that is in use', async () => {
    const refused = volume.rename('/f', '/full/f', RenameFlag.noReplace);
    await expect(refused).rejects.toMatchObject({ code: 'EEXIST' });
    await volume.rename('/f', '/full/new', RenameFlag.noReplace);
    expect(await volume.list('/full')).toEqual(['f', 'new']);
  });

  test('of one name of a file over another does nothing', async () => {
    await volume.link('/f', '/g');
    clock.advance();
    await volume.rename('/f', '/g');
    expect(await volume.list('/')).toEqual(['empty', 'f', 'full', 'g']);
    expect(await volume.stat('/f')).toMatchObject({ linkCount: 2, changeSeconds: 1000 });
  });

  test('over an empty directory takes its place', async () => {
    const inode = await volume.resolve('/full');
    await volume.rename('/full', '/empty');
    expect(await volume.resolve('/empty')).toBe(inode);
    expect((await volume.stat('/')).linkCount).toBe(3);
  });
});

describe('unlink and link', () => {
  test('move the ctime of the file', async () => {
    await volume.create('/f');
    clock.advance();
    await volume.link('/f', '/g');
    expect(await volume.stat('/f')).toMatchObject({ changeSeconds: clock.seconds, linkCount: 2 });
    clock.advance();
    await volume.unlink('/g');
    expect(await volume.stat('/f')).toMatchObject({ changeSeconds: clock.seconds, linkCount: 1 });
  });

  test('unlink of a directory is EISDIR, as unlink(2) says of Linux', async () => {
    await volume.mkdir('/d');
    await expect(volume.unlink('/d')).rejects.toMatchObject({ code: 'EISDIR' });
  });

  test('rmdir of a file is ENOTDIR, and of a directory with names ENOTEMPTY', async () => {
    await volume.create('/f');
    await volume.mkdir('/d');
    await volume.create('/d/f');
    await expect(volume.rmdir('/f')).rejects.toMatchObject({ code: 'ENOTDIR' });
    await expect(volume.rmdir('/d')).rejects.toMatchObject({ code: 'ENOTEMPTY' });
  });

  test('a file without a name gets no new one', async () => {
    const inode = await volume.create('/f');
    volume.volume.acquire(inode);
    await volume.unlink('/f');
    const linking = volume.volume.run((tx) => volume.volume.link(tx, inode, ROOT_INODE, named('again')));
    await expect(linking).rejects.toMatchObject({ code: 'ENOENT' });
    expect((await volume.statInode(inode)).linkCount).toBe(0);
    expect(await volume.list('/')).toEqual([]);
    volume.volume.forget(inode, 1);
  });

  test('a directory gets no second name', async () => {
    await volume.mkdir('/d');
    await expect(volume.link('/d', '/e')).rejects.toMatchObject({ code: 'EPERM' });
  });
});

describe('a new file', () => {
  test('has the permissions that the umask leaves', async () => {
    const caller = { uid: 7, gid: 8, umask: 0o027 };
    expect((await volume.statInode(await make(FileType.regular | 0o666, caller))).mode & 0o7777).toBe(0o640);
    const directory = await make(FileType.directory | 0o777, caller, 'directory');
    expect((await volume.statInode(directory)).mode & 0o7777).toBe(0o750);
  });

  test('belongs to its maker, or to the group of a directory with set-group-id', async () => {
    const caller = { uid: 7, gid: 8, umask: 0 };
    expect(await volume.statInode(await make(FileType.regular, caller))).toMatchObject({ uid: 7, gid: 8 });
    await volume.mkdir('/shared');
    await volume.change('/shared', { mode: 0o2775, gid: 99 });
    const parent = await volume.resolve('/shared');
    const file = await volume.statInode(await make(FileType.regular | 0o644, caller, 'f', parent));
    expect(file).toMatchObject({ uid: 7, gid: 99 });
    const below = await volume.statInode(await make(FileType.directory | 0o755, caller, 'd', parent));
    expect([below.gid, below.mode & 0o7777]).toEqual([99, 0o2755]);
  });
});

describe('times', () => {
  test('are set each on its own, to the nanosecond', async () => {
    await volume.create('/f');
    clock.advance();
    await volume.change('/f', {
      accessSeconds: 11,
      accessNanoseconds: 12,
      modifySeconds: 21,
      modifyNanoseconds: 22,
    });
    expect(await volume.stat('/f')).toMatchObject({
      accessSeconds: 11,
      accessNanoseconds: 12,
      modifySeconds: 21,
      modifyNanoseconds: 22,
      changeSeconds: clock.seconds,
      changeNanoseconds: clock.nanoseconds,
      birthSeconds: 1000,
      birthNanoseconds: 1,
    });
    await volume.change('/f', { changeSeconds: 31, changeNanoseconds: 32 });
    expect(await volume.stat('/f')).toMatchObject({ changeSeconds: 31, changeNanoseconds: 32 });
  });

  test.each([
    ['an access time', { accessSeconds: 'now' as const }, 'access', 'modify'],
    ['a modification time', { modifySeconds: 'now' as const }, 'modify', 'access'],
  ])('%s of now leaves the other as it is', async (_, changes, moved, kept) => {
    await volume.create('/f');
    clock.advance();
    await volume.change('/f', changes);
    expect(await volume.stat('/f')).toMatchObject({
      [`${moved}Seconds`]: clock.seconds,
      [`${moved}Nanoseconds`]: clock.nanoseconds,
      [`${kept}Seconds`]: 1000,
      [`${kept}Nanoseconds`]: 1,
    });
  });

  test.each([
    ['rename', (from: string, to: string) => volume.rename(from, to)],
    ['exchange', (from: string, to: string) => volume.rename(from, to, RenameFlag.exchange)],
  ])('%s moves those of both parents, and ctime of what moved', async (how, move) => {
    await volume.mkdir('/from');
    await volume.mkdir('/to');
    await volume.create('/from/f');
    if (how === 'exchange') await volume.create('/to/f');
    clock.advance();
    await move('/from/f', '/to/f');
    const moved = { modifySeconds: clock.seconds, modifyNanoseconds: clock.nanoseconds };
    expect(await volume.stat('/from')).toMatchObject(moved);
    expect(await volume.stat('/to')).toMatchObject(moved);
    expect(await volume.stat('/to/f')).toMatchObject({ changeSeconds: clock.seconds, modifySeconds: 1000 });
  });

  test.each<[string, () => Promise<unknown>]>([
    ['create', () => volume.create('/d/new')],
    ['mkdir', () => volume.mkdir('/d/new')],
    ['symlink', () => volume.symlink('target', '/d/new')],
    ['link', () => volume.link('/d/f', '/d/new')],
    ['unlink', () => volume.unlink('/d/f')],
    ['rmdir', () => volume.rmdir('/d/e')],
  ])('%s moves those of its parent', async (_, change) => {
    await volume.mkdir('/d');
    await volume.mkdir('/d/e');
    await volume.create('/d/f');
    clock.advance();
    await change();
    const moved = { modifySeconds: clock.seconds, changeSeconds: clock.seconds, accessSeconds: 1000 };
    expect(await volume.stat('/d')).toMatchObject(moved);
  });
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
