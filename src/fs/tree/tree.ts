/**
 * The one B+tree: extents of a file, entries of a directory, extended attributes.
 *
 * The root node lies in the inode's body, so that a small file or directory needs no block for it.
 * When the root is full its records move down into a new block and the root becomes an inner node
 * above; when a lone child fits into the root again it moves back up. Other nodes fill a block
 * each. The root of extended attributes is the end of the body, or a block where the body has no
 * room for it. In an inner node, child i holds the keys from its own key up to the next child's;
 * the first child also holds everything below.
 *
 * Records are looked up by a `Cursor` (cursor.ts); this file changes trees.
 *
 * Invariants: (B1) keys strictly increase within a node and across leaves; (B2) no node but the
 * root is empty; (B3) the first key of an inner node is the key its parent has for it, 0 along the
 * left edge, so no key lies below the first child; (B4) all leaves are at level 0, and a child is
 * one level below its parent.
 */
import { strict as assert } from 'node:assert';
import { CorruptionError } from '../base/errors.ts';
import type { BlockNumber } from '../base/numbers.ts';
import { BranchRecord, HEADER_BYTES, MAX_TREE_LEVEL, TreeKind } from '../format/format.ts';
import { NODE_BLOCK_KIND } from '../format/node-blocks.ts';
import type { Frame } from '../transaction/block-cache.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { Cursor, findAttributes, PathStep, setBody, TreePath } from './cursor.ts';
import type { InodeRef } from './inode.ts';
import {
  appendRecords,
  hasRoom,
  initialiseNode,
  insertRecord,
  keyAt,
  middleOf,
  nodeCount,
  nodeLevel,
  recordAt,
  removeRecord,
  resizeNode,
  truncateNode,
  usedBytes,
} from './tree-node.ts';

/** Allocates and frees the blocks of tree nodes for an inode. */
export interface NodeSpace {
  allocateNode(tx: Transaction, inode: InodeRef): BlockNumber;
  freeNode(tx: Transaction, inode: InodeRef, block: BlockNumber): void;
}

const rootStep = new PathStep();
const scratchStep = new PathStep();

/** An empty tree in the inode's body. The caller has announced the change of the inode. */
export function initialiseTree(inode: InodeRef, kind: TreeKind): void {
  setBody(rootStep, inode);
  emptyNode(rootStep, kind, 0);
}

function emptyNode(node: PathStep, kind: TreeKind, level: number): void {
  node.bytes.fill(0, node.base, node.base + node.size);
  initialiseNode(node, kind, level);
}

/** Bytes that the root node in the body takes. */
export function rootBytes(inode: InodeRef): number {
  setBody(rootStep, inode);
  return usedBytes(rootStep);
}

/**
 * Makes the root node in the body end at `size`, from which on the body is something else's, or
 * was. The caller has announced the change of the inode.
 */
export function resizeRoot(inode: InodeRef, size: number): void {
  setBody(rootStep, inode);
  resizeNode(rootStep, size);
}

/** An empty tree of extended attributes, where the inode says. The caller announced the change. */
export function initialiseAttributes(tx: Transaction, inode: InodeRef): void {
  findAttributes(tx, rootStep, inode);
  emptyNode(rootStep, TreeKind.attributes, 0);
}

/** True if the tree holds no record. */
export function treeIsEmpty(inode: InodeRef): boolean {
  setBody(rootStep, inode);
  return nodeCount(rootStep) === 0;
}

/** The level of the root in the body: 0 where it is the only node. */
export function rootLevel(inode: InodeRef): number {
  setBody(rootStep, inode);
  return nodeLevel(rootStep);
}

/** Changes to trees of one kind; `cursor` is this user's own. */
export class Tree {
  readonly cursor = new Cursor();

  constructor(
    readonly kind: TreeKind,
    readonly space: NodeSpace,
  ) {}

  /**
   * Makes a record of `lengthBytes` with this key, which must not exist. Afterwards the cursor
   * stands on it, and the caller writes the rest of it at `cursor.at` of `cursor.leaf`.
   */
  insert(tx: Transaction, inode: InodeRef, key: number, lengthBytes: number): void {
    const cursor = this.cursor;
    cursor.descend(tx, inode, this.kind, key);
    while (!hasRoom(cursor.leaf, lengthBytes)) {
      this.#makeRoom(tx, inode, cursor.depth);
      cursor.descend(tx, inode, this.kind, key);
    }
    const leaf = cursor.leaf;
    assert(!cursor.valid || cursor.key !== key, 'B1: a key that is inserted is new');
    tx.modify(leaf.frame as Frame);
    const at = insertRecord(leaf, leaf.index, lengthBytes);
    setKey(leaf.view, at, key);
  }

