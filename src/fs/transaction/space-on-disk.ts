/**
 * The bitmaps and summaries of the space as they stand in their blocks.
 *
 * They are read and changed in the running transaction. What mkfs has not written is made when it
 * is first needed (`#initialise`), as layout.ts says it must be.
 */
import { clearRange, countRange, setRange } from '../../alloc/bit-words.ts';
import type { GroupSource } from '../../alloc/space-index.ts';
import { CorruptionError } from '../base/errors.ts';
import type { SpaceNumber } from '../base/numbers.ts';
import {
  BitmapHeader,
  BlockKind,
  HEADER_BYTES,
  SUMMARY_INITIALISED,
  SummaryEntry,
  SummaryHeader,
} from '../format/format.ts';
import type { Layout } from '../format/layout.ts';
import type { Frame } from './block-cache.ts';
import type { Transaction } from './transaction.ts';

export function bitWords(frame: Frame): Uint32Array {
  const { buffer, byteOffset, byteLength } = frame.bytes;
  return new Uint32Array(buffer, byteOffset + HEADER_BYTES, (byteLength - HEADER_BYTES) / 4);
}

/** The summaries and bitmaps, read and changed in the running transaction. */
export class SpaceOnDisk implements GroupSource {
  readonly groupBlocks: number;
  /** Told of each group whose bits change, if anybody wants to know. */
  groupChanged: ((group: number) => void) | undefined = undefined;

  constructor(
    readonly tx: Transaction,
    readonly layout: Layout,
  ) {
    this.groupBlocks = layout.bitsPerBlock;
  }

  get blockCount(): number {
    return this.layout.spaceBlocks;
  }

  get groupCount(): number {
    return this.layout.groupCount;
  }

  get freeBlocks(): number {
    const { layout } = this;
    const root = this.summary(layout.summaryLevels, 0);
    return SummaryHeader.freeBlocks.get(root.view, 0);
  }

  freeInGroup(group: number): number {
    return this.#freeUnder(0, group);
  }

  nextGroup(from: number, minimum: number): number {
    return this.#search(this.layout.summaryLevels, 0, from, minimum);
  }

  metadataBlocks(group: number): number {
    return this.layout.groupMetadataBlocks(group);
  }

  /** First group ≥ `from` under the node with `minimum` free blocks, or −1. */
  #search(level: number, index: number, from: number, minimum: number): number {
    const { layout } = this;
    const fanout = layout.summaryFanout;
    const childSpan = fanout ** (level - 1);
    const first = index * fanout;
    const last = Math.min(first + fanout, layout.summaryNodes(level - 1));
    for (let child = Math.max(first, Math.floor(from / childSpan)); child < last; child++) {
      if (this.#freeUnder(level - 1, child) < minimum) continue;
      if (level === 1) return child;
      const found = this.#search(level - 1, child, from, minimum);
      if (found >= 0) return found;
    }
    return -1;
  }

