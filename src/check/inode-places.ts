/** Where inodes stand on disk: the extents of the inode table, found by the checker's own walk. */
import { HEADER_BYTES, INODE_BYTES } from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import type { Extent } from './extent-walk.ts';

export interface InodePlace {
  /** Block of the volume. */
  readonly block: number;
  /** Offset of the inode within it. */
  readonly offset: number;
}

/** A run of the table that lies within one chunk. */
export interface TablePiece {
  /** Block within the chunk; 0 is the bitmap. */
  readonly chunkBlock: number;
  readonly block: number;
  readonly length: number;
}

export class InodePlaces {
  readonly #layout: Layout;
  readonly #extents: Extent[] = [];

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** Extents come by file block. */
  add(extent: Extent): void {
    this.#extents.push(extent);
  }

  /** Place of the inode, or undefined where the table has a hole. */
  locate(inode: number): InodePlace | undefined {
    const { bitsPerBlock, inodesPerBlock } = this.#layout;
    const index = inode % bitsPerBlock;
    const fileBlock = this.#layout.inodeFileBlock(Math.floor(inode / bitsPerBlock), index);
    const block = this.#blockOf(fileBlock);
    if (block === undefined) return undefined;
    return { block, offset: HEADER_BYTES + (index % inodesPerBlock) * INODE_BYTES };
  }

  /** The pieces of each chunk that has any, by chunk number. */
  *chunks(): Generator<[number, TablePiece[]]> {
    const span = this.#layout.inodeBlocksPerChunk + 1;
    let current = -1;
    let pieces: TablePiece[] = [];
    for (const extent of this.#extents) {
      for (let done = 0; done < extent.length; ) {
        const fileBlock = extent.fileBlock + done;
        const chunk = Math.floor(fileBlock / span);
        const chunkBlock = fileBlock % span;
        const length = Math.min(extent.length - done, span - chunkBlock);
        if (chunk !== current && pieces.length > 0) {
          yield [current, pieces];
          pieces = [];
        }
        current = chunk;
        pieces.push({ chunkBlock, block: extent.block + done, length });
        done += length;
      }
    }
    if (pieces.length > 0) yield [current, pieces];
  }

  /** Block of the bitmap of a chunk, or undefined where the table has none. */
  bitmapOf(chunk: number): number | undefined {
    return this.#blockOf(this.#layout.chunkBitmapFileBlock(chunk));
  }

  /** The extents by file block. */
  get extents(): readonly Extent[] {
    return this.#extents;
  }

  get blocks(): number {
    return this.#extents.reduce((sum, extent) => sum + extent.length, 0);
  }

  #blockOf(fileBlock: number): number | undefined {
    let low = 0;
    let high = this.#extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const extent = this.#extents[middle];
      if (extent && extent.fileBlock + extent.length <= fileBlock) low = middle + 1;
      else high = middle;
    }
    const extent = this.#extents[low];
    if (!extent || fileBlock < extent.fileBlock) return undefined;
    return extent.block + (fileBlock - extent.fileBlock);
  }
}
