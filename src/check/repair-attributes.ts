/**
 * Stage `attributes`: the extended attributes of every inode in which something was found wrong are
 * written anew, as many as are whole.
 */

import { viewOf } from '../common/bytes.ts';
import {
  AttributeRecord,
  HEADER_BYTES,
  Inode,
  MAX_ATTRIBUTE_VALUE_BYTES,
  OwnerHeader,
  RECORDS_PER_ATTRIBUTE,
  TreeKind,
} from '../fs/format/format.ts';
import { ATTRIBUTE_KEYS_PER_HASH, attributeKey } from '../fs/format/name-hash.ts';
import { NODE_BLOCK_KIND } from '../fs/format/node-blocks.ts';
import { accessListFlaw, isAclName } from './access-list.ts';
import { type AttributePart, attributePart, hasAttributes, inlineAttributes } from './attribute-pass.ts';
import type { CheckContext } from './context.ts';
import type { FoundInode } from './inode-record.ts';
import { editInode, type RepairContext } from './repair-context.ts';
import { findStrayLeaves } from './repair-inodes.ts';
import { type SalvagedTree, salvageTree } from './salvage.ts';
import { buildTree, fillNode, type TreeRecord } from './tree-builder.ts';
import type { NodeBytes } from './tree-node.ts';

const KIND = TreeKind.attributes;

export async function repairAttributes(repair: RepairContext): Promise<void> {
  const { check, changes } = repair;
  const suspects = [...check.log.suspects('attributes')].sort((a, b) => a - b);
  const strays = await findStrayLeaves(repair, new Set(suspects), NODE_BLOCK_KIND[KIND]);
  for (const inode of suspects) {
    const found = check.inodes.mode(inode) === 0 ? undefined : await editInode(repair, inode);
    if (!found || !hasAttributes(found)) continue;
    const parts: AttributePart[] = [];
    const saved = await saveParts(check, found, strays.get(inode) ?? [], parts);
    const records = repair.isCoarse
      ? []
      : wholeAttributes(check, parts, Inode.mode.get(found.view, found.at));
    await writeAttributes(repair, found, records, saved.nodes);
    await changes.settle();
  }
}

/** All records that can be read, in any order. */
async function saveParts(
  check: CheckContext,
  found: FoundInode,
  strayLeaves: readonly number[],
  parts: AttributePart[],
): Promise<SalvagedTree> {
  const block = Inode.attributeBlock.get(found.view, found.at);
  const tree = {
    inode: found.inode,
    kind: KIND,
    strayLeaves,
    visit: (view: DataView, at: number) => {
      const { key, name, valueBytes, part } = attributePart(view, at);
      parts.push({ key, name: name.slice(), valueBytes, part: part.slice() });
    },
  };
  return await salvageTree(check, { ...tree, root: block === 0 ? inlineAttributes(found) : block });
}

/**
 * The records of the attributes of which every part is there, in order of their keys. An ACL must
 * be one as well.
 * @param mode of the inode
 */
function wholeAttributes(check: CheckContext, parts: readonly AttributePart[], mode: number): TreeRecord[] {
  const byKey = new Map<number, AttributePart>();
  for (const part of parts) if (!byKey.has(part.key)) byKey.set(part.key, part);
  const names = new Set<string>();
  const records: TreeRecord[] = [];
  for (const key of [...byKey.keys()].sort((a, b) => a - b)) {
    const whole = key % RECORDS_PER_ATTRIBUTE === 0 ? wholeFrom(check, byKey, key) : undefined;
    const name = Buffer.from(byKey.get(key)?.name ?? []).toString('hex');
    if (!whole || names.has(name) || !isPossible(whole, mode)) continue;
    names.add(name);
    records.push(...whole.map(recordOf));
  }
  return records;
}

function isPossible(parts: readonly AttributePart[], mode: number): boolean {
  const name = parts[0]?.name;
  if (name === undefined || !isAclName(name)) return true;
  return accessListFlaw(name, Buffer.concat(parts.map(({ part }) => part)), mode) === undefined;
}

/** The parts of the attribute that begins at `first`; undefined if it is not whole. */
function wholeFrom(
  { nameSecret }: CheckContext,
  byKey: ReadonlyMap<number, AttributePart>,
  first: number,
): AttributePart[] | undefined {
  const head = byKey.get(first);
  if (!head || head.name.length === 0 || head.name.includes(0)) return undefined;
  if (head.valueBytes > MAX_ATTRIBUTE_VALUE_BYTES) return undefined;
  if (first - (first % ATTRIBUTE_KEYS_PER_HASH) !== attributeKey(head.name, nameSecret)) return undefined;
  const parts = [head];
  let missing = head.valueBytes - head.part.length;
  for (let key = first + 1; missing > 0; key++) {
    const next = byKey.get(key);
    const follows =
      next &&
      key % RECORDS_PER_ATTRIBUTE !== 0 &&
      next.name.length === 0 &&
      next.valueBytes === head.valueBytes;
    if (!follows || next.part.length === 0) return undefined;
    parts.push(next);
    missing -= next.part.length;
  }
  return missing === 0 ? parts : undefined;
}

function recordOf({ key, name, valueBytes, part }: AttributePart): TreeRecord {
  const bytes = new Uint8Array(AttributeRecord.sizeBytes + name.length + part.length);
  const view = viewOf(bytes);
  AttributeRecord.key.set(view, 0, key);
  AttributeRecord.valueBytes.set(view, 0, valueBytes);
  AttributeRecord.partBytes.set(view, 0, part.length);
  AttributeRecord.nameBytes.set(view, 0, name.length);
  bytes.set(name, AttributeRecord.sizeBytes);
  bytes.set(part, AttributeRecord.sizeBytes + name.length);
  return { key, bytes };
}

/**
 * Writes the tree where the root was, or to a new root. Without room for it the attributes are
 * lost. The blocks of the inode are counted by the next check.
 */
async function writeAttributes(
  repair: RepairContext,
  found: FoundInode,
  records: readonly TreeRecord[],
  oldNodes: readonly number[],
): Promise<void> {
  const { view, at, inode } = found;
  const old = [...oldNodes];
  if (Inode.attributeBlock.get(view, at) === 0) {
    const root = inlineAttributes(found);
    const plan = { inode, kind: KIND, root, records, oldNodes: old };
    if ((await buildTree(repair, plan)) === undefined) fillNode(root, KIND, 0, []);
    return;
  }
  Inode.attributeBlock.set(view, at, 0);
  if (records.length === 0) return;
  const fresh = await newRoot(repair, inode, old);
  if (!fresh) return;
  const built = await buildTree(repair, { inode, kind: KIND, root: fresh.root, records, oldNodes: old });
  if (built !== undefined) Inode.attributeBlock.set(view, at, fresh.block);
}

/** A block for the root: a vacant one, or one of the old tree, which is taken out of `oldNodes`. */
async function newRoot(
  { changes, vacant }: RepairContext,
  inode: number,
  oldNodes: number[],
): Promise<{ block: number; root: NodeBytes } | undefined> {
  const taken = await vacant.takeOne();
  const block = taken ?? oldNodes.pop();
  if (block === undefined) return undefined;
  const kind = NODE_BLOCK_KIND[KIND];
  const bytes = taken === undefined ? changes.replace(block, kind) : changes.create(block, kind);
  const view = viewOf(bytes);
  OwnerHeader.owner.set(view, 0, inode);
  return { block, root: { view, at: HEADER_BYTES, length: bytes.length - HEADER_BYTES } };
}
