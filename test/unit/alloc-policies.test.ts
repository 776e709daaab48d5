/**
 * The shared suite on every built-in policy and on a user's module, what each policy is for, and
 * the registry.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Run } from '../../src/alloc/allocator.ts';
import { BUILT_IN_ALLOCATORS, DEFAULT_ALLOCATOR } from '../../src/alloc/built-in.ts';
import { loadAllocator } from '../../src/alloc/registry.ts';
import { PolicyError, SpaceIndex, SpaceMismatchError } from '../../src/alloc/space-index.ts';
import { BitmapDisk } from '../../src/lab/verify/bitmap-disk.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { fuzzAllocator } from '../suite/alloc-fuzz.ts';
import { Owner, want } from '../suite/alloc-owner.ts';
import { allocatorSuite } from '../suite/allocator-suite.ts';

const EXAMPLE = 'examples/allocators/emptiest-group.js';

for (const definition of BUILT_IN_ALLOCATORS.values()) allocatorSuite(definition);
allocatorSuite(await loadAllocator(EXAMPLE));

async function ownerOf(name: string, blockCount = 80_000): Promise<Owner> {
  const disk = new BitmapDisk({ groupBlocks: 8000, blockCount, metadataBlocks: 2 });
  return new Owner(await loadAllocator(name), disk);
}

function mustAllocate(owner: Owner, fields: Parameters<typeof want>[0]): Run {
  const run = owner.allocate(want(fields));
  if (run === undefined) throw new Error('no space');
  return run;
}

/** Appends `pieces` pieces to each of `files` files in turn; returns the extents of each. */
function appendInTurn(owner: Owner, files: number, pieces: number, length: number): Run[][] {
  const extents: Run[][] = Array.from({ length: files }, () => []);
  for (let piece = 0; piece < pieces; piece++) {
    for (const [file, own] of extents.entries()) append(owner, own, file + 1, length);
  }
  return extents;
}

function append(owner: Owner, extents: Run[], inode: number, length: number): void {
  const last = extents.at(-1);
  const goal = last === undefined ? -1 : last.start + last.length;
  const run = mustAllocate(owner, { inode, length, goal, stream: true });
  if (last === undefined || run.start !== goal) extents.push(run);
  else extents[extents.length - 1] = { start: last.start, length: last.length + run.length };
}

describe('first-fit', () => {
  it('takes the first hole that is large enough', async () => {
    const owner = await ownerOf('first-fit');
    mustAllocate(owner, { length: 500 });
    owner.free({ start: 100, length: 5 });
    owner.free({ start: 200, length: 10 });
    expect(mustAllocate(owner, { length: 7 })).toEqual({ start: 200, length: 7 });
    expect(mustAllocate(owner, { length: 3 })).toEqual({ start: 100, length: 3 });
  });
});

describe('next-fit', () => {
  it('goes on where it was, and round', async () => {
    const owner = await ownerOf('next-fit', 8000);
    mustAllocate(owner, { length: 500 });
    owner.free({ start: 100, length: 50 });
    expect(mustAllocate(owner, { length: 7 })).toEqual({ start: 502, length: 7 });
    mustAllocate(owner, { length: 8000 });
    expect(mustAllocate(owner, { length: 7 })).toEqual({ start: 100, length: 7 });
  });
});

