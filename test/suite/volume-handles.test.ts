/**
 * File handles: the kernel finds an inode that it holds no more by looking up '.' in it, whatever
 * its type, and compares generations; see fuse_get_dentry in the kernel.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FileType } from '../../src/fs/format/format.ts';
import { TestVolume } from './volume-harness.ts';

const DOT = new TextEncoder().encode('.');
const DOT_DOT = new TextEncoder().encode('..');
const MIB = 1024 * 1024;

let volume: TestVolume;

beforeEach(async () => {
  volume = await TestVolume.make(8 * MIB, 4096);
});

afterEach(() => volume.volume.unmount());

function lookUp(inode: number, name: Uint8Array): Promise<number> {
  return volume.volume.run((tx) => volume.volume.lookup(tx, inode, name));
}

async function generationOf(inode: number): Promise<number> {
  return (await volume.statInode(inode)).generation;
}

test.each([
  ['file', FileType.regular | 0o644],
  ['directory', FileType.directory | 0o755],
  ['fifo', FileType.fifo | 0o644],
  ['socket', FileType.socket | 0o644],
  ['character device', FileType.characterDevice | 0o644],
  ['block device', FileType.blockDevice | 0o644],
])("'.' in a %s is itself", async (_, mode) => {
  const inode = await volume.create('/it', mode);
  expect(await lookUp(inode, DOT)).toBe(inode);
});

test("'.' in a symlink is itself, and it is no directory for other names", async () => {
  const inode = await volume.symlink('nowhere', '/link');
  expect(await lookUp(inode, DOT)).toBe(inode);
  await expect(lookUp(inode, DOT_DOT)).rejects.toMatchObject({ code: 'ENOTDIR' });
  await expect(lookUp(inode, new TextEncoder().encode('a'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

test.each([0, 4711, 2 ** 40, 2 ** 53 - 1])('a number that no inode has, %i, is stale', async (number) => {
  await expect(lookUp(number, DOT)).rejects.toMatchObject({ code: 'ESTALE' });
});

test('a removed file is stale; its number, used again, has another generation', async () => {
  const first = await volume.create('/first');
  const generation = await generationOf(first);
  await volume.unlink('/first');
  await volume.volume.sync();
  await expect(lookUp(first, DOT)).rejects.toMatchObject({ code: 'ESTALE' });
  const second = await volume.create('/second');
  expect(second).toBe(first);
  expect(await lookUp(second, DOT)).toBe(second);
  expect(await generationOf(second)).not.toBe(generation);
});

test('a file without a name is stale, also while the kernel has not said yet that it let go of it', async () => {
  const inode = await volume.create('/open');
  volume.volume.acquire(inode);
  await volume.unlink('/open');
  await expect(lookUp(inode, DOT)).rejects.toMatchObject({ code: 'ESTALE' });
  expect((await volume.statInode(inode)).linkCount).toBe(0);
  volume.volume.forget(inode, 1);
  await expect(lookUp(inode, DOT)).rejects.toMatchObject({ code: 'ESTALE' });
});

test('a file that is on its way out, in many steps, is not found', async () => {
  const inode = await volume.create('/large');
  for (let i = 0; i < 600; i++) await volume.write(inode, i * 8192, new Uint8Array(512).fill(i));
  volume.volume.acquire(inode);
  await volume.unlink('/large');
  volume.volume.forget(inode, 1);
  await expect(lookUp(inode, DOT)).rejects.toMatchObject({ code: 'ESTALE' });
});

test("'..' of a directory is its parent, after a move the new one, and stale when it is removed", async () => {
  const [from, to] = [await volume.mkdir('/from'), await volume.mkdir('/to')];
  const child = await volume.mkdir('/from/child');
  expect(await lookUp(child, DOT_DOT)).toBe(from);
  await volume.rename('/from/child', '/to/child');
  expect(await lookUp(child, DOT_DOT)).toBe(to);
  volume.volume.acquire(child);
  await volume.rmdir('/to/child');
  await volume.rmdir('/to');
  await expect(lookUp(child, DOT_DOT)).rejects.toMatchObject({ code: 'ESTALE' });
});
