/**
 * Volumes that grow: within their last group, by groups, by levels of summaries; what was there
 * stays, what is new is free, and whatever a crash leaves is one of the two sizes.
 */
import { describe, expect, test } from 'vitest';
import type { IoCompletion, Memory } from '../../src/aio/device.ts';
import { checkVolume } from '../../src/check/checker.ts';
import { repairVolume } from '../../src/check/repair.ts';
import { emptyStatistics } from '../../src/fs/base/empty-attributes.ts';
import { ROOT_INODE, Superblock } from '../../src/fs/format/format.ts';
import { Layout } from '../../src/fs/format/layout.ts';
import { readSuperblock } from '../../src/fs/format/superblock.ts';
import { formatVolume } from '../../src/fs/mkfs.ts';
import { crashImage } from '../../src/sim/crash-image.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { contentsOf } from './check-tree.ts';
import { CALLER, TestVolume } from './volume-harness.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

async function made(sizeBytes: number, deviceBytes: number, blockBytes: number): Promise<MemoryDevice> {
  const device = new MemoryDevice(deviceBytes, 512);
  await formatVolume(device, {
    blockBytes,
    journalBlocks: 64,
    label: 'grows',
    uuid: new Uint8Array(16).fill(5),
    journalSalt: new Uint8Array(8).fill(6),
    nameSecret: new Uint8Array(16).fill(7),
    uid: 0,
    gid: 0,
    sizeBytes,
  });
  return device;
}

async function filled(volume: TestVolume): Promise<void> {
  for (let file = 0; file < 12; file++) {
    const inode = await volume.create(`/file-${file}`);
    await volume.write(inode, 0, new Uint8Array(file * 5000 + 1).fill(file));
  }
}

async function freeBlocks(volume: TestVolume): Promise<number> {
  const space = emptyStatistics();
  await volume.volume.run((tx) => volume.volume.statistics(tx, space));
  return space.freeBlocks;
}

/** Free blocks of a volume that nothing was ever written to. */
function freshFree(blockBytes: number, blockCount: number): number {
  const layout = new Layout({ blockBytes, blockCount, journalBlocks: 64 });
  return layout.pristineFree(layout.summaryLevels, 0);
}

const STEPS = [
  { what: 'within the only group', blockBytes: KIB, sizes: [2 * MIB, 3 * MIB + 5 * KIB, 7 * MIB] },
  { what: 'from group to group', blockBytes: KIB, sizes: [2 * MIB, 8 * MIB, 21 * MIB, 100 * MIB] },
  {
    what: 'over a last group that is left out',
    blockBytes: KIB,
    sizes: [67 * KIB + 7680 * KIB + 3 * KIB, 16 * MIB],
  },
  { what: 'by one level', blockBytes: KIB, sizes: [4 * MIB, 1 * GIB, 2 * GIB] },
  { what: 'by levels at once', blockBytes: KIB, sizes: [4 * MIB, 64 * GIB, 3000 * GIB] },
  { what: 'with blocks of 4 KiB', blockBytes: 4 * KIB, sizes: [16 * MIB, 300 * MIB, 40 * GIB, 65536 * GIB] },
  { what: 'with blocks of 64 KiB', blockBytes: 64 * KIB, sizes: [64 * MIB, 40 * GIB, 65536 * GIB] },
];

describe.each(STEPS)('a volume grows $what', ({ blockBytes, sizes }) => {
  test('with all that is in it', async () => {
    const [first = 0] = sizes;
    const last = sizes.at(-1) ?? 0;
    const device = await made(first, last, blockBytes);
    const volume = await TestVolume.open(device);
    await filled(volume);
    for (const sizeBytes of sizes.slice(1)) {
      const { blockCount } = volume.volume.layout;
      const before = freshFree(blockBytes, blockCount) - (await freeBlocks(volume));
      await volume.volume.grow(sizeBytes);
      const now = Math.floor(sizeBytes / blockBytes);
      expect(volume.volume.layout.blockCount).toBe(now);
      expect(freshFree(blockBytes, now) - (await freeBlocks(volume))).toBe(before);
      const inode = await volume.create(`/at-${sizeBytes}`);
      await volume.write(inode, 0, new Uint8Array(3 * blockBytes + 9).fill(77));
      await volume.volume.sync();
      const crashed = device.clone();
      expect(await checkVolume(crashed)).toMatchObject({ clean: true, statistics: { blocks: now } });
    }
    await volume.volume.unmount();
    expect(await checkVolume(device.reopen())).toMatchObject({ clean: true, state: 'clean' });
    const again = await TestVolume.open(device.reopen());
    expect(again.volume.layout.blockCount).toBe(Math.floor(last / blockBytes));
    expect(await again.read(await again.resolve('/file-11'), 0, 60_000)).toEqual(
      new Uint8Array(11 * 5000 + 1).fill(11),
    );
    await again.volume.unmount();
  });
});

