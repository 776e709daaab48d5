/**
 * What a FUSE layer may ask of a volume.
 *
 * Metadata operations are synchronous functions of cached metadata, made inside `execute`:
 * `perform` runs from start to end without waiting, all or nothing; if a block it needs is not in
 * memory, everything it changed goes back, the block is loaded, and it runs again from the top. So
 * `perform` must leave no mark outside the transaction that a second run would not overwrite.
 * `finished` is called exactly once at the end; for a cached operation both calls come before
 * `execute` returns.
 *
 * Data operations (read, write, setAttributes with a size) move bytes and end by `finished` as
 * well. Everything else that waits returns a promise.
 */
import type { Memory } from '../../aio/device.ts';

/** Handle of one run of a transaction; valid only inside `perform`. */
export interface TransactionHandle {
  readonly readOnly: boolean;
  /** It changed names in a directory whose changes are to be durable when they are answered. */
  readonly mustBeDurable?: boolean;
}

/** Who asks for something that may take space. */
export interface Claimant {
  /**
   * Limits of quotas hold for it, as they do for whoever is not root. Asked when one is reached.
   * Default: false.
   */
  readonly isLimited?: boolean;
  /** It may have space that is reserved for root. Default: whoever is not limited. */
  readonly usesReserve?: boolean;
}

/** Space that ordinary users leave to root: so much, and a share of all that files can have. */
export interface ReservedSpace {
  readonly bytes: number;
  /** From 0 to 1. */
  readonly share: number;
}

export interface Operation<Tx = TransactionHandle> extends Claimant {
  /** Does the work; throws `FsError` for the user, `CorruptionError` for the disk. */
  perform(tx: Tx): void;
  /**
   * @param thrown undefined on success, otherwise what `perform` (or loading its blocks) threw;
   * `errnoOf` makes an errno of it. Must not throw.
   */
  finished(thrown: unknown): void;
  /** It gives blocks back: out of space, it does not wait for others that do. */
  readonly givesBack?: boolean;
}

/** The caller, from the request header. */
export interface Caller {
  uid: number;
  gid: number;
  umask: number;
}

/** What chattr(1) sets of an inode. */
export const FileFlag = {
  /** Nothing may be changed, not even names of it and in it. */
  immutable: 2,
  /** What is written goes to the end; of a directory: names come and do not go. */
  appendOnly: 4,
  noDump: 8,
  noAccessTime: 16,
  /** A change is durable when it is answered. */
  synchronous: 32,
  /** The same for the names in a directory. */
  synchronousDirectory: 64,
  /** Directories in this one have nothing to do with each other. */
  topDirectory: 128,
  /** What is made in this directory is of its project. */
  inheritsProject: 256,
} as const;

/**
 * Attributes of one inode; one object may be filled again and again. Times in seconds since 1970
 * (signed) and nanoseconds.
 */
export interface Attributes {
  inode: number;
  generation: number;
  /** File type and permissions. */
  mode: number;
  linkCount: number;
  uid: number;
  gid: number;
  deviceNumber: number;
  sizeBytes: number;
  /** Space in use, in 512-byte units as stat(2) has it. */
  sectors: number;
  accessSeconds: number;
  accessNanoseconds: number;
  modifySeconds: number;
  modifyNanoseconds: number;
  changeSeconds: number;
  changeNanoseconds: number;
  birthSeconds: number;
  birthNanoseconds: number;
  /** Of `FileFlag`. */
  flags: number;
  /** Project that its space is counted for; 0 for none. */
  projectId: number;
}

/**
 * Changes that setAttributes applies; a field that is undefined stays as it is. Seconds 'now' is
 * the current time.
 */
export interface AttributeChanges {
  mode?: number | undefined;
  uid?: number | undefined;
  gid?: number | undefined;
  accessSeconds?: number | 'now' | undefined;
  accessNanoseconds?: number | undefined;
  modifySeconds?: number | 'now' | undefined;
  modifyNanoseconds?: number | undefined;
  /** Where the kernel keeps ctime itself (writeback cache); otherwise any change sets it to now. */
  changeSeconds?: number | undefined;
  changeNanoseconds?: number | undefined;
  /** Clear set-user-id, set-group-id where the group may execute, and `security.capability`. */
  killPrivileges?: boolean | undefined;
  /** Times of changes that were allowed when they came: flags of the inode do not forbid them. */
  kept?: boolean | undefined;
}

/** A field that is undefined stays as it is. */
export interface FlagChanges {
  /** All of `FileFlag` that are to be set. */
  readonly flags?: number | undefined;
  readonly projectId?: number | undefined;
}

/** Which reads move an access time, see access-times.ts. */
export type AccessRule = 'never' | 'relative' | 'always';

