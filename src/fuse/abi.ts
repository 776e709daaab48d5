/**
 * The FUSE kernel protocol as bytes: opcodes, struct offsets and flag bits of linux/fuse.h, 7.31 to
 * 7.45.
 *
 * This is the only file that knows how the kernel lays out a message. Every struct is a record
 * (common/record.ts), checked as this file is loaded, with the field names of the header:
 * `ReadIn.size.get(wire.view, bodyAt)`. The protocol is host-endian; Quarry runs on little-endian
 * machines.
 *
 * 64-bit fields become JavaScript numbers, which are exact to 2^53. A field gives what it can
 * (values above are too large to equal any real inode or size, and stay too large); `exact` refuses
 * them.
 */
import { viewOf } from '../common/bytes.ts';
import { Bytes, I32, I64, record, U16, U32, U64 } from '../common/record.ts';
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

// Structs, with the field names of the header.

export const InHeader = record('fuse_in_header', 40, {
  len: new U32(0),
  opcode: new U32(4),
  /** In halves, since it goes back bit for bit. */
  unique_low: new U32(8),
  unique_high: new U32(12),
  nodeid: new U64(16),
  uid: new U32(24),
  gid: new U32(28),
  pid: new U32(32),
  total_extlen: new U16(36),
  padding: new U16(38),
});
export const OutHeader = record('fuse_out_header', 16, {
  len: new U32(0),
  error: new I32(4),
  unique_low: new U32(8),
  unique_high: new U32(12),
});

/** Times are signed, whatever the header says: the kernel takes them for time64_t. */
export const Attr = record('fuse_attr', 88, {
  ino: new U64(0),
  size: new U64(8),
  blocks: new U64(16),
  atime: new I64(24),
  mtime: new I64(32),
  ctime: new I64(40),
  atimensec: new U32(48),
  mtimensec: new U32(52),
  ctimensec: new U32(56),
  mode: new U32(60),
  nlink: new U32(64),
  uid: new U32(68),
  gid: new U32(72),
  rdev: new U32(76),
  blksize: new U32(80),
  flags: new U32(84),
});

export const EntryOut = record('fuse_entry_out', 128, {
  nodeid: new U64(0),
  generation: new U64(8),
  entry_valid: new U64(16),
  attr_valid: new U64(24),
  entry_valid_nsec: new U32(32),
  attr_valid_nsec: new U32(36),
  attr: new Bytes(40, Attr.sizeBytes),
});

export const AttrOut = record('fuse_attr_out', 104, {
  attr_valid: new U64(0),
  attr_valid_nsec: new U32(8),
  dummy: new U32(12),
  attr: new Bytes(16, Attr.sizeBytes),
});

export const StatxTime = record('fuse_sx_time', 16, {
  tv_sec: new I64(0),
  tv_nsec: new U32(8),
  reserved: new U32(12),
});

/** struct fuse_statx, bit for bit the struct statx of statx(2). */
export const Statx = record('fuse_statx', 256, {
  mask: new U32(0),
  blksize: new U32(4),
  attributes: new U64(8),
  nlink: new U32(16),
  uid: new U32(20),
  gid: new U32(24),
  mode: new U16(28),
  spare0: new U16(30),
  ino: new U64(32),
  size: new U64(40),
  blocks: new U64(48),
  attributes_mask: new U64(56),
  atime: new Bytes(64, StatxTime.sizeBytes),
  btime: new Bytes(80, StatxTime.sizeBytes),
  ctime: new Bytes(96, StatxTime.sizeBytes),
  mtime: new Bytes(112, StatxTime.sizeBytes),
  rdev_major: new U32(128),
  rdev_minor: new U32(132),
  dev_major: new U32(136),
  dev_minor: new U32(140),
  spare: new Bytes(144, 112),
});

export const StatxOut = record('fuse_statx_out', 288, {
  attr_valid: new U64(0),
  attr_valid_nsec: new U32(8),
  flags: new U32(12),
  spare: new Bytes(16, 16),
  stat: new Bytes(32, Statx.sizeBytes),
});