test('a full volume can be written to again', async () => {
  const device = await made(2 * MIB, 20 * MIB, KIB);
  const volume = await TestVolume.open(device);
  const inode = await volume.create('/full');
  const write = (offset: number) => volume.write(inode, offset, new Uint8Array(100 * KIB).fill(3));
  let offset = 0;
  await expect(
    (async () => {
      for (; ; offset += 100 * KIB) await write(offset);
    })(),
  ).rejects.toMatchObject({ code: 'ENOSPC' });
  await volume.volume.grow(20 * MIB);
  for (let more = 0; more < 100; more++) await write(offset + more * 100 * KIB);
  await volume.volume.checkInvariants();
  await volume.volume.unmount();
  expect(await checkVolume(device.reopen())).toMatchObject({ clean: true });
});

test('what cannot be is refused, and nothing has changed', async () => {
  const device = await made(4 * MIB, 8 * MIB, KIB);
  const volume = await TestVolume.open(device);
  await expect(volume.volume.grow(3 * MIB)).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(volume.volume.grow(9 * MIB)).rejects.toMatchObject({ code: 'ENOSPC' });
  await expect(volume.volume.grow(2 ** 61)).rejects.toThrow('out of range');
  await volume.volume.grow(4 * MIB);
  await volume.volume.unmount();
  expect(await checkVolume(device.reopen())).toMatchObject({ clean: true, statistics: { blocks: 4096 } });
  const reader = await TestVolume.open(device.reopen(), { readOnly: true });
  await expect(reader.volume.grow(8 * MIB)).rejects.toMatchObject({ code: 'EROFS' });
  await reader.volume.unmount();
});

/** A sparse image whose host has no room any more: nothing is written behind a limit. */
class FullDevice extends MemoryDevice {
  limitBytes = Number.POSITIVE_INFINITY;

  override write(...[memory, from, length, at, completion]: Parameters<MemoryDevice['write']>): void {
    if (at + length <= this.limitBytes) super.write(memory, from, length, at, completion);
    else queueMicrotask(() => completion.ioDone(28));
  }
}

test('what the device has no room for has not happened', async () => {
  const { content } = await made(4 * MIB, 24 * MIB, KIB);
  const device = new FullDevice(24 * MIB, 512, { content });
  const volume = await TestVolume.open(device);
  await filled(volume);
  device.limitBytes = 4 * MIB;
  await expect(volume.volume.grow(24 * MIB)).rejects.toMatchObject({ code: 'ENOSPC' });
  expect([volume.volume.layout.blockCount, volume.volume.readOnly]).toEqual([4096, false]);
  await volume.create('/after');
  await volume.volume.unmount();
  // The image may have become as short as it was.
  const short = new MemoryDevice(4 * MIB, 512, { content });
  expect(await checkVolume(short)).toMatchObject({ clean: true, statistics: { blocks: 4096 } });
  const again = await TestVolume.open(new MemoryDevice(24 * MIB, 512, { content }));
  await again.volume.grow(24 * MIB);
  await again.volume.unmount();
  const grown = new MemoryDevice(24 * MIB, 512, { content });
  expect(await checkVolume(grown)).toMatchObject({ clean: true, statistics: { blocks: 24576 } });
});

test('a volume at rest wakes for it, and rests again', async () => {
  const device = await made(4 * MIB, 8 * MIB, KIB);
  const volume = await TestVolume.open(device);
  await volume.volume.rest();
  await volume.volume.grow(8 * MIB);
  expect(volume.volume.resting).toBe(true);
  expect(await checkVolume(device.clone())).toMatchObject({ clean: true, state: 'clean' });
  await volume.volume.unmount();
  expect(await checkVolume(device.reopen())).toMatchObject({ clean: true, statistics: { blocks: 8192 } });
});

