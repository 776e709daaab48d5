/**
 * Figures and owners of volumes in memory, against what else is known of them: counters, the trees
 * as `quarry dump` shows them, and damage made on purpose.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import firstFit from '../../src/alloc/first-fit.ts';
import { viewOf } from '../../src/common/bytes.ts';
import { HEADER_BYTES, ROOT_INODE, SummaryHeader } from '../../src/fs/format/format.ts';
import { type BlockOwner, BlockUse, visitOwners } from '../../src/inspect/block-owners.ts';
import { FaultList } from '../../src/inspect/fault-list.ts';
import { InodeReader } from '../../src/inspect/inode-reader.ts';
import { reportInode } from '../../src/inspect/inode-report.ts';
import { measureFile, measureVolume } from '../../src/inspect/volume-figures.ts';
import type { VolumeSource } from '../../src/inspect/volume-source.ts';
import { readUsage } from '../../src/inspect/volume-usage.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';
import { BLOCK_BYTES, sourceOf, withBlock, withUnreadable } from './inspect-sample.ts';

const SIZE_BYTES = 24 * 1024 * 1024;
const decoder = new TextDecoder();

interface Aged {
  device: MemoryDevice;
  source: VolumeSource;
  whole: number;
  woven: number;
  inline: number;
  inner: number;
  folder: number;
  deep: number;
  freeBlocks: number;
}

/** Two files that are woven into each other: everything between them is freed again. */
async function makeAged(): Promise<Aged> {
  const device = new MemoryDevice(SIZE_BYTES);
  await formatted(device, BLOCK_BYTES);
  const volume = await TestVolume.open(device, { allocator: firstFit });
  const inline = await volume.create('/inline');
  await volume.write(inline, 0, new Uint8Array(100).fill(1));
  await volume.create('/empty');
  await volume.symlink('x'.repeat(2000), '/symlink');
  const whole = await volume.create('/whole');
  await volume.write(whole, 0, new Uint8Array(40 * BLOCK_BYTES).fill(2));
  const folder = await volume.mkdir('/folder');
  for (let i = 0; i < 300; i++) await volume.create(`/folder/${'n'.repeat(40)}${i}`);
  const deep = await volume.mkdir('/folder/deep');
  const inner = await volume.create('/folder/deep/inner');
  const woven = await volume.create('/folder/woven');
  await volume.link('/folder/woven', '/folder/deep/other-name');
  // Each block is on the disk before the next one is asked for.
  for (let i = 0; i < 200; i++) {
    await volume.write(woven, i * BLOCK_BYTES, new Uint8Array(BLOCK_BYTES).fill(3));
    await volume.write(inner, i * BLOCK_BYTES, new Uint8Array(BLOCK_BYTES).fill(4));
  }
  await volume.volume.unmount();
  const rested = device.clone();
  const source = await sourceOf(rested);
  // The counters of the volume itself.
  const { freeBlocks = 0 } = await readUsage(rested, source.layout);
  return {
    device: rested,
    source,
    whole,
    woven,
    inline,
    inner,
    folder,
    deep,
    freeBlocks,
  };
}

let aged: Aged;
beforeAll(async () => {
  aged = await makeAged();
});

/** The extents of an inode by the parts that `quarry dump` shows, when all are in the inode. */
async function piecesByDump(source: VolumeSource, inode: number): Promise<number> {
  const { parts } = await reportInode(source, inode);
  const records = parts.filter(({ title }) => title.startsWith('extent record'));
  const field = (rows: (typeof parts)[number]['rows'], name: string) =>
    Number(rows.find((row) => row.name === name)?.value);
  let pieces = 0;
  let next = -1;
  for (const { rows } of records) {
    if (field(rows, 'block') !== next) pieces++;
    next = field(rows, 'block') + field(rows, 'length');
  }
  return pieces;
}

