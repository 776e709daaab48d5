/**
 * Figures of fragmentation, from nothing but numbers of blocks and pieces: for volumes and for
 * models of them.
 *
 * The layout score is the one of K. A. Smith and M. I. Seltzer, "File System Aging", SIGMETRICS
 * 1997: of the blocks of a file that have one before them in the file, the share that stands
 * directly behind it on the disk. 1 is perfect; a file of one block has none.
 *
 * Memory is a number for each count of pieces that occurs, some thousand at most: files with d
 * different counts have d²/2 pieces.
 */

/** How a file lies. */
export interface FileLayout {
  readonly inode: number;
  /** Blocks of data. */
  readonly blocks: number;
  /** Runs in which they lie, in the order of the file. */
  readonly pieces: number;
}

/** Of a set of files. */
export interface LayoutFigures {
  /** Those that have blocks. */
  readonly files: number;
  readonly blocks: number;
  /** Pieces of all of them. */
  readonly extents: number;
  /** Null where there are no files. */
  readonly extentsPerFile: ExtentsPerFile | null;
  /** Share of files in one piece; null where there are none. */
  readonly inOnePiece: number | null;
  readonly layoutScore: LayoutScore;
}

export interface ExtentsPerFile {
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Null where no file has two blocks. */
export interface LayoutScore {
  /** Each block counts once. */
  readonly byBytes: number | null;
  /** The mean over files of two blocks or more: each counts once. */
  readonly byFile: number | null;
}

export interface SizeClassFigures extends LayoutFigures {
  /** Files with more bytes in blocks than this, … */
  readonly aboveBytes: number;
  /** … and at most this; null for no limit. */
  readonly upToBytes: number | null;
}

export interface WorstFile extends FileLayout {
  readonly layoutScore: number;
}

/** Bounds of the classes of sizes. */
const SIZE_CLASS_BYTES = [2 ** 14, 2 ** 16, 2 ** 18, 2 ** 20, 2 ** 22, 2 ** 24, 2 ** 26, 2 ** 28, 2 ** 30];

/** The score of one file; null if it has less than two blocks. */
export function scoreOf({ blocks, pieces }: Pick<FileLayout, 'blocks' | 'pieces'>): number | null {
  return blocks < 2 ? null : (blocks - pieces) / (blocks - 1);
}

class Tally {
  #files = 0;
  #blocks = 0;
  #pieces = 0;
  #inOnePiece = 0;
  #scored = 0;
  #scores = 0;
  readonly #filesByPieces = new Map<number, number>();

  add(file: FileLayout): void {
    this.#files++;
    this.#blocks += file.blocks;
    this.#pieces += file.pieces;
    if (file.pieces === 1) this.#inOnePiece++;
    this.#filesByPieces.set(file.pieces, (this.#filesByPieces.get(file.pieces) ?? 0) + 1);
    const score = scoreOf(file);
    if (score === null) return;
    this.#scored++;
    this.#scores += score;
  }

  figures(): LayoutFigures {
    const isEmpty = this.#files === 0;
    // Of each file all blocks but the first have one before them.
    const pairs = this.#blocks - this.#files;
    return {
      files: this.#files,
      blocks: this.#blocks,
      extents: this.#pieces,
      extentsPerFile: isEmpty ? null : this.#extentsPerFile(),
      inOnePiece: isEmpty ? null : this.#inOnePiece / this.#files,
      layoutScore: {
        byBytes: pairs === 0 ? null : (this.#blocks - this.#pieces) / pairs,
        byFile: this.#scored === 0 ? null : this.#scores / this.#scored,
      },
    };
  }

  #extentsPerFile(): ExtentsPerFile {
    const counts = [...this.#filesByPieces].sort(([a], [b]) => a - b);
    return {
      mean: this.#pieces / this.#files,
      p50: percentile(counts, this.#files, 0.5),
      p95: percentile(counts, this.#files, 0.95),
      p99: percentile(counts, this.#files, 0.99),
      max: counts.at(-1)?.[0] ?? 0,
    };
  }
}

/**
 * The least value that at least this share of all is not above (the nearest rank).
 * @param counts values in order, each with how often it occurs
 */
function percentile(
  counts: readonly (readonly [value: number, count: number])[],
  total: number,
  share: number,
): number {
  const rank = Math.ceil(share * total);
  let seen = 0;
  for (const [value, count] of counts) {
    seen += count;
    if (seen >= rank) return value;
  }
  return 0;
}

export class LayoutTally {
  readonly #blockBytes: number;
  readonly #all = new Tally();
  readonly #classes = Array.from({ length: SIZE_CLASS_BYTES.length + 1 }, () => new Tally());
  readonly #worst: WorstList;

  /** @param worst how many of the worst files are kept */
  constructor(blockBytes: number, worst: number) {
    this.#blockBytes = blockBytes;
    this.#worst = new WorstList(worst);
  }

  /** @param file one that has blocks */
  add(file: FileLayout): void {
    const bytes = file.blocks * this.#blockBytes;
    const found = SIZE_CLASS_BYTES.findIndex((bound) => bytes <= bound);
    this.#all.add(file);
    this.#classes[found < 0 ? SIZE_CLASS_BYTES.length : found]?.add(file);
    this.#worst.offer(file);
  }

  figures(): LayoutFigures {
    return this.#all.figures();
  }

  /** Classes of size that have files. */
  sizeClasses(): SizeClassFigures[] {
    return this.#classes
      .map((tally, i) => ({
        aboveBytes: SIZE_CLASS_BYTES[i - 1] ?? 0,
        upToBytes: SIZE_CLASS_BYTES[i] ?? null,
        ...tally.figures(),
      }))
      .filter(({ files }) => files > 0);
  }

  /** The files with most pieces, of two or more; of equals, the lower inode first. */
  worst(): WorstFile[] {
    return this.#worst.files.map((file) => ({ ...file, layoutScore: scoreOf(file) ?? 1 }));
  }
}

/** The files with most pieces, in order. */
class WorstList {
  readonly files: FileLayout[] = [];
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  offer(file: FileLayout): void {
    const { files } = this;
    const last = files.at(-1);
    if (file.pieces < 2 || (files.length >= this.#most && (!last || !isWorse(file, last)))) return;
    let low = 0;
    for (let high = files.length; low < high; ) {
      const middle = (low + high) >>> 1;
      const other = files[middle];
      if (other && isWorse(file, other)) high = middle;
      else low = middle + 1;
    }
    files.splice(low, 0, file);
    if (files.length > this.#most) files.pop();
  }
}

function isWorse(file: FileLayout, other: FileLayout): boolean {
  return file.pieces !== other.pieces ? file.pieces > other.pieces : file.inode < other.inode;
}
