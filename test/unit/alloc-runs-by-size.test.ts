/**
 * The free runs by length: the sorted set and the tree below it against plain arrays, and what a
 * question may cost. That the answers are right is for the fuzz (alloc-fuzz.test.ts).
 */
import { describe, expect, it } from 'vitest';
import { SortedKeys } from '../../src/alloc/sorted-keys.ts';
import { SpaceIndex } from '../../src/alloc/space-index.ts';
import { classesFrom, classOf, UnreadGroups } from '../../src/alloc/unread-groups.ts';
import { BitmapDisk, MISS } from '../../src/lab/verify/bitmap-disk.ts';
import { Random } from '../suite/alloc-random.ts';

describe('SortedKeys', () => {
  it('agrees with a sorted array, over many pages', () => {
    const random = new Random(1);
    const keys = new SortedKeys();
    let plain: number[] = [];
    for (const share of [0.9, 0.5, 0.1]) {
      for (let step = 0; step < 2000; step++) {
        const key = random.below(9000) * 2 ** 32;
        const isThere = plain.includes(key);
        const adds = random.below(1000) < share * 1000;
        if (adds && !isThere) {
          keys.add(key);
          plain.push(key);
        } else if (!adds && plain.length > 0) {
          const victim = random.pick(plain);
          keys.delete(victim);
          plain = plain.filter((other) => other !== victim);
        }
        if (step % 20 > 0) continue;
        const sorted = [...plain].sort((a, b) => a - b);
        expect(keys.atLeast(key)).toBe(sorted.find((other) => other >= key) ?? -1);
        expect(keys.below(key)).toBe(sorted.findLast((other) => other < key) ?? -1);
        expect(keys.size).toBe(sorted.length);
      }
      keys.checkInvariants();
    }
  });

  it('notices a key that is there twice, or not at all', () => {
    const keys = new SortedKeys();
    keys.add(7);
    expect(() => keys.add(7)).toThrow('in the set already');
    expect(() => keys.delete(8)).toThrow('not in the set');
    keys.delete(7);
    expect(() => keys.delete(7)).toThrow('not in the set');
    expect([keys.atLeast(0), keys.below(9)]).toEqual([-1, -1]);
  });
});

describe('UnreadGroups', () => {
  it('agrees with an array of words', () => {
    for (const count of [1, 2, 3, 64, 65, 1000]) {
      const random = new Random(count);
      const groups = new UnreadGroups(count);
      groups.checkInvariants();
      const plain: number[] = new Array(count).fill(0xffffffff);
      for (let step = 0; step < 2000; step++) {
        const group = random.below(count);
        plain[group] = random.oneIn(3) ? (1 << random.below(32)) >>> 0 : 0;
        groups.setClasses(group, plain[group] ?? 0);
        const from = random.below(count + 2);
        const classes = (1 << random.below(32)) >>> 0;
        const expected = plain.findIndex((word, at) => at >= from && (word & classes) !== 0);
        expect(groups.next(from, classes)).toBe(expected);
      }
      groups.checkInvariants();
    }
  });

  it('has a class for each power of two', () => {
    expect([1, 2, 3, 4, 7, 8, 523_776].map(classOf)).toEqual([0, 1, 1, 2, 2, 3, 18]);
    expect(classesFrom(1, 1)).toBe(1);
    expect(classesFrom(3, 9)).toBe(0b1110);
    expect(classesFrom(1, 2 ** 31)).toBe(0xffffffff);
  });
});

/** 100 groups of 100 blocks; each has holes of `lengths[group]` blocks, the first if none is said. */
function holed(lengths: number[]): BitmapDisk {
  const disk = new BitmapDisk({ groupBlocks: 100, blockCount: 10_000 });
  for (let group = 0; group < 100; group++) {
    const hole = lengths[group] ?? lengths[0] ?? 0;
    disk.change({ start: group * 100 + hole, length: 100 - hole }, true);
  }
  return disk;
}

