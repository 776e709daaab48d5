/**
 * How a file lies, and how it could lie: numbers only, for defragmentation.ts.
 *
 * A piece is a stretch of a file whose blocks stand directly behind each other on the device, holes
 * passed over; it may be several segments, as the extent map has them.
 */
import { strict as assert } from 'node:assert';
import type { BlockNumber, BlockRun, FileBlock } from '../base/numbers.ts';
import type { MappedBlocks } from '../tree/extents.ts';
import type { BlockCopy } from './block-copy.ts';
import type { Segment } from './data-map.ts';

/** Blocks of a file that go from one place to another. */
export interface SegmentMove extends BlockCopy {
  readonly fileBlock: FileBlock;
  readonly unwritten: boolean;
}

/** Moves that lie together in the file and at the new place, as one: where from does not matter. */
export function joinedMoves(moves: readonly SegmentMove[]): MappedBlocks[] {
  const found: { fileBlock: FileBlock; block: BlockNumber; length: number; unwritten: boolean }[] = [];
  for (const { fileBlock, to, length, unwritten } of moves) {
    const last = found.at(-1);
    const isNext = last?.unwritten === unwritten && last.fileBlock + last.length === fileBlock;
    if (isNext && last.block + last.length === to) last.length += length;
    else found.push({ fileBlock, block: to, length, unwritten });
  }
  return found;
}

/** Blocks that runs or segments have together. */
export function lengthOf(parts: readonly { readonly length: number }[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

/**
 * In how many pieces blocks lie, in the order of the file.
 * @param before the block behind the one that comes before them; −1 if there is none
 */
export function countPieces(segments: readonly BlockRun[], before: BlockNumber): number {
  let pieces = 0;
  let next = before;
  for (const { start, length } of segments) {
    if (start !== next) pieces++;
    next = start + length;
  }
  return pieces;
}

export function asRun({ block, length }: Segment): BlockRun {
  return { start: block, length };
}

/** The segments up to so many blocks, the last one cut. */
export function firstBlocks(segments: readonly Segment[], most: number): Segment[] {
  const found: Segment[] = [];
  let left = most;
  for (const segment of segments) {
    if (left <= 0) break;
    const length = Math.min(segment.length, left);
    found.push({ ...segment, length });
    left -= length;
  }
  return found;
}

/** From which segments on, in order, whole pieces are looked at. */
export interface PieceRange {
  /** Segments that are passed over: a piece that is long enough as it is. */
  readonly skipped: number;
  /** Segments of the pieces, behind those. */
  readonly taken: number;
}

/**
 * The first pieces that have no more than `mostBlocks` together. Where the first one is longer
 * alone, it is passed over and nothing is taken.
 * @param before as for `countPieces`
 * @param isAll whether the file has no segments behind these
 */
export function firstPieces(
  segments: readonly Segment[],
  before: BlockNumber,
  mostBlocks: number,
  isAll: boolean,
): PieceRange {
  let taken = 0;
  let blocks = 0;
  let next = before;
  for (const [at, { block, length }] of segments.entries()) {
    if (block !== next && at > 0) taken = at;
    blocks += length;
    if (blocks > mostBlocks) break;
    next = block + length;
  }
  if (blocks <= mostBlocks && isAll) return { skipped: 0, taken: segments.length };
  if (taken > 0) return { skipped: 0, taken };
  // What is known of it is one piece.
  return { skipped: segments.length === 0 ? 0 : firstPieceEnd(segments), taken: 0 };
}

/** Segments of the first piece. */
function firstPieceEnd(segments: readonly Segment[]): number {
  const end = segments.findIndex((segment, at) => {
    const last = segments[at - 1];
    return last !== undefined && last.block + last.length !== segment.block;
  });
  return end < 0 ? segments.length : end;
}

/**
 * The segments, as long as they can be: two are the same map if these are.
 * @param end what lies from this block of the file on is cut off
 */
export function joined(segments: readonly Segment[], from: FileBlock, end: FileBlock): Segment[] {
  const found: Segment[] = [];
  for (const segment of segments) {
    const first = Math.max(segment.fileBlock, from);
    const length = Math.min(segment.fileBlock + segment.length, end) - first;
    if (segment.block === 0 || length <= 0) continue;
    const block = segment.block + first - segment.fileBlock;
    const last = found.at(-1);
    if (last !== undefined && continues(last, first, block, segment.unwritten)) last.length += length;
    else found.push({ fileBlock: first, block, length, fresh: false, unwritten: segment.unwritten });
  }
  return found;
}

function continues(last: Segment, fileBlock: FileBlock, block: BlockNumber, unwritten: boolean): boolean {
  const { length } = last;
  return (
    last.fileBlock + length === fileBlock && last.block + length === block && last.unwritten === unwritten
  );
}

export function areSame(left: readonly Segment[], right: readonly Segment[]): boolean {
  return (
    left.length === right.length &&
    left.every(({ fileBlock, block, length, unwritten }, i) => {
      const other = right[i];
      return (
        fileBlock === other?.fileBlock &&
        block === other.block &&
        length === other.length &&
        unwritten === other.unwritten
      );
    })
  );
}

/**
 * The blocks of the segments, moved to the runs one after the other.
 * @param skip blocks of the runs that are taken already
 */
export function movesTo(
  segments: readonly Segment[],
  runs: readonly BlockRun[],
  skip: number,
): SegmentMove[] {
  const moves: SegmentMove[] = [];
  let run = 0;
  let used = skip;
  for (const { fileBlock, block, length: whole, unwritten } of segments) {
    for (let done = 0; done < whole; ) {
      const found = runs[run];
      assert(found, 'there are as many blocks to move to as to move');
      const { start, length } = found;
      if (used >= length) {
        used -= length;
        run++;
        continue;
      }
      const part = Math.min(whole - done, length - used);
      moves.push({
        fileBlock: fileBlock + done,
        from: block + done,
        to: start + used,
        length: part,
        unwritten,
      });
      done += part;
      used += part;
    }
  }
  return moves;
}
