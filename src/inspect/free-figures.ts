/**
 * Figures of free space, from nothing but runs of free blocks: how many, how long, and how much of
 * it lies in aligned chunks, as large pages and erase blocks want them.
 */

/** Sizes of chunks whose share of free space is told. */
export const ALIGNED_CHUNK_BYTES = [2 ** 16, 2 ** 21] as const;

/** Runs of `fromBytes` or more, and of less than `belowBytes`. */
export interface RunClass {
  readonly fromBytes: number;
  readonly belowBytes: number;
  readonly runs: number;
  readonly blocks: number;
  /** Of all free blocks. */
  readonly share: number;
}

export interface AlignedShare {
  readonly chunkBytes: number;
  /** Chunks that are free as a whole. */
  readonly chunks: number;
  /** Share of free blocks that is in them; null where nothing is free. */
  readonly share: number | null;
}

export interface FreeSpaceFigures {
  readonly freeBlocks: number;
  readonly runs: number;
  readonly largestRunBlocks: number;
  /** Null where nothing is free. */
  readonly meanRunBlocks: number | null;
  /** By powers of two, those that occur and what is between them. */
  readonly histogram: readonly RunClass[];
  readonly aligned: readonly AlignedShare[];
}

export class FreeSpaceTally {
  readonly #blockBytes: number;
  readonly #classes: { runs: number; blocks: number }[] = [];
  readonly #chunks = ALIGNED_CHUNK_BYTES.map(() => 0);
  #blocks = 0;
  #runs = 0;
  #largest = 0;

  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes;
  }

  /** @param block of the volume, where alignment begins */
  add(block: number, length: number): void {
    this.#blocks += length;
    this.#runs++;
    this.#largest = Math.max(this.#largest, length);
    const power = Math.floor(Math.log2(length));
    while (this.#classes.length <= power) this.#classes.push({ runs: 0, blocks: 0 });
    const found = this.#classes[power];
    if (found) {
      found.runs++;
      found.blocks += length;
    }
    for (const [i, chunkBytes] of ALIGNED_CHUNK_BYTES.entries()) {
      const chunk = chunkBytes / this.#blockBytes;
      const whole = Math.floor((block + length) / chunk) - Math.ceil(block / chunk);
      if (whole > 0) this.#chunks[i] = (this.#chunks[i] ?? 0) + whole;
    }
  }

  figures(): FreeSpaceFigures {
    const isNone = this.#blocks === 0;
    const least = this.#classes.findIndex(({ runs }) => runs > 0);
    return {
      freeBlocks: this.#blocks,
      runs: this.#runs,
      largestRunBlocks: this.#largest,
      meanRunBlocks: isNone ? null : this.#blocks / this.#runs,
      histogram: isNone
        ? []
        : this.#classes.slice(least).map((found, i) => ({
            fromBytes: 2 ** (least + i) * this.#blockBytes,
            belowBytes: 2 ** (least + i + 1) * this.#blockBytes,
            ...found,
            share: found.blocks / this.#blocks,
          })),
      aligned: ALIGNED_CHUNK_BYTES.map((chunkBytes, i) => {
        const chunks = this.#chunks[i] ?? 0;
        const share = isNone ? null : (chunks * chunkBytes) / this.#blockBytes / this.#blocks;
        return { chunkBytes, chunks, share };
      }),
    };
  }
}