describe('a question by length', () => {
  it('needs no bitmap of a group that nothing was ever taken from', () => {
    const disk = new BitmapDisk({ groupBlocks: 100, blockCount: 1050, metadataBlocks: 3 });
    const index = new SpaceIndex(disk);
    expect(index.longestRun()).toEqual({ start: 3, length: 97 });
    expect(index.longestRun(560)).toEqual({ start: 603, length: 97 });
    expect(index.smallestRun(5)).toEqual({ start: 1003, length: 47 });
    expect(index.loadedGroups).toBe(0);
    index.reserve({ start: 1003, length: 4 });
    expect(index.smallestRun(5)).toEqual({ start: 1007, length: 43 });
    expect(index.loadedGroups).toBe(1);
    index.checkInvariants();
  });

  it('looks only into groups that may have the answer', () => {
    const index = new SpaceIndex(holed([5, 9, 70]));
    expect(index.smallestRun(60, 0, 1)).toEqual({ start: 200, length: 70 });
    expect(index.smallestRun(71)).toBeUndefined();
    expect(index.loadedGroups).toBe(1);
    expect(index.longestRun(0, 8)).toEqual({ start: 200, length: 70 });
    expect(index.loadedGroups).toBe(1);
  });

  it('has patience for so many groups, and goes on behind them when asked again', () => {
    const disk = holed([5]);
    disk.change({ start: 5021, length: 9 }, false);
    const index = new SpaceIndex(disk);
    expect(index.smallestRun(6, 0, 4)).toEqual({ start: 5021, length: 9 });
    expect(index.loadedGroups).toBe(1);
    // Each of these groups may have a run of six blocks, by what is known of it.
    const spread = new BitmapDisk({ groupBlocks: 100, blockCount: 1000 });
    for (let start = 0; start < 900; start += 2) spread.change({ start, length: 1 }, true);
    const space = new SpaceIndex(spread);
    for (const loaded of [4, 8]) {
      expect(space.smallestRun(6, 0, 4)).toBeUndefined();
      expect(space.loadedGroups).toBe(loaded);
    }
    expect(space.smallestRun(6, 0, 4)).toEqual({ start: 900, length: 100 });
    expect(space.loadedGroups).toBe(9);
  });

  it('remembers of a dropped group what it may have', () => {
    const disk = holed([5, 9, 70]);
    const index = new SpaceIndex(disk, 1);
    expect(index.smallestRun(1)).toEqual({ start: 0, length: 5 });
    expect(index.loadedGroups).toBe(2);
    for (let group = 3; group < 100; group++) disk.forget(group);
    const before = disk.misses;
    // Summaries apart, only the group with the hole of 70 is fetched.
    const ask = (): unknown => {
      try {
        return index.smallestRun(60);
      } catch (thrown) {
        if (thrown !== MISS) throw thrown;
        return ask();
      }
    };
    expect(ask()).toEqual({ start: 200, length: 70 });
    expect(disk.misses - before).toBeLessThanOrEqual(25);
    disk.fetchAll();
    index.checkInvariants();
  });

  it('has no more patience for groups that have to be fetched', () => {
    const disk = new BitmapDisk({ groupBlocks: 100, blockCount: 10_000 });
    for (let start = 0; start < 10_000; start += 2) disk.change({ start, length: 1 }, true);
    for (let group = 0; group < 100; group++) disk.forget(group);
    const index = new SpaceIndex(disk);
    const request = (): void => {
      for (let attempt = 0; attempt < 1000; attempt++) {
        try {
          index.smallestRun(6, 0, 4);
          index.longestRun(0, 4);
          return;
        } catch (thrown) {
          if (thrown !== MISS) throw thrown;
        }
      }
    };
    request();
    expect(index.loadedGroups).toBe(4);
    index.reserve({ start: 1, length: 1 });
    request();
    expect(index.loadedGroups).toBe(8);
  });

  it('that is cut off halfway does not spoil the next one', () => {
    const disk = new BitmapDisk({ groupBlocks: 100, blockCount: 1000, metadataBlocks: 3 });
    const index = new SpaceIndex(disk);
    let calls = 0;
    disk.metadataBlocks = () => {
      // The second time the group is being read already.
      if (++calls === 2) throw new Error('cut off');
      return 3;
    };
    expect(() => index.longestRun()).toThrow('cut off');
    expect(index.longestRun()).toEqual({ start: 3, length: 97 });
    index.checkInvariants();
  });

  it('costs nothing before the first one', () => {
    const index = new SpaceIndex(new BitmapDisk({ groupBlocks: 100, blockCount: 1000 }));
    index.reserve({ start: 5, length: 3 });
    index.unreserve({ start: 5, length: 3 });
    expect(index.loadedGroups).toBe(1);
    expect(index.smallestRun(1, 50)).toEqual({ start: 0, length: 100 });
    index.forgetMaps();
    index.checkInvariants();
  });
});