test('a superblock that speaks of less than the root is refused before anything is replayed', async () => {
  const device = await made(8 * MIB, 8 * MIB, KIB);
  const volume = await TestVolume.open(device);
  await filled(volume);
  await volume.volume.sync();
  const crashed = device.clone();
  await volume.volume.unmount();
  const superblock = await readSuperblock(crashed);
  const { journalBlocks } = superblock.layout();
  superblock.resized(new Layout({ blockBytes: KIB, blockCount: 8000, journalBlocks }));
  await superblock.write(crashed, 0, KIB, superblock.sequence);
  const found = crashed.reopen();
  const before = Buffer.from(found.peek(0, 8 * MIB));
  await expect(TestVolume.open(found)).rejects.toThrow('its superblock speaks of 8000 blocks');
  expect(before.equals(Buffer.from(crashed.reopen().peek(0, 8 * MIB)))).toBe(true);
});

/** Writes to the log of the journal wait while `holding`. */
class HoldingDevice extends MemoryDevice {
  holding = false;
  readonly #held: (() => void)[] = [];

  override write(memory: Memory, at: number, length: number, offset: number, done: IoCompletion): void {
    const write = () => super.write(memory, at, length, offset, done);
    if (this.holding && offset >= KIB && offset < 65 * KIB) this.#held.push(write);
    else write();
  }