  /** Free blocks under node `index` of `level`, or in the group at level 0. */
  #freeUnder(level: number, index: number): number {
    const { layout } = this;
    const parent = Math.floor(index / layout.summaryFanout);
    if (!this.isInitialised(level + 1, parent)) return layout.pristineFree(level, index);
    return SummaryEntry.freeBlocks.get(this.summary(level + 1, parent).view, this.entryAt(index));
  }

  /** Was the node of this level (the bitmap, at level 0) ever written? */
  isInitialised(level: number, index: number): boolean {
    const { layout } = this;
    if (level >= layout.summaryLevels) return true;
    const parent = Math.floor(index / layout.summaryFanout);
    if (!this.isInitialised(level + 1, parent)) return false;
    const flags = SummaryEntry.flags.get(this.summary(level + 1, parent).view, this.entryAt(index));
    return (flags & SUMMARY_INITIALISED) !== 0;
  }

  /** The block of a summary node, which was written before. */
  summary(level: number, index: number): Frame {
    return this.tx.read(this.layout.summaryBlock(level, index), BlockKind.summary);
  }

  /** The block of a group's bitmap, which was written before. */
  bitmap(group: number): Frame {
    return this.tx.read(this.layout.bitmapBlock(group), BlockKind.groupBitmap);
  }

  /** Where the entry of a child stands in the summary node above it. */
  entryAt(index: number): number {
    return HEADER_BYTES + (index % this.layout.summaryFanout) * SummaryEntry.sizeBytes;
  }

  readBitmap(group: number): Uint8Array {
    const bytes = Math.ceil(this.layout.groupLength(group) / 8);
    if (this.isInitialised(0, group)) {
      const frame = this.bitmap(group);
      const metadata = this.layout.groupMetadataBlocks(group);
      if (countRange(bitWords(frame), 0, metadata) !== metadata) {
        throw new CorruptionError(frame.block, 'a bitmap in which its own block is free');
      }
      return frame.bytes.subarray(HEADER_BYTES, HEADER_BYTES + bytes);
    }
    const pristine = new Uint32Array(Math.ceil(bytes / 4));
    setRange(pristine, 0, this.layout.groupMetadataBlocks(group));
    return new Uint8Array(pristine.buffer, 0, bytes);
  }

  /**
   * Sets or clears bits of one group and moves all counts with them.
   * @throws CorruptionError if one of them is so already
   */
  change(start: SpaceNumber, length: number, toUsed: boolean): void {
    const { layout, tx } = this;
    const group = Math.floor(start / layout.bitsPerBlock);
    this.#initialise(0, group);
    const frame = this.bitmap(group);
    const words = bitWords(frame);
    const first = start - group * layout.bitsPerBlock;
    const set = countRange(words, first, length);
    if (set !== (toUsed ? 0 : length) || first < layout.groupMetadataBlocks(group)) {
      throw new CorruptionError(
        frame.block,
        `blocks ${start + layout.spaceStart} to ${start + layout.spaceStart + length - 1} are not all ${toUsed ? 'free' : 'in use'}`,
      );
    }
    tx.modify(frame);
    this.groupChanged?.(group);
    if (toUsed) setRange(words, first, length);
    else clearRange(words, first, length);
    this.#countBits(frame, first, toUsed ? length : -length);
    this.#countSummaries(group, toUsed ? -length : length);
  }

  #countBits(frame: Frame, first: number, change: number): void {
    BitmapHeader.used.set(frame.view, 0, BitmapHeader.used.get(frame.view, 0) + change);
    const hint = BitmapHeader.firstFree.get(frame.view, 0);
    if (change < 0 && first < hint) BitmapHeader.firstFree.set(frame.view, 0, first);
  }

  #countSummaries(group: number, change: number): void {
    const { layout, tx } = this;
    let index = group;
    for (let level = 1; level <= layout.summaryLevels; level++) {
      const node = this.summary(level, Math.floor(index / layout.summaryFanout));
      const at = this.entryAt(index);
      tx.modify(node);
      const { view } = node;
      SummaryEntry.freeBlocks.set(view, at, SummaryEntry.freeBlocks.get(view, at) + change);
      SummaryHeader.freeBlocks.set(view, 0, SummaryHeader.freeBlocks.get(view, 0) + change);
      index = Math.floor(index / layout.summaryFanout);
    }
  }

  /**
   * Writes the node (bitmap at level 0) as mkfs means it, and its parents before it, if that was
   * never done.
   */
  #initialise(level: number, index: number): void {
    const { layout, tx } = this;
    if (this.isInitialised(level, index)) return;
    const parent = Math.floor(index / layout.summaryFanout);
    this.#initialise(level + 1, parent);
    if (level === 0) createBitmap(tx, layout, index);
    else createSummary(tx, layout, level, index);
    const node = this.summary(level + 1, parent);
    tx.modify(node);
    SummaryEntry.flags.set(node.view, this.entryAt(index), SUMMARY_INITIALISED);
  }
}

/** A group's first bitmap: its own metadata in use, and the bits beyond its end. */
export function createBitmap(tx: Transaction, layout: Layout, group: number): void {
  const frame = tx.create(layout.bitmapBlock(group), BlockKind.groupBitmap, 0);
  const words = bitWords(frame);
  const metadata = layout.groupMetadataBlocks(group);
  const length = layout.groupLength(group);
  setRange(words, 0, metadata);
  setRange(words, length, layout.bitsPerBlock - length);
  BitmapHeader.used.set(frame.view, 0, metadata + layout.bitsPerBlock - length);
  BitmapHeader.firstFree.set(frame.view, 0, metadata);
}

/** A summary node of which nothing below was ever written. */
export function createSummary(tx: Transaction, layout: Layout, level: number, index: number): Frame {
  const frame = tx.create(layout.summaryBlock(level, index), BlockKind.summary, 0);
  const { view } = frame;
  const first = index * layout.summaryFanout;
  const last = Math.min(first + layout.summaryFanout, layout.summaryNodes(level - 1));
  let sum = 0;
  for (let child = first; child < last; child++) {
    const free = layout.pristineFree(level - 1, child);
    SummaryEntry.freeBlocks.set(view, HEADER_BYTES + (child - first) * SummaryEntry.sizeBytes, free);
    sum += free;
  }
  SummaryHeader.freeBlocks.set(view, 0, sum);
  SummaryHeader.level.set(view, 0, level);
  SummaryHeader.entryCount.set(view, 0, last - first);
  return frame;
}

/** Writes bitmap and summaries of group 0, which every volume has. For mkfs. */
export function createSpace(tx: Transaction, layout: Layout): void {
  createBitmap(tx, layout, 0);
  for (let level = 1; level <= layout.summaryLevels; level++) {
    const frame = createSummary(tx, layout, level, 0);
    SummaryEntry.flags.set(frame.view, HEADER_BYTES, SUMMARY_INITIALISED);
  }
}
