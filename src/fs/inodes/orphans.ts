/**
 * The orphan list: inodes with work left that must survive a crash. Those without a name are freed
 * when nobody holds them any more; those with a name are being truncated.
 *
 * A doubly linked list through the inodes, its head in the volume root. It is on disk so that a
 * mount after a crash finds it.
 */
import { CorruptionError } from '../base/errors.ts';
import { Inode, VolumeRoot } from '../format/format.ts';
import type { Transaction } from '../transaction/transaction.ts';
import type { InodeRef } from '../tree/inode.ts';
import type { InodeTable } from './inode-table.ts';

function isListed(tx: Transaction, table: InodeTable, inode: InodeRef): boolean {
  const { view } = inode.frame;
  if (Inode.nextOrphan.get(view, inode.at) !== 0 || Inode.previousOrphan.get(view, inode.at) !== 0)
    return true;
  return VolumeRoot.firstOrphan.get(table.root(tx).view, 0) === inode.number;
}

/** An inode that the list names. @throws CorruptionError if it is free */
function listed(tx: Transaction, table: InodeTable, number: number): InodeRef {
  if (!table.isInUse(tx, number)) {
    throw new CorruptionError(table.root(tx).block, `inode ${number} is free, but on the orphan list`);
  }
  return table.get(tx, number);
}

/**
 * @throws CorruptionError if a link of the list does not lead where its counterpart comes from:
 * such a list may go in circles
 */
function expectLink(inode: InodeRef, found: number, expected: number): void {
  if (found === expected) return;
  throw new CorruptionError(
    inode.frame.block,
    `the orphan list is broken at inode ${inode.number}: ${found} in place of ${expected}`,
  );
}

/** Puts the inode at the head of the list, if it is not there yet. */
export function addOrphan(tx: Transaction, table: InodeTable, inode: InodeRef): void {
  if (isListed(tx, table, inode)) return;
  const root = table.root(tx);
  const next = VolumeRoot.firstOrphan.get(root.view, 0);
  if (next !== 0) {
    const neighbour = listed(tx, table, next);
    expectLink(neighbour, Inode.previousOrphan.get(neighbour.frame.view, neighbour.at), 0);
    tx.modify(neighbour.frame);
    Inode.previousOrphan.set(neighbour.frame.view, neighbour.at, inode.number);
  }
  tx.modify(inode.frame);
  Inode.nextOrphan.set(inode.frame.view, inode.at, next);
  Inode.previousOrphan.set(inode.frame.view, inode.at, 0);
  tx.modify(root);
  VolumeRoot.firstOrphan.set(root.view, 0, inode.number);
}

/** Takes the inode off the list, if it is there. */
export function removeOrphan(tx: Transaction, table: InodeTable, inode: InodeRef): void {
  if (!isListed(tx, table, inode)) return;
  const { view } = inode.frame;
  const next = Inode.nextOrphan.get(view, inode.at);
  const previous = Inode.previousOrphan.get(view, inode.at);
  if (next === inode.number || previous === inode.number) expectLink(inode, inode.number, 0);
  const after = next === 0 ? undefined : listed(tx, table, next);
  const before = previous === 0 ? undefined : listed(tx, table, previous);
  const root = table.root(tx);
  const toThis = before
    ? Inode.nextOrphan.get(before.frame.view, before.at)
    : VolumeRoot.firstOrphan.get(root.view, 0);
  expectLink(inode, toThis, inode.number);
  if (after) expectLink(inode, Inode.previousOrphan.get(after.frame.view, after.at), inode.number);
  tx.modify(inode.frame);
  Inode.nextOrphan.set(view, inode.at, 0);
  Inode.previousOrphan.set(view, inode.at, 0);
  if (after) {
    tx.modify(after.frame);
    Inode.previousOrphan.set(after.frame.view, after.at, previous);
  }
  if (before) {
    tx.modify(before.frame);
    Inode.nextOrphan.set(before.frame.view, before.at, next);
  } else {
    tx.modify(root);
    VolumeRoot.firstOrphan.set(root.view, 0, next);
  }
}

/**
 * The inode that follows on the list, 0 at its end; the first one for 0. Asked for one after the
 * other, the list ends.
 * @throws CorruptionError if it is broken there
 */
export function orphanAfter(tx: Transaction, table: InodeTable, number: number): number {
  const inode = number === 0 ? undefined : listed(tx, table, number);
  const next = inode
    ? Inode.nextOrphan.get(inode.frame.view, inode.at)
    : VolumeRoot.firstOrphan.get(table.root(tx).view, 0);
  if (next === 0) return 0;
  const following = listed(tx, table, next);
  expectLink(following, Inode.previousOrphan.get(following.frame.view, following.at), number);
  return next;
}

/** The first inode of the list, 0 if it is empty. @throws CorruptionError if it is free */
export function firstOrphan(tx: Transaction, table: InodeTable): number {
  const first = VolumeRoot.firstOrphan.get(table.root(tx).view, 0);
  return first === 0 ? 0 : listed(tx, table, first).number;
}
