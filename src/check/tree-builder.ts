/**
 * Builds the tree of an inode anew from its records: leaves from left to right, then level over
 * level until one node fits the inode. Nodes go to vacant blocks, so that the old tree stays as it
 * is until the inode points to the new one; on a full volume the old nodes are used again, through
 * the journal.
 */
import { viewOf } from '../common/bytes.ts';
import {
  BranchRecord,
  HEADER_BYTES,
  NodeHeader,
  OwnerHeader,
  SLOT_BYTES,
  type TreeKind,
} from '../fs/format/format.ts';
import { NODE_BLOCK_KIND } from '../fs/format/node-blocks.ts';
import type { RepairContext } from './repair-context.ts';
import type { NodeBytes } from './tree-node.ts';

/** A record as it stands in a node, its key first. */
export interface TreeRecord {
  readonly key: number;
  readonly bytes: Uint8Array;
}

export interface TreePlan {
  readonly inode: number;
  readonly kind: TreeKind;
  /** In the body of the inode, or all of a block. */
  readonly root: NodeBytes;
  /** In order of their keys. */
  readonly records: readonly TreeRecord[];
  /** Nodes of the old tree that nothing else uses. */
  readonly oldNodes: readonly number[];
}

/** Nodes are filled to this share, so that the next insertion does not split each of them. */
const FILL = 0.9;

/**
 * Builds the tree.
 * @returns the number of its nodes beside the root, or undefined if there is no room: then nothing
 * was changed
 */
export async function buildTree(repair: RepairContext, plan: TreePlan): Promise<number | undefined> {
  const builder = new TreeBuilder(repair, plan);
  return await builder.build();
}

/** Whether these records fill no more than one node of this length. */
export function fitsNode(records: readonly TreeRecord[], length: number): boolean {
  return spaceOf(records) <= length;
}

function spaceOf(records: readonly TreeRecord[]): number {
  return records.reduce((sum, { bytes }) => sum + bytes.length + SLOT_BYTES, NodeHeader.sizeBytes);
}

class TreeBuilder {
  readonly #repair: RepairContext;
  readonly #plan: TreePlan;
  readonly #oldNodes: number[];
  #nodes = 0;

  constructor(repair: RepairContext, plan: TreePlan) {
    this.#repair = repair;
    this.#plan = plan;
    this.#oldNodes = [...plan.oldNodes];
  }

  async build(): Promise<number | undefined> {
    let records = this.#plan.records;
    let level = 0;
    while (!fitsNode(records, this.#plan.root.length)) {
      const above = await this.#addLevel(records, level);
      if (!above) return undefined;
      records = above;
      level++;
    }
    fillNode(this.#plan.root, this.#plan.kind, level, records);
    return this.#nodes;
  }

  /** Writes the nodes of one level. @returns the records that point to them */
  async #addLevel(records: readonly TreeRecord[], level: number): Promise<TreeRecord[] | undefined> {
    const length = this.#repair.check.layout.blockBytes - HEADER_BYTES;
    const above: TreeRecord[] = [];
    for (let from = 0; from < records.length; ) {
      const count = countFor(records, from, length * FILL);
      const block = await this.#addNode(records.slice(from, from + count), level);
      if (block === undefined) return undefined;
      above.push(branch(above.length === 0 ? 0 : (records[from]?.key ?? 0), block));
      from += count;
    }
    return above;
  }

  async #addNode(records: readonly TreeRecord[], level: number): Promise<number | undefined> {
    const { changes, vacant } = this.#repair;
    const { inode, kind } = this.#plan;
    const blockKind = NODE_BLOCK_KIND[kind];
    const fresh = await vacant.takeOne();
    const block = fresh ?? this.#oldNodes.pop();
    if (block === undefined) return undefined;
    const bytes = fresh === undefined ? changes.replace(block, blockKind) : changes.create(block, blockKind);
    const view = viewOf(bytes);
    OwnerHeader.owner.set(view, 0, inode);
    fillNode({ view, at: HEADER_BYTES, length: bytes.length - HEADER_BYTES }, kind, level, records);
    this.#nodes++;
    return block;
  }
}

/** How many records from `from` on go into a node with this much room; at least one. */
function countFor(records: readonly TreeRecord[], from: number, room: number): number {
  let used = NodeHeader.sizeBytes;
  let count = 0;
  for (let i = from; i < records.length; i++) {
    used += (records[i]?.bytes.length ?? 0) + SLOT_BYTES;
    if (used > room && count > 0) break;
    count++;
  }
  return count;
}

function branch(key: number, child: number): TreeRecord {
  const bytes = new Uint8Array(BranchRecord.sizeBytes);
  BranchRecord.key.set(viewOf(bytes), 0, key);
  BranchRecord.child.set(viewOf(bytes), 0, child);
  return { key, bytes };
}

/** Writes a node with these records into the region. */
export function fillNode(
  region: NodeBytes,
  kind: number,
  level: number,
  records: readonly TreeRecord[],
): void {
  const { view, at, length } = region;
  const bytes = new Uint8Array(view.buffer, view.byteOffset + at, length);
  bytes.fill(0);
  let heap = length;
  for (const [index, record] of records.entries()) {
    heap -= record.bytes.length;
    bytes.set(record.bytes, heap);
    view.setUint16(at + NodeHeader.sizeBytes + index * SLOT_BYTES, heap, true);
  }
  NodeHeader.level.set(view, at, level);
  NodeHeader.kind.set(view, at, kind);
  NodeHeader.count.set(view, at, records.length);
  NodeHeader.heapStart.set(view, at, heap);
}
