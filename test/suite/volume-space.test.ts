/** What a volume says and does about its space when there is none left, or none yet. */
import { expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import type { MemoryDevice } from '../../src/sim/memory-device.ts';
import { TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;
const BLOCK = 1024;

/** Writes one file until `left` blocks are free. Returns its length in bytes. */
async function fill(volume: TestVolume, path: string, left = 0): Promise<number> {
  const inode = await volume.create(path);
  for (let at = 0; ; ) {
    const free = (await volume.statistics()).freeBlocks - left;
    const length = Math.min(256 * BLOCK, free * BLOCK);
    if (length === 0) return at;
    await volume.write(inode, at, new Uint8Array(length).fill(1));
    at += length;
  }
}

async function expectSound(volume: TestVolume): Promise<void> {
  await volume.volume.unmount();
  const device = volume.device as MemoryDevice;
  expect((await checkVolume(device.reopen())).problems).toEqual([]);
}

test('blocks freed and not committed yet count as free', async () => {
  const volume = await TestVolume.make(4 * MIB, BLOCK);
  const before = await volume.statistics();
  const inode = await volume.create('/f');
  await volume.write(inode, 0, new Uint8Array(300 * BLOCK).fill(3));
  await volume.volume.sync();
  await volume.unlink('/f');
  expect((await volume.statistics()).freeBlocks).toBe(before.freeBlocks);
  await expectSound(volume);
});

test('what was just removed makes room at once, without a sync', async () => {
  const volume = await TestVolume.make(4 * MIB, BLOCK);
  const length = await fill(volume, '/full');
  await volume.volume.sync();
  const other = await volume.create('/other');
  await expect(volume.write(other, 0, new Uint8Array(64 * BLOCK).fill(2))).rejects.toMatchObject({
    code: 'ENOSPC',
  });
  await volume.unlink('/full');
  await volume.write(other, 0, new Uint8Array(length - 64 * BLOCK).fill(2));
  await expectSound(volume);
});

test('the last free block takes data, though the tree of its file has to grow for it', async () => {
  const volume = await TestVolume.make(4 * MIB, BLOCK);
  const sparse = await volume.create('/sparse');
  const block = new Uint8Array(BLOCK).fill(4);
  for (let i = 0; i < 40; i++) await volume.write(sparse, 2 * i * BLOCK, block);
  await fill(volume, '/full', 1);
  for (let i = 40; (await volume.statistics()).freeBlocks > 0; i++) {
    await volume.write(sparse, 2 * i * BLOCK, block);
  }
  await volume.symlink('t'.repeat(900), '/long');
  expect(await volume.readlink('/long')).toHaveLength(900);
  await volume.truncate('/sparse', 3 * BLOCK);
  await volume.unlink('/full');
  await expectSound(volume);
});

test('an allocation beyond all space is refused and leaves no trace', async () => {
  const volume = await TestVolume.make(4 * MIB, BLOCK);
  const inode = await volume.create('/f');
  const before = await volume.statistics();
  const tooMuch = new Uint8Array(4 * MIB).fill(1);
  await expect(volume.write(inode, 0, tooMuch)).rejects.toMatchObject({ code: 'ENOSPC' });
  expect(await volume.statistics()).toEqual(before);
  expect((await volume.statInode(inode)).sizeBytes).toBe(0);
  await expectSound(volume);
});
