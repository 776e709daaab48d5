/**
 * Answers as bytes: attributes, entries, statx and statfs in the kernel's layout.
 *
 * Pure functions of their arguments onto a `Wire`. Only this daemon changes the volume, so what the
 * kernel learns stays true until it asks for a change, and it may keep it for ever; where that is
 * not so, the answer says so (`attributesValidSeconds`).
 */
import type { Attributes, SpaceStatistics } from '../fs/base/filesystem.ts';
import {
  Attr,
  AttrOut,
  Dirent,
  Direntplus,
  EntryOut,
  Kstatfs,
  OpenOut,
  OutHeader,
  STATX_ALL,
  Statx,
  StatxOut,
  type Wire,
} from './abi.ts';
import { LEAST_PREFERRED_BYTES } from './limits.ts';

/** Validity of names and attributes in the kernel: 68 years. */
const FOREVER_SECONDS = 0x7fff_ffff;

/**
 * More inodes than this are said to be this many: statfs(2) of a 32-bit program fails of a larger
 * number.
 */
const MOST_FILES = 0xffff_ffff;
const FILE_TYPE_MASK = 0o170000;
const REGULAR = 0o100000;
const DIRECTORY = 0o040000;
const SET_ID_BITS = 0o6000;

export function isDirectoryMode(mode: number): boolean {
  return (mode & FILE_TYPE_MASK) === DIRECTORY;
}

export function isRegularMode(mode: number): boolean {
  return (mode & FILE_TYPE_MASK) === REGULAR;
}

/**
 * How long the kernel may believe the attributes. A write clears set-user-id and set-group-id on
 * our side (HANDLE_KILLPRIV_V2), and the kernel goes on with the mode that it has: it must ask
 * again before it lets anybody run such a file. Nor may it where something else forbids to keep
 * them (`mayKeep`).
 */
function attributesValidSeconds(mode: number, mayKeep: boolean): number {
  return !mayKeep || ((mode & SET_ID_BITS) !== 0 && isRegularMode(mode)) ? 0 : FOREVER_SECONDS;
}

export function emptyAttributes(): Attributes {
  return {
    inode: 0,
    generation: 0,
    mode: 0,
    linkCount: 0,
    uid: 0,
    gid: 0,
    deviceNumber: 0,
    sizeBytes: 0,
    sectors: 0,
    accessSeconds: 0,
    accessNanoseconds: 0,
    modifySeconds: 0,
    modifyNanoseconds: 0,
    changeSeconds: 0,
    changeNanoseconds: 0,
    birthSeconds: 0,
    birthNanoseconds: 0,
  };
}

export function emptyStatistics(): SpaceStatistics {
  return { blockBytes: 0, blocks: 0, freeBlocks: 0, inodes: 0, freeInodes: 0, maxNameBytes: 0 };
}

/** st_blksize for a volume of this block size, in bytes. */
export function preferredIoBytes(blockBytes: number): number {
  return Math.max(blockBytes, LEAST_PREFERRED_BYTES);
}

/**
 * Copies a `unique` of the request at `from` bit for bit: its high bit is a flag of the kernel's.
 */
export function encodeOutHeader(
  wire: Wire,
  at: number,
  lengthBytes: number,
  errno: number,
  uniqueLow: number,
  uniqueHigh: number,
): void {
  wire.setU32(at + OutHeader.len, lengthBytes);
  wire.setI32(at + OutHeader.error, -errno);
  wire.setU32(at + OutHeader.unique, uniqueLow);
  wire.setU32(at + OutHeader.unique + 4, uniqueHigh);
}