  /**
   * Gives the node at `depth` of the cursor's path room: by a new level above, or by a split, for
   * which its parent may need room first.
   */
  #makeRoom(tx: Transaction, inode: InodeRef, depth: number): void {
    if (depth === 0) {
      this.#growRoot(tx, inode);
      return;
    }
    const parent = this.cursor.steps[depth - 1] as PathStep;
    if (hasRoom(parent, BranchRecord.sizeBytes)) this.#split(tx, inode, depth);
    else this.#makeRoom(tx, inode, depth - 1);
  }

  /** Moves the root's records into a new block below it. */
  #growRoot(tx: Transaction, inode: InodeRef): void {
    const root = this.cursor.steps[0] as PathStep;
    const level = nodeLevel(root);
    if (level >= MAX_TREE_LEVEL)
      throw new CorruptionError(inode.frame.block, `a tree of level ${level} that is full`);
    const block = this.space.allocateNode(tx, inode);
    const child = this.#newNode(tx, inode, block, level);
    tx.modify(root.frame as Frame);
    appendRecords(root, 0, nodeCount(root), child);
    emptyNode(root, this.kind, level + 1);
    writeBranch(root, 0, 0, block);
  }

  #newNode(tx: Transaction, inode: InodeRef, block: number, level: number): PathStep {
    const frame = tx.create(block, NODE_BLOCK_KIND[this.kind], inode.number);
    scratchStep.inFrame(frame, HEADER_BYTES, tx.blockBytes - HEADER_BYTES);
    initialiseNode(scratchStep, this.kind, level);
    return scratchStep;
  }

  /**
   * Moves the upper part of the node at `depth` into a new right neighbour. A node that grows at
   * its end leaves almost everything behind.
   */
  #split(tx: Transaction, inode: InodeRef, depth: number): void {
    const node = this.cursor.steps[depth] as PathStep;
    const parent = this.cursor.steps[depth - 1] as PathStep;
    const count = nodeCount(node);
    const atEnd = node.index >= count - (nodeLevel(node) > 0 ? 1 : 0);
    const cut = atEnd && this.#isLast(depth) ? count - 1 : middleOf(node);
    const block = this.space.allocateNode(tx, inode);
    const right = this.#newNode(tx, inode, block, nodeLevel(node));
    tx.modify(node.frame as Frame);
    tx.modify(parent.frame as Frame);
    const rightKey = keyAt(node, cut);
    appendRecords(node, cut, count, right);
    truncateNode(node, cut);
    writeBranch(parent, parent.index + 1, rightKey, block);
  }

  /** True if the node at `depth` is the rightmost of its level. */
  #isLast(depth: number): boolean {
    for (let i = 0; i < depth; i++) {
      const step = this.cursor.steps[i] as PathStep;
      if (step.index < nodeCount(step) - 1) return false;
    }
    return true;
  }

  /**
   * Moves the nodes on the way to `key` for which `isToMove` says so, to blocks that `space` gives.
   * Returns the lowest key that is not in the leaf at its end; infinity behind the last.
   */
  movePath(tx: Transaction, inode: InodeRef, key: number, isToMove: (block: BlockNumber) => boolean): number {
    const { cursor } = this;
    cursor.descend(tx, inode, this.kind, key);
    for (let depth = 1; depth <= cursor.depth; depth++) {
      const step = cursor.steps[depth] as PathStep;
      if (isToMove((step.frame as Frame).block)) this.#moveNode(tx, inode, depth);
    }
    return cursor.depth === 0
      ? Number.POSITIVE_INFINITY
      : cursor.highOf(cursor.depth - 1, (cursor.steps[cursor.depth - 1] as PathStep).index);
  }

  #moveNode(tx: Transaction, inode: InodeRef, depth: number): void {
    const parent = this.cursor.steps[depth - 1] as PathStep;
    const node = this.cursor.steps[depth] as PathStep;
    const old = node.frame as Frame;
    const block = this.space.allocateNode(tx, inode);
    const moved = tx.create(block, NODE_BLOCK_KIND[this.kind], inode.number);
    moved.bytes.set(old.bytes.subarray(HEADER_BYTES), HEADER_BYTES);
    tx.modify(parent.frame as Frame);
    BranchRecord.child.set(parent.view, recordAt(parent, parent.index), block);
    tx.discard(old.block);
    this.space.freeNode(tx, inode, old.block);
    node.inFrame(moved, HEADER_BYTES, tx.blockBytes - HEADER_BYTES);
  }

  /** Removes the record under the cursor. */
  remove(tx: Transaction, inode: InodeRef): void {
    const { cursor } = this;
    assert(cursor.valid, 'what is removed is under the cursor');
    tx.modify(cursor.leaf.frame as Frame);
    removeRecord(cursor.leaf, cursor.leaf.index);
    let depth = cursor.depth;
    while (depth > 0 && this.#shrink(tx, inode, depth)) depth--;
    this.#lowerRoot(tx, inode);
  }

  /**
   * Frees the node at `depth` if it is empty, or merges it with a neighbour if both are rather
   * empty. True if the parent lost a record.
   */
  #shrink(tx: Transaction, inode: InodeRef, depth: number): boolean {
    const node = this.cursor.steps[depth] as PathStep;
    const parent = this.cursor.steps[depth - 1] as PathStep;
    const used = usedBytes(node);
    if (nodeCount(node) === 0) {
      this.#dropChild(tx, inode, depth - 1, parent.index);
      return true;
    }
    if (used > node.size / 4) return false;
    if (parent.index + 1 < nodeCount(parent)) return this.#merge(tx, inode, depth - 1, parent.index);
    if (parent.index > 0) return this.#merge(tx, inode, depth - 1, parent.index - 1);
    return false;
  }

  /** Frees child `index` of the node at `depth`. */
  #dropChild(tx: Transaction, inode: InodeRef, depth: number, index: number): void {
    const parent = this.cursor.steps[depth] as PathStep;
    assert(nodeLevel(parent) > 0, 'B4: what has children is no leaf');
    const block = BranchRecord.child.get(parent.view, recordAt(parent, index));
    tx.modify(parent.frame as Frame);
    const key = keyAt(parent, index);
    removeRecord(parent, index);
    if (index === 0 && nodeCount(parent) > 0) this.#lowerFirstKey(tx, inode, depth, key);
    tx.discard(block);
    this.space.freeNode(tx, inode, block);
  }

  /**
   * The first child of the node at `depth` takes over the keys from `key` on, and so do the first
   * ones below it (B3).
   */
  #lowerFirstKey(tx: Transaction, inode: InodeRef, depth: number, key: number): void {
    const path = new TreePath(this.cursor.steps.slice(0, depth + 1));
    path.isOf(tx, inode, this.kind);
    for (let at = depth; ; at++) {
      const node = path.steps[at] as PathStep;
      const isInner = nodeLevel(node) > 1;
      if (isInner) {
        const child = new PathStep();
        path.enter(at, 0, child);
        path.steps.push(child);
      }
      tx.modify(node.frame as Frame);
      setKey(node.view, recordAt(node, 0), key);
      if (!isInner) return;
    }
  }

  /**
   * Moves the records of child `index + 1` of the node at `depth` into child `index` if they take
   * no more than three quarters of it together.
   */
  #merge(tx: Transaction, inode: InodeRef, depth: number, index: number): boolean {
    const left = this.#child(depth, index, new PathStep());
    const right = this.#child(depth, index + 1, new PathStep());
    if (usedBytes(left) + usedBytes(right) > left.size * 0.75) return false;
    tx.modify(left.frame as Frame);
    appendRecords(right, 0, nodeCount(right), left);
    this.#dropChild(tx, inode, depth, index + 1);
    return true;
  }

  /** Child `index` of the node at `depth` of the cursor's path. */
  #child(depth: number, index: number, into: PathStep): PathStep {
    this.cursor.enter(depth, index, into);
    return into;
  }

  /** While the root has one child that fits into it, or none, the tree loses a level. */
  #lowerRoot(tx: Transaction, inode: InodeRef): void {
    const root = this.cursor.steps[0] as PathStep;
    while (nodeLevel(root) > 0) {
      if (nodeCount(root) === 0) {
        tx.modify(root.frame as Frame);
        emptyNode(root, this.kind, 0);
        return;
      }
      if (nodeCount(root) > 1) return;
      const child = this.#child(0, 0, scratchStep);
      if (usedBytes(child) > root.size) return;
      const block = BranchRecord.child.get(root.view, recordAt(root, 0));
      tx.modify(root.frame as Frame);
      emptyNode(root, this.kind, nodeLevel(child));
      appendRecords(child, 0, nodeCount(child), root);
      tx.discard(block);
      this.space.freeNode(tx, inode, block);
    }
  }
}

function setKey(view: DataView, at: number, key: number): void {
  BranchRecord.key.set(view, at, key);
}

function writeBranch(region: PathStep, index: number, key: number, child: number): void {
  const at = insertRecord(region, index, BranchRecord.sizeBytes);
  setKey(region.view, at, key);
  BranchRecord.child.set(region.view, at, child);
}
