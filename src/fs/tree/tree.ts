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
 * A `Cursor` is a path from the root to one record. It stays valid while the tree does not change;
 * `insert` and `remove` leave it undefined. Each user of trees owns a cursor of its own.
 *
 * Invariants: (B1) keys strictly increase within a node and across leaves; (B2) no node but the
 * root is empty; (B3) the first key of an inner node is the key its parent has for it, 0 along the
 * left edge, so no key lies below the first child; (B4) all leaves are at level 0, and a child is
 * one level below its parent.
 */
import { strict as assert } from 'node:assert';
import { CorruptionError } from '../base/errors.ts';
import type { BlockNumber } from '../base/numbers.ts';
import {
  BranchRecord,
  HEADER_BYTES,
  INODE_BODY_BYTES,
  INODE_BODY_OFFSET,
  INODE_BYTES,
  Inode,
  MAX_TREE_LEVEL,
  NodeHeader,
  OwnerHeader,
  TreeKind,
} from '../format/format.ts';
import { NODE_BLOCK_KIND } from '../format/node-blocks.ts';
import type { Frame } from '../transaction/block-cache.ts';
import type { Transaction } from '../transaction/transaction.ts';
import type { InodeRef } from './inode.ts';
import {
  appendRecords,
  childFor,
  hasRoom,
  initialiseNode,
  insertRecord,
  keyAt,
  lowerBound,
  middleOf,
  nodeCount,
  nodeLevel,
  type Region,
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

class Step implements Region {
  frame: Frame | undefined;
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  base = 0;
  size = 0;
  index = 0;

  inFrame(frame: Frame, base: number, size: number): void {
    this.frame = frame;
    this.bytes = frame.bytes;
    this.view = frame.view;
    this.base = base;
    this.size = size;
  }
}

/** A path through one tree; `steps[depth]` is the leaf. */
export class Cursor {
  readonly steps: Step[] = [];
  depth = 0;
  #tx: Transaction | undefined;
  #kind: TreeKind = TreeKind.extents;
  #owner = 0;

  constructor() {
    for (let i = 0; i <= MAX_TREE_LEVEL; i++) this.steps.push(new Step());
  }

  get leaf(): Step {
    return this.steps[this.depth] as Step;
  }

  /** True if the cursor stands on a record. */
  get valid(): boolean {
    const leaf = this.leaf;
    return leaf.index < nodeCount(leaf);
  }

  get key(): number {
    return keyAt(this.leaf, this.leaf.index);
  }

  /** Offset of the record in `leaf.view`. */
  get at(): number {
    return recordAt(this.leaf, this.leaf.index);
  }

  /**
   * Stands on the first record with a key ≥ `key` in the leaf where `key` belongs: perhaps behind
   * its last one.
   */
  descend(tx: Transaction, inode: InodeRef, kind: TreeKind, key: number): void {
    this.#tx = tx;
    this.#kind = kind;
    this.#owner = inode.number;
    this.depth = 0;
    const root = this.steps[0] as Step;
    findRoot(tx, root, inode, kind);
    if (NodeHeader.kind.get(root.view, root.base) !== kind) {
      throw new CorruptionError(inode.frame.block, `inode ${inode.number} holds no tree of kind ${kind}`);
    }
    let level = nodeLevel(root);
    while (level > 0) {
      const step = this.leaf;
      step.index = childFor(step, key);
      level--;
      this.#push();
    }
    this.leaf.index = lowerBound(this.leaf, key);
  }

  /** Goes to the child under the cursor. */
  #push(): void {
    const { index } = this.leaf;
    this.depth++;
    enterChild(
      this.#tx as Transaction,
      this.#owner,
      this.#kind,
      this.steps,
      this.depth - 1,
      index,
      this.leaf,
    );
  }

  /** Stands on the first record with a key ≥ `key`, whichever leaf it is in. */
  seek(tx: Transaction, inode: InodeRef, kind: TreeKind, key: number): boolean {
    this.descend(tx, inode, kind, key);
    return this.valid || this.#nextLeaf();
  }

  /** Stands on the last record with a key ≤ `key`. */
  seekFloor(tx: Transaction, inode: InodeRef, kind: TreeKind, key: number): boolean {
    this.descend(tx, inode, kind, key);
    const leaf = this.leaf;
    if (leaf.index < nodeCount(leaf) && keyAt(leaf, leaf.index) === key) return true;
    if (leaf.index > 0) {
      leaf.index--;
      return true;
    }
    return this.#previousLeaf();
  }

  /** Moves on to the next record; false at the end. */
  next(): boolean {
    this.leaf.index++;
    return this.valid || this.#nextLeaf();
  }

  #nextLeaf(): boolean {
    const bottom = this.depth;
    let depth = bottom - 1;
    while (depth >= 0) {
      const step = this.steps[depth] as Step;
      if (step.index + 1 < nodeCount(step)) break;
      depth--;
    }
    if (depth < 0) return false;
    this.depth = depth;
    this.leaf.index++;
    while (this.depth < bottom) {
      this.#push();
      this.leaf.index = 0;
    }
    return this.valid;
  }

  #previousLeaf(): boolean {
    const bottom = this.depth;
    let depth = bottom - 1;
    while (depth >= 0 && (this.steps[depth] as Step).index === 0) depth--;
    if (depth < 0) return false;
    this.depth = depth;
    this.leaf.index--;
    while (this.depth < bottom) {
      this.#push();
      this.leaf.index = nodeCount(this.leaf) - 1;
    }
    return this.leaf.index >= 0;
  }
}

