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
 * A volume grows, so no place depends on its size. The places of all levels that the largest volume
 * could have are kept free from the start (`reservedLevels`), though only `summaryLevels` of them
 * are in use; and the backup superblocks stand behind the volume root and in group 1, which whoever
 * knows block size and journal finds. Journals are powers of two long: that leaves few places to
 * look at for who knows neither.
 *
 * Space numbers count from the start of the space; block numbers are absolute.
 */
import type { BlockNumber, FileBlock } from '../base/numbers.ts';
import {
  HEADER_BYTES,
  INODE_STRIDE_BYTES,
  JOURNAL_HEADS,
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
  /** A power of two. */
  readonly journalBlocks: number;
}

/** Fewer journal blocks cannot hold one transaction of every kind. */
export const MIN_JOURNAL_BLOCKS = 64;
export const MAX_JOURNAL_BYTES = 1024 * 1024 * 1024;
const DEFAULT_JOURNAL_BYTES = 64 * 1024 * 1024;
/** The group whose second block is a backup superblock. */
const BACKUP_GROUP = 1;
/** A space below this is of no use to anyone. */
export const MIN_SPACE_BLOCKS = 64;
/** Inode blocks are allocated and given back in clusters of this many bytes, … */
const INODE_CLUSTER_BYTES = 65536;
/**
 * … but not more blocks: a cluster is made in one transaction, which must fit the smallest journal.
 */
export const MOST_CLUSTER_BLOCKS = 16;

/**
 * A last group must have this many blocks more than there are levels, or it is left out: with less
 * it holds little but its own metadata.
 */
const LEAST_LAST_GROUP = 8;

/**
 * Journal size that mkfs takes if none is given: at most 1/64 of the volume, 64 blocks to 64 MiB.
 */
export function defaultJournalBlocks(blockBytes: number, blockCount: number): number {
  const wanted = Math.min(Math.floor(blockCount / 64), DEFAULT_JOURNAL_BYTES / blockBytes);
  return powerOfTwoUpTo(Math.max(wanted, MIN_JOURNAL_BLOCKS));
}

/** The largest power of two that is not above `limit`, which is 1 or more. */
export function powerOfTwoUpTo(limit: number): number {
  return 2 ** Math.floor(Math.log2(limit));
}

/** Most blocks that a volume with blocks of this size can have. */
function mostBlocks(blockBytes: number): number {
  return Math.min(MAX_BLOCKS, MAX_VOLUME_BYTES / blockBytes);
}

export class Layout {
  readonly blockBytes: number;
  readonly journalStart: BlockNumber = 1;
  readonly journalBlocks: number;
  readonly volumeRootBlock: BlockNumber;
  readonly firstBackup: BlockNumber;
  readonly spaceStart: BlockNumber;

  /** Bits in a bitmap block = blocks in a group = inodes in a chunk of the inode table. */
  readonly bitsPerBlock: number;
  readonly summaryFanout: number;
  /** Levels of summary nodes that the largest volume needs: each has its place. */
  readonly reservedLevels: number;

  readonly inodesPerBlock: number;
  /** Inode blocks in one chunk, after its bitmap block. */
  readonly inodeBlocksPerChunk: number;
  /** Blocks in which the inode table grows and shrinks. */
  readonly inodeClusterBlocks: number;

  #blockCount = 0;
  #groupCount = 0;
  #spaceBlocks = 0;
  #summaryLevels = 1;

  /** @throws RangeError with a sentence for the user if the geometry makes no volume. */
  constructor(geometry: Geometry) {
    const { blockBytes, blockCount, journalBlocks } = geometry;
    requireBlockBytes(blockBytes);
    requireBlockCount(blockBytes, blockCount);
    requireJournal(blockBytes, journalBlocks);
    this.blockBytes = blockBytes;
    this.journalBlocks = journalBlocks;
    this.volumeRootBlock = this.journalStart + journalBlocks;
    this.firstBackup = this.volumeRootBlock + 1;
    this.spaceStart = this.firstBackup + 1;

    this.bitsPerBlock = (blockBytes - HEADER_BYTES) * 8;
    this.summaryFanout = Math.floor((blockBytes - HEADER_BYTES) / SummaryEntry.sizeBytes);
    this.reservedLevels = this.#levelsFor(Math.ceil(mostBlocks(blockBytes) / this.bitsPerBlock));
    this.inodesPerBlock = blockBytes / INODE_STRIDE_BYTES;
    this.inodeBlocksPerChunk = this.bitsPerBlock / this.inodesPerBlock;
    this.inodeClusterBlocks = Math.max(1, Math.min(MOST_CLUSTER_BLOCKS, INODE_CLUSTER_BYTES / blockBytes));
    this.resize(blockCount);
  }

