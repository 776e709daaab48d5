/**
 * Buddy: blocks of a power of two that start at a multiple of their size, as Knowlton's (CACM 1965)
 * and, for disks, Koch's ("Disk File Allocation Based on the Buddy System", ACM TOCS 1987).
 *
 * A request is rounded up to a power of two, and gets a block that is free as a whole. Two
 * neighbours of one size that are free again are a block of twice the size: here the bitmap says
 * so, and no lists are kept. Searching and joining are cheap, and long runs come back quickly; the
 * price is what rounding wastes, a quarter to a third of the space where sizes are uniform (Knuth,
 * TAOCP 1, §2.5; Peterson and Norman, CACM 1977).
 *
 * An answer may not be longer than what is wanted, so this waste is not handed out with it: the
 * rest of the block stays free in the bitmap, and is *withheld* (lent-blocks.ts). A file that goes
 * on there, at its goal, gets it; all others only when no whole block of any size that would do is
 * left. So no request is refused that another policy would grant, and layouts are those of a buddy
 * system as long as there is room. What is withheld is known in memory only: after a mount it is
 * free space like any other. `stats`: what is withheld now, and what all requests so far took, and
 * were rounded to.
 *
 * Kind is ignored, and so is the goal, but for the rest of a file's own block.
 */
import {
  type AllocationRequest,
  type Allocator,
  defineAllocator,
  type FreeSpace,
  type Run,
} from './allocator.ts';
import { LentBlocks } from './lent-blocks.ts';
import { PATIENCE_GROUPS, shorter } from './run-lengths.ts';

class Buddy implements Allocator {
  readonly #space: FreeSpace;
  readonly #mostSize: number;
  readonly #lent: LentBlocks;
  /** Start of the block that the last answer is the first part of, or −1. */
  #offered = -1;
  #takenBlocks = 0;
  #roundedBlocks = 0;

  constructor(space: FreeSpace) {
    this.#space = space;
    this.#mostSize = 2 ** Math.floor(Math.log2(space.groupBlocks));
    this.#lent = new LentBlocks(space.groupBlocks, this.#mostSize);
  }

  allocate({ goal, length, minimum }: AllocationRequest): Run | undefined {
    const space = this.#space;
    const own = goal < 0 ? undefined : this.#lent.around(goal);
    const ahead = own && space.freeRunLength(goal, Math.min(length, own.start + own.length - goal));
    if (ahead !== undefined && ahead >= minimum) return this.#offer(-1, { start: goal, length: ahead });
    const longest = Math.min(length, this.#mostSize);
    // What there is to learn is learnt for the first size.
    let patience = PATIENCE_GROUPS;
    for (let least = longest; least >= minimum; least = shorter(least, minimum)) {
      const start = this.#findBlock(roundedUp(least), patience);
      if (start >= 0) return this.#offer(start, { start, length: least });
      patience = 0;
    }
    return this.#offer(-1, space.findRun(0, space.blockCount, minimum, length));
  }

  taken(run: Run): void {
    const isBlock = run.start === this.#offered;
    const size = roundedUp(run.length);
    if (isBlock) this.#lent.lend(run.start, size, run.length);
    else this.#lent.used(run);
    this.#takenBlocks += run.length;
    this.#roundedBlocks += isBlock ? size : 0;
  }

  release(run: Run): void {
    this.#lent.freed(run);
  }

  stats(): Record<string, number> {
    return {
      withheldBlocks: this.#lent.withheldBlocks,
      takenBlocks: this.#takenBlocks,
      roundedBlocks: this.#roundedBlocks,
      indexBytes: this.#lent.memoryBytes,
    };
  }

  #offer(block: number, run: Run | undefined): Run | undefined {
    this.#offered = block;
    return run;
  }

  /** Start of a block that is free and not withheld, if possible in a small hole; −1 if none. */
  #findBlock(size: number, patience: number): number {
    const space = this.#space;
    // A hole of 2 × size − 1 has a block in it; one of 4 × size, or the longest, has often more.
    const holes = [
      () => space.smallestRun(size, 0, patience),
      () => space.smallestRun(2 * size - 1, 0, 0),
      () => space.smallestRun(4 * size, 0, 0),
      () => space.longestRun(0, patience),
    ];
    for (const find of holes) {
      const hole = find();
      const start = hole === undefined ? -1 : this.#blockIn(hole, size);
      if (start >= 0) return start;
    }
    return -1;
  }

  #blockIn(hole: Run, size: number): number {
    const end = hole.start + hole.length;
    const inGroup = hole.start % this.#space.groupBlocks;
    let start = hole.start - inGroup + Math.ceil(inGroup / size) * size;
    while (start + size <= end) {
      const lent = this.#lent.around(start);
      if (lent === undefined) return start;
      start = lent.start + lent.length;
    }
    return -1;
  }
}

/** The power of two that is `length` or more. */
function roundedUp(length: number): number {
  return 2 ** Math.ceil(Math.log2(length));
}

export default defineAllocator({ name: 'buddy', options: {}, create: (space) => new Buddy(space) });
