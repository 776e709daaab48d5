/**
 * A directory that gets another parent has another `..`: the kernel's copy of its listing goes
 * before the answer.
 */
import { beforeEach, expect, test } from 'vitest';
import { Opcode } from '../../src/fuse/abi.ts';
import { text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { FuseVolume } from '../suite/fuse-volume.ts';
import { TestVolume } from '../suite/volume-harness.ts';

const MIB = 1024 * 1024;
const EXCHANGE = 2;

let fuse: FuseVolume;
let inodes: Record<string, number>;

beforeEach(async () => {
  const volume = await TestVolume.make(8 * MIB, 4096);
  fuse = new FuseVolume(volume);
  await fuse.ask(Opcode.INIT, 0, u32(7, 45, 131072, 0x7fff_ffff));
  inodes = {};
  for (const path of ['/a', '/b', '/a/d', '/b/e']) inodes[path] = await volume.mkdir(path);
  for (const path of ['/a/f', '/b/g']) inodes[path] = await volume.create(path);
});

/** The inodes of the notices that come with the rename, in their order. */
async function forgotten(from: string, to: string, flags = 0): Promise<bigint[]> {
  const { channel } = fuse;
  const before = channel.notifications.length;
  const [parent, name] = [from.slice(0, 2), from.slice(3)];
  const [newParent, newName] = [to.slice(0, 2), to.slice(3)];
  const body = Buffer.concat([u64(inodes[newParent] as number), u32(flags, 0), text(name, newName)]);
  expect(await fuse.ask(Opcode.RENAME2, inodes[parent] as number, body)).toMatchObject({ error: 0 });
  const notices = channel.notifications.slice(before);
  for (const notice of notices) {
    expect([notice.readInt32LE(4), notice.readBigInt64LE(24), notice.readBigInt64LE(32)]).toEqual([
      2,
      0n,
      0n,
    ]);
  }
  return notices.map((notice) => notice.readBigUInt64LE(16));
}

const inode = (path: string) => BigInt(inodes[path] as number);

test('one that moves', async () => {
  expect(await forgotten('/a/d', '/b/new')).toEqual([inode('/a/d')]);
});

test('one that takes the place of an empty one', async () => {
  expect(await forgotten('/a/d', '/b/e')).toEqual([inode('/a/d')]);
});

test('two that are exchanged', async () => {
  expect(await forgotten('/a/d', '/b/e', EXCHANGE)).toEqual([inode('/b/e'), inode('/a/d')]);
});

test('one that is exchanged with a file, on either side', async () => {
  expect(await forgotten('/a/d', '/b/g', EXCHANGE)).toEqual([inode('/a/d')]);
  expect(await forgotten('/a/f', '/b/e', EXCHANGE)).toEqual([inode('/b/e')]);
});

test('no file, and nothing that stays where it is', async () => {
  expect(await forgotten('/a/f', '/b/f')).toEqual([]);
  expect(await forgotten('/a/d', '/a/c')).toEqual([]);
});
