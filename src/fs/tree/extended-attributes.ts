/**
 * Extended attributes: names with values, in a tree of their own for each inode that has any.
 *
 * The root of the tree is the end of the inode's body if there is room for it when the first
 * attribute comes, else a block; it goes with the last attribute. A value lies in the leaves, as
 * the parts of records with keys that follow each other: small ones in the inode, large ones in
 * nodes. So all of it is metadata, and a change of an attribute is one transaction.
 *
 *   key   | hash of the name, 36 bits | 8 bits: names of one hash | 8 bits: part of the value |
 *
 * No node holds less than two records of the largest kind: what does not fit is parted so.
 */

import { CAPABILITY_NAME } from '../../common/attribute-names.ts';
import { CorruptionError, fsError } from '../base/errors.ts';
import type { ExtendedAttribute, SetMode } from '../base/filesystem.ts';
import type { BlockNumber } from '../base/numbers.ts';
import {
  AttributeRecord,
  HEADER_BYTES,
  INODE_BODY_BYTES,
  Inode,
  MAX_ATTRIBUTE_NAME_BYTES,
  MAX_ATTRIBUTE_VALUE_BYTES,
  NodeHeader,
  RECORDS_PER_ATTRIBUTE,
  SLOT_BYTES,
  TreeKind,
} from '../format/format.ts';
import {
  BLOCKS_BESIDE_VALUE,
  BLOCKS_PER_OPERATION,
  BLOCKS_PER_VALUE_RECORD,
  INLINE_ATTRIBUTE_BYTES,
} from '../format/limits.ts';
import { ATTRIBUTE_KEYS_PER_HASH, attributeKey, type NameSecret } from '../format/name-hash.ts';
import { NODE_BLOCK_KIND } from '../format/node-blocks.ts';
import type { Frame } from '../transaction/block-cache.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { Cursor } from './cursor.ts';
import { TreeNodeSpace } from './extents.ts';
import { type InodeRef, isDirectory, isInline, isRegular, isSymlink, sizeOf, touchChanged } from './inode.ts';
import { initialiseAttributes, resizeRoot, rootBytes, Tree } from './tree.ts';

const HEAD = AttributeRecord.sizeBytes;

/** Bytes of name and value that one record takes at most. */
function mostRecordBytes(blockBytes: number): number {
  const region = blockBytes - HEADER_BYTES;
  return Math.floor((region - NodeHeader.sizeBytes) / 2) - SLOT_BYTES - HEAD;
}

/**
 * The longest value: what the field allows, and what one transaction of this journal can put in the
 * place of another, when each of its records is in a node of its own.
 */
export function mostValueBytes(blockBytes: number, logBlocks: number): number {
  const records = Math.max(1, Math.floor((logBlocks - BLOCKS_BESIDE_VALUE) / BLOCKS_PER_VALUE_RECORD));
  const bytes = records * mostRecordBytes(blockBytes) - MAX_ATTRIBUTE_NAME_BYTES;
  return Math.min(MAX_ATTRIBUTE_VALUE_BYTES, bytes);
}

/**
 * The longest default ACL: what the making of a directory, which gets it twice, leaves room for in
 * one transaction.
 */
export function mostInheritedBytes(blockBytes: number, logBlocks: number): number {
  const records = Math.floor((logBlocks - BLOCKS_PER_OPERATION) / BLOCKS_PER_VALUE_RECORD / 2);
  const bytes = records * mostRecordBytes(blockBytes) - MAX_ATTRIBUTE_NAME_BYTES;
  return Math.min(MAX_ATTRIBUTE_VALUE_BYTES, bytes);
}

/** @throws ERANGE for a length that no name has, EINVAL with NUL */
function checkAttributeName(name: Uint8Array): void {
  if (name.length === 0 || name.length > MAX_ATTRIBUTE_NAME_BYTES) throw fsError('ERANGE');
  if (name.includes(0)) throw fsError('EINVAL');
}

export function hasAttributes({ frame, at }: InodeRef): boolean {
  return Inode.inlineAttributeBytes.get(frame.view, at) > 0 || Inode.attributeBlock.get(frame.view, at) !== 0;
}

/** Whether the body is the root node of a tree. */
function bodyIsTree(inode: InodeRef): boolean {
  return isDirectory(inode) || ((isRegular(inode) || isSymlink(inode)) && !isInline(inode));
}

