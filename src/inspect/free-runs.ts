/**
 * The free runs of a volume by its bitmaps. A group begins with its bitmap, so no run goes beyond
 * its group. Groups that were never used are as mkfs means them, and are not read.
 */
import { viewOf } from '../common/bytes.ts';
import { BlockKind, HEADER_BYTES, SUMMARY_INITIALISED, SummaryEntry } from '../fs/format/format.ts';
import type { FaultList } from './fault-list.ts';
import type { VolumeSource } from './volume-source.ts';

/** Bitmaps that are read at a time. */
const BITMAPS_TOGETHER = 16;

export interface FreeRunVisitor {
  /** A run of free blocks that is as long as it can be; they come in order. */
  readonly free: (block: number, length: number) => void;
  /** The bitmap of a group cannot be read: nothing is known of these blocks. */
  readonly unknown: (block: number, length: number) => void;
  readonly progress?: (doneGroups: number, totalGroups: number) => void;
}

/** Visits the free runs of the volume, in order. */
export async function visitFreeRuns(
  source: VolumeSource,
  faults: FaultList,
  visitor: FreeRunVisitor,
): Promise<void> {
  const { layout } = source;
  const visits: Visits = { source, faults, visitor, waiting: [] };
  await visitNode(visits, layout.summaryLevels, 0);
  await visitWaiting(visits);
}

interface Visits {
  readonly source: VolumeSource;
  readonly faults: FaultList;
  readonly visitor: FreeRunVisitor;
  /** Groups whose bitmaps are to be read, in order. */
  waiting: number[];
}

/** Of a summary that cannot be read every group is looked at. */
async function visitNode(visits: Visits, level: number, node: number): Promise<void> {
  const { source, faults } = visits;
  const { layout } = source;
  const { first, count } = layout.summaryChildren(level, node);
  const bytes = await faults.guard(
    () => source.metadata(layout.summaryBlock(level, node), BlockKind.summary),
    'free space: ',
  );
  for (let i = 0; i < count; i++) {
    const at = HEADER_BYTES + i * SummaryEntry.sizeBytes;
    const flags = bytes ? SummaryEntry.flags.get(viewOf(bytes), at) : SUMMARY_INITIALISED;
    if ((flags & SUMMARY_INITIALISED) === 0) await visitPristine(visits, level - 1, first + i);
    else if (level > 1) await visitNode(visits, level - 1, first + i);
    else await visitGroup(visits, first + i);
  }
}

async function visitGroup(visits: Visits, group: number): Promise<void> {
  visits.waiting.push(group);
  if (visits.waiting.length >= BITMAPS_TOGETHER) await visitWaiting(visits);
}

/** Groups that nobody has used: all of them is free but what has a fixed place. */
async function visitPristine(visits: Visits, level: number, node: number): Promise<void> {
  await visitWaiting(visits);
  const { layout } = visits.source;
  const span = layout.summaryFanout ** level;
  const end = Math.min((node + 1) * span, layout.groupCount);
  for (let group = node * span; group < end; group++) {
    const taken = layout.groupMetadataBlocks(group);
    const free = layout.groupLength(group) - taken;
    if (free > 0) visits.visitor.free(layout.bitmapBlock(group) + taken, free);
  }
  visits.visitor.progress?.(end, layout.groupCount);
}

async function visitWaiting(visits: Visits): Promise<void> {
  const { source, faults, visitor, waiting } = visits;
  const { layout } = source;
  visits.waiting = [];
  const read = (group: number) =>
    faults.guard(() => source.metadata(layout.bitmapBlock(group), BlockKind.groupBitmap), 'free space: ');
  const bitmaps = await Promise.all(waiting.map(read));
  for (const [i, group] of waiting.entries()) {
    const bitmap = bitmaps[i];
    const base = layout.bitmapBlock(group);
    const length = layout.groupLength(group);
    if (bitmap === undefined) visitor.unknown(base, length);
    else
      visitClearBits(bitmap.subarray(HEADER_BYTES), length, (bit, count) => visitor.free(base + bit, count));
    visitor.progress?.(group + 1, layout.groupCount);
  }
}

/** Visits the runs of bits that are clear among the first `length`. */
export function visitClearBits(
  bits: Uint8Array,
  length: number,
  visit: (bit: number, count: number) => void,
): void {
  let start = -1;
  for (let bit = 0; bit < length; ) {
    const byte = bits[bit >>> 3] ?? 0xff;
    const isWhole = (bit & 7) === 0 && bit + 8 <= length;
    const isSet = (byte & (1 << (bit & 7))) !== 0;
    if (isSet && start >= 0) visit(start, bit - start);
    if (isSet) start = -1;
    else if (start < 0) start = bit;
    bit += isWhole && (byte === 0 || byte === 0xff) ? 8 : 1;
  }
  if (start >= 0) visit(start, length - start);
}
