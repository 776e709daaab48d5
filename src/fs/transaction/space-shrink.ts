/**
 * The space shrinks: the counterpart of space-growth.ts. Nothing behind the new end is in use any
 * more, so only what speaks of the end changes:
 *
 *   the bitmap of the last group    if it was written: the bits behind its new end are set
 *   one summary node of each level  the one at the new end: its last entry counts less, entries of
 *                                   children that are gone go
 *   levels that are gone            nothing leads to their nodes any more
 */
import { countRange, setRange } from '../../alloc/bit-words.ts';
import { CorruptionError } from '../base/errors.ts';
import { BitmapHeader, HEADER_BYTES, SummaryEntry, SummaryHeader } from '../format/format.ts';
import { Layout } from '../format/layout.ts';
import { bitWords, type SpaceOnDisk } from './space-on-disk.ts';
import type { Transaction } from './transaction.ts';

/**
 * Changes the blocks of the space to those of a volume of `blockCount` blocks. The layout of `disk`
 * is the one of before, here and afterwards.
 * @throws CorruptionError if something behind the new end is in use
 */
export function shrinkSpace(tx: Transaction, disk: SpaceOnDisk, blockCount: number): void {
  const { layout: before, freeBlocks } = disk;
  const { blockBytes, journalBlocks } = before;
  const after = new Layout({ blockBytes, journalBlocks, blockCount });
  const last = after.groupCount - 1;
  if (disk.isInitialised(0, last)) shortenGroup(tx, disk, after, last);
  for (let level = 1; level <= after.summaryLevels; level++) {
    if (level === after.summaryLevels || disk.isInitialised(level, after.summaryNodes(level) - 1))
      shortenSummary(tx, disk, after, level);
  }
  const left = SummaryHeader.freeBlocks.get(disk.summary(after.summaryLevels, 0).view, 0);
  const gone = before.pristineFree(before.summaryLevels, 0) - after.pristineFree(after.summaryLevels, 0);
  if (left !== freeBlocks - gone) throw inUse(before.bitmapBlock(last));
  for (let level = after.summaryLevels + 1; level <= before.summaryLevels; level++)
    tx.discard(before.summaryBlock(level, 0));
}

function inUse(block: number): CorruptionError {
  return new CorruptionError(block, 'says that blocks are in use which belong to nothing');
}

/** The bits behind the end of a short group are set. */
function shortenGroup(tx: Transaction, disk: SpaceOnDisk, after: Layout, group: number): void {
  const length = after.groupLength(group);
  const fewer = disk.layout.groupLength(group) - length;
  if (fewer === 0) return;
  const frame = disk.bitmap(group);
  const words = bitWords(frame);
  if (countRange(words, length, fewer) > 0) throw inUse(frame.block);
  tx.modify(frame);
  setRange(words, length, fewer);
  BitmapHeader.used.set(frame.view, 0, BitmapHeader.used.get(frame.view, 0) + fewer);
}

/** The node at the new end of its level. */
function shortenSummary(tx: Transaction, disk: SpaceOnDisk, after: Layout, level: number): void {
  const before = disk.layout;
  const index = after.summaryNodes(level) - 1;
  const node = disk.summary(level, index);
  tx.modify(node);
  const { view, bytes } = node;
  const first = index * before.summaryFanout;
  const count = Math.min(before.summaryFanout, after.summaryNodes(level - 1) - first);
  const lastChild = first + count - 1;
  const at = disk.entryAt(lastChild);
  const change = after.pristineFree(level - 1, lastChild) - before.pristineFree(level - 1, lastChild);
  SummaryEntry.freeBlocks.set(view, at, SummaryEntry.freeBlocks.get(view, at) + change);
  bytes.fill(0, HEADER_BYTES + count * SummaryEntry.sizeBytes);
  let sum = 0;
  for (let child = first; child <= lastChild; child++)
    sum += SummaryEntry.freeBlocks.get(view, disk.entryAt(child));
  SummaryHeader.freeBlocks.set(view, 0, sum);
  SummaryHeader.entryCount.set(view, 0, count);
}
