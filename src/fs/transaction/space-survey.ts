/**
 * A survey of the free space, kept while somebody watches: a map of cells with how many blocks of
 * each are free, and how many free runs there are of which length.
 *
 * It is made of the bitmaps, a group at a time, and follows them: a group whose bits change is
 * looked at again, and nothing else is. How often, and how much at a time, is the caller's
 * (life/survey-round.ts). Until every group was looked at once, cells that nobody has looked into
 * are not told of.
 *
 * A cell is a run of equally many blocks of the volume. Groups and cells need not begin together,
 * so what a group has of a cell is kept for itself, at index `cell + group`: consecutive groups
 * share one cell at most, and no two pairs have the same sum.
 */
import { GroupMap } from '../../alloc/group-map.ts';
import type { Layout } from '../format/layout.ts';
import type { SpaceOnDisk } from './space-on-disk.ts';

/** With more groups than this the survey itself would take some ten MiB: there is none then. */
export const MOST_SURVEYED_GROUPS = 2 ** 17;
/** Runs that a step looks at: some 50 µs. */
const RUNS_PER_STEP = 1024;

/** Free runs by their length: those of 2^i blocks and more, below twice as many, are number i. */
export interface FreeRunCounts {
  readonly runs: readonly number[];
  readonly blocks: readonly number[];
  readonly largestRunBlocks: number;
}

export class SpaceSurvey {
  readonly blockCount: number;
  readonly groupCount: number;
  readonly blocksPerCell: number;
  readonly cellCount: number;
  readonly #disk: SpaceOnDisk;
  readonly #layout: Layout;
  /** Free blocks of a cell in a group. */
  readonly #parts: Uint32Array;
  readonly #free: Float64Array;
  /** The revision in which a cell changed; 0 for one that nobody has looked into. */
  readonly #changedIn: Float64Array;
  readonly classCount: number;
  /** Of each group the runs in each class, and their blocks. */
  readonly #runs: Uint32Array;
  readonly #blocks: Uint32Array;
  readonly #largest: Uint32Array;
  /** Of all groups together. */
  readonly #allRuns: number[];
  readonly #allBlocks: number[];
  #revision = 0;
  /** Groups from here on were not looked at yet; of those before it, those in `#stale` again. */
  #first = 0;
  readonly #stale = new Set<number>();

  /** @param mostCells the map has at most as many */
  constructor(disk: SpaceOnDisk, layout: Layout, mostCells: number) {
    const { blockCount, groupCount } = layout;
    this.#disk = disk;
    this.#layout = layout;
    this.blockCount = blockCount;
    this.groupCount = groupCount;
    this.blocksPerCell = Math.max(1, Math.ceil(blockCount / mostCells));
    this.cellCount = Math.ceil(blockCount / this.blocksPerCell);
    this.#parts = new Uint32Array(this.cellCount + groupCount);
    this.#free = new Float64Array(this.cellCount);
    this.#changedIn = new Float64Array(this.cellCount);
    this.classCount = 32 - Math.clz32(layout.bitsPerBlock);
    this.#runs = new Uint32Array(groupCount * this.classCount);
    this.#blocks = new Uint32Array(groupCount * this.classCount);
    this.#largest = new Uint32Array(groupCount);
    this.#allRuns = new Array<number>(this.classCount).fill(0);
    this.#allBlocks = new Array<number>(this.classCount).fill(0);
    this.#noteFixed();
  }