/** STATX_BASIC_STATS and STATX_BTIME. */
export const STATX_ALL = 0x0fff;

/** STATX_ATTR_* that there are here. Linux up to 6.18 does not pass them on (fuse_do_statx). */
export const StatxAttribute = { IMMUTABLE: 0x10, APPEND: 0x20, NODUMP: 0x40 } as const;
export const STATX_ATTRIBUTES = StatxAttribute.IMMUTABLE | StatxAttribute.APPEND | StatxAttribute.NODUMP;

export const Kstatfs = record('fuse_kstatfs', 80, {
  blocks: new U64(0),
  bfree: new U64(8),
  bavail: new U64(16),
  files: new U64(24),
  ffree: new U64(32),
  bsize: new U32(40),
  namelen: new U32(44),
  frsize: new U32(48),
  padding: new U32(52),
  spare: new Bytes(56, 24),
});

export const ForgetIn = record('fuse_forget_in', 8, { nlookup: new U64(0) });
export const BatchForgetIn = record('fuse_batch_forget_in', 8, { count: new U32(0), dummy: new U32(4) });
export const ForgetOne = record('fuse_forget_one', 16, { nodeid: new U64(0), nlookup: new U64(8) });
export const GetattrIn = record('fuse_getattr_in', 16, {
  getattr_flags: new U32(0),
  dummy: new U32(4),
  fh: new U64(8),
});
/** FUSE_GETATTR_FH: asked on behalf of an open file, not of stat(2). */
export const GETATTR_FH = 1;

/** What a message without a request is: stands in its error field. */
export const NotifyCode = { invalInode: 2, store: 4, prune: 9 } as const;
/** FUSE_NOTIFY_INVAL_INODE. */
export const NotifyInvalInode = record('fuse_notify_inval_inode_out', 24, {
  ino: new U64(0),
  off: new I64(8),
  len: new I64(16),
});
/**
 * FUSE_NOTIFY_STORE. One of no bytes beyond the file's end stores nothing, and has the kernel take
 * the counts and times of the file for outdated, but not its mode: from 7.36 on (Linux 5.17).
 * Before 5.16 it would move the file's end.
 */
export const NotifyStore = record('fuse_notify_store_out', 24, {
  nodeid: new U64(0),
  offset: new U64(8),
  size: new U32(16),
  padding: new U32(20),
});
export const STORE_COUNTS_ONLY_MINOR = 36;
/** FUSE_NOTIFY_PRUNE: `count` inodes follow, 8 bytes each. */
export const NotifyPrune = record('fuse_notify_prune_out', 16, {
  count: new U32(0),
  padding: new U32(4),
  spare: new U64(8),
});
/** The first minor version that knows FUSE_NOTIFY_PRUNE. */
export const PRUNE_MINOR = 45;
/** One inode of a FUSE_NOTIFY_PRUNE. */
export const PrunedNode = record('inode of a prune', 8, { nodeid: new U64(0) });

