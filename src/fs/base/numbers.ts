/**
 * What a number of a block counts from, as types.
 *
 *   BlockNumber   from the start of the device: what is read, written and recorded on disk
 *   SpaceNumber   from the start of the space: what the alloc room, its runs and its bitmaps know
 *   FileBlock     from the start of a file: a key of its extent map
 *
 * To the machine they are numbers like all others. The compiler takes no one of them for another,
 * and compares none with another; a plain number it takes for any. So the sum that turns one into
 * another costs nothing and needs no cast, and only forgetting it is an error.
 */
import type { SpaceNumber } from '../../alloc/allocator.ts';

export type { SpaceNumber };
export type BlockNumber = number & { readonly countedFrom?: 'device' };
export type FileBlock = number & { readonly countedFrom?: 'file' };

/** File blocks from the first to the last before the end. */
export interface FileSpan {
  readonly first: FileBlock;
  readonly end: FileBlock;
}

/** As a Run of the alloc room, but on the device. */
export interface BlockRun {
  readonly start: BlockNumber;
  readonly length: number;
}
