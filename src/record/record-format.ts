/**
 * The file of a record: a head that describes itself, then chunks.
 *
 *   | magic 8 | version u32 | length u32 | CRC-32C of the JSON u32 | JSON … |
 *   | chunk | chunk | …            each: | head 32 | operations (chunk-codec.ts), deflated |
 *
 * A chunk has its place in the order, and a CRC-32C over its head and its bytes. A file whose end
 * is torn is good up to its last whole chunk; one that was ended in order has `end` as its last
 * operation. Numbers are little-endian.
 */
import { hasBytesAt, viewOf } from '../common/bytes.ts';
import { Bytes, record, U32, U48 } from '../common/record.ts';
import { crc32c } from '../crc32c.ts';
import { RecordError } from './record-error.ts';

export const RECORD_EXTENSION = '.quarry-record';
const VERSION = 1;
const MAGIC = new TextEncoder().encode('QUARRYRC');
const MOST_JSON_BYTES = 64 * 1024;
/** 'QRCK'. */
const CHUNK_MAGIC = 0x4b435251;

/** Bytes of operations after which a chunk is written. */
export const CHUNK_BYTES = 64 * 1024;
/** What deflate may make of that at most is a little more. */
export const MOST_PACKED_BYTES = 2 * CHUNK_BYTES;

export const RecordHead = record('head of a record', 20, {
  magic: new Bytes(0, 8),
  version: new U32(8),
  jsonBytes: new U32(12),
  jsonChecksum: new U32(16),
});

export const ChunkHead = record('head of a chunk', 32, {
  magic: new U32(0),
  /** Of the head from `packedBytes` on, and of the bytes behind it. */
  checksum: new U32(4),
  packedBytes: new U32(8),
  rawBytes: new U32(12),
  operations: new U32(16),
  /** From 0 on. */
  number: new U32(20),
  /** When its first operation ended, since the record began. */
  beganMicroseconds: new U48(24),
  reserved: new Bytes(30, 2),
});

/** How the names in a record are kept. */
export type RecordedNames = 'plain' | 'hashed';

/** What a record says of the volume that it is of. */
export interface RecordDescription {
  readonly blockBytes: number;
  readonly volumeBytes: number;
  /** Of the volume, when the record began. */
  readonly usedBytes: number;
  readonly names: RecordedNames;
  /** When it began, ISO 8601. */
  readonly began: string;
}

export interface ChunkParts {
  readonly packed: Uint8Array;
  readonly rawBytes: number;
  readonly operations: number;
  readonly number: number;
  readonly beganMicroseconds: number;
}

export function encodeDescription(description: RecordDescription): Uint8Array {
  const json = new TextEncoder().encode(`${JSON.stringify(description)}\n`);
  const bytes = new Uint8Array(RecordHead.sizeBytes + json.length);
  const view = viewOf(bytes);
  bytes.set(MAGIC, 0);
  bytes.set(json, RecordHead.sizeBytes);
  RecordHead.version.set(view, 0, VERSION);
  RecordHead.jsonBytes.set(view, 0, json.length);
  RecordHead.jsonChecksum.set(view, 0, crc32c(json, 0, json.length, 0));
  return bytes;
}

export function beginsLikeRecord(bytes: Uint8Array): boolean {
  return hasBytesAt(bytes, 0, MAGIC);
}

/**
 * Length of the description behind the head, in bytes.
 * @param bytes the first `RecordHead.sizeBytes` of the file, or fewer if it has fewer
 * @throws RecordError
 */
export function descriptionBytes(bytes: Uint8Array): number {
  if (!beginsLikeRecord(bytes)) throw new RecordError('it is no record of a mount');
  if (bytes.length < RecordHead.sizeBytes) throw new RecordError('its head is cut off');
  const view = viewOf(bytes);
  const version = RecordHead.version.get(view, 0);
  if (version !== VERSION)
    throw new RecordError(`it is of version ${version}; this program reads ${VERSION}`);
  const length = RecordHead.jsonBytes.get(view, 0);
  if (length > MOST_JSON_BYTES) throw new RecordError('its head is damaged');
  return length;
}

/** @throws RecordError */
export function decodeDescription(head: Uint8Array, json: Uint8Array): RecordDescription {
  const checksum = RecordHead.jsonChecksum.get(viewOf(head), 0);
  if (crc32c(json, 0, json.length, 0) !== checksum) throw new RecordError('its head is damaged');
  return describedBy(JSON.parse(new TextDecoder().decode(json)));
}

function describedBy(value: unknown): RecordDescription {
  const { blockBytes, volumeBytes, usedBytes, names, began }: Record<string, unknown> = Object(value);
  const isKnown = names === 'plain' || names === 'hashed';
  if (!isSize(blockBytes) || !isSize(volumeBytes) || !isSize(usedBytes) || !isKnown)
    throw new RecordError('its head does not say what it should');
  return { blockBytes, volumeBytes, usedBytes, names, began: typeof began === 'string' ? began : '' };
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

export function encodeChunk(parts: ChunkParts): Uint8Array {
  const { packed } = parts;
  const bytes = new Uint8Array(ChunkHead.sizeBytes + packed.length);
  const view = viewOf(bytes);
  ChunkHead.magic.set(view, 0, CHUNK_MAGIC);
  ChunkHead.packedBytes.set(view, 0, packed.length);
  ChunkHead.rawBytes.set(view, 0, parts.rawBytes);
  ChunkHead.operations.set(view, 0, parts.operations);
  ChunkHead.number.set(view, 0, parts.number);
  ChunkHead.beganMicroseconds.set(view, 0, parts.beganMicroseconds);
  bytes.set(packed, ChunkHead.sizeBytes);
  ChunkHead.checksum.set(view, 0, crc32c(bytes, ChunkHead.packedBytes.offset, bytes.length, 0));
  return bytes;
}

/**
 * Length of the packed bytes behind the head of a chunk; undefined if it is none, or not the one
 * that should come.
 */
export function packedBytesOf(head: Uint8Array, number: number): number | undefined {
  const view = viewOf(head);
  if (head.length < ChunkHead.sizeBytes || ChunkHead.magic.get(view, 0) !== CHUNK_MAGIC) return undefined;
  const length = ChunkHead.packedBytes.get(view, 0);
  if (ChunkHead.number.get(view, 0) !== number || length > MOST_PACKED_BYTES) return undefined;
  return ChunkHead.rawBytes.get(view, 0) <= CHUNK_BYTES ? length : undefined;
}

/** Undefined for bytes that do not fit their checksum. */
export function decodeChunk(bytes: Uint8Array): ChunkParts | undefined {
  const view = viewOf(bytes);
  const checksum = crc32c(bytes, ChunkHead.packedBytes.offset, bytes.length, 0);
  if (checksum !== ChunkHead.checksum.get(view, 0)) return undefined;
  return {
    packed: bytes.subarray(ChunkHead.sizeBytes),
    rawBytes: ChunkHead.rawBytes.get(view, 0),
    operations: ChunkHead.operations.get(view, 0),
    number: ChunkHead.number.get(view, 0),
    beganMicroseconds: ChunkHead.beganMicroseconds.get(view, 0),
  };
}