/**
 * Goes from the node at `depth` of a path to its child number `index`. The child is what its parent
 * says it is: a node of the same tree, one level below, whose keys are in the range that it was
 * given. With keys in order inside each node (block-content.ts) this keeps every walk finite. The
 * range is looked at once for each frame and place in the tree: changes of the tree keep it.
 * @throws CorruptionError
 */
function enterChild(
  tx: Transaction,
  owner: number,
  kind: TreeKind,
  steps: readonly Step[],
  depth: number,
  index: number,
  child: Step,
): void {
  const parent = steps[depth] as Step;
  const at = recordAt(parent, index);
  const block = BranchRecord.child.get(parent.view, at);
  const low = BranchRecord.key.get(parent.view, at);
  const level = nodeLevel(parent) - 1;
  const frame = tx.read(block, NODE_BLOCK_KIND[kind]);
  child.inFrame(frame, HEADER_BYTES, tx.blockBytes - HEADER_BYTES);
  if (nodeLevel(child) === level && frame.nodeOwner === owner && frame.nodeLow === low) return;
  expectNode(child, owner, level, low, highOf(steps, depth, index));
  frame.nodeOwner = owner;
  frame.nodeLow = low;
}

/** All keys below child `index` of the node at `depth` are below this one. */
function highOf(steps: readonly Step[], depth: number, index: number): number {
  let next = index + 1;
  for (let at = depth; at >= 0; at--) {
    const step = steps[at] as Step;
    if (next < nodeCount(step)) return keyAt(step, next);
    next = at > 0 ? (steps[at - 1] as Step).index + 1 : 0;
  }
  return Number.POSITIVE_INFINITY;
}

function expectNode(node: Step, owner: number, level: number, low: number, high: number): void {
  const first = keyAt(node, 0);
  const sound =
    nodeLevel(node) === level &&
    OwnerHeader.owner.get(node.view, 0) === owner &&
    (level > 0 ? first === low : first >= low) &&
    keyAt(node, nodeCount(node) - 1) < high;
  if (sound) return;
  throw new CorruptionError(
    node.frame?.block ?? 0,
    `is not the tree node of inode ${owner} at level ${level} for keys from ${low} to ${high}`,
  );
}

/** The body of the inode, without the end that its extended attributes have. */
function setBody(step: Step, inode: InodeRef): void {
  const attributes = Inode.inlineAttributeBytes.get(inode.frame.view, inode.at);
  step.inFrame(inode.frame, inode.at + INODE_BODY_OFFSET, INODE_BODY_BYTES - attributes);
}

function findRoot(tx: Transaction, step: Step, inode: InodeRef, kind: TreeKind): void {
  if (kind !== TreeKind.attributes) setBody(step, inode);
  else findAttributes(tx, step, inode);
}

