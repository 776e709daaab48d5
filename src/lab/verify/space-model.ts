/**
 * The naive model of a space: one byte for each block, and plain loops. What it says is taken to be
 * true of the space that the policy sees.
 */
import type { Run } from '../../alloc/allocator.ts';

export const FREE = 0;
export const USED = 1;
/** Handed out; its data is being written. */
export const RESERVED = 2;
/** Freed, and the freeing is not durable yet. */
export const QUARANTINED = 3;

/** What a block is that is not free. */
export const STATE_WORDS = ['free', 'in use', 'handed out already', 'freed, but not durably yet'] as const;

export class SpaceModel {
  readonly groupBlocks: number;
  #states: Uint8Array;
  #freeBlocks: number;

  constructor(groupBlocks: number, blockCount: number) {
    this.groupBlocks = groupBlocks;
    this.#states = new Uint8Array(blockCount);
    this.#freeBlocks = blockCount;
  }

  get blockCount(): number {
    return this.#states.length;
  }

  get freeBlocks(): number {
    return this.#freeBlocks;
  }

  grow(blockCount: number): void {
    this.#freeBlocks += blockCount - this.blockCount;
    const states = new Uint8Array(blockCount);
    states.set(this.#states);
    this.#states = states;
  }

  stateOf(block: number): number {
    return this.#states[block] ?? USED;
  }

  mark({ start, length }: Run, state: number): void {
    for (let block = start; block < start + length; block++) {
      this.#freeBlocks += Number(state === FREE) - Number(this.#states[block] === FREE);
      this.#states[block] = state;
    }
  }

  groupOf(block: number): number {
    return Math.floor(block / this.groupBlocks);
  }

  /** The first block of the run that is not free, or −1. */
  firstTaken({ start, length }: Run): number {
    for (let block = start; block < start + length; block++) if (this.#states[block] !== FREE) return block;
    return -1;
  }

  /** Free blocks from `block` on, up to the end of its group. */
  freeRunLength(block: number): number {
    const end = Math.min((this.groupOf(block) + 1) * this.groupBlocks, this.blockCount);
    let at = block;
    while (at < end && this.#states[at] === FREE) at++;
    return at - block;
  }

  /** The first free run of at least `minimum` blocks, at its full length. */
  findRun(minimum: number): Run | undefined {
    if (this.#freeBlocks < minimum) return undefined;
    for (let block = 0; block < this.blockCount; ) {
      const length = this.freeRunLength(block);
      if (length >= minimum) return { start: block, length };
      block += Math.max(1, length);
    }
    return undefined;
  }

  /** The stretches of used blocks in [start, end), none across the end of a group. */
  usedRuns(start: number, end: number): Run[] {
    const runs: Run[] = [];
    for (let block = Math.max(0, start); block < Math.min(end, this.blockCount); block++) {
      if (this.#states[block] !== USED) continue;
      const last = runs.at(-1);
      const goesOn = last !== undefined && last.start + last.length === block;
      if (goesOn && this.groupOf(last.start) === this.groupOf(block)) {
        runs[runs.length - 1] = { start: last.start, length: last.length + 1 };
      } else {
        runs.push({ start: block, length: 1 });
      }
    }
    return runs;
  }
}
