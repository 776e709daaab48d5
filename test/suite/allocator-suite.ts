/**
 * What every allocator must do, whoever wrote it. `allocatorSuite(definition)` declares the tests.
 */
import { describe, expect, it } from 'vitest';
import type { AllocatorDefinition, Run } from '../../src/alloc/allocator.ts';
import { FakeDisk, Owner, want } from './alloc-disk.ts';
import { Random } from './alloc-random.ts';

const KINDS = ['data', 'directory', 'tree', 'inode', 'attribute'] as const;

/** Ten groups, the last one short, two blocks of metadata each. */
function newOwner(definition: AllocatorDefinition, mapBudgetBytes?: number): Owner {
  const disk = new FakeDisk({ groupBlocks: 1000, blockCount: 9333, metadataBlocks: 2 });
  return new Owner(definition, disk, {}, mapBudgetBytes);
}

function check(owner: Owner): void {
  owner.index.checkInvariants();
  owner.policy.checkInvariants?.();
}

/** Takes everything in pieces of up to `length` blocks. */
function fill(owner: Owner, length: number): Run[] {
  const runs: Run[] = [];
  let goal = -1;
  for (;;) {
    const run = owner.allocate(want({ length, goal, inode: 1 + (runs.length % 7) }));
    if (run === undefined) return runs;
    runs.push(run);
    goal = run.start + run.length < owner.index.blockCount ? run.start + run.length : -1;
  }
}

export function allocatorSuite(definition: AllocatorDefinition): void {
  describe(`allocator ${definition.name}`, () => {
    it('gives the full length on an empty volume, for every kind', () => {
      const owner = newOwner(definition);
      for (const kind of KINDS) {
        for (const stream of [false, true]) {
          expect(owner.allocate(want({ kind, stream, length: 20, minimum: 1 }))?.length).toBe(20);
        }
      }
      check(owner);
    });

    it('is asked again after a miss, and the volume is filled to the last block all the same', () => {
      const owner = newOwner(definition);
      for (let group = 0; group < owner.index.groupCount; group++) owner.disk.forget(group);
      fill(owner, 7);
      expect(owner.index.freeBlocks).toBe(0);
      expect(owner.disk.misses).toBeGreaterThanOrEqual(owner.index.groupCount);
      check(owner);
    });

    for (const length of [1, 3, 64, 5000]) {
      it(`fills the volume in pieces of ${length}, refuses, and has everything back after freeing`, () => {
        const owner = newOwner(definition);
        const before = owner.index.freeBlocks;
        const runs = fill(owner, length);
        expect(owner.index.freeBlocks).toBe(0);
        expect(runs.reduce((sum, run) => sum + run.length, 0)).toBe(before);
        check(owner);
        for (const run of runs) owner.free(run);
        expect(owner.index.freeBlocks).toBe(before);
        check(owner);
        expect(owner.allocate(want({ length: 900, minimum: 900 }))?.length).toBe(900);
      });
    }

    it('never answers with more than was wished nor less than the minimum, and finds the one hole there is', () => {
      const owner = newOwner(definition);
      fill(owner, 50);
      for (const start of [4321, 7654, 9300]) {
        owner.free({ start, length: 12 });
        owner.free({ start: start + 20, length: 11 });
        for (const kind of KINDS) {
          const run = owner.reserve(want({ kind, length: 100, minimum: 12, goal: 5 }));
          expect(run).toEqual({ start, length: 12 });
          owner.unreserve({ start, length: 12 });
          expect(owner.reserve(want({ kind, length: 100, minimum: 13 }))).toBeUndefined();
        }
        owner.allocate(want({ length: 12, minimum: 12 }));
        owner.allocate(want({ length: 11, minimum: 11 }));
        expect(owner.index.freeBlocks).toBe(0);
      }
      check(owner);
    });

    it('does not hand out what is reserved or quarantined', () => {
      const owner = newOwner(definition);
      const [, , , taken] = fill(owner, 100);
      if (taken === undefined) throw new Error('an empty volume of fewer than four runs');
      owner.quarantine(taken);
      expect(owner.reserve(want())).toBeUndefined();
      expect(owner.index.freeBlocks).toBe(0);
      owner.unquarantine(taken);
      const run = owner.reserve(want({ length: 100, minimum: taken.length }));
      expect(run).toEqual(taken);
      expect(owner.reserve(want())).toBeUndefined();
      check(owner);
    });

    it('has the same space after a transaction is rolled back', () => {
      const owner = newOwner(definition);
      const kept = owner.allocate(want({ length: 40 }));
      if (kept === undefined) throw new Error('no space on an empty volume');
      const before = owner.index.freeBlocks;
      const run = owner.allocate(want({ length: 30 }));
      if (run === undefined) throw new Error('no space on an empty volume');
      owner.quarantine(kept);
      owner.restore(kept);
      owner.uncommit(run);
      owner.unreserve(run);
      expect(owner.index.freeBlocks).toBe(before);
      check(owner);
    });

    it('survives goals and inodes that lead nowhere', () => {
      const owner = newOwner(definition);
      const wishes = [0, 1, 999, 1000, 9332, 9333, 1e12];
      for (const goal of wishes) {
        for (const stream of [false, true]) {
          expect(owner.allocate(want({ goal, stream, length: 3 }))?.length).toBeGreaterThan(0);
        }
        owner.policy.forgetInode?.(goal);
      }
      check(owner);
    });

    it('works with two maps in memory', () => {
      const owner = newOwner(definition, 1);
      const random = new Random(1);
      const runs = fill(owner, 33);
      for (let step = 0; step < 500; step++) {
        const index = random.below(runs.length);
        const freed = runs[index];
        if (freed === undefined) throw new Error('no run is left');
        owner.free(freed);
        const run = owner.allocate(want({ length: freed.length, goal: random.below(9333) }));
        if (run === undefined) throw new Error('no space although a run was freed');
        if (run.length < freed.length) fill(owner, 33);
        runs.splice(index, 1, run);
        if (owner.index.freeBlocks > 0) break;
      }
      expect(owner.index.loadedGroups).toBeLessThanOrEqual(2);
      check(owner);
    });

    it('reports figures that are numbers', () => {
      const owner = newOwner(definition);
      owner.allocate(want());
      for (const value of Object.values(owner.policy.stats?.() ?? {})) expect(value).toBeTypeOf('number');
    });
  });
}