describe('a file', () => {
  test('in one piece, as dump shows it', async () => {
    const figures = await measureFile(aged.source, aged.whole);
    expect(figures).toMatchObject({ blocks: 40, sizeBytes: 40 * BLOCK_BYTES, inline: false });
    expect(figures.pieces).toBe(await piecesByDump(aged.source, aged.whole));
    expect(figures.extents.reduce((sum, { length }) => sum + length, 0)).toBe(40);
  });

  test('in many, with a tree of its own', async () => {
    const { blocks, pieces, extents, layoutScore, faults } = await measureFile(aged.source, aged.woven);
    expect([blocks, faults.count]).toEqual([200, 0]);
    expect(extents.map(({ fileBlock }) => fileBlock)).toEqual(
      [...extents.map(({ fileBlock }) => fileBlock)].sort((a, b) => a - b),
    );
    let expected = 0;
    for (const [i, { block }] of extents.entries()) {
      const before = extents[i - 1];
      if (!before || before.block + before.length !== block) expected++;
    }
    expect(pieces).toBe(expected);
    expect(layoutScore).toBe((200 - pieces) / 199);
  });

  test('with blocks that are not written yet', async () => {
    const device = new MemoryDevice(SIZE_BYTES);
    await formatted(device, BLOCK_BYTES);
    const volume = await TestVolume.open(device);
    const ahead = await volume.create('/ahead');
    await volume.volume.preallocate(ahead, 0, 20 * BLOCK_BYTES);
    await volume.write(ahead, 5 * BLOCK_BYTES, new Uint8Array(BLOCK_BYTES));
    await volume.volume.unmount();
    const { extents, pieces, blocks } = await measureFile(await sourceOf(device.clone()), ahead);
    expect(extents.map(({ length, unwritten }) => [length, unwritten])).toEqual([
      [5, true],
      [1, false],
      [14, true],
    ]);
    expect([pieces, blocks]).toEqual([1, 20]);
  });

  test('with its data in the inode', async () => {
    expect(await measureFile(aged.source, aged.inline)).toMatchObject({
      blocks: 0,
      pieces: 0,
      inline: true,
      layoutScore: null,
    });
  });

  test('that is none', async () => {
    await expect(measureFile(aged.source, ROOT_INODE)).rejects.toThrow('inode 1 is no regular file');
    await expect(measureFile(aged.source, 9999)).rejects.toThrow('inode 9999 is not in use');
  });
});

describe('a volume', () => {
  test('counts what is there, and its free space as the volume does', async () => {
    const { inodes, layout, freeSpace, faults, unknownBlocks } = await measureVolume(aged.source, {
      worst: 3,
    });
    expect(faults.first).toEqual([]);
    expect(inodes).toEqual({ regular: 305, directories: 3, symlinks: 1, others: 0, inline: 1, empty: 301 });
    expect([layout.files, layout.blocks, unknownBlocks]).toEqual([3, 440, 0]);
    expect(freeSpace?.freeBlocks).toBe(aged.freeBlocks);
    expect(freeSpace?.histogram.reduce((sum, { blocks }) => sum + blocks, 0)).toBe(aged.freeBlocks);
  });

  test('names the files with most extents', async () => {
    const { worst, layout } = await measureVolume(aged.source, { worst: 2 });
    const figures = await Promise.all(
      [aged.woven, aged.inner].map((inode) => measureFile(aged.source, inode)),
    );
    const expected = figures.filter(({ pieces }) => pieces > 1).map(({ inode }) => inode);
    expect(worst.map(({ inode }) => inode).sort()).toEqual(expected.sort());
    const paths = worst.map(({ path }) => decoder.decode(path));
    expect(paths).toContain('/folder/deep/inner');
    expect(layout.extentsPerFile?.max).toBe(Math.max(...figures.map(({ pieces }) => pieces)));
  });

  test('of which only a directory is wanted: a file with two names counts once', async () => {
    const { folder } = aged;
    const { inodes, layout, freeSpace } = await measureVolume(aged.source, { worst: 1, directory: folder });
    expect(inodes).toMatchObject({ regular: 302, directories: 2, symlinks: 0 });
    expect([layout.files, freeSpace]).toEqual([2, undefined]);
    const below = await measureVolume(aged.source, { worst: 5, directory: aged.deep });
    expect(below.layout.files).toBe(2);
    expect(below.worst.map(({ path }) => decoder.decode(path)).sort()).toEqual(['/inner', '/other-name']);
  });

  test('that nobody has used', async () => {
    const device = new MemoryDevice(SIZE_BYTES);
    await formatted(device, BLOCK_BYTES);
    const source = await sourceOf(device);
    const { layout, freeSpace, worst } = await measureVolume(source, { worst: 3 });
    const top = source.layout.summaryBlock(source.layout.summaryLevels, 0);
    const summary = viewOf(device.peek(top * BLOCK_BYTES, BLOCK_BYTES));
    expect([layout.files, worst]).toEqual([0, []]);
    expect(freeSpace?.freeBlocks).toBe(SummaryHeader.freeBlocks.get(summary, 0));
    // Of its groups most were never used.
    expect(source.layout.groupCount).toBe(4);
    expect(freeSpace?.runs).toBeGreaterThanOrEqual(4);
  });
});

