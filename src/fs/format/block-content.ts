/**
 * The inside of metadata blocks, checked once when a block comes from the device: a right checksum
 * says that somebody meant the block to be so, not that it is sound. After this, whoever reads the
 * block may follow its offsets and counts without looking.
 *
 *   tree nodes   records lie inside the heap, do not overlap, and their keys strictly increase
 *   inodes       type, flags and size go together, and the root node in the body is sound; one that
 *                is not spoils no other in its block
 *   summaries    the entries make up the sum
 *
 * What takes a second block to be seen is checked where both are at hand: levels, owners and ranges
 * of keys in tree.ts, places of extents in extents.ts, bitmaps against counts in the room of
 * allocation.
 */

import { TWO_32 } from '../../common/bytes.ts';
import { offsetOf } from '../../common/record.ts';
import type { ViewedBytes } from './block-view.ts';
import {
  AttributeRecord,
  BlockKind,
  BranchRecord,
  EntryRecord,
  ExtentFlag,
  ExtentRecord,
  FILE_BLOCK_LIMIT,
  FILE_TYPE_MASK,
  FileType,
  HEADER_BYTES,
  INODE_BODY_BYTES,
  INODE_BODY_OFFSET,
  INODE_BYTES,
  INODE_FLAGS,
  INODE_STRIDE_BYTES,
  Inode,
  InodeFlag,
  MAX_ATTRIBUTE_VALUE_BYTES,
  MAX_FILE_BYTES,
  MAX_INLINE_ATTRIBUTE_BYTES,
  MAX_SYMLINK_BYTES,
  MAX_TREE_LEVEL,
  MIN_INLINE_ATTRIBUTE_BYTES,
  NodeHeader,
  QUOTA_KEYS_END,
  QUOTA_KEYS_PER_KIND,
  QuotaRecord,
  RECORDS_PER_ATTRIBUTE,
  SLOT_BYTES,
  SummaryEntry,
  SummaryHeader,
  TreeKind,
  VOLUME_ROOT_INODE_OFFSET,
} from './format.ts';
import { MOST_NODE_RECORDS } from './limits.ts';
import { KEY_LIMIT } from './name-hash.ts';

const SLASH = 0x2f;
/**
 * What is wrong inside a block of this kind, which fills the bytes, or undefined. Inodes are not
 * looked at: see `inodeFaults`.
 */
export function contentFault(block: ViewedBytes, kind: number): string | undefined {
  const size = block.bytes.length - HEADER_BYTES;
  if (kind === BlockKind.extentNode) return nodeFault(block, HEADER_BYTES, size, TreeKind.extents);
  if (kind === BlockKind.directoryNode) return nodeFault(block, HEADER_BYTES, size, TreeKind.directory);
  if (kind === BlockKind.attributeNode) return nodeFault(block, HEADER_BYTES, size, TreeKind.attributes);
  if (kind === BlockKind.quotaNode) return nodeFault(block, HEADER_BYTES, size, TreeKind.quotas);
  if (kind === BlockKind.volumeRoot) return tableFault(block);
  if (kind === BlockKind.summary) return summaryFault(block.view, size);
  return undefined;
}

/**
 * The faults of the inodes in a block, which fills the bytes, by the offset of the inode; undefined
 * if all are sound.
 */
export function inodeFaults(block: ViewedBytes): Map<number, string> | undefined {
  const { view } = block;
  let faults: Map<number, string> | undefined;
  const count = block.bytes.length / INODE_STRIDE_BYTES;
  for (let i = 0; i < count; i++) {
    const at = HEADER_BYTES + i * INODE_BYTES;
    if (Inode.mode.get(view, at) === 0) continue;
    const fault = inodeFault(block, at);
    if (fault === undefined) continue;
    faults ??= new Map();
    faults.set(at, fault);
  }
  return faults;
}

function tableFault(block: ViewedBytes): string | undefined {
  const { view } = block;
  const at = VOLUME_ROOT_INODE_OFFSET;
  if (Inode.inlineAttributeBytes.get(view, at) !== 0 || Inode.attributeBlock.get(view, at) !== 0)
    return 'the inode table has attributes';
  return nodeFault(block, at + INODE_BODY_OFFSET, INODE_BODY_BYTES, TreeKind.extents);
}

