/**
 * The orphan list: inodes with work left that must survive a crash. Those without a name are freed when
 * nobody holds them any more; those with a name are being truncated.
 *
 * A doubly linked list through the inodes, its head in the volume root. It is on disk so that a mount after a crash finds it.
 */
import { Inode, VolumeRoot } from './format.ts';
import type { InodeRef } from './inode.ts';
import type { InodeTable } from './inode-table.ts';
import type { Transaction } from './transaction.ts';

function isListed(tx: Transaction, table: InodeTable, inode: InodeRef): boolean {
  const { view } = inode.frame;
  if (Inode.nextOrphan.get(view, inode.at) !== 0 || Inode.previousOrphan.get(view, inode.at) !== 0)
    return true;
  return VolumeRoot.firstOrphan.get(table.root(tx).view, 0) === inode.number;
}

/** Puts the inode at the head of the list, if it is not there yet. */
export function addOrphan(tx: Transaction, table: InodeTable, inode: InodeRef): void {
  if (isListed(tx, table, inode)) return;
  const root = table.root(tx);
  const next = VolumeRoot.firstOrphan.get(root.view, 0);
  if (next !== 0) {
    const neighbour = table.get(tx, next);
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
  tx.modify(inode.frame);
  Inode.nextOrphan.set(view, inode.at, 0);
  Inode.previousOrphan.set(view, inode.at, 0);
  if (next !== 0) {
    const after = table.get(tx, next);
    tx.modify(after.frame);
    Inode.previousOrphan.set(after.frame.view, after.at, previous);
  }
  if (previous !== 0) {
    const before = table.get(tx, previous);
    tx.modify(before.frame);
    Inode.nextOrphan.set(before.frame.view, before.at, next);
  } else {
    const root = table.root(tx);
    tx.modify(root);
    VolumeRoot.firstOrphan.set(root.view, 0, next);
  }
}

/** The first inode of the list, 0 if it is empty. */
export function firstOrphan(tx: Transaction, table: InodeTable): number {
  return VolumeRoot.firstOrphan.get(table.root(tx).view, 0);
}
