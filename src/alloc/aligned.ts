/**
 * Aligned: chunks of 2 MiB that are free as a whole stay so, for those who can use them.
 *
 * A file that is mapped with huge pages, or lies on flash with large erase units, wants runs from
 * one multiple of 2 MiB to another. After WineFS (Kadekodi et al., SOSP 2021), which keeps such
 * chunks apart from all other holes: a request of a chunk or more gets whole chunks in a row; a
 * smaller one goes on where its file ended, to the end of the chunk, or fills the smallest hole of
 * a broken chunk that holds it. Only where there is none a whole chunk is broken, or where a file
 * that is being appended to comes to the end of one. So small files do not eat up the long runs of
 * an aged volume; the price is that they lie far from each other, in what is left of others.
 *
 * Option `chunk`: blocks of a chunk, 512 if not given, 2 MiB of blocks of 4 KiB. Multiples count
 * from the start of the space.
 */

import type { FreeSpace, Run } from './allocator.ts';
import { type AllocationRequest, type Allocator, defineAllocator } from './allocator.ts';
import { blocksOption } from './policy-options.ts';
import { PATIENCE_GROUPS } from './run-lengths.ts';

/** Holes that are looked at for one that no whole chunk must be broken for. */
const TRIES = 4;

class Aligned implements Allocator {
  #brokenChunks = 0;

  constructor(
    readonly space: FreeSpace,
    readonly chunk: number,
  ) {}

  allocate(want: AllocationRequest): Run | undefined {
    const { length, minimum } = want;
    const run =
      this.#atGoal(want) ?? (length < this.chunk ? undefined : this.#chunks(length)) ?? this.#rest(want);
    if (run !== undefined && run.length >= minimum) return run;
    return this.space.findRun(0, this.space.blockCount, minimum, length);
  }

  taken({ start, length }: Run): void {
    if (start % this.chunk === 0 && length < this.chunk) this.#brokenChunks++;
  }

  stats(): Record<string, number> {
    return { brokenChunks: this.#brokenChunks };
  }

  #atGoal({ goal, length, minimum, stream }: AllocationRequest): Run | undefined {
    if (goal < 0) return undefined;
    const inChunk = goal % this.chunk;
    const ahead = this.space.freeRunLength(
      goal,
      inChunk > 0 ? Math.min(length, this.chunk - inChunk) : length,
    );
    // From a multiple on: whole chunks, or what the end of a growing file needs of one.
    const taken = inChunk > 0 || stream ? ahead : ahead - (ahead % this.chunk);
    return taken >= minimum ? { start: goal, length: taken } : undefined;
  }

  /** Whole chunks in a row, as many as there are room for. */
  #chunks(length: number): Run | undefined {
    const { space, chunk } = this;
    const most = length - (length % chunk);
    for (const least of [most, most + chunk - 1]) {
      const run = this.#wholeIn(space.smallestRun(least, 0, PATIENCE_GROUPS), most);
      if (run?.length === most) return run;
    }
    const longest = this.#wholeIn(space.longestRun(0, PATIENCE_GROUPS), most);
    return longest ?? this.#wholeIn(space.smallestRun(chunk, 0, PATIENCE_GROUPS), most);
  }

  /** A hole that has no whole chunk, or its edge; else the smallest hole, whatever it breaks. */
  #rest({ goal, length }: AllocationRequest): Run | undefined {
    const tightest =
      this.space.smallestRun(length, goal, PATIENCE_GROUPS) ?? this.space.longestRun(goal, PATIENCE_GROUPS);
    let hole = tightest;
    for (let tries = TRIES; tries > 0 && hole !== undefined; tries--) {
      const whole = this.#wholeIn(hole, hole.length);
      if (whole === undefined || whole.start - hole.start >= length) return cut(hole, length);
      const behind = whole.start + whole.length;
      const tail = hole.start + hole.length - behind;
      if (tail >= length) return { start: behind, length };
      hole = this.space.smallestRun(hole.length + 1, goal, PATIENCE_GROUPS);
    }
    return tightest && cut(tightest, length);
  }

  /** The whole chunks in a hole, `most` blocks of them. */
  #wholeIn(hole: Run | undefined, most: number): Run | undefined {
    if (hole === undefined) return undefined;
    const start = Math.ceil(hole.start / this.chunk) * this.chunk;
    const blocks = hole.start + hole.length - start;
    const length = Math.min(most, blocks - (blocks % this.chunk));
    return length >= this.chunk ? { start, length } : undefined;
  }
}

function cut(hole: Run, length: number): Run {
  return { start: hole.start, length: Math.min(hole.length, length) };
}

export default defineAllocator({
  name: 'aligned',
  options: { chunk: 'blocks of a chunk that is kept whole' },
  create: (space, options) => new Aligned(space, blocksOption(options, 'chunk', 512)),
});
