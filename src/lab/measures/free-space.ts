/** How the free space lies, as a sample of a run has it: the figures of `quarry frag`, and more. */
import { FreeSpaceTally } from '../../inspect/free-figures.ts';

export interface FreeSpaceSample {
  readonly freeBlocks: number;
  readonly runs: number;
  /** In blocks. */
  readonly largestRun: number;
  /** Runs by length: number i has those of 2^i to 2^(i+1) − 1 blocks. */
  readonly runsByPower: readonly number[];
  /** Free blocks in those runs. */
  readonly blocksByPower: readonly number[];
  /** Share of the free space in aligned chunks that are free as a whole. */
  readonly inChunksOf64KiB: number;
  readonly inChunksOf2MiB: number;
  /** Share of the free space that is of no use for a request of one piece of this size. */
  readonly unusableFor64KiB: number;
  readonly unusableFor1MiB: number;
}

/** Gathers run after run. */
export class FreeSpaceGatherer {
  readonly #blockBytes: number;
  readonly #tally: FreeSpaceTally;

  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes;
    this.#tally = new FreeSpaceTally(blockBytes);
  }

  /** @param start in blocks, from where alignment counts */
  add(start: number, length: number): void {
    this.#tally.add(start, length);
  }

  figures(): FreeSpaceSample {
    const { freeBlocks, runs, largestRunBlocks, histogram, aligned } = this.#tally.figures();
    const least = histogram[0] === undefined ? 0 : Math.log2(histogram[0].fromBytes / this.#blockBytes);
    const shorter = Array.from({ length: least }, () => 0);
    const chunked = (bytes: number) => aligned.find(({ chunkBytes }) => chunkBytes === bytes)?.share ?? 0;
    const below = (bytes: number) =>
      histogram.reduce((sum, found) => sum + (found.belowBytes <= bytes ? found.share : 0), 0);
    return {
      freeBlocks,
      runs,
      largestRun: largestRunBlocks,
      runsByPower: [...shorter, ...histogram.map((found) => found.runs)],
      blocksByPower: [...shorter, ...histogram.map((found) => found.blocks)],
      inChunksOf64KiB: chunked(2 ** 16),
      inChunksOf2MiB: chunked(2 ** 21),
      unusableFor64KiB: below(2 ** 16),
      unusableFor1MiB: below(2 ** 20),
    };
  }
}
