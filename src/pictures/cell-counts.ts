/**
 * Blocks into cells: how many blocks of which class each cell has, and what it shows for that.
 *
 * A cell is a run of equally many blocks; the last one may have fewer. Class 0 is what is free. A
 * cell shows the class that has the most blocks in it beside what is free, and is paler the more of
 * it is free; of classes with as many blocks the one with the lower number wins. Memory is one
 * number for each cell and class, whatever the size of the volume.
 */

/** The class of blocks that are free. */
export const FREE_CLASS = 0;
/** How full a cell is: nothing in it; at most half; more; all of it. */
export const CellLevel = { empty: 0, halfFull: 1, partlyFree: 2, full: 3 } as const;

/** What cells show; both arrays have an element for each cell. */
export interface CellMap {
  readonly classes: Uint8Array;
  /** Of `CellLevel`. */
  readonly levels: Uint8Array;
}

export class CellCounts {
  readonly blocksPerCell: number;
  readonly cellCount: number;
  readonly #counts: Float64Array;

  /** @param mostCells the map has at most as many */
  constructor(
    readonly blockCount: number,
    mostCells: number,
    readonly classCount: number,
  ) {
    this.blocksPerCell = Math.max(1, Math.ceil(blockCount / mostCells));
    this.cellCount = Math.ceil(blockCount / this.blocksPerCell);
    this.#counts = new Float64Array(this.cellCount * classCount);
  }

  /**
   * Counts the blocks `block` to `block + length − 1`; what is outside of the volume is left out.
   */
  add(block: number, length: number, classNumber: number): void {
    const { blocksPerCell, classCount } = this;
    const end = Math.min(block + length, this.blockCount);
    for (let at = Math.max(0, block); at < end; ) {
      const cell = Math.floor(at / blocksPerCell);
      const next = Math.min(end, (cell + 1) * blocksPerCell);
      const place = cell * classCount + classNumber;
      this.#counts[place] = (this.#counts[place] ?? 0) + next - at;
      at = next;
    }
  }

  /** Blocks of a class in a cell. */
  blocksOf(cell: number, classNumber: number): number {
    return this.#counts[cell * this.classCount + classNumber] ?? 0;
  }

  /** Blocks that a cell has. */
  sizeOf(cell: number): number {
    return Math.min(this.blocksPerCell, this.blockCount - cell * this.blocksPerCell);
  }

  /** What nobody has counted yet becomes of this class. */
  fillWith(classNumber: number): void {
    for (let cell = 0; cell < this.cellCount; cell++) {
      let rest = this.sizeOf(cell);
      for (let other = 0; other < this.classCount; other++) rest -= this.blocksOf(cell, other);
      if (rest > 0) this.add(cell * this.blocksPerCell, rest, classNumber);
    }
  }

  /** Blocks of each class in the whole volume. */
  totals(): number[] {
    const totals = new Array<number>(this.classCount).fill(0);
    for (const [place, count] of this.#counts.entries()) {
      const classNumber = place % this.classCount;
      totals[classNumber] = (totals[classNumber] ?? 0) + count;
    }
    return totals;
  }

  /** What each cell shows. */
  map(): CellMap {
    const classes = new Uint8Array(this.cellCount);
    const levels = new Uint8Array(this.cellCount);
    for (let cell = 0; cell < this.cellCount; cell++) {
      classes[cell] = this.#majority(cell);
      levels[cell] = levelOf(this.blocksOf(cell, FREE_CLASS), this.sizeOf(cell));
    }
    return { classes, levels };
  }

  #majority(cell: number): number {
    let best = FREE_CLASS;
    let most = 0;
    for (let other = FREE_CLASS + 1; other < this.classCount; other++) {
      const blocks = this.blocksOf(cell, other);
      if (blocks > most) [best, most] = [other, blocks];
    }
    return best;
  }
}

function levelOf(free: number, size: number): number {
  if (free <= 0) return CellLevel.full;
  if (free >= size) return CellLevel.empty;
  return free * 2 >= size ? CellLevel.halfFull : CellLevel.partlyFree;
}
