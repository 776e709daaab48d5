/**
 * The FUSE kernel protocol as bytes: opcodes, struct offsets and flag bits of linux/fuse.h, 7.31 to
 * 7.45.
 *
 * This is the only file that knows how the kernel lays out a message. Every struct is a literal
 * table `{ bytes, field: offset, … }` with the field names of the header, and `Wire` reads and
 * writes numbers at byte offsets of the channel's memory. The protocol is host-endian; Quarry runs
 * on little-endian machines.
 *
 * 64-bit fields become JavaScript numbers, which are exact to 2^53. `u64` gives what it can (values
 * above are too large to equal any real inode or size, and stay too large); `exactU64` refuses
 * them.
 */
import { TWO_32, viewOf } from '../common/bytes.ts';
import { type ErrnoName, fsError } from '../fs/base/errors.ts';

export const FUSE_MAJOR = 7;
/** Oldest minor version spoken (Linux 5.4), and the newest known. */
export const FUSE_MINOR_LEAST = 31;
export const FUSE_MINOR_MOST = 45;

export const ROOT_NODE = 1;

export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  GETLK: 31,
  SETLK: 32,
  SETLKW: 33,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  BMAP: 37,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  SETUPMAPPING: 48,
  REMOVEMAPPING: 49,
  SYNCFS: 50,
  TMPFILE: 51,
  STATX: 52,
  COPY_FILE_RANGE_64: 53,
} as const;

/** One more than the largest opcode known: the length of tables indexed by opcode. */
export const OPCODE_LIMIT = 54;

// Structs: the length, then the offset of each field, all in bytes.

export const InHeader = {
  bytes: 40,
  len: 0,
  opcode: 4,
  unique: 8,
  nodeid: 16,
  uid: 24,
  gid: 28,
  pid: 32,
} as const;
export const OutHeader = { bytes: 16, len: 0, error: 4, unique: 8 } as const;

export const Attr = {
  bytes: 88,
  ino: 0,
  size: 8,
  blocks: 16,
  atime: 24,
  mtime: 32,
  ctime: 40,
  atimensec: 48,
  mtimensec: 52,
  ctimensec: 56,
  mode: 60,
  nlink: 64,
  uid: 68,
  gid: 72,
  rdev: 76,
  blksize: 80,
  flags: 84,
} as const;

export const EntryOut = {
  bytes: 128,
  nodeid: 0,
  generation: 8,
  entry_valid: 16,
  attr_valid: 24,
  entry_valid_nsec: 32,
  attr_valid_nsec: 36,
  attr: 40,
} as const;

export const AttrOut = { bytes: 104, attr_valid: 0, attr_valid_nsec: 8, dummy: 12, attr: 16 } as const;

export const StatxOut = {
  bytes: 288,
  attr_valid: 0,
  attr_valid_nsec: 8,
  flags: 12,
  spare: 16,
  stat: 32,
} as const;

/** struct fuse_statx, bit for bit the struct statx of statx(2). */
export const Statx = {
  bytes: 256,
  mask: 0,
  blksize: 4,
  attributes: 8,
  nlink: 16,
  uid: 20,
  gid: 24,
  mode: 28,
  ino: 32,
  size: 40,
  blocks: 48,
  attributes_mask: 56,
  atime: 64,
  btime: 80,
  ctime: 96,
  mtime: 112,
  rdev_major: 128,
  rdev_minor: 132,
  dev_major: 136,
  dev_minor: 140,
  spare: 144,
} as const;

/** STATX_BASIC_STATS and STATX_BTIME. */
export const STATX_ALL = 0x0fff;

export const Kstatfs = {
  bytes: 80,
  blocks: 0,
  bfree: 8,
  bavail: 16,
  files: 24,
  ffree: 32,
  bsize: 40,
  namelen: 44,
  frsize: 48,
  padding: 52,
  spare: 56,
} as const;

export const ForgetIn = { bytes: 8, nlookup: 0 } as const;
export const BatchForgetIn = { bytes: 8, count: 0 } as const;
export const ForgetOne = { bytes: 16, nodeid: 0, nlookup: 8 } as const;
export const GetattrIn = { bytes: 16, getattr_flags: 0 } as const;
/** FUSE_GETATTR_FH: asked on behalf of an open file, not of stat(2). */
export const GETATTR_FH = 1;
/** FUSE_NOTIFY_INVAL_INODE: stands in the error field of a message without a request. */
export const NotifyInvalInode = { bytes: 24, code: 2, ino: 0, off: 8, len: 16 } as const;
/**
 * FUSE_NOTIFY_STORE. One of no bytes beyond the file's end stores nothing, and has the kernel take
 * the counts and times of the file for outdated, but not its mode: from 7.36 on (Linux 5.17).
 * Before 5.16 it would move the file's end.
 */
