/**
 * Goal-and-window, the default: files in one piece, and the free space at the end.
 *
 *   1. At the goal, the block after the file's last one: a longer extent is better than any other
 *      place.
 *   2. A file that keeps growing and cannot go on there: the smallest hole that a whole window goes
 *      into, or the longest there is. So it gets few pieces.
 *   3. What else there is more of a file: the smallest hole that holds it, of equal ones the
 *      nearest. It is a fragment wherever it lies, and here it spoils the least for others. But a
 *      single block goes into the first hole behind the file, as reading it takes no time beside
 *      reaching it; and so does a small piece where much of what is given goes to small files:
 *      holes are as small there, and little is spoilt.
 *   4. A new file: the first hole that holds it whole, from the front if it is small, else behind
 *      the part of the space that small ones have need of (size-shares.ts). So what is made
 *      together lies together, and the way from one small file to the next is short. A large one
 *      rather takes a hole of just its length, of which nothing remains. Without any, the longest
 *      hole.
 *
 * A file that grows has a window ahead of it that others keep clear of in all steps, while there is
 * anything else (growing-files.ts). Windows take a share of the free space, so that they do not
 * fill a volume that is nearly full.
 *
 * First-fit leaves the long runs at the end of the space, where those who need one find it; whoever
 * goes round the space instead, as next-fit does, leaves none anywhere. It never refuses while a
 * run of the minimum exists. A request costs a few searches, none of which grows with the volume.
 *
 * Option `window`: blocks of a window at most, 2048 if not given (8 MiB of 4 KiB blocks), and no
 * more than a quarter of a group.
 */
import {
  type AllocationRequest,
  type Allocator,
  defineAllocator,
  type FreeSpace,
  type Run,
} from './allocator.ts';
import { GrowingFiles } from './growing-files.ts';
import { windowOption } from './policy-options.ts';
import { PATIENCE_GROUPS } from './run-lengths.ts';
import { SizeShares } from './size-shares.ts';

/** All windows together take at most one part in so many of the free space. */
const WINDOWS_SHARE = 2;
const FEWEST_WINDOWS = 4;
/** Holes in which windows may stand that one search looks at. */
const TRIES = 16;
/**
 * From so many blocks on a new file is large. It fills a hole exactly rather than lie near to
 * others: to read a smaller one takes less time than to reach it.
 */
const LEAST_OF_LARGE = 12;
/** A volume of small files gives so much to new ones of them, of all that it gives. */
const LEAST_SHARE_OF_SMALL = 1 / 4;

class GoalAndWindow implements Allocator {
  readonly #space: FreeSpace;
  readonly #windowBlocks: number;
  readonly #growing = new GrowingFiles();
  readonly #shares = new SizeShares();
  #goalHits = 0;
  #goalMisses = 0;

  constructor(space: FreeSpace, windowBlocks: number) {
    this.#space = space;
    this.#windowBlocks = windowBlocks;
  }

