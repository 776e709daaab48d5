/**
 * Limits that depend on the format: how much one transaction changes, what stands in arrays that
 * are made once. And what must hold between them, the format and the other limits (base/limits.ts).
 */
import { MAX_SECTOR_BYTES } from '../../common/limits.ts';
import { isPowerOfTwo, type Relations, requireRelations } from '../../common/relations.ts';
import { MOST_BLOCK_BYTES } from '../base/limits.ts';
import {
  AttributeRecord,
  BranchRecord,
  DEFAULT_BLOCK_BYTES,
  EntryRecord,
  ExtentRecord,
  FILE_BLOCK_LIMIT,
  HEADER_BYTES,
  INODE_BODY_BYTES,
  INODE_BYTES,
  INODE_STRIDE_BYTES,
  JOURNAL_HEADS,
  MAX_BLOCK_BYTES,
  MAX_BLOCKS,
  MAX_FILE_BYTES,
  MAX_INLINE_ATTRIBUTE_BYTES,
  MAX_VOLUME_BYTES,
  MIN_BLOCK_BYTES,
  MIN_INLINE_ATTRIBUTE_BYTES,
  RECORDS_PER_ATTRIBUTE,
  SUPERBLOCK_BYTES,
} from './format.ts';
import { MAX_JOURNAL_BYTES, MIN_JOURNAL_BLOCKS, MOST_CLUSTER_BLOCKS } from './layout.ts';
import { ATTRIBUTE_KEYS_PER_HASH, COLLISIONS_PER_HASH, KEY_LIMIT } from './name-hash.ts';

/**
 * Extents entered or given back in one transaction, where the journal is large enough: some hundred
 * blocks in the worst case.
 */
const EXTENTS_PER_STEP = 128;
/** Blocks that one extent may change in the worst case: a bitmap, a summary, a tree node. */
const BLOCKS_PER_EXTENT = 3;
/**
 * Blocks that any other operation changes at most, and every operation beside its extents: a new
 * cluster of inodes, the volume root, paths through trees that split.
 */
export const BLOCKS_PER_OPERATION = 40;
/**
 * Blocks that a change of an attribute may touch beside those of the value: inode, bitmaps,
 * summaries, inner nodes.
 */
export const BLOCKS_BESIDE_VALUE = 32;
/** Blocks that one record of a value may change: its node, a neighbour, a bitmap, a summary. */
export const BLOCKS_PER_VALUE_RECORD = 4;

/**
 * Blocks of the tree of quotas that an operation may change beside all else: three records, each
 * with the split of a leaf and what is above it.
 */
const BLOCKS_OF_QUOTAS = 12;
/** The same where usage changes of who has an inode already: records are there, and stay. */
const BLOCKS_OF_USAGE = 3;

/** Blocks of the log that an operation may fill without what quotas take. */
export function logBlocksOf(
  { logBlocks }: { readonly logBlocks: number },
  hasQuotas: boolean,
): { forAll: number; forUsage: number } {
  if (!hasQuotas) return { forAll: logBlocks, forUsage: logBlocks };
  return { forAll: logBlocks - BLOCKS_OF_QUOTAS, forUsage: logBlocks - BLOCKS_OF_USAGE };
}

/**
 * Extents that one transaction may enter or give back so that it fits into a log of this length
 * (J8).
 */
export function extentsPerStep(logBlocks: number): number {
  const room = Math.floor((logBlocks - BLOCKS_PER_OPERATION) / BLOCKS_PER_EXTENT);
  return Math.max(1, Math.min(room, EXTENTS_PER_STEP));
}

/** What the attributes have of the body, of which files and directories keep more than half. */
export const INLINE_ATTRIBUTE_BYTES = 128;

const SHORTEST_RECORD_BYTES = Math.min(
  BranchRecord.sizeBytes,
  ExtentRecord.sizeBytes,
  EntryRecord.sizeBytes,
  AttributeRecord.sizeBytes,
);
/** Records of a tree node at most. */
export const MOST_NODE_RECORDS = MAX_BLOCK_BYTES / SHORTEST_RECORD_BYTES;

export const LIMITS = {
  MAX_SECTOR_BYTES,
  MOST_BLOCK_BYTES,
  MIN_BLOCK_BYTES,
  DEFAULT_BLOCK_BYTES,
  MAX_BLOCK_BYTES,
  MAX_BLOCKS,
  MAX_VOLUME_BYTES,
  MAX_FILE_BYTES,
  FILE_BLOCK_LIMIT,
  HEADER_BYTES,
  INODE_BYTES,
  INODE_STRIDE_BYTES,
  INODE_BODY_BYTES,
  MIN_INLINE_ATTRIBUTE_BYTES,
  INLINE_ATTRIBUTE_BYTES,
  MAX_INLINE_ATTRIBUTE_BYTES,
  SUPERBLOCK_BYTES,
  JOURNAL_HEADS,
  MIN_JOURNAL_BLOCKS,
  MAX_JOURNAL_BYTES,
  MOST_CLUSTER_BLOCKS,
  KEY_LIMIT,
  COLLISIONS_PER_HASH,
  RECORDS_PER_ATTRIBUTE,
  ATTRIBUTE_KEYS_PER_HASH,
  EXTENTS_PER_STEP,
  BLOCKS_PER_EXTENT,
  BLOCKS_PER_OPERATION,
  BLOCKS_BESIDE_VALUE,
  BLOCKS_PER_VALUE_RECORD,
  BLOCKS_OF_QUOTAS,
  BLOCKS_OF_USAGE,
} as const;

