/**
 * What a POSIX case may ask of a filesystem, whatever stands behind it.
 *
 * `Calls` are the system calls of one user, relative to one directory. Three things implement them:
 * a volume in memory (volume-nodes.ts), FUSE requests as bytes onto such a volume (fuse-nodes.ts),
 * both below a small stand-in for the kernel (name-walk.ts), and a real mount (mount-calls.ts).
 *
 * Paths are strings of bytes: each character is one byte (latin1). Times are nanoseconds since
 * 1970. A call that fails throws an error whose `code` is the errno's name.
 */
import { constants } from 'node:os';
import { RenameFlag, type SetMode } from '../../src/fs/base/filesystem.ts';

/** What a harness may lack. A case that needs it says so, and is left out where it is missing. */
export type Capability =
  /** Somebody checks who may do what, as the kernel does with `default_permissions`. */
  | 'permissions'
  /** Somebody knows open files: access modes, O_APPEND, O_NOFOLLOW, O_DIRECTORY. */
  | 'open files'
  /** Paths are walked as the kernel does: symlinks, and the limit of a path's length. */
  | 'path walk'
  /** A name with a '/' reaches the filesystem. */
  | 'slash in names'
  /** What users and groups have is counted, and can be limited. */
  | 'quotas'
  /** A name with a NUL does. */
  | 'NUL in names'
  /** An empty text and a size below zero can be said at all. */
  | 'texts and sizes of nothing';

export const { noReplace: NOREPLACE, exchange: EXCHANGE, whiteout: WHITEOUT } = RenameFlag;

