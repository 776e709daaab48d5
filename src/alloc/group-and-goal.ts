/**
 * Group-and-goal, the default: what is read together lies together.
 *
 *   1. At the goal, the block after the file's last one: a longer extent is better than any other
 *      place.
 *   2. Around the origin: forward in its group, then the rest of the group, then the groups after
 *      it, round the space. The origin is the goal; without one, for a directory a group with at
 *      least the average of free blocks, so that trees spread; for all else where the last such run
 *      went, so that what is made together lies together.
 *   3. A stream that cannot go on at its goal looks first for a hole of a whole window, so that
 *      files written at once do not interleave; a stream that goes on keeps a soft window clear
 *      ahead (stream-windows.ts).
 *
 * At each step the full length is tried before shorter ones; windows of others are respected in all
 * steps, and ignored when nothing else is left. It never refuses while a run of the minimum exists.
 * A request costs a few searches per length tried, none of which grows with the volume.
 *
 * Option `window`: blocks of a window, 2048 if not given (8 MiB of 4 KiB blocks), at most a quarter
 * of a group.
 */
import {
  type AllocationRequest,
  type Allocator,
  defineAllocator,
  type FreeSpace,
  type Run,
} from './allocator.ts';
import { windowOption } from './policy-options.ts';
import { patienceFor, shorter } from './run-lengths.ts';
import { StreamWindows } from './stream-windows.ts';

class GroupAndGoal implements Allocator {
  readonly #space: FreeSpace;
  readonly #windowBlocks: number;
  readonly #windows = new StreamWindows();
  /** Where runs without a goal go: after the last of them. */
  #front = 0;
  #goalHits = 0;
  #goalMisses = 0;

  constructor(space: FreeSpace, windowBlocks: number) {
    this.#space = space;
    this.#windowBlocks = windowBlocks;
  }

  allocate(want: AllocationRequest): Run | undefined {
    if (this.#space.freeBlocks < want.minimum) return undefined;
    return this.#find(want, true) ?? (this.#windows.size > 0 ? this.#find(want, false) : undefined);
  }

  taken(run: Run, want: AllocationRequest): void {
    const end = run.start + run.length;
    if (want.goal < 0) {
      if (want.kind !== 'directory') this.#front = end;
      return;
    }
    if (run.start === want.goal) this.#goalHits++;
    else this.#goalMisses++;
    if (isStream(want)) this.#windows.move(want.inode, end, this.#windowBlocks);
  }

  forgetInode(inode: number): void {
    this.#windows.drop(inode);
  }

  stats(): Record<string, number> {
    const windows = this.#windows;
    return {
      goalHits: this.#goalHits,
      goalMisses: this.#goalMisses,
      windows: windows.size,
      indexBytes: windows.memoryBytes,
    };
  }

  #find(want: AllocationRequest, respectful: boolean): Run | undefined {
    const atGoal = this.#atGoal(want, respectful);
    if (atGoal !== undefined) return atGoal;
    const origin = this.#originOf(want);
    if (isStream(want) && this.#windowBlocks > want.length) {
      const run = this.#around(origin, this.#windowBlocks, want, respectful);
      if (run !== undefined) return run;
    }
    for (let least = want.length; least > 0; least = shorter(least, want.minimum)) {
      const run = this.#around(origin, least, want, respectful);
      if (run !== undefined) return run;
    }
    return undefined;
  }

  #atGoal(want: AllocationRequest, respectful: boolean): Run | undefined {
    const { goal } = want;
    if (goal < 0 || goal >= this.#space.blockCount) return undefined;
    const length = this.#space.freeRunLength(goal, want.length);
    if (length < want.minimum) return undefined;
    const run = { start: goal, length };
    return respectful ? this.#clear(run, want.minimum, want.inode) : run;
  }

  #originOf(want: AllocationRequest): number {
    const { blockCount } = this.#space;
    if (want.goal >= 0) return Math.min(want.goal, blockCount - 1);
    if (want.kind === 'directory') return this.#spread(want.inode);
    return this.#front < blockCount ? this.#front : 0;
  }

  /**
   * Start of a group with no less than the average of free blocks, each inode from another one on.
   */
  #spread(inode: number): number {
    const { groupCount, groupBlocks, freeBlocks } = this.#space;
    const from = Math.imul(inode, 0x9e3779b1) >>> 0;
    const average = Math.max(1, Math.floor(freeBlocks / groupCount));
    const group = this.#space.nextGroup(from % groupCount, average);
    const chosen = group >= 0 ? group : this.#space.nextGroup(0, average);
    return Math.max(0, chosen) * groupBlocks;
  }

  /**
   * A run of at least `least`: forward from the origin in its group, in the rest of it and beyond,
   * round the space.
   */
  #around(origin: number, least: number, want: AllocationRequest, respectful: boolean): Run | undefined {
    const { groupBlocks, blockCount } = this.#space;
    const groupStart = origin - (origin % groupBlocks);
    return (
      this.#search(origin, Math.min(groupStart + groupBlocks, blockCount), least, want, respectful) ??
      this.#search(groupStart, blockCount, least, want, respectful) ??
      this.#search(0, groupStart, least, want, respectful)
    );
  }

  // biome-ignore lint/complexity/useMaxParams: the innermost loop; nothing is made for a search.
  #search(
    from: number,
    limit: number,
    least: number,
    want: AllocationRequest,
    respectful: boolean,
  ): Run | undefined {
    const wish = Math.max(least, want.length);
    const patience = patienceFor(least, want.minimum);
    let at = from;
    while (at < limit) {
      const hole = this.#space.findRun(at, limit, least, wish, patience);
      if (hole === undefined) return undefined;
      const run = respectful ? this.#clear(hole, least, want.inode) : hole;
      if (run !== undefined) return run.length <= want.length ? run : { ...run, length: want.length };
      at = this.#windows.inTheWay(hole, want.inode)?.end ?? limit;
    }
    return undefined;
  }

  /** What of the run lies before the first window of another inode, if that is enough. */
  #clear(run: Run, least: number, inode: number): Run | undefined {
    const window = this.#windows.size === 0 ? undefined : this.#windows.inTheWay(run, inode);
    if (window === undefined) return run;
    const length = window.start - run.start;
    return length >= least ? { start: run.start, length } : undefined;
  }
}

/** A file that is being appended to and has blocks already. */
function isStream(want: AllocationRequest): boolean {
  return want.stream && want.kind === 'data' && want.goal >= 0;
}

export default defineAllocator({
  name: 'group-and-goal',
  options: { window: 'blocks that are kept clear ahead of a growing file' },
  create: (space, options) => new GroupAndGoal(space, windowOption(space, options)),
});