  /** Before and behind the groups all is in use, and known. */
  #noteFixed(): void {
    const { spaceStart, spaceBlocks } = this.#layout;
    this.#revision = 1;
    this.#changedIn.fill(1, 0, Math.floor(spaceStart / this.blocksPerCell));
    this.#changedIn.fill(1, Math.ceil((spaceStart + spaceBlocks) / this.blocksPerCell));
  }

  get revision(): number {
    return this.#revision;
  }

  /** Groups to be looked at. */
  get staleGroups(): number {
    return this.groupCount - this.#first + this.#stale.size;
  }

  /** Groups that nobody has looked at. */
  get unknownGroups(): number {
    return this.groupCount - this.#first;
  }

  /** The bits of the group change in the running transaction. */
  groupChanged(group: number): void {
    if (group < this.#first) this.#stale.add(group);
  }

  /**
   * Takes a group that is to be looked at: in turn one that changed and one that nobody knows.
   * @returns −1 if there is none
   */
  take(): number {
    const [changed] = this.#stale;
    const isUnknown = this.#first < this.groupCount;
    if (changed === undefined || (isUnknown && this.#revision % 2 === 0)) {
      return isUnknown ? this.#first++ : -1;
    }
    this.#stale.delete(changed);
    return changed;
  }

  /** What of the group is free now, to be walked through. In a transaction; may miss. */
  walk(group: number): GroupWalk {
    const map = new GroupMap(this.#layout.groupLength(group), this.#disk.readBitmap(group));
    return new GroupWalk(this, map, this.#layout.bitmapBlock(group), group);
  }

  /** Takes what a walk has found in the place of what was known of the group. */
  install(walk: GroupWalk): void {
    const { group, firstCell, free } = walk;
    this.#revision++;
    for (const [i, blocks] of free.entries()) {
      const cell = firstCell + i;
      const before = this.#parts[cell + group] ?? 0;
      const known = this.#changedIn[cell] ?? 0;
      if (before === blocks && known > 0) continue;
      this.#parts[cell + group] = blocks;
      this.#free[cell] = (this.#free[cell] ?? 0) + blocks - before;
      this.#changedIn[cell] = this.#revision;
    }
    const at = group * this.classCount;
    for (let i = 0; i < this.classCount; i++) {
      const [runs = 0, blocks = 0] = [walk.runs[i], walk.blocks[i]];
      this.#allRuns[i] = (this.#allRuns[i] ?? 0) + runs - (this.#runs[at + i] ?? 0);
      this.#allBlocks[i] = (this.#allBlocks[i] ?? 0) + blocks - (this.#blocks[at + i] ?? 0);
      this.#runs[at + i] = runs;
      this.#blocks[at + i] = blocks;
    }
    this.#largest[group] = walk.largest;
  }

  /** Of the groups that are known. Costs a look at a number for each. */
  freeRuns(): FreeRunCounts {
    let largestRunBlocks = 0;
    for (const largest of this.#largest) if (largest > largestRunBlocks) largestRunBlocks = largest;
    return { runs: [...this.#allRuns], blocks: [...this.#allBlocks], largestRunBlocks };
  }

  /** The cells that changed after a revision: a cell, its free blocks, the next cell, … */
  cellsSince(revision: number): number[] {
    const cells: number[] = [];
    for (let cell = 0; cell < this.cellCount; cell++) {
      if ((this.#changedIn[cell] ?? 0) > revision) cells.push(cell, this.#free[cell] ?? 0);
    }
    return cells;
  }
}

/** A copy of a group's bitmap on its way into the survey. */
export class GroupWalk {
  readonly firstCell: number;
  /** Free blocks in each cell, from the first that the group has a part of. */
  readonly free: Uint32Array;
  readonly runs: Uint32Array;
  readonly blocks: Uint32Array;
  largest = 0;
  #at = 0;

  constructor(
    private readonly survey: SpaceSurvey,
    private readonly map: GroupMap,
    private readonly firstBlock: number,
    readonly group: number,
  ) {
    const { blocksPerCell, classCount } = survey;
    this.firstCell = Math.floor(firstBlock / blocksPerCell);
    const lastCell = Math.floor((firstBlock + map.blockCount - 1) / blocksPerCell);
    this.free = new Uint32Array(lastCell - this.firstCell + 1);
    this.runs = new Uint32Array(classCount);
    this.blocks = new Uint32Array(classCount);
  }

  /** Goes on by some runs. @returns whether it is through, and in the survey */
  step(): boolean {
    const { map } = this;
    for (let left = RUNS_PER_STEP; left > 0; left--) {
      const start = map.nextFree(this.#at, map.blockCount);
      if (start < 0) {
        this.survey.install(this);
        return true;
      }
      this.#at = map.nextUsed(start, map.blockCount);
      this.#note(start, this.#at - start);
    }
    return false;
  }

  #note(start: number, length: number): void {
    const power = 31 - Math.clz32(length);
    this.runs[power] = (this.runs[power] ?? 0) + 1;
    this.blocks[power] = (this.blocks[power] ?? 0) + length;
    if (length > this.largest) this.largest = length;
    const { blocksPerCell } = this.survey;
    const end = this.firstBlock + start + length;
    for (let block = this.firstBlock + start; block < end; ) {
      const cell = Math.floor(block / blocksPerCell);
      const next = Math.min(end, (cell + 1) * blocksPerCell);
      const i = cell - this.firstCell;
      this.free[i] = (this.free[i] ?? 0) + next - block;
      block = next;
    }
  }
}