function summaryFault(view: DataView, size: number): string | undefined {
  const count = SummaryHeader.entryCount.get(view, 0);
  if (count * SummaryEntry.sizeBytes > size) return `${count} entries do not fit`;
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += SummaryEntry.freeBlocks.get(view, HEADER_BYTES + i * SummaryEntry.sizeBytes);
  }
  return sum === SummaryHeader.freeBlocks.get(view, 0) ? undefined : `its entries sum up to ${sum}`;
}

// ---- inodes ----

function inodeFault(block: ViewedBytes, at: number): string | undefined {
  const { view } = block;
  const type = Inode.mode.get(view, at) & FILE_TYPE_MASK;
  const flags = Inode.flags.get(view, at);
  const size = Inode.size.get(view, at);
  const fault = attributesFault(block, at);
  if (fault !== undefined) return fault;
  if ((flags & ~INODE_FLAGS) !== 0) return `flags ${flags}`;
  const isInline = (flags & InodeFlag.inlineData) !== 0;
  if (type === FileType.directory) {
    if (isInline) return 'a directory with inline data';
    return rootFault(block, at, TreeKind.directory);
  }
  if (type === FileType.regular || type === FileType.symlink) {
    const most = isInline
      ? bodyBytes(view, at)
      : type === FileType.regular
        ? MAX_FILE_BYTES
        : MAX_SYMLINK_BYTES;
    if (size > most) return `${size} bytes`;
    return isInline ? undefined : rootFault(block, at, TreeKind.extents);
  }
  if (!SPECIAL_TYPES.has(type)) return `type ${type.toString(8)}`;
  return isInline ? 'a special file with inline data' : undefined;
}

const SPECIAL_TYPES: ReadonlySet<number> = new Set([
  FileType.fifo,
  FileType.socket,
  FileType.characterDevice,
  FileType.blockDevice,
]);

/** Of the body, without the attributes at its end. */
function bodyBytes(view: DataView, at: number): number {
  return INODE_BODY_BYTES - Inode.inlineAttributeBytes.get(view, at);
}

function rootFault(block: ViewedBytes, at: number, kind: number): string | undefined {
  return nodeFault(block, at + INODE_BODY_OFFSET, bodyBytes(block.view, at), kind);
}

function attributesFault(block: ViewedBytes, at: number): string | undefined {
  const { view } = block;
  const inline = Inode.inlineAttributeBytes.get(view, at);
  if (inline === 0) return undefined;
  const isAllowed =
    inline >= MIN_INLINE_ATTRIBUTE_BYTES && inline <= MAX_INLINE_ATTRIBUTE_BYTES && inline % 8 === 0;
  if (!isAllowed || Inode.attributeBlock.get(view, at) !== 0) return `${inline} bytes of attributes`;
  return nodeFault(block, at + INODE_BYTES - inline, inline, TreeKind.attributes);
}

// ---- tree nodes ----

/**
 * A node that does not begin where the header of its block ends is the root, in an inode. A root in
 * a block is one like any other here; that of quotas may be empty, as no other node may.
 */
function nodeFault(block: ViewedBytes, base: number, size: number, kind: number): string | undefined {
  const { view } = block;
  const isRoot = base !== HEADER_BYTES;
  const level = NodeHeader.level.get(view, base);
  const count = NodeHeader.count.get(view, base);
  const heapStart = NodeHeader.heapStart.get(view, base);
  if (NodeHeader.kind.get(view, base) !== kind) return `a tree of kind ${NodeHeader.kind.get(view, base)}`;
  if (level > MAX_TREE_LEVEL) return `a tree node of level ${level}`;
  const mayBeEmpty = level === 0 && (isRoot || kind === TreeKind.quotas);
  if (count === 0 && !mayBeEmpty) return 'an empty tree node';
  const slotsEnd = NodeHeader.sizeBytes + count * SLOT_BYTES;
  if (heapStart < slotsEnd || heapStart > size) return `a tree node with its records from ${heapStart}`;
  const length = recordsLength(block, base, size, level > 0 ? BRANCHES : kind);
  if (typeof length === 'string') return length;
  if (length + NodeHeader.garbage.get(view, base) !== size - heapStart)
    return 'a tree node that does not add up';
  if (isRoot && level > 0 && keyOf(view, base, 0) !== 0) return 'a tree that does not begin at 0';
  return overlap(count) ? 'a tree node with records that overlap' : undefined;
}

