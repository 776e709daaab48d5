/**
 * The tree of quotas: a record for each user, group and project that has something or may not have
 * more than so much.
 *
 *   volume root ──▶ root node, a block ──▶ …       key   | kind | id, 32 bits |
 *
 * Its blocks belong to nobody and are owned by 0, as those of the inode table. The tree comes
 * empty, is filled while no kind is counted, and goes in the same way; a crash in between leaves a
 * tree that is gone on with.
 */
import type { RecordPlace } from '../../common/record.ts';
import type { BlockNumber } from '../base/numbers.ts';
import {
  BlockKind,
  HEADER_BYTES,
  QUOTA_KEYS_PER_KIND,
  type QuotaKind,
  QuotaRecord,
  TreeKind,
  VolumeRoot,
} from '../format/format.ts';
import type { Frame } from '../transaction/block-cache.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { Cursor } from '../tree/cursor.ts';
import type { InodeRef } from '../tree/inode.ts';
import { type NodeSpace, Tree } from '../tree/tree.ts';
import { initialiseNode } from '../tree/tree-node.ts';
import type { InodeTable } from './inode-table.ts';
import {
  bitOfKind,
  entryAt,
  GRACE_FIELDS,
  isBlank,
  QUOTA_KINDS,
  type QuotaEntry,
  quotaKey,
} from './quota-records.ts';

/** As on Linux: a week. */
export const DEFAULT_GRACE_SECONDS = 7 * 24 * 3600;

/** How long a soft limit may be passed. */
export interface QuotaGrace {
  readonly blockSeconds: number;
  readonly inodeSeconds: number;
}

/** What is left out stays. */
export interface GraceChanges {
  readonly blockSeconds?: number | undefined;
  readonly inodeSeconds?: number | undefined;
}

/** Nodes that count as nobody's. */
class QuotaNodes implements NodeSpace {
  constructor(readonly space: SpaceMap) {}

  allocateNode(tx: Transaction): BlockNumber {
    return this.space.allocateOne(tx, -1, 0, 'tree');
  }

  freeNode(tx: Transaction, _table: InodeRef, block: BlockNumber): void {
    this.space.free(tx, block, 1);
  }
}

export class QuotaTree {
  readonly #table: InodeTable;
  readonly #nodes: QuotaNodes;
  readonly #tree: Tree;
  readonly #reader = new Cursor();

  constructor(table: InodeTable, space: SpaceMap) {
    this.#table = table;
    this.#nodes = new QuotaNodes(space);
    this.#tree = new Tree(TreeKind.quotas, this.#nodes);
  }

  // ---- records ----

