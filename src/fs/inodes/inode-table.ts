/**
 * The inode table: a file without a name, whose inode lies in the volume root.
 *
 *   chunk c:   | bitmap block | inode block | inode block | …      one bit per inode,
 *                                                                  `bitsPerBlock` of them
 *
 * The table is sparse. A cluster of inode blocks appears when its first inode is made and goes when
 * its last one is freed, so there is no fixed number of inodes and no space set aside. Inode n is
 * bit n mod `bitsPerBlock` of chunk n div `bitsPerBlock`. The lowest free number is taken: inodes
 * made together lie together. Only where that one would need a block, and there is none, does a
 * higher one do whose block is there.
 */
import { strict as assert } from 'node:assert';
import { CorruptionError, fsError } from '../base/errors.ts';
import {
  BitmapHeader,
  BlockKind,
  FileType,
  HEADER_BYTES,
  INODE_BYTES,
  Inode,
  MAX_INODES,
  ROOT_INODE,
  TreeKind,
  VOLUME_ROOT_INODE_OFFSET,
  VolumeRoot,
} from '../format/format.ts';
import type { Layout } from '../format/layout.ts';
import type { Frame } from '../transaction/block-cache.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import type { Transaction } from '../transaction/transaction.ts';
import type { ExtentMap } from '../tree/extents.ts';
import { type InodeRef, initialiseTimes, isDirectory, noteOwned, setInline } from '../tree/inode.ts';
import { initialiseTree } from '../tree/tree.ts';

export interface NewInode {
  mode: number;
  uid: number;
  gid: number;
  deviceNumber: number;
  linkCount: number;
  parent: number;
  /** 0 for none. */
  projectId: number;
}

/** What kind of body a new inode of this type has: data inline, or a tree. */
function initialiseBody(inode: InodeRef, mode: number): void {
  const type = mode & 0o170000;
  if (type === FileType.directory) initialiseTree(inode, TreeKind.directory);
  else if (type === FileType.regular || type === FileType.symlink) setInline(inode, true);
}

/** A full volume looks for the place of a new inode in so many chunks. */
const MOST_CHUNKS_SEARCHED = 16;

export class InodeTable {
  readonly #layout: Layout;
  readonly #space: SpaceMap;
  readonly #extents: ExtentMap;
  /**
   * What the map said last of a stretch of the table; good while `changesOfTable` stays the same.
   */
  readonly #last = { first: 0, end: 0, block: 0, changes: -1 };

  constructor(layout: Layout, space: SpaceMap, extents: ExtentMap) {
    this.#layout = layout;
    this.#space = space;
    this.#extents = extents;
  }

  root(tx: Transaction): Frame {
    return tx.read(this.#layout.volumeRootBlock, BlockKind.volumeRoot);
  }

  /** The table's own inode. */
  own(tx: Transaction): InodeRef {
    return { frame: this.root(tx), at: VOLUME_ROOT_INODE_OFFSET, number: 0 };
  }

  /** The inode in use with this number. @throws ESTALE if there is none */
  get(tx: Transaction, number: number): InodeRef {
    const inode = this.#place(tx, number);
    if (inode === undefined || Inode.mode.get(inode.frame.view, inode.at) === 0) throw fsError('ESTALE');
    if (Inode.number.get(inode.frame.view, inode.at) !== number) {
      throw new CorruptionError(inode.frame.block, `holds another inode in the place of ${number}`);
    }
    const { inodeFaults } = inode.frame;
    if (inodeFaults !== undefined) this.#expectSound(inode, inodeFaults);
    return inode;
  }

  /** The lowest number from `from` on of an inode in use; infinity if there is none. */
  next(tx: Transaction, from: number): number {
    const layout = this.#layout;
    const span = layout.chunkBitmapFileBlock(1);
    for (let number = from; ; ) {
      const chunk = Math.floor(number / layout.bitsPerBlock);
      const bitmap = this.#bitmap(tx, chunk);
      const index = bitmap === undefined ? -1 : nextBit(bitmap, number % layout.bitsPerBlock);
      if (index >= 0 && chunk * layout.bitsPerBlock + index > 0) return chunk * layout.bitsPerBlock + index;
      if (index === 0) number = 1;
      else {
        const mapping = this.#extents.find(tx, this.own(tx), layout.chunkBitmapFileBlock(chunk + 1));
        const skipped = mapping.block === 0 ? Math.floor(mapping.length / span) : 0;
        number = (chunk + 1 + skipped) * layout.bitsPerBlock;
        if (number >= MAX_INODES) return Number.POSITIVE_INFINITY;
      }
    }
  }

  isInUse(tx: Transaction, number: number): boolean {
    const inode = this.#place(tx, number);
    return inode !== undefined && Inode.mode.get(inode.frame.view, inode.at) !== 0;
  }

  /** @throws CorruptionError */
  expectRootDirectory(tx: Transaction): void {
    const isThere = this.isInUse(tx, ROOT_INODE) && isDirectory(this.get(tx, ROOT_INODE));
    if (!isThere) throw new CorruptionError(this.#layout.volumeRootBlock, 'there is no root directory');
  }

  #expectSound(inode: InodeRef, faults: ReadonlyMap<number, string>): void {
    const fault = faults.get(inode.at);
    if (fault !== undefined) throw new CorruptionError(inode.frame.block, `inode ${inode.number}: ${fault}`);
  }

  #place(tx: Transaction, number: number): InodeRef | undefined {
    const layout = this.#layout;
    if (!(number > 0 && number < MAX_INODES)) return undefined;
    const chunk = Math.floor(number / layout.bitsPerBlock);
    const index = number % layout.bitsPerBlock;
    const fileBlock = layout.inodeFileBlock(chunk, index);
    const last = this.#last;
    if (!(fileBlock >= last.first && fileBlock < last.end && tx.changesOfTable === last.changes)) {
      const mapping = this.#extents.find(tx, this.own(tx), fileBlock);
      if (mapping.block === 0) return undefined;
      last.first = fileBlock;
      last.end = fileBlock + mapping.length;
      last.block = mapping.block;
      last.changes = tx.changesOfTable;
    }
    const ahead = Math.min(last.end - fileBlock, layout.inodeClusterBlocks);
    const frame = tx.read(last.block + fileBlock - last.first, BlockKind.inodes, ahead);
    return { frame, at: HEADER_BYTES + (index % layout.inodesPerBlock) * INODE_BYTES, number };
  }

