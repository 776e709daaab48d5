/** The space for people: how much of it is free, and the groups that were ever used. */
import { viewOf } from '../common/bytes.ts';
import {
  BitmapHeader,
  BlockKind,
  HEADER_BYTES,
  SUMMARY_INITIALISED,
  SummaryEntry,
  SummaryHeader,
} from '../fs/format/format.ts';
import type { VolumeSource } from './volume-source.ts';

export interface GroupReport {
  readonly group: number;
  readonly bitmapBlock: number;
  /** By the summary. */
  readonly freeBlocks: number;
  /** By its bitmap. */
  readonly used: number;
  /** None is free below it. */
  readonly firstFree: number;
}

export interface SpaceReport {
  readonly spaceStart: number;
  readonly spaceBlocks: number;
  /** By the highest summary. */
  readonly freeBlocks: number;
  readonly groupCount: number;
  readonly summaryLevels: number;
  /** Those whose bitmap was ever written. */
  readonly groups: readonly GroupReport[];
}

/** @throws InspectError at a damaged block */
export async function reportSpace(source: VolumeSource): Promise<SpaceReport> {
  const groups = await touchedGroups(source);
  const { spaceStart, spaceBlocks, groupCount, summaryLevels } = source.layout;
  const top = await summary(source, summaryLevels, 0);
  const freeBlocks = SummaryHeader.freeBlocks.get(top, 0);
  return { spaceStart, spaceBlocks, freeBlocks, groupCount, summaryLevels, groups };
}

async function summary(source: VolumeSource, level: number, node: number): Promise<DataView> {
  return viewOf(await source.metadata(source.layout.summaryBlock(level, node), BlockKind.summary));
}

/** Found from the top of the summaries down, level by level. */
async function touchedGroups(source: VolumeSource): Promise<GroupReport[]> {
  let nodes = [0];
  for (let level = source.layout.summaryLevels; level > 1; level--) {
    const below: number[] = [];
    for (const node of nodes)
      for (const { child } of await usedEntries(source, level, node)) below.push(child);
    nodes = below;
  }
  const groups: GroupReport[] = [];
  for (const node of nodes)
    for (const entry of await usedEntries(source, 1, node)) groups.push(await reportGroup(source, entry));
  return groups;
}

/** An entry of a summary node that stands for something written. */
interface UsedEntry {
  /** The node below, or the group. */
  readonly child: number;
  readonly freeBlocks: number;
}

async function usedEntries(source: VolumeSource, level: number, node: number): Promise<UsedEntry[]> {
  const view = await summary(source, level, node);
  const { first, count } = source.layout.summaryChildren(level, node);
  const entries: UsedEntry[] = [];
  for (let i = 0; i < count; i++) {
    const at = HEADER_BYTES + i * SummaryEntry.sizeBytes;
    if ((SummaryEntry.flags.get(view, at) & SUMMARY_INITIALISED) === 0) continue;
    entries.push({ child: first + i, freeBlocks: SummaryEntry.freeBlocks.get(view, at) });
  }
  return entries;
}

async function reportGroup(source: VolumeSource, { child, freeBlocks }: UsedEntry): Promise<GroupReport> {
  const bitmapBlock = source.layout.bitmapBlock(child);
  const view = viewOf(await source.metadata(bitmapBlock, BlockKind.groupBitmap));
  const used = BitmapHeader.used.get(view, 0);
  const firstFree = BitmapHeader.firstFree.get(view, 0);
  return { group: child, bitmapBlock, freeBlocks, used, firstFree };
}