describe('goal-and-window', () => {
  it('is the default', () => {
    expect(DEFAULT_ALLOCATOR.name).toBe('goal-and-window');
  });

  it('goes on at the goal, else takes the first hole that holds it whole', async () => {
    const owner = await ownerOf('goal-and-window');
    expect(mustAllocate(owner, { goal: 20_000, length: 8 })).toEqual({ start: 20_000, length: 8 });
    mustAllocate(owner, { length: 100 });
    owner.free({ start: 10, length: 4 });
    expect(mustAllocate(owner, { length: 8 })).toEqual({ start: 102, length: 8 });
    expect(mustAllocate(owner, { length: 4 })).toEqual({ start: 10, length: 4 });
  });

  it('takes the longest hole where none holds the request', async () => {
    const owner = await ownerOf('goal-and-window', 8000);
    while (owner.index.freeBlocks > 0) mustAllocate(owner, { length: 500 });
    owner.free({ start: 100, length: 5 });
    owner.free({ start: 300, length: 9 });
    owner.free({ start: 500, length: 7 });
    expect(mustAllocate(owner, { length: 20 })).toEqual({ start: 300, length: 9 });
  });

  it('fills a hole exactly with a new file, unless it is small', async () => {
    const owner = await ownerOf('goal-and-window');
    mustAllocate(owner, { length: 1000 });
    for (const [start, length] of [
      [100, 30],
      [300, 6],
      [500, 16],
    ] as const) {
      owner.free({ start, length });
    }
    expect(mustAllocate(owner, { inode: 1, length: 16 })).toEqual({ start: 500, length: 16 });
    expect(mustAllocate(owner, { inode: 2, length: 6 })).toEqual({ start: 100, length: 6 });
  });

  it('leaves small files as much of the front as they had need of', async () => {
    const owner = await ownerOf('goal-and-window');
    mustAllocate(owner, { inode: 1, length: 100 });
    for (let inode = 2; inode < 102; inode++) mustAllocate(owner, { inode, length: 1 });
    const large = mustAllocate(owner, { inode: 200, length: 20 });
    // Half of what was given went to them: half of the space is theirs.
    expect(large.start).toBeGreaterThanOrEqual(40_000);
    expect(mustAllocate(owner, { inode: 201, length: 2 }).start).toBeLessThan(1000);
  });

  it('puts more of a file into the smallest hole that holds it, the nearest of equals', async () => {
    const owner = await ownerOf('goal-and-window');
    mustAllocate(owner, { length: 1000 });
    for (const [start, length] of [
      [100, 30],
      [300, 6],
      [500, 6],
      [700, 9],
    ] as const) {
      owner.free({ start, length });
    }
    const more = (length: number) => mustAllocate(owner, { inode: 1, goal: 480, length });
    expect(more(5)).toEqual({ start: 500, length: 5 });
    expect(more(7)).toEqual({ start: 700, length: 7 });
  });

  it('opens no window for pieces so long that it would hold but a few', async () => {
    const owner = await ownerOf('goal-and-window');
    appendInTurn(owner, 3, 3, 256);
    expect(owner.policy.stats?.().windows).toBe(0);
  });

  it('opens a window with the second piece if it saw the first, and with the third if not', async () => {
    const owner = await ownerOf('goal-and-window');
    const windows = () => owner.policy.stats?.().windows;
    appendInTurn(owner, 1, 2, 8);
    expect(windows()).toBe(1);
    const append = (goal: number) => mustAllocate(owner, { inode: 2, goal, length: 8, stream: true });
    append(40_000);
    expect(windows()).toBe(1);
    append(40_008);
    expect(windows()).toBe(2);
  });

  it('keeps files that grow at once apart, however many pieces they get', async () => {
    const apart = appendInTurn(await ownerOf('goal-and-window'), 4, 60, 32);
    const mixed = appendInTurn(await ownerOf('first-fit'), 4, 60, 32);
    expect(Math.max(...apart.map((extents) => extents.length))).toBeLessThanOrEqual(4);
    expect(Math.min(...mixed.map((extents) => extents.length))).toBe(60);
  });

  it('keeps no window for a file that stopped growing', async () => {
    const owner = await ownerOf('goal-and-window');
    appendInTurn(owner, 3, 3, 8);
    expect(owner.policy.stats?.().windows).toBe(3);
    for (let inode = 100; inode < 130; inode++) mustAllocate(owner, { inode, length: 100 });
    expect(owner.policy.stats?.().windows).toBe(0);
  });

  it('gives the windows up when nothing else is left', async () => {
    const owner = await ownerOf('goal-and-window', 8000);
    appendInTurn(owner, 4, 10, 32);
    expect(owner.policy.stats?.().windows).toBe(4);
    while (owner.index.freeBlocks > 0) mustAllocate(owner, { inode: 99, length: 16 });
    owner.index.checkInvariants();
  });

  it('forgets the window of an inode that is gone', async () => {
    const owner = await ownerOf('goal-and-window');
    appendInTurn(owner, 3, 3, 32);
    for (const inode of [1, 2, 3]) owner.policy.forgetInode?.(inode);
    expect(owner.policy.stats?.().windows).toBe(0);
  });

  it('leaves most of the free space in one run, where next-fit leaves none long', async () => {
    const largest = async (name: string) => {
      const owner = await ownerOf(name, 8000);
      const random = new SeededRandom(7);
      const files: Run[] = [];
      for (let step = 0; step < 3000; step++) {
        if (owner.index.freeBlocks < 2400) owner.free(files.splice(random.below(files.length), 1)[0] as Run);
        else files.push(mustAllocate(owner, { inode: step + 1, length: 1 + random.below(8) }));
      }
      return owner.index.longestRun()?.length ?? 0;
    };
    expect(await largest('goal-and-window')).toBeGreaterThan(3 * (await largest('next-fit')));
  });
});

