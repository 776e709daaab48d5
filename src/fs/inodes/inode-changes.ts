/**
 * chmod, chown and utimensat on an inode, in the form in which FUSE's SETATTR brings them together.
 */
import { PERMISSION_BITS } from '../../common/permissions.ts';
import { fsError } from '../base/errors.ts';
import type { AttributeChanges } from '../base/filesystem.ts';
import { FILE_TYPE_MASK, Inode, NO_ID } from '../format/format.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { type ExtendedAttributes, hasAttributes } from '../tree/extended-attributes.ts';
import {
  dropPrivileges,
  type InodeRef,
  isDirectory,
  modeOf,
  noteOwned,
  touchChanged,
} from '../tree/inode.ts';
import type { AccessLists } from './access-lists.ts';
import { requireAllowed } from './file-flags.ts';

/** What hangs together with the mode and the owner. */
export interface InodeCompanions {
  readonly attributes: ExtendedAttributes;
  readonly acls: AccessLists;
}

/** @throws EINVAL for an owner that is none */
function changeOwner(tx: Transaction, inode: InodeRef, { uid, gid }: AttributeChanges): void {
  if (uid === NO_ID || gid === NO_ID) throw fsError('EINVAL');
  if (uid === undefined && gid === undefined) return;
  const { view } = inode.frame;
  noteOwned(tx, inode, -1);
  if (uid !== undefined) Inode.uid.set(view, inode.at, uid);
  if (gid !== undefined) Inode.gid.set(view, inode.at, gid);
  noteOwned(tx, inode, 1);
}

function changeMode(inode: InodeRef, changes: AttributeChanges): void {
  if (changes.killPrivileges) dropPrivileges(inode);
  if (changes.mode === undefined) return;
  const mode = (modeOf(inode) & FILE_TYPE_MASK) | (changes.mode & PERMISSION_BITS);
  Inode.mode.set(inode.frame.view, inode.at, mode);
}

function changesOnlyTimes({ mode, uid, gid, killPrivileges }: AttributeChanges): boolean {
  return mode === undefined && uid === undefined && gid === undefined && killPrivileges !== true;
}

function changeTimes(tx: Transaction, inode: InodeRef, changes: AttributeChanges): void {
  const { view } = inode.frame;
  const { at } = inode;
  const { accessSeconds, modifySeconds } = changes;
  if (accessSeconds !== undefined) {
    const now = accessSeconds === 'now';
    Inode.accessSeconds.set(view, at, now ? tx.clock.seconds : accessSeconds);
    Inode.accessNanoseconds.set(view, at, now ? tx.clock.nanoseconds : (changes.accessNanoseconds ?? 0));
  }
  if (modifySeconds !== undefined) {
    const now = modifySeconds === 'now';
    Inode.modifySeconds.set(view, at, now ? tx.clock.seconds : modifySeconds);
    Inode.modifyNanoseconds.set(view, at, now ? tx.clock.nanoseconds : (changes.modifyNanoseconds ?? 0));
  }
}

function changeCompanions(
  tx: Transaction,
  inode: InodeRef,
  changes: AttributeChanges,
  { attributes, acls }: InodeCompanions,
): void {
  if (changes.mode !== undefined) acls.modeChanged(tx, inode);
  const isGiven = (changes.uid !== undefined || changes.gid !== undefined) && !isDirectory(inode);
  if (isGiven || changes.killPrivileges) attributes.dropCapability(tx, inode);
}

/**
 * Applies the changes; ctime becomes now, or what the kernel gives.
 * @throws EPERM by the flags of the inode; EINVAL
 */
export function changeInode(
  tx: Transaction,
  inode: InodeRef,
  changes: AttributeChanges,
  companions: InodeCompanions,
): void {
  requireAllowed(inode, changes);
  if (changesOnlyTimes(changes)) tx.modifyTimes(inode.frame);
  else tx.modify(inode.frame);
  changeOwner(tx, inode, changes);
  changeMode(inode, changes);
  if (hasAttributes(inode)) changeCompanions(tx, inode, changes, companions);
  changeTimes(tx, inode, changes);
  if (changes.changeSeconds === undefined) {
    touchChanged(inode, tx.clock);
    return;
  }
  Inode.changeSeconds.set(inode.frame.view, inode.at, changes.changeSeconds);
  Inode.changeNanoseconds.set(inode.frame.view, inode.at, changes.changeNanoseconds ?? 0);
}
