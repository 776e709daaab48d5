/**
 * A block in memory, as one argument: where its bytes are, and how they are read.
 *
 * Whoever keeps a block for long (a frame of the cache, the image of the superblock) is such a view
 * itself; whoever goes through many blocks that stand one behind the other has one `MovingView`.
 * None is made for a single call on the way of a lookup, a read, a write or a commit.
 */
import { viewOf } from '../../common/bytes.ts';

/** Bytes, and the view of the same bytes. */
export interface ViewedBytes {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** A block that begins at `at` of these bytes. */
export interface BlockView extends ViewedBytes {
  readonly at: number;
}

/** One that its owner moves from block to block. */
export interface MovingView extends BlockView {
  at: number;
}

/** The block at the start of these bytes. */
export function blockViewOf(bytes: Uint8Array): BlockView {
  return { bytes, view: viewOf(bytes), at: 0 };
}
