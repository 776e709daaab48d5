/**
 * Directories: names in a tree keyed by their hash (name-hash.ts).
 *
 * '.' and '..' are not stored: the first is the directory, the second its `parent` field. A
 * directory's `size` counts its entries. Readdir cookies are the keys, which no change to other
 * names moves: 1 and 2 for the two dots, key + 3 for the rest; each names the entry after which to
 * go on.
 */
import { CorruptionError, fsError } from '../base/errors.ts';
import type { EntryVisitor } from '../base/filesystem.ts';
import type { BlockNumber } from '../base/numbers.ts';
import { EntryRecord, FileType, Inode, MAX_NAME_BYTES, TreeKind } from '../format/format.ts';
import { COLLISIONS_PER_HASH, KEY_LIMIT, type NameSecret, nameKey } from '../format/name-hash.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { Cursor } from './cursor.ts';
import { TreeNodeSpace } from './extents.ts';
import { type InodeRef, isDirectory, linkCountOf, modeOf, setSizeOf, sizeOf } from './inode.ts';
import { Tree } from './tree.ts';

const FIRST_ENTRY_COOKIE = 3;
const DOT = new Uint8Array([0x2e]);
const DOT_DOT = new Uint8Array([0x2e, 0x2e]);

export function isDot(name: Uint8Array): boolean {
  return name.length === 1 && name[0] === 0x2e;
}

export function isDotDot(name: Uint8Array): boolean {
  return name.length === 2 && name[0] === 0x2e && name[1] === 0x2e;
}

/** @throws ENOTDIR */
export function requireDirectory(inode: InodeRef): void {
  if (!isDirectory(inode)) throw fsError('ENOTDIR');
}

/** A directory that can take entries. @throws ENOTDIR, ENOENT if it was removed */
export function requireLiveDirectory(inode: InodeRef): void {
  requireDirectory(inode);
  if (linkCountOf(inode) === 0) throw fsError('ENOENT');
}

/** @throws ENAMETOOLONG, ENOENT (empty), EINVAL (with '/' or NUL) */
export function checkName(name: Uint8Array): void {
  if (name.length === 0) throw fsError('ENOENT');
  if (name.length > MAX_NAME_BYTES) throw fsError('ENAMETOOLONG');
  for (let i = 0; i < name.length; i++) {
    const byte = name[i];
    if (byte === 0 || byte === 0x2f) throw fsError('EINVAL');
  }
}

export class Directories {
  readonly #tree: Tree;
  readonly #reader = new Cursor();
  readonly #secret: NameSecret;

  constructor(space: SpaceMap, secret: NameSecret) {
    this.#tree = new Tree(TreeKind.directory, new TreeNodeSpace(space, 'directory'));
    this.#secret = secret;
  }

  /** Stands the cursor on the entry of this name. */
  #find(cursor: Cursor, tx: Transaction, directory: InodeRef, name: Uint8Array): boolean {
    const key = nameKey(name, this.#secret);
    let found = cursor.seek(tx, directory, TreeKind.directory, key);
    while (found && cursor.key < key + COLLISIONS_PER_HASH) {
      if (sameName(cursor, name)) return true;
      found = cursor.next();
    }
    return false;
  }

