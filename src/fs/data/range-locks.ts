/**
 * Locks on ranges of file blocks, per inode: whoever changes the map or parts of a block holds its
 * range.
 *
 * First come, first served: a request waits for every earlier one that overlaps it, granted or not,
 * so nobody starves.
 */
import { strict as assert } from 'node:assert';
import { FILE_BLOCK_LIMIT } from '../format/format.ts';

export interface LockHolder {
  /** The range is the holder's, until it is released. May be called before `acquire` returns. */
  granted(): void;
}

interface Range {
  readonly holder: LockHolder;
  readonly first: number;
  /** Exclusive. */
  readonly end: number;
  granted: boolean;
}

/** All blocks of a file. */
export const WHOLE_FILE = FILE_BLOCK_LIMIT;

export class RangeLocks {
  readonly #byInode = new Map<number, Range[]>();
  readonly #onWait: (inode: number) => void;

  /** @param onWait told of the file for which somebody has to wait */
  constructor(onWait: (inode: number) => void = () => {}) {
    this.#onWait = onWait;
  }

  acquire(inode: number, first: number, end: number, holder: LockHolder): void {
    const range: Range = { holder, first, end, granted: false };
    const ranges = this.#byInode.get(inode);
    if (ranges === undefined) this.#byInode.set(inode, [range]);
    else ranges.push(range);
    if (ranges !== undefined && isBlocked(ranges, ranges.length - 1)) {
      this.#onWait(inode);
      return;
    }
    range.granted = true;
    holder.granted();
  }

  release(inode: number, holder: LockHolder): void {
    const ranges = this.#byInode.get(inode);
    if (ranges === undefined) return;
    const index = ranges.findIndex((range) => range.holder === holder);
    assert(index >= 0 && ranges[index]?.granted, 'who gives a range back has it');
    ranges.splice(index, 1);
    if (ranges.length === 0) {
      this.#byInode.delete(inode);
      return;
    }
    const ready = ranges.filter((range, i) => !range.granted && !isBlocked(ranges, i));
    for (const range of ready) range.granted = true;
    for (const range of ready) range.holder.granted();
    if (ready.length > 0 && ranges.some(({ granted }) => !granted)) this.#onWait(inode);
  }
}

function isBlocked(ranges: readonly Range[], index: number): boolean {
  const mine = ranges[index] as Range;
  for (let i = 0; i < index; i++) {
    const other = ranges[i] as Range;
    if (other.first < mine.end && mine.first < other.end) return true;
  }
  return false;
}
