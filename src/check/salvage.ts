/**
 * Saves what can be read of a damaged tree: every record of every leaf that can still be reached,
 * in no particular order.
 *
 * Of a node that breaks the rules the records that make sense by themselves are taken. A node is
 * entered once, and only from a level above its own, so neither depth nor work can run away.
 */
import { sameBytes, viewOf } from '../common/bytes.ts';
import {
  BlockHeader,
  BranchRecord,
  HEADER_BYTES,
  NodeHeader,
  OwnerHeader,
  SLOT_BYTES,
  type TreeKind,
} from '../fs/format/format.ts';
import { NODE_BLOCK_KIND } from '../fs/format/node-blocks.ts';
import type { CheckContext } from './context.ts';
import { hasMagic } from './metadata-block.ts';
import { inspectNode, type NodeBytes, type NodeContents, recordLength } from './tree-node.ts';

export interface SalvagedTree {
  /** Nodes beside the root that are this tree's own. */
  readonly nodes: number[];
  /** False if a part of the tree could not be read, or a node was broken. */
  complete: boolean;
}

/**
 * How a record was come by: `checked`, the check came by its node too and counted it as the inode's
 * own; `reached`, from the root, through something broken; `stray`, in a leaf to which no way
 * leads.
 */
export type Trust = 'checked' | 'reached' | 'stray';
export type RecordVisitor = (view: DataView, at: number, key: number, trust: Trust) => void;

export interface DamagedTree {
  readonly inode: number;
  readonly kind: TreeKind;
  /** Inside the inode, or a block. */
  readonly root: NodeBytes | number;
  /** Leaves of the inode that were found elsewhere, without a way from its root. */
  readonly strayLeaves: readonly number[];
  readonly visit: RecordVisitor;
}

export async function salvageTree(context: CheckContext, tree: DamagedTree): Promise<SalvagedTree> {
  const walk = new SalvageWalk(context, tree);
  const { root } = tree;
  if (typeof root === 'number') await walk.enterBlock(root, Number.POSITIVE_INFINITY, 'checked');
  else await walk.enterRoot(root);
  for (const block of tree.strayLeaves) await walk.enterBlock(block, 1, 'stray');
  return walk.result;
}

class SalvageWalk {
  readonly result: SalvagedTree = { nodes: [], complete: true };
  readonly #context: CheckContext;
  readonly #tree: DamagedTree;
  readonly #seen = new Set<number>();
  readonly #shared: ReadonlySet<number>;

  constructor(context: CheckContext, tree: DamagedTree) {
    this.#context = context;
    this.#tree = tree;
    this.#shared = new Set(context.shared.of(tree.inode).map(({ from }) => from));
  }

  async enterRoot(root: NodeBytes): Promise<void> {
    await this.#enter(root, Number.POSITIVE_INFINITY, 'checked');
  }

  /** @param below the level of the node must be lower than this */
  async enterBlock(block: number, below: number, trust: Trust): Promise<void> {
    const { layout, space } = this.#context;
    const isInside = block >= layout.spaceStart && space.contains(block, 1);
    const bytes = isInside && !this.#seen.has(block) ? await this.#readNode(block) : undefined;
    this.#seen.add(block);
    const isOwn = bytes && OwnerHeader.owner.get(viewOf(bytes), 0) === this.#tree.inode;
    const isShared = this.#shared.has(block);
    if (!bytes || (isShared && !isOwn)) {
      this.result.complete = false;
      return;
    }
    if (isOwn && !isShared) this.result.nodes.push(block);
    const region = { view: viewOf(bytes), at: HEADER_BYTES, length: bytes.length - HEADER_BYTES };
    await this.#enter(region, below, isShared ? lessThan(trust) : trust);
  }

  /** The bytes of a node, also of one in whose header one thing is wrong. */
  async #readNode(block: number): Promise<Uint8Array | undefined> {
    const { reader } = this.#context;
    const { inode, kind } = this.#tree;
    const blockKind = NODE_BLOCK_KIND[kind];
    const { bytes, errno } = await reader.raw(block);
    if (errno !== 0) return undefined;
    if (reader.isOwn(bytes, block, blockKind)) return bytes;
    const view = viewOf(bytes);
    const signs = [
      hasMagic(bytes),
      BlockHeader.kind.get(view, 0) === blockKind,
      BlockHeader.block.get(view, 0) === block,
      sameBytes(BlockHeader.uuid.of(bytes, 0), reader.uuid),
      OwnerHeader.owner.get(view, 0) === inode,
    ];
    if (signs.filter(Boolean).length < signs.length - 1 || this.#shared.has(block)) return undefined;
    this.result.complete = false;
    return bytes;
  }

  async #enter(region: NodeBytes, below: number, trust: Trust): Promise<void> {
    const { kind, visit } = this.#tree;
    const expected = Number.isFinite(below) ? below - 1 : undefined;
    const strict = inspectNode(region, kind);
    const isSound = typeof strict !== 'string' && (expected === undefined || strict.level === expected);
    const contents = isSound ? strict : salvageNode(region, kind, expected);
    if (!isSound) this.result.complete = false;
    if (!contents || contents.level >= below) {
      this.result.complete = false;
      return;
    }
    // What is not sound was not entered by the check.
    const now = isSound ? trust : lessThan(trust);
    for (const at of contents.records) {
      if (contents.level === 0) visit(region.view, at, BranchRecord.key.get(region.view, at), now);
      else await this.enterBlock(BranchRecord.child.get(region.view, at), contents.level, now);
    }
  }
}

function lessThan(trust: Trust): Trust {
  return trust === 'checked' ? 'reached' : trust;
}

/**
 * The records of a broken node that lie inside it, if it is a node at all. Its parent knows its
 * level, if it has one; what the node says of it may be what is broken.
 */
function salvageNode(
  region: NodeBytes,
  kind: number,
  expected: number | undefined,
): NodeContents | undefined {
  const { view, at, length } = region;
  if (length < NodeHeader.sizeBytes || NodeHeader.kind.get(view, at) !== kind) return undefined;
  const level = expected ?? NodeHeader.level.get(view, at);
  const heapStart = NodeHeader.heapStart.get(view, at);
  const slotsUntil = heapStart > NodeHeader.sizeBytes && heapStart < length ? heapStart : length;
  const room = Math.floor((slotsUntil - NodeHeader.sizeBytes) / SLOT_BYTES);
  const count = Math.min(NodeHeader.count.get(view, at), room);
  const records = new Set<number>();
  for (let slot = 0; slot < count; slot++) {
    const offset = view.getUint16(at + NodeHeader.sizeBytes + slot * SLOT_BYTES, true);
    if (offset < NodeHeader.sizeBytes + SLOT_BYTES || offset >= length) continue;
    if (recordLength(region, at + offset, kind, level) !== undefined) records.add(at + offset);
  }
  return { level, records: [...records] };
}
