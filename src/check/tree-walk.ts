/**
 * Walks the tree of one inode in order of keys, and verifies it: node structure, levels, key order
 * within and across nodes, owner, and that no node is part of anything else.
 *
 * A subtree that cannot be read is reported and left out; the rest is still walked. Depth is
 * bounded by the level, which falls by one at every step, and work by the claims: a node that was
 * claimed before is not entered.
 */
import { viewOf } from '../common/bytes.ts';
import { BranchRecord, HEADER_BYTES, OwnerHeader, TreeKind } from '../fs/format/format.ts';
import { NODE_BLOCK_KIND } from '../fs/format/node-blocks.ts';
import type { CheckContext } from './context.ts';
import { inspectNode, type NodeBytes, type NodeContents } from './tree-node.ts';

/** Children of one node are read this many bytes at a time. */
const READ_AHEAD_BYTES = 256 * 1024;

export interface WalkedTree {
  /** Inode that owns it; 0 for the inode table. */
  readonly inode: number;
  /** `TreeKind`. */
  readonly kind: TreeKind;
  /** Root node: inside the inode, or all of a block. */
  readonly root: NodeBytes;
  /** A root without records is a tree, too. */
  readonly mayBeEmpty: boolean;
  /** Block that holds it. */
  readonly rootBlock: number;
  /** Keys are below this. */
  readonly keyLimit: number;
  /** Called for each leaf record in order of keys; `at` is its offset in `view`. */
  visit(view: DataView, at: number, key: number, block: number): void;
}

export interface WalkResult {
  /** Node blocks, without the root in the inode. */
  nodeBlocks: number;
  /** False if a part could not be read. */
  complete: boolean;
}

interface ReachedNode {
  readonly region: NodeBytes;
  readonly block: number;
  readonly isRoot: boolean;
  /** Its keys are from `low` to below `high`. */
  readonly low: number;
  readonly high: number;
}

interface Child {
  readonly block: number;
  readonly low: number;
  readonly high: number;
}

/** Walks the whole tree. Never throws for what is on disk. */
export async function walkTree(context: CheckContext, tree: WalkedTree): Promise<WalkResult> {
  const walk = new TreeWalk(context, tree);
  const node = { region: tree.root, block: tree.rootBlock, isRoot: true, low: 0, high: tree.keyLimit };
  await walk.enter(node, undefined);
  return walk.result;
}

class TreeWalk {
  readonly result: WalkResult = { nodeBlocks: 0, complete: true };
  readonly #context: CheckContext;
  readonly #tree: WalkedTree;
  #lastKey = -1;

  constructor(context: CheckContext, tree: WalkedTree) {
    this.#context = context;
    this.#tree = tree;
  }

  /** @param level the level that the node must have; undefined for the root. */
  async enter(node: ReachedNode, level: number | undefined): Promise<void> {
    const contents = this.#inspect(node, level);
    if (!contents) {
      this.result.complete = false;
      return;
    }
    if (contents.level === 0) this.#visitLeaf(node, contents);
    else await this.#descend(node, contents);
  }

  #inspect(node: ReachedNode, level: number | undefined): NodeContents | undefined {
    const { log } = this.#context;
    const { inode } = this.#tree;
    const { block } = node;
    const contents = inspectNode(node.region, this.#tree.kind);
    if (typeof contents === 'string') {
      log.report('tree-header', { inode, block, what: contents });
      return undefined;
    }
    if (level !== undefined && contents.level !== level) {
      log.report('tree-level', { inode, block, found: contents.level, expected: level });
      return undefined;
    }
    const mayBeEmpty = node.isRoot && contents.level === 0 && this.#tree.mayBeEmpty;
    if (contents.records.length === 0 && !mayBeEmpty) log.report('tree-empty', { inode, block });
    return contents;
  }

  #visitLeaf(node: ReachedNode, contents: NodeContents): void {
    const { view } = node.region;
    for (const at of contents.records) {
      const key = BranchRecord.key.get(view, at);
      if (key <= this.#lastKey) this.#reportOrder(node, key, `it does not follow ${this.#lastKey}`);
      else if (key < node.low || key >= node.high) this.#reportRange(node, key);
      this.#lastKey = Math.max(key, this.#lastKey);
      this.#tree.visit(view, at, key, node.block);
    }
  }

  async #descend(node: ReachedNode, contents: NodeContents): Promise<void> {
    const children = this.#children(node, contents);
    const width = Math.max(1, Math.floor(READ_AHEAD_BYTES / this.#context.layout.blockBytes));
    for (let from = 0; from < children.length; from += width) {
      const batch = children.slice(from, from + width);
      const read = await Promise.all(batch.map((child) => this.#read(child)));
      for (const next of read) {
        if (next) await this.enter(next, contents.level - 1);
        else this.result.complete = false;
      }
    }
  }

  /**
   * The children that can be entered, with the range of their keys. The first key of a node is the
   * one its parent has for it.
   */
  #children(node: ReachedNode, { records }: NodeContents): Child[] {
    const { view } = node.region;
    const keys = records.map((at) => BranchRecord.key.get(view, at));
    if (keys[0] !== undefined && keys[0] !== node.low) this.#reportRange(node, keys[0]);
    keys[0] = node.low;
    const children: Child[] = [];
    for (const [index, at] of records.entries()) {
      const low = keys[index] ?? node.low;
      const high = keys[index + 1] ?? node.high;
      if (low < node.low || low >= node.high) this.#reportRange(node, low);
      else if (low >= high) this.#reportOrder(node, high, `it does not follow ${low}`);
      const block = BranchRecord.child.get(view, at);
      if (this.#claim(node, block)) children.push({ block, low, high });
      else this.result.complete = false;
    }
    return children;
  }

  #claim(node: ReachedNode, block: number): boolean {
    const { log, shared, space } = this.#context;
    const { inode } = this.#tree;
    if (!space.contains(block, 1)) {
      log.report('tree-child', { inode, block: node.block, found: block });
      return false;
    }
    const conflict = space.claim(block, 1);
    if (conflict) {
      log.report('block-shared', { inode, block, found: 1 });
      shared.add(inode, conflict.ranges);
      return false;
    }
    this.result.nodeBlocks++;
    return true;
  }

  async #read(child: Child): Promise<ReachedNode | undefined> {
    const { reader, log } = this.#context;
    const { inode } = this.#tree;
    const { block, low, high } = child;
    const kind = NODE_BLOCK_KIND[this.#tree.kind];
    const ofVolume = this.#tree.kind === TreeKind.quotas ? 'the quotas' : 'the inode table';
    const owner = inode === 0 ? ofVolume : `inode ${inode}`;
    const bytes = await reader.read(block, { kind, what: `tree node of ${owner}`, inode });
    if (!bytes) return undefined;
    const view = viewOf(bytes);
    const found = OwnerHeader.owner.get(view, 0);
    if (found !== inode) log.report('tree-owner', { inode, block, found });
    const region = { view, at: HEADER_BYTES, length: bytes.length - HEADER_BYTES };
    return { region, block, isRoot: false, low, high };
  }

  #reportOrder(node: ReachedNode, found: number, what: string): void {
    this.#context.log.report('tree-key-order', { inode: this.#tree.inode, block: node.block, found, what });
  }

  #reportRange(node: ReachedNode, found: number): void {
    this.#reportOrder(node, found, `its node holds ${node.low} up to ${node.high}`);
  }
}