  /** To be read; the place is good until the next call. */
  find(tx: Transaction, key: number): RecordPlace | undefined {
    const cursor = this.#reader;
    const isThere = cursor.seek(tx, this.#table.own(tx), TreeKind.quotas, key) && cursor.key === key;
    return isThere ? { view: cursor.leaf.view, at: cursor.at } : undefined;
  }

  /** To be changed, and settled by `keep` before the next. @throws ENOSPC */
  edit(tx: Transaction, key: number): RecordPlace {
    const own = this.#table.own(tx);
    const { cursor } = this.#tree;
    if (cursor.seek(tx, own, TreeKind.quotas, key) && cursor.key === key) {
      tx.modify(cursor.leaf.frame as Frame);
      return { view: cursor.leaf.view, at: cursor.at };
    }
    this.#tree.insert(tx, own, key, QuotaRecord.sizeBytes);
    const { leaf, at } = cursor;
    leaf.bytes.fill(0, at + QuotaRecord.blocks.offset, at + QuotaRecord.sizeBytes);
    return { view: leaf.view, at };
  }

  /** What was edited last stays if it says anything. */
  keep(tx: Transaction, place: RecordPlace): void {
    if (isBlank(place)) this.#tree.remove(tx, this.#table.own(tx));
  }

  /** Where the record that is being edited stands. */
  get editedBlock(): BlockNumber {
    return this.#tree.cursor.leaf.frame?.block ?? 0;
  }

  /** Those of one kind in order of their ids, from one on, at most so many. */
  entries(tx: Transaction, kind: QuotaKind, fromId: number, most: number): QuotaEntry[] {
    const found: QuotaEntry[] = [];
    if (!this.isThere(tx)) return found;
    const cursor = this.#reader;
    const end = quotaKey(kind, 0) + QUOTA_KEYS_PER_KIND;
    let isThere = cursor.seek(tx, this.#table.own(tx), TreeKind.quotas, quotaKey(kind, fromId));
    while (isThere && cursor.key < end && found.length < most) {
      found.push(entryAt({ view: cursor.leaf.view, at: cursor.at }));
      isThere = cursor.next();
    }
    return found;
  }

  // ---- what the volume root says ----

  isThere(tx: Transaction): boolean {
    return VolumeRoot.quotaBlock.get(this.#table.root(tx).view, 0) !== 0;
  }

  /** Bits of the kinds that are counted. */
  kinds(tx: Transaction): number {
    return VolumeRoot.quotaKinds.get(this.#table.root(tx).view, 0);
  }

  /** What is noted from the next transaction on counts for these. */
  setKinds(tx: Transaction, kinds: readonly QuotaKind[]): void {
    const root = this.#table.root(tx);
    tx.modify(root);
    const bits = kinds.reduce((sum, kind) => sum | bitOfKind(kind), 0);
    VolumeRoot.quotaKinds.set(root.view, 0, bits);
  }

  grace(tx: Transaction, kind: QuotaKind): QuotaGrace {
    const { view } = this.#table.root(tx);
    const [blocks, inodes] = GRACE_FIELDS[kind];
    return { blockSeconds: blocks.get(view, 0), inodeSeconds: inodes.get(view, 0) };
  }

  /** Of whoever passes a soft limit from now on. */
  setGrace(tx: Transaction, kind: QuotaKind, { blockSeconds, inodeSeconds }: GraceChanges): void {
    const root = this.#table.root(tx);
    tx.modify(root);
    const [blocks, inodes] = GRACE_FIELDS[kind];
    if (blockSeconds !== undefined) blocks.set(root.view, 0, blockSeconds);
    if (inodeSeconds !== undefined) inodes.set(root.view, 0, inodeSeconds);
  }

  // ---- how it comes, moves and goes ----

  /** Makes an empty tree where there is none. @throws ENOSPC */
  create(tx: Transaction): void {
    if (this.isThere(tx)) return;
    const { blockBytes } = tx;
    const block = this.#nodes.allocateNode(tx);
    const { bytes, view } = tx.create(block, BlockKind.quotaNode, 0);
    initialiseNode({ bytes, view, base: HEADER_BYTES, size: blockBytes - HEADER_BYTES }, TreeKind.quotas, 0);
    const root = this.#table.root(tx);
    tx.modify(root);
    VolumeRoot.quotaBlock.set(root.view, 0, block);
    const week = { blockSeconds: DEFAULT_GRACE_SECONDS, inodeSeconds: DEFAULT_GRACE_SECONDS };
    for (const kind of QUOTA_KINDS) this.setGrace(tx, kind, week);
  }

  /** Removes up to `most` records; true when the tree is gone. No kind must be counted. */
  drop(tx: Transaction, most: number): boolean {
    if (!this.isThere(tx)) return true;
    const own = this.#table.own(tx);
    const { cursor } = this.#tree;
    for (let left = most; cursor.seek(tx, own, TreeKind.quotas, 0); left--) {
      if (left === 0) return false;
      this.#tree.remove(tx, own);
    }
    this.#replaceRoot(tx, 0);
    return true;
  }

  /** As `Tree.movePath`, with the root. */
  movePath(tx: Transaction, key: number, isToMove: (block: BlockNumber) => boolean): number {
    if (!this.isThere(tx)) return Number.POSITIVE_INFINITY;
    const block = VolumeRoot.quotaBlock.get(this.#table.root(tx).view, 0);
    if (isToMove(block)) {
      const old = tx.read(block, BlockKind.quotaNode);
      const moved = tx.create(this.#nodes.allocateNode(tx), BlockKind.quotaNode, 0);
      moved.bytes.set(old.bytes.subarray(HEADER_BYTES), HEADER_BYTES);
      this.#replaceRoot(tx, moved.block);
    }
    return this.#tree.movePath(tx, this.#table.own(tx), key, isToMove);
  }

  #replaceRoot(tx: Transaction, block: BlockNumber): void {
    const root = this.#table.root(tx);
    const old = VolumeRoot.quotaBlock.get(root.view, 0);
    tx.discard(old);
    this.#nodes.space.free(tx, old, 1);
    tx.modify(root);
    VolumeRoot.quotaBlock.set(root.view, 0, block);
  }
}