const KEY_BITS_LIMIT = 2 ** 52;
const NUMBER_LIMIT = 2 ** 48;
const MOST_16_BITS = 2 ** 16;

export const RELATIONS: Relations<typeof LIMITS> = {
  'sizes of blocks are powers of two': (l) =>
    [l.MIN_BLOCK_BYTES, l.DEFAULT_BLOCK_BYTES, l.MAX_BLOCK_BYTES].every(isPowerOfTwo),
  'the usual block size is within its bounds': (l) =>
    l.MIN_BLOCK_BYTES <= l.DEFAULT_BLOCK_BYTES && l.DEFAULT_BLOCK_BYTES <= l.MAX_BLOCK_BYTES,
  'a filesystem may have the largest blocks': (l) => l.MAX_BLOCK_BYTES <= l.MOST_BLOCK_BYTES,
  'offsets in a block fit 16 bits': (l) => l.MAX_BLOCK_BYTES <= MOST_16_BITS,
  'block numbers fit 48 bits': (l) => l.MAX_BLOCKS <= NUMBER_LIMIT && l.FILE_BLOCK_LIMIT <= NUMBER_LIMIT,
  'a key of a tree is a block of a file or a hash, and exact': (l) =>
    l.FILE_BLOCK_LIMIT <= l.KEY_LIMIT && l.KEY_LIMIT <= KEY_BITS_LIMIT,
  'the largest file has numbers for its blocks': (l) =>
    l.MAX_FILE_BYTES / l.MIN_BLOCK_BYTES <= l.FILE_BLOCK_LIMIT,
  'the largest file fits into the largest volume': (l) => l.MAX_FILE_BYTES < l.MAX_VOLUME_BYTES,
  'the smallest block holds its header, its inodes, and a superblock': (l) =>
    l.HEADER_BYTES + (l.MIN_BLOCK_BYTES / l.INODE_STRIDE_BYTES) * l.INODE_BYTES <= l.MIN_BLOCK_BYTES &&
    l.SUPERBLOCK_BYTES <= l.MIN_BLOCK_BYTES,
  'a sector holds a superblock': (l) => l.SUPERBLOCK_BYTES <= l.MAX_SECTOR_BYTES,
  'attributes in an inode are within their bounds, and leave the body the larger part': (l) =>
    l.MIN_INLINE_ATTRIBUTE_BYTES <= l.INLINE_ATTRIBUTE_BYTES &&
    l.INLINE_ATTRIBUTE_BYTES <= l.MAX_INLINE_ATTRIBUTE_BYTES &&
    l.INLINE_ATTRIBUTE_BYTES % 8 === 0 &&
    2 * l.INLINE_ATTRIBUTE_BYTES < l.INODE_BODY_BYTES,
  'every name of one hash has its keys': (l) =>
    l.ATTRIBUTE_KEYS_PER_HASH === l.COLLISIONS_PER_HASH * l.RECORDS_PER_ATTRIBUTE,
  'the smallest log holds one transaction of every kind (J8)': (l) =>
    Math.max(
      l.BLOCKS_PER_OPERATION + l.BLOCKS_PER_EXTENT,
      l.BLOCKS_BESIDE_VALUE + l.BLOCKS_PER_VALUE_RECORD,
      // A directory that inherits an ACL for itself and for what is made in it.
      l.BLOCKS_PER_OPERATION + 2 * l.BLOCKS_PER_VALUE_RECORD,
    ) +
      l.BLOCKS_OF_QUOTAS <=
    l.MIN_JOURNAL_BLOCKS - l.JOURNAL_HEADS,
  'usage that changes takes less of a log than records that come and go': (l) =>
    l.BLOCKS_OF_USAGE < l.BLOCKS_OF_QUOTAS,
  'a cluster of inodes is made by one operation': (l) => l.MOST_CLUSTER_BLOCKS < l.BLOCKS_PER_OPERATION,
  'the largest blocks have journals': (l) =>
    isPowerOfTwo(l.MIN_JOURNAL_BLOCKS) && l.MIN_JOURNAL_BLOCKS * l.MAX_BLOCK_BYTES <= l.MAX_JOURNAL_BYTES,
  'a step of extents is what a usual journal can take': (l) =>
    l.EXTENTS_PER_STEP > 1 &&
    l.BLOCKS_PER_OPERATION + l.EXTENTS_PER_STEP * l.BLOCKS_PER_EXTENT <
      l.MAX_JOURNAL_BYTES / l.MAX_BLOCK_BYTES,
};
requireRelations(LIMITS, RELATIONS);