  letGo(): void {
    this.holding = false;
    for (const write of this.#held.splice(0)) write();
    this.submit();
  }
}

test.each([0, 4, 5, 6, 7, 8, 9])(
  'a journal that is nearly full is waited for (%d), and the volume grows once',
  async (longTargets) => {
    const start = await made(2 * MIB, 24 * MIB, KIB);
    const device = new HoldingDevice(24 * MIB, 512, { content: start.content });
    const volume = await TestVolume.open(device);
    const { volume: live } = volume;
    const encoder = new TextEncoder();
    await live.sync();
    device.holding = true;
    await live.run((tx) => {
      for (let i = 0; i < 28; i++) {
        const target = 't'.repeat(i < longTargets ? 1900 : 900);
        live.symlink(tx, ROOT_INODE, encoder.encode(`${i}`), {
          target: encoder.encode(target),
          caller: CALLER,
        });
      }
    });
    const synced = live.sync();
    const grown = live.grow(24 * MIB);
    await new Promise((resolve) => setTimeout(resolve, 20));
    device.letGo();
    await Promise.all([synced, grown]);
    await live.checkInvariants();
    await live.unmount();
    expect(await checkVolume(device.reopen())).toMatchObject({
      problems: [],
      statistics: { blocks: 24 * KIB },
    });
  },
);

/** Bytes that are no superblock. */
const GARBAGE = new Uint8Array(1024).fill(0xa5);

interface Grown {
  readonly device: MemoryDevice;
  readonly layout: Layout;
  /** The superblock and its backups before it grew, by block. */
  readonly old: ReadonlyMap<number, Uint8Array>;
  readonly contents: ReadonlyMap<string, string>;
}

/** A volume of 2 MiB that became one of 24 MiB and has more in it than there was room for. */
async function grown(): Promise<Grown> {
  const device = await made(2 * MIB, 24 * MIB, KIB);
  const volume = await TestVolume.open(device);
  const { layout } = volume.volume;
  const old = new Map([0, layout.firstBackup].map((block) => [block, device.peek(block * KIB, KIB)]));
  await filled(volume);
  await volume.volume.grow(24 * MIB);
  const large = await volume.create('/large');
  await volume.write(large, 0, new Uint8Array(12 * MIB).fill(8));
  await volume.volume.unmount();
  return { device, layout, old, contents: await contentsOf(device.reopen()) };
}

async function isMended(image: MemoryDevice, { contents }: Grown): Promise<void> {
  const { outcome, after } = await repairVolume(image.reopen(), 'all');
  expect([outcome, after.statistics.blocks]).toEqual(['corrected', 24 * KIB]);
  expect(await checkVolume(image.reopen())).toMatchObject({ clean: true, statistics: { blocks: 24 * KIB } });
  expect(await contentsOf(image.reopen())).toEqual(contents);
  const superblock = await readSuperblock(image.reopen());
  expect(superblock.layout().blockCount).toBe(24 * KIB);
}

describe('the volume root says more', () => {
  test('than the backup, which is all there is', async () => {
    const volume = await grown();
    const { device, layout, old } = volume;
    device.poke(0, GARBAGE);
    for (const block of layout.backups) device.poke(block * KIB, old.get(block) ?? GARBAGE);
    const { problems, statistics } = await checkVolume(device.reopen());
    expect(problems.map(({ code }) => code)).toEqual(['superblock-bad']);
    expect(statistics.blocks).toBe(24 * KIB);
    await isMended(device, volume);
  });

  test('than a first superblock that came back', async () => {
    const volume = await grown();
    const { device, old } = volume;
    device.poke(0, old.get(0) ?? GARBAGE);
    const { problems } = await checkVolume(device.reopen());
    expect(problems.map(({ code }) => code)).toContain('superblock-size');
    await isMended(device, volume);
  });

  test('than there is: then it is not believed', async () => {
    const { device, layout, old } = await grown();
    device.poke(0, GARBAGE);
    for (const block of layout.backups) device.poke(block * KIB, old.get(block) ?? GARBAGE);
    const short = new MemoryDevice(23 * MIB, 512, { content: device.content });
    const { problems, statistics } = await checkVolume(short);
    expect(problems.map(({ code }) => code)).toContain('root-block-count');
    expect(statistics.blocks).toBe(2 * KIB);
  });

  /** A root with a wrong checksum beside a first superblock that came back. */
  async function badRoot({ device, layout, old }: Grown): Promise<void> {
    device.poke(0, old.get(0) ?? GARBAGE);
    const root = device.peek(layout.volumeRootBlock * KIB, KIB);
    root[KIB - 1] = 1;
    device.poke(layout.volumeRootBlock * KIB, root);
  }

  test('and has a wrong checksum, but a backup agrees with it', async () => {
    const volume = await grown();
    await badRoot(volume);
    const { problems } = await checkVolume(volume.device.reopen());
    expect(problems.map(({ code }) => code)).toEqual(['superblock-size', 'block-checksum']);
    await isMended(volume.device, volume);
  });

  test('and has a wrong checksum, and no backup agrees: then it is not believed', async () => {
    const volume = await grown();
    const { device, layout, old } = volume;
    await badRoot(volume);
    for (const block of layout.backups) device.poke(block * KIB, old.get(block) ?? GARBAGE);
    const { problems, statistics } = await checkVolume(device.reopen());
    expect(problems.map(({ code }) => code)).toContain('root-block-count');
    expect(statistics.blocks).toBe(2 * KIB);
  });
});

test.each([
  { from: 2 * MIB, to: 7 * MIB },
  { from: 2 * MIB, to: 24 * MIB },
])('wherever the power is cut while $from bytes become $to', async ({ from, to }) => {
  const start = await made(from, to, KIB);
  const first = await TestVolume.open(start);
  await filled(first);
  await first.volume.unmount();
  const contents = await contentsOf(start.reopen());
  const device = new SimulatedDevice({ sizeBytes: to, content: start.content, seed: 11 });
  const volume = await TestVolume.open(device);
  const before = device.log.length;
  await volume.volume.grow(to);
  const ended = device.log.length;
  await volume.volume.unmount();
  const sizes = new Set<number>();
  for (let at = before; at <= device.log.length; at++) {
    for (let cut = 0; cut < 6; cut++) {
      const left = crashImage(device, at, cut);
      const mended = left.clone();
      const { outcome } = await repairVolume(mended, 'safe');
      expect(outcome).toBe('clean');
      expect(await checkVolume(mended.reopen())).toMatchObject({ clean: true, state: 'clean' });
      expect(await contentsOf(mended.reopen())).toEqual(contents);
      const blind = left.clone();
      blind.poke(0, GARBAGE);
      expect(await repairVolume(blind, 'safe')).toMatchObject({ outcome: 'corrected' });
      expect(await checkVolume(blind.reopen())).toMatchObject({ clean: true, state: 'clean' });
      expect(await contentsOf(blind.reopen())).toEqual(contents);
      const mounted = await TestVolume.open(left);
      expect((await readSuperblock(blind.reopen())).layout().blockCount).toBe(
        mounted.volume.layout.blockCount,
      );
      sizes.add(mounted.volume.layout.blockCount);
      if (at >= ended) expect(mounted.volume.layout.blockCount).toBe(to / KIB);
      await mounted.volume.unmount();
      expect(await checkVolume(left.reopen())).toMatchObject({ clean: true, state: 'clean' });
      const superblock = await readSuperblock(left.reopen());
      expect(Superblock.blockCount.get(superblock.view, 0)).toBe(mounted.volume.layout.blockCount);
    }
  }
  expect([...sizes].sort((a, b) => a - b)).toEqual([from / KIB, to / KIB]);
});
