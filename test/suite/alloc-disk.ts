/**
 * A disk for the tests of the allocators, and its owner.
 *
 * `FakeDisk` is a GroupSource over plain bitmaps that can miss like the real one: what it was asked
 * for is "not in memory", it throws, and has it the next time. `Owner` does what the volume does
 * with a SpaceIndex and a policy, in the order that the index asks for.
 */
import type { AllocationRequest, Allocator, AllocatorDefinition, Run } from '../../src/alloc/allocator.ts';
import { clearRange, countRange, setRange } from '../../src/alloc/bit-words.ts';
import { type GroupSource, SpaceIndex } from '../../src/alloc/space-index.ts';

/** Thrown by a disk that has to fetch something first. */
export const MISS = Symbol('miss');

export interface FakeDiskShape {
  groupBlocks: number;
  blockCount: number;
  /** Blocks at the start of each group that are in use for ever, as its bitmap is. */
  metadataBlocks?: number;
}

export class FakeDisk implements GroupSource {
  readonly blockCount: number;
  readonly groupBlocks: number;
  readonly groupCount: number;
  readonly #metadataBlocks: number;
  freeBlocks: number;
  readonly #bitmaps: Uint32Array[] = [];
  readonly #free: number[] = [];
  /** What is not in memory; empty as long as nobody calls `forget`. */
  readonly #absent = new Set<string>();
  misses = 0;

  constructor({ groupBlocks, blockCount, metadataBlocks = 0 }: FakeDiskShape) {
    this.groupBlocks = groupBlocks;
    this.#metadataBlocks = metadataBlocks;
    this.blockCount = blockCount;
    this.groupCount = Math.ceil(blockCount / groupBlocks);
    this.freeBlocks = blockCount;
    for (let group = 0; group < this.groupCount; group++) {
      const length = Math.min(groupBlocks, blockCount - group * groupBlocks);
      this.#bitmaps.push(new Uint32Array(Math.ceil(length / 32)));
      this.#free.push(length);
      this.change({ start: group * groupBlocks, length: Math.min(metadataBlocks, length) }, true);
    }
  }

  freeInGroup(group: number): number {
    this.#need(`summary ${group >> 2}`);
    return this.#free[group] ?? 0;
  }

  nextGroup(from: number, minimum: number): number {
    for (let group = from; group < this.groupCount; group++) {
      if (this.freeInGroup(group) >= minimum) return group;
    }
    return -1;
  }

  readBitmap(group: number): Uint8Array {
    this.#need(`bitmap ${group}`);
    const length = Math.min(this.groupBlocks, this.blockCount - group * this.groupBlocks);
    return new Uint8Array(this.#bitmapOf(group).buffer, 0, Math.ceil(length / 8));
  }

  metadataBlocks(group: number): number {
    return Math.min(this.#metadataBlocks, this.blockCount - group * this.groupBlocks);
  }

  /** Sets or clears the bits and moves the counts. */
  change({ start, length }: Run, toUsed: boolean): void {
    const group = Math.floor(start / this.groupBlocks);
    const first = start - group * this.groupBlocks;
    const words = this.#bitmapOf(group);
    if (countRange(words, first, length) !== (toUsed ? 0 : length)) throw new Error('bits are so already');
    if (toUsed) setRange(words, first, length);
    else clearRange(words, first, length);
    const freed = toUsed ? -length : length;
    this.#free[group] = (this.#free[group] ?? 0) + freed;
    this.freeBlocks += freed;
  }

  #bitmapOf(group: number): Uint32Array {
    const words = this.#bitmaps[group];
    if (words === undefined) throw new RangeError(`there is no group ${group}`);
    return words;
  }

  /** From now on this group's bitmap and summary have to be fetched. */
  forget(group: number): void {
    this.#absent.add(`bitmap ${group}`).add(`summary ${group >> 2}`);
  }

  /** Everything is in memory. */
  fetchAll(): void {
    this.#absent.clear();
  }

  #need(what: string): void {
    if (!this.#absent.delete(what)) return;
    this.misses++;
    throw MISS;
  }
}

export class Owner {
  readonly disk: FakeDisk;
  readonly index: SpaceIndex;
  readonly policy: Allocator;
  readonly #name: string;

  constructor(
    definition: AllocatorDefinition,
    disk: FakeDisk,
    options: Record<string, string> = {},
    mapBudgetBytes?: number,
    mostRuns?: number,
  ) {
    this.disk = disk;
    this.index = new SpaceIndex(disk, mapBudgetBytes, mostRuns);
    this.policy = definition.create(this.index, options);
    this.#name = definition.name;
  }

  /** Asks again until nothing is missing, as `Volume.run` does. */
  ask<T>(question: () => T): T {
    for (let attempt = 0; attempt < 10_000; attempt++) {
      try {
        return question();
      } catch (thrown) {
        if (thrown !== MISS) throw thrown;
      }
    }
    throw new Error('misses without end');
  }

  /** Free → reserved. Undefined if the policy has nothing. */
  reserve(want: AllocationRequest): Run | undefined {
    return this.ask(() => {
      const run = this.policy.allocate({ ...want });
      if (run === undefined) return undefined;
      this.index.checkAnswer(this.#name, run, want);
      this.index.reserve(run);
      this.policy.taken?.(run, want);
      return run;
    });
  }

  /** Free → used. */
  allocate(want: AllocationRequest): Run | undefined {
    const run = this.reserve(want);
    if (run !== undefined) this.commit(run);
    return run;
  }

  commit(run: Run): void {
    this.disk.change(run, true);
    this.index.commitReserved(run);
  }

  uncommit(run: Run): void {
    this.disk.change(run, false);
    this.index.uncommitReserved(run);
  }

  unreserve(run: Run): void {
    this.index.unreserve(run);
    this.policy.release?.(run);
  }

  quarantine(run: Run): void {
    this.disk.change(run, false);
    this.index.quarantine(run);
  }

  unquarantine(run: Run): void {
    this.index.unquarantine(run, false);
    this.policy.release?.(run);
  }

  restore(run: Run): void {
    this.disk.change(run, true);
    this.index.unquarantine(run, true);
  }

  /** Used → free, the whole way. */
  free(run: Run): void {
    this.quarantine(run);
    this.unquarantine(run);
  }
}

/** A request with the fields that a test does not care for filled in. */
export function want(fields: Partial<AllocationRequest> = {}): AllocationRequest {
  return { goal: -1, length: 1, minimum: 1, inode: 1, kind: 'data', stream: false, ...fields };
}
