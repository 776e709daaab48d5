/**
 * Volumes that shrink: what lies behind the new end moves, everything reads as before, and whatever
 * a crash leaves is the volume of before or the smaller one.
 */
import { describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { repairVolume } from '../../src/check/repair.ts';
import { MAGIC_BYTES } from '../../src/fs/format/format.ts';
import { Layout } from '../../src/fs/format/layout.ts';
import { crashImage } from '../../src/sim/crash-image.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { contentsOf } from './check-tree.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

async function setAttribute(volume: TestVolume, path: string, name: string, length: number): Promise<void> {
  const inode = await volume.resolve(path);
  const value = new Uint8Array(length).fill(length);
  await volume.volume.run((tx) =>
    volume.volume.setExtendedAttribute(tx, inode, { name: new TextEncoder().encode(name), value }),
  );
}

/** Takes nearly all of the space, so that what is made afterwards lies behind it. */
async function ballast(volume: TestVolume, leaveBytes: number): Promise<void> {
  const inode = await volume.create('/ballast');
  const { freeBlocks } = await volume.statistics();
  const { blockBytes } = volume.volume;
  const chunk = 32 * blockBytes;
  for (let at = 0; at < freeBlocks * blockBytes - leaveBytes; at += chunk)
    await volume.write(inode, at, new Uint8Array(chunk).fill(1));
}

/** One of everything that has blocks of its own. */
async function filled(volume: TestVolume, scale: number): Promise<void> {
  const { blockBytes } = volume.volume;
  const random = new SeededRandom(scale);
  await volume.mkdir('/many');
  for (let i = 0; i < 20 * scale; i++) {
    const path = `/many/${'n'.repeat(60)}${i}`;
    const inode = await volume.create(path);
    await volume.write(inode, 0, new Uint8Array(1 + random.below(3 * blockBytes)).fill(i));
    if (i % 5 === 0) await setAttribute(volume, path, 'user.small', 30);
  }
  const sparse = await volume.create('/sparse');
  for (let i = 0; i < 10 * scale; i++)
    await volume.write(sparse, 2 * i * blockBytes, new Uint8Array(blockBytes).fill(i));
  const reserved = await volume.create('/reserved');
  await volume.volume.preallocate(reserved, 0, 6 * blockBytes);
  await volume.write(reserved, 2 * blockBytes, new Uint8Array(blockBytes).fill(9));
  await volume.symlink('t'.repeat(2500), '/link');
  for (let i = 0; i < 2 * scale; i++) await setAttribute(volume, '/sparse', `user.${i}`, 600);
  await setAttribute(volume, '/link', 'user.it', 900);
  await setAttribute(volume, '/many', 'user.it', 50);
  await volume.create('/pipe', 0o010600);
}

async function made(blockBytes: number, sizeBytes: number, scale: number): Promise<MemoryDevice> {
  const device = new MemoryDevice(sizeBytes);
  await formatted(device, blockBytes, 64);
  const volume = await TestVolume.open(device);
  await ballast(volume, sizeBytes / 3);
  await filled(volume, scale);
  await volume.unlink('/ballast');
  await volume.volume.unmount();
  return device.reopen();
}

describe.each([
  { blockBytes: KIB, from: 6 * MIB, to: [3 * MIB], scale: 3 },
  { blockBytes: KIB, from: 40 * MIB, to: [30 * MIB, 9 * MIB, 5 * MIB], scale: 10 },
  { blockBytes: 4 * KIB, from: 300 * MIB, to: [200 * MIB, 60 * MIB], scale: 12 },
])('$blockBytes bytes a block, from $from bytes', ({ blockBytes, from, to, scale }) => {
  test('everything is there, in less and less', async () => {
    let device = await made(blockBytes, from, scale);
    const before = await contentsOf(device);
    for (const sizeBytes of to) {
      const volume = await TestVolume.open(device);
      expect(await volume.volume.leastSizeBytes()).toBeLessThan(sizeBytes);
      await volume.volume.shrink(sizeBytes);
      expect(volume.volume.layout.blockCount).toBe(sizeBytes / blockBytes);
      await volume.volume.checkInvariants();
      await volume.volume.unmount();
      const cut = new MemoryDevice(sizeBytes);
      cut.poke(0, device.peek(0, sizeBytes));
      expect(await checkVolume(cut)).toMatchObject({ problems: [], state: 'clean' });
      expect(await contentsOf(cut)).toEqual(before);
      // What was cut off is not missed, and what is still there is no second volume.
      expect(await checkVolume(device.reopen())).toMatchObject({ problems: [], state: 'clean' });
      device = cut;
    }
  });
});

test('it can grow again, and the blocks of before are free', async () => {
  const device = await made(KIB, 40 * MIB, 10);
  const before = await contentsOf(device);
  const volume = await TestVolume.open(device);
  const { freeBlocks } = await volume.statistics();
  await volume.volume.shrink(5 * MIB);
  await volume.volume.unmount();
  const small = await TestVolume.open(device.reopen());
  await small.volume.grow(40 * MIB);
  expect((await small.statistics()).freeBlocks).toBe(freeBlocks);
  await small.volume.checkInvariants();
  await small.volume.unmount();
  expect(await checkVolume(device.reopen())).toMatchObject({ problems: [] });
  expect(await contentsOf(device.reopen())).toEqual(before);
});

test('nothing that looks like a superblock is left where a backup was', async () => {
  const device = await made(KIB, 20 * MIB, 2);
  const volume = await TestVolume.open(device);
  const [, second = 0] = volume.volume.layout.backups;
  expect(second).toBeGreaterThan(0);
  expect(device.peek(second * KIB, 6)).toEqual(MAGIC_BYTES);
  await volume.volume.shrink(4 * MIB);
  expect(volume.volume.layout.backups).toHaveLength(1);
  await volume.volume.unmount();
  expect(device.peek(second * KIB, 6)).toEqual(new Uint8Array(6));
});

test('as far as the data allows', async () => {
  const device = await made(KIB, 12 * MIB, 6);
  const before = await contentsOf(device);
  const volume = await TestVolume.open(device);
  const least = await volume.volume.leastSizeBytes();
  await expect(volume.volume.shrink(least - KIB)).rejects.toMatchObject({ code: 'ENOSPC' });
  await expect(volume.volume.shrink(13 * MIB)).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(volume.volume.shrink(KIB)).rejects.toThrow('bytes are too few');
  expect(await checkVolume(device.clone())).toMatchObject({ problems: [], statistics: { blocks: 12 * KIB } });
  await volume.volume.shrink(least + 64 * KIB);
  await volume.volume.unmount();
  expect(await checkVolume(device.reopen())).toMatchObject({ problems: [] });
  expect(await contentsOf(device.reopen())).toEqual(before);
  const reader = await TestVolume.open(device.reopen(), { readOnly: true });
  await expect(reader.volume.shrink(least)).rejects.toMatchObject({ code: 'EROFS' });
});

test.each([
  { from: 4 * MIB, to: 2 * MIB },
  { from: 12 * MIB, to: 3 * MIB },
])('wherever the power is cut while $from bytes become $to', async ({ from, to }) => {
  const start = await made(KIB, from, 1);
  const before = await contentsOf(start);
  const device = new SimulatedDevice({ sizeBytes: from, seed: 3, content: start.content });
  const volume = await TestVolume.open(device);
  await volume.volume.shrink(to);
  await volume.volume.unmount();
  const layouts = new Set<number>();
  for (let events = 0; events <= device.log.length; events++) {
    if (events > 60 && events < device.log.length - 120 && events % 7 !== 0) continue;
    // Between the ends each place has one way of losing what was under way, and then the other.
    const seeds = events > 60 && events < device.log.length - 120 ? [1 + (events % 2)] : [1, 2];
    for (const seed of seeds) {
      const crashed = await crashImage(device, events, seed);
      const checked = await checkVolume(crashed.clone());
      expect(checked.problems, `after ${events} events`).toEqual([]);
      layouts.add(checked.statistics.blocks);
      expect(await contentsOf(crashed)).toEqual(before);
      const repaired = crashed.clone();
      expect((await repairVolume(repaired, 'safe')).after.problems).toEqual([]);
      const again = await TestVolume.open(crashed.reopen());
      const { blockCount } = again.volume.layout;
      if (blockCount === from / KIB) await again.volume.shrink(to);
      await again.volume.unmount();
      expect(again.volume.layout.blockCount).toBe(to / KIB);
      expect(await checkVolume(crashed.reopen())).toMatchObject({ problems: [] });
    }
  }
  expect(layouts).toEqual(new Set([from / KIB, to / KIB]));
  expect(new Layout({ blockBytes: KIB, journalBlocks: 64, blockCount: to / KIB }).groupCount).toBe(1);
});