function encodeAttr(wire: Wire, at: number, attributes: Attributes, preferredBytes: number): void {
  wire.set64(at + Attr.ino, attributes.inode);
  wire.set64(at + Attr.size, attributes.sizeBytes);
  wire.set64(at + Attr.blocks, attributes.sectors);
  wire.set64(at + Attr.atime, attributes.accessSeconds);
  wire.set64(at + Attr.mtime, attributes.modifySeconds);
  wire.set64(at + Attr.ctime, attributes.changeSeconds);
  wire.setU32(at + Attr.atimensec, attributes.accessNanoseconds);
  wire.setU32(at + Attr.mtimensec, attributes.modifyNanoseconds);
  wire.setU32(at + Attr.ctimensec, attributes.changeNanoseconds);
  wire.setU32(at + Attr.mode, attributes.mode);
  wire.setU32(at + Attr.nlink, attributes.linkCount);
  wire.setU32(at + Attr.uid, attributes.uid);
  wire.setU32(at + Attr.gid, attributes.gid);
  wire.setU32(at + Attr.rdev, attributes.deviceNumber);
  wire.setU32(at + Attr.blksize, preferredBytes);
  wire.setU32(at + Attr.flags, 0);
}

/** Writes fuse_attr_out; returns its length. */
export function encodeAttrOut(
  wire: Wire,
  at: number,
  attributes: Attributes,
  preferredBytes: number,
  mayKeep: boolean,
): number {
  wire.set64(at + AttrOut.attr_valid, attributesValidSeconds(attributes.mode, mayKeep));
  wire.set64(at + AttrOut.attr_valid_nsec, 0);
  encodeAttr(wire, at + AttrOut.attr, attributes, preferredBytes);
  return AttrOut.bytes;
}

/** Writes fuse_entry_out; returns its length. */
export function encodeEntryOut(
  wire: Wire,
  at: number,
  attributes: Attributes,
  preferredBytes: number,
  mayKeep: boolean,
): number {
  wire.set64(at + EntryOut.nodeid, attributes.inode);
  wire.set64(at + EntryOut.generation, attributes.generation);
  wire.set64(at + EntryOut.entry_valid, FOREVER_SECONDS);
  wire.set64(at + EntryOut.attr_valid, attributesValidSeconds(attributes.mode, mayKeep));
  wire.set64(at + EntryOut.entry_valid_nsec, 0);
  encodeAttr(wire, at + EntryOut.attr, attributes, preferredBytes);
  return EntryOut.bytes;
}

/**
 * Writes the fuse_entry_out of a name that does not exist, which the kernel then remembers; returns
 * its length.
 */
export function encodeNegativeEntry(wire: Wire, at: number): number {
  wire.clear(at, EntryOut.bytes);
  wire.set64(at + EntryOut.entry_valid, FOREVER_SECONDS);
  return EntryOut.bytes;
}

/** Writes fuse_open_out with these FOPEN flags and file handle 0; returns its length. */
export function encodeOpenOut(wire: Wire, at: number, flags: number): number {
  wire.clear(at, OpenOut.bytes);
  wire.setU32(at + OpenOut.open_flags, flags);
  return OpenOut.bytes;
}

function encodeStatxTime(wire: Wire, at: number, seconds: number, nanoseconds: number): void {
  wire.set64(at, seconds);
  wire.set64(at + 8, nanoseconds);
}

/** Major and minor of the kernel's 32-bit device number (new_encode_dev in linux/kdev_t.h). */
function majorOf(deviceNumber: number): number {
  return (deviceNumber >>> 8) & 0xfff;
}
function minorOf(deviceNumber: number): number {
  return (deviceNumber & 0xff) | ((deviceNumber >>> 12) & 0xf_ff00);
}

