/**
 * A metadata block taken apart for people: its header, its records, what is in its lists. Whatever
 * the bytes are, the parts that can be read are shown; a count or an offset that leads out of the
 * block ends its list with a note.
 */

import type { RecordInfo } from '../common/record.ts';
import {
  BitmapHeader,
  BlockHeader,
  BlockKind,
  BranchRecord,
  EntryRecord,
  ExtentRecord,
  FILE_TYPE_MASK,
  FileType,
  HEADER_BYTES,
  INODE_BODY_BYTES,
  INODE_BODY_OFFSET,
  INODE_BYTES,
  INODE_STRIDE_BYTES,
  Inode,
  InodeFlag,
  JournalCommit,
  JournalDescriptor,
  JournalEntry,
  JournalHead,
  JournalHeader,
  JournalRevoke,
  NodeHeader,
  OwnerHeader,
  RevokeEntry,
  SLOT_BYTES,
  SummaryEntry,
  SummaryHeader,
  Superblock,
  TreeKind,
  VOLUME_ROOT_INODE_OFFSET,
  VolumeRoot,
} from '../fs/format/format.ts';
import { type FieldRow, fieldRows, headerRows } from './field-rows.ts';
import { printableJson } from './printable.ts';

export interface Part {
  readonly title: string;
  readonly rows: readonly FieldRow[];
  /** Something that is no record: names, bits, text, or what is wrong. */
  readonly notes?: readonly string[];
  /** One of many of its kind: a line is enough. */
  readonly listed?: boolean;
}

