/**
 * Quotas: what each user, group and project has, counted on disk as it changes, and what it may
 * have.
 *
 * A transaction notes what inodes gain and lose, here in memory, and the sums go into the tree
 * (quota-tree.ts) as its last step: so usage is exact at every commit, what moves within one
 * transaction counts once, and a transaction that would pass a limit is taken back as a whole. Who
 * has nothing and no limit has no record. An id of 0 limits nobody; project 0 is not counted at
 * all.
 *
 * A write reserves blocks long before it records them. It is refused as they are reserved; from
 * then on they are held here, and the record is not asked again. What it takes for nodes of the
 * tree of extents is counted, and not refused.
 *
 * Invariants: (Q1) after a transaction the usage of every kind that is counted is that of the
 * inodes; (Q2) nothing noted outlasts the transaction; (Q3) what is held is what writes under way
 * may record.
 */
import type { RecordPlace } from '../../common/record.ts';
import { CorruptionError, fsError } from '../base/errors.ts';
import type { Claimant } from '../base/filesystem.ts';
import { Inode, NO_ID, QUOTA_KEYS_PER_KIND, QuotaKind, QuotaRecord, UNMAPPED_ID } from '../format/format.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import type { Transaction, UsageLedger } from '../transaction/transaction.ts';
import type { InodeRef } from '../tree/inode.ts';
import type { InodeTable } from './inode-table.ts';
import { isReached, nextDeadline, type QuotaLimits } from './quota-limits.ts';
import {
  BLOCK_FIELDS,
  bitOfKind,
  entryAt,
  INODE_FIELDS,
  kindOfKey,
  limitsAt,
  type QuotaEntry,
  type QuotaFields,
  quotaKey,
} from './quota-records.ts';
import { QuotaTree } from './quota-tree.ts';

/** Limits to be set; those that are left out stay as they are. 0 is none. */
export interface LimitChanges {
  readonly softBlocks?: number | undefined;
  readonly hardBlocks?: number | undefined;
  readonly softInodes?: number | undefined;
  readonly hardInodes?: number | undefined;
}

/** Blocks that a write under way may record, and for whom. */
export interface HeldUsage {
  readonly keys: readonly number[];
  blocks: number;
}

interface UsageChange {
  blocks: number;
  inodes: number;
}

/** Keys of those who have the inode that stands there. */
function keysOf(view: DataView, at: number): number[] {
  const uid = Inode.uid.get(view, at);
  const gid = Inode.gid.get(view, at);
  const project = Inode.projectId.get(view, at);
  const keys = [
    quotaKey(QuotaKind.user, uid === NO_ID ? UNMAPPED_ID : uid),
    quotaKey(QuotaKind.group, gid === NO_ID ? UNMAPPED_ID : gid),
  ];
  if (project !== 0) keys.push(quotaKey(QuotaKind.project, project));
  return keys;
}

export class Quotas implements UsageLedger {
  readonly tree: QuotaTree;
  /** Noted by the running transaction. */
  readonly #changes = new Map<number, UsageChange>();
  readonly #held = new Map<number, number>();
  #asker: Claimant | undefined;
  /** Limits hold; usage is counted in any case. */
  isEnforced = true;

  constructor(table: InodeTable, space: SpaceMap) {
    this.tree = new QuotaTree(table, space);
  }

  // ---- what a transaction does ----

  begin(): void {
    this.#asker = undefined;
    if (this.#changes.size > 0) this.#changes.clear();
  }

  askedBy(asker: Claimant | undefined): void {
    this.#asker = asker;
  }

  note(view: DataView, at: number, blocks: number, inodes: number): void {
    for (const key of keysOf(view, at)) {
      const change = this.#changes.get(key);
      if (change === undefined) this.#changes.set(key, { blocks, inodes });
      else {
        change.blocks += blocks;
        change.inodes += inodes;
      }
    }
  }

  settle(tx: Transaction): void {
    if (this.#changes.size === 0) return;
    const kinds = this.tree.kinds(tx);
    for (const [key, { blocks, inodes }] of this.#changes) {
      if ((kinds & bitOfKind(kindOfKey(key))) === 0 || (blocks === 0 && inodes === 0)) continue;
      const place = this.tree.edit(tx, key);
      if (blocks !== 0) this.#change(tx, place, BLOCK_FIELDS, blocks);
      if (inodes !== 0) this.#change(tx, place, INODE_FIELDS, inodes);
      this.tree.keep(tx, place);
    }
    this.#changes.clear();
  }

  #change(tx: Transaction, place: RecordPlace, fields: QuotaFields, count: number): void {
    const { view, at } = place;
    const key = QuotaRecord.key.get(view, at);
    const used = fields.used.get(view, at) + count;
    if (used < 0) throw new CorruptionError(this.tree.editedBlock, `quota ${key} would count ${used}`);
    const held = fields === BLOCK_FIELDS ? this.#heldFor(key) : 0;
    if (count > 0) this.#expectAllowed(tx, key, limitsAt(place, fields), used + held);
    fields.used.set(view, at, used);
    this.#setDeadline(tx, place, fields);
  }

  #heldFor(key: number): number {
    return this.#held.size === 0 ? 0 : (this.#held.get(key) ?? 0);
  }

