/** How the free space lies: runs, and what they are good for. */

const MIB = 1024 * 1024;
const KIB = 1024;

export interface FreeSpaceFigures {
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
  #freeBlocks = 0;
  #runs = 0;
  #largest = 0;
  readonly #runsByPower: number[] = [];
  readonly #blocksByPower: number[] = [];
  #smallChunks = 0;
  #largeChunks = 0;
  #usableSmall = 0;
  #usableLarge = 0;

  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes;
  }

  /** @param start in blocks, from where alignment counts */
  add(start: number, length: number): void {
    this.#freeBlocks += length;
    this.#runs++;
    this.#largest = Math.max(this.#largest, length);
    const power = Math.floor(Math.log2(length));
    while (this.#runsByPower.length <= power) {
      this.#runsByPower.push(0);
      this.#blocksByPower.push(0);
    }
    this.#runsByPower[power] = (this.#runsByPower[power] ?? 0) + 1;
    this.#blocksByPower[power] = (this.#blocksByPower[power] ?? 0) + length;
    this.#smallChunks += this.#chunked(start, length, 64 * KIB);
    this.#largeChunks += this.#chunked(start, length, 2 * MIB);
    if (length * this.#blockBytes >= 64 * KIB) this.#usableSmall += length;
    if (length * this.#blockBytes >= MIB) this.#usableLarge += length;
  }

  /** Blocks of the run that lie in aligned chunks of that size. */
  #chunked(start: number, length: number, chunkBytes: number): number {
    const chunk = Math.max(1, chunkBytes / this.#blockBytes);
    const first = Math.ceil(start / chunk) * chunk;
    return Math.max(0, Math.floor((start + length - first) / chunk)) * chunk;
  }

  figures(): FreeSpaceFigures {
    const share = (blocks: number) => (this.#freeBlocks === 0 ? 0 : blocks / this.#freeBlocks);
    return {
      freeBlocks: this.#freeBlocks,
      runs: this.#runs,
      largestRun: this.#largest,
      runsByPower: [...this.#runsByPower],
      blocksByPower: [...this.#blocksByPower],
      inChunksOf64KiB: share(this.#smallChunks),
      inChunksOf2MiB: share(this.#largeChunks),
      unusableFor64KiB: 1 - share(this.#usableSmall),
      unusableFor1MiB: 1 - share(this.#usableLarge),
    };
  }
}
