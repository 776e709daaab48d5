/**
 * The extent map of a file: which blocks hold which file blocks.
 *
 * Records are (file block, block, length), in a tree keyed by file block (tree.ts). What no record
 * covers is a hole and reads as zeros. Neighbours that continue each other on disk are kept as one
 * record.
 */
import { strict as assert } from 'node:assert';
import { CorruptionError } from '../base/errors.ts';
import type { BlockNumber, FileBlock } from '../base/numbers.ts';
import {
  ExtentFlag,
  ExtentRecord,
  FILE_BLOCK_LIMIT,
  HEADER_BYTES,
  NodeHeader,
  SLOT_BYTES,
  TreeKind,
} from '../format/format.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { Cursor } from './cursor.ts';
import { addBlocks, type InodeRef } from './inode.ts';
import { type NodeSpace, rootLevel, Tree } from './tree.ts';

/** What an extent takes of a node. */
const EXTENT_IN_NODE_BYTES = ExtentRecord.sizeBytes + SLOT_BYTES;
/** Longest extent, so that its length fits the record. */
const MAX_EXTENT_BLOCKS = 2 ** 31;
/**
 * Longest unwritten extent that is made: where a full volume has no block for a node of the tree,
 * so much is written with zeros at once (zero-out.ts).
 */
export const MOST_UNWRITTEN_BLOCKS = 8192;

/**
 * What covers a file block: `block` 0 is a hole. `length` counts the blocks from there to the end
 * of the extent or hole.
 */
export interface Mapping {
  block: BlockNumber;
  length: number;
  /** Of an extent: its blocks before that one. */
  before: number;
  /** The blocks are the file's, and read as zeros. */
  unwritten: boolean;
  /** Of a hole: the block behind the extent that ends where it begins; −1 if none does. */
  follows: BlockNumber;
}

/** Blocks of a file that go to blocks which were reserved for them. */
export interface MovedRun {
  readonly fileBlock: FileBlock;
  readonly to: BlockNumber;
  readonly length: number;
  readonly unwritten: boolean;
}

/** Tree nodes of all trees, taken from and given back to the space. */
export class TreeNodeSpace implements NodeSpace {
  constructor(
    readonly space: SpaceMap,
    readonly kind: 'tree' | 'directory' | 'attribute',
  ) {}

  allocateNode(tx: Transaction, inode: InodeRef): BlockNumber {
    const block = this.space.allocateOne(tx, inode.frame.block + 1, inode.number, this.kind);
    tx.modify(inode.frame);
    addBlocks(tx, inode, 1);
    return block;
  }

  freeNode(tx: Transaction, inode: InodeRef, block: BlockNumber): void {
    this.space.free(tx, block, 1);
    tx.modify(inode.frame);
    addBlocks(tx, inode, -1);
  }
}

