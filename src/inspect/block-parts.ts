/**
 * A metadata block taken apart for people: its header, its records, what is in its lists. Whatever
 * the bytes are, the parts that can be read are shown; a count or an offset that leads out of the
 * block ends its list with a note.
 */

import { rangeTexts } from '../check/number-ranges.ts';
import { viewOf } from '../common/bytes.ts';
import type { RecordInfo } from '../common/record.ts';
import {
  AttributeRecord,
  BitmapHeader,
  BlockHeader,
  BlockKind,
  EntryRecord,
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
  SummaryEntry,
  SummaryHeader,
  Superblock,
  VOLUME_ROOT_INODE_OFFSET,
  VolumeRoot,
} from '../fs/format/format.ts';
import { type FieldRow, fieldRows, headerRows } from './field-rows.ts';
import { attributeAt, entryName, inlineAttributeBytes, nodeRecords } from './node-records.ts';
import { nameText, spacedHex } from './value-text.ts';

export interface Part {
  readonly title: string;
  readonly rows: readonly FieldRow[];
  /** Something that is no record: names, bits, text, or what is wrong. */
  readonly notes?: readonly string[];
  /** One of many of its kind: a line is enough. */
  readonly listed?: boolean;
}

/** Records of one kind, one after the other. */
function listParts(record: RecordInfo, bytes: Uint8Array, from: number, count: number): Part[] {
  const title = record.recordName;
  const fitting = Math.min(count, Math.floor((bytes.length - from) / record.sizeBytes));
  const parts: Part[] = Array.from({ length: fitting }, (_, i) => ({
    title: `${title} ${i}`,
    rows: fieldRows(record, bytes, from + i * record.sizeBytes),
    listed: true,
  }));
  if (fitting < count) parts.push({ title, rows: [], notes: [`${count} do not fit into the block`] });
  return parts;
}

/** The numbers of the bits that are set. */
function bitsSet(bytes: Uint8Array): number[] {
  const bits: number[] = [];
  for (const [at, byte] of bytes.entries())
    for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) bits.push(8 * at + bit);
  return bits;
}

function bitmapParts(bytes: Uint8Array): Part[] {
  const ranges = rangeTexts(bitsSet(bytes.subarray(HEADER_BYTES)));
  return [{ title: 'bits that are set', rows: [], notes: [ranges.join(', ') || 'none'] }];
}

// ---- tree nodes ----

function nodeParts(bytes: Uint8Array, base: number, size: number): Part[] {
  const { record, offsets, fault } = nodeRecords(bytes, base, size);
  const parts: Part[] = [{ title: 'node header', rows: fieldRows(NodeHeader, bytes, base) }];
  for (const [i, at] of offsets.entries()) {
    const title = `${record.recordName} ${i}`;
    const notes = recordNotes(record, bytes, at);
    parts.push({ title, rows: fieldRows(record, bytes, at), notes, listed: true });
  }
  if (fault !== undefined) parts.push({ title: record.recordName, rows: [], notes: [fault] });
  return parts;
}

/** What follows the fields of a record. */
function recordNotes(record: RecordInfo, bytes: Uint8Array, at: number): string[] {
  if (record === EntryRecord) return [nameText(entryName(bytes, at))];
  if (record !== AttributeRecord) return [];
  const { name } = attributeAt(bytes, at);
  return name.length > 0 ? [nameText(name)] : [];
}

// ---- inodes ----

/** The types of files that have a tree unless their data is in the body. */
const TYPES_WITH_TREE: readonly number[] = [FileType.directory, FileType.regular, FileType.symlink];

/** An inode and what its body holds. */
export function inodeParts(bytes: Uint8Array, at: number, title: string): Part[] {
  const head: Part = { title, rows: fieldRows(Inode, bytes, at, ['body']) };
  return [head, ...bodyParts(bytes, at, title), ...attributeParts(bytes, at, title)];
}

function attributeParts(bytes: Uint8Array, at: number, title: string): Part[] {
  const inline = inlineAttributeBytes(bytes, at);
  if (inline < NodeHeader.sizeBytes) return [];
  const head: Part = { title: `${title}, attributes in its body`, rows: [] };
  return [head, ...nodeParts(bytes, at + INODE_BYTES - inline, inline)];
}

function bodyParts(bytes: Uint8Array, at: number, title: string): Part[] {
  const view = viewOf(bytes);
  const body = at + INODE_BODY_OFFSET;
  const bodyBytes = INODE_BODY_BYTES - inlineAttributeBytes(bytes, at);
  if ((Inode.flags.get(view, at) & InodeFlag.inlineData) !== 0) {
    const length = Math.min(Inode.size.get(view, at), bodyBytes);
    const notes = hexLines(bytes.subarray(body, body + length));
    return [{ title: `${title}, data in its body`, rows: [], notes }];
  }
  const isTable = Inode.number.get(view, at) === 0;
  const hasTree = isTable || TYPES_WITH_TREE.includes(Inode.mode.get(view, at) & FILE_TYPE_MASK);
  return hasTree ? nodeParts(bytes, body, bodyBytes) : [];
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
  [BlockKind.quotaNode]: NODE,
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
    const digits = spacedHex(row);
    const isLast = at + 16 >= bytes.length;
    if (digits !== before || isLast) {
      const letters = String.fromCharCode(...row.map((byte) => (byte >= 0x20 && byte < 0x7f ? byte : 0x2e)));
      lines.push(`${at.toString(16).padStart(6, '0')}  ${digits.padEnd(47)}  ${letters}`);
    } else if (lines.at(-1) !== '*') lines.push('*');
    before = digits;
  }
  return lines;
}
