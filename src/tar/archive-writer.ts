/**
 * Tar archives as GNU tar and bsdtar read them: POSIX headers, and PAX records for what these have
 * no room for, times to the nanosecond, extended attributes and ACLs (SCHILY), and holes (GNU
 * sparse format 1.0: the map stands before the data).
 *
 *   for each member: memberHead(…) · its data, the stretches one behind the other · padding(…)
 *   archiveEnd()
 */
import { encodeHeader, fitsName, type HeaderFields, MOST, TAR_BLOCK_BYTES } from './header-block.ts';
import { type Member, PaxKey, type Stretch, TYPE_LETTERS } from './member.ts';
import { encodeRecords, type PaxRecord, timeText } from './pax-records.ts';

const BILLION = 1_000_000_000n;
const NOTHING = Buffer.alloc(0);
/** Readers find the end by it. */
const END_BYTES = 2 * TAR_BLOCK_BYTES;

/** What fills the last block of so much data. */
export function padding(sizeBytes: number): Buffer {
  return Buffer.alloc((TAR_BLOCK_BYTES - (sizeBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES);
}

export function archiveEnd(): Buffer {
  return Buffer.alloc(END_BYTES);
}

/** `=` ends a key, so in one it is written otherwise. */
function attributeKey(name: string): string {
  return PaxKey.attribute + name.replaceAll('%', '%25').replaceAll('=', '%3D');
}

function isUtf8(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString('utf8')).equals(bytes);
}

function textRecord(key: string, value: string | number): PaxRecord {
  return [key, Buffer.from(`${value}`)];
}

function nameRecords(key: string, name: Buffer): PaxRecord[] {
  return fitsName(name) ? [] : [[key, name]];
}

function timeRecords({ modifyNs, accessNs }: Member): PaxRecord[] {
  const isWhole = modifyNs % BILLION === 0n && modifyNs >= 0n && modifyNs / BILLION <= MOST.seconds;
  return [
    ...(isWhole ? [] : [textRecord('mtime', timeText(modifyNs))]),
    ...(accessNs === undefined ? [] : [textRecord('atime', timeText(accessNs))]),
  ];
}

function idRecords(key: string, id: number): PaxRecord[] {
  return id > MOST.id ? [textRecord(key, id)] : [];
}

function attributeRecords({ attributes, accessAcl, defaultAcl }: Member): PaxRecord[] {
  return [
    ...attributes.map(([name, value]): PaxRecord => [attributeKey(name), Buffer.from(value)]),
    ...(accessAcl === undefined ? [] : [textRecord(PaxKey.accessAcl, accessAcl)]),
    ...(defaultAcl === undefined ? [] : [textRecord(PaxKey.defaultAcl, defaultAcl)]),
  ];
}

/** The map of a file with holes; the last stretch of it ends where the file does. */
function sparseMap(stretches: readonly Stretch[], sizeBytes: number): Buffer {
  const last = stretches.at(-1);
  const isWhole = last !== undefined && last.offset + last.lengthBytes === sizeBytes;
  const all = isWhole ? stretches : [...stretches, { offset: sizeBytes, lengthBytes: 0 }];
  const numbers = [all.length, ...all.flatMap(({ offset, lengthBytes }) => [offset, lengthBytes])];
  const text = Buffer.from(numbers.map((one) => `${one}\n`).join(''));
  return Buffer.concat([text, padding(text.length)]);
}

function sparseRecords(name: Buffer, sizeBytes: number): PaxRecord[] {
  return [
    textRecord(`${PaxKey.sparse}major`, 1),
    textRecord(`${PaxKey.sparse}minor`, 0),
    [`${PaxKey.sparse}name`, name],
    textRecord(`${PaxKey.sparse}realsize`, sizeBytes),
  ];
}

/** What a reader that knows no sparse files calls it. */
function sparseName(name: Buffer): Buffer {
  const at = name.lastIndexOf(0x2f) + 1;
  return Buffer.concat([name.subarray(0, at), Buffer.from('GNUSparseFile.0/'), name.subarray(at)]);
}

/** A member of its own, which says what the next one is. */
function recordsMember(records: readonly PaxRecord[], fields: HeaderFields): Buffer {
  const bytes = encodeRecords(records);
  const base = fields.name.subarray(fields.name.lastIndexOf(0x2f, -2) + 1);
  const header = encodeHeader({
    ...fields,
    name: Buffer.concat([Buffer.from('PaxHeaders/'), base]),
    mode: 0o644,
    sizeBytes: bytes.length,
    type: 'x',
    linkName: NOTHING,
    major: 0,
    minor: 0,
  });
  return Buffer.concat([header, bytes, padding(bytes.length)]);
}

/**
 * All that stands before the data.
 * @param stretches of a file with holes, in their order
 */
export function memberHead(member: Member, stretches?: readonly Stretch[]): Buffer {
  const map = stretches === undefined ? NOTHING : sparseMap(stretches, member.sizeBytes);
  const dataBytes = stretches?.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0) ?? member.sizeBytes;
  const fields: HeaderFields = {
    name: stretches === undefined ? member.name : sparseName(member.name),
    mode: member.mode,
    uid: member.uid,
    gid: member.gid,
    sizeBytes: map.length + dataBytes,
    modifySeconds: Number(member.modifyNs / BILLION),
    type: TYPE_LETTERS[member.type],
    linkName: member.linkName,
    major: member.major,
    minor: member.minor,
  };
  const records = [
    ...nameRecords('path', fields.name),
    ...nameRecords('linkpath', member.linkName),
    ...(fields.sizeBytes > MOST.sizeBytes ? [textRecord('size', fields.sizeBytes)] : []),
    ...idRecords('uid', member.uid),
    ...idRecords('gid', member.gid),
    ...timeRecords(member),
    ...(stretches === undefined ? [] : sparseRecords(member.name, member.sizeBytes)),
    ...attributeRecords(member),
  ];
  const names = [fields.name, member.linkName];
  const isText = names.every((name) => fitsName(name) || isUtf8(name));
  const all = isText ? records : [textRecord('hdrcharset', 'BINARY'), ...records];
  const before = all.length === 0 ? NOTHING : recordsMember(all, fields);
  return Buffer.concat([before, encodeHeader(fields), map]);
}
