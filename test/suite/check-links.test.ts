/** An inode with one name more than an inode may have: the name goes, the file stays. */
import { expect, test, vi } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { repairVolume } from '../../src/check/repair.ts';
import { EntryRecord, INODE_BODY_OFFSET, Inode, MAX_LINKS, NodeHeader } from '../../src/fs/format/format.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { Image } from './check-sample.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const BLOCK = 4096;
// The limit of the format takes days to reach.
vi.mock(import('../../src/fs/format/format.ts'), async (original) => ({
  ...(await original()),
  MAX_LINKS: 700,
}));

/** As check-sample.ts expects it. */
const SIZE = 8 * 1024 * 1024;

test('too many names', { timeout: 60_000 }, async () => {
  const mounted = new MemoryDevice(SIZE);
  await formatted(mounted, BLOCK);
  const volume = await TestVolume.open(mounted);
  const inode = await volume.create('/0');
  const directory = await volume.mkdir('/names');
  const other = await volume.mkdir('/other');
  const encoder = new TextEncoder();
  const { volume: live } = volume;
  for (let i = 1; i < MAX_LINKS; i++)
    await live.run((tx) => live.link(tx, inode, { parent: directory, name: encoder.encode(`${i}`) }));
  const file = await volume.create('/other/file');
  await live.unmount();
  const device = mounted.reopen();
  expect(await checkVolume(device)).toMatchObject({ clean: true });

  const image = await new Image(device).load();
  const found = image.inode(other);
  const body = found.at + INODE_BODY_OFFSET;
  const record = body + found.block.view.getUint16(body + NodeHeader.sizeBytes, true);
  EntryRecord.inode.set(found.block.view, record, inode);
  await found.block.seal();
  const { problems } = await checkVolume(device);
  expect(problems.map(({ code }) => code)).toContain('entry-links');
  expect((await repairVolume(device, 'all')).outcome).toBe('corrected');
  expect(await checkVolume(device)).toMatchObject({ clean: true });

  const after = await new Image(device).load();
  const kept = after.inode(inode);
  expect(Inode.linkCount.get(kept.block.view, kept.at)).toBe(MAX_LINKS);
  expect(() => after.inode(file), 'the other file was empty, and its name was taken').toThrow();
});