export class ExtentMap {
  readonly #space: SpaceMap;
  readonly #tree: Tree;
  readonly #reader = new Cursor();
  readonly #mapping: Mapping = {
    block: 0,
    length: 0,
    before: 0,
    unwritten: false,
    follows: -1,
  };

  constructor(space: SpaceMap) {
    this.#space = space;
    this.#tree = new Tree(TreeKind.extents, new TreeNodeSpace(space, 'tree'));
  }

  /** What covers `fileBlock`. The object returned is used again by the next call. */
  find(tx: Transaction, inode: InodeRef, fileBlock: FileBlock): Mapping {
    const cursor = this.#reader;
    const mapping = this.#mapping;
    mapping.block = 0;
    mapping.before = 0;
    mapping.unwritten = false;
    mapping.follows = -1;
    if (cursor.seekFloor(tx, inode, TreeKind.extents, fileBlock)) {
      const { key, at } = cursor;
      const { view } = cursor.leaf;
      const length = ExtentRecord.length.get(view, at);
      if (fileBlock < key + length) {
        mapping.block = this.#checked(cursor, length) + fileBlock - key;
        mapping.length = key + length - fileBlock;
        mapping.before = fileBlock - key;
        mapping.unwritten = ExtentRecord.flags.get(view, at) !== 0;
        return mapping;
      }
      if (key + length === fileBlock) mapping.follows = ExtentRecord.block.get(view, at) + length;
      mapping.length = (cursor.next() ? cursor.key : FILE_BLOCK_LIMIT) - fileBlock;
      return mapping;
    }
    const first = cursor.seek(tx, inode, TreeKind.extents, fileBlock);
    mapping.length = (first ? cursor.key : FILE_BLOCK_LIMIT) - fileBlock;
    return mapping;
  }

  /** First block of the extent under the cursor, known to lie in the space. */
  #checked(cursor: Cursor, length: number): BlockNumber {
    const block: BlockNumber = ExtentRecord.block.get(cursor.leaf.view, cursor.at);
    if (!this.#space.contains(block, length)) {
      throw new CorruptionError(
        cursor.leaf.frame?.block ?? 0,
        `extent of ${length} blocks at ${block} is outside the space`,
      );
    }
    return block;
  }

  /**
   * Maps `length` file blocks, a hole until now, to the blocks from `block` on, and counts them.
   * @param flags of `ExtentFlag`
   */
  insert(
    tx: Transaction,
    inode: InodeRef,
    fileBlock: FileBlock,
    block: BlockNumber,
    length: number,
    flags = 0,
  ): void {
    assert(length > 0 && block > 0, 'an extent has blocks');
    tx.modify(inode.frame);
    addBlocks(tx, inode, length);
    if (inode.number === 0) tx.changesOfTable++;
    this.#map(tx, inode, fileBlock, block, length, flags);
  }

  /** The data of `length` file blocks, which lie in one unwritten extent, is on the device. */
  written(tx: Transaction, inode: InodeRef, fileBlock: FileBlock, length: number): void {
    const { cursor } = this.#tree;
    const isThere = cursor.seekFloor(tx, inode, TreeKind.extents, fileBlock);
    if (!isThere || this.#flags === 0 || this.#end < fileBlock + length) throw notUnwritten(inode, fileBlock);
    this.#setFlags(tx, inode, fileBlock, length, 0);
  }

  /**
   * The file blocks [from, to) read as zeros from now on, as far as they have blocks, which they
   * keep; stops after `most` extents.
   * @returns from which block on it has to go on; `to` when all is done
   */
  unwrite(tx: Transaction, inode: InodeRef, from: FileBlock, to: FileBlock, most: number): FileBlock {
    let at = from;
    for (let left = most; left > 0 && at < to; left--) {
      const { block, length: whole, unwritten } = this.find(tx, inode, at);
      let length = Math.min(whole, to - at);
      if (block !== 0 && !unwritten) {
        length = Math.min(length, MOST_UNWRITTEN_BLOCKS);
        this.#tree.cursor.seekFloor(tx, inode, TreeKind.extents, at);
        this.#setFlags(tx, inode, at, length, ExtentFlag.unwritten);
      }
      at += length;
    }
    return Math.min(at, to);
  }

  /**
   * Moves the next extent at `from` or behind it down by some file blocks, which are a hole.
   * @returns the file block behind where it was; FILE_BLOCK_LIMIT where there is none
   */
  shiftDown(tx: Transaction, inode: InodeRef, from: FileBlock, by: number): FileBlock {
    if (!this.#tree.cursor.seek(tx, inode, TreeKind.extents, from)) return FILE_BLOCK_LIMIT;
    const key = this.#tree.cursor.key;
    const end = this.#end;
    this.#shift(tx, inode, key - by);
    return end;
  }

  /**
   * Moves the last extent before `to` up by some file blocks, which are a hole; of one that begins
   * before `from`, what lies behind it.
   * @returns the first file block that was moved; `from` where there is none
   */
  shiftUp(tx: Transaction, inode: InodeRef, from: FileBlock, to: FileBlock, by: number): FileBlock {
    const { cursor } = this.#tree;
    const isThere = cursor.seekFloor(tx, inode, TreeKind.extents, to - 1);
    if (!isThere || this.#end <= from) return from;
    const { key } = cursor;
    if (key >= from) {
      this.#shift(tx, inode, key + by);
      return key;
    }
    const flags = this.#flags;
    const end = this.#end;
    const block = this.#checked(cursor, end - key) + from - key;
    tx.modify(inode.frame);
    this.#setLength(tx, from - key);
    this.#map(tx, inode, from + by, block, end - from, flags);
    return from;
  }

  /** Gives the extent under the cursor of the tree another place in the file. */
  #shift(tx: Transaction, inode: InodeRef, fileBlock: FileBlock): void {
    const { cursor } = this.#tree;
    const length = ExtentRecord.length.get(cursor.leaf.view, cursor.at);
    const block = this.#checked(cursor, length);
    const flags = this.#flags;
    tx.modify(inode.frame);
    this.#tree.remove(tx, inode);
    this.#map(tx, inode, fileBlock, block, length, flags);
  }

  /**
   * Blocks for nodes that the tree may need when so many extents become three each, in the worst
   * case: a node of each level is split, and one for each half a node of new records.
   */
  nodesToPart(inode: InodeRef, extents: number): number {
    const room = Math.floor(
      (inode.frame.bytes.length - HEADER_BYTES - NodeHeader.sizeBytes) / EXTENT_IN_NODE_BYTES,
    );
    return rootLevel(inode) + 2 + 2 * Math.ceil((2 * extents) / (room / 2));
  }

  /** Flags of the extent under the cursor of the tree. */
  get #flags(): number {
    const { leaf, at } = this.#tree.cursor;
    return ExtentRecord.flags.get(leaf.view, at);
  }

  /** First file block behind that extent. */
  get #end(): FileBlock {
    const { leaf, at, key } = this.#tree.cursor;
    return key + ExtentRecord.length.get(leaf.view, at);
  }

  /**
   * Gives `length` file blocks of the extent under the cursor other flags. Where that is all of it,
   * nothing is taken out and put in: so that needs no room.
   */
  #setFlags(tx: Transaction, inode: InodeRef, fileBlock: FileBlock, length: number, flags: number): void {
    const { cursor } = this.#tree;
    const { key, at } = cursor;
    const { view } = cursor.leaf;
    const whole = ExtentRecord.length.get(view, at);
    const before = ExtentRecord.flags.get(view, at);
    const block = this.#checked(cursor, whole);
    const end = fileBlock + length;
    tx.modify(inode.frame);
    if (fileBlock === key && length === whole) {
      if (cursor.leaf.frame) tx.modify(cursor.leaf.frame);
      ExtentRecord.flags.set(view, at, flags);
      this.#joinNext(tx, inode);
      this.#joinBefore(tx, inode, key);
      return;
    }
    if (fileBlock > key) this.#setLength(tx, fileBlock - key);
    else this.#tree.remove(tx, inode);
    if (end < key + whole) this.#insertRecord(tx, inode, end, block + end - key, key + whole - end, before);
    this.#map(tx, inode, fileBlock, block + fileBlock - key, length, flags);
  }

  /** Joins the extent at `fileBlock` with the one before it, if it continues that one. */
  #joinBefore(tx: Transaction, inode: InodeRef, fileBlock: FileBlock): void {
    if (fileBlock === 0 || !this.#tree.cursor.seekFloor(tx, inode, TreeKind.extents, fileBlock - 1)) return;
    if (this.#end === fileBlock) this.#joinNext(tx, inode);
  }

  #map(
    tx: Transaction,
    inode: InodeRef,
    fileBlock: FileBlock,
    block: BlockNumber,
    length: number,
    flags: number,
  ): void {
    if (this.#extendBefore(tx, inode, fileBlock, block, length, flags)) return;
    this.#insertRecord(tx, inode, fileBlock, block, length, flags);
    this.#joinNext(tx, inode);
  }

  /** Lengthens the extent before, if the new blocks continue it. */
  #extendBefore(
    tx: Transaction,
    inode: InodeRef,
    fileBlock: FileBlock,
    block: BlockNumber,
    length: number,
    flags: number,
  ): boolean {
    const { cursor } = this.#tree;
    if (!cursor.seekFloor(tx, inode, TreeKind.extents, fileBlock)) return false;
    const { key, at } = cursor;
    const { view, frame } = cursor.leaf;
    const before = ExtentRecord.length.get(view, at);
    if (key + before > fileBlock)
      throw new CorruptionError(inode.frame.block, `file block ${fileBlock} is mapped already`);
    if (key + before !== fileBlock || ExtentRecord.block.get(view, at) + before !== block) return false;
    if (before + length > mostBlocks(flags) || frame === undefined) return false;
    if (ExtentRecord.flags.get(view, at) !== flags) return false;
    tx.modify(frame);
    ExtentRecord.length.set(view, at, before + length);
    this.#joinNext(tx, inode);
    return true;
  }

  /**
   * Joins the extent under the cursor with the one after it, if that one continues it on disk. The
   * cursor is undefined afterwards.
   */
  #joinNext(tx: Transaction, inode: InodeRef): void {
    const { cursor } = this.#tree;
    const { key: fileBlock, at } = cursor;
    const { view } = cursor.leaf;
    const length = ExtentRecord.length.get(view, at);
    const end = ExtentRecord.block.get(view, at) + length;
    const flags = ExtentRecord.flags.get(view, at);
    if (!cursor.next() || cursor.key !== fileBlock + length) return;
    if (ExtentRecord.block.get(cursor.leaf.view, cursor.at) !== end) return;
    if (ExtentRecord.flags.get(cursor.leaf.view, cursor.at) !== flags) return;
    const added = ExtentRecord.length.get(cursor.leaf.view, cursor.at);
    if (length + added > mostBlocks(flags)) return;
    this.#tree.remove(tx, inode);
    cursor.seekFloor(tx, inode, TreeKind.extents, fileBlock);
    this.#setLength(tx, length + added);
  }

  #setLength(tx: Transaction, length: number): void {
    const { leaf, at } = this.#tree.cursor;
    if (leaf.frame) tx.modify(leaf.frame);
    ExtentRecord.length.set(leaf.view, at, length);
  }

  /**
   * Makes a hole of the file blocks [from, to), from the end down, and frees their blocks; stops
   * after `most` extents.
   * @param metadata the blocks are metadata, whose frames go with them
   * @returns true when nothing is left in the range
   */
  punch(
    tx: Transaction,
    inode: InodeRef,
    from: FileBlock,
    to: FileBlock,
    most: number,
    metadata = false,
  ): boolean {
    const { cursor } = this.#tree;
    for (let count = 0; count < most; count++) {
      if (!cursor.seekFloor(tx, inode, TreeKind.extents, to - 1)) return true;
      const { key } = cursor;
      const length = ExtentRecord.length.get(cursor.leaf.view, cursor.at);
      const block = this.#checked(cursor, length);
      const flags = ExtentRecord.flags.get(cursor.leaf.view, cursor.at);
      const first = Math.max(key, from);
      const last = Math.min(key + length, to);
      if (last <= first) return true;
      tx.modify(inode.frame);
      addBlocks(tx, inode, first - last);
      if (inode.number === 0) tx.changesOfTable++;
      this.#space.free(tx, block + first - key, last - first);
      if (metadata) for (let i = first; i < last; i++) tx.discard(block + i - key);
      if (first > key) this.#setLength(tx, first - key);
      else this.#tree.remove(tx, inode);
      if (last < key + length)
        this.#insertRecord(tx, inode, last, block + last - key, key + length - last, flags);
    }
    return false;
  }

  /**
   * Maps file blocks, which lie in one extent, to other blocks that were reserved for them, and
   * frees those of before.
   * @param metadata the blocks are metadata, whose frames go with them
   */
  move(
    tx: Transaction,
    inode: InodeRef,
    fileBlock: FileBlock,
    to: BlockNumber,
    length: number,
    metadata: boolean,
  ): void {
    const flags = this.find(tx, inode, fileBlock).unwritten ? ExtentFlag.unwritten : 0;
    this.punch(tx, inode, fileBlock, fileBlock + length, 1, metadata);
    this.#space.claim(tx, to, length);
    this.insert(tx, inode, fileBlock, to, length, flags);
  }

  /**
   * As `move`, for data that lies in as many as `most` extents.
   * @param run file blocks that all have blocks, all of them unwritten or none, and where they go
   */
  moveAll(
    tx: Transaction,
    inode: InodeRef,
    { fileBlock, to, length, unwritten }: MovedRun,
    most: number,
  ): void {
    const isFree = this.punch(tx, inode, fileBlock, fileBlock + length, most + 1);
    assert(isFree, 'what goes to another place leaves its old one');
    this.#space.claim(tx, to, length);
    this.insert(tx, inode, fileBlock, to, length, unwritten ? ExtentFlag.unwritten : 0);
  }

  /** As `Tree.movePath` does for the nodes of the tree. */
  movePath(tx: Transaction, inode: InodeRef, key: number, isToMove: (block: BlockNumber) => boolean): number {
    return this.#tree.movePath(tx, inode, key, isToMove);
  }

  #insertRecord(
    tx: Transaction,
    inode: InodeRef,
    fileBlock: FileBlock,
    block: BlockNumber,
    length: number,
    flags: number,
  ): void {
    this.#tree.insert(tx, inode, fileBlock, ExtentRecord.sizeBytes);
    const { leaf, at } = this.#tree.cursor;
    ExtentRecord.block.set(leaf.view, at, block);
    ExtentRecord.flags.set(leaf.view, at, flags);
    ExtentRecord.length.set(leaf.view, at, length);
  }
}

/** How long an extent may become. */
function mostBlocks(flags: number): number {
  return flags === 0 ? MAX_EXTENT_BLOCKS : MOST_UNWRITTEN_BLOCKS;
}

function notUnwritten(inode: InodeRef, fileBlock: FileBlock): CorruptionError {
  return new CorruptionError(inode.frame.block, `file block ${fileBlock} is not in an unwritten extent`);
}
