/** What `-o remount,…` may ask for, and the flags that the kernel is given for it. */
import { describe, expect, test } from 'vitest';
import { MountFlag } from '../../src/fuse/mount-flags.ts';
import type { MountRecord } from '../../src/fuse/mount-table.ts';
import { parseMountOptions } from '../../src/fuse/options.ts';
import {
  changedOptions,
  flagsOf,
  followedFlags,
  isReadOnly,
  isRemount,
  remountFlags,
  remountWords,
} from '../../src/fuse/remount.ts';

const SUPER = 'rw,user_id=0,group_id=0,default_permissions,allow_other,max_read=1048576,blksize=4096';

function mountWith(flags: string, options = SUPER): MountRecord {
  const place = { id: 40, parentId: 27, root: '/', deviceNumbers: '0:46', directory: '/mnt' };
  return { ...place, type: 'fuseblk.quarry', source: '/dev/loop0', flags, options };
}

const { readOnly, noSuid, noDevices, noSymlinks } = MountFlag;
const { noAccessTime, relativeAccessTime, strictAccessTime } = MountFlag;
const { synchronous, directorySynchronous, lazyTime } = MountFlag;

test.each([
  ['rw,relatime', relativeAccessTime],
  ['ro,nosuid,nodev,noatime', readOnly | noSuid | noDevices | noAccessTime],
  ['rw', strictAccessTime],
  ['rw,nodiratime', strictAccessTime | MountFlag.noDirectoryAccessTime],
])('the flags of a mount that the table shows as %s', (flags, expected) => {
  expect(flagsOf(mountWith(flags))).toBe(expected);
  expect(flagsOf(mountWith(flags, 'rw,sync,dirsync'))).toBe(
    expected | MountFlag.synchronous | MountFlag.directorySynchronous,
  );
});

test('a filesystem is read-only by its own options, not by those of one of its mounts', () => {
  expect(isReadOnly(mountWith('ro,relatime'))).toBe(false);
  expect(isReadOnly(mountWith('ro,relatime', 'ro,user_id=0'))).toBe(true);
});

test.each([
  ['rw,relatime', 'remount,ro', relativeAccessTime | readOnly],
  ['ro,nosuid,relatime', 'remount,rw', relativeAccessTime | noSuid],
  ['rw,relatime', 'remount,noatime', noAccessTime],
  ['rw,noatime', 'remount,strictatime', strictAccessTime],
  ['rw,noatime', 'remount,atime', relativeAccessTime],
  ['rw', 'remount,relatime', relativeAccessTime],
  ['rw', 'remount,ro', strictAccessTime | readOnly],
  ['rw,nosuid,nodev,relatime', 'remount,suid,commit=3', noDevices | relativeAccessTime],
  ['rw,relatime,nosymfollow', 'remount,ro', relativeAccessTime | noSymlinks | readOnly],
  ['rw,relatime,nosymfollow', 'remount,symfollow', relativeAccessTime],
  ['rw,relatime', 'remount,sync,lazytime', relativeAccessTime | synchronous | lazyTime],
  ['rw,relatime', 'remount,grpid,dirsync', relativeAccessTime | directorySynchronous],
  ['rw,relatime', `remount,ro,relatime,${SUPER.slice(3)}`, relativeAccessTime | readOnly],
])('of a mount %s, by -o %s', (flags, text, expected) => {
  const mount = mountWith(flags);
  expect(remountFlags(mount, remountWords([text], mount))).toBe(expected);
});

describe('the daemon', () => {
  const present = parseMountOptions(['cache=128M,commit=9,noatime'], true);

  test.each([
    ['remount,ro', { readOnly: true, commitSeconds: 9 }],
    ['remount,commit=2', { commitSeconds: 2, readOnly: false }],
    ['remount,strictatime', { flags: strictAccessTime }],
    ['remount,sync', { flags: noAccessTime | synchronous }],
    ['remount,dirsync,lazytime', { flags: noAccessTime | directorySynchronous | lazyTime }],
    ['remount,grpid', { directoryGroups: true }],
    ['remount,cache=128M,commit=9,noatime,ro,x-mount.mkdir,nofail', { readOnly: true }],
    [`remount,${SUPER}`, present],
  ])('takes -o %s', (text, expected) => {
    expect(changedOptions(present, remountWords([text], mountWith('rw,noatime')))).toMatchObject(expected);
  });

  test.each([
    ['remount,bogus', /unknown mount option 'bogus'/],
    ['remount,ro,bogus=3', /unknown mount option 'bogus=3'/],
    ['remount,cache=64M', /cache=64M cannot be had by a remount/],
    ['remount,nouser_xattr', /nouser_xattr cannot be had by a remount/],
    ['remount,uid=5', /uid= cannot be had/],
    ['remount,engine=uring', /engine=uring cannot be had/],
    ['remount,norecovery', /norecovery cannot be had/],
    ['remount,noacl', /noacl cannot be had/],
    ['remount,noxattr', /noxattr cannot be had/],
    ['remount,nouser_xattr', /nouser_xattr cannot be had/],
    ['remount,max_read=4096', /max_read=4096 cannot be had/],
    ['remount,commit=99999', /commit=99999 is out of bounds/],
  ])('refuses -o %s in one line', (text, reason) => {
    const words = remountWords([text], mountWith('rw,noatime'));
    expect(() => changedOptions(present, words)).toThrow(reason);
    expect(present).toEqual(parseMountOptions(['cache=128M,commit=9,noatime'], true));
  });
});

test('libfuse cannot be told later to wait for the disk', () => {
  const present = parseMountOptions(['layer=fuse-native'], true);
  expect(() => changedOptions(present, ['sync'])).toThrow(/sync cannot be had by a remount/);
  expect(changedOptions(present, ['lazytime']).flags).toBe(lazyTime);
});

test.each([
  ['another rule of access times', noAccessTime, relativeAccessTime, strictAccessTime, strictAccessTime],
  [
    'what the table does not show stays',
    directorySynchronous,
    0,
    synchronous,
    directorySynchronous | synchronous,
  ],
  ['what went away', synchronous | readOnly, synchronous | readOnly, readOnly, readOnly],
  ['nothing', strictAccessTime, relativeAccessTime, relativeAccessTime, strictAccessTime],
])('flags follow the mount table: %s', (_, own, before, now, expected) => {
  expect(followedFlags(own, before, now)).toBe(expected);
});

test('a remount is asked for by its name, wherever it stands', () => {
  expect(isRemount(['ro,remount', 'noatime'])).toBe(true);
  expect(isRemount(['ro'])).toBe(false);
});
