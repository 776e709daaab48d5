/**
 * The space grows: new groups appear, and the last one of before may become longer.
 *
 * What is new was never written, and is as mkfs means it. So only what speaks of the old end
 * changes, whatever the volume grows to:
 *
 *   the bitmap of the last group    if it was written: the bits behind its old end are cleared
 *   one summary node of each level  the one at the old end, if it was written: its last entry
 *                                   counts more free blocks, and entries of new children follow
 *   new levels                      one node each, in the places kept for them
 */
import { clearRange, countRange } from '../../alloc/bit-words.ts';
import {
  BitmapHeader,
  HEADER_BYTES,
  SUMMARY_INITIALISED,
  SummaryEntry,
  SummaryHeader,
} from '../format/format.ts';
import { Layout } from '../format/layout.ts';
import { bitWords, createSummary, type SpaceOnDisk } from './space-on-disk.ts';
import type { Transaction } from './transaction.ts';

/**
 * Changes the blocks of the space to those of a volume of `blockCount` blocks. The layout of `disk`
 * is the one of before, here and afterwards.
 */
export function growSpace(tx: Transaction, disk: SpaceOnDisk, blockCount: number): void {
  const before = disk.layout;
  const after = new Layout({ ...geometryOf(before), blockCount });
  const last = before.groupCount - 1;
  if (disk.isInitialised(0, last)) lengthenGroup(tx, disk, after, last);
  for (let level = 1; level <= before.summaryLevels; level++) {
    if (level === before.summaryLevels || disk.isInitialised(level, before.summaryNodes(level) - 1))
      lengthenSummary(tx, disk, after, level);
  }
  for (let level = before.summaryLevels + 1; level <= after.summaryLevels; level++)
    addLevel(tx, disk, after, level);
}

function geometryOf({ blockBytes, blockCount, journalBlocks }: Layout): {
  blockBytes: number;
  blockCount: number;
  journalBlocks: number;
} {
  return { blockBytes, blockCount, journalBlocks };
}

/** The bits behind the old end of a short group were set. */
function lengthenGroup(tx: Transaction, disk: SpaceOnDisk, after: Layout, group: number): void {
  const oldLength = disk.layout.groupLength(group);
  const more = after.groupLength(group) - oldLength;
  if (more === 0) return;
  const frame = disk.bitmap(group);
  tx.modify(frame);
  const { view } = frame;
  const words = bitWords(frame);
  BitmapHeader.used.set(view, 0, BitmapHeader.used.get(view, 0) - countRange(words, oldLength, more));
  clearRange(words, oldLength, more);
  BitmapHeader.firstFree.set(view, 0, Math.min(BitmapHeader.firstFree.get(view, 0), oldLength));
}

/** The node at the old end of its level. */
function lengthenSummary(tx: Transaction, disk: SpaceOnDisk, after: Layout, level: number): void {
  const before = disk.layout;
  const index = before.summaryNodes(level) - 1;
  const node = disk.summary(level, index);
  tx.modify(node);
  const { view } = node;
  const first = index * before.summaryFanout;
  const lastChild = before.summaryNodes(level - 1) - 1;
  const end = Math.min(first + before.summaryFanout, after.summaryNodes(level - 1));
  let more = 0;
  for (let child = lastChild; child < end; child++) {
    const at = disk.entryAt(child);
    const old = child === lastChild ? before.pristineFree(level - 1, child) : 0;
    const change = after.pristineFree(level - 1, child) - old;
    const free = child === lastChild ? SummaryEntry.freeBlocks.get(view, at) : 0;
    SummaryEntry.freeBlocks.set(view, at, free + change);
    more += change;
  }
  SummaryHeader.freeBlocks.set(view, 0, SummaryHeader.freeBlocks.get(view, 0) + more);
  SummaryHeader.entryCount.set(view, 0, end - first);
}

/** A node above the one that was the highest, which has its final count by now. */
function addLevel(tx: Transaction, disk: SpaceOnDisk, after: Layout, level: number): void {
  const below = SummaryHeader.freeBlocks.get(disk.summary(level - 1, 0).view, 0);
  const { view } = createSummary(tx, after, level, 0);
  const meant = SummaryEntry.freeBlocks.get(view, HEADER_BYTES);
  SummaryEntry.freeBlocks.set(view, HEADER_BYTES, below);
  SummaryEntry.flags.set(view, HEADER_BYTES, SUMMARY_INITIALISED);
  SummaryHeader.freeBlocks.set(view, 0, SummaryHeader.freeBlocks.get(view, 0) + below - meant);
}