  allocate(want: AllocationRequest): Run | undefined {
    const { minimum, length } = want;
    if (this.#space.freeBlocks < minimum) return undefined;
    const run =
      this.#atGoal(want) ??
      (want.goal < 0 ? this.#forNew(want) : this.#forMore(want)) ??
      this.#longest(want, minimum);
    // Where windows stand in all that is left, they stand in the way no more.
    const last = run ?? this.#space.longestRun(0, PATIENCE_GROUPS);
    if (last !== undefined && last.length >= minimum) {
      return { start: last.start, length: Math.min(last.length, length) };
    }
    return this.#space.findRun(0, this.#space.blockCount, minimum, length);
  }

  taken(run: Run, want: AllocationRequest): void {
    if (want.goal >= 0) {
      if (run.start === want.goal) this.#goalHits++;
      else this.#goalMisses++;
    }
    if (want.kind !== 'data') return;
    const isSmall = want.goal < 0 && want.length < LEAST_OF_LARGE;
    this.#shares.gave(run.length, isSmall, this.#space.blockCount);
    this.#growing.passed(run.length);
    if (want.goal < 0) this.#growing.began(want.inode);
    else if (want.stream) this.#growing.grew(want.inode, run, this.#mostOfWindow);
  }

  forgetInode(inode: number): void {
    this.#growing.drop(inode);
  }

  stats(): Record<string, number> {
    const growing = this.#growing;
    return {
      goalHits: this.#goalHits,
      goalMisses: this.#goalMisses,
      windows: growing.windowCount,
      indexBytes: growing.memoryBytes,
    };
  }

  get #mostOfWindow(): number {
    const windows = WINDOWS_SHARE * Math.max(FEWEST_WINDOWS, this.#growing.size);
    return Math.min(this.#windowBlocks, Math.floor(this.#space.freeBlocks / windows));
  }

  #atGoal({ goal, length, minimum, inode }: AllocationRequest): Run | undefined {
    if (goal < 0 || goal >= this.#space.blockCount) return undefined;
    const ahead = this.#space.freeRunLength(goal, length);
    if (ahead < minimum) return undefined;
    const clear = this.#growing.clearPart({ start: goal, length: ahead }, minimum, inode);
    return clear?.start === goal ? clear : undefined;
  }

  #forMore(want: AllocationRequest): Run | undefined {
    const { length, inode, stream, kind } = want;
    const isGrowing = stream && kind === 'data' && this.#growing.isGrowing(inode);
    const run =
      isGrowing && this.#windowBlocks > length
        ? (this.#smallest(this.#windowBlocks, want) ?? this.#longest(want, length))
        : undefined;
    return run ?? this.#firstBehind(want) ?? this.#smallest(length, want);
  }

  #firstBehind(want: AllocationRequest): Run | undefined {
    const { goal, length, kind } = want;
    const isAmongSmall = length < LEAST_OF_LARGE && this.#shares.ofSmall >= LEAST_SHARE_OF_SMALL;
    if (!isAmongSmall && !(length === 1 && kind === 'data')) return undefined;
    const { blockCount, groupBlocks } = this.#space;
    return this.#first(goal, Math.min(blockCount, goal + groupBlocks), want);
  }

  #forNew(want: AllocationRequest): Run | undefined {
    const { length, inode } = want;
    if (length < LEAST_OF_LARGE) return this.#first(0, this.#space.blockCount, want);
    const front = Math.floor(this.#space.blockCount * this.#shares.ofSmall);
    const hole = this.#space.smallestRun(length, front, PATIENCE_GROUPS);
    if (hole === undefined) return undefined;
    const exact = hole.length === length ? this.#growing.clearPart(hole, length, inode) : undefined;
    return exact ?? this.#first(front, this.#space.blockCount, want) ?? this.#first(0, front, want);
  }

  #smallest(least: number, { goal, inode }: AllocationRequest): Run | undefined {
    let hole = this.#space.smallestRun(least, goal, PATIENCE_GROUPS);
    for (let tries = TRIES; tries > 0 && hole !== undefined; tries--) {
      const clear = this.#growing.clearPart(hole, least, inode);
      if (clear !== undefined) return clear;
      hole = this.#space.smallestRun(hole.length + 1, goal, PATIENCE_GROUPS);
    }
    return undefined;
  }

  /** The first hole that starts in [start, limit) and holds it whole. */
  #first(start: number, limit: number, { length, inode }: AllocationRequest): Run | undefined {
    let hole = this.#space.findRun(start, limit, length, length, PATIENCE_GROUPS);
    for (let tries = TRIES; tries > 0 && hole !== undefined; tries--) {
      if (this.#growing.clearPart(hole, length, inode) !== undefined) return hole;
      const rest = this.#space.runAround(hole.start);
      const clear =
        rest === undefined ? undefined : this.#growing.clearPart(from(rest, hole.start), length, inode);
      if (clear !== undefined) return clear;
      const behind = rest === undefined ? hole.start + length : rest.start + rest.length;
      hole = this.#space.findRun(behind, limit, length, length, PATIENCE_GROUPS);
    }
    return undefined;
  }

  #longest({ inode }: AllocationRequest, least: number): Run | undefined {
    const hole = this.#space.longestRun(0, PATIENCE_GROUPS);
    return hole === undefined ? undefined : this.#growing.clearPart(hole, least, inode);
  }
}

/** What of the hole lies from `start` on. */
function from(hole: Run, start: number): Run {
  return { start, length: hole.start + hole.length - start };
}

export default defineAllocator({
  name: 'goal-and-window',
  options: { window: 'blocks that are kept clear ahead of a growing file' },
  create: (space, options) => new GoalAndWindow(space, windowOption(space, options)),
});