  /**
   * The same volume with another number of blocks.
   * @throws RangeError with a sentence for the user; then nothing has changed
   */
  resize(blockCount: number): void {
    const { blockBytes, bitsPerBlock, spaceStart } = this;
    requireBlockCount(blockBytes, blockCount);
    const available = blockCount - spaceStart;
    if (available < MIN_SPACE_BLOCKS) {
      const least = (spaceStart + MIN_SPACE_BLOCKS) * blockBytes;
      throw new RangeError(
        `${blockCount * blockBytes} bytes are too few: with blocks of ${blockBytes} bytes and a journal of ${this.journalBlocks} blocks a volume needs ${least}`,
      );
    }
    const groups = Math.ceil(available / bitsPerBlock);
    const tail = available - (groups - 1) * bitsPerBlock;
    const dropTail = groups > 1 && tail < this.reservedLevels + LEAST_LAST_GROUP;
    this.#blockCount = blockCount;
    this.#groupCount = dropTail ? groups - 1 : groups;
    this.#spaceBlocks = dropTail ? this.#groupCount * bitsPerBlock : available;
    this.#summaryLevels = this.#levelsFor(this.#groupCount);
  }

  /** The least number of levels, 1 or more, of which the highest has one node. */
  #levelsFor(groups: number): number {
    let levels = 1;
    while (this.summaryFanout ** levels < groups) levels++;
    return levels;
  }

  /** Blocks of the whole volume. */
  get blockCount(): number {
    return this.#blockCount;
  }

  get groupCount(): number {
    return this.#groupCount;
  }

  /** Managed blocks: whole groups and a last one that is worth having. */
  get spaceBlocks(): number {
    return this.#spaceBlocks;
  }

  /** Levels of summary nodes in use, ≥ 1; the highest has one node. */
  get summaryLevels(): number {
    return this.#summaryLevels;
  }

  /** Blocks in the log: the journal without its heads. */
  get logBlocks(): number {
    return this.journalBlocks - JOURNAL_HEADS;
  }

  /** The place of index `index` of the log as an absolute block. */
  logBlock(index: number): BlockNumber {
    return this.journalStart + JOURNAL_HEADS + index;
  }

  /** Where copies of the superblock stand; the second from two groups on. */
  get backups(): readonly BlockNumber[] {
    return this.groupCount > 1 ? [this.firstBackup, this.bitmapBlock(BACKUP_GROUP) + 1] : [this.firstBackup];
  }

  /** Blocks in group `group`; the last may be short. */
  groupLength(group: number): number {
    return Math.min(this.bitsPerBlock, this.spaceBlocks - group * this.bitsPerBlock);
  }

  /**
   * Blocks at the start of the group that are its bitmap, places of summary nodes, or a superblock.
   */
  groupMetadataBlocks(group: number): number {
    if (group === BACKUP_GROUP) return 2;
    let count = 1;
    let span = this.summaryFanout;
    for (let level = 1; level <= this.reservedLevels && group % span === 0; level++) {
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

  /** The nodes, or groups, that summary node `index` of `level` (≥ 1) has entries of. */
  summaryChildren(level: number, index: number): { first: number; count: number } {
    const first = index * this.summaryFanout;
    return { first, count: Math.min(this.summaryFanout, this.summaryNodes(level - 1) - first) };
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
    if (first <= BACKUP_GROUP && BACKUP_GROUP < last) blocks--;
    for (let at = 1; at <= this.reservedLevels; at++) {
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

function requireBlockBytes(blockBytes: number): void {
  const isPowerOfTwo = Number.isInteger(blockBytes) && (blockBytes & (blockBytes - 1)) === 0;
  if (isPowerOfTwo && blockBytes >= MIN_BLOCK_BYTES && blockBytes <= MAX_BLOCK_BYTES) return;
  throw new RangeError(`block size ${blockBytes} is not a power of two from 1K to 64K`);
}

function requireBlockCount(blockBytes: number, blockCount: number): void {
  if (blockCount < 1) throw new RangeError(`there is not even room for one block of ${blockBytes} bytes`);
  if (!Number.isInteger(blockCount) || blockCount > MAX_BLOCKS) {
    throw new RangeError(`${blockCount} blocks of ${blockBytes} bytes are out of range`);
  }
  if (blockCount * blockBytes > MAX_VOLUME_BYTES) throw new RangeError('a volume has at most 1 EiB');
}

function requireJournal(blockBytes: number, journalBlocks: number): void {
  const fits = journalBlocks >= MIN_JOURNAL_BLOCKS && journalBlocks * blockBytes <= MAX_JOURNAL_BYTES;
  if (fits && journalBlocks === powerOfTwoUpTo(journalBlocks)) return;
  throw new RangeError(
    `a journal of ${journalBlocks} blocks of ${blockBytes} bytes is out of range: a power of two, at least ${MIN_JOURNAL_BLOCKS} blocks, at most 1G`,
  );
}