  #expectAllowed(tx: Transaction, key: number, limits: QuotaLimits, used: number): void {
    if (limits.soft === 0 && limits.hard === 0) return;
    if (!this.isEnforced || key % QUOTA_KEYS_PER_KIND === 0) return;
    if (isReached(limits, used, tx.roughSeconds) && this.#asker?.isLimited === true) throw fsError('EDQUOT');
  }

  #setDeadline(tx: Transaction, place: RecordPlace, fields: QuotaFields): void {
    const { view, at } = place;
    const limits = limitsAt(place, fields);
    if (limits.soft === 0 && limits.deadline === 0) return;
    const { blockSeconds, inodeSeconds } = this.tree.grace(tx, kindOfKey(QuotaRecord.key.get(view, at)));
    const grace = fields === BLOCK_FIELDS ? blockSeconds : inodeSeconds;
    fields.deadline.set(view, at, nextDeadline(limits, fields.used.get(view, at), tx.roughSeconds, grace));
  }

  // ---- writes under way ----

  /**
   * What so many blocks more of the inode would be to hold. Changes nothing.
   * @throws EDQUOT where they may not be
   */
  planned(tx: Transaction, { frame, at }: InodeRef, blocks: number): HeldUsage {
    const keys = keysOf(frame.view, at);
    const kinds = this.tree.kinds(tx);
    for (const key of keys) {
      const place = (kinds & bitOfKind(kindOfKey(key))) === 0 ? undefined : this.tree.find(tx, key);
      if (place === undefined) continue;
      const used = QuotaRecord.blocks.get(place.view, place.at) + this.#heldFor(key) + blocks;
      this.#expectAllowed(tx, key, limitsAt(place, BLOCK_FIELDS), used);
    }
    return { keys, blocks };
  }

  /** A write has reserved them. */
  hold({ keys, blocks }: HeldUsage): void {
    for (const key of keys) this.#held.set(key, this.#heldFor(key) + blocks);
  }

  /** So many of them are recorded, or given up. */
  release(held: HeldUsage, blocks: number): void {
    const count = Math.min(blocks, held.blocks);
    held.blocks -= count;
    for (const key of held.keys) {
      const left = this.#heldFor(key) - count;
      if (left > 0) this.#held.set(key, left);
      else this.#held.delete(key);
    }
  }

  // ---- what is asked of them, and told ----

  counts(tx: Transaction, kind: QuotaKind): boolean {
    return (this.tree.kinds(tx) & bitOfKind(kind)) !== 0;
  }

  /** Who has no record has nothing, and no limit. */
  entry(tx: Transaction, kind: QuotaKind, id: number): QuotaEntry | undefined {
    const place = this.tree.isThere(tx) ? this.tree.find(tx, quotaKey(kind, id)) : undefined;
    return place === undefined ? undefined : entryAt(place);
  }

  /**
   * The time of grace begins where usage is above a soft limit already, and ends with the limit.
   * @throws ENOSPC
   */
  setLimits(tx: Transaction, kind: QuotaKind, id: number, changes: LimitChanges): void {
    const place = this.tree.edit(tx, quotaKey(kind, id));
    const { view, at } = place;
    const { softBlocks, hardBlocks, softInodes, hardInodes } = changes;
    if (softBlocks !== undefined) QuotaRecord.softBlocks.set(view, at, softBlocks);
    if (hardBlocks !== undefined) QuotaRecord.hardBlocks.set(view, at, hardBlocks);
    if (softInodes !== undefined) QuotaRecord.softInodes.set(view, at, softInodes);
    if (hardInodes !== undefined) QuotaRecord.hardInodes.set(view, at, hardInodes);
    this.#keep(tx, place);
  }

  /** Sets usage to what was counted. Limits stay. @throws ENOSPC */
  setUsage(tx: Transaction, key: number, { blocks, inodes }: Pick<QuotaEntry, 'blocks' | 'inodes'>): void {
    const place = this.tree.edit(tx, key);
    QuotaRecord.blocks.set(place.view, place.at, blocks);
    QuotaRecord.inodes.set(place.view, place.at, inodes);
    this.#keep(tx, place);
  }

  #keep(tx: Transaction, place: RecordPlace): void {
    this.#setDeadline(tx, place, BLOCK_FIELDS);
    this.#setDeadline(tx, place, INODE_FIELDS);
    this.tree.keep(tx, place);
  }
}