/** A name as people can read it, whatever its bytes. */
export function nameText(name: Uint8Array): string {
  try {
    return printableJson(new TextDecoder('utf-8', { fatal: true }).decode(name));
  } catch {
    return `bytes ${Buffer.from(name).toString('hex')}`;
  }
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Records of one kind, one after the other. */
function listParts(
  record: RecordInfo,
  bytes: Uint8Array,
  from: number,
  count: number,
  title = record.recordName,
): Part[] {
  const fitting = Math.min(count, Math.floor((bytes.length - from) / record.sizeBytes));
  const parts: Part[] = Array.from({ length: fitting }, (_, i) => ({
    title: `${title} ${i}`,
    rows: fieldRows(record, bytes, from + i * record.sizeBytes),
    listed: true,
  }));
  if (fitting < count) parts.push({ title, rows: [], notes: [`${count} do not fit into the block`] });
  return parts;
}

/** Bits that are set, as ranges: `0-5, 9`. */
function bitRanges(bytes: Uint8Array): string {
  const ranges: string[] = [];
  let first = -1;
  for (let bit = 0; bit <= bytes.length * 8; bit++) {
    const isSet = ((bytes[bit >>> 3] ?? 0) & (1 << (bit & 7))) !== 0;
    if (isSet && first < 0) first = bit;
    if (isSet || first < 0) continue;
    ranges.push(first === bit - 1 ? `${first}` : `${first}-${bit - 1}`);
    first = -1;
  }
  return ranges.length === 0 ? 'none' : ranges.join(', ');
}

function bitmapParts(bytes: Uint8Array): Part[] {
  return [{ title: 'bits that are set', rows: [], notes: [bitRanges(bytes.subarray(HEADER_BYTES))] }];
}

// ---- tree nodes ----

/** What `nodeRecords` found: where each record is, in order of keys. */
interface NodeRecords {
  readonly record: RecordInfo;
  readonly offsets: readonly number[];
  readonly fault: string | undefined;
}

/** The records of the node whose region is `size` bytes at `base`. */
export function nodeRecords(bytes: Uint8Array, base: number, size: number): NodeRecords {
  const view = viewOf(bytes);
  const isLeaf = NodeHeader.level.get(view, base) === 0;
  const isDirectory = NodeHeader.kind.get(view, base) === TreeKind.directory;
  const record = !isLeaf ? BranchRecord : isDirectory ? EntryRecord : ExtentRecord;
  const count = NodeHeader.count.get(view, base);
  const slotsEnd = NodeHeader.sizeBytes + count * SLOT_BYTES;
  if (slotsEnd > size) return { record, offsets: [], fault: `${count} slots do not fit into the node` };
  const offsets: number[] = [];
  for (let i = 0; i < count; i++) {
    const at = view.getUint16(base + NodeHeader.sizeBytes + i * SLOT_BYTES, true);
    const named = record === EntryRecord && at + EntryRecord.sizeBytes <= size;
    const nameBytes = named ? EntryRecord.nameBytes.get(view, base + at) : 0;
    if (at < slotsEnd || at + record.sizeBytes + nameBytes > size) {
      return { record, offsets, fault: `slot ${i} leads out of the node` };
    }
    offsets.push(base + at);
  }
  return { record, offsets, fault: undefined };
}

/** The name of the directory entry at `at`. */
export function entryName(bytes: Uint8Array, at: number): Uint8Array {
  const from = at + EntryRecord.sizeBytes;
  return bytes.subarray(from, from + EntryRecord.nameBytes.get(viewOf(bytes), at));
}

function nodeParts(bytes: Uint8Array, base: number, size: number): Part[] {
  const { record, offsets, fault } = nodeRecords(bytes, base, size);
  const parts: Part[] = [{ title: 'node header', rows: fieldRows(NodeHeader, bytes, base) }];
  for (const [i, at] of offsets.entries()) {
    const title = `${record.recordName} ${i}`;
    const notes = record === EntryRecord ? [nameText(entryName(bytes, at))] : [];
    parts.push({ title, rows: fieldRows(record, bytes, at), notes, listed: true });
  }
  if (fault !== undefined) parts.push({ title: record.recordName, rows: [], notes: [fault] });
  return parts;
}

// ---- inodes ----

/** An inode and what its body holds. */
export function inodeParts(bytes: Uint8Array, at: number, title: string): Part[] {
  const view = viewOf(bytes);
  const head: Part = { title, rows: fieldRows(Inode, bytes, at, ['body']) };
  const body = at + INODE_BODY_OFFSET;
  const type = Inode.mode.get(view, at) & FILE_TYPE_MASK;
  const isTable = Inode.number.get(view, at) === 0;
  if ((Inode.flags.get(view, at) & InodeFlag.inlineData) !== 0) {
    const length = Math.min(Inode.size.get(view, at), INODE_BODY_BYTES);
    return [
      head,
      { title: `${title}, data in its body`, rows: [], notes: hexLines(bytes.subarray(body, body + length)) },
    ];
  }
  const hasTree =
    isTable || type === FileType.directory || type === FileType.regular || type === FileType.symlink;
  return hasTree ? [head, ...nodeParts(bytes, body, INODE_BODY_BYTES)] : [head];
}

function inodesParts(bytes: Uint8Array): Part[] {
  const view = viewOf(bytes);
  const parts: Part[] = [];
  for (let i = 0; i < Math.floor(bytes.length / INODE_STRIDE_BYTES); i++) {
    const at = HEADER_BYTES + i * INODE_BYTES;
    if (Inode.mode.get(view, at) === 0) continue;
    parts.push(...inodeParts(bytes, at, `inode ${Inode.number.get(view, at)}`));
  }
  return parts;
}

// ---- blocks ----

interface BlockShape {
  /** What the last bytes of the header mean. */
  readonly header: RecordInfo | undefined;
  readonly parts: (bytes: Uint8Array) => Part[];
}

function single(record: RecordInfo, header?: RecordInfo): BlockShape {
  return {
    header,
    parts: (bytes) => [{ title: record.recordName, rows: fieldRows(record, bytes, 0, ['header']) }],
  };
}

function withList(
  record: RecordInfo & { readonly count: { get(view: DataView, at: number): number } },
  entry: RecordInfo,
): BlockShape {
  return {
    header: JournalHeader,
    parts: (bytes) => [
      { title: record.recordName, rows: fieldRows(record, bytes, 0, ['header']) },
      ...listParts(entry, bytes, record.sizeBytes, record.count.get(viewOf(bytes), 0)),
    ],
  };
}

const NODE: BlockShape = {
  header: OwnerHeader,
  parts: (bytes) => nodeParts(bytes, HEADER_BYTES, bytes.length - HEADER_BYTES),
};

const SHAPES: Readonly<Record<number, BlockShape>> = {
  [BlockKind.superblock]: single(Superblock),
  [BlockKind.volumeRoot]: {
    header: undefined,
    parts: (bytes) => [
      { title: VolumeRoot.recordName, rows: fieldRows(VolumeRoot, bytes, 0, ['header', 'inodeTable']) },
      ...inodeParts(bytes, VOLUME_ROOT_INODE_OFFSET, 'inode of the inode table'),
    ],
  },
  [BlockKind.groupBitmap]: { header: BitmapHeader, parts: bitmapParts },
  [BlockKind.inodeBitmap]: { header: BitmapHeader, parts: bitmapParts },
  [BlockKind.summary]: {
    header: SummaryHeader,
    parts: (bytes) =>
      listParts(SummaryEntry, bytes, HEADER_BYTES, SummaryHeader.entryCount.get(viewOf(bytes), 0)),
  },
  [BlockKind.inodes]: { header: undefined, parts: inodesParts },
  [BlockKind.extentNode]: NODE,
  [BlockKind.directoryNode]: NODE,
  [BlockKind.symlink]: {
    header: OwnerHeader,
    parts: (bytes) => [
      { title: 'target', rows: [], notes: [nameText(trimmed(bytes.subarray(HEADER_BYTES)))] },
    ],
  },
  [BlockKind.attributeNode]: NODE,
  [BlockKind.journalHead]: single(JournalHead, JournalHeader),
  [BlockKind.journalDescriptor]: withList(JournalDescriptor, JournalEntry),
  [BlockKind.journalRevoke]: withList(JournalRevoke, RevokeEntry),
  [BlockKind.journalCommit]: single(JournalCommit, JournalHeader),
} satisfies Record<BlockKind, BlockShape>;

function trimmed(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** The parts of a metadata block; undefined if its kind is none that the format knows. */
export function blockParts(bytes: Uint8Array): Part[] | undefined {
  const kind = BlockHeader.kind.get(viewOf(bytes), 0);
  const shape = SHAPES[kind];
  if (shape === undefined) return undefined;
  return [{ title: 'block header', rows: headerRows(bytes, shape.header) }, ...shape.parts(bytes)];
}

/**
 * Bytes as lines of sixteen: offset, hexadecimal digits, letters. Lines that repeat the one before
 * become a star.
 */
export function hexLines(bytes: Uint8Array): string[] {
  const lines: string[] = [];
  let before = '';
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    const digits = [...row].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const isLast = at + 16 >= bytes.length;
    if (digits !== before || isLast) {
      const letters = String.fromCharCode(...row.map((byte) => (byte >= 0x20 && byte < 0x7f ? byte : 0x2e)));
      lines.push(`${at.toString(16).padStart(6, '0')}  ${digits.padEnd(47)}  ${letters}`);
    } else if (lines.at(-1) !== '*') lines.push('*');
    before = digits;
  }
  return lines;
}