describe('group-and-goal', () => {
  it('goes on at the goal, else near it', async () => {
    const owner = await ownerOf('group-and-goal');
    expect(mustAllocate(owner, { goal: 20_000, length: 8 })).toEqual({ start: 20_000, length: 8 });
    expect(mustAllocate(owner, { goal: 20_000, length: 8, kind: 'tree' })).toEqual({
      start: 20_008,
      length: 8,
    });
  });

  it('puts what is made together together', async () => {
    const owner = await ownerOf('group-and-goal');
    const starts = [1, 2, 3, 4].map((inode) => mustAllocate(owner, { inode, length: 4, stream: true }).start);
    expect(starts).toEqual([2, 6, 10, 14]);
  });

  it('spreads directories over groups', async () => {
    const owner = await ownerOf('group-and-goal');
    const groups = new Set<number>();
    for (let inode = 1; inode <= 40; inode++) {
      groups.add(Math.floor(mustAllocate(owner, { inode, kind: 'directory' }).start / 8000));
    }
    expect(groups.size).toBeGreaterThanOrEqual(8);
  });

  it('keeps streams written at once apart', async () => {
    const apart = appendInTurn(await ownerOf('group-and-goal'), 4, 60, 32);
    const mixed = appendInTurn(await ownerOf('first-fit'), 4, 60, 32);
    expect(apart.map((extents) => extents.length)).toEqual([2, 2, 2, 2]);
    expect(Math.min(...mixed.map((extents) => extents.length))).toBe(60);
  });

  it('gives the windows up when nothing else is left', async () => {
    const owner = await ownerOf('group-and-goal', 8000);
    appendInTurn(owner, 4, 10, 32);
    expect(owner.policy.stats?.().windows).toBe(4);
    while (owner.index.freeBlocks > 0) mustAllocate(owner, { inode: 99, length: 16 });
    owner.index.checkInvariants();
  });

  it('forgets the window of an inode that is gone', async () => {
    const owner = await ownerOf('group-and-goal');
    appendInTurn(owner, 3, 3, 32);
    for (const inode of [1, 2, 3]) owner.policy.forgetInode?.(inode);
    expect(owner.policy.stats?.().windows).toBe(0);
  });

  it('refuses an option it cannot read', () => {
    const disk = new BitmapDisk({ groupBlocks: 100, blockCount: 100 });
    expect(() => new Owner(DEFAULT_ALLOCATOR, disk, { window: 'wide' })).toThrow('window=wide');
  });
});

/** Policies whose requests go to places all over the volume. */
const SCATTERING = ['worst-fit', 'random'];

describe('the cost of a request on a large volume', () => {
  for (const definition of BUILT_IN_ALLOCATORS.values()) {
    it(`${definition.name} needs no bitmaps of full groups`, () => {
      const disk = new BitmapDisk({ groupBlocks: 100, blockCount: 100_000 });
      for (let group = 0; group < 500; group++) disk.change({ start: group * 100, length: 100 }, true);
      const owner = new Owner(definition, disk);
      const starts = Array.from({ length: 10 }, () => mustAllocate(owner, { length: 8 }).start);
      const groups = new Set(starts.map((start) => Math.floor(start / 100)));
      expect(owner.index.loadedGroups).toBe(groups.size);
      expect(groups.size === 1).toBe(!SCATTERING.includes(definition.name));
    });

    it(`${definition.name} does not read a fragmented volume for the sake of one long run`, () => {
      const disk = new BitmapDisk({ groupBlocks: 100, blockCount: 100_000 });
      for (let start = 0; start < 100_000; start += 2) disk.change({ start, length: 1 }, true);
      const owner = new Owner(definition, disk);
      for (const stream of [false, true]) mustAllocate(owner, { length: 64, goal: 50_000, stream });
      expect(owner.index.loadedGroups).toBeLessThan(50);
    });
  }
});

