/**
 * The disk map: where everything with a fixed place stands. Pure arithmetic over the geometry,
 * shared by mkfs, the volume and the checker.
 *
 * The space is cut into groups. A group bitmap fills one block, so a group has `bitsPerBlock`
 * blocks. Group g begins with its bitmap (offset 0). Over the groups stands a tree of summary nodes
 * with `summaryFanout` entries each: the node i of level L covers the groups from i·fanout^L and
 * lives in the first of them, at offset L. So nothing on disk says where a summary is, a level
 * costs one block per fanout^L groups, and blocks that were never touched need not be written:
 * their parent's entry says "as mkfs means it".
 *
 * Space numbers count from the start of the space; block numbers are absolute.
 */
import type { BlockNumber, FileBlock } from '../base/numbers.ts';
import {
  HEADER_BYTES,
  INODE_STRIDE_BYTES,
  MAX_BLOCK_BYTES,
  MAX_BLOCKS,
  MAX_VOLUME_BYTES,
  MIN_BLOCK_BYTES,
  SummaryEntry,
} from './format.ts';

export interface Geometry {
  readonly blockBytes: number;
  /** Blocks of the whole volume. */
  readonly blockCount: number;
  readonly journalBlocks: number;
}

/** Fewer journal blocks cannot hold one transaction of every kind. */
export const MIN_JOURNAL_BLOCKS = 64;
export const MAX_JOURNAL_BYTES = 1024 * 1024 * 1024;
const DEFAULT_JOURNAL_BYTES = 64 * 1024 * 1024;
/** A space below this is of no use to anyone. */
export const MIN_SPACE_BLOCKS = 64;
/** Inode blocks are allocated and given back in clusters of this many bytes, … */
const INODE_CLUSTER_BYTES = 65536;
/**
 * … but not more blocks: a cluster is made in one transaction, which must fit the smallest journal.
 */
const MOST_CLUSTER_BLOCKS = 16;

/** Journal size that mkfs takes if none is given: 1/64 of the volume, 64 blocks to 64 MiB. */
export function defaultJournalBlocks(blockBytes: number, blockCount: number): number {
  const wanted = Math.min(Math.floor(blockCount / 64), DEFAULT_JOURNAL_BYTES / blockBytes);
  return Math.max(wanted, MIN_JOURNAL_BLOCKS);
}

export class Layout {
  readonly blockBytes: number;
  readonly blockCount: number;
  readonly journalStart: BlockNumber = 1;
  readonly journalBlocks: number;
  readonly volumeRootBlock: BlockNumber;
  readonly backupSuperblock: BlockNumber;
  readonly spaceStart: BlockNumber;
  /** Managed blocks: whole groups and a last one that is worth having. */
  readonly spaceBlocks: number;

  /** Bits in a bitmap block = blocks in a group = inodes in a chunk of the inode table. */
  readonly bitsPerBlock: number;
  readonly groupCount: number;
  readonly summaryFanout: number;
  /** Levels of summary nodes, ≥ 1; the highest has one node. */
  readonly summaryLevels: number;

  readonly inodesPerBlock: number;
  /** Inode blocks in one chunk, after its bitmap block. */
  readonly inodeBlocksPerChunk: number;
  /** Blocks in which the inode table grows and shrinks. */
  readonly inodeClusterBlocks: number;

