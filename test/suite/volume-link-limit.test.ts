/** An inode has at most as many names as its count can say. */
import { expect, test } from 'vitest';
import { Inode, MAX_LINKS } from '../../src/fs/format/format.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { Image } from './check-sample.ts';
import { formatted, TestVolume } from './volume-harness.ts';

/** As check-sample.ts expects it. */
const BLOCK_BYTES = 4096;
const SIZE_BYTES = 8 * 1024 * 1024;

async function withLinks(kind: 'file' | 'directory', count: number): Promise<TestVolume> {
  const mounted = new MemoryDevice(SIZE_BYTES);
  await formatted(mounted, BLOCK_BYTES);
  const made = await TestVolume.open(mounted);
  const inode = kind === 'file' ? await made.create('/it') : await made.mkdir('/it');
  await made.volume.unmount();
  const device = mounted.reopen();
  const image = await new Image(device).load();
  const { block, at } = image.inode(inode);
  Inode.linkCount.set(block.view, at, count);
  await block.seal();
  return await TestVolume.open(device);
}

test('a file', async () => {
  const volume = await withLinks('file', MAX_LINKS - 1);
  await volume.link('/it', '/last');
  expect((await volume.stat('/it')).linkCount).toBe(2 ** 32 - 1);
  await expect(volume.link('/it', '/one-more')).rejects.toMatchObject({ code: 'EMLINK' });
});

test('a directory', async () => {
  const volume = await withLinks('directory', MAX_LINKS - 1);
  await volume.mkdir('/it/last');
  await expect(volume.mkdir('/it/one-more')).rejects.toMatchObject({ code: 'EMLINK' });
  await volume.create('/it/a-file-counts-for-nothing');
});

test('70,000 directories in one', { timeout: 60_000 }, async () => {
  const volume = await TestVolume.make(256 * 1024 * 1024, 4096);
  for (let i = 0; i < 70_000; i++) await volume.mkdir(`/${i}`);
  expect((await volume.stat('/')).linkCount).toBe(70_002);
  await volume.volume.unmount();
});
