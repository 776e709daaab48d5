/**
 * CRC-32C in plain JavaScript, for where the addon is not: eight bytes at a step, by eight tables
 * (Kounavis and Berry, "A Systematic Approach to Building High Performance Software-based CRC
 * Generators", 2005).
 */

/** Castagnoli's polynomial, its bits reversed. */
const POLYNOMIAL = 0x82f63b78;
const SLICES = 8;
const TABLE = 256;

/** Table k holds what a byte becomes k bytes later. */
function makeTables(): Int32Array {
  const tables = new Int32Array(SLICES * TABLE);
  for (let byte = 0; byte < TABLE; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    tables[byte] = crc;
  }
  for (let at = TABLE; at < tables.length; at++) {
    const before = tables[at - TABLE] as number;
    tables[at] = (before >>> 8) ^ (tables[before & 0xff] as number);
  }
  return tables;
}

const TABLES = makeTables();

/** As `crc32c` (crc32c.ts). @throws TypeError, RangeError as the addon does */
export function crc32cInScript(bytes: Uint8Array, from: number, to: number, seed: number): number {
  if (!(bytes instanceof Uint8Array)) throw new TypeError('the bytes are no Uint8Array');
  const isRange = Number.isInteger(from) && Number.isInteger(to) && 0 <= from && from <= to;
  if (!isRange || to > bytes.length) throw new RangeError(`no bytes ${from} to ${to} of ${bytes.length}`);
  if (seed >>> 0 !== seed) throw new RangeError(`${seed} is no checksum`);
  let crc = ~seed;
  let at = from;
  for (; at + SLICES <= to; at += SLICES) {
    crc ^= wordAt(bytes, at);
    const next = wordAt(bytes, at + 4);
    crc =
      sliceOf(7, crc) ^
      sliceOf(6, crc >>> 8) ^
      sliceOf(5, crc >>> 16) ^
      sliceOf(4, crc >>> 24) ^
      sliceOf(3, next) ^
      sliceOf(2, next >>> 8) ^
      sliceOf(1, next >>> 16) ^
      sliceOf(0, next >>> 24);
  }
  for (; at < to; at++) crc = (crc >>> 8) ^ sliceOf(0, crc ^ (bytes[at] as number));
  return ~crc >>> 0;
}

function sliceOf(table: number, byte: number): number {
  return TABLES[table * TABLE + (byte & 0xff)] as number;
}

/** Four bytes, the lowest first. */
function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}