  /**
   * Makes an inode: the lowest free number that there is room for. Its body is empty.
   * @throws ENOSPC
   */
  create(tx: Transaction, request: NewInode): InodeRef {
    const root = this.root(tx);
    const inodes = VolumeRoot.inodeCount.get(root.view, 0) + 1;
    tx.inodesWithNew = inodes;
    const lowest = this.#takeNumber(tx, root);
    const place = lowest === undefined ? undefined : this.#placeForNew(tx, lowest);
    const inode = place ?? this.#vacantPlace(tx, root, lowest);
    const { number } = inode;
    const { view, bytes } = inode.frame;
    if (Inode.mode.get(view, inode.at) !== 0) {
      throw new CorruptionError(inode.frame.block, `inode ${number} is free in its bitmap, but in use`);
    }
    tx.modify(inode.frame);
    bytes.fill(0, inode.at, inode.at + INODE_BYTES);
    Inode.mode.set(view, inode.at, request.mode);
    Inode.linkCount.set(view, inode.at, request.linkCount);
    Inode.uid.set(view, inode.at, request.uid);
    Inode.gid.set(view, inode.at, request.gid);
    Inode.deviceNumber.set(view, inode.at, request.deviceNumber);
    Inode.parent.set(view, inode.at, request.parent);
    Inode.projectId.set(view, inode.at, request.projectId);
    Inode.number.set(view, inode.at, number);
    initialiseTimes(inode, tx.clock);
    initialiseBody(inode, request.mode);
    noteOwned(tx, inode, 1);
    tx.modify(root);
    const generation = VolumeRoot.nextGeneration.get(root.view, 0);
    Inode.generation.set(view, inode.at, generation);
    VolumeRoot.nextGeneration.set(root.view, 0, generation + 1);
    VolumeRoot.inodeCount.set(root.view, 0, inodes);
    return inode;
  }

