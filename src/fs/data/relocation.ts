/**
 * Everything that an inode has behind a block goes before it: data, and the metadata blocks that
 * are its own. Each step is a transaction; data is copied before the one that speaks of it. Nothing
 * else may go on in the volume.
 */
import type { BlockNumber, BlockRun, FileBlock } from '../base/numbers.ts';
import { BlockHeader, BlockKind, FILE_BLOCK_LIMIT } from '../format/format.ts';
import type { Layout } from '../format/layout.ts';
import { transact } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';
import type { Directories } from '../tree/directory.ts';
import { hasAttributes } from '../tree/extended-attributes.ts';
import { blocksOf, type InodeRef, isDirectory, isInline, isRegular, isSymlink } from '../tree/inode.ts';
import { BlockCopier } from './block-copy.ts';
import type { WriteContext } from './write-plan.ts';

/** Extents that one transaction looks at: each may be in a node that has to be loaded. */
const EXTENTS_PER_LOOK = 64;
/** Metadata blocks that one transaction moves. */
const BLOCKS_PER_STEP = 8;

/** Blocks of an extent that lie behind the end. */
interface Piece {
  readonly fileBlock: FileBlock;
  readonly block: BlockNumber;
  readonly length: number;
  readonly unwritten: boolean;
}

export interface RelocationParts {
  readonly files: WriteContext;
  readonly directories: Directories;
  readonly layout: Layout;
}

export class Relocation {
  readonly #parts: RelocationParts;
  readonly #files: WriteContext;
  /** The first block that nothing may be left at. */
  readonly #end: BlockNumber;
  readonly #copier: BlockCopier;

  constructor(parts: RelocationParts, end: BlockNumber) {
    this.#parts = parts;
    this.#files = parts.files;
    this.#end = end;
    this.#copier = new BlockCopier(parts.files);
  }

  /**
   * Moves what belongs to this inode; 0 is the inode table.
   * @throws FsError ENOSPC where there is no room before the end; the error of the device
   */
  async move(number: number): Promise<void> {
    const kinds = await transact(this.#files, (tx) => this.#kindsOf(this.#inode(tx, number)));
    if (kinds.isExtents) {
      await this.#moveNodes(number, (tx, inode, key) =>
        this.#files.extents.movePath(tx, inode, key, this.#isBehind),
      );
      await this.#moveExtents(number);
    }
    if (kinds.isDirectory) {
      await this.#moveNodes(number, (tx, inode, key) =>
        this.#parts.directories.movePath(tx, inode, key, this.#isBehind),
      );
    }
    if (kinds.hasAttributes) {
      await this.#moveNodes(number, (tx, inode, key) =>
        this.#files.attributes.movePath(tx, inode, key, this.#isBehind),
      );
    }
  }

  /** Moves the tree of quotas, if there is one. @throws as `move` */
  async moveQuotas(): Promise<void> {
    const { quotas } = this.#files;
    if (quotas === undefined) return;
    await this.#moveNodes(0, (tx, _table, key) => quotas.tree.movePath(tx, key, this.#isBehind));
  }

  readonly #isBehind = (block: BlockNumber): boolean => block >= this.#end;

  #inode(tx: Transaction, number: number): InodeRef {
    const { table } = this.#files;
    return number === 0 ? table.own(tx) : table.get(tx, number);
  }

  #kindsOf(inode: InodeRef): { isExtents: boolean; isDirectory: boolean; hasAttributes: boolean } {
    const isTable = inode.number === 0;
    if (!isTable && blocksOf(inode) === 0)
      return { isExtents: false, isDirectory: false, hasAttributes: false };
    const isFile = (isRegular(inode) || isSymlink(inode)) && !isInline(inode);
    return {
      isExtents: isTable || isFile,
      isDirectory: !isTable && isDirectory(inode),
      hasAttributes: !isTable && hasAttributes(inode),
    };
  }

  /** Path after path, from the first key to the last. */
  async #moveNodes(
    number: number,
    step: (tx: Transaction, inode: InodeRef, key: number) => number,
  ): Promise<void> {
    for (let key = 0; Number.isFinite(key); ) {
      const from = key;
      key = await transact(this.#files, (tx) => {
        let next = from;
        for (let left = BLOCKS_PER_STEP; left > 0 && Number.isFinite(next); left--)
          next = step(tx, this.#inode(tx, number), next);
        return next;
      });
    }
  }

  async #moveExtents(number: number): Promise<void> {
    for (let from: FileBlock = 0; ; ) {
      const start = from;
      const found = await transact(this.#files, (tx) => this.#nextBehind(tx, this.#inode(tx, number), start));
      if (typeof found === 'number') from = found;
      else from = found.fileBlock + (await this.#movePiece(number, found));
      if (!Number.isFinite(from)) return;
    }
  }

  /**
   * The next blocks of the file from `from` on that lie behind the end; or, where the next extents
   * have none, from which block on to look again, and infinity at the last.
   */
  #nextBehind(tx: Transaction, inode: InodeRef, from: FileBlock): Piece | FileBlock {
    const { extents } = this.#files;
    let at = from;
    for (let left = EXTENTS_PER_LOOK; left > 0; left--) {
      const { block, length, unwritten } = extents.find(tx, inode, at);
      if (block === 0) {
        if (at + length >= FILE_BLOCK_LIMIT) return Number.POSITIVE_INFINITY;
      } else if (block + length > this.#end) {
        const skipped = Math.max(0, this.#end - block);
        return { fileBlock: at + skipped, block: block + skipped, length: length - skipped, unwritten };
      }
      at += length;
    }
    return at;
  }

  /** @returns how many blocks were moved, the first of the piece */
  async #movePiece(number: number, piece: Piece): Promise<number> {
    const { space } = this.#files;
    const isMetadata = await transact(this.#files, (tx) => !isRegular(this.#inode(tx, number)));
    const most = isMetadata ? BLOCKS_PER_STEP : this.#copier.mostBlocks;
    const length = Math.min(piece.length, most);
    const kind = number === 0 ? 'inode' : isMetadata ? 'tree' : 'data';
    const want = { goal: -1, length, minimum: 1, inode: number, kind, stream: false } as const;
    const run = await transact(this.#files, (tx) => space.reserve(tx, want));
    try {
      if (!isMetadata && !piece.unwritten)
        await this.#copier.copy([{ from: piece.block, to: run.start, length: run.length }]);
      await transact(this.#files, (tx) => {
        const inode = this.#inode(tx, number);
        if (isMetadata) this.#copyMetadata(tx, inode, piece, run);
        this.#files.extents.move(tx, inode, piece.fileBlock, run);
      });
    } catch (thrown) {
      space.unreserve(run.start, run.length);
      throw thrown;
    }
    return run.length;
  }

  #copyMetadata(tx: Transaction, inode: InodeRef, piece: Piece, { start, length }: BlockRun): void {
    for (let i = 0; i < length; i++) {
      const kind = this.#kindAt(inode, piece.fileBlock + i);
      const old = tx.read(piece.block + i, kind);
      const moved = tx.create(start + i, kind, inode.number);
      // All but the common part of the header, which is the new block's own.
      const { offset } = BlockHeader.special;
      moved.bytes.set(old.bytes.subarray(offset), offset);
    }
  }

  #kindAt({ number }: InodeRef, fileBlock: FileBlock): BlockKind {
    if (number !== 0) return BlockKind.symlink;
    const span = this.#parts.layout.chunkBitmapFileBlock(1);
    return fileBlock % span === 0 ? BlockKind.inodeBitmap : BlockKind.inodes;
  }
}
