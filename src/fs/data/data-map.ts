/**
 * From a range of a file to places on the device: what a read or write has to do, as a list of
 * segments.
 */

import { empty } from '../base/empty.ts';
import type { BlockNumber, FileBlock } from '../base/numbers.ts';
import type { Transaction } from '../transaction/transaction.ts';
import type { ExtentMap } from '../tree/extents.ts';
import type { InodeRef } from '../tree/inode.ts';

/** A stretch of file blocks that lies together on the device; `block` 0 is a hole. */
export interface Segment {
  fileBlock: FileBlock;
  block: BlockNumber;
  length: number;
  /** Reserved by this write, not in the extent map yet. */
  fresh: boolean;
  /** In the extent map, and reads as zeros whatever is there. */
  unwritten: boolean;
}

/** Does the place hold nothing that anybody wrote? */
export function isBlank({ fresh, unwritten }: Segment): boolean {
  return fresh || unwritten;
}

/** File blocks [first, end), and where their segments go: whoever reads or writes is one itself. */
export interface MappedRange {
  readonly first: FileBlock;
  readonly end: FileBlock;
  readonly mapped: Segment[];
}

/** Finds the segments of a range, in order. Returns what `Mapping.follows` says of the first. */
export function mapSegments(
  tx: Transaction,
  extents: ExtentMap,
  inode: InodeRef,
  { first, end, mapped }: MappedRange,
): BlockNumber {
  empty(mapped);
  let follows: BlockNumber = -1;
  let at = first;
  while (at < end) {
    const mapping = extents.find(tx, inode, at);
    const length = Math.min(mapping.length, end - at);
    const { block, unwritten } = mapping;
    if (at === first) follows = mapping.follows;
    mapped.push({ fileBlock: at, block, length, fresh: false, unwritten });
    at += length;
  }
  return follows;
}
