/**
 * The extent map of a file: which blocks hold which file blocks.
 *
 * Records are (file block, block, length), in a tree keyed by file block (tree.ts). What no record
 * covers is a hole and reads as zeros. Neighbours that continue each other on disk are kept as one
 * record.
 */
import { strict as assert } from 'node:assert';
import { CorruptionError } from '../base/errors.ts';
import type { BlockNumber, BlockRun, FileBlock, FileSpan } from '../base/numbers.ts';
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
import { addBlocks, type InodeRef, isRegular } from './inode.ts';
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

/** File blocks, and the blocks that hold them. */
export interface MappedBlocks {
  readonly fileBlock: FileBlock;
  /** The first of the blocks. */
  readonly block: BlockNumber;
  readonly length: number;
  /** They are the file's, and read as zeros. */
  readonly unwritten: boolean;
}

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
  /** A part of an extent that is entered again; one serves all. */
  readonly #part = { fileBlock: 0, block: 0, length: 0, unwritten: false };

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

  /** Maps file blocks, a hole until now, and counts them. */
  insert(tx: Transaction, inode: InodeRef, blocks: MappedBlocks): void {
    assert(blocks.length > 0 && blocks.block > 0, 'an extent has blocks');
    tx.modify(inode.frame);
    addBlocks(tx, inode, blocks.length);
    if (inode.number === 0) tx.changesOfTable++;
    this.#map(tx, inode, blocks);
  }

  /** The data of `length` file blocks, which lie in one unwritten extent, is on the device. */
  written(tx: Transaction, inode: InodeRef, fileBlock: FileBlock, length: number): void {
    const { cursor } = this.#tree;
    const isThere = cursor.seekFloor(tx, inode, TreeKind.extents, fileBlock);
    if (!isThere || !this.#isUnwritten || this.#end < fileBlock + length)
      throw notUnwritten(inode, fileBlock);
    this.#turn(tx, inode, fileBlock, length);
  }

  /**
   * The file blocks of a span read as zeros from now on, as far as they have blocks, which they
   * keep; stops after `most` extents.
   * @returns from which block on it has to go on; `end` when all is done
   */
  unwrite(tx: Transaction, inode: InodeRef, { first, end }: FileSpan, most: number): FileBlock {
    let at = first;
    for (let left = most; left > 0 && at < end; left--) {
      const { block, length: whole, unwritten } = this.find(tx, inode, at);
      let length = Math.min(whole, end - at);
      if (block !== 0 && !unwritten) {
        length = Math.min(length, MOST_UNWRITTEN_BLOCKS);
        this.#tree.cursor.seekFloor(tx, inode, TreeKind.extents, at);
        this.#turn(tx, inode, at, length);
      }
      at += length;
    }
    return Math.min(at, end);
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
   * Moves the last extent of a span up by some file blocks, which are a hole; of one that begins
   * before the span, what lies in it.
   * @returns the first file block that was moved; `first` where there is none
   */
  shiftUp(tx: Transaction, inode: InodeRef, { first, end }: FileSpan, by: number): FileBlock {
    const { cursor } = this.#tree;
    const isThere = cursor.seekFloor(tx, inode, TreeKind.extents, end - 1);
    const length = isThere ? this.#end - first : 0;
    if (length <= 0) return first;
    const { key } = cursor;
    if (key >= first) {
      this.#shift(tx, inode, key + by);
      return key;
    }
    const unwritten = this.#isUnwritten;
    const block = this.#checked(cursor, first + length - key) + first - key;
    tx.modify(inode.frame);
    this.#setLength(tx, first - key);
    this.#map(tx, inode, this.#partOf(first + by, block, length, unwritten));
    return first;
  }

  /** Gives the extent under the cursor of the tree another place in the file. */
  #shift(tx: Transaction, inode: InodeRef, fileBlock: FileBlock): void {
    const { cursor } = this.#tree;
    const length = ExtentRecord.length.get(cursor.leaf.view, cursor.at);
    const block = this.#checked(cursor, length);
    const unwritten = this.#isUnwritten;
    tx.modify(inode.frame);
    this.#tree.remove(tx, inode);
    this.#map(tx, inode, this.#partOf(fileBlock, block, length, unwritten));
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

  /** Whether the extent under the cursor of the tree is. */
  get #isUnwritten(): boolean {
    const { leaf, at } = this.#tree.cursor;
    return ExtentRecord.flags.get(leaf.view, at) !== 0;
  }

  /** First file block behind that extent. */
  get #end(): FileBlock {
    const { leaf, at, key } = this.#tree.cursor;
    return key + ExtentRecord.length.get(leaf.view, at);
  }

  /**
   * Of the extent under the cursor, `length` file blocks become written if they are not, and
   * unwritten if they are written. Where that is all of it, nothing is taken out and put in: so
   * that needs no room.
   */
  #turn(tx: Transaction, inode: InodeRef, fileBlock: FileBlock, length: number): void {
    const { cursor } = this.#tree;
    const { key, at } = cursor;
    const { view } = cursor.leaf;
    const left = this.#end - fileBlock - length;
    const before = this.#isUnwritten;
    const block = this.#checked(cursor, this.#end - key) + fileBlock - key;
    tx.modify(inode.frame);
    if (fileBlock === key && left === 0) {
      if (cursor.leaf.frame) tx.modify(cursor.leaf.frame);
      ExtentRecord.flags.set(view, at, flagsOf(!before));
      this.#joinNext(tx, inode);
      this.#joinBefore(tx, inode, key);
      return;
    }
    if (fileBlock > key) this.#setLength(tx, fileBlock - key);
    else this.#tree.remove(tx, inode);
    if (left > 0)
      this.#insertRecord(tx, inode, this.#partOf(fileBlock + length, block + length, left, before));
    this.#map(tx, inode, this.#partOf(fileBlock, block, length, !before));
  }

  #partOf(fileBlock: FileBlock, block: BlockNumber, length: number, unwritten: boolean): MappedBlocks {
    const part = this.#part;
    part.fileBlock = fileBlock;
    part.block = block;
    part.length = length;
    part.unwritten = unwritten;
    return part;
  }

  /** Joins the extent at `fileBlock` with the one before it, if it continues that one. */
  #joinBefore(tx: Transaction, inode: InodeRef, fileBlock: FileBlock): void {
    if (fileBlock === 0 || !this.#tree.cursor.seekFloor(tx, inode, TreeKind.extents, fileBlock - 1)) return;
    if (this.#end === fileBlock) this.#joinNext(tx, inode);
  }

  #map(tx: Transaction, inode: InodeRef, blocks: MappedBlocks): void {
    if (this.#extendBefore(tx, inode, blocks)) return;
    this.#insertRecord(tx, inode, blocks);
    this.#joinNext(tx, inode);
  }

  /** Lengthens the extent before, if the new blocks continue it. */
  #extendBefore(tx: Transaction, inode: InodeRef, blocks: MappedBlocks): boolean {
    const { fileBlock, block, length, unwritten } = blocks;
    const { cursor } = this.#tree;
    if (!cursor.seekFloor(tx, inode, TreeKind.extents, fileBlock)) return false;
    const { key, at } = cursor;
    const { view, frame } = cursor.leaf;
    const before = ExtentRecord.length.get(view, at);
    if (key + before > fileBlock)
      throw new CorruptionError(inode.frame.block, `file block ${fileBlock} is mapped already`);
    if (key + before !== fileBlock || ExtentRecord.block.get(view, at) + before !== block) return false;
    if (before + length > mostBlocks(unwritten) || frame === undefined) return false;
    if (ExtentRecord.flags.get(view, at) !== flagsOf(unwritten)) return false;
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
    const unwritten = this.#isUnwritten;
    if (!cursor.next() || cursor.key !== fileBlock + length) return;
    if (ExtentRecord.block.get(cursor.leaf.view, cursor.at) !== end) return;
    if (this.#isUnwritten !== unwritten) return;
    const added = ExtentRecord.length.get(cursor.leaf.view, cursor.at);
    if (length + added > mostBlocks(unwritten)) return;
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
   * Makes a hole of the file blocks of a span, from the end down, and frees their blocks; stops
   * after `most` extents.
   * @returns true when nothing is left in the span
   */
  punch(
    tx: Transaction,
    inode: InodeRef,
    { first, end }: FileSpan,
    most = Number.POSITIVE_INFINITY,
  ): boolean {
    for (let left = most; left > 0; left--) if (!this.#punchLast(tx, inode, first, end)) return true;
    return false;
  }

  /** As `punch`, for all file blocks from `first` on. */
  cutOff(tx: Transaction, inode: InodeRef, first: FileBlock, most: number): boolean {
    for (let left = most; left > 0; left--)
      if (!this.#punchLast(tx, inode, first, FILE_BLOCK_LIMIT)) return true;
    return false;
  }

  /**
   * The last extent of the file blocks [from, to), as far as it lies in there, becomes a hole;
   * false if there is none. What is not a file's is metadata, whose frames go with the blocks.
   */
  #punchLast(tx: Transaction, inode: InodeRef, from: FileBlock, to: FileBlock): boolean {
    const { cursor } = this.#tree;
    if (!cursor.seekFloor(tx, inode, TreeKind.extents, to - 1)) return false;
    const { key } = cursor;
    const length = ExtentRecord.length.get(cursor.leaf.view, cursor.at);
    const block = this.#checked(cursor, length);
    const unwritten = this.#isUnwritten;
    const first = Math.max(key, from);
    const last = Math.min(key + length, to);
    if (last <= first) return false;
    tx.modify(inode.frame);
    addBlocks(tx, inode, first - last);
    if (inode.number === 0) tx.changesOfTable++;
    this.#space.free(tx, block + first - key, last - first);
    if (!isRegular(inode)) for (let i = first; i < last; i++) tx.discard(block + i - key);
    if (first > key) this.#setLength(tx, first - key);
    else this.#tree.remove(tx, inode);
    const left = key + length - last;
    if (left > 0) this.#insertRecord(tx, inode, this.#partOf(last, block + last - key, left, unwritten));
    return true;
  }

  /**
   * Maps file blocks, which lie in one extent, to other blocks that were reserved for them, and
   * frees those of before.
   */
  move(tx: Transaction, inode: InodeRef, fileBlock: FileBlock, { start, length }: BlockRun): void {
    const { unwritten } = this.find(tx, inode, fileBlock);
    this.moveAll(tx, inode, { fileBlock, block: start, length, unwritten }, 1);
  }

  /**
   * As `move`, for data that lies in as many as `most` extents.
   * @param blocks file blocks that all have blocks, all of them unwritten or none, and where those
   *   go
   */
  moveAll(tx: Transaction, inode: InodeRef, blocks: MappedBlocks, most: number): void {
    const { fileBlock, block, length } = blocks;
    const isFree = this.punch(tx, inode, { first: fileBlock, end: fileBlock + length }, most + 1);
    assert(isFree, 'what goes to another place leaves its old one');
    this.#space.claim(tx, block, length);
    this.insert(tx, inode, blocks);
  }

  /** As `Tree.movePath` does for the nodes of the tree. */
  movePath(tx: Transaction, inode: InodeRef, key: number, isToMove: (block: BlockNumber) => boolean): number {
    return this.#tree.movePath(tx, inode, key, isToMove);
  }

  #insertRecord(
    tx: Transaction,
    inode: InodeRef,
    { fileBlock, block, length, unwritten }: MappedBlocks,
  ): void {
    this.#tree.insert(tx, inode, fileBlock, ExtentRecord.sizeBytes);
    const { leaf, at } = this.#tree.cursor;
    ExtentRecord.block.set(leaf.view, at, block);
    ExtentRecord.flags.set(leaf.view, at, flagsOf(unwritten));
    ExtentRecord.length.set(leaf.view, at, length);
  }
}

function flagsOf(unwritten: boolean): number {
  return unwritten ? ExtentFlag.unwritten : 0;
}

/** How long an extent may become. */
function mostBlocks(unwritten: boolean): number {
  return unwritten ? MOST_UNWRITTEN_BLOCKS : MAX_EXTENT_BLOCKS;
}

function notUnwritten(inode: InodeRef, fileBlock: FileBlock): CorruptionError {
  return new CorruptionError(inode.frame.block, `file block ${fileBlock} is not in an unwritten extent`);
}
