/**
 * Answers as bytes: attributes, entries, statx and statfs in the kernel's layout.
 *
 * Pure functions of their arguments onto a `Wire`. Only this daemon changes the volume, so what the
 * kernel learns stays true until it asks for a change, and it may keep it for ever; where that is
 * not so, the answer says so (`attributesValidSeconds`).
 */
import { type Attributes, FileFlag, type SpaceStatistics } from '../fs/base/filesystem.ts';
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
  STATX_ATTRIBUTES,
  Statx,
  StatxAttribute,
  StatxOut,
  StatxTime,
  type Wire,
} from './abi.ts';
import { LEAST_PREFERRED_BYTES } from './limits.ts';

// Constants of this file: an imported one is looked up at each use, a third of an answer's time.
const outHeader = OutHeader;
const dirent = Dirent;
const attr = Attr;
const entryOut = EntryOut;
const attrOut = AttrOut;
const statxOut = StatxOut;
const statx = Statx;
const statxTime = StatxTime;

/** Validity of names and attributes in the kernel: 68 years. */
const FOREVER_SECONDS = 0x7fff_ffff;

/**
 * More inodes than this are said to be this many: statfs(2) of a 32-bit program fails of a larger
 * number.
 */
const MOST_FILES = 0xffff_ffff;
const FILE_TYPE_MASK = 0o170000;
const SYMLINK = 0o120000;
const REGULAR = 0o100000;
const DIRECTORY = 0o040000;
const SET_ID_BITS = 0o6000;
const FIXED_FLAGS = FileFlag.immutable | FileFlag.appendOnly;

export function isDirectoryMode(mode: number): boolean {
  return (mode & FILE_TYPE_MASK) === DIRECTORY;
}

export function isSymlinkMode(mode: number): boolean {
  return (mode & FILE_TYPE_MASK) === SYMLINK;
}

export function isRegularMode(mode: number): boolean {
  return (mode & FILE_TYPE_MASK) === REGULAR;
}

/**
 * How long the kernel may believe the attributes. A write clears set-user-id and set-group-id on
 * our side (HANDLE_KILLPRIV_V2), and the kernel goes on with the mode that it has: it must ask
 * again before it lets anybody run such a file. Of a file that not everybody may change who has the
 * right to write, it must ask before it is opened (protected-files.ts). Nor may it keep them where
 * something else forbids it (`mayKeep`).
 */
function attributesValidSeconds({ mode, flags }: Attributes, mayKeep: boolean): number {
  if (!mayKeep) return 0;
  const asksAgain = (mode & SET_ID_BITS) !== 0 || (flags & FIXED_FLAGS) !== 0;
  return asksAgain && isRegularMode(mode) ? 0 : FOREVER_SECONDS;
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
    flags: 0,
    projectId: 0,
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
  outHeader.len.set(wire.view, at, lengthBytes);
  outHeader.error.set(wire.view, at, -errno);
  outHeader.unique_low.set(wire.view, at, uniqueLow);
  outHeader.unique_high.set(wire.view, at, uniqueHigh);
}

function encodeAttr(wire: Wire, at: number, attributes: Attributes, preferredBytes: number): void {
  attr.ino.set(wire.view, at, attributes.inode);
  attr.size.set(wire.view, at, attributes.sizeBytes);
  attr.blocks.set(wire.view, at, attributes.sectors);
  attr.atime.set(wire.view, at, attributes.accessSeconds);
  attr.mtime.set(wire.view, at, attributes.modifySeconds);
  attr.ctime.set(wire.view, at, attributes.changeSeconds);
  attr.atimensec.set(wire.view, at, attributes.accessNanoseconds);
  attr.mtimensec.set(wire.view, at, attributes.modifyNanoseconds);
  attr.ctimensec.set(wire.view, at, attributes.changeNanoseconds);
  attr.mode.set(wire.view, at, attributes.mode);
  attr.nlink.set(wire.view, at, attributes.linkCount);
  attr.uid.set(wire.view, at, attributes.uid);
  attr.gid.set(wire.view, at, attributes.gid);
  attr.rdev.set(wire.view, at, attributes.deviceNumber);
  attr.blksize.set(wire.view, at, preferredBytes);
  attr.flags.set(wire.view, at, 0);
}