  /** @throws RangeError with a sentence for the user if the geometry makes no volume. */
  constructor(geometry: Geometry) {
    const { blockBytes, blockCount, journalBlocks } = geometry;
    if (
      !Number.isInteger(blockBytes) ||
      blockBytes < MIN_BLOCK_BYTES ||
      blockBytes > MAX_BLOCK_BYTES ||
      (blockBytes & (blockBytes - 1)) !== 0
    ) {
      throw new RangeError(`block size ${blockBytes} is not a power of two from 1K to 64K`);
    }
    if (blockCount < 1) throw new RangeError(`there is not even room for one block of ${blockBytes} bytes`);
    if (!Number.isInteger(blockCount) || blockCount > MAX_BLOCKS) {
      throw new RangeError(`${blockCount} blocks of ${blockBytes} bytes are out of range`);
    }
    if (blockCount * blockBytes > MAX_VOLUME_BYTES) throw new RangeError('a volume has at most 1 EiB');
    if (
      !Number.isInteger(journalBlocks) ||
      journalBlocks < MIN_JOURNAL_BLOCKS ||
      journalBlocks * blockBytes > MAX_JOURNAL_BYTES
    ) {
      throw new RangeError(
        `a journal of ${journalBlocks} blocks of ${blockBytes} bytes is out of range: at least ${MIN_JOURNAL_BLOCKS} blocks, at most 1G`,
      );
    }
    this.blockBytes = blockBytes;
    this.blockCount = blockCount;
    this.journalBlocks = journalBlocks;
    this.volumeRootBlock = this.journalStart + journalBlocks;
    this.spaceStart = this.volumeRootBlock + 1;
    this.backupSuperblock = blockCount - 1;

    this.bitsPerBlock = (blockBytes - HEADER_BYTES) * 8;
    this.summaryFanout = Math.floor((blockBytes - HEADER_BYTES) / SummaryEntry.sizeBytes);
    const available = this.backupSuperblock - this.spaceStart;
    if (available < MIN_SPACE_BLOCKS) {
      const least = (this.spaceStart + MIN_SPACE_BLOCKS + 1) * blockBytes;
      throw new RangeError(
        `${blockCount * blockBytes} bytes are too few: with blocks of ${blockBytes} bytes and a journal of ${journalBlocks} blocks a volume needs ${least}`,
      );
    }
    let groupCount = Math.ceil(available / this.bitsPerBlock);
    this.summaryLevels = 1;
    while (this.summaryFanout ** this.summaryLevels < groupCount) this.summaryLevels++;
    // A last group that holds little more than its own metadata is left out.
    const tail = available - (groupCount - 1) * this.bitsPerBlock;
    const dropTail = groupCount > 1 && tail < this.summaryLevels + 8;
    if (dropTail) groupCount--;
    this.groupCount = groupCount;
    this.spaceBlocks = dropTail ? groupCount * this.bitsPerBlock : available;

    this.inodesPerBlock = blockBytes / INODE_STRIDE_BYTES;
    this.inodeBlocksPerChunk = this.bitsPerBlock / this.inodesPerBlock;
    this.inodeClusterBlocks = Math.max(1, Math.min(MOST_CLUSTER_BLOCKS, INODE_CLUSTER_BYTES / blockBytes));
  }

  /** Blocks in group `group`; the last may be short. */
  groupLength(group: number): number {
    return Math.min(this.bitsPerBlock, this.spaceBlocks - group * this.bitsPerBlock);
  }

  /** Blocks at the start of the group that are its bitmap and the summary nodes that live there. */
  groupMetadataBlocks(group: number): number {
    let count = 1;
    let span = this.summaryFanout;
    for (let level = 1; level <= this.summaryLevels && group % span === 0; level++) {
      count++;
      span *= this.summaryFanout;
    }
    return count;
  }

  bitmapBlock(group: number): BlockNumber {
    return this.spaceStart + group * this.bitsPerBlock;
  }

  /** Absolute block of summary node `index` of `level` (≥ 1). */
  summaryBlock(level: number, index: number): BlockNumber {
    return this.spaceStart + index * this.summaryFanout ** level * this.bitsPerBlock + level;
  }

  /** Nodes at `level`; level 0 counts the groups. */
  summaryNodes(level: number): number {
    return Math.ceil(this.groupCount / this.summaryFanout ** level);
  }

  /** Free blocks that a group has when nothing in it was ever allocated. */
  pristineGroupFree(group: number): number {
    return this.groupLength(group) - this.groupMetadataBlocks(group);
  }

  /**
   * Free blocks under summary node `index` of `level` (or group, at level 0) when nothing there was
   * ever allocated.
   */
  pristineFree(level: number, index: number): number {
    if (level === 0) return this.pristineGroupFree(index);
    const span = this.summaryFanout ** level;
    const first = index * span;
    const last = Math.min(first + span, this.groupCount);
    let blocks = Math.min(last * this.bitsPerBlock, this.spaceBlocks) - first * this.bitsPerBlock;
    // One bitmap per group, and the summary nodes of each level that start in this range.
    blocks -= last - first;
    for (let at = 1; at <= this.summaryLevels; at++) {
      const width = this.summaryFanout ** at;
      blocks -= Math.ceil(last / width) - Math.ceil(first / width);
    }
    return blocks;
  }

  /** Block of the inode table file that holds the bitmap of `chunk`. */
  chunkBitmapFileBlock(chunk: number): FileBlock {
    return chunk * (1 + this.inodeBlocksPerChunk);
  }

  /** Block of the inode table file that holds inode `index` of `chunk`. */
  inodeFileBlock(chunk: number, index: number): FileBlock {
    return this.chunkBitmapFileBlock(chunk) + 1 + Math.floor(index / this.inodesPerBlock);
  }
}