  /**
   * Sets the bit of the lowest free inode. Undefined if that would need a bitmap, and there is no
   * block for one.
   */
  #takeNumber(tx: Transaction, root: Frame): number | undefined {
    const layout = this.#layout;
    let chunk = VolumeRoot.firstFreeChunk.get(root.view, 0);
    for (;;) {
      if (!((chunk + 1) * layout.bitsPerBlock <= MAX_INODES)) {
        throw new CorruptionError(root.block, `the first chunk with a free inode is ${chunk}`);
      }
      const frame = this.#bitmap(tx, chunk) ?? this.#createChunk(tx, chunk);
      if (frame === undefined) return undefined;
      const index = firstClearBit(frame, BitmapHeader.firstFree.get(frame.view, 0));
      if (index >= 0) {
        tx.modify(frame);
        setBit(frame, index);
        BitmapHeader.used.set(frame.view, 0, BitmapHeader.used.get(frame.view, 0) + 1);
        BitmapHeader.firstFree.set(frame.view, 0, index + 1);
        return chunk * layout.bitsPerBlock + index;
      }
      chunk++;
      tx.modify(root);
      VolumeRoot.firstFreeChunk.set(root.view, 0, chunk);
    }
  }

  #bitmap(tx: Transaction, chunk: number): Frame | undefined {
    const mapping = this.#extents.find(tx, this.own(tx), this.#layout.chunkBitmapFileBlock(chunk));
    return mapping.block === 0 ? undefined : tx.read(mapping.block, BlockKind.inodeBitmap);
  }

  /** Undefined, and nothing changed, if there is no room for it. */
  #createChunk(tx: Transaction, chunk: number): Frame | undefined {
    const want = { goal: -1, length: 1, minimum: 1, inode: 0, kind: 'inode', stream: false } as const;
    const block = this.#space.allocateIfAny(tx, want)?.start;
    if (block === undefined) return undefined;
    const fileBlock = this.#layout.chunkBitmapFileBlock(chunk);
    this.#extents.insert(tx, this.own(tx), { fileBlock, block, length: 1, unwritten: false });
    const frame = tx.create(block, BlockKind.inodeBitmap, 0);
    if (chunk === 0) {
      setBit(frame, 0);
      BitmapHeader.used.set(frame.view, 0, 1);
      BitmapHeader.firstFree.set(frame.view, 0, 1);
    }
    return frame;
  }

  /**
   * Where the new inode goes; makes its cluster (or as much of it as there is room for) if the
   * table has a hole there. Undefined, and nothing changed, if there is no room for any of it.
   */
  #placeForNew(tx: Transaction, number: number): InodeRef | undefined {
    const inode = this.#place(tx, number);
    if (inode !== undefined) return inode;
    const layout = this.#layout;
    const chunk = Math.floor(number / layout.bitsPerBlock);
    const table = this.own(tx);
    const fileBlock = layout.inodeFileBlock(chunk, number % layout.bitsPerBlock);
    const firstOfChunk = layout.chunkBitmapFileBlock(chunk) + 1;
    const offset = (fileBlock - firstOfChunk) % layout.inodeClusterBlocks;
    const hole = this.#extents.find(tx, table, fileBlock).length;
    const length = Math.min(layout.inodeClusterBlocks - offset, hole);
    const before = this.#extents.find(tx, table, fileBlock - 1);
    const goal = before.block === 0 ? -1 : before.block + 1;
    const want = { goal, length, minimum: 1, inode: 0, kind: 'inode', stream: false } as const;
    const run = this.#space.allocateIfAny(tx, want);
    if (run === undefined) return undefined;
    const blocks = { fileBlock, block: run.start, length: run.length, unwritten: false };
    this.#extents.insert(tx, table, blocks);
    for (let i = 0; i < run.length; i++) tx.create(run.start + i, BlockKind.inodes, 0);
    const placed = this.#place(tx, number);
    assert(placed !== undefined);
    return placed;
  }

  /**
   * The place of the lowest free inode whose block is there, in exchange for the number `taken`,
   * which needs one, if there is a bitmap for the lowest number at all. @throws ENOSPC
   */
  #vacantPlace(tx: Transaction, root: Frame, taken: number | undefined): InodeRef {
    const first = VolumeRoot.firstFreeChunk.get(root.view, 0);
    for (let chunk = first; chunk < first + MOST_CHUNKS_SEARCHED; chunk++) {
      const bitmap = this.#bitmap(tx, chunk);
      const inode = bitmap === undefined ? undefined : this.#vacantPlaceIn(tx, chunk, bitmap);
      if (inode === undefined) continue;
      if (taken !== undefined) this.#mark(tx, taken, false);
      this.#mark(tx, inode.number, true);
      return inode;
    }
    throw this.#space.noRoom();
  }

  #vacantPlaceIn(tx: Transaction, chunk: number, bitmap: Frame): InodeRef | undefined {
    const { bitsPerBlock, inodesPerBlock } = this.#layout;
    for (let index = firstClearBit(bitmap, 0); index >= 0; index = firstClearBit(bitmap, index)) {
      const inode = this.#place(tx, chunk * bitsPerBlock + index);
      if (inode !== undefined) return inode;
      const fileBlock = this.#layout.inodeFileBlock(chunk, index);
      const hole = this.#extents.find(tx, this.own(tx), fileBlock).length;
      index += hole * inodesPerBlock - (index % inodesPerBlock);
      if (index >= bitsPerBlock) break;
    }
    return undefined;
  }

  /** Takes a number, or frees the lowest one. */
  #mark(tx: Transaction, number: number, isTaken: boolean): void {
    const { bitsPerBlock } = this.#layout;
    const frame = this.#bitmap(tx, Math.floor(number / bitsPerBlock));
    assert(frame !== undefined);
    tx.modify(frame);
    const index = number % bitsPerBlock;
    const used = BitmapHeader.used.get(frame.view, 0);
    BitmapHeader.used.set(frame.view, 0, isTaken ? used + 1 : used - 1);
    if (isTaken) {
      setBit(frame, index);
    } else {
      clearBit(frame, index);
      BitmapHeader.firstFree.set(frame.view, 0, index);
    }
  }

  /**
   * Frees the inode, whose body holds no blocks any more, and what of the table is needless then.
   */
  free(tx: Transaction, inode: InodeRef): void {
    const layout = this.#layout;
    const { number } = inode;
    const chunk = Math.floor(number / layout.bitsPerBlock);
    const index = number % layout.bitsPerBlock;
    const frame = this.#bitmap(tx, chunk);
    if (frame === undefined || !hasBit(frame, index)) {
      throw new CorruptionError(inode.frame.block, `inode ${number} is in use, but free in its bitmap`);
    }
    tx.modify(inode.frame);
    noteOwned(tx, inode, -1);
    inode.frame.bytes.fill(0, inode.at, inode.at + INODE_BYTES);
    tx.modify(frame);
    clearBit(frame, index);
    const used = BitmapHeader.used.get(frame.view, 0) - 1;
    BitmapHeader.used.set(frame.view, 0, used);
    if (index < BitmapHeader.firstFree.get(frame.view, 0)) BitmapHeader.firstFree.set(frame.view, 0, index);
    const root = this.root(tx);
    tx.modify(root);
    VolumeRoot.inodeCount.set(root.view, 0, VolumeRoot.inodeCount.get(root.view, 0) - 1);
    if (chunk < VolumeRoot.firstFreeChunk.get(root.view, 0))
      VolumeRoot.firstFreeChunk.set(root.view, 0, chunk);
    this.#shrink(tx, frame, number);
  }

  /**
   * Gives back the cluster of an inode if it has no inode left, and the whole chunk if it is empty.
   */
  #shrink(tx: Transaction, bitmap: Frame, inode: number): void {
    const layout = this.#layout;
    const chunk = Math.floor(inode / layout.bitsPerBlock);
    const index = inode % layout.bitsPerBlock;
    const perCluster = layout.inodeClusterBlocks * layout.inodesPerBlock;
    const firstInode = Math.floor(index / perCluster) * perCluster;
    if (!rangeIsClear(bitmap, firstInode, perCluster)) return;
    const table = this.own(tx);
    const first = layout.inodeFileBlock(chunk, firstInode);
    this.#extents.punch(tx, table, { first, end: first + layout.inodeClusterBlocks });
    if (BitmapHeader.used.get(bitmap.view, 0) > 0) return;
    const ofBitmap = layout.chunkBitmapFileBlock(chunk);
    this.#extents.punch(tx, table, { first: ofBitmap, end: ofBitmap + 1 });
  }
}

