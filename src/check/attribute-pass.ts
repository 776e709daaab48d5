/**
 * Pass 6: the extended attributes of every inode that has any: their tree, and that each attribute
 * is whole. What inodes count as their blocks is compared here for those that have some, since the
 * nodes of this tree are among them.
 */

import { viewOf } from '../common/bytes.ts';
import type { RecordPlace } from '../common/record.ts';
import {
  AttributeRecord,
  BlockKind,
  HEADER_BYTES,
  INODE_BYTES,
  Inode,
  MAX_ATTRIBUTE_VALUE_BYTES,
  MAX_INLINE_ATTRIBUTE_BYTES,
  MIN_INLINE_ATTRIBUTE_BYTES,
  OwnerHeader,
  RECORDS_PER_ATTRIBUTE,
  TreeKind,
} from '../fs/format/format.ts';
import { ATTRIBUTE_KEYS_PER_HASH, attributeKey, KEY_LIMIT } from '../fs/format/name-hash.ts';
import { NODE_BLOCK_KIND } from '../fs/format/node-blocks.ts';
import { accessListFlaw, isAclName } from './access-list.ts';
import { type CheckContext, forEachConcurrently } from './context.ts';
import type { InodePlaces } from './inode-places.ts';
import { printableName } from './printable-name.ts';
import type { NodeBytes } from './tree-node.ts';
import { walkTree } from './tree-walk.ts';

/** Inodes looked at together. */
const WIDTH = 16;
/** Inodes between two reports of progress. */
const PROGRESS_STEP = 256;

/** The inode that stands there has extended attributes. */
export function hasAttributes({ view, at }: RecordPlace): boolean {
  return Inode.attributeBlock.get(view, at) !== 0 || Inode.inlineAttributeBytes.get(view, at) !== 0;
}

/** What is wrong with where an inode says that its attributes are. */
export function attributePlaceFlaw({ view, at }: RecordPlace): string | undefined {
  const inline = Inode.inlineAttributeBytes.get(view, at);
  const block = Inode.attributeBlock.get(view, at);
  if (inline === 0) return undefined;
  if (block !== 0) return `${inline} bytes of them, and more in block ${block}`;
  const isAllowed =
    inline >= MIN_INLINE_ATTRIBUTE_BYTES && inline <= MAX_INLINE_ATTRIBUTE_BYTES && inline % 8 === 0;
  return isAllowed ? undefined : `${inline} bytes of them`;
}

/** The root node of attributes that are in the body. */
export function inlineAttributes({ view, at }: RecordPlace): NodeBytes {
  const length = Inode.inlineAttributeBytes.get(view, at);
  return { view, at: at + INODE_BYTES - length, length };
}

/** Runs the pass. */
export async function checkAttributes(context: CheckContext, table: InodePlaces): Promise<void> {
  context.log.pass = 'attributes';
  const { attributed } = context.inodes;
  let done = 0;
  await forEachConcurrently(attributed, WIDTH, async ([inode, otherBlocks]) => {
    await checkOne(context, table, inode, otherBlocks);
    if (++done % PROGRESS_STEP === 0) context.progress(done, attributed.size);
  });
  context.progress(done, attributed.size);
}

async function checkOne(
  context: CheckContext,
  table: InodePlaces,
  inode: number,
  otherBlocks: number | undefined,
): Promise<void> {
  const { log, inodes, reader } = context;
  const place = table.locate(inode);
  if (!place) return;
  const bytes = await reader.readAgain(place.block, { kind: BlockKind.inodes, what: `inode ${inode}` });
  if (!bytes) return;
  const view = viewOf(bytes);
  const found = { view, at: place.offset };
  const blocks = await walkAttributes(context, inode, found, place.block);
  if (blocks === undefined) return;
  inodes.attributeBlocks.set(inode, blocks);
  if (inodes.isDirectory(inode) || otherBlocks === undefined) return;
  const counted = Inode.blocks.get(view, place.offset);
  const expected = otherBlocks + blocks;
  if (counted !== expected) log.report('inode-blocks', { inode, found: counted, expected }, 'inodes');
}

/** @returns the blocks of the tree, its root too if that is one; undefined if a part is missing */
async function walkAttributes(
  context: CheckContext,
  inode: number,
  found: RecordPlace,
  inodeBlock: number,
): Promise<number | undefined> {
  const rootBlock = Inode.attributeBlock.get(found.view, found.at);
  const root = rootBlock === 0 ? inlineAttributes(found) : await readRoot(context, inode, rootBlock);
  if (!root) return undefined;
  const attributes = new AttributeCheck(context, inode, Inode.mode.get(found.view, found.at));
  const walked = await walkTree(context, {
    inode,
    kind: TreeKind.attributes,
    root,
    mayBeEmpty: rootBlock === 0,
    rootBlock: rootBlock === 0 ? inodeBlock : rootBlock,
    keyLimit: KEY_LIMIT,
    visit: (view, at, key) => attributes.visit(view, at, key),
  });
  attributes.end();
  return walked.complete ? walked.nodeBlocks + (rootBlock === 0 ? 0 : 1) : undefined;
}