/** @throws CorruptionError if the block is another inode's */
function findAttributes(tx: Transaction, step: Step, inode: InodeRef): void {
  const { frame, at, number } = inode;
  const inline = Inode.inlineAttributeBytes.get(frame.view, at);
  if (inline > 0) {
    step.inFrame(frame, at + INODE_BYTES - inline, inline);
    return;
  }
  const root = tx.read(Inode.attributeBlock.get(frame.view, at), NODE_BLOCK_KIND[TreeKind.attributes]);
  if (OwnerHeader.owner.get(root.view, 0) !== number)
    throw new CorruptionError(root.block, `holds no attributes of inode ${number}`);
  step.inFrame(root, HEADER_BYTES, tx.blockBytes - HEADER_BYTES);
}

const rootStep = new Step();
const scratchStep = new Step();

/** An empty tree in the inode's body. The caller has announced the change of the inode. */
export function initialiseTree(inode: InodeRef, kind: TreeKind): void {
  setBody(rootStep, inode);
  emptyNode(rootStep, kind, 0);
}

function emptyNode(node: Step, kind: TreeKind, level: number): void {
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
    const parent = this.cursor.steps[depth - 1] as Step;
    if (hasRoom(parent, BranchRecord.sizeBytes)) this.#split(tx, inode, depth);
    else this.#makeRoom(tx, inode, depth - 1);
  }

  /** Moves the root's records into a new block below it. */
  #growRoot(tx: Transaction, inode: InodeRef): void {
    const root = this.cursor.steps[0] as Step;
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

  #newNode(tx: Transaction, inode: InodeRef, block: number, level: number): Step {
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
    const node = this.cursor.steps[depth] as Step;
    const parent = this.cursor.steps[depth - 1] as Step;
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
      const step = this.cursor.steps[i] as Step;
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
      const step = cursor.steps[depth] as Step;
      if (isToMove((step.frame as Frame).block)) this.#moveNode(tx, inode, depth);
    }
    return cursor.depth === 0
      ? Number.POSITIVE_INFINITY
      : highOf(cursor.steps, cursor.depth - 1, (cursor.steps[cursor.depth - 1] as Step).index);
  }

  #moveNode(tx: Transaction, inode: InodeRef, depth: number): void {
    const parent = this.cursor.steps[depth - 1] as Step;
    const node = this.cursor.steps[depth] as Step;
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
    const node = this.cursor.steps[depth] as Step;
    const parent = this.cursor.steps[depth - 1] as Step;
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
    const parent = this.cursor.steps[depth] as Step;
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
    const path = this.cursor.steps.slice(0, depth + 1);
    for (let at = depth; ; at++) {
      const node = path[at] as Step;
      const isInner = nodeLevel(node) > 1;
      if (isInner) {
        const child = new Step();
        enterChild(tx, inode.number, this.kind, path, at, 0, child);
        path.push(child);
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
    const left = this.#child(tx, inode, depth, index, new Step());
    const right = this.#child(tx, inode, depth, index + 1, new Step());
    if (usedBytes(left) + usedBytes(right) > left.size * 0.75) return false;
    tx.modify(left.frame as Frame);
    appendRecords(right, 0, nodeCount(right), left);
    this.#dropChild(tx, inode, depth, index + 1);
    return true;
  }

  #child(tx: Transaction, inode: InodeRef, depth: number, index: number, into: Step): Step {
    enterChild(tx, inode.number, this.kind, this.cursor.steps, depth, index, into);
    return into;
  }

  /** While the root has one child that fits into it, or none, the tree loses a level. */
  #lowerRoot(tx: Transaction, inode: InodeRef): void {
    const root = this.cursor.steps[0] as Step;
    while (nodeLevel(root) > 0) {
      if (nodeCount(root) === 0) {
        tx.modify(root.frame as Frame);
        emptyNode(root, this.kind, 0);
        return;
      }
      if (nodeCount(root) > 1) return;
      const child = this.#child(tx, inode, 0, 0, scratchStep);
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

function writeBranch(region: Step, index: number, key: number, child: number): void {
  const at = insertRecord(region, index, BranchRecord.sizeBytes);
  setKey(region.view, at, key);
  BranchRecord.child.set(region.view, at, child);
}