/** What a mount was asked for: noatime, nodiratime, relatime, strictatime. */
export interface AccessRules {
  readonly files: AccessRule;
  readonly directories: AccessRule;
}

export interface SpaceStatistics {
  blockBytes: number;
  /** Blocks that files can have at most: the space less its bitmaps and summaries. */
  blocks: number;
  freeBlocks: number;
  /** Of the free ones, those that are not reserved for root. */
  availableBlocks: number;
  /** Inodes in use, and how many more the free space could hold. */
  inodes: number;
  freeInodes: number;
  maxNameBytes: number;
}

/** New object made by `create`: a file of any type but symlink. */
export interface CreateRequest {
  /** File type and permissions before the umask. */
  mode: number;
  deviceNumber: number;
  caller: Caller;
}

/** Whether an attribute may or must exist before: XATTR_CREATE and XATTR_REPLACE of setxattr(2). */
export type SetMode = 'any' | 'create' | 'replace';

export interface ExtendedAttribute {
  readonly name: Uint8Array;
  readonly value: Uint8Array;
}

/** New symbolic link. */
export interface SymlinkRequest {
  readonly target: Uint8Array;
  readonly caller: Caller;
}

/** A name in a directory. */
export interface EntryPlace {
  /** Inode of the directory. */
  readonly parent: number;
  readonly name: Uint8Array;
}

export interface RenameRequest {
  /** Of `RenameFlag`. */
  readonly flags: number;
  /** Whose the whiteout is, if there is to be one. */
  readonly caller?: Caller;
}

/** Flags of renameat2(2). */
export const RenameFlag = { noReplace: 1, exchange: 2, whiteout: 4 } as const;

/**
 * Visits one directory entry; returning false stops before it, and a later call may go on from
 * `cookie` of the entry before.
 */
export type EntryVisitor = (name: Uint8Array, inode: number, fileType: number, cookie: number) => boolean;

/**
 * One read. The filesystem fills memory so that `lengthBytes` bytes from `offsetBytes` (fewer at
 * the end of the file) stand in `memory` from `resultOffset` on, and may use everything from
 * `memoryOffset` for `lengthBytes + 2 blocks`. `memoryOffset` is page-aligned.
 */
export interface ReadRequest {
  readonly inode: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly memory: Memory;
  readonly memoryOffset: number;
  /** The file's access time may move, by the rules of the mount. */
  readonly movesAccessTime: boolean;
  /** Set before `finished`: where the bytes stand, ≥ memoryOffset; and how many there are. */
  resultOffset: number;
  resultBytes: number;
  finished(thrown: unknown): void;
}

/**
 * One write: `lengthBytes` bytes stand in `memory` at `memoryOffset`, page-aligned, followed by 2
 * blocks of room that the filesystem may use. All or nothing.
 */
export interface WriteRequest extends Claimant {
  readonly inode: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly memory: Memory;
  readonly memoryOffset: number;
  /** False where the kernel keeps mtime and ctime itself (writeback cache). */
  readonly updateTimes: boolean;
  /** Clear set-user-id and set-group-id as write(2) by an ordinary user does. */
  readonly killPrivileges: boolean;
  /**
   * The caller's cache promised nothing yet: `finished` may come before the data is on the device;
   * `sync` waits for it.
   */
  readonly mayEndEarly: boolean;
  /**
   * The data comes from a cache, and who wrote it there may not hear how this ends: what is lost of
   * it is kept with the inode, as it always is when the write was answered early. Default: as
   * `mayEndEarly`.
   */
  readonly fromCache?: boolean;
  /**
   * `security.capability` goes. What comes from a cache was written at some other time: whoever
   * keeps the cache takes it away then, if he asks for attributes at all. Default: not `fromCache`.
   */
  readonly dropsCapability?: boolean;
  /** It was taken on before: flags that the inode got since do not forbid it. */
  readonly accepted?: boolean;
  /** Set before `finished`: whoever wrote is to be answered when it is durable. */
  mustBeDurable?: boolean;
  /** Asked when the range is the write's: false if there is nothing to write any more. */
  stillWanted?(): boolean;
  finished(thrown: unknown): void;
}

/**
 * Told of an extent: where it begins in the file and on the device, and its length, in blocks;
 * false ends the visit.
 */
export type ExtentVisitor = (fileBlock: number, block: number, length: number, unwritten: boolean) => unknown;

/**
 * How a volume is shut down: when all that reached it is at home, when it is in the journal, or at
 * once.
 */
export type ShutdownManner = 'settled' | 'committed' | 'at once';