export const NotifyStore = {
  bytes: 24,
  code: 4,
  countsOnlyMinor: 36,
  nodeid: 0,
  offset: 8,
  size: 16,
} as const;
/** FUSE_NOTIFY_PRUNE, of kernels that speak 7.45: `count` inodes follow, 8 bytes each. */
export const NotifyPrune = { bytes: 16, code: 9, minor: 45, count: 0, spare: 8 } as const;
export const StatxIn = { bytes: 24 } as const;
export const MknodIn = { bytes: 16, mode: 0, rdev: 4, umask: 8 } as const;
export const MkdirIn = { bytes: 8, mode: 0, umask: 4 } as const;
export const CreateIn = { bytes: 16, flags: 0, mode: 4, umask: 8, open_flags: 12 } as const;
export const RenameIn = { bytes: 8, newdir: 0 } as const;
export const Rename2In = { bytes: 16, newdir: 0, flags: 8 } as const;
export const LinkIn = { bytes: 8, oldnodeid: 0 } as const;
export const ReadIn = { bytes: 40, fh: 0, offset: 8, size: 16, read_flags: 20, flags: 32 } as const;
export const WriteIn = { bytes: 40, fh: 0, offset: 8, size: 16, write_flags: 20, flags: 32 } as const;
export const WriteOut = { bytes: 8, size: 0, padding: 4 } as const;
export const IoctlIn = { bytes: 32, fh: 0, flags: 8, cmd: 12, arg: 16, in_size: 24, out_size: 28 } as const;
export const IoctlOut = { bytes: 16, result: 0, flags: 4, in_iovs: 8, out_iovs: 12 } as const;
export const OpenOut = { bytes: 16, fh: 0, open_flags: 8, backing_id: 12 } as const;

export const SetattrIn = {
  bytes: 88,
  valid: 0,
  fh: 8,
  size: 16,
  lock_owner: 24,
  atime: 32,
  mtime: 40,
  ctime: 48,
  atimensec: 56,
  mtimensec: 60,
  ctimensec: 64,
  mode: 68,
  uid: 76,
  gid: 80,
} as const;

/** `leastBytes` is what kernels before 7.36 send, without flags2. */
export const InitIn = {
  leastBytes: 16,
  major: 0,
  minor: 4,
  max_readahead: 8,
  flags: 12,
  flags2: 16,
} as const;

export const InitOut = {
  bytes: 64,
  major: 0,
  minor: 4,
  max_readahead: 8,
  flags: 12,
  max_background: 16,
  congestion_threshold: 18,
  max_write: 20,
  time_gran: 24,
  max_pages: 28,
  map_alignment: 30,
  flags2: 32,
} as const;

/** A directory entry: the name follows at `bytes`, and the record is padded to 8. */
export const Dirent = { bytes: 24, ino: 0, off: 8, namelen: 16, type: 20 } as const;
/** An entry with its attributes: a fuse_entry_out, then a fuse_dirent. */
export const Direntplus = { bytes: 152, entry: 0, dirent: 128 } as const;

// Flag bits.

export const SetattrValid = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  CTIME: 1 << 10,
  KILL_SUIDGID: 1 << 11,
} as const;

/**
 * FUSE_READ_LOCKOWNER: the kernel sets it where a read(2) goes past its page cache, and nowhere
 * else.
 */
export const READ_LOCKOWNER = 1 << 1;
/** LOCKOWNER, as with READ, where a write(2) goes past the page cache. */
export const WriteFlag = { CACHE: 1 << 0, LOCKOWNER: 1 << 1, KILL_SUIDGID: 1 << 2 } as const;
/** FUSE_IOCTL_DIR: on a directory. */
export const IOCTL_DIR = 1 << 4;
export const OpenOutFlag = { KEEP_CACHE: 1 << 1, CACHE_DIR: 1 << 3 } as const;

/**
 * Bits 0–31 of the flags of INIT. Bits 32 and up travel in `flags2`, and only with INIT_EXT; none
 * of those is used yet.
 */
export const InitFlag = {
  ASYNC_READ: 1 << 0,
  ATOMIC_O_TRUNC: 1 << 3,
  EXPORT_SUPPORT: 1 << 4,
  BIG_WRITES: 1 << 5,
  DONT_MASK: 1 << 6,
  DO_READDIRPLUS: 1 << 13,
  READDIRPLUS_AUTO: 1 << 14,
  ASYNC_DIO: 1 << 15,
  WRITEBACK_CACHE: 1 << 16,
  NO_OPEN_SUPPORT: 1 << 17,
  PARALLEL_DIROPS: 1 << 18,
  MAX_PAGES: 1 << 22,
  CACHE_SYMLINKS: 1 << 23,
  NO_OPENDIR_SUPPORT: 1 << 24,
  HANDLE_KILLPRIV_V2: 1 << 28,
  INIT_EXT: 1 << 30,
} as const;

/** A high word of this or more means a value of 2^53 or more. */
const INEXACT_HIGH = 1 << 21;

/** Numbers at byte offsets of the channel's memory, as the kernel writes and reads them. */
export class Wire {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = viewOf(bytes);
  }

  u16(at: number): number {
    return this.#view.getUint16(at, true);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  i32(at: number): number {
    return this.#view.getInt32(at, true);
  }

  u64(at: number): number {
    return this.#view.getUint32(at + 4, true) * TWO_32 + this.#view.getUint32(at, true);
  }

  i64(at: number): number {
    return this.#view.getInt32(at + 4, true) * TWO_32 + this.#view.getUint32(at, true);
  }

  /** @throws FsError `refusal` for values of 2^53 and more. */
  exactU64(at: number, refusal: ErrnoName): number {
    if (this.#view.getUint32(at + 4, true) >= INEXACT_HIGH) throw fsError(refusal);
    return this.u64(at);
  }

  setU16(at: number, value: number): void {
    this.#view.setUint16(at, value, true);
  }

  setU32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  setI32(at: number, value: number): void {
    this.#view.setInt32(at, value, true);
  }

  /** Any integer of −2^53 to 2^53, also for signed fields: two's complement. */
  set64(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
    this.#view.setInt32(at + 4, Math.floor(value / TWO_32), true);
  }

  clear(at: number, lengthBytes: number): void {
    this.bytes.fill(0, at, at + lengthBytes);
  }
}
