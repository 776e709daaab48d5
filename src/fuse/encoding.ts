/**
 * Answers as bytes: headers, names and statfs in the kernel's layout; those with the attributes of
 * an inode are in attribute-replies.ts. Pure functions of their arguments onto a `Wire`.
 */
import type { SpaceStatistics } from '../fs/base/filesystem.ts';
import { Dirent, Direntplus, EntryOut, Kstatfs, OpenOut, OutHeader, type Wire } from './abi.ts';
import { LEAST_PREFERRED_BYTES } from './limits.ts';

// Constants of this file: an imported one is looked up at each use, a third of an answer's time.
const outHeader = OutHeader;
const dirent = Dirent;
const entryOut = EntryOut;

/** Validity of names and attributes in the kernel: 68 years. */
export const FOREVER_SECONDS = 0x7fff_ffff;

/**
 * More inodes than this are said to be this many: statfs(2) of a 32-bit program fails of a larger
 * number.
 */
const MOST_FILES = 0xffff_ffff;
const FILE_TYPE_MASK = 0o170000;
const SYMLINK = 0o120000;
const REGULAR = 0o100000;
const DIRECTORY = 0o040000;

export function isDirectoryMode(mode: number): boolean {
  return (mode & FILE_TYPE_MASK) === DIRECTORY;
}

export function isSymlinkMode(mode: number): boolean {
  return (mode & FILE_TYPE_MASK) === SYMLINK;
}

export function isRegularMode(mode: number): boolean {
  return (mode & FILE_TYPE_MASK) === REGULAR;
}

/** st_blksize for a volume of this block size, in bytes. */
export function preferredIoBytes(blockBytes: number): number {
  return Math.max(blockBytes, LEAST_PREFERRED_BYTES);
}

/** Writes fuse_out_header but for the `unique`. */
export function encodeOutHeader(wire: Wire, at: number, lengthBytes: number, errno: number): void {
  outHeader.len.set(wire.view, at, lengthBytes);
  outHeader.error.set(wire.view, at, -errno);
}

/** The `unique` of a fuse_out_header, as the request had it: its high bit is the kernel's flag. */
export function encodeUnique(wire: Wire, at: number, low: number, high: number): void {
  outHeader.unique_low.set(wire.view, at, low);
  outHeader.unique_high.set(wire.view, at, high);
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

/** Writes fuse_statfs_out; returns its length. */
export function encodeStatfsOut(wire: Wire, at: number, space: SpaceStatistics): number {
  wire.clear(at, Kstatfs.sizeBytes);
  Kstatfs.blocks.set(wire.view, at, space.blocks);
  Kstatfs.bfree.set(wire.view, at, space.freeBlocks);
  Kstatfs.bavail.set(wire.view, at, space.availableBlocks);
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

/** What a fuse_dirent says of its name. */
export interface DirentFields {
  readonly inode: number;
  /** As in a mode. */
  readonly fileType: number;
  readonly offset: number;
}

/** Writes a fuse_dirent; the pad is cleared, so that nothing older shows. Returns its length. */
export function encodeDirent(
  wire: Wire,
  at: number,
  name: Uint8Array,
  { inode, fileType, offset }: DirentFields,
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
