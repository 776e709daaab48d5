/**
 * The owner of a disk, for the tests of the allocators: it does what the volume does with a
 * SpaceIndex and a policy, in the order that the index asks for.
 */
import type { AllocationRequest, Allocator, AllocatorDefinition, Run } from '../../src/alloc/allocator.ts';
import { SpaceIndex } from '../../src/alloc/space-index.ts';
import { type BitmapDisk, MISS } from '../../src/lab/verify/bitmap-disk.ts';

export class Owner {
  readonly disk: BitmapDisk;
  readonly index: SpaceIndex;
  readonly policy: Allocator;
  readonly #name: string;

  constructor(
    definition: AllocatorDefinition,
    disk: BitmapDisk,
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