export const Type = {
  mask: 0o170000,
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  regular: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const;

/** Flags of chattr(1), as FS_IOC_SETFLAGS has them. */
export const Flag = {
  sync: 0x8,
  immutable: 0x10,
  append: 0x20,
  noDump: 0x40,
  noAccessTime: 0x80,
  dirSync: 0x1_0000,
  topDir: 0x2_0000,
  givesProject: 0x2000_0000,
} as const;
export const ALL_FLAGS = Object.values(Flag).reduce((all, flag) => all | flag, 0);

export interface User {
  readonly uid: number;
  readonly gid: number;
  /** Further groups, which only a kernel looks at. */
  readonly groups: readonly number[];
  readonly umask: number;
}

export const ROOT: User = { uid: 0, gid: 0, groups: [], umask: 0o022 };

export interface Device {
  readonly major: number;
  readonly minor: number;
}

export interface Status {
  readonly inode: number;
  readonly type: number;
  /** Without the type. */
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly device: Device;
  readonly sizeBytes: number;
  readonly sectors: number;
  readonly accessNs: bigint;
  readonly modifyNs: bigint;
  readonly changeNs: bigint;
}

export interface Space {
  readonly blockBytes: number;
  readonly blocks: number;
  readonly freeBlocks: number;
  readonly files: number;
  readonly freeFiles: number;
  readonly nameBytes: number;
}

export interface Entry {
  readonly name: string;
  readonly inode: number;
  readonly type: number;
  /** Where to go on behind this entry. */
  readonly cookie: bigint;
}

/** A time for utimensat(2). */
export type TimeToSet = bigint | 'now' | 'omit';

/** `path` is O_PATH: it holds the file, whatever it is, and follows no symlink. */
export type Access = 'read' | 'write' | 'both' | 'path';
export type OpenFlag =
  | 'create'
  | 'exclusive'
  | 'truncate'
  | 'append'
  | 'noFollow'
  | 'directory'
  | 'sync'
  /** O_TMPFILE: the path is that of a directory. */
  | 'unnamed';

export type RangeChange = 'allocate' | 'punch' | 'zero';

export interface OpenFile {
  read(offset: number, lengthBytes: number): Promise<Buffer>;
  /** Writes all of it. */
  write(offset: number, data: Uint8Array): Promise<void>;
  status(): Promise<Status>;
  /** fallocate(2), of the modes that FUSE knows. */
  fallocate(change: RangeChange, offset: number, lengthBytes: number, keepSize: boolean): Promise<void>;
  /** lseek(2) with SEEK_DATA or SEEK_HOLE. */
  seek(offset: number, target: 'data' | 'hole'): Promise<number>;
  /** copy_file_range(2), once. */
  copyTo(target: OpenFile, from: number, to: number, lengthBytes: number): Promise<number>;
  truncate(sizeBytes: number): Promise<void>;
  chmod(mode: number): Promise<void>;
  utimens(access: TimeToSet, modify: TimeToSet): Promise<void>;
  /**
   * Gives the open file a name, as linkat(2) does with AT_EMPTY_PATH.
   * @param directory where `path` begins, if it is another one than the caller's
   */
  link(path: string, directory?: OpenFile): Promise<void>;
  /**
   * Entries of an open directory behind `cookie`, as getdents64(2) gives them into a buffer of so
   * many bytes; none at the end.
   */
  list(cookie: bigint, bufferBytes: number): Promise<Entry[]>;
  /** fsync(2). */
  sync(): Promise<void>;
  /** What somebody keeps of the content in memory is let go of; after `sync`. */
  dropCache(): Promise<void>;
  close(): Promise<void>;
}

/** None of them follows a symlink at the end of a path, but `open` without 'noFollow'. */
export interface Calls {
  /** The same directory, by somebody else. */
  as(user: Partial<User>): Calls;
  /** The same user, in a directory that is open. */
  at(directory: OpenFile): Calls;

  mkdir(path: string, mode?: number): Promise<void>;
  /** mknod(2); `mode` with the type. */
  mknod(path: string, mode: number, device?: Device): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  readlink(path: string): Promise<string>;
  link(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  rmdir(path: string): Promise<void>;
  rename(from: string, to: string, flags?: number): Promise<void>;
  /** `to` begins in the open directory. */
  renameInto(directory: OpenFile, from: string, to: string): Promise<void>;
  status(path: string): Promise<Status>;
  /** stat(2), which follows symlinks: for those who have 'path walk'. */
  statusBehind(path: string): Promise<Status>;
  chmod(path: string, mode: number): Promise<void>;
  /** Undefined leaves the one as it is. */
  chown(path: string, uid: number | undefined, gid: number | undefined): Promise<void>;
  utimens(path: string, access: TimeToSet, modify: TimeToSet): Promise<void>;
  truncate(path: string, sizeBytes: number): Promise<void>;
  /** Those of `Flag`; FS_IOC_GETFLAGS of a file or directory. */
  flags(path: string): Promise<number>;
  /** Leaves flags that are none of `Flag` as they are. */
  setFlags(path: string, flags: number): Promise<void>;
  open(path: string, access: Access, flags?: readonly OpenFlag[], mode?: number): Promise<OpenFile>;
  statfs(): Promise<Space>;
  readonly quotas: Quotas;
  /** lgetxattr(2). */
  attribute(path: string, name: string): Promise<Buffer>;
  /** llistxattr(2), sorted. */
  attributes(path: string): Promise<string[]>;
  /** lsetxattr(2). */
  setAttribute(path: string, name: string, value: Uint8Array, mode?: SetMode): Promise<void>;
  /** lremovexattr(2). */
  removeAttribute(path: string, name: string): Promise<void>;

  /** mknod(2) of a regular file whose name is not taken apart. */
  makeNamed(name: string): Promise<void>;

  /** Time goes on: whatever is stamped from now on is later than anything before. */
  tick(): Promise<void>;
  /** What the clock of the filesystem says. */
  now(): Promise<bigint>;
}

/** Who has what is counted. */
export interface Owner {
  readonly kind: 'user' | 'group';
  readonly id: number;
}

export interface Usage {
  readonly bytes: number;
  readonly inodes: number;
}

/** What is not said stays; 0 is no limit. Bytes in whole blocks of the filesystem. */
export interface Limits {
  readonly softBytes?: number;
  readonly hardBytes?: number;
  readonly softInodes?: number;
  readonly hardInodes?: number;
}

/** For those who have 'quotas'. */
export interface Quotas {
  usage(owner: Owner): Promise<Usage>;
  limit(owner: Owner, limits: Limits): Promise<void>;
}

export const NO_QUOTAS: Quotas = {
  usage: () => Promise.reject(new Error('nothing is counted here')),
  limit: () => Promise.reject(new Error('nothing is counted here')),
};

/** An errno, by name. */
export class PosixError extends Error {
  readonly code: string;

  constructor(errno: number, what: string) {
    const code = ERRNO_NAMES.get(errno) ?? `errno ${errno}`;
    super(`${what}: ${code}`);
    this.code = code;
  }
}

/** Of two names for one number the first, but for those: EAGAIN, not EWOULDBLOCK. */
const OTHER_NAMES: readonly string[] = ['ENOTSUP'];
const ERRNO_NAMES = new Map(
  Object.entries(constants.errno)
    .filter(([name]) => !OTHER_NAMES.includes(name))
    .map(([name, number]): [number, string] => [number, name])
    .reverse(),
);