/** What may be asked of the volume as a whole. */
export interface WholeVolume {
  /** UTF-8, without padding. */
  readonly label: Uint8Array;
  readonly uuid: Uint8Array;
  /** It is durable when it resolves. @throws FsError EINVAL of one that is none; EROFS, EIO */
  setLabel(label: Uint8Array): Promise<void>;
  /** From then on every change and every sync fails with EIO, until the next mount. */
  shutDown(manner: ShutdownManner): Promise<void>;
  /**
   * Tells the device of what is free.
   * @returns bytes that it was told of
   * @throws FsError EINVAL, EROFS; EOPNOTSUPP where the device wants to hear nothing; EINTR where
   * an unmount or a rest halted it; the error of the device
   */
  trim(request: TrimRequest): Promise<number>;
}

/** As struct fstrim_range has it: bytes of the volume, and the shortest run to be told of. */
export interface TrimRequest {
  readonly startBytes: number;
  /** May go beyond the end. */
  readonly lengthBytes: number;
  readonly minimumBytes: number;
}

/**
 * What fallocate(2) does with a range of a file: gives it space, makes a hole of it, makes zeros of
 * it; takes it out, so that what follows moves up, or moves what follows behind it.
 */
export type FallocateAction = 'allocate' | 'punch' | 'zero' | 'collapse' | 'insert';

export interface FallocateRequest extends Claimant {
  readonly inode: number;
  readonly action: FallocateAction;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Of `allocate` and `zero`: the end of the file stays where it is. */
  readonly keepSize: boolean;
  /** As for a write. */
  readonly updateTimes: boolean;
  readonly killPrivileges: boolean;
}

/** What lseek(2) looks for. */
export type SeekTarget = 'data' | 'hole';

/** Where it is, and what that rests on. */
export interface SeekAnswer {
  /** −1 where there is none before the end of the file. */
  readonly offsetBytes: number;
  /**
   * The answer is right if there is no data in these bytes, of which some cache may know more;
   * there are none if they end where they begin.
   */
  readonly holeFrom: number;
  /** Exclusive; infinite where the hole is the last. */
  readonly holeEnd: number;
}

/** Bytes of a file that those of another one, or of the same elsewhere, become. */
export interface CopyRequest extends Claimant {
  /**
   * Whole files without holes that are no longer than this are left to whoever asks: EOPNOTSUPP.
   * Default: none.
   */
  readonly leavesBytes?: number;
  readonly from: number;
  readonly fromBytes: number;
  readonly to: number;
  readonly toBytes: number;
  readonly lengthBytes: number;
  /** As for a write. */
  readonly updateTimes: boolean;
  readonly killPrivileges: boolean;
}

export interface FileSystem<Tx extends TransactionHandle = TransactionHandle> {
  readonly blockBytes: number;
  /**
   * Four words of 32 bits that nobody outside can guess, the same whenever the volume is mounted:
   * what readdir cookies are hidden with.
   */
  readonly offsetSecret: readonly number[];
  readonly readOnly: boolean;
  /**
   * Space that files may still take, in bytes, as far as it is known without reading: infinite
   * before anybody asked for `statistics`.
   */
  readonly freeBytes: number;

  execute(operation: Operation<Tx>): void;

  // Inside Operation.perform:

  /** Inode of `name` in `parent`, 0 if there is none. '.' and '..' are answered too. ENOTDIR. */
  lookup(tx: Tx, parent: number, name: Uint8Array): number;
  /** ESTALE if there is no such inode. */
  readAttributes(tx: Tx, inode: number, into: Attributes): void;
  /**
   * The inode is being read other than by `read`: its access time moves, by the rules of the mount.
   */
  accessed(tx: Tx, inode: number): void;
  /**
   * Everything but the size: see `setSize`. ctime becomes now, or as given. An access ACL follows
   * the mode, and `security.capability` goes with the owner. EPERM by the flags of the inode.
   */
  changeAttributes(tx: Tx, inode: number, changes: AttributeChanges): void;
  /** What chattr(1) sets. EOPNOTSUPP for flags that are none of such an inode. */
  changeFlags(tx: Tx, inode: number, changes: FlagChanges): void;
  /** False: there is none, of any name. Cheap, where an ENODATA is not. */
  hasExtendedAttributes(tx: Tx, inode: number): boolean;
  /**
   * getxattr(2): the value. ENODATA, ERANGE, EINVAL; EOPNOTSUPP for an ACL where there are none.
   */
  getExtendedAttribute(tx: Tx, inode: number, name: Uint8Array): Uint8Array;
  /** listxattr(2): the names, in no order. */
  listExtendedAttributes(tx: Tx, inode: number): Uint8Array[];
  /**
   * setxattr(2). What names mean is the caller's business, ACLs excepted: they must be some, and
   * the mode follows them. EEXIST and ENODATA by `mode`, ERANGE, EINVAL, E2BIG, ENOSPC; EACCES for
   * a default ACL of a file; EOPNOTSUPP where the volume has none.
   */
  setExtendedAttribute(tx: Tx, inode: number, attribute: ExtendedAttribute, mode?: SetMode): void;
  /** removexattr(2). ENODATA, but not for an ACL; ERANGE, EINVAL. */
  removeExtendedAttribute(tx: Tx, inode: number, name: Uint8Array): void;
  /**
   * Makes a file, directory or special file; applies umask or default ACL, and setgid directories.
   * EEXIST, ENOSPC, ENAMETOOLONG, ENOENT (parent removed).
   */
  create(tx: Tx, parent: number, name: Uint8Array, request: CreateRequest): number;
  /**
   * Makes a regular file without a name, owned as one that `create` makes in this directory. It may
   * be given a name by `link`, once. When the operation has succeeded the caller holds a reference
   * to it, as by `acquire`. ENOSPC, ENOTDIR, ENOENT (parent removed).
   */
  createUnnamed(tx: Tx, parent: number, request: CreateRequest): number;
  symlink(tx: Tx, parent: number, name: Uint8Array, request: SymlinkRequest): number;
  readSymlink(tx: Tx, inode: number): Uint8Array;
  /** ENOENT of a file that lost its last name. */
  link(tx: Tx, inode: number, to: EntryPlace): void;
  /** Returns the file if it has names left, else 0. */
  unlink(tx: Tx, parent: number, name: Uint8Array): number;
  removeDirectory(tx: Tx, parent: number, name: Uint8Array): void;
  /** Returns the file that had the new name if it has names left, else 0. */
  rename(tx: Tx, from: EntryPlace, to: EntryPlace, request?: RenameRequest): number;
  /**
   * Visits '.', '..' and the entries after `cookie` (0 = from the start). The name passed is valid
   * during the visit only.
   */
  readDirectory(tx: Tx, inode: number, cookie: number, visit: EntryVisitor): void;
  /** @param inode whose limits count as the size, if it is a directory that gives a project */
  statistics(tx: Tx, into: SpaceStatistics, inode?: number): void;

  /**
   * Where the file's data lies, from a block of the file on: each stretch of its blocks that lies
   * together on the device, in the order of the file; holes are left out, and data that the inode
   * holds. EINVAL if it is no regular file.
   */
  visitExtents?(tx: Tx, inode: number, visit: ExtentVisitor, fromBlock?: number): void;

  /** Undefined where nothing is asked of the whole. */
  readonly whole?: WholeVolume;

  // Data, and what waits:

  read(request: ReadRequest): void;
  write(request: WriteRequest): void;
  /** Truncates or extends to `sizeBytes`; `security.capability` goes. EFBIG, EISDIR, EINVAL. */
  setSize(inode: number, sizeBytes: number, killPrivileges: boolean, asker?: Claimant): Promise<void>;
  /**
   * fallocate(2). It may be done in part when it fails; each part is whole.
   * @throws FsError EINVAL, EFBIG, EISDIR, ENODEV, ENOSPC, EROFS, EIO; EOPNOTSUPP where the volume
   * has no unwritten extents
   */
  fallocate(request: FallocateRequest): Promise<void>;
  /**
   * lseek(2): the first data, or hole, at this byte or behind it.
   * @throws FsError EISDIR, EINVAL, ESTALE, EIO
   */
  seek(inode: number, offsetBytes: number, target: SeekTarget): Promise<SeekAnswer>;
  /**
   * copy_file_range(2). Holes stay holes.
   * @returns how many bytes were copied, from the first on; 0 at the end of the source
   * @throws FsError if none was: EINVAL (also where they overlap), EISDIR, EFBIG, ENOSPC, EROFS,
   * EIO
   */
  copyRange(request: CopyRequest): Promise<number>;
  /**
   * Everything done before the call is on disk when it resolves.
   * @param inode whose lost data makes it fail; without it, anybody's does
   * @param dataOnly times may be as they were, and whatever else needs no more than they do
   * @throws the error of the device that ended all commits, or with which data was lost that has
   * not been written again, cut off or removed
   */
  sync(inode?: number, dataOnly?: boolean): Promise<void>;

  /**
   * From now on `changed` is told of each file whose space in use, as `readAttributes` gives it, a
   * write changed.
   */
  watchSpace?(changed: (inode: number) => void): void;

  /** The kernel holds one more reference (lookup count) to the inode. */
  acquire(inode: number): void;
  /**
   * The kernel gives `count` references back; an inode without names is freed when the last is
   * gone.
   * @returns whether it is
   */
  forget(inode: number, count: number): boolean;

  /** Hands queued device requests to the kernel; call once after a batch of operations. */
  submit(): void;
  /** Waits for what is in flight, writes everything, marks the volume clean, closes the device. */
  unmount(): Promise<void>;
}
