/**
 * What each of the policies that are there to be compared with is known for. That they keep their
 * promises is for the suite and the fuzz (alloc-policies.test.ts, alloc-fuzz.test.ts).
 */
import { describe, expect, it } from 'vitest';
import type { Run } from '../../src/alloc/allocator.ts';
import { loadAllocator } from '../../src/alloc/registry.ts';
import { BitmapDisk } from '../../src/lab/verify/bitmap-disk.ts';
import { Owner, want } from '../suite/alloc-owner.ts';
import { Random } from '../suite/alloc-random.ts';

const GROUP_BLOCKS = 8192;

async function ownerOf(name: string, options: Record<string, string> = {}, groups = 10): Promise<Owner> {
  const shape = { groupBlocks: GROUP_BLOCKS, blockCount: groups * GROUP_BLOCKS, metadataBlocks: 2 };
  return new Owner(await loadAllocator(name), new BitmapDisk(shape), options);
}

/** A group that is full but for these holes. */
async function holedOwner(name: string, holes: Run[], options: Record<string, string> = {}): Promise<Owner> {
  const owner = await ownerOf(name, options, 1);
  owner.disk.change({ start: 2, length: GROUP_BLOCKS - 2 }, true);
  for (const hole of holes) owner.disk.change(hole, false);
  return owner;
}

function take(owner: Owner, fields: Parameters<typeof want>[0]): Run {
  const run = owner.allocate(want(fields));
  if (run === undefined) throw new Error('no space');
  return run;
}

/** A file of `length` blocks, asked for in pieces of 64 as writes are; its extents. */
function writeFile(owner: Owner, inode: number, length: number, stream = true): Run[] {
  const extents: Run[] = [];
  for (let left = length; left > 0; ) {
    const last = extents.at(-1);
    const goal = last === undefined ? -1 : last.start + last.length;
    const run = take(owner, { inode, goal, length: Math.min(left, 64), stream });
    if (last !== undefined && run.start === goal) {
      extents[extents.length - 1] = { start: last.start, length: last.length + run.length };
    } else extents.push(run);
    left -= run.length;
  }
  return extents;
}

/** Writes and removes files of 1 to `most` blocks at about the same fullness; what is left of them. */
function age(owner: Owner, share: number, most: number, rounds: number): Run[][] {
  const random = new Random(7);
  const files: Run[][] = [];
  for (let round = 0; round < rounds; round++) {
    const isFull = owner.index.freeBlocks < (1 - share) * owner.index.blockCount;
    if (isFull) {
      const index = random.below(files.length);
      for (const run of files[index] ?? []) owner.free(run);
      files.splice(index, 1);
    } else files.push(writeFile(owner, round, 1 + random.below(most)));
  }
  return files;
}

function splitFiles(files: Run[][]): number {
  return files.filter((extents) => extents.length > 1).length / files.length;
}

describe('best-fit', () => {
  const holes = [
    { start: 100, length: 5 },
    { start: 200, length: 10 },
    { start: 300, length: 7 },
    { start: 400, length: 7 },
  ];

  it('takes the tightest hole, the lowest of two', async () => {
    const owner = await holedOwner('best-fit', holes);
    expect(take(owner, { length: 6, goal: 200 })).toEqual({ start: 300, length: 6 });
    expect(take(owner, { length: 7 })).toEqual({ start: 400, length: 7 });
    expect(take(owner, { length: 1 })).toEqual({ start: 306, length: 1 });
  });

  it('takes the longest hole where none is long enough', async () => {
    const owner = await holedOwner('best-fit', holes);
    expect(take(owner, { length: 50 })).toEqual({ start: 200, length: 10 });
    expect(owner.policy.stats?.()).toEqual({ wholeRequests: 0, cutRequests: 1 });
  });
});

describe('worst-fit', () => {
  it('takes from the longest hole', async () => {
    const owner = await holedOwner('worst-fit', [
      { start: 100, length: 50 },
      { start: 200, length: 60 },
    ]);
    expect(take(owner, { length: 6 })).toEqual({ start: 200, length: 6 });
    expect(take(owner, { length: 6 })).toEqual({ start: 206, length: 6 });
    expect(take(owner, { length: 6 })).toEqual({ start: 100, length: 6 });
  });
});