describe('owners', () => {
  async function owned(source: VolumeSource, wantsPieces = true) {
    const faults = new FaultList();
    const uses = new Uint8Array(source.layout.blockCount).fill(255);
    const owners = new Map<number, BlockOwner>();
    await visitOwners(source, faults, {
      wantsPieces,
      run: (block, length, use, owner) => {
        for (let i = block; i < block + length; i++) {
          expect(uses[i]).toBe(255);
          uses[i] = use;
        }
        if (owner) owners.set(owner.inode, owner);
      },
    });
    const blocksOf = (use: number) => uses.reduce((count, found) => count + Number(found === use), 0);
    return { faults, owners, blocksOf };
  }

  test('of a sound volume every block has one use', async () => {
    const { faults, owners, blocksOf } = await owned(aged.source);
    expect(faults.first).toEqual([]);
    expect(blocksOf(255)).toBe(0);
    expect(blocksOf(BlockUse.data)).toBe(440 + 3);
    expect(blocksOf(BlockUse.journal)).toBe(aged.source.layout.journalBlocks);
    expect(blocksOf(BlockUse.directory)).toBeGreaterThan(5);
    expect(blocksOf(BlockUse.tree)).toBeGreaterThan(0);
    expect(blocksOf(BlockUse.superblock)).toBe(4);
    const { pieces } = await measureFile(aged.source, aged.woven);
    expect(owners.get(aged.woven)).toMatchObject({ pieces, isDirectory: false });
  });

  test('of a damaged one: what nothing leads to stays without', async () => {
    const { block } = await aged.source.inode(aged.whole);
    const { faults, blocksOf } = await owned(await sourceOf(withUnreadable(aged.device, block)));
    expect(faults.first).toEqual([`inodes: block ${block} cannot be read`]);
    expect(blocksOf(255)).toBeGreaterThanOrEqual(40);
  });
});

describe('damage', () => {
  test('of a bitmap: its group is unknown, and the rest counts', async () => {
    const { layout } = aged.source;
    const before = await measureVolume(aged.source, { worst: 0 });
    const unreadable = await sourceOf(withUnreadable(aged.device, layout.spaceStart));
    const figures = await measureVolume(unreadable, { worst: 0 });
    expect(figures.faults.first).toEqual([`free space: block ${layout.spaceStart} cannot be read`]);
    expect(figures.unknownBlocks).toBe(layout.groupLength(0));
    expect(figures.layout).toEqual(before.layout);
    const emptied = withBlock(aged.device, layout.spaceStart, (bytes) => bytes.fill(0, 0, HEADER_BYTES));
    const { faults, unknownBlocks } = await measureVolume(await sourceOf(emptied), { worst: 0 });
    expect([faults.count, unknownBlocks]).toEqual([1, layout.groupLength(0)]);
  });

  test('of a summary: every group is asked for its bitmap', async () => {
    const { layout } = aged.source;
    const top = layout.summaryBlock(layout.summaryLevels, 0);
    const source = await sourceOf(withUnreadable(aged.device, top));
    const { faults, freeSpace, unknownBlocks } = await measureVolume(source, { worst: 0 });
    expect(faults.first[0]).toBe(`free space: block ${top} cannot be read`);
    // Those that were never used have none.
    expect(unknownBlocks).toBeGreaterThan(0);
    expect((freeSpace?.freeBlocks ?? 0) + unknownBlocks).toBeGreaterThan(aged.freeBlocks);
  });

  test('of a block of inodes: the others are counted', async () => {
    const { block } = await aged.source.inode(aged.whole);
    const { faults, inodes } = await measureVolume(await sourceOf(withUnreadable(aged.device, block)), {
      worst: 0,
    });
    expect(faults.count).toBe(1);
    expect(inodes.regular).toBeLessThan(305);
    expect(inodes.regular).toBeGreaterThan(300);
  });

  test('of a directory: files have no names, and figures all the same', async () => {
    const { layout, ...before } = await measureVolume(aged.source, { worst: 5 });
    const { folder } = aged;
    const nodes: number[] = [];
    const place = await aged.source.inode(folder);
    for await (const record of aged.source.leafRecords(place, 8)) nodes.push(record.block);
    const source = await sourceOf(withUnreadable(aged.device, ...new Set(nodes)));
    const after = await measureVolume(source, { worst: 5 });
    expect(after.layout).toEqual(layout);
    expect(after.worst.map(({ inode }) => inode)).toEqual(before.worst.map(({ inode }) => inode));
    expect(after.worst.every(({ path }) => path === undefined)).toBe(true);
    expect(after.faults.count).toBeGreaterThan(0);
  });

  test('of the volume root: nothing but free space is known', async () => {
    const root = aged.source.layout.volumeRootBlock;
    const { faults, layout, freeSpace } = await measureVolume(
      await sourceOf(withUnreadable(aged.device, root)),
      { worst: 5 },
    );
    expect(faults.first[0]).toBe(`inode table: block ${root} cannot be read`);
    expect([layout.files, freeSpace?.freeBlocks]).toEqual([0, aged.freeBlocks]);
  });
});

test('an inode by its number, and those that are not in use', async () => {
  const faults = new FaultList();
  const reader = await InodeReader.open(aged.source, faults);
  expect((await reader.place(aged.woven)).block).toBe((await aged.source.inode(aged.woven)).block);
  await expect(reader.place(9_999_999)).rejects.toThrow('inode 9999999 is not in use');
  const seen: number[] = [];
  await reader.scan((inode) => {
    seen.push(inode);
    return undefined;
  });
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(seen.length).toBe(305 + 3 + 1);
});
