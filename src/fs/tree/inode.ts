/**
 * An inode in its place: which frame, which offset. All fields are read and written there
 * (format.ts, `Inode`).
 */
import type { Clock } from '../base/clock.ts';
import { CorruptionError, fsError } from '../base/errors.ts';
import type { Attributes } from '../base/filesystem.ts';
import {
  FILE_TYPE_MASK,
  FileType,
  INODE_BODY_BYTES,
  INODE_FLAGS,
  Inode,
  InodeFlag,
  MAX_FILE_BYTES,
  MAX_LINKS,
  NO_ID,
  UNMAPPED_ID,
} from '../format/format.ts';
import type { Frame } from '../transaction/block-cache.ts';
import type { Transaction } from '../transaction/transaction.ts';

/** Valid only inside the transaction that made it. */
export interface InodeRef {
  readonly frame: Frame;
  /** Offset of the inode in the frame. */
  readonly at: number;
  /** 0 for the inode table's own. */
  readonly number: number;
}

/** What is counted on disk, and cannot be so. */
function impossible(inode: InodeRef, what: string): CorruptionError {
  return new CorruptionError(inode.frame.block, `inode ${inode.number} would have ${what}`);
}

export function modeOf(inode: InodeRef): number {
  return Inode.mode.get(inode.frame.view, inode.at);
}

export function isDirectory(inode: InodeRef): boolean {
  return (modeOf(inode) & FILE_TYPE_MASK) === FileType.directory;
}

export function isRegular(inode: InodeRef): boolean {
  return (modeOf(inode) & FILE_TYPE_MASK) === FileType.regular;
}

export function isSymlink(inode: InodeRef): boolean {
  return (modeOf(inode) & FILE_TYPE_MASK) === FileType.symlink;
}

export function sizeOf(inode: InodeRef): number {
  return Inode.size.get(inode.frame.view, inode.at);
}

export function setSizeOf(inode: InodeRef, sizeBytes: number): void {
  if (!(sizeBytes >= 0 && sizeBytes <= MAX_FILE_BYTES)) throw impossible(inode, `a size of ${sizeBytes}`);
  Inode.size.set(inode.frame.view, inode.at, sizeBytes);
}

export function linkCountOf(inode: InodeRef): number {
  return Inode.linkCount.get(inode.frame.view, inode.at);
}

export function setLinkCount(inode: InodeRef, count: number): void {
  if (!(count >= 0 && count <= MAX_LINKS)) throw impossible(inode, `${count} links`);
  Inode.linkCount.set(inode.frame.view, inode.at, count);
}

export function isInline(inode: InodeRef): boolean {
  return (Inode.flags.get(inode.frame.view, inode.at) & InodeFlag.inlineData) !== 0;
}

export function setInline(inode: InodeRef, inline: boolean): void {
  const { view } = inode.frame;
  const flags = Inode.flags.get(view, inode.at);
  Inode.flags.set(view, inode.at, inline ? flags | InodeFlag.inlineData : flags & ~InodeFlag.inlineData);
}

const SETTABLE_FLAGS = INODE_FLAGS & ~InodeFlag.inlineData;

/** What chattr(1) sets: bits of `FileFlag`, which are those on disk. */
export function fileFlagsOf({ frame, at }: InodeRef): number {
  return Inode.flags.get(frame.view, at) & SETTABLE_FLAGS;
}

export function setFileFlags({ frame, at }: InodeRef, flags: number): void {
  const kept = Inode.flags.get(frame.view, at) & ~SETTABLE_FLAGS;
  Inode.flags.set(frame.view, at, kept | (flags & SETTABLE_FLAGS));
}

/** Bytes of data that the body can hold. */
export function inlineCapacity(inode: InodeRef): number {
  return INODE_BODY_BYTES - Inode.inlineAttributeBytes.get(inode.frame.view, inode.at);
}

/** The body's bytes, in place. */
export function inlineBytes(inode: InodeRef): Uint8Array {
  const from = inode.at + Inode.body.offset;
  return inode.frame.bytes.subarray(from, from + inlineCapacity(inode));
}

/** Blocks that belong to the inode. */
export function blocksOf(inode: InodeRef): number {
  return Inode.blocks.get(inode.frame.view, inode.at);
}

/**
 * Adds `count` (or takes, if negative) to the blocks that belong to the inode. The inode table's
 * own are nobody's.
 */
