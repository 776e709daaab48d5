/**
 * Stage `space`: bitmaps and summaries are made to say what the check found to be in use; the
 * counters of the volume root with them. Whatever is broken here follows from the rest, so nothing
 * can be lost.
 */
import { viewOf } from '../common/bytes.ts';
import type { RecordPlace } from '../common/record.ts';
import {
  BitmapHeader,
  BlockHeader,
  BlockKind,
  HEADER_BYTES,
  SUMMARY_INITIALISED,
  SummaryEntry,
  SummaryHeader,
  VolumeRoot,
} from '../fs/format/format.ts';
import { lowestClear } from './claimed-blocks.ts';
import type { RepairContext } from './repair-context.ts';

export async function repairSpace(repair: RepairContext): Promise<void> {
  const { check, changes } = repair;
  await repairNode(repair, check.layout.summaryLevels, 0);
  const view = viewOf(await changes.edit(check.layout.volumeRootBlock));
  VolumeRoot.inodeCount.set(view, 0, check.inodes.count);
  // No hint at all is always right; the next inode made finds a better one.
  if (check.log.codes.has('root-first-free-chunk')) VolumeRoot.firstFreeChunk.set(view, 0, 0);
}

/** Makes a summary node right, and all below it. @returns the free blocks there */
async function repairNode(repair: RepairContext, level: number, index: number): Promise<number> {
  const { layout, reader } = repair.check;
  const block = layout.summaryBlock(level, index);
  const before = await reader.peek(block, BlockKind.summary);
  const bytes = before?.slice() ?? new Uint8Array(layout.blockBytes);
  const view = viewOf(bytes);
  const { first, count } = layout.summaryChildren(level, index);
  let free = 0;
  for (let child = 0; child < count; child++) {
    const at = HEADER_BYTES + child * SummaryEntry.sizeBytes;
    free += await repairChild(repair, level - 1, first + child, { view, at });
  }
  SummaryHeader.level.set(view, 0, level);
  SummaryHeader.entryCount.set(view, 0, count);
  SummaryHeader.freeBlocks.set(view, 0, free);
  await replaceIfOther(repair, { block, kind: BlockKind.summary, before, after: bytes });
  return free;
}

/** What a block says, undefined if it cannot be read, and what it should say. */
interface Replacement {
  readonly block: number;
  readonly kind: number;
  readonly before: Uint8Array | undefined;
  readonly after: Uint8Array;
}

/**
 * Writes what a block should say, if it does not say it yet. Its header but for the common part is
 * taken along.
 */
async function replaceIfOther(
  { changes }: RepairContext,
  { block, kind, before, after }: Replacement,
): Promise<void> {
  const from = BlockHeader.special.offset;
  if (before && Buffer.compare(before.subarray(from), after.subarray(from)) === 0) return;
  changes.replace(block, kind).set(after.subarray(from), from);
  await changes.settle();
}

async function repairChild(
  repair: RepairContext,
  level: number,
  index: number,
  { view, at }: RecordPlace,
): Promise<number> {
  const { layout, space } = repair.check;
  const wasWritten = (SummaryEntry.flags.get(view, at) & SUMMARY_INITIALISED) !== 0;
  const span = layout.summaryFanout ** level;
  const isWritten = wasWritten || space.hasTouched(index * span, (index + 1) * span);
  let free = layout.pristineFree(level, index);
  if (isWritten)
    free = level === 0 ? await repairGroup(repair, index) : await repairNode(repair, level, index);
  SummaryEntry.freeBlocks.set(view, at, free);
  SummaryEntry.flags.set(view, at, isWritten ? SUMMARY_INITIALISED : 0);
  return free;
}

async function repairGroup(repair: RepairContext, group: number): Promise<number> {
  const { layout, reader, space } = repair.check;
  const owned = space.isTouched(group) ? space.group(group) : space.pristine(group);
  const used = owned.cardinality();
  const block = layout.bitmapBlock(group);
  const before = await reader.peek(block, BlockKind.groupBitmap);
  const bytes = new Uint8Array(layout.blockBytes);
  for (const bit of owned.toArray()) {
    const at = HEADER_BYTES + (bit >>> 3);
    bytes[at] = (bytes[at] ?? 0) | (1 << (bit & 7));
  }
  const lowest = Math.min(lowestClear(owned), layout.bitsPerBlock);
  const hint = before ? BitmapHeader.firstFree.get(viewOf(before), 0) : lowest;
  BitmapHeader.used.set(viewOf(bytes), 0, used);
  BitmapHeader.firstFree.set(viewOf(bytes), 0, Math.min(hint, lowest));
  await replaceIfOther(repair, { block, kind: BlockKind.groupBitmap, before, after: bytes });
  return layout.bitsPerBlock - used;
}