export class ExtendedAttributes {
  readonly #nodes: TreeNodeSpace;
  readonly #tree: Tree;
  readonly #reader = new Cursor();
  readonly #secret: NameSecret;
  readonly #mostRecordBytes: number;
  readonly #mostValueBytes: number;

  constructor(space: SpaceMap, secret: NameSecret, blockBytes: number, logBlocks: number) {
    this.#nodes = new TreeNodeSpace(space, 'attribute');
    this.#tree = new Tree(TreeKind.attributes, this.#nodes);
    this.#secret = secret;
    this.#mostRecordBytes = mostRecordBytes(blockBytes);
    this.#mostValueBytes = mostValueBytes(blockBytes, logBlocks);
  }

  /** The value, a copy. @throws ENODATA */
  get(tx: Transaction, inode: InodeRef, name: Uint8Array): Uint8Array {
    checkAttributeName(name);
    const value = this.find(tx, inode, name);
    if (value === undefined) throw fsError('ENODATA');
    return value;
  }

  /** The value, a copy; undefined if there is none. */
  find(tx: Transaction, inode: InodeRef, name: Uint8Array): Uint8Array | undefined {
    const cursor = this.#reader;
    const first = this.#find(cursor, tx, inode, name);
    if (first < 0) return undefined;
    const value = new Uint8Array(AttributeRecord.valueBytes.get(cursor.leaf.view, cursor.at));
    let at = 0;
    this.#forEachPart(inode, first, value.length, (part) => {
      value.set(part, at);
      at += part.length;
    });
    return value;
  }

  /** The names, copies, in the order of their keys. */
  list(tx: Transaction, inode: InodeRef): Uint8Array[] {
    const names: Uint8Array[] = [];
    if (!hasAttributes(inode)) return names;
    const cursor = this.#reader;
    let found = cursor.seek(tx, inode, TreeKind.attributes, 0);
    while (found) {
      if (cursor.key % RECORDS_PER_ATTRIBUTE === 0) names.push(nameOf(cursor).slice());
      found = cursor.next();
    }
    return names;
  }

  /** @throws EEXIST, ENODATA, ERANGE, EINVAL, E2BIG, ENOSPC */
  set(tx: Transaction, inode: InodeRef, attribute: ExtendedAttribute, mode: SetMode = 'any'): void {
    const { name, value } = attribute;
    checkAttributeName(name);
    if (value.length > this.#mostValueBytes) throw fsError('E2BIG');
    let first = this.#find(this.#reader, tx, inode, name);
    if (first < 0 && mode === 'replace') throw fsError('ENODATA');
    if (first >= 0 && mode === 'create') throw fsError('EEXIST');
    tx.modify(inode.frame);
    touchChanged(inode, tx.clock);
    if (first >= 0 && this.#overwrite(tx, inode, first, value)) return;
    if (first >= 0) this.#removeRecords(tx, inode, first);
    else {
      if (!hasAttributes(inode)) this.#addRoot(tx, inode);
      first = this.#vacantKey(tx, inode, name);
    }
    this.#insert(tx, inode, first, attribute);
  }

  /** @throws ENODATA, ERANGE, EINVAL */
  remove(tx: Transaction, inode: InodeRef, name: Uint8Array): void {
    checkAttributeName(name);
    const first = this.#find(this.#reader, tx, inode, name);
    if (first < 0) throw fsError('ENODATA');
    tx.modify(inode.frame);
    touchChanged(inode, tx.clock);
    this.#removeRecords(tx, inode, first);
    this.#dropEmptyRoot(tx, inode);
  }

  /** Removes the attribute if it is there. */
  discard(tx: Transaction, inode: InodeRef, name: Uint8Array): void {
    if (this.#find(this.#reader, tx, inode, name) >= 0) this.remove(tx, inode, name);
  }

  hasCapability(tx: Transaction, inode: InodeRef): boolean {
    return hasAttributes(inode) && this.#find(this.#reader, tx, inode, CAPABILITY_NAME) >= 0;
  }

  /** What a program may do beyond who runs it goes when it is written to, cut off or given away. */
  dropCapability(tx: Transaction, inode: InodeRef): void {
    if (hasAttributes(inode)) this.discard(tx, inode, CAPABILITY_NAME);
  }

  /** Removes up to `most` records of an inode that is freed; true when none is left. */
  drop(tx: Transaction, inode: InodeRef, most: number): boolean {
    if (!hasAttributes(inode)) return true;
    const { cursor } = this.#tree;
    tx.modify(inode.frame);
    for (let left = most; left > 0 && cursor.seek(tx, inode, TreeKind.attributes, 0); left--)
      this.#tree.remove(tx, inode);
    return this.#dropEmptyRoot(tx, inode);
  }

  /** As `Tree.movePath` does for the nodes of the tree, and for its root where that is a block. */
  movePath(tx: Transaction, inode: InodeRef, key: number, isToMove: (block: BlockNumber) => boolean): number {
    if (!hasAttributes(inode)) return Number.POSITIVE_INFINITY;
    const root = Inode.attributeBlock.get(inode.frame.view, inode.at);
    if (root !== 0 && isToMove(root)) this.#moveRoot(tx, inode, root);
    return this.#tree.movePath(tx, inode, key, isToMove);
  }

  #moveRoot(tx: Transaction, inode: InodeRef, root: BlockNumber): void {
    const old = tx.read(root, NODE_BLOCK_KIND[TreeKind.attributes]);
    const block = this.#nodes.allocateNode(tx, inode);
    const moved = tx.create(block, NODE_BLOCK_KIND[TreeKind.attributes], inode.number);
    moved.bytes.set(old.bytes.subarray(HEADER_BYTES), HEADER_BYTES);
    tx.discard(root);
    this.#nodes.freeNode(tx, inode, root);
    Inode.attributeBlock.set(inode.frame.view, inode.at, block);
  }

  /**
   * Stands the cursor on the first record of the attribute. Returns its key, −1 if there is none.
   */
  #find(cursor: Cursor, tx: Transaction, inode: InodeRef, name: Uint8Array): number {
    if (!hasAttributes(inode)) return -1;
    const lowest = attributeKey(name, this.#secret);
    let found = cursor.seek(tx, inode, TreeKind.attributes, lowest);
    while (found && cursor.key < lowest + ATTRIBUTE_KEYS_PER_HASH) {
      if (cursor.key % RECORDS_PER_ATTRIBUTE === 0 && sameName(cursor, name)) return cursor.key;
      found = cursor.next();
    }
    return -1;
  }

  /** The lowest key of the name's hash that no attribute begins with. @throws ENOSPC */
  #vacantKey(tx: Transaction, inode: InodeRef, name: Uint8Array): number {
    const cursor = this.#reader;
    const lowest = attributeKey(name, this.#secret);
    let vacant = lowest;
    let found = cursor.seek(tx, inode, TreeKind.attributes, lowest);
    while (found && cursor.key < lowest + ATTRIBUTE_KEYS_PER_HASH) {
      if (cursor.key === vacant) vacant += RECORDS_PER_ATTRIBUTE;
      found = cursor.next();
    }
    if (vacant >= lowest + ATTRIBUTE_KEYS_PER_HASH) throw fsError('ENOSPC');
    return vacant;
  }

  /**
   * Visits the parts of the attribute whose first record the reader stands on.
   * @throws CorruptionError where they are not all there
   */
  #forEachPart(
    inode: InodeRef,
    first: number,
    valueBytes: number,
    visit: (part: Uint8Array, leaf: Frame) => void,
  ): void {
    const cursor = this.#reader;
    let left = valueBytes;
    for (let key = first; ; key++) {
      const part = partOf(cursor);
      left -= part.length;
      if (cursor.key !== key || left < 0) break;
      visit(part, cursor.leaf.frame as Frame);
      if (left === 0) return;
      if (!cursor.next()) break;
    }
    throw new CorruptionError(inode.frame.block, `inode ${inode.number}: a part of an attribute is missing`);
  }

  /** Puts a value in the place of one of the same length; false where it has another. */
  #overwrite(tx: Transaction, inode: InodeRef, first: number, value: Uint8Array): boolean {
    const cursor = this.#reader;
    if (AttributeRecord.valueBytes.get(cursor.leaf.view, cursor.at) !== value.length) return false;
    let at = 0;
    this.#forEachPart(inode, first, value.length, (part, leaf) => {
      tx.modify(leaf);
      part.set(value.subarray(at, at + part.length));
      at += part.length;
    });
    return true;
  }

  #insert(tx: Transaction, inode: InodeRef, first: number, { name, value }: ExtendedAttribute): void {
    const { cursor } = this.#tree;
    let key = first;
    let at = 0;
    do {
      const nameBytes = key === first ? name.length : 0;
      const part = value.subarray(at, at + this.#mostRecordBytes - nameBytes);
      this.#tree.insert(tx, inode, key, HEAD + nameBytes + part.length);
      const { view, bytes } = cursor.leaf;
      const record = cursor.at;
      AttributeRecord.valueBytes.set(view, record, value.length);
      AttributeRecord.partBytes.set(view, record, part.length);
      AttributeRecord.nameBytes.set(view, record, nameBytes);
      AttributeRecord.reserved.set(view, record, 0);
      if (nameBytes > 0) bytes.set(name, record + HEAD);
      bytes.set(part, record + HEAD + nameBytes);
      at += part.length;
      key++;
    } while (at < value.length);
  }

  /** Removes all records of the attribute that begins at this key. */
  #removeRecords(tx: Transaction, inode: InodeRef, first: number): void {
    const { cursor } = this.#tree;
    while (cursor.seek(tx, inode, TreeKind.attributes, first) && cursor.key < first + RECORDS_PER_ATTRIBUTE)
      this.#tree.remove(tx, inode);
  }

  /** A root for the first attribute: in the body if there is room, else in a block. */
  #addRoot(tx: Transaction, inode: InodeRef): void {
    const { view } = inode.frame;
    if (this.#makeRoomInBody(inode)) {
      Inode.inlineAttributeBytes.set(view, inode.at, INLINE_ATTRIBUTE_BYTES);
    } else {
      const block = this.#nodes.allocateNode(tx, inode);
      tx.create(block, NODE_BLOCK_KIND[TreeKind.attributes], inode.number);
      Inode.attributeBlock.set(view, inode.at, block);
    }
    initialiseAttributes(tx, inode);
  }

  #makeRoomInBody(inode: InodeRef): boolean {
    const left = INODE_BODY_BYTES - INLINE_ATTRIBUTE_BYTES;
    const isTree = bodyIsTree(inode);
    const used = isTree ? rootBytes(inode) : isInline(inode) ? sizeOf(inode) : 0;
    if (used > left) return false;
    if (isTree) resizeRoot(inode, left);
    return true;
  }

  /** True if the tree was empty: a root without a record does not outlast a transaction. */
  #dropEmptyRoot(tx: Transaction, inode: InodeRef): boolean {
    const { view, bytes } = inode.frame;
    const cursor = this.#reader;
    if (cursor.seek(tx, inode, TreeKind.attributes, 0)) return false;
    const inline = Inode.inlineAttributeBytes.get(view, inode.at);
    if (inline > 0) {
      const { base, size } = cursor.leaf;
      bytes.fill(0, base, base + size);
      Inode.inlineAttributeBytes.set(view, inode.at, 0);
      if (bodyIsTree(inode)) regainBody(inode, inline);
      return true;
    }
    const block = Inode.attributeBlock.get(view, inode.at);
    tx.discard(block);
    this.#nodes.freeNode(tx, inode, block);
    Inode.attributeBlock.set(view, inode.at, 0);
    return true;
  }
}

/** The root node in the body, which ended before the attributes, has all of the body again. */
function regainBody(inode: InodeRef, inline: number): void {
  const { view } = inode.frame;
  Inode.inlineAttributeBytes.set(view, inode.at, inline);
  resizeRoot(inode, INODE_BODY_BYTES);
  Inode.inlineAttributeBytes.set(view, inode.at, 0);
}

function nameOf(cursor: Cursor): Uint8Array {
  const { leaf, at } = cursor;
  return leaf.bytes.subarray(at + HEAD, at + HEAD + AttributeRecord.nameBytes.get(leaf.view, at));
}

/** The part of the value under the cursor, in place. */
function partOf(cursor: Cursor): Uint8Array {
  const { leaf, at } = cursor;
  const from = at + HEAD + AttributeRecord.nameBytes.get(leaf.view, at);
  return leaf.bytes.subarray(from, from + AttributeRecord.partBytes.get(leaf.view, at));
}

function sameName(cursor: Cursor, name: Uint8Array): boolean {
  const found = nameOf(cursor);
  return found.length === name.length && found.every((byte, i) => byte === name[i]);
}
