/** Mount options as texts, and what becomes of them. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { MIN_CACHE_BYTES } from '../../src/fs/base/limits.ts';
import { helperOptions } from '../../src/fuse/fusermount.ts';
import { MountFlag } from '../../src/fuse/mount-flags.ts';
import { MountOptionError } from '../../src/fuse/mount-option-error.ts';
import { parseMountinfo } from '../../src/fuse/mount-table.ts';
import { OPTION_LIMITS } from '../../src/fuse/option-values.ts';
import { type MountOptions, OPTION_NAMES, parseMountOptions } from '../../src/fuse/options.ts';
import { native } from '../../src/native.ts';

function parse(...texts: string[]): MountOptions {
  return parseMountOptions(texts, true);
}

describe('mount options', () => {
  test('defaults', () => {
    expect(parse()).toEqual({
      flags: 0,
      readOnly: false,
      allowOther: true,
      fsname: undefined,
      subtype: 'quarry',
      maxReadBytes: 1 << 20,
      spinNanoseconds: 50_000,
      cacheBytes: 64 << 20,
      layer: 'native',
      loop: false,
      debug: undefined,
      engine: 'aio',
      allocator: undefined,
      allocatorOptions: {},
      commitSeconds: 5,
      reserved: { bytes: 0, share: 0 },
      discard: false,
      attributes: true,
      acl: true,
      userAttributes: true,
      directoryGroups: false,
      quota: true,
      expectedQuotas: [],
      recovery: true,
      record: undefined,
      recordHashNames: false,
      recordOverwrite: false,
    });
    expect(parseMountOptions([], false).allowOther).toBe(false);
    expect(parseMountOptions(['allow_other'], false).allowOther).toBe(true);
    expect(parseMountOptions(['layer=fuse-native'], true).allowOther).toBe(false);
    expect(parseMountOptions(['allow_other,layer=fuse-native'], true).allowOther).toBe(true);
    expect(parseMountOptions(['layer=fuse-native,layer=native'], true).allowOther).toBe(true);
  });

  test('every flag of mount(2) has its own bit', () => {
    const cases: [string, number][] = [
      ['ro', 1],
      ['nosuid', 2],
      ['nodev', 4],
      ['noexec', 8],
      ['sync', 16],
      ['dirsync', 128],
      ['nosymfollow', 256],
      ['noatime', 1024],
      ['nodiratime', 2048],
      ['relatime', 0x20_0000],
      ['strictatime', 0x100_0000],
      ['lazytime', 0x200_0000],
    ];
    for (const [text, flag] of cases) expect(parse(text).flags).toBe(flag);
    expect(parse('ro').readOnly).toBe(true);
  });

  test('later options win', () => {
    expect(parse('ro,nosuid', 'rw,suid,exec,dev,async').flags).toBe(0);
    expect(parse('rw,ro').readOnly).toBe(true);
    expect(parse('rw,nosuid,nodev').flags).toBe(MountFlag.noSuid | MountFlag.noDevices);
  });

  test('options of mount(8) and fstab do nothing', () => {
    const generic =
      'defaults,auto,noauto,nofail,user,users,owner,group,_netdev,comment=x,x-systemd.automount';
    expect(parse(generic, 'x-gvfs-name=a', 'user=joe', '', ',')).toEqual(parse());
  });

  test('values', () => {
    const options = parse(
      'fsname=disk\\,one,subtype=quarry2,max_read=65536,cache=16M,layer=fuse-native,engine=uring,allocator=./mine.js,commit=30',
    );
    expect(options).toMatchObject({
      fsname: 'disk,one',
      subtype: 'quarry2',
      maxReadBytes: 65536,
      cacheBytes: 16 << 20,
      layer: 'fuse-native',
      engine: 'uring',
      allocator: './mine.js',
      commitSeconds: 30,
    });
  });

  test('of the rules for access times the last counts', () => {
    expect(parse('strictatime,noatime')).toEqual(parse('noatime'));
    expect(parse('noatime', 'relatime')).toEqual(parse('relatime'));
    expect(parse('noatime,nodiratime,strictatime')).toEqual(parse('strictatime,nodiratime'));
  });

  test('ACLs and attributes of users, as ext4 has them', () => {
    expect(parse('noacl,nouser_xattr')).toMatchObject({ acl: false, userAttributes: false });
    expect(parse('noacl,nouser_xattr', 'acl,user_xattr')).toEqual(parse());
    expect(() => parse('acl=1')).toThrow(MountOptionError);
    expect(parse('noxattr')).toMatchObject({ attributes: false, acl: false, userAttributes: false });
    expect(parse('noxattr', 'xattr')).toEqual(parse());
    // Nobody judges by them there.
    expect(parse('acl,layer=fuse-native').acl).toBe(false);
    expect(parse('layer=fuse-native,layer=native').acl).toBe(true);
  });

  test('what others can do otherwise is taken where it asks for what is so', () => {
    expect(parse('errors=remount-ro,data=ordered,barrier,barrier=1')).toEqual(parse());
    expect(parse('grpid').directoryGroups).toBe(true);
    expect(parse('bsdgroups').directoryGroups).toBe(true);
    expect(parse('grpid,nogrpid')).toEqual(parse());
    expect(parse('bsdgroups,sysvgroups')).toEqual(parse());
  });

  test('loop is for root', () => {
    expect(parse('loop').loop).toBe(true);
    expect(() => parseMountOptions(['loop'], false)).toThrow(/only root/);
  });

  test('commit=0 is the default, as for ext4', () => {
    expect(parse('commit=0').commitSeconds).toBe(5);
    expect(parse('commit=1').commitSeconds).toBe(1);
  });

  test('reserved is a size or a share', () => {
    expect(parse('reserved=64M').reserved).toEqual({ bytes: 64 * 2 ** 20, share: 0 });
    expect(parse('reserved=64M,reserved=2.5%').reserved).toEqual({ bytes: 0, share: 0.025 });
    expect(parse('reserved=1M,reserved=0')).toEqual(parse());
  });

  test.each([
    ['0', 0],
    ['500ns', 500],
    ['50us', 50_000],
    ['1ms', 1_000_000],
  ])('spin=%s', (text, nanoseconds) => {
    expect(parse(`spin=${text}`).spinNanoseconds).toBe(nanoseconds);
  });

  test('the bounds themselves are taken, and are those of whoever uses the value', () => {
    expect(parse('spin=1ms').spinNanoseconds).toBe(native.numbers.longestSpinNanoseconds);
    const queue = new native.ThreadQueue(1, () => {});
    expect(() => queue.setSpin(OPTION_LIMITS.spinNanoseconds.most)).not.toThrow();
    expect(() => queue.setSpin(OPTION_LIMITS.spinNanoseconds.most + 1)).toThrow(RangeError);
    queue.close();
    expect(parse('cache=4M').cacheBytes).toBe(MIN_CACHE_BYTES);
    expect(parse('cache=1T').cacheBytes).toBe(2 ** 40);
    expect(parse('max_read=4K').maxReadBytes).toBe(4096);
    expect(parse('max_read=1M').maxReadBytes).toBe(1 << 20);
    expect(parse('commit=3600').commitSeconds).toBe(3600);
    expect(parse(`fsname=${'x'.repeat(4095)}`).fsname).toHaveLength(4095);
  });

  test.each([
    ['norecovery', /norecovery needs ro/],
    ['noatme', /unknown mount option 'noatme'/],
    ['allocater=x', /unknown mount option 'allocater=x'/],
    ['constructor', /unknown mount option/],
    ['remount', /for a mount that there is/],
    ['errors', /remount-ro/],
    ['errors=continue', /^errors=continue cannot be had: .*errors=remount-ro/],
    ['errors=panic', /^errors=panic cannot be had/],
    ['data=journal', /^data=journal cannot be had: .*data=ordered/],
    ['data=writeback', /^data=writeback cannot be had/],
    ['nobarrier', /^nobarrier cannot be had/],
    ['reserved', /value/],
    ['reserved=50.1%', /^reserved=50\.1% is not a share of the volume, at most 50%$/],
    ['reserved=%', /is not a share/],
    ['reserved=1e1%', /is not a share/],
    ['reserved=-1', /is not a size/],
    ['barrier=0', /^barrier=0 cannot be had/],
    ['uid=1000', /chown/],
    ['gid=1000', /chown/],
    ['grpid=1', /takes no value/],
    ['loop=/dev/loop0', /found by itself/],
    ['loop,layer=fuse-native', /without loop/],
    ['allow_root', /allow_other/],
    ['ro=1', /takes no value/],
    ['cache', /needs a value/],
    ['record', /needs a value/],
    ['record-hash-names', /need record=FILE/],
    ['record-overwrite', /need record=FILE/],
    ['record=/x,layer=fuse-native', /cannot be recorded/],
    ['cache=', /needs a value/],
    ['cache=lots', /not a size/],
    ['cache=1', /from/],
    ['spin=50', /is not a time/],
    ['spin=1s', /is not a time/],
    ['spin=1001us', /spin=1001us is out of bounds: from 0ms to 1ms/],
    ['spin=5ms', /from 0ms to 1ms/],
    ['spin=999999999ms', /from 0ms to 1ms/],
    ['cache=1M', /cache=1M is out of bounds: from 4M to 1T/],
    ['cache=4194303', /from 4M to 1T/],
    ['cache=1025G', /from 4M to 1T/],
    ['cache=999999999999999T', /from 4M to 1T/],
    ['max_read=4095', /from 4K to 1M/],
    ['max_read=1025K', /from 4K to 1M/],
    ['commit=999999999999999', /from 0 to 3600/],
    [`fsname=${'x'.repeat(4096)}`, /fsname is longer than 4095 bytes/],
    [`fsname=${'ä'.repeat(2048)}`, /fsname is longer than 4095 bytes/],
    [`subtype=${'x'.repeat(256)}`, /subtype is longer than 255 bytes/],
    ['layer=kernel', /native or fuse-native/],
    ['engine=threads', /aio or uring/],
    ['commit=3601', /from 0 to 3600/],
    ['commit=1.5', /whole number/],
    ['max_read=100', /from 4K/],
    ['subtype=a.b', /plain word/],
  ])('%s is refused in one line', (text, pattern) => {
    expect(() => parse(text)).toThrow(MountOptionError);
    expect(() => parse(text)).toThrow(pattern);
    expect(() => parse(text)).toThrow(/^[^\n]+$/);
  });
});

/** Names in the first cells of the tables of docs/MOUNT.md. */
function documentedOptions(): string[] {
  const text = readFileSync(new URL('../../docs/MOUNT.md', import.meta.url), 'utf8');
  const cells = text.split('\n').filter((line) => line.startsWith('| `'));
  const words = cells.flatMap((line) => [...(line.split(' | ')[0] ?? '').matchAll(/`([^`]+)`/g)]);
  return words.map(([, word = '']) => word.replace(/=.*/, ''));
}

test('docs/MOUNT.md has all options, and no others', () => {
  const documented = new Set(documentedOptions());
  expect([...documented].sort()).toEqual([...OPTION_NAMES, 'alloc.KEY', 'x-…'].sort());
});

test('fusermount3 gets its options with commas escaped', () => {
  const options = parseMountOptions(['ro,nodev,noatime'], false);
  expect(helperOptions({ source: '/tmp/a,b\\c.img', options })).toBe(
    'fsname=/tmp/a\\,b\\\\c.img,subtype=quarry,default_permissions,max_read=1048576,ro,nodev,noatime',
  );
});

test('mountinfo', () => {
  const text = [
    '22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw',
    '90 22 7:0 / /mnt/a\\040b\\134\\303\\251 rw,nosuid - fuseblk.quarry /dev/loop0 rw,user_id=0',
    '91 22 0:51 /sub\\040dir /mnt/c rw shared:5 master:2 - fuse.quarry /tmp/x\\040y.img rw',
    'rubbish',
    '',
  ].join('\n');
  expect(parseMountinfo(text)).toEqual([
    {
      id: 22,
      parentId: 1,
      deviceNumbers: '254:0',
      root: '/',
      directory: '/',
      type: 'ext4',
      source: '/dev/vda',
      flags: 'rw,relatime',
      options: 'rw',
    },
    {
      id: 90,
      parentId: 22,
      deviceNumbers: '7:0',
      root: '/',
      directory: '/mnt/a b\\é',
      type: 'fuseblk.quarry',
      source: '/dev/loop0',
      flags: 'rw,nosuid',
      options: 'rw,user_id=0',
    },
    {
      id: 91,
      parentId: 22,
      deviceNumbers: '0:51',
      root: '/sub dir',
      directory: '/mnt/c',
      type: 'fuse.quarry',
      source: '/tmp/x y.img',
      flags: 'rw',
      options: 'rw',
    },
  ]);
});
