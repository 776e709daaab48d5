/** Blocks that must not be handed out, and what the space index tells of its own costs. */
import { describe, expect, test } from 'vitest';
import { HeldBlocks } from '../../src/alloc/held-blocks.ts';
import { loadAllocator } from '../../src/alloc/registry.ts';
import { BitmapDisk } from '../../src/lab/verify/bitmap-disk.ts';
import { Owner, want } from '../suite/alloc-owner.ts';

const GROUP_BLOCKS = 8192;
/** A bit a block. */
const BITMAP_BYTES = GROUP_BLOCKS / 8;

describe('held blocks', () => {
  test('are counted by kind and by group', () => {
    const held = new HeldBlocks(GROUP_BLOCKS);
    held.hold({ start: 10, length: 5 }, 'reserved', GROUP_BLOCKS);
    held.hold({ start: 15, length: 2 }, 'quarantined', GROUP_BLOCKS);
    held.hold({ start: GROUP_BLOCKS, length: 3 }, 'quarantined', 100);
    expect([held.reserved, held.quarantined]).toEqual([5, 5]);
    expect([held.inGroup(0), held.inGroup(1), held.inGroup(2)]).toEqual([7, 3, 0]);
    expect(held.wordsOf(0)?.[0]).toBe(0b1_1111_1100_0000_0000);
    expect(held.wordsOf(1)).toHaveLength(Math.ceil(100 / 32));
    held.checkInvariants();
  });

  test('are neither held twice nor settled as what they are not', () => {
    const held = new HeldBlocks(GROUP_BLOCKS);
    held.hold({ start: 10, length: 5 }, 'reserved', GROUP_BLOCKS);
    expect(() => held.hold({ start: 14, length: 2 }, 'quarantined', GROUP_BLOCKS)).toThrow('held already');
    expect(() => held.settle({ start: 10, length: 6 }, 'reserved')).toThrow('is not reserved');
    expect(() => held.settle({ start: 10, length: 5 }, 'quarantined')).toThrow('is not quarantined');
    expect(() => held.settle({ start: 20, length: 1 }, 'reserved')).toThrow('is not reserved');
    held.settle({ start: 11, length: 4 }, 'reserved');
    expect([held.reserved, held.inGroup(0)]).toEqual([1, 1]);
    held.checkInvariants();
  });

  test('leave an empty bitmap, which the next group gets', () => {
    const held = new HeldBlocks(GROUP_BLOCKS);
    held.hold({ start: 10, length: 5 }, 'reserved', GROUP_BLOCKS);
    const words = held.wordsOf(0);
    held.settle({ start: 10, length: 5 }, 'reserved');
    expect(held.wordsOf(0)).toBeUndefined();
    expect(held.memoryBytes).toBe(BITMAP_BYTES);
    held.checkInvariants();
    held.hold({ start: 3 * GROUP_BLOCKS + 1, length: 1 }, 'reserved', GROUP_BLOCKS);
    expect(held.wordsOf(3)).toBe(words);
    held.checkInvariants();
  });

  test('a bitmap of another length is not used again', () => {
    const held = new HeldBlocks(GROUP_BLOCKS);
    held.hold({ start: 0, length: 1 }, 'reserved', 64);
    held.settle({ start: 0, length: 1 }, 'reserved');
    held.hold({ start: GROUP_BLOCKS, length: 100 }, 'reserved', GROUP_BLOCKS);
    expect(held.wordsOf(1)).toHaveLength(GROUP_BLOCKS / 32);
    held.checkInvariants();
  });

  test('no more empty bitmaps are kept than a mebibyte holds', () => {
    const held = new HeldBlocks(GROUP_BLOCKS);
    const groups = Array.from({ length: 1200 }, (_, group) => ({ start: group * GROUP_BLOCKS, length: 1 }));
    for (const run of groups) held.hold(run, 'quarantined', GROUP_BLOCKS);
    expect(held.memoryBytes).toBe(1200 * BITMAP_BYTES);
    for (const run of groups) held.settle(run, 'quarantined');
    expect(held.memoryBytes).toBe(1024 * BITMAP_BYTES);
  });

  test('stay where they are when groups change their length', () => {
    const held = new HeldBlocks(GROUP_BLOCKS);
    held.hold({ start: 30, length: 4 }, 'quarantined', 64);
    held.resize(() => 128);
    expect(held.wordsOf(0)).toEqual(new Uint32Array([0xc000_0000, 0b11, 0, 0]));
    held.settle({ start: 30, length: 4 }, 'quarantined');
    held.checkInvariants();
  });
});

describe('costs of the space index', () => {
  /** Words of a map, and a bit for each of them in two summaries. */
  const MAP_BYTES = BITMAP_BYTES + 2 * (GROUP_BLOCKS / 32 / 8);

  async function ownerOf(policy: string): Promise<Owner> {
    const disk = new BitmapDisk({ groupBlocks: GROUP_BLOCKS, blockCount: 4 * GROUP_BLOCKS });
    return new Owner(await loadAllocator(policy), disk);
  }

  test('memory is that of maps, of held blocks, and of runs by size where they are asked for', async () => {
    const owner = await ownerOf('first-fit');
    expect(owner.index.counters()).toEqual({ spaceIndexBytes: 0, spaceMapLooks: 0, runsReserved: 0 });
    const run = owner.reserve(want({ length: 3 }));
    if (run === undefined) expect.fail('a new disk has room');
    expect(owner.index.counters().spaceIndexBytes).toBe(MAP_BYTES + BITMAP_BYTES);
    expect(owner.index.counters().runsReserved).toBe(1);
    owner.commit(run);
    const before = owner.index.counters().spaceIndexBytes;
    owner.index.smallestRun(1);
    // One page of 512 keys; a tree over four groups has eight nodes. The other groups are pristine.
    expect(owner.index.counters().spaceIndexBytes - before).toBe(512 * 8 + 8 * 4);
  });

  test('each look into a map counts', async () => {
    const { index } = await ownerOf('first-fit');
    index.isFree(5);
    index.freeRunLength(GROUP_BLOCKS, 10);
    index.freeInGroup(2);
    expect(index.counters().spaceMapLooks).toBe(2);
  });
});

test('buddy, goal-and-window and group-and-goal tell the memory of what they remember', async () => {
  const figures: Record<string, (number | undefined)[]> = {};
  for (const name of ['buddy', 'goal-and-window', 'group-and-goal']) {
    const disk = new BitmapDisk({ groupBlocks: GROUP_BLOCKS, blockCount: 4 * GROUP_BLOCKS });
    const owner = new Owner(await loadAllocator(name), disk);
    const told = [owner.policy.stats?.().indexBytes];
    const first = owner.allocate(want({ length: 5, stream: true }));
    if (first === undefined) expect.fail('a new disk has room');
    owner.allocate(want({ length: 5, goal: first.start + first.length, stream: true }));
    told.push(owner.policy.stats?.().indexBytes);
    figures[name] = told;
  }
  expect(figures).toEqual({
    buddy: [0, 24],
    // A file with four numbers and a window with two, each under its inode.
    'goal-and-window': [0, 64],
    'group-and-goal': [0, 24],
  });
});
