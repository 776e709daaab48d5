/**
 * Which requests of the kernel move an access time: READ, READDIR, READDIRPLUS, READLINK, unless
 * the file was opened to leave it alone.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/fs/base/clock.ts';
import { Opcode } from '../../src/fuse/abi.ts';
import { accessRules } from '../../src/fuse/mount-flags.ts';
import { parseMountOptions } from '../../src/fuse/options.ts';
import { FuseVolume, readBody } from '../suite/fuse-volume.ts';
import { TestVolume } from '../suite/volume-harness.ts';

const O_WRONLY = 1;
const O_RDWR = 2;
const O_NOATIME = 0o1000000;
const clock: Clock = { seconds: 1000, nanoseconds: 1, read() {}, roughSeconds: () => clock.seconds };

let fuse: FuseVolume;

beforeEach(async () => {
  clock.seconds = 1000;
  fuse = new FuseVolume(await TestVolume.make(8 << 20, 4096, { clock }));
});

afterEach(() => fuse.volume.volume.unmount());

test.each([
  [0, 1010n],
  [O_RDWR, 1010n],
  [O_NOATIME, 1000n],
  [O_WRONLY, 1000n],
])('READ through a file opened with flags %o', async (flags, expected) => {
  const inode = await fuse.volume.create('/file');
  clock.seconds += 10;
  expect((await fuse.read(inode, flags)).error).toBe(0);
  expect(await fuse.accessSeconds(inode)).toBe(expected);
});

test.each([
  [Opcode.READDIR, 0, 1010n],
  [Opcode.READDIRPLUS, 0, 1010n],
  [Opcode.READDIR, O_NOATIME, 1000n],
  [Opcode.READDIRPLUS, O_NOATIME, 1000n],
])('opcode %i through a directory opened with flags %o', async (opcode, flags, expected) => {
  const inode = await fuse.volume.mkdir('/directory');
  clock.seconds += 10;
  expect((await fuse.ask(opcode, inode, readBody(0, 4096, flags))).error).toBe(0);
  expect(await fuse.accessSeconds(inode)).toBe(expected);
});

test('READLINK', async () => {
  const inode = await fuse.volume.symlink('target', '/link');
  clock.seconds += 10;
  expect((await fuse.ask(Opcode.READLINK, inode)).body.toString()).toBe('target');
  expect(await fuse.accessSeconds(inode)).toBe(1010n);
});

test('SETATTR of an access time is the last word, that of another time is not', async () => {
  const inode = await fuse.volume.create('/file');
  clock.seconds += 10;
  await fuse.read(inode);
  await fuse.setattr(1 << 5, inode, { mtime: 3 });
  expect(await fuse.accessSeconds(inode)).toBe(1010n);
  await fuse.setattr(1 << 4, inode, { atime: 7 });
  expect(await fuse.accessSeconds(inode)).toBe(7n);
});

describe('the rule of a mount', () => {
  test.each([
    ['', 'relative', 'relative'],
    ['relatime', 'relative', 'relative'],
    ['norelatime', 'relative', 'relative'],
    ['noatime', 'never', 'never'],
    ['nodiratime', 'relative', 'never'],
    ['strictatime', 'always', 'always'],
    ['strictatime,nodiratime', 'always', 'never'],
    ['noatime,strictatime', 'always', 'always'],
    ['noatime,atime', 'relative', 'relative'],
    ['lazytime', 'relative', 'relative'],
  ])('%s', (text, files, directories) => {
    expect(accessRules(parseMountOptions([text], true).flags)).toEqual({ files, directories });
  });
});