describe('buddy', () => {
  it('starts each block at a multiple of its size', async () => {
    const owner = await ownerOf('buddy', {}, 4);
    const random = new Random(3);
    const runs: Run[] = [];
    for (let step = 0; step < 400; step++) {
      if (random.oneIn(3) && runs.length > 0) owner.free(runs.splice(random.below(runs.length), 1)[0] as Run);
      const run = take(owner, { length: 1 + random.below(100) });
      expect((run.start % GROUP_BLOCKS) % 2 ** Math.ceil(Math.log2(run.length))).toBe(0);
      runs.push(run);
    }
  });

  it('withholds the rest of a block from all but the file that goes on there', async () => {
    const owner = await ownerOf('buddy', {}, 1);
    expect(take(owner, { length: 5 })).toEqual({ start: 8, length: 5 });
    expect(owner.policy.stats?.()).toMatchObject({ withheldBlocks: 3 });
    expect(take(owner, { length: 2 })).toEqual({ start: 2, length: 2 });
    expect(take(owner, { length: 1 })).toEqual({ start: 4, length: 1 });
    expect(take(owner, { length: 2 })).toEqual({ start: 6, length: 2 });
    expect(take(owner, { length: 2 })).toEqual({ start: 16, length: 2 });
    expect(take(owner, { length: 9, goal: 13 })).toEqual({ start: 13, length: 3 });
    expect(owner.policy.stats?.()).toMatchObject({ withheldBlocks: 0, takenBlocks: 15, roundedBlocks: 15 });
  });

  it('gives what it withheld before it refuses anything, and forgets it with its block', async () => {
    const owner = await ownerOf('buddy', {}, 1);
    const first = take(owner, { length: 5 });
    while (owner.index.freeBlocks > 3) take(owner, { length: 4 });
    expect(take(owner, { length: 3 })).toEqual({ start: 13, length: 3 });
    owner.free(first);
    owner.free({ start: 13, length: 3 });
    expect(take(owner, { length: 8 })).toEqual({ start: 8, length: 8 });
  });

  it('wastes a quarter to a third of the blocks where sizes are uniform', async () => {
    const owner = await ownerOf('buddy', {}, 40);
    const random = new Random(1);
    for (let count = 0; count < 1000; count++) take(owner, { length: 1 + random.below(256) });
    const { takenBlocks = 0, roundedBlocks = 0, withheldBlocks } = owner.policy.stats?.() ?? {};
    expect(1 - takenBlocks / roundedBlocks).toBeGreaterThan(0.2);
    expect(1 - takenBlocks / roundedBlocks).toBeLessThan(0.35);
    expect(withheldBlocks).toBe(roundedBlocks - takenBlocks);
  });
});

describe('segregated', () => {
  it('keeps the sizes in areas of their own', async () => {
    const owner = await ownerOf('segregated', { small: '8' }, 9);
    const areas = [7, 8, 255, 256].map((length) =>
      Math.floor(take(owner, { length }).start / (3 * GROUP_BLOCKS)),
    );
    expect(areas).toEqual([0, 1, 1, 2]);
    expect(owner.policy.stats?.()).toEqual({ atHome: 4, abroad: 0 });
  });
});

describe('ffs-groups', () => {
  it('spreads directories, and puts files into the group of the last one', async () => {
    const owner = await ownerOf('ffs-groups');
    const groups = new Set<number>();
    for (let inode = 1; inode <= 9; inode++) {
      const group = Math.floor(take(owner, { inode, kind: 'directory' }).start / GROUP_BLOCKS);
      groups.add(group);
      expect(Math.floor(take(owner, { inode: 100 + inode }).start / GROUP_BLOCKS)).toBe(group);
    }
    expect(groups.size).toBe(9);
  });

  it('takes the next free block behind the goal, however short the hole', async () => {
    const holes = [
      { start: 100, length: 1 },
      { start: 110, length: 20 },
    ];
    const plain = await holedOwner('ffs-groups', holes);
    expect(take(plain, { goal: 90, length: 8 })).toEqual({ start: 100, length: 1 });
    const clustered = await holedOwner('ffs-groups', holes, { realloc: 'on' });
    expect(take(clustered, { goal: 90, length: 8 })).toEqual({ start: 110, length: 8 });
  });

  it('splits fewer files with realloc=on', async () => {
    const without = splitFiles(age(await ownerOf('ffs-groups', {}, 4), 0.85, 64, 6000));
    const withIt = splitFiles(age(await ownerOf('ffs-groups', { realloc: 'on' }, 4), 0.85, 64, 6000));
    expect(withIt).toBeLessThan(0.8 * without);
  });

  it('refuses an option it cannot read', async () => {
    await expect(ownerOf('ffs-groups', { realloc: 'maybe' })).rejects.toThrow('neither on nor off');
    await expect(ownerOf('ffs-groups', { realloc: 'on', cluster: '0' })).rejects.toThrow('cluster=0');
  });
});

