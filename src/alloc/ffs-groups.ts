/**
 * FFS groups: each directory in a group of its own choice, files beside their directory.
 *
 * The Berkeley Fast File System (McKusick et al., ACM TOCS 1984) keeps near what is used together,
 * and so has to spread what is not: a new directory goes to the next group with no less than the
 * average of free blocks; a file starts in its directory's group, and goes on at its goal or at the
 * next free block behind it, however short the hole; a full group sends it to the 1st, 3rd, 7th …
 * behind it, and at last to any. FFS took one block at a time; to take the free run that is there
 * comes to the same. So an aged group cuts files into the holes it has.
 *
 * With `realloc=on` it does as FFS has done since 4.4BSD (Smith and Seltzer, "A Comparison of FFS
 * Disk Allocation Policies", USENIX 1996): before a cluster of up to `cluster` blocks (16) is
 * written, it is moved to a hole near its goal that takes the whole of it. Here a file is given
 * such a hole at once, and nothing moves.
 *
 * Left out: the limit of blocks that one file may have in a group. And a policy is not told in
 * which directory a file is: it takes the one that was made last.
 */
import {
  type AllocationRequest,
  type Allocator,
  type AllocatorOptions,
  defineAllocator,
  type FreeSpace,
  type Run,
} from './allocator.ts';
import { blocksOption } from './policy-options.ts';

class FfsGroups implements Allocator {
  readonly #space: FreeSpace;
  /** Blocks of a cluster; 1: nothing is kept together. */
  readonly #cluster: number;
  /** The group of the last new directory. */
  #home = 0;
  #wholeClusters = 0;

  constructor(space: FreeSpace, cluster: number) {
    this.#space = space;
    this.#cluster = cluster;
  }

  allocate(want: AllocationRequest): Run | undefined {
    const { length, minimum, kind, stream } = want;
    const origin = this.#originOf(want);
    // A growing file will fill the rest of the cluster.
    const room = stream ? this.#cluster : Math.min(length, this.#cluster);
    if (kind === 'data' && room > minimum) {
      const most = Math.min(length, this.#cluster);
      const ahead = origin === want.goal ? this.#space.freeRunLength(origin, most) : 0;
      if (ahead === most) return { start: origin, length: most };
      const run = this.#nearby(origin, room, Math.max(room, most));
      if (run !== undefined) return { start: run.start, length: Math.min(run.length, most) };
    }
    const space = this.#space;
    return this.#nearby(origin, minimum, length) ?? space.findRun(0, space.blockCount, minimum, length);
  }

  taken({ start, length }: Run, { kind, goal }: AllocationRequest): void {
    if (kind === 'directory' && goal < 0) this.#home = this.#groupOf(start);
    if (length === this.#cluster) this.#wholeClusters++;
  }

  stats(): Record<string, number> {
    return { wholeClusters: this.#wholeClusters, lastDirectoryGroup: this.#home };
  }

  #originOf({ goal, kind }: AllocationRequest): number {
    const { blockCount, groupCount, groupBlocks, freeBlocks } = this.#space;
    if (goal >= 0) return Math.min(goal, blockCount - 1);
    if (kind !== 'directory') return Math.min(this.#home, groupCount - 1) * groupBlocks;
    const average = Math.max(1, Math.floor(freeBlocks / groupCount));
    const next = this.#space.nextGroup(this.#home + 1, average);
    return Math.max(0, next >= 0 ? next : this.#space.nextGroup(0, average)) * groupBlocks;
  }

  /** Forward in the group of the origin, round it, then in the 1st, 3rd, 7th … group after it. */
  #nearby(origin: number, least: number, length: number): Run | undefined {
    const { groupCount, groupBlocks } = this.#space;
    let group = this.#groupOf(origin);
    const ahead = this.#space.findRun(origin, (group + 1) * groupBlocks, least, length);
    if (ahead !== undefined) return ahead;
    for (let step = 1; ; step *= 2) {
      const from = group * groupBlocks;
      const run = this.#space.findRun(from, from + groupBlocks, least, length);
      if (run !== undefined || step >= groupCount) return run;
      group = (group + step) % groupCount;
    }
  }

  #groupOf(block: number): number {
    return Math.floor(block / this.#space.groupBlocks);
  }
}

function clusterOf(options: AllocatorOptions): number {
  const { realloc = 'off' } = options;
  if (realloc !== 'on' && realloc !== 'off') {
    throw new RangeError(`allocator option realloc=${realloc} is neither on nor off`);
  }
  return realloc === 'on' ? blocksOption(options, 'cluster', 16) : 1;
}

export default defineAllocator({
  name: 'ffs-groups',
  options: { realloc: 'on: clusters are kept together', cluster: 'blocks of a cluster' },
  create: (space, options) => new FfsGroups(space, clusterOf(options)),
});