describe('SpaceIndex', () => {
  const disk = new BitmapDisk({ groupBlocks: 100, blockCount: 250, metadataBlocks: 1 });
  const index = new SpaceIndex(disk);
  const request = want({ length: 10, minimum: 2 });

  it.each([
    [{ start: 0, length: 5 }, 'block 0 is not free'],
    [{ start: 95, length: 10 }, 'crosses from one group to the next'],
    [{ start: 245, length: 10 }, 'leaves the space'],
    [{ start: -3, length: 3 }, 'leaves the space'],
    [{ start: 5, length: 1 }, 'too short'],
    [{ start: 5, length: 11 }, 'too long'],
    [{ start: 5.5, length: 3 }, 'not made of whole numbers'],
    [{ start: Number.NaN, length: 3 }, 'not made of whole numbers'],
    [{ start: 5, length: 0 }, 'is empty'],
  ])('refuses the answer %j', (run, message) => {
    expect(() => index.checkAnswer('mine', run, request)).toThrow(PolicyError);
    expect(() => index.checkAnswer('mine', run, request)).toThrow(`allocator 'mine' answered`);
    expect(() => index.checkAnswer('mine', run, request)).toThrow(message);
  });

  it('gives up when its patience ends, and goes on from there when asked again', () => {
    const checkered = new BitmapDisk({ groupBlocks: 100, blockCount: 1000 });
    for (let start = 0; start < 900; start += 2) checkered.change({ start, length: 1 }, true);
    const space = new SpaceIndex(checkered);
    for (const loaded of [4, 8]) {
      expect(space.findRun(0, 1000, 5, 7, 4)).toBeUndefined();
      expect(space.loadedGroups).toBe(loaded);
    }
    expect(space.findRun(0, 1000, 5, 7, 4)).toEqual({ start: 900, length: 7 });
  });

  it('notices a step that is not in the picture', () => {
    expect(() => index.commitReserved({ start: 5, length: 3 })).toThrow('not reserved');
    expect(() => index.unquarantine({ start: 5, length: 3 }, false)).toThrow('not quarantined');
    index.reserve({ start: 5, length: 3 });
    expect(() => index.reserve({ start: 7, length: 3 })).toThrow('not all free');
    expect(() => index.unquarantine({ start: 5, length: 3 }, false)).toThrow('not quarantined');
    index.unreserve({ start: 5, length: 3 });
    index.checkInvariants();
  });

  it('says so when bitmap and summary disagree', () => {
    const broken = new BitmapDisk({ groupBlocks: 100, blockCount: 250 });
    broken.readBitmap(1)[0] = 0xff;
    expect(() => new SpaceIndex(broken).isFree(150)).toThrow(SpaceMismatchError);
    expect(() => new SpaceIndex(broken).isFree(150)).toThrow('group 1 has 92 free blocks');
  });
});

describe('loadAllocator', () => {
  const folder = mkdtempSync(join(tmpdir(), 'quarry-alloc-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  function moduleOf(name: string, text: string): string {
    const file = join(folder, name);
    writeFileSync(file, text);
    return file;
  }

  it('knows the built-in names', async () => {
    for (const [name, definition] of BUILT_IN_ALLOCATORS) expect(await loadAllocator(name)).toBe(definition);
  });

  it('lists them when it does not', async () => {
    await expect(loadAllocator('best')).rejects.toThrow(
      `unknown allocator 'best': use ${[...BUILT_IN_ALLOCATORS.keys()].join(', ')}, or a module such as ./mine.js`,
    );
  });

  it.each([
    ['none.mjs', 'export const name = 1;', 'no default export'],
    ['number.mjs', 'export default 7;', 'must export an object { name, create }'],
    ['nameless.mjs', "export default { name: '', create() {} };", 'needs a name'],
    ['inert.mjs', "export default { name: 'inert', create: 1 };", 'needs a create(space, options) function'],
    ['broken.mjs', 'export default {', 'cannot be loaded'],
  ])('refuses the module %s with one sentence', async (name, text, message) => {
    const file = moduleOf(name, text);
    const error: Error = await loadAllocator(file).catch((thrown) => thrown);
    expect(error.name).toBe('AllocatorLoadError');
    expect(error.message).toContain(message);
    expect(error.message).toContain(file);
    expect(error.message).not.toContain('\n');
  });

  it('loads the policy that docs/ALLOCATORS.md shows', async () => {
    const shown = /```js\n([\s\S]*?)```/.exec(readFileSync('docs/ALLOCATORS.md', 'utf8'))?.[1] ?? '';
    const definition = await loadAllocator(moduleOf('shown.mjs', shown));
    expect(definition.name).toBe('aligned-fit');
    for (let seed = 1; seed <= 20; seed++) fuzzAllocator(definition, seed, 500);
  });

  it('says that a file is missing', async () => {
    await expect(loadAllocator('./nowhere/mine.js')).rejects.toThrow('./nowhere/mine.js does not exist');
  });
});
