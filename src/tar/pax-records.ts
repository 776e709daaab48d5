/**
 * PAX records: what a header has no field for, as `length key=value\n`, the length in decimal
 * digits and counting itself. Values are bytes: names of files need be no UTF-8, and those of
 * extended attributes are anything.
 */
import { ArchiveError } from './archive-error.ts';

export type PaxRecord = readonly [key: string, value: Buffer];

const BILLION = 1_000_000_000n;

export function encodeRecords(records: readonly PaxRecord[]): Buffer {
  return Buffer.concat(records.map(encodeRecord));
}

function encodeRecord([key, value]: PaxRecord): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
  let length = rest.length;
  while (length !== rest.length + `${length}`.length) length = rest.length + `${length}`.length;
  return Buffer.concat([Buffer.from(`${length}`), rest]);
}

/** One after the other; values are views. @throws ArchiveError */
export function* decodeRecords(bytes: Buffer): Generator<PaxRecord> {
  for (let at = 0; at < bytes.length && bytes[at] !== 0; ) {
    const space = bytes.indexOf(0x20, at);
    const digits = space < 0 ? '' : bytes.toString('latin1', at, space);
    const end = at + Number(digits);
    const equals = bytes.indexOf(0x3d, space);
    if (!/^\d{1,10}$/.test(digits) || equals < 0 || equals >= end || bytes[end - 1] !== 0x0a)
      throw new ArchiveError('a header of the archive is damaged: a record in it is none');
    yield [bytes.toString('utf8', space + 1, equals), bytes.subarray(equals + 1, end - 1)];
    at = end;
  }
}

/** Nanoseconds as seconds: `-0.5`. */
export function timeText(nanoseconds: bigint): string {
  const size = nanoseconds < 0n ? -nanoseconds : nanoseconds;
  const rest = `${size % BILLION}`.padStart(9, '0').replace(/0+$/, '');
  return `${nanoseconds < 0n ? '-' : ''}${size / BILLION}${rest && '.'}${rest}`;
}

/** @returns nanoseconds; undefined for what is no time */
export function parseTime(text: string): bigint | undefined {
  const [, sign, seconds = '', rest = ''] = /^(-?)(\d{1,40})(?:\.(\d*))?$/.exec(text) ?? [];
  if (sign === undefined) return undefined;
  const size = BigInt(seconds) * BILLION + BigInt(rest.padEnd(9, '0').slice(0, 9));
  // What is finer is cut towards the past.
  return sign === '' ? size : -size - (/[1-9]/.test(rest.slice(9)) ? 1n : 0n);
}