async function readRoot(context: CheckContext, inode: number, block: number): Promise<NodeBytes | undefined> {
  const { log, reader, shared, space } = context;
  if (!space.contains(block, 1)) {
    log.report('tree-child', { inode, block, found: block });
    return undefined;
  }
  const conflict = space.claim(block, 1);
  if (conflict) {
    log.report('block-shared', { inode, block, found: 1 });
    shared.add(inode, conflict.ranges);
    return undefined;
  }
  const kind = NODE_BLOCK_KIND[TreeKind.attributes];
  const bytes = await reader.read(block, { kind, what: `attributes of inode ${inode}`, inode });
  if (!bytes) return undefined;
  const view = viewOf(bytes);
  const owner = OwnerHeader.owner.get(view, 0);
  if (owner !== inode) log.report('tree-owner', { inode, block, found: owner });
  return { view, at: HEADER_BYTES, length: bytes.length - HEADER_BYTES };
}

/** What one record says. */
export interface AttributePart {
  readonly key: number;
  /** Empty in all but the first record of an attribute. */
  readonly name: Uint8Array;
  readonly valueBytes: number;
  readonly part: Uint8Array;
}

/** The record at `at`, in place; it lies inside the view. */
export function attributePart(view: DataView, at: number): AttributePart {
  const nameBytes = AttributeRecord.nameBytes.get(view, at);
  const from = view.byteOffset + at + AttributeRecord.sizeBytes;
  return {
    key: AttributeRecord.key.get(view, at),
    name: new Uint8Array(view.buffer, from, nameBytes),
    valueBytes: AttributeRecord.valueBytes.get(view, at),
    part: new Uint8Array(view.buffer, from + nameBytes, AttributeRecord.partBytes.get(view, at)),
  };
}

interface AclParts {
  readonly name: Uint8Array;
  readonly parts: Uint8Array[];
}

/** The attributes of one inode, as their records come by key. */
class AttributeCheck {
  readonly #context: CheckContext;
  readonly #inode: number;
  /** The key that the next part of the attribute must have; −1 where none is missing. */
  #next = -1;
  #name = '';
  #valueBytes = 0;
  #missingBytes = 0;
  #hash = -1;
  #sameHash: string[] = [];
  readonly #mode: number;
  /** Of an ACL, as far as its parts have come; undefined of any other attribute. */
  #acl: AclParts | undefined;

  /** @param mode of the inode */
  constructor(context: CheckContext, inode: number, mode: number) {
    this.#context = context;
    this.#inode = inode;
    this.#mode = mode;
  }

  visit(view: DataView, at: number, key: number): void {
    const record = attributePart(view, at);
    if (key % RECORDS_PER_ATTRIBUTE === 0) this.#begin(key, record);
    else if (key !== this.#next || record.name.length > 0 || record.valueBytes !== this.#valueBytes) {
      this.#report(key, 'its parts do not follow each other');
      return;
    }
    this.#acl?.parts.push(record.part.slice());
    this.#take(key, record.part.length);
  }

  end(): void {
    if (this.#next >= 0) this.#report(this.#next, 'a part of it is missing');
    this.#next = -1;
  }

  #begin(key: number, { name, valueBytes }: AttributePart): void {
    this.end();
    this.#name = printableName(name);
    this.#valueBytes = valueBytes;
    this.#missingBytes = valueBytes;
    this.#next = key;
    this.#acl = isAclName(name) ? { name: name.slice(), parts: [] } : undefined;
    if (name.length === 0 || name.includes(0)) this.#report(key, 'it has no possible name');
    else this.#checkKey(key, name);
    if (valueBytes > MAX_ATTRIBUTE_VALUE_BYTES) this.#report(key, `it has ${valueBytes} bytes`);
  }

  #checkKey(key: number, name: Uint8Array): void {
    const hash = key - (key % ATTRIBUTE_KEYS_PER_HASH);
    if (hash !== attributeKey(name, this.#context.nameSecret))
      this.#report(key, 'its key is that of another name');
    if (hash !== this.#hash) this.#sameHash = [];
    this.#hash = hash;
    if (this.#sameHash.includes(this.#name)) this.#report(key, 'there is another of this name');
    this.#sameHash.push(this.#name);
  }

  #take(key: number, bytes: number): void {
    this.#missingBytes -= bytes;
    if (this.#missingBytes < 0 || (bytes === 0 && this.#valueBytes > 0))
      this.#report(key, `a part has ${bytes} bytes`);
    this.#next = this.#missingBytes > 0 ? key + 1 : -1;
    if (this.#missingBytes === 0 && this.#acl !== undefined) this.#checkAcl(this.#acl);
  }

  #checkAcl({ name, parts }: AclParts): void {
    const what = accessListFlaw(name, Buffer.concat(parts), this.#mode);
    if (what === undefined) return;
    this.#context.log.report('attribute-acl', { inode: this.#inode, name: this.#name, what });
  }

  #report(found: number, what: string): void {
    const { log } = this.#context;
    log.report('attribute-record', { inode: this.#inode, name: this.#name, found, what });
  }
}
