/**
 * A disk of nothing but bitmaps: the source of a SpaceIndex where there is no volume.
 *
 * It can miss like the real one: what was forgotten is "not in memory", so the first question for
 * it throws, and the next one is answered.
 */
import type { Run } from '../../alloc/allocator.ts';
import { clearRange, countRange, setRange } from '../../alloc/bit-words.ts';
import type { GroupSource } from '../../alloc/space-index.ts';

/** Thrown by a disk that has to fetch something first. */
export const MISS = Symbol('miss');

export interface BitmapDiskShape {
  readonly groupBlocks: number;
  readonly blockCount: number;
  /** Blocks at the start of each group that are in use for ever, as its bitmap is. */
  readonly metadataBlocks?: number;
}

export class BitmapDisk implements GroupSource {
  readonly groupBlocks: number;
  #blockCount: number;
  #freeBlocks: number;
  readonly #metadataBlocks: number;
  readonly #bitmaps: Uint32Array[] = [];
  readonly #free: number[] = [];
  /** What is not in memory; empty as long as nobody calls `forget`. */
  readonly #absent = new Set<string>();
  misses = 0;

  constructor({ groupBlocks, blockCount, metadataBlocks = 0 }: BitmapDiskShape) {
    this.groupBlocks = groupBlocks;
    this.#metadataBlocks = metadataBlocks;
    this.#blockCount = 0;
    this.#freeBlocks = 0;
    this.grow(blockCount);
  }

  get blockCount(): number {
    return this.#blockCount;
  }

  get groupCount(): number {
    return this.#bitmaps.length;
  }

  get freeBlocks(): number {
    return this.#freeBlocks;
  }

  freeInGroup(group: number): number {
    this.#need(`summary ${group >> 2}`);
    return this.#free[group] ?? 0;
  }

  nextGroup(from: number, minimum: number): number {
    for (let group = from; group < this.groupCount; group++) {
      if (this.freeInGroup(group) >= minimum) return group;
    }
    return -1;
  }

  readBitmap(group: number): Uint8Array {
    this.#need(`bitmap ${group}`);
    const bytes = Math.ceil(this.#lengthOf(group, this.#blockCount) / 8);
    return new Uint8Array(this.#bitmapOf(group).buffer, 0, bytes);
  }

  metadataBlocks(group: number): number {
    return Math.min(this.#metadataBlocks, this.#lengthOf(group, this.#blockCount));
  }

  /** Sets or clears the bits and moves the counts. */
  change({ start, length }: Run, toUsed: boolean): void {
    const group = Math.floor(start / this.groupBlocks);
    const first = start - group * this.groupBlocks;
    const words = this.#bitmapOf(group);
    if (countRange(words, first, length) !== (toUsed ? 0 : length)) throw new Error('bits are so already');
    if (toUsed) setRange(words, first, length);
    else clearRange(words, first, length);
    const freed = toUsed ? -length : length;
    this.#free[group] = (this.#free[group] ?? 0) + freed;
    this.#freeBlocks += freed;
  }

  /**
   * The disk becomes longer: its last group first, then groups behind it.
   * @returns the metadata of the new groups
   */
  grow(blockCount: number): Run[] {
    const before = this.#bitmaps.length;
    const last = this.#bitmaps.at(-1);
    if (last !== undefined) {
      const longer = new Uint32Array(Math.ceil(this.#lengthOf(before - 1, blockCount) / 32));
      longer.set(last);
      this.#bitmaps[before - 1] = longer;
      const added = this.#lengthOf(before - 1, blockCount) - this.#lengthOf(before - 1, this.#blockCount);
      this.#free[before - 1] = (this.#free[before - 1] ?? 0) + added;
    }
    this.#freeBlocks += blockCount - this.#blockCount;
    this.#blockCount = blockCount;
    const metadata: Run[] = [];
    for (let group = before; group * this.groupBlocks < blockCount; group++) {
      const length = this.#lengthOf(group, blockCount);
      this.#bitmaps.push(new Uint32Array(Math.ceil(length / 32)));
      this.#free.push(length);
      const run = { start: group * this.groupBlocks, length: Math.min(this.#metadataBlocks, length) };
      this.change(run, true);
      metadata.push(run);
    }
    return metadata;
  }

  #lengthOf(group: number, blockCount: number): number {
    return Math.min(this.groupBlocks, blockCount - group * this.groupBlocks);
  }

  #bitmapOf(group: number): Uint32Array {
    const words = this.#bitmaps[group];
    if (words === undefined) throw new RangeError(`there is no group ${group}`);
    return words;
  }

  /** From now on this group's bitmap and summary have to be fetched. */
  forget(group: number): void {
    this.#absent.add(`bitmap ${group}`).add(`summary ${group >> 2}`);
  }

  /** Everything is in memory. */
  fetchAll(): void {
    this.#absent.clear();
  }

  #need(what: string): void {
    if (!this.#absent.delete(what)) return;
    this.misses++;
    throw MISS;
  }
}
