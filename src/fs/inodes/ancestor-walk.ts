/**
 * May a directory be moved into another one? Only if it is not one of its ancestors, or itself.
 *
 * The chain of parents can be longer than a turn may last, so it is walked in steps: an operation
 * that pauses, or has to load a block, keeps its walks and goes on where they stopped when it is
 * performed again. What was found on the way holds as long as no directory has another parent and
 * none was removed (`Transaction.treeChanges`); otherwise the walk begins anew, and after some
 * beginnings it is made at once.
 */
import { CorruptionError, fsError } from '../base/errors.ts';
import { Inode } from '../format/format.ts';
import { PAUSED, type Transaction, UnfinishedWork } from '../transaction/transaction.ts';
import type { InodeRef } from '../tree/inode.ts';
import type { InodeTable } from './inode-table.ts';

/** Ancestors looked at in one step: well below a millisecond. */
const ANCESTORS_PER_STEP = 1024;
/** Beginnings after which a walk is not interrupted any more. */
const MOST_BEGINNINGS = 8;

class AncestorWalk extends UnfinishedWork {
  #at: number;
  /**
   * A chain that goes in circles comes back to a mark that is set at 1, 2, 4, 8, … steps (Brent's
   * algorithm).
   */
  #mark = 0;
  #steps = 0;
  #nextMark = 1;
  #treeChanges: number;
  #beginnings = 1;

  constructor(
    readonly moving: number,
    readonly target: number,
    treeChanges: number,
  ) {
    super();
    this.#at = target;
    this.#treeChanges = treeChanges;
  }

  /** @throws EINVAL, CorruptionError, PAUSED when the rest is for another turn */
  goOn(tx: Transaction, table: InodeTable): void {
    if (this.#treeChanges !== tx.treeChanges) this.#beginAnew(tx.treeChanges);
    let left = this.#beginnings > MOST_BEGINNINGS ? Number.POSITIVE_INFINITY : ANCESTORS_PER_STEP;
    for (; left > 0; left--) {
      if (this.#at === this.moving) throw fsError('EINVAL');
      const inode = table.get(tx, this.#at);
      const parent = Inode.parent.get(inode.frame.view, inode.at);
      if (parent === this.#at) return;
      if (parent === this.#mark) throw this.#circles(inode);
      if (this.#steps === this.#nextMark) {
        this.#mark = this.#at;
        this.#nextMark *= 2;
      }
      this.#steps++;
      this.#at = parent;
    }
    throw PAUSED;
  }

  #circles({ frame }: InodeRef): CorruptionError {
    return new CorruptionError(frame.block, `the parents of directory ${this.target} go in circles`);
  }

  #beginAnew(treeChanges: number): void {
    this.#beginnings++;
    this.#treeChanges = treeChanges;
    this.#at = this.target;
    this.#mark = 0;
    this.#steps = 0;
    this.#nextMark = 1;
  }
}

/** A directory must not move into itself or below. @throws EINVAL, CorruptionError, PAUSED */
export function requireOutside(tx: Transaction, table: InodeTable, moving: InodeRef, target: InodeRef): void {
  tx.unfinished ??= [];
  for (const work of tx.unfinished) {
    if (!(work instanceof AncestorWalk) || work.moving !== moving.number || work.target !== target.number)
      continue;
    work.goOn(tx, table);
    return;
  }
  const walk = new AncestorWalk(moving.number, target.number, tx.treeChanges);
  tx.unfinished.push(walk);
  walk.goOn(tx, table);
}