function hasBit(frame: Frame, index: number): boolean {
  return ((frame.bytes[HEADER_BYTES + (index >>> 3)] as number) & (1 << (index & 7))) !== 0;
}

/** The lowest bit from `from` on that is set, or −1. */
function nextBit(frame: Frame, from: number): number {
  const bits = (frame.bytes.length - HEADER_BYTES) * 8;
  for (let index = from; index < bits; index++) {
    if ((index & 31) === 0 && frame.view.getUint32(HEADER_BYTES + (index >>> 3), true) === 0) index += 31;
    else if (hasBit(frame, index)) return index;
  }
  return -1;
}

/** The lowest clear bit from `from` on, or −1. */
function firstClearBit({ view, bytes }: Frame, from: number): number {
  let below = 2 ** (from & 31) - 1;
  for (let word = from >>> 5; word < (bytes.length - HEADER_BYTES) >>> 2; word++) {
    const clear = ~(view.getUint32(HEADER_BYTES + word * 4, true) | below);
    if (clear !== 0) return word * 32 + 31 - Math.clz32(clear & -clear);
    below = 0;
  }
  return -1;
}

function setBit(frame: Frame, index: number): void {
  const at = HEADER_BYTES + (index >>> 3);
  frame.bytes[at] = (frame.bytes[at] as number) | (1 << (index & 7));
}

function clearBit(frame: Frame, index: number): void {
  const at = HEADER_BYTES + (index >>> 3);
  frame.bytes[at] = (frame.bytes[at] as number) & ~(1 << (index & 7));
}

/** Are `count` bits from `first` on clear? Both are multiples of 8. */
function rangeIsClear(frame: Frame, first: number, count: number): boolean {
  const from = HEADER_BYTES + (first >>> 3);
  for (let i = 0; i < count >>> 3; i++) if (frame.bytes[from + i] !== 0) return false;
  return true;
}