/** Writes fuse_attr_out; returns its length. */
export function encodeAttrOut(
  wire: Wire,
  at: number,
  attributes: Attributes,
  preferredBytes: number,
  mayKeep: boolean,
): number {
  attrOut.attr_valid.set(wire.view, at, attributesValidSeconds(attributes, mayKeep));
  attrOut.attr_valid_nsec.set(wire.view, at, 0);
  attrOut.dummy.set(wire.view, at, 0);
  encodeAttr(wire, at + attrOut.attr.offset, attributes, preferredBytes);
  return attrOut.sizeBytes;
}

/** Writes fuse_entry_out; returns its length. */
export function encodeEntryOut(
  wire: Wire,
  at: number,
  attributes: Attributes,
  preferredBytes: number,
  mayKeep: boolean,
): number {
  entryOut.nodeid.set(wire.view, at, attributes.inode);
  entryOut.generation.set(wire.view, at, attributes.generation);
  entryOut.entry_valid.set(wire.view, at, FOREVER_SECONDS);
  entryOut.attr_valid.set(wire.view, at, attributesValidSeconds(attributes, mayKeep));
  entryOut.entry_valid_nsec.set(wire.view, at, 0);
  entryOut.attr_valid_nsec.set(wire.view, at, 0);
  encodeAttr(wire, at + entryOut.attr.offset, attributes, preferredBytes);
  return entryOut.sizeBytes;
}

/**
 * Writes the fuse_entry_out of a name that does not exist, which the kernel then remembers; returns
 * its length.
 */
export function encodeNegativeEntry(wire: Wire, at: number): number {
  wire.clear(at, entryOut.sizeBytes);
  entryOut.entry_valid.set(wire.view, at, FOREVER_SECONDS);
  return entryOut.sizeBytes;
}

/** Writes fuse_open_out with these FOPEN flags and file handle 0; returns its length. */
export function encodeOpenOut(wire: Wire, at: number, flags: number): number {
  wire.clear(at, OpenOut.sizeBytes);
  OpenOut.open_flags.set(wire.view, at, flags);
  return OpenOut.sizeBytes;
}

function encodeStatxTime(wire: Wire, at: number, seconds: number, nanoseconds: number): void {
  statxTime.tv_sec.set(wire.view, at, seconds);
  statxTime.tv_nsec.set(wire.view, at, nanoseconds);
}

/** Major and minor of the kernel's 32-bit device number (new_encode_dev in linux/kdev_t.h). */
function majorOf(deviceNumber: number): number {
  return (deviceNumber >>> 8) & 0xfff;
}
function minorOf(deviceNumber: number): number {
  return (deviceNumber & 0xff) | ((deviceNumber >>> 12) & 0xf_ff00);
}

/** STATX_ATTR_IMMUTABLE and its like. */
function statxAttributes(flags: number): number {
  let attributes = 0;
  if ((flags & FileFlag.immutable) !== 0) attributes |= StatxAttribute.IMMUTABLE;
  if ((flags & FileFlag.appendOnly) !== 0) attributes |= StatxAttribute.APPEND;
  if ((flags & FileFlag.noDump) !== 0) attributes |= StatxAttribute.NODUMP;
  return attributes;
}

