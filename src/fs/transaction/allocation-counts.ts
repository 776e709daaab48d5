/**
 * What was asked of the allocator, and how near to the wish it answered: a few additions for each
 * run that is handed out, always made.
 *
 * The layout score of a stretch of time follows from differences of these: of the blocks of data
 * that have a predecessor in their file, the share that was put directly behind it.
 */
import type { AllocationRequest, Run } from '../../alloc/allocator.ts';

/** All of them count up from the mount on. */
export interface AllocationCounters {
  /** Runs handed out, for data and metadata, and their blocks. */
  readonly runs: number;
  readonly blocks: number;
  /** Those of data, … */
  readonly dataRuns: number;
  readonly dataBlocks: number;
  /** … those of them that had a block to follow, and those that followed it. */
  readonly dataGoals: number;
  readonly dataGoalHits: number;
  /** Blocks handed out that came back unused: their transaction is run again, or has failed. */
  readonly returnedBlocks: number;
  /** Blocks in use that were freed. */
  readonly freedBlocks: number;
}

export class AllocationCounts {
  #runs = 0;
  #blocks = 0;
  #dataRuns = 0;
  #dataBlocks = 0;
  #dataGoals = 0;
  #dataGoalHits = 0;
  #returnedBlocks = 0;
  #freedBlocks = 0;

  handedOut(run: Run, want: AllocationRequest): void {
    this.#runs++;
    this.#blocks += run.length;
    if (want.kind !== 'data') return;
    this.#dataRuns++;
    this.#dataBlocks += run.length;
    if (want.goal < 0) return;
    this.#dataGoals++;
    if (run.start === want.goal) this.#dataGoalHits++;
  }

  returned(blocks: number): void {
    this.#returnedBlocks += blocks;
  }

  freed(blocks: number): void {
    this.#freedBlocks += blocks;
  }

  counters(): AllocationCounters {
    return {
      runs: this.#runs,
      blocks: this.#blocks,
      dataRuns: this.#dataRuns,
      dataBlocks: this.#dataBlocks,
      dataGoals: this.#dataGoals,
      dataGoalHits: this.#dataGoalHits,
      returnedBlocks: this.#returnedBlocks,
      freedBlocks: this.#freedBlocks,
    };
  }
}
