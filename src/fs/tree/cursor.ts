/**
 * Paths through a tree (tree.ts), and the cursor that looks records up.
 *
 * A `Cursor` is a path from the root to one record. It stays valid while the tree does not change;
 * the `insert` and `remove` of a tree leave it undefined. Each user of trees owns a cursor of its
 * own, which is used again and again: nothing is made for a search.
 */
import { CorruptionError } from '../base/errors.ts';
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
  VolumeRoot,
} from '../format/format.ts';
import { NODE_BLOCK_KIND } from '../format/node-blocks.ts';
import type { Frame } from '../transaction/block-cache.ts';
import type { Transaction } from '../transaction/transaction.ts';
import type { InodeRef } from './inode.ts';
import { childFor, keyAt, lowerBound, nodeCount, nodeLevel, type Region, recordAt } from './tree-node.ts';

/** One node of a path. */
export class PathStep implements Region {
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

/** Nodes from the root of one tree down, each a child of the one before. */
export class TreePath {
  #tx: Transaction | undefined;
  #kind: TreeKind = TreeKind.extents;
  #owner = 0;

  constructor(readonly steps: PathStep[]) {}

  /** Which tree the steps will be of. */
  isOf(tx: Transaction, inode: InodeRef, kind: TreeKind): void {
    this.#tx = tx;
    this.#kind = kind;
    this.#owner = inode.number;
  }

  /**
   * Goes from the node at `depth` to its child number `index`. The child is what its parent says it
   * is: a node of the same tree, one level below, whose keys are in the range that it was given.
   * With keys in order inside each node (block-content.ts) this keeps every walk finite. The range
   * is looked at once for each frame and place in the tree: changes of the tree keep it.
   * @throws CorruptionError
   */
  enter(depth: number, index: number, child: PathStep): void {
    const tx = this.#tx as Transaction;
    const parent = this.steps[depth] as PathStep;
    const at = recordAt(parent, index);
    const block = BranchRecord.child.get(parent.view, at);
    const low = BranchRecord.key.get(parent.view, at);
    const level = nodeLevel(parent) - 1;
    const frame = tx.read(block, NODE_BLOCK_KIND[this.#kind]);
    child.inFrame(frame, HEADER_BYTES, tx.blockBytes - HEADER_BYTES);
    if (nodeLevel(child) === level && frame.nodeOwner === this.#owner && frame.nodeLow === low) return;
    this.#expectNode(child, level, low, this.highOf(depth, index));
    frame.nodeOwner = this.#owner;
    frame.nodeLow = low;
  }

  /** All keys below child `index` of the node at `depth` are below this one. */
  highOf(depth: number, index: number): number {
    let next = index + 1;
    for (let at = depth; at >= 0; at--) {
      const step = this.steps[at] as PathStep;
      if (next < nodeCount(step)) return keyAt(step, next);
      next = at > 0 ? (this.steps[at - 1] as PathStep).index + 1 : 0;
    }
    return Number.POSITIVE_INFINITY;
  }

  #expectNode(node: PathStep, level: number, low: number, high: number): void {
    // Of quotas, and of no other tree, a block may be an empty node, if it is the root.
    const mayBe = this.#kind !== TreeKind.quotas || nodeCount(node) > 0;
    const first = mayBe ? keyAt(node, 0) : -1;
    const sound =
      mayBe &&
      nodeLevel(node) === level &&
      OwnerHeader.owner.get(node.view, 0) === this.#owner &&
      (level > 0 ? first === low : first >= low) &&
      keyAt(node, nodeCount(node) - 1) < high;
    if (sound) return;
    throw new CorruptionError(
      node.frame?.block ?? 0,
      `is not the tree node of inode ${this.#owner} at level ${level} for keys from ${low} to ${high}`,
    );
  }
}

/** A path through one tree; `steps[depth]` is the leaf. */
export class Cursor extends TreePath {
  depth = 0;

  constructor() {
    super(Array.from({ length: MAX_TREE_LEVEL + 1 }, () => new PathStep()));
  }

  get leaf(): PathStep {
    return this.steps[this.depth] as PathStep;
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
    this.isOf(tx, inode, kind);
    this.depth = 0;
    const root = this.steps[0] as PathStep;
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
    this.enter(this.depth - 1, index, this.leaf);
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
      const step = this.steps[depth] as PathStep;
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
    while (depth >= 0 && (this.steps[depth] as PathStep).index === 0) depth--;
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

/** The body of the inode, without the end that its extended attributes have. */
export function setBody(step: PathStep, inode: InodeRef): void {
  const attributes = Inode.inlineAttributeBytes.get(inode.frame.view, inode.at);
  step.inFrame(inode.frame, inode.at + INODE_BODY_OFFSET, INODE_BODY_BYTES - attributes);
}

function findRoot(tx: Transaction, step: PathStep, inode: InodeRef, kind: TreeKind): void {
  if (kind === TreeKind.quotas) findQuotas(tx, step, inode);
  else if (kind === TreeKind.attributes) findAttributes(tx, step, inode);
  else setBody(step, inode);
}

/** The root of the quotas, which the volume root names. @param table the inode table's own inode */
function findQuotas(tx: Transaction, step: PathStep, table: InodeRef): void {
  const block = VolumeRoot.quotaBlock.get(table.frame.view, 0);
  const root = tx.read(block, NODE_BLOCK_KIND[TreeKind.quotas]);
  if (OwnerHeader.owner.get(root.view, 0) !== 0)
    throw new CorruptionError(block, 'holds no quotas of the volume');
  step.inFrame(root, HEADER_BYTES, tx.blockBytes - HEADER_BYTES);
}

/**
 * The root of the extended attributes.
 * @throws CorruptionError if the block is another inode's
 */
export function findAttributes(tx: Transaction, step: PathStep, inode: InodeRef): void {
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
