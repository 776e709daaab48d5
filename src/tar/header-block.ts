/**
 * The 512 bytes that stand before each member of a tar archive, as POSIX has them in ustar:
 *
 *   name 0 · mode 100 · uid 108 · gid 116 · size 124 · mtime 136 · checksum 148 · type 156 ·
 *   link 157 · magic 257 · major 329 · minor 337 · prefix 345
 *
 * Numbers are octal digits; GNU tar also writes them as bytes, the first of which is above 127.
 * What does not fit stands in PAX records (pax-records.ts). Pure functions of the bytes.
 */
import { ArchiveError } from './archive-error.ts';

export const TAR_BLOCK_BYTES = 512;

const NAME_BYTES = 100;
const CHECKSUM_AT = 148;
const CHECKSUM_END = 156;
const MAGIC_AT = 257;
const USTAR = Buffer.from('ustar\x0000', 'latin1');

/** What the fields say. */
export interface HeaderFields {
  /** Cut where it is longer than the field. */
  readonly name: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of what follows in the archive. */
  readonly sizeBytes: number;
  /** Seconds since 1970. */
  readonly modifySeconds: number;
  /** One character. */
  readonly type: string;
  readonly linkName: Buffer;
  readonly major: number;
  readonly minor: number;
}

/** What a field holds at most. */
export const MOST = { id: 0o7777777, sizeBytes: 0o77777777777, seconds: 0o77777777777 };

export function fitsName(name: Buffer): boolean {
  return name.length <= NAME_BYTES;
}

/** The sum of all bytes, those of the sum itself taken as spaces. */
function checksum(block: Uint8Array): number {
  let sum = (CHECKSUM_END - CHECKSUM_AT) * 0x20;
  for (const [at, byte] of block.entries()) if (at < CHECKSUM_AT || at >= CHECKSUM_END) sum += byte;
  return sum;
}

/** A number that does not fit, which a record has, is 0. */
function writeOctal(block: Buffer, at: number, lengthBytes: number, value: number): void {
  const digits = value.toString(8).padStart(lengthBytes - 1, '0');
  const fits = value >= 0 && digits.length < lengthBytes;
  block.write(fits ? digits : '0'.repeat(lengthBytes - 1), at, 'latin1');
}

export function encodeHeader(fields: HeaderFields): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  fields.name.copy(block, 0, 0, NAME_BYTES);
  writeOctal(block, 100, 8, fields.mode);
  writeOctal(block, 108, 8, fields.uid);
  writeOctal(block, 116, 8, fields.gid);
  writeOctal(block, 124, 12, fields.sizeBytes);
  writeOctal(block, 136, 12, fields.modifySeconds);
  block.write(fields.type, 156, 'latin1');
  fields.linkName.copy(block, 157, 0, NAME_BYTES);
  USTAR.copy(block, MAGIC_AT);
  writeOctal(block, 329, 8, fields.major);
  writeOctal(block, 337, 8, fields.minor);
  writeOctal(block, CHECKSUM_AT, 7, checksum(block));
  block[CHECKSUM_END - 1] = 0x20;
  return block;
}

/** Two's complement, the highest bit of which says that it is none of octal digits. */
function bytesNumber(field: Uint8Array): number {
  let value = 0n;
  for (const byte of field) value = (value << 8n) | BigInt(byte);
  return Number(BigInt.asIntN(field.length * 8 - 1, value));
}

/** @throws ArchiveError for a field that holds no number */
export function readNumber(block: Buffer, at: number, lengthBytes: number): number {
  const field = block.subarray(at, at + lengthBytes);
  const value = ((field[0] ?? 0) & 0x80) !== 0 ? bytesNumber(field) : octalNumber(field);
  if (Number.isSafeInteger(value)) return value;
  throw new ArchiveError('a header of the archive is damaged: a number in it is none');
}

function octalNumber(field: Buffer): number {
  const digits = /^[ \0]*([0-7]*)(?:[ \0].*)?$/s.exec(field.toString('latin1'))?.[1];
  return digits === undefined ? Number.NaN : Number.parseInt(digits || '0', 8);
}

function readText(block: Buffer, at: number, lengthBytes: number): Buffer {
  const field = block.subarray(at, at + lengthBytes);
  const end = field.indexOf(0);
  return Buffer.from(end < 0 ? field : field.subarray(0, end));
}

/**
 * Prefix and name; only POSIX has a prefix: where GNU tar has other fields, its magic ends in
 * spaces.
 */
function readName(block: Buffer): Buffer {
  const name = readText(block, 0, NAME_BYTES);
  const isPosix = block.subarray(MAGIC_AT, MAGIC_AT + 6).equals(USTAR.subarray(0, 6));
  const prefix = isPosix ? readText(block, 345, 155) : Buffer.alloc(0);
  return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]);
}

/** Old archives have sums of signed bytes. */
function hasSum(block: Buffer): boolean {
  const told = octalNumber(block.subarray(CHECKSUM_AT, CHECKSUM_END));
  const sum = checksum(block);
  const signed = block.reduce(
    (less, byte, at) => (byte > 127 && (at < CHECKSUM_AT || at >= CHECKSUM_END) ? less - 256 : less),
    sum,
  );
  return told === sum || told === signed;
}

/** @returns undefined for a block of zeros @throws ArchiveError */
export function decodeHeader(block: Buffer): HeaderFields | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  if (!hasSum(block)) throw new ArchiveError('a header of the archive is damaged: its checksum is wrong');
  return {
    name: readName(block),
    mode: readNumber(block, 100, 8) & 0o7777,
    uid: readNumber(block, 108, 8),
    gid: readNumber(block, 116, 8),
    sizeBytes: readNumber(block, 124, 12),
    modifySeconds: readNumber(block, 136, 12),
    type: block[156] === 0 ? '0' : block.toString('latin1', 156, 157),
    linkName: readText(block, 157, NAME_BYTES),
    major: readNumber(block, 329, 8),
    minor: readNumber(block, 337, 8),
  };
}