/** Writes fuse_statx_out, with the birth time; returns its length. */
export function encodeStatxOut(
  wire: Wire,
  at: number,
  attributes: Attributes,
  preferredBytes: number,
  mayKeep: boolean,
): number {
  wire.clear(at, StatxOut.bytes);
  wire.set64(at + StatxOut.attr_valid, attributesValidSeconds(attributes.mode, mayKeep));
  const stat = at + StatxOut.stat;
  wire.setU32(stat + Statx.mask, STATX_ALL);
  wire.setU32(stat + Statx.blksize, preferredBytes);
  wire.setU32(stat + Statx.nlink, attributes.linkCount);
  wire.setU32(stat + Statx.uid, attributes.uid);
  wire.setU32(stat + Statx.gid, attributes.gid);
  wire.setU16(stat + Statx.mode, attributes.mode);
  wire.set64(stat + Statx.ino, attributes.inode);
  wire.set64(stat + Statx.size, attributes.sizeBytes);
  wire.set64(stat + Statx.blocks, attributes.sectors);
  encodeStatxTime(wire, stat + Statx.atime, attributes.accessSeconds, attributes.accessNanoseconds);
  encodeStatxTime(wire, stat + Statx.btime, attributes.birthSeconds, attributes.birthNanoseconds);
  encodeStatxTime(wire, stat + Statx.ctime, attributes.changeSeconds, attributes.changeNanoseconds);
  encodeStatxTime(wire, stat + Statx.mtime, attributes.modifySeconds, attributes.modifyNanoseconds);
  wire.setU32(stat + Statx.rdev_major, majorOf(attributes.deviceNumber));
  wire.setU32(stat + Statx.rdev_minor, minorOf(attributes.deviceNumber));
  return StatxOut.bytes;
}

/** Writes fuse_statfs_out; returns its length. */
export function encodeStatfsOut(wire: Wire, at: number, space: SpaceStatistics): number {
  wire.clear(at, Kstatfs.bytes);
  wire.set64(at + Kstatfs.blocks, space.blocks);
  wire.set64(at + Kstatfs.bfree, space.freeBlocks);
  wire.set64(at + Kstatfs.bavail, space.freeBlocks);
  const files = Math.min(space.inodes + space.freeInodes, MOST_FILES);
  wire.set64(at + Kstatfs.files, files);
  wire.set64(at + Kstatfs.ffree, Math.max(0, files - space.inodes));
  wire.setU32(at + Kstatfs.bsize, space.blockBytes);
  wire.setU32(at + Kstatfs.namelen, space.maxNameBytes);
  wire.setU32(at + Kstatfs.frsize, space.blockBytes);
  return Kstatfs.bytes;
}

/** Length of a directory record with this much in front of the name: padded to 8. */
export function directoryRecordBytes(frontBytes: number, nameBytes: number): number {
  return (frontBytes + nameBytes + 7) & ~7;
}

/** Writes a fuse_dirent; the pad is cleared, so that nothing older shows. Returns its length. */
export function encodeDirent(
  wire: Wire,
  at: number,
  name: Uint8Array,
  inode: number,
  fileType: number,
  offset: number,
): number {
  const lengthBytes = directoryRecordBytes(Dirent.bytes, name.length);
  wire.set64(at + Dirent.ino, inode);
  wire.set64(at + Dirent.off, offset);
  wire.setU32(at + Dirent.namelen, name.length);
  wire.setU32(at + Dirent.type, fileType >>> 12);
  const nameAt = at + Dirent.bytes;
  wire.bytes.set(name, nameAt);
  for (let pad = nameAt + name.length; pad < at + lengthBytes; pad++) wire.bytes[pad] = 0;
  return lengthBytes;
}

/** Gives the fuse_dirent at `at` another offset. */
export function encodeDirentOffset(wire: Wire, at: number, offset: number): void {
  wire.set64(at + Dirent.off, offset);
}

/** Inode of the fuse_direntplus at `at`, 0 where it carries no reference. */
export function direntplusInode(wire: Wire, at: number): number {
  return wire.u64(at + Direntplus.entry + EntryOut.nodeid);
}

/** Length of the fuse_direntplus at `at`. */
export function direntplusBytes(wire: Wire, at: number): number {
  return directoryRecordBytes(Direntplus.bytes, wire.u32(at + Direntplus.dirent + Dirent.namelen));
}
