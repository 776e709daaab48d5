/**
 * Blocks of a buddy system of which only the first part is in use: the rest is withheld from all
 * but the file that has the first part.
 *
 * A block is 2^k blocks of the space, starts at a multiple of that from the start of its group, and
 * is known by its start. Blocks of a buddy system contain each other or have nothing in common; the
 * first part of one that is lent is in use, so what is free as a whole lies in the rest of at most
 * one. There are at most `MOST_LENT`; the one that was lent first goes first, and its rest is then
 * like all free space.
 */
import type { Run } from './allocator.ts';

const MOST_LENT = 65_536;
/** The smallest block that may have a rest: three of four. */
const LEAST_SIZE = 4;

interface LentBlock {
  readonly size: number;
  withheld: number;
}

export class LentBlocks {
  readonly #groupBlocks: number;
  readonly #mostSize: number;
  /** By start, in the order in which they were lent. */
  readonly #lent = new Map<number, LentBlock>();
  #withheldBlocks = 0;

  /** @param mostSize of a block, a power of two */
  constructor(groupBlocks: number, mostSize: number) {
    this.#groupBlocks = groupBlocks;
    this.#mostSize = mostSize;
  }

  get withheldBlocks(): number {
    return this.#withheldBlocks;
  }

  /** Three numbers a block. */
  get memoryBytes(): number {
    return this.#lent.size * 3 * 8;
  }

  /** The lent block that `block` lies in. */
  around(block: number): Run | undefined {
    if (this.#lent.size === 0) return undefined;
    const base = block - (block % this.#groupBlocks);
    for (let size = LEAST_SIZE; size <= this.#mostSize; size *= 2) {
      const start = block - ((block - base) % size);
      if (this.#lent.get(start)?.size === size) return { start, length: size };
    }
    return undefined;
  }

  /** The first `length` blocks of the block are in use from now on. */
  lend(start: number, size: number, length: number): void {
    if (length === size) return;
    this.#drop(start);
    this.#lent.set(start, { size, withheld: size - length });
    this.#withheldBlocks += size - length;
    if (this.#lent.size <= MOST_LENT) return;
    for (const oldest of this.#lent.keys()) {
      this.#drop(oldest);
      return;
    }
  }

  /** The run, out of a lent block's rest, is in use. */
  used(run: Run): void {
    this.#change(run, -run.length);
  }

  /** The run is free again; blocks whose first part it has been are lent no more. */
  freed(run: Run): void {
    if (this.#lent.size === 0) return;
    const end = run.start + run.length;
    const inGroup = run.start % this.#groupBlocks;
    const first = run.start - inGroup + Math.ceil(inGroup / LEAST_SIZE) * LEAST_SIZE;
    for (let start = first; start < end; start += LEAST_SIZE) this.#drop(start);
    this.#change(run, run.length);
  }

  #change(run: Run, by: number): void {
    const around = this.around(run.start);
    const block = around && this.#lent.get(around.start);
    if (around === undefined || block === undefined) return;
    const withheld = Math.max(0, Math.min(block.withheld + by, around.start + around.length - run.start));
    this.#withheldBlocks += withheld - block.withheld;
    block.withheld = withheld;
  }

  #drop(start: number): void {
    this.#withheldBlocks -= this.#lent.get(start)?.withheld ?? 0;
    this.#lent.delete(start);
  }
}