  /** Inode of a stored name, 0 if there is none. */
  find(tx: Transaction, directory: InodeRef, name: Uint8Array): number {
    const cursor = this.#reader;
    if (!this.#find(cursor, tx, directory, name)) return 0;
    return EntryRecord.inode.get(cursor.leaf.view, cursor.at);
  }

  /** @throws EEXIST, ENOSPC */
  insert(tx: Transaction, directory: InodeRef, name: Uint8Array, inode: InodeRef): void {
    const { cursor } = this.#tree;
    const key = this.#vacantKey(cursor, tx, directory, name);
    this.#tree.insert(tx, directory, key, EntryRecord.sizeBytes + name.length);
    const { leaf, at } = cursor;
    EntryRecord.inode.set(leaf.view, at, inode.number);
    EntryRecord.type.set(leaf.view, at, modeOf(inode) >>> 12);
    EntryRecord.nameBytes.set(leaf.view, at, name.length);
    leaf.bytes.set(name, at + EntryRecord.sizeBytes);
    tx.modify(directory.frame);
    setSizeOf(directory, sizeOf(directory) + 1);
  }

  /** The lowest key of the name's hash that no entry has. */
  #vacantKey(cursor: Cursor, tx: Transaction, directory: InodeRef, name: Uint8Array): number {
    const first = nameKey(name, this.#secret);
    let vacant = first;
    let found = cursor.seek(tx, directory, TreeKind.directory, first);
    while (found && cursor.key < first + COLLISIONS_PER_HASH) {
      if (sameName(cursor, name)) throw fsError('EEXIST');
      if (cursor.key === vacant) vacant++;
      found = cursor.next();
    }
    if (vacant >= first + COLLISIONS_PER_HASH) throw fsError('ENOSPC');
    return vacant;
  }

  /** Makes an existing entry name another inode. @throws ENOENT */
  replace(tx: Transaction, directory: InodeRef, name: Uint8Array, inode: InodeRef): void {
    const cursor = this.#reader;
    if (!this.#find(cursor, tx, directory, name)) throw fsError('ENOENT');
    const { leaf, at } = cursor;
    if (leaf.frame) tx.modify(leaf.frame);
    EntryRecord.inode.set(leaf.view, at, inode.number);
    EntryRecord.type.set(leaf.view, at, modeOf(inode) >>> 12);
  }

  /** @throws ENOENT */
  remove(tx: Transaction, directory: InodeRef, name: Uint8Array): void {
    if (!this.#find(this.#tree.cursor, tx, directory, name)) throw fsError('ENOENT');
    this.#tree.remove(tx, directory);
    tx.modify(directory.frame);
    setSizeOf(directory, sizeOf(directory) - 1);
  }

  /** As `Tree.movePath` does for the nodes of the tree. */
  movePath(
    tx: Transaction,
    directory: InodeRef,
    key: number,
    isToMove: (block: BlockNumber) => boolean,
  ): number {
    return this.#tree.movePath(tx, directory, key, isToMove);
  }

  /** Visits the entries after `cookie`, dots included; see `EntryVisitor`. */
  read(tx: Transaction, directory: InodeRef, cookie: number, visit: EntryVisitor): void {
    const type = FileType.directory;
    const parent = Inode.parent.get(directory.frame.view, directory.at);
    if (cookie < 1 && !visit(DOT, directory.number, type, 1)) return;
    if (cookie < 2 && !visit(DOT_DOT, parent, type, 2)) return;
    const from = cookie < FIRST_ENTRY_COOKIE ? 0 : cookie - FIRST_ENTRY_COOKIE + 1;
    const cursor = this.#reader;
    let found = cursor.seek(tx, directory, TreeKind.directory, from);
    while (found) {
      const { leaf, at } = cursor;
      const inode = EntryRecord.inode.get(leaf.view, at);
      const entryType = EntryRecord.type.get(leaf.view, at) << 12;
      if (cursor.key >= KEY_LIMIT)
        throw new CorruptionError(leaf.frame?.block ?? 0, 'directory key out of range');
      if (!visit(nameOf(cursor), inode, entryType, cursor.key + FIRST_ENTRY_COOKIE)) return;
      found = cursor.next();
    }
  }
}

function nameOf(cursor: Cursor): Uint8Array {
  const { leaf, at } = cursor;
  const from = at + EntryRecord.sizeBytes;
  return leaf.bytes.subarray(from, from + EntryRecord.nameBytes.get(leaf.view, at));
}

function sameName(cursor: Cursor, name: Uint8Array): boolean {
  const { leaf, at } = cursor;
  if (EntryRecord.nameBytes.get(leaf.view, at) !== name.length) return false;
  const from = at + EntryRecord.sizeBytes;
  const { bytes } = leaf;
  for (let i = 0; i < name.length; i++) if (bytes[from + i] !== name[i]) return false;
  return true;
}
