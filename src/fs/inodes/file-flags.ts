/**
 * What the flags of chattr(1) allow, and who inherits them. The rules are those of ext4, and of the
 * kernel above it, which looks at flags of its own and does not know those of a FUSE filesystem:
 * may_delete, may_create_in, notify_change and vfs_link there, ext4_mask_flags and
 * EXT4_FL_INHERITED.
 */
import { fsError } from '../base/errors.ts';
import { type AttributeChanges, FileFlag, type FlagChanges } from '../base/filesystem.ts';
import { FILE_TYPE_MASK, FileType, Inode } from '../format/format.ts';
import type { Transaction } from '../transaction/transaction.ts';
import {
  fileFlagsOf,
  type InodeRef,
  modeOf,
  noteOwned,
  setFileFlags,
  sizeOf,
  touchChanged,
} from '../tree/inode.ts';

const FIXED = FileFlag.immutable | FileFlag.appendOnly;
const ALL = Object.values(FileFlag).reduce((all, flag) => all | flag, 0);
const OF_DIRECTORIES = FileFlag.synchronousDirectory | FileFlag.topDirectory | FileFlag.inheritsProject;
const OF_OTHERS = FileFlag.noDump | FileFlag.noAccessTime;
const INHERITED =
  FileFlag.synchronous |
  FileFlag.synchronousDirectory |
  FileFlag.noDump |
  FileFlag.noAccessTime |
  FileFlag.inheritsProject;

/** The flags that an inode of this mode may have. */
function flagsOfMode(mode: number): number {
  const type = mode & FILE_TYPE_MASK;
  if (type === FileType.directory) return ALL;
  return type === FileType.regular ? ALL & ~OF_DIRECTORIES : OF_OTHERS;
}

/** The flags of a new inode in this directory. */
export function inheritedFlags(directory: InodeRef, mode: number): number {
  return fileFlagsOf(directory) & INHERITED & flagsOfMode(mode);
}

/** The project of what is made in this directory; 0 for none. */
export function inheritedProject(directory: InodeRef): number {
  return has(directory, FileFlag.inheritsProject) ? projectOf(directory) : 0;
}

function projectOf({ frame, at }: InodeRef): number {
  return Inode.projectId.get(frame.view, at);
}

/**
 * What gets a name in a directory that gives its project is of that project already: a link or a
 * rename does not change it (ext4_link, ext4_rename).
 * @throws EXDEV
 */
export function requireProject(directory: InodeRef, inode: InodeRef): void {
  if (has(directory, FileFlag.inheritsProject) && projectOf(directory) !== projectOf(inode))
    throw fsError('EXDEV');
}

function has(inode: InodeRef, flags: number): boolean {
  return (fileFlagsOf(inode) & flags) !== 0;
}

/** Nothing of it may be fixed: its owner, its mode, its names. @throws EPERM */
export function requireChangeable(inode: InodeRef): void {
  if (has(inode, FIXED)) throw fsError('EPERM');
}

/** Names may come into the directory. @throws EPERM */
export function requireMutable(inode: InodeRef): void {
  if (has(inode, FileFlag.immutable)) throw fsError('EPERM');
}

/** The inode may lose its name in the directory. @throws EPERM */
export function requireRemovable(directory: InodeRef, inode: InodeRef): void {
  requireChangeable(directory);
  requireChangeable(inode);
}

/**
 * Bytes may be written from the offset on. @throws EPERM
 *
 * What comes out of a cache was taken by it when the flag was not there yet, or from a file opened
 * for appending: whole pages of it are written.
 */
export function requireWritable(inode: InodeRef, offsetBytes: number, fromCache: boolean): void {
  if (fromCache || !has(inode, FIXED)) return;
  if (has(inode, FileFlag.immutable) || offsetBytes < sizeOf(inode)) throw fsError('EPERM');
}

/**
 * An append-only file may be touched: both times become now. One of them alone may not, as in
 * may_setattr of Linux. @throws EPERM
 */
export function requireAllowed(inode: InodeRef, changes: AttributeChanges): void {
  if (changes.kept || !has(inode, FIXED)) return;
  const { mode, uid, gid, accessSeconds, modifySeconds } = changes;
  const isFixed = mode !== undefined || uid !== undefined || gid !== undefined;
  const isAlone =
    accessSeconds === 'now'
      ? modifySeconds === undefined
      : modifySeconds === 'now' && accessSeconds === undefined;
  if (isFixed || isAlone || typeof accessSeconds === 'number' || setsModifyTime(changes))
    requireChangeable(inode);
  else requireMutable(inode);
}

/** A kernel that keeps the times itself says 'now' by the time of change that goes with it. */
function setsModifyTime(changes: AttributeChanges): boolean {
  const { modifySeconds, modifyNanoseconds, changeSeconds, changeNanoseconds } = changes;
  if (typeof modifySeconds !== 'number') return false;
  return modifySeconds !== changeSeconds || modifyNanoseconds !== changeNanoseconds;
}

/** @throws EOPNOTSUPP for flags that such an inode does not have */
export function changeFileFlags(tx: Transaction, inode: InodeRef, changes: FlagChanges): void {
  const { flags, projectId } = changes;
  if (flags !== undefined && (flags & ~flagsOfMode(modeOf(inode))) !== 0) throw fsError('EOPNOTSUPP');
  tx.modify(inode.frame);
  if (flags !== undefined) setFileFlags(inode, flags);
  if (projectId !== undefined) {
    noteOwned(tx, inode, -1);
    Inode.projectId.set(inode.frame.view, inode.at, projectId);
    noteOwned(tx, inode, 1);
  }
  touchChanged(inode, tx.clock);
}

/** Whether a change of the names in the directory is to be durable at once. */
export function isSynchronous(directory: InodeRef): boolean {
  return has(directory, FileFlag.synchronous | FileFlag.synchronousDirectory);
}