export const StatxIn = record('fuse_statx_in', 24, {
  getattr_flags: new U32(0),
  reserved: new U32(4),
  fh: new U64(8),
  sx_flags: new U32(16),
  sx_mask: new U32(20),
});
export const MknodIn = record('fuse_mknod_in', 16, {
  mode: new U32(0),
  rdev: new U32(4),
  umask: new U32(8),
  padding: new U32(12),
});
export const MkdirIn = record('fuse_mkdir_in', 8, { mode: new U32(0), umask: new U32(4) });
export const CreateIn = record('fuse_create_in', 16, {
  flags: new U32(0),
  mode: new U32(4),
  umask: new U32(8),
  open_flags: new U32(12),
});
export const RenameIn = record('fuse_rename_in', 8, { newdir: new U64(0) });
export const Rename2In = record('fuse_rename2_in', 16, {
  newdir: new U64(0),
  flags: new U32(8),
  padding: new U32(12),
});
export const LinkIn = record('fuse_link_in', 8, { oldnodeid: new U64(0) });
export const ReadIn = record('fuse_read_in', 40, {
  fh: new U64(0),
  offset: new U64(8),
  size: new U32(16),
  read_flags: new U32(20),
  lock_owner: new U64(24),
  flags: new U32(32),
  padding: new U32(36),
});
export const WriteIn = record('fuse_write_in', 40, {
  fh: new U64(0),
  offset: new U64(8),
  size: new U32(16),
  write_flags: new U32(20),
  lock_owner: new U64(24),
  flags: new U32(32),
  padding: new U32(36),
});
export const WriteOut = record('fuse_write_out', 8, { size: new U32(0), padding: new U32(4) });
export const FsyncIn = record('fuse_fsync_in', 16, {
  fh: new U64(0),
  fsync_flags: new U32(8),
  padding: new U32(12),
});
/** Bits of `fsync_flags`. */
export const FsyncFlag = { FDATASYNC: 1 } as const;
export const FallocateIn = record('fuse_fallocate_in', 32, {
  fh: new U64(0),
  offset: new U64(8),
  length: new U64(16),
  mode: new U32(24),
  padding: new U32(28),
});
/** FALLOC_FL_* of linux/falloc.h. */
export const FallocateFlag = { KEEP_SIZE: 1 << 0, PUNCH_HOLE: 1 << 1, ZERO_RANGE: 1 << 4 } as const;
export const LseekIn = record('fuse_lseek_in', 24, {
  fh: new U64(0),
  offset: new U64(8),
  whence: new U32(16),
  padding: new U32(20),
});
/** SEEK_* of linux/fs.h, as far as they come to us. */
export const SeekWhence = { DATA: 3, HOLE: 4 } as const;
export const LseekOut = record('fuse_lseek_out', 8, { offset: new U64(0) });
export const CopyFileRangeIn = record('fuse_copy_file_range_in', 56, {
  fh_in: new U64(0),
  off_in: new U64(8),
  nodeid_out: new U64(16),
  fh_out: new U64(24),
  off_out: new U64(32),
  len: new U64(40),
  flags: new U64(48),
});
export const CopyFileRangeOut = record('fuse_copy_file_range_out', 8, { bytes_copied: new U64(0) });
export const IoctlIn = record('fuse_ioctl_in', 32, {
  fh: new U64(0),
  flags: new U32(8),
  cmd: new U32(12),
  arg: new U64(16),
  in_size: new U32(24),
  out_size: new U32(28),
});
export const IoctlOut = record('fuse_ioctl_out', 16, {
  result: new I32(0),
  flags: new U32(4),
  in_iovs: new U32(8),
  out_iovs: new U32(12),
});
export const OpenOut = record('fuse_open_out', 16, {
  fh: new U64(0),
  open_flags: new U32(8),
  backing_id: new I32(12),
});

export const SetattrIn = record('fuse_setattr_in', 88, {
  valid: new U32(0),
  padding: new U32(4),
  fh: new U64(8),
  size: new U64(16),
  lock_owner: new U64(24),
  atime: new I64(32),
  mtime: new I64(40),
  ctime: new I64(48),
  atimensec: new U32(56),
  mtimensec: new U32(60),
  ctimensec: new U32(64),
  mode: new U32(68),
  unused4: new U32(72),
  uid: new U32(76),
  gid: new U32(80),
  unused5: new U32(84),
});

export const SetxattrIn = record('fuse_setxattr_in', 16, {
  size: new U32(0),
  flags: new U32(4),
  setxattr_flags: new U32(8),
  padding: new U32(12),
});
/** FUSE_COMPAT_SETXATTR_IN_SIZE: what is sent of it without SETXATTR_EXT. */
export const SETXATTR_COMPAT_BYTES = SetxattrIn.setxattr_flags.offset;
/** Flags of setxattr(2). */
export const SetxattrFlag = { CREATE: 1, REPLACE: 2 } as const;
/** FUSE_SETXATTR_ACL_KILL_SGID: the caller may not keep set-group-id with a new access ACL. */
export const SETXATTR_ACL_KILL_SGID = 1 << 0;
/** Of LISTXATTR as well, without a name behind it. */
export const GetxattrIn = record('fuse_getxattr_in', 8, { size: new U32(0), padding: new U32(4) });
export const GetxattrOut = record('fuse_getxattr_out', 8, { size: new U32(0), padding: new U32(4) });