export function addBlocks(tx: Transaction, inode: InodeRef, count: number): void {
  const { view } = inode.frame;
  const blocks = Inode.blocks.get(view, inode.at) + count;
  if (blocks < 0) throw impossible(inode, 'fewer blocks than it gives back');
  Inode.blocks.set(view, inode.at, blocks);
  if (tx.usage !== undefined && inode.number !== 0) tx.usage.note(view, inode.at, count, 0);
}

/** Whoever has the inode and its blocks gets them (1), or has them no more (−1). */
export function noteOwned(tx: Transaction, inode: InodeRef, times: 1 | -1): void {
  if (tx.usage !== undefined) tx.usage.note(inode.frame.view, inode.at, times * blocksOf(inode), times);
}

/** All four times of a new inode are now. */
export function initialiseTimes(inode: InodeRef, clock: Clock): void {
  const { view } = inode.frame;
  const { at } = inode;
  Inode.accessSeconds.set(view, at, clock.seconds);
  Inode.accessNanoseconds.set(view, at, clock.nanoseconds);
  Inode.birthSeconds.set(view, at, clock.seconds);
  Inode.birthNanoseconds.set(view, at, clock.nanoseconds);
  touchModified(inode, clock);
}

export function touchModified(inode: InodeRef, clock: Clock): void {
  const { view } = inode.frame;
  Inode.modifySeconds.set(view, inode.at, clock.seconds);
  Inode.modifyNanoseconds.set(view, inode.at, clock.nanoseconds);
  touchChanged(inode, clock);
}

export function touchChanged(inode: InodeRef, clock: Clock): void {
  const { view } = inode.frame;
  Inode.changeSeconds.set(view, inode.at, clock.seconds);
  Inode.changeNanoseconds.set(view, inode.at, clock.nanoseconds);
}

/**
 * Clears set-user-id, and set-group-id where the group may execute, as a write by an ordinary user
 * does (inode_drop_privileges in the kernel).
 */
export function dropPrivileges(inode: InodeRef): void {
  const mode = modeOf(inode);
  let kept = mode & ~0o4000;
  if ((mode & 0o2010) === 0o2010) kept &= ~0o2000;
  Inode.mode.set(inode.frame.view, inode.at, kept);
}

/** Whether `dropPrivileges` has anything to clear. */
export function hasPrivileges(inode: InodeRef): boolean {
  const mode = modeOf(inode);
  return (mode & 0o4000) !== 0 || (mode & 0o2010) === 0o2010;
}

/** @throws EISDIR or EINVAL if the inode is not a regular file. */
export function requireRegular(inode: InodeRef): void {
  if (isRegular(inode)) return;
  throw fsError(isDirectory(inode) ? 'EISDIR' : 'EINVAL');
}

export function uidOf({ frame, at }: InodeRef): number {
  const uid = Inode.uid.get(frame.view, at);
  return uid === NO_ID ? UNMAPPED_ID : uid;
}

export function gidOf({ frame, at }: InodeRef): number {
  const gid = Inode.gid.get(frame.view, at);
  return gid === NO_ID ? UNMAPPED_ID : gid;
}

export function fillAttributes(inode: InodeRef, blockBytes: number, into: Attributes): void {
  const { view } = inode.frame;
  const { at } = inode;
  const blocks = Inode.blocks.get(view, at);
  into.inode = inode.number;
  into.generation = Inode.generation.get(view, at);
  into.mode = Inode.mode.get(view, at);
  into.linkCount = Inode.linkCount.get(view, at);
  into.uid = uidOf(inode);
  into.gid = gidOf(inode);
  into.deviceNumber = Inode.deviceNumber.get(view, at);
  // A directory's size on disk counts entries; programs expect bytes, and no empty directory of
  // size 0.
  into.sizeBytes = isDirectory(inode) ? Math.max(1, blocks) * blockBytes : Inode.size.get(view, at);
  into.sectors = blocks * (blockBytes / 512);
  into.accessSeconds = Inode.accessSeconds.get(view, at);
  into.accessNanoseconds = Inode.accessNanoseconds.get(view, at);
  into.modifySeconds = Inode.modifySeconds.get(view, at);
  into.modifyNanoseconds = Inode.modifyNanoseconds.get(view, at);
  into.changeSeconds = Inode.changeSeconds.get(view, at);
  into.changeNanoseconds = Inode.changeNanoseconds.get(view, at);
  into.birthSeconds = Inode.birthSeconds.get(view, at);
  into.birthNanoseconds = Inode.birthNanoseconds.get(view, at);
  into.flags = fileFlagsOf(inode);
  into.projectId = Inode.projectId.get(view, at);
}