describe('aligned', () => {
  it('gives whole chunks to those who ask for one or more', async () => {
    const owner = await ownerOf('aligned');
    expect(take(owner, { length: 700 })).toEqual({ start: 512, length: 512 });
    expect(take(owner, { length: 1024, goal: 1024 })).toEqual({ start: 1024, length: 1024 });
    expect(take(owner, { length: 100, goal: 2048 })).toEqual({ start: 2, length: 100 });
    expect(take(owner, { length: 100, goal: 2048, stream: true })).toEqual({ start: 2048, length: 100 });
    expect(take(owner, { length: 900, goal: 2148 })).toEqual({ start: 2148, length: 412 });
  });

  it('fills broken chunks before it breaks a whole one', async () => {
    const owner = await holedOwner('aligned', [
      { start: 512, length: 512 },
      { start: 1100, length: 900 },
    ]);
    expect(take(owner, { length: 300 })).toEqual({ start: 1100, length: 300 });
    expect(take(owner, { length: 300 })).toEqual({ start: 1400, length: 300 });
    expect(take(owner, { length: 300 })).toEqual({ start: 1700, length: 300 });
    expect(take(owner, { length: 300 })).toEqual({ start: 512, length: 300 });
    expect(owner.policy.stats?.()).toEqual({ brokenChunks: 1 });
  });

  it('keeps more chunks whole than first-fit and next-fit on an aged volume', async () => {
    const wholeChunks = async (name: string): Promise<number> => {
      const owner = await ownerOf(name, {}, 4);
      age(owner, 0.7, 60, 6000);
      let whole = 0;
      for (let start = 0; start < owner.index.blockCount; start += 512)
        if (owner.index.freeRunLength(start, 512) === 512) whole++;
      return whole;
    };
    const kept = await wholeChunks('aligned');
    expect(kept).toBeGreaterThan(await wholeChunks('first-fit'));
    expect(kept).toBeGreaterThan(await wholeChunks('next-fit'));
  });
});

describe('append-only', () => {
  it('goes forward through every hole, and round', async () => {
    const owner = await holedOwner('append-only', [
      { start: 100, length: 3 },
      { start: 200, length: 10 },
    ]);
    expect(take(owner, { length: 8, goal: 200 })).toEqual({ start: 100, length: 3 });
    expect(take(owner, { length: 5 })).toEqual({ start: 200, length: 5 });
    owner.free({ start: 100, length: 3 });
    expect(take(owner, { length: 5 })).toEqual({ start: 205, length: 5 });
    expect(take(owner, { length: 5 })).toEqual({ start: 100, length: 3 });
    expect(owner.policy.stats?.()).toEqual({ head: 103, rounds: 1 });
  });
});

describe('random', () => {
  it('goes where the seed says', async () => {
    const placesOf = async (seed: string): Promise<number[]> => {
      const owner = await ownerOf('random', { seed });
      return Array.from({ length: 20 }, () => take(owner, { length: 4 }).start);
    };
    const places = await placesOf('1');
    expect(await placesOf('1')).toEqual(places);
    expect(await placesOf('2')).not.toEqual(places);
    expect(new Set(places.map((start) => Math.floor(start / GROUP_BLOCKS))).size).toBeGreaterThan(5);
    await expect(ownerOf('random', { seed: 'x' })).rejects.toThrow('seed=x is not a whole number');
  });
});