export const InitIn = record('fuse_init_in', 64, {
  major: new U32(0),
  minor: new U32(4),
  max_readahead: new U32(8),
  flags: new U32(12),
  flags2: new U32(16),
  unused: new Bytes(20, 44),
});
/** What kernels before 7.36 send of it. */
export const INIT_IN_LEAST_BYTES = InitIn.flags2.offset;

export const InitOut = record('fuse_init_out', 64, {
  major: new U32(0),
  minor: new U32(4),
  max_readahead: new U32(8),
  flags: new U32(12),
  max_background: new U16(16),
  congestion_threshold: new U16(18),
  max_write: new U32(20),
  time_gran: new U32(24),
  max_pages: new U16(28),
  map_alignment: new U16(30),
  flags2: new U32(32),
  max_stack_depth: new U32(36),
  request_timeout: new U16(40),
  unused: new Bytes(42, 22),
});

/** A directory entry: the name follows, and the whole is padded to 8. */
export const Dirent = record('fuse_dirent', 24, {
  ino: new U64(0),
  off: new U64(8),
  namelen: new U32(16),
  type: new U32(20),
});
/** An entry with its attributes; the name follows as well. */
export const Direntplus = record('fuse_direntplus', 152, {
  entry: new Bytes(0, EntryOut.sizeBytes),
  dirent: new Bytes(128, Dirent.sizeBytes),
});

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
  /** An open file is named: its times are handed over, or it is truncated. */
  FH: 1 << 6,
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
export const BmapIn = record('fuse_bmap_in', 16, {
  block: new U64(0),
  blocksize: new U32(8),
  padding: new U32(12),
});
export const BmapOut = record('fuse_bmap_out', 8, { block: new U64(0) });
/** struct fsxattr of linux/fs.h. */
export const FsXattr = record('fsxattr', 28, {
  xflags: new U32(0),
  extsize: new U32(4),
  nextents: new U32(8),
  projid: new U32(12),
  cowextsize: new U32(16),
  pad: new Bytes(20, 8),
});
/** FUSE_IOCTL_DIR: on a directory. */
export const IOCTL_DIR = 1 << 4;
export const OpenOutFlag = { KEEP_CACHE: 1 << 1, CACHE_DIR: 1 << 3 } as const;

/**
 * Bits 0–31 of the flags of INIT.
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
  POSIX_ACL: 1 << 20,
  MAX_PAGES: 1 << 22,
  CACHE_SYMLINKS: 1 << 23,
  NO_OPENDIR_SUPPORT: 1 << 24,
  HANDLE_KILLPRIV_V2: 1 << 28,
  SETXATTR_EXT: 1 << 29,
  INIT_EXT: 1 << 30,
} as const;

/** Bits 32 and up, which travel in `flags2`, and only with INIT_EXT. */
export const InitFlag2 = { ALLOW_IDMAP: 1 << (40 - 32) } as const;

/** FUSE_INVALID_UIDGID: who asks is not said. */
export const NO_CALLER = 0xffff_ffff;

/** A high word of this or more means a value of 2^53 or more. */
const INEXACT_HIGH = 1 << 21;

/** @throws FsError `refusal` for values of 2^53 and more. */
export function exact(field: U64, view: DataView, at: number, refusal: ErrnoName): number {
  if (view.getUint32(at + field.offset + 4, true) >= INEXACT_HIGH) throw fsError(refusal);
  return field.get(view, at);
}

/** The channel's memory, as the fields above read and write it. */
export class Wire {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }

  clear(at: number, lengthBytes: number): void {
    this.bytes.fill(0, at, at + lengthBytes);
  }
}
