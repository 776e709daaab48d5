/**
 * A better place for blocks of a file: runs from the mount's policy, in fewer pieces than the
 * blocks lie in now, reserved until the blocks are there.
 *
 * Reserved blocks are nobody else's, so they are few, and a part of the free space is left alone.
 * While they are held, whoever finds the volume out of space waits for a step (freeing.ts) instead
 * of failing; so the holder must wait for nobody's lock.
 */

import { PATIENCE_GROUPS } from '../../alloc/run-lengths.ts';
import { fsError } from '../base/errors.ts';
import type { BlockNumber, BlockRun } from '../base/numbers.ts';
import type { SpaceMap, SpaceRequest } from '../transaction/space-map.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { countPieces } from './file-pieces.ts';
import type { Freeing } from './freeing.ts';

/** Runs that are asked for at most: what one transaction does. */
const MOST_RUNS = 64;
/** One part in so many of the space is left to others. */
const SPARE_SHARE = 64;

/**
 * How the policy is asked: as for data that is written, with any length being enough, so that it
 * decides as it does there and searches no longer; for runs behind each other, or anywhere. One
 * that scatters is asked for long runs in so many words at last, which it may look for everywhere.
 */
export type PlaceWay = 'behind' | 'anywhere' | 'long';

/** In a volume of more groups a search everywhere is no step: some 15 µs a group. */
const MOST_SEARCHED_GROUPS = 64;

export function placeWays(space: SpaceMap): readonly PlaceWay[] {
  const isSmall = space.index.groupCount <= MOST_SEARCHED_GROUPS;
  return isSmall ? ['behind', 'anywhere', 'long'] : ['behind', 'anywhere'];
}

/** What is looked for. */
export interface PlaceRequest {
  readonly inode: number;
  readonly blocks: number;
  /** Pieces that they lie in, counted from `before`. */
  readonly pieces: number;
  /** The block behind the one before them in the file; −1 if there is none. */
  readonly before: BlockNumber;
}

/** Thrown where there is no better place. One object serves all: an answer, not an accident. */
export const NOWHERE_BETTER = new Error('there is no better place');

/**
 * Reserves runs in which the blocks lie in fewer pieces; whether the policy's answers are good
 * enough is judged here.
 * @param way one of `placeWays`
 * @throws NOWHERE_BETTER; FsError ENOSPC where that would take what is left to others
 */
export function reserveBetter(
  tx: Transaction,
  space: SpaceMap,
  want: PlaceRequest,
  way: PlaceWay,
): BlockRun[] {
  if (tx.readOnly) throw fsError('EROFS');
  if (space.index.freeBlocks - want.blocks < spareBlocks(space)) throw fsError('ENOSPC');
  const most = Math.min(MOST_RUNS, want.before < 0 ? want.pieces - 1 : want.pieces);
  const runs: BlockRun[] = [];
  let goal = way === 'behind' ? want.before : -1;
  for (let left = want.blocks; left > 0; ) {
    const least = Math.ceil(left / (most - runs.length));
    const asked = { goal, length: left, minimum: 1, inode: want.inode, kind: 'data', stream: false } as const;
    const find = way === 'long' ? reserveLong : reserveIfFree;
    const run = runs.length < most ? find(tx, space, { ...asked, least }) : undefined;
    if (run === undefined || run.length < least) throw NOWHERE_BETTER;
    runs.push(run);
    left -= run.length;
    if (way === 'behind') goal = run.start + run.length;
  }
  if (countPieces(runs, want.before) >= want.pieces) throw NOWHERE_BETTER;
  return runs;
}

/** Blocks that others find free, whatever is moved. */
export function spareBlocks(space: SpaceMap): number {
  return Math.ceil(space.usableBlocks / SPARE_SHARE);
}

/** A run that is asked for, and how long it has to be to be of use. */
interface RunRequest extends SpaceRequest {
  readonly least: number;
}

/** The longest that can be had, by halves. */
function reserveLong(tx: Transaction, space: SpaceMap, want: RunRequest): BlockRun | undefined {
  const { length, least } = want;
  const known = space.index.longestRun(0, PATIENCE_GROUPS)?.length ?? 0;
  if (known < least) return undefined;
  for (let minimum = Math.min(length, known); ; minimum = Math.max(least, Math.ceil(minimum / 2))) {
    const run = reserveIfFree(tx, space, { ...want, minimum });
    if (run !== undefined || minimum === least) return run;
  }
}

function reserveIfFree(tx: Transaction, space: SpaceMap, want: RunRequest): BlockRun | undefined {
  const { least: _least, ...asked } = want;
  return space.reserveIfAny(tx, asked);
}

/** Runs that are held, and used from the front. */
export class ReservedRuns {
  readonly #space: SpaceMap;
  readonly #freeing: Freeing;
  #used = 0;
  #isHeld = true;
  #isWanted = false;

  /** @param freeing in which a task was begun for it: it ends with the release */
  constructor(
    readonly runs: readonly BlockRun[],
    space: SpaceMap,
    freeing: Freeing,
  ) {
    this.#space = space;
    this.#freeing = freeing;
  }

  /** Blocks from the front that belong to a file now. */
  get used(): number {
    return this.#used;
  }

  /** Has anybody found the volume out of space meanwhile? */
  get isWanted(): boolean {
    return this.#isWanted || this.#freeing.isAwaited;
  }

  /** A transaction has claimed so many more. */
  claimed(blocks: number): void {
    this.#used += blocks;
    this.#isWanted ||= this.#freeing.isAwaited;
    this.#freeing.stepped();
  }

  /** Gives back what was not used; may be called again. Outside of transactions. */
  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    let skip = this.#used;
    for (const { start, length } of this.runs) {
      if (skip < length) this.#space.unreserve(start + skip, length - skip);
      skip = Math.max(0, skip - length);
    }
    this.#freeing.end();
  }
}
