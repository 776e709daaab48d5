/**
 * What stat(2) and statfs(2) say, as node:fs shows it: numbers, or bigints with nanoseconds.
 */
import type { Attributes, SpaceStatistics } from '../fs/base/filesystem.ts';
import { FILE_TYPE_MASK, FileType } from '../fs/format/format.ts';

/**
 * The type of a filesystem of FUSE (FUSE_SUPER_MAGIC of linux/magic.h): what a mount of it shows.
 */
const MAGIC = 0x65735546;
const NANOSECONDS = 1_000_000_000n;
const MILLISECOND = 1_000_000n;

/** What a file is, by its mode. */
abstract class TypedFile<T extends number | bigint> {
  abstract readonly mode: T;

  #is(type: number): boolean {
    return (Number(this.mode) & FILE_TYPE_MASK) === type;
  }

  isFile(): boolean {
    return this.#is(FileType.regular);
  }

  isDirectory(): boolean {
    return this.#is(FileType.directory);
  }

  isSymbolicLink(): boolean {
    return this.#is(FileType.symlink);
  }

  isBlockDevice(): boolean {
    return this.#is(FileType.blockDevice);
  }

  isCharacterDevice(): boolean {
    return this.#is(FileType.characterDevice);
  }

  isFIFO(): boolean {
    return this.#is(FileType.fifo);
  }

  isSocket(): boolean {
    return this.#is(FileType.socket);
  }
}

/** What is not an attribute of the inode. */
export interface StatContext {
  readonly deviceNumber: number;
  readonly blockBytes: number;
}

/** As `fs.Stats`. */
export class VolumeStats extends TypedFile<number> {
  readonly dev: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly blksize: number;
  readonly ino: number;
  readonly size: number;
  readonly blocks: number;
  readonly atimeMs: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly birthtimeMs: number;
  readonly atime: Date;
  readonly mtime: Date;
  readonly ctime: Date;
  readonly birthtime: Date;

  constructor(found: Attributes, { deviceNumber, blockBytes }: StatContext) {
    super();
    this.dev = deviceNumber;
    this.mode = found.mode;
    this.nlink = found.linkCount;
    this.uid = found.uid;
    this.gid = found.gid;
    this.rdev = found.deviceNumber;
    this.blksize = blockBytes;
    this.ino = found.inode;
    this.size = found.sizeBytes;
    this.blocks = found.sectors;
    this.atimeMs = milliseconds(found.accessSeconds, found.accessNanoseconds);
    this.mtimeMs = milliseconds(found.modifySeconds, found.modifyNanoseconds);
    this.ctimeMs = milliseconds(found.changeSeconds, found.changeNanoseconds);
    this.birthtimeMs = milliseconds(found.birthSeconds, found.birthNanoseconds);
    this.atime = new Date(Math.round(this.atimeMs));
    this.mtime = new Date(Math.round(this.mtimeMs));
    this.ctime = new Date(Math.round(this.ctimeMs));
    this.birthtime = new Date(Math.round(this.birthtimeMs));
  }
}

/** As `fs.BigIntStats`. */
export class BigIntVolumeStats extends TypedFile<bigint> {
  readonly dev: bigint;
  readonly mode: bigint;
  readonly nlink: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly rdev: bigint;
  readonly blksize: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly blocks: bigint;
  readonly atimeMs: bigint;
  readonly mtimeMs: bigint;
  readonly ctimeMs: bigint;
  readonly birthtimeMs: bigint;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly birthtimeNs: bigint;
  readonly atime: Date;
  readonly mtime: Date;
  readonly ctime: Date;
  readonly birthtime: Date;

  constructor(found: Attributes, { deviceNumber, blockBytes }: StatContext) {
    super();
    this.dev = BigInt(deviceNumber);
    this.mode = BigInt(found.mode);
    this.nlink = BigInt(found.linkCount);
    this.uid = BigInt(found.uid);
    this.gid = BigInt(found.gid);
    this.rdev = BigInt(found.deviceNumber);
    this.blksize = BigInt(blockBytes);
    this.ino = BigInt(found.inode);
    this.size = BigInt(found.sizeBytes);
    this.blocks = BigInt(found.sectors);
    this.atimeNs = nanoseconds(found.accessSeconds, found.accessNanoseconds);
    this.mtimeNs = nanoseconds(found.modifySeconds, found.modifyNanoseconds);
    this.ctimeNs = nanoseconds(found.changeSeconds, found.changeNanoseconds);
    this.birthtimeNs = nanoseconds(found.birthSeconds, found.birthNanoseconds);
    this.atimeMs = this.atimeNs / MILLISECOND;
    this.mtimeMs = this.mtimeNs / MILLISECOND;
    this.ctimeMs = this.ctimeNs / MILLISECOND;
    this.birthtimeMs = this.birthtimeNs / MILLISECOND;
    this.atime = new Date(Number(this.atimeMs));
    this.mtime = new Date(Number(this.mtimeMs));
    this.ctime = new Date(Number(this.ctimeMs));
    this.birthtime = new Date(Number(this.birthtimeMs));
  }
}

function milliseconds(seconds: number, nanos: number): number {
  return seconds * 1000 + nanos / 1e6;
}

function nanoseconds(seconds: number, nanos: number): bigint {
  return BigInt(seconds) * NANOSECONDS + BigInt(nanos);
}

/** As `fs.StatFs`, of numbers or bigints. */
export interface VolumeSpace<T extends number | bigint> {
  readonly type: T;
  readonly bsize: T;
  readonly blocks: T;
  readonly bfree: T;
  readonly bavail: T;
  readonly files: T;
  readonly ffree: T;
}

export function spaceOf(found: SpaceStatistics): VolumeSpace<number> {
  return {
    type: MAGIC,
    bsize: found.blockBytes,
    blocks: found.blocks,
    bfree: found.freeBlocks,
    bavail: found.availableBlocks,
    files: found.inodes + found.freeInodes,
    ffree: found.freeInodes,
  };
}

export function bigIntSpaceOf(found: SpaceStatistics): VolumeSpace<bigint> {
  const { type, bsize, blocks, bfree, bavail, files, ffree } = spaceOf(found);
  return {
    type: BigInt(type),
    bsize: BigInt(bsize),
    blocks: BigInt(blocks),
    bfree: BigInt(bfree),
    bavail: BigInt(bavail),
    files: BigInt(files),
    ffree: BigInt(ffree),
  };
}

/** As `fs.Dirent`: a name in a directory, and what it is the name of. */
export class VolumeEntry<N extends string | Buffer = string> extends TypedFile<number> {
  readonly name: N;
  /** The directory, as it was asked for. */
  readonly parentPath: string;
  readonly mode: number;
  readonly ino: number;

  constructor(name: N, parentPath: string, type: number, inode: number) {
    super();
    this.name = name;
    this.parentPath = parentPath;
    this.mode = type;
    this.ino = inode;
  }

  /** The same, as Node called it first. */
  get path(): string {
    return this.parentPath;
  }
}