/** Writes fuse_statx_out, with the birth time; returns its length. */
export function encodeStatxOut(
  wire: Wire,
  at: number,
  attributes: Attributes,
  preferredBytes: number,
  mayKeep: boolean,
): number {
  wire.clear(at, statxOut.sizeBytes);
  statxOut.attr_valid.set(wire.view, at, attributesValidSeconds(attributes, mayKeep));
  const stat = at + statxOut.stat.offset;
  statx.mask.set(wire.view, stat, STATX_ALL);
  statx.blksize.set(wire.view, stat, preferredBytes);
  statx.nlink.set(wire.view, stat, attributes.linkCount);
  statx.uid.set(wire.view, stat, attributes.uid);
  statx.gid.set(wire.view, stat, attributes.gid);
  statx.mode.set(wire.view, stat, attributes.mode);
  statx.ino.set(wire.view, stat, attributes.inode);
  statx.size.set(wire.view, stat, attributes.sizeBytes);
  statx.blocks.set(wire.view, stat, attributes.sectors);
  encodeStatxTime(wire, stat + statx.atime.offset, attributes.accessSeconds, attributes.accessNanoseconds);
  encodeStatxTime(wire, stat + statx.btime.offset, attributes.birthSeconds, attributes.birthNanoseconds);
  encodeStatxTime(wire, stat + statx.ctime.offset, attributes.changeSeconds, attributes.changeNanoseconds);
  encodeStatxTime(wire, stat + statx.mtime.offset, attributes.modifySeconds, attributes.modifyNanoseconds);
  statx.attributes.set(wire.view, stat, statxAttributes(attributes.flags));
  statx.attributes_mask.set(wire.view, stat, STATX_ATTRIBUTES);
  statx.rdev_major.set(wire.view, stat, majorOf(attributes.deviceNumber));
  statx.rdev_minor.set(wire.view, stat, minorOf(attributes.deviceNumber));
  return statxOut.sizeBytes;
}

/** Writes fuse_statfs_out; returns its length. */
export function encodeStatfsOut(wire: Wire, at: number, space: SpaceStatistics): number {
  wire.clear(at, Kstatfs.sizeBytes);
  Kstatfs.blocks.set(wire.view, at, space.blocks);
  Kstatfs.bfree.set(wire.view, at, space.freeBlocks);
  Kstatfs.bavail.set(wire.view, at, space.freeBlocks);
  const files = Math.min(space.inodes + space.freeInodes, MOST_FILES);
  Kstatfs.files.set(wire.view, at, files);
  Kstatfs.ffree.set(wire.view, at, Math.max(0, files - space.inodes));
  Kstatfs.bsize.set(wire.view, at, space.blockBytes);
  Kstatfs.namelen.set(wire.view, at, space.maxNameBytes);
  Kstatfs.frsize.set(wire.view, at, space.blockBytes);
  return Kstatfs.sizeBytes;
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
  const lengthBytes = directoryRecordBytes(dirent.sizeBytes, name.length);
  dirent.ino.set(wire.view, at, inode);
  dirent.off.set(wire.view, at, offset);
  dirent.namelen.set(wire.view, at, name.length);
  dirent.type.set(wire.view, at, fileType >>> 12);
  const nameAt = at + dirent.sizeBytes;
  wire.bytes.set(name, nameAt);
  for (let pad = nameAt + name.length; pad < at + lengthBytes; pad++) wire.bytes[pad] = 0;
  return lengthBytes;
}

/** Gives the fuse_dirent at `at` another offset. */
export function encodeDirentOffset(wire: Wire, at: number, offset: number): void {
  dirent.off.set(wire.view, at, offset);
}

/** Inode of the fuse_direntplus at `at`, 0 where it carries no reference. */
export function direntplusInode(wire: Wire, at: number): number {
  return entryOut.nodeid.get(wire.view, at + Direntplus.entry.offset);
}

/** Length of the fuse_direntplus at `at`. */
export function direntplusBytes(wire: Wire, at: number): number {
  return directoryRecordBytes(
    Direntplus.sizeBytes,
    dirent.namelen.get(wire.view, at + Direntplus.dirent.offset),
  );
}
