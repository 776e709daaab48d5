/**
 * How files lie: extents, and the layout score.
 *
 * The layout score of a file is the share of its blocks, but for the first, that lie directly behind
 * the block before them (Smith and Seltzer, 1997); of a volume, the same over the blocks of all
 * files. 1 is perfect. A file of one block has none, and takes no part.
 */

/** A stretch of a file's blocks that lie together. */
export interface LaidExtent {
  readonly fileBlock: number;
  readonly block: number;
  readonly length: number;
}

export interface LayoutFigures {
  /** Files with at least one block of their own. */
  readonly files: number;
  readonly blocks: number;
  /** Extents per file. */
  readonly meanExtents: number;
  readonly p50Extents: number;
  readonly p95Extents: number;
  readonly p99Extents: number;
  readonly maxExtents: number;
  /** Of the files. */
  readonly inOnePiece: number;
  /** 0 to 1; 1 where no file has two blocks. */
  readonly layoutScore: number;
  /** The same for files of up to 64 KiB, up to 1 MiB, and longer ones. */
  readonly layoutScoreSmall: number;
  readonly layoutScoreMiddle: number;
  readonly layoutScoreLarge: number;
}

const KIB = 1024;
const CLASS_LIMITS = [64 * KIB, 1024 * KIB, Number.POSITIVE_INFINITY];

/** Gathers file after file. */
export class LayoutGatherer {
  readonly #blockBytes: number;
  /** How many files have so many extents. */
  readonly #byExtents = new Map<number, number>();
  #files = 0;
  #blocks = 0;
  readonly #followers = CLASS_LIMITS.map(() => 0);
  readonly #adjacent = CLASS_LIMITS.map(() => 0);

  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes;
  }

  /** @param extents in the order of the file; neighbours that lie together count as one. */
  add(extents: readonly LaidExtent[]): void {
    if (extents.length === 0) return;
    let pieces = 0;
    let blocks = 0;
    let behind = -1;
    for (const { block, length } of extents) {
      if (block !== behind) pieces++;
      behind = block + length;
      blocks += length;
    }
    this.#files++;
    this.#blocks += blocks;
    this.#byExtents.set(pieces, (this.#byExtents.get(pieces) ?? 0) + 1);
    const sizeClass = CLASS_LIMITS.findIndex((limit) => blocks * this.#blockBytes <= limit);
    this.#followers[sizeClass] = (this.#followers[sizeClass] ?? 0) + blocks - 1;
    this.#adjacent[sizeClass] = (this.#adjacent[sizeClass] ?? 0) + blocks - pieces;
  }

  figures(): LayoutFigures {
    const counts = [...this.#byExtents].sort(([one], [other]) => one - other);
    const extents = counts.reduce((sum, [pieces, files]) => sum + pieces * files, 0);
    const score = (classes: readonly number[]) => {
      const sum = (of: readonly number[]) => classes.reduce((all, index) => all + (of[index] ?? 0), 0);
      return sum(this.#followers) === 0 ? 1 : sum(this.#adjacent) / sum(this.#followers);
    };
    return {
      files: this.#files,
      blocks: this.#blocks,
      meanExtents: this.#files === 0 ? 0 : extents / this.#files,
      p50Extents: quantile(counts, this.#files, 0.5),
      p95Extents: quantile(counts, this.#files, 0.95),
      p99Extents: quantile(counts, this.#files, 0.99),
      maxExtents: counts.at(-1)?.[0] ?? 0,
      inOnePiece: this.#files === 0 ? 1 : (this.#byExtents.get(1) ?? 0) / this.#files,
      layoutScore: score([0, 1, 2]),
      layoutScoreSmall: score([0]),
      layoutScoreMiddle: score([1]),
      layoutScoreLarge: score([2]),
    };
  }
}

/** The least value that so large a share of all does not exceed. */
function quantile(counts: readonly (readonly [number, number])[], total: number, share: number): number {
  let seen = 0;
  for (const [value, count] of counts) {
    seen += count;
    if (seen >= share * total) return value;
  }
  return 0;
}
