/**
 * Records of the format read for people: any record, field by field, with what its value means.
 *
 * Made of the tables in fs/format/format.ts alone; a field added there shows up here by itself.
 * Values beyond 2^53 are kept exact, as bigint: a damaged block may hold anything.
 */
import { viewOf } from '../common/bytes.ts';
import { printableJson } from '../common/printable.ts';
import { Bytes, I64, type RecordInfo, type RecordTable, U8, U16, U32, U48, U64 } from '../common/record.ts';
import { type FeatureClass, namesOfBits } from '../fs/format/features.ts';
import {
  BlockHeader,
  BlockKind,
  EntryRecord,
  FILE_TYPE_MASK,
  FileType,
  HEADER_BYTES,
  Inode,
  InodeFlag,
  JournalCommit,
  JournalEntry,
  JournalHeader,
  NodeHeader,
  SUMMARY_INITIALISED,
  SummaryEntry,
  Superblock,
  TreeKind,
  VolumeState,
} from '../fs/format/format.ts';
import { labelText } from '../fs/format/superblock.ts';
import { formatUuid, hexText, timeText } from './value-text.ts';

export type FieldValue = number | bigint | Uint8Array;

/** One field as it stands. */
export interface FieldRow {
  readonly name: string;
  /** From the start of the bytes that hold the record. */
  readonly offset: number;
  readonly type: string;
  readonly bytes: Uint8Array;
  readonly value: FieldValue;
  /** What the value says, where that is more than the number. */
  readonly meaning: string | undefined;
}

type Field = RecordTable[string];
type Meaning = (value: number, bytes: Uint8Array) => string | undefined;

const textOf = (bytes: Uint8Array) => printableJson(new TextDecoder('latin1').decode(bytes));
const featuresOf =
  (featureClass: FeatureClass): Meaning =>
  (_, bytes) => {
    const bits = viewOf(bytes).getBigUint64(0, true);
    return namesOfBits(featureClass, bits).join(', ') || undefined;
  };
const hexNumber: Meaning = (value) => `0x${value.toString(16).padStart(8, '0')}`;
const shownUuid: Meaning = (_, bytes) =>
  bytes.some((byte) => byte !== 0) ? formatUuid(bytes) : 'the one of the header';
const label: Meaning = (_, bytes) => printableJson(labelText(bytes));

/** A meaning that is the name of the value in a table of the format. */
function nameIn(table: Readonly<Record<string, number>>): Meaning {
  return (value) => Object.entries(table).find(([, number]) => number === value)?.[0] ?? 'unknown';
}

function flagsIn(table: Readonly<Record<string, number>>): Meaning {
  return (value) => {
    const names = Object.entries(table).filter(([, bit]) => (value & bit) !== 0);
    return names.length === 0 ? undefined : names.map(([name]) => name).join(', ');
  };
}

const typeName = nameIn(FileType);
const modeText: Meaning = (value, bytes) => {
  const permissions = `0${(value & ~FILE_TYPE_MASK).toString(8)}`;
  return value === 0 ? 'free' : `${typeName(value & FILE_TYPE_MASK, bytes)}, ${permissions}`;
};
const MEANINGS = new Map<Field, Meaning>([
  [BlockHeader.magic, (_, bytes) => textOf(bytes)],
  [BlockHeader.kind, nameIn(BlockKind)],
  [BlockHeader.checksum, hexNumber],
  [BlockHeader.uuid, (_, bytes) => formatUuid(bytes)],
  [SummaryEntry.flags, flagsIn({ initialised: SUMMARY_INITIALISED })],
  [Inode.mode, modeText],
  [Inode.flags, flagsIn(InodeFlag)],
  [NodeHeader.kind, nameIn(TreeKind)],
  [EntryRecord.type, (value, bytes) => typeName(value << 12, bytes)],
  [Superblock.state, nameIn(VolumeState)],
  [Superblock.compatibleFeatures, featuresOf('compatible')],
  [Superblock.readOnlyFeatures, featuresOf('readOnly')],
  [Superblock.incompatibleFeatures, featuresOf('incompatible')],
  [Superblock.journalSalt, (_, bytes) => hexText(bytes)],
  [Superblock.nameSecret, (_, bytes) => hexText(bytes)],
  [Superblock.label, label],
  [Superblock.mountOptions, label],
  [Superblock.shownUuid, shownUuid],
  [JournalHeader.salt, (_, bytes) => hexText(bytes)],
  [JournalEntry.checksum, hexNumber],
  [JournalCommit.recordsChecksum, hexNumber],
]);

function readValue(field: Field, view: DataView, at: number): FieldValue {
  if (field instanceof Bytes) {
    return new Uint8Array(view.buffer, view.byteOffset + at + field.offset, field.lengthBytes);
  }
  if (field instanceof U64) return exact(view.getBigUint64(at + field.offset, true));
  if (field instanceof I64) return exact(view.getBigInt64(at + field.offset, true));
  if (field instanceof U8 || field instanceof U16 || field instanceof U32 || field instanceof U48) {
    return field.get(view, at);
  }
  throw new Error(`a field of type ${field?.type} cannot be shown`);
}

function exact(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function meaningOf(name: string, field: Field, value: FieldValue, bytes: Uint8Array): string | undefined {
  const known = MEANINGS.get(field);
  const number = typeof value === 'number' ? value : 0;
  if (known) return known(number, bytes);
  return /^seconds$|Seconds$/.test(name) ? timeText(number) : undefined;
}

/** Bytes kept for later that hold nothing, as they should. */
function isQuiet(name: string, bytes: Uint8Array): boolean {
  return name.startsWith('reserved') && bytes.every((byte) => byte === 0);
}

/**
 * The fields of the record at `at`, without reserved ones that are zero and those that `skip`
 * names.
 * @param bytes must hold the whole record
 */
export function fieldRows(
  record: RecordInfo,
  bytes: Uint8Array,
  at: number,
  skip: readonly string[] = [],
): FieldRow[] {
  const view = viewOf(bytes);
  const rows: FieldRow[] = [];
  for (const [name, field] of Object.entries(record.fields)) {
    const offset = at + field.offset;
    const raw = bytes.subarray(offset, offset + field.lengthBytes);
    if (skip.includes(name) || isQuiet(name, raw)) continue;
    const value = readValue(field, view, at);
    const meaning = meaningOf(name, field, value, raw);
    rows.push({ name, offset, type: field.type, bytes: raw, value, meaning });
  }
  return rows;
}

/** The fields of a block's header, where `variant` says what its last bytes mean. */
export function headerRows(bytes: Uint8Array, variant: RecordInfo | undefined): FieldRow[] {
  const common = fieldRows(BlockHeader, bytes, 0, ['special']);
  if (variant === undefined) return common;
  if (variant.sizeBytes !== HEADER_BYTES) throw new Error(`${variant.recordName} is no header`);
  return [...common, ...fieldRows(variant, bytes, 0, ['common'])];
}

/** A value as JSON takes it: numbers that are exact, text otherwise. */
export function jsonValue({ value, meaning, bytes }: FieldRow): string | number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return value.toString();
  return meaning === undefined ? hexText(bytes) : meaning.replace(/^"(.*)"$/, '$1');
}
