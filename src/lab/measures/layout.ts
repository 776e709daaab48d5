/**
 * How files lie, as a sample of a run has it: the figures of `quarry frag`, each under a name of
 * its own. The layout score is by bytes: each block counts once; 1 where no file has two blocks.
 */
import { LayoutTally } from '../../inspect/layout-figures.ts';

/** A stretch of a file's blocks that lie together. */
export interface LaidExtent {
  readonly fileBlock: number;
  readonly block: number;
  readonly length: number;
}

export interface LayoutSample {
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
  readonly layoutScore: number;
  /** The same for files of up to 64 KiB, up to 1 MiB, and longer ones. */
  readonly layoutScoreSmall: number;
  readonly layoutScoreMiddle: number;
  readonly layoutScoreLarge: number;
}

const SMALL_BYTES = 2 ** 16;
const MIDDLE_BYTES = 2 ** 20;

/** Extents in the order of the file; neighbours that lie together count as one. */
export function pieceCountOf(extents: readonly LaidExtent[]): number {
  let pieces = 0;
  let behind = -1;
  for (const { block, length } of extents) {
    if (block !== behind) pieces++;
    behind = block + length;
  }
  return pieces;
}

/** Gathers file after file. */
export class LayoutGatherer {
  readonly #tally: LayoutTally;

  constructor(blockBytes: number) {
    this.#tally = new LayoutTally(blockBytes, 0);
  }

  /** @param extents in the order of the file; neighbours that lie together count as one. */
  add(extents: readonly LaidExtent[]): void {
    if (extents.length === 0) return;
    const blocks = extents.reduce((sum, { length }) => sum + length, 0);
    this.#tally.add({ inode: 0, blocks, pieces: pieceCountOf(extents) });
  }

  figures(): LayoutSample {
    const { files, blocks, extentsPerFile, inOnePiece, layoutScore } = this.#tally.figures();
    return {
      files,
      blocks,
      meanExtents: extentsPerFile?.mean ?? 0,
      p50Extents: extentsPerFile?.p50 ?? 0,
      p95Extents: extentsPerFile?.p95 ?? 0,
      p99Extents: extentsPerFile?.p99 ?? 0,
      maxExtents: extentsPerFile?.max ?? 0,
      inOnePiece: inOnePiece ?? 1,
      layoutScore: layoutScore.byBytes ?? 1,
      layoutScoreSmall: this.#scoreOf(0, SMALL_BYTES),
      layoutScoreMiddle: this.#scoreOf(SMALL_BYTES, MIDDLE_BYTES),
      layoutScoreLarge: this.#scoreOf(MIDDLE_BYTES, Number.POSITIVE_INFINITY),
    };
  }

  /** Of files with more bytes than the one, and at most the other. */
  #scoreOf(aboveBytes: number, upToBytes: number): number {
    let pairs = 0;
    let adjacent = 0;
    for (const found of this.#tally.sizeClasses()) {
      const isOne =
        found.aboveBytes >= aboveBytes && (found.upToBytes ?? Number.POSITIVE_INFINITY) <= upToBytes;
      if (!isOne) continue;
      pairs += found.blocks - found.files;
      adjacent += found.blocks - found.extents;
    }
    return pairs === 0 ? 1 : adjacent / pairs;
  }
}