/** Beside the kinds of tree: the records of inner nodes. */
const BRANCHES = 0;
/** What every record has, by its kind. */
const LEAST_BYTES: readonly number[] = [
  BranchRecord.sizeBytes,
  ExtentRecord.sizeBytes,
  EntryRecord.sizeBytes,
  AttributeRecord.sizeBytes,
  QuotaRecord.sizeBytes,
];
/** Of a record of any kind: read where it stands, since all records of a block are looked at. */
const KEY_AT = offsetOf(BranchRecord.key, 'u64');
const starts = new Uint32Array(MOST_NODE_RECORDS);

function keyOf(view: DataView, base: number, slot: number): number {
  const at = base + view.getUint16(base + NodeHeader.sizeBytes + slot * SLOT_BYTES, true);
  return BranchRecord.key.get(view, at);
}

/**
 * Bytes that the records take, or what is wrong with one of them. Leaves their places in `starts`.
 */
function recordsLength(
  { view, bytes }: ViewedBytes,
  base: number,
  size: number,
  what: number,
): number | string {
  const count = NodeHeader.count.get(view, base);
  const heapStart = NodeHeader.heapStart.get(view, base);
  const least = LEAST_BYTES[what] as number;
  let total = 0;
  /** No key may be below this one. */
  let next = 0;
  for (let slot = 0; slot < count; slot++) {
    const offset = view.getUint16(base + NodeHeader.sizeBytes + slot * SLOT_BYTES, true);
    if (offset < heapStart || offset + least > size) return `a tree record at ${offset}`;
    const at = base + offset;
    const high = view.getUint32(at + KEY_AT + 4, true);
    const low = view.getUint32(at + KEY_AT, true);
    const key = high === 0 ? low : low + high * TWO_32;
    if (key < next) return `tree records out of order at ${key}`;
    let length = least;
    if (key >= KEY_LIMIT) return `a tree record with key ${key}`;
    if (what === BRANCHES) next = key + 1;
    else if (what === TreeKind.extents) {
      next = key + ExtentRecord.length.get(view, at);
      if (
        next === key ||
        next > FILE_BLOCK_LIMIT ||
        (ExtentRecord.flags.get(view, at) & ~ExtentFlag.unwritten) !== 0
      )
        return `an extent at ${key}`;
    } else if (what === TreeKind.attributes) {
      next = key + 1;
      length += AttributeRecord.nameBytes.get(view, at) + AttributeRecord.partBytes.get(view, at);
      if (offset + length > size || !isAttribute(view, bytes, at, key)) return `an attribute at ${key}`;
    } else if (what === TreeKind.quotas) {
      next = key + 1;
      if (key < QUOTA_KEYS_PER_KIND || key >= QUOTA_KEYS_END) return `a quota at ${key}`;
    } else {
      next = key + 1;
      length += EntryRecord.nameBytes.get(view, at);
      if (offset + length > size || !isName(bytes, at + least, at + length))
        return `a directory entry at ${key}`;
      if (EntryRecord.inode.get(view, at) === 0) return `a directory entry for no inode at ${key}`;
    }
    // Place and length in one number, so that sorting keeps them together.
    starts[slot] = offset * 65536 + length;
    total += length;
  }
  return total;
}

/** Is the record by itself one that an attribute may have? */
function isAttribute(view: DataView, bytes: Uint8Array, at: number, key: number): boolean {
  const nameBytes = AttributeRecord.nameBytes.get(view, at);
  const valueBytes = AttributeRecord.valueBytes.get(view, at);
  const partBytes = AttributeRecord.partBytes.get(view, at);
  const isFirst = key % RECORDS_PER_ATTRIBUTE === 0;
  if (nameBytes > 0 !== isFirst || valueBytes > MAX_ATTRIBUTE_VALUE_BYTES) return false;
  if (partBytes > valueBytes || (partBytes === 0 && !(isFirst && valueBytes === 0))) return false;
  const nameAt = at + AttributeRecord.sizeBytes;
  return !bytes.subarray(nameAt, nameAt + nameBytes).includes(0);
}

function isName(bytes: Uint8Array, from: number, to: number): boolean {
  if (from === to) return false;
  for (let i = from; i < to; i++) {
    const byte = bytes[i];
    if (byte === 0 || byte === SLASH) return false;
  }
  return true;
}

/** Do any of the records in `starts` overlap? */
function overlap(count: number): boolean {
  const sorted = starts.subarray(0, count).sort();
  let end = 0;
  for (let i = 0; i < count; i++) {
    const start = sorted[i] as number;
    if (start >>> 16 < end) return true;
    end = (start >>> 16) + (start & 0xffff);
  }
  return false;
}
