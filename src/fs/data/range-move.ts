/**
 * A range of a file goes to a better place, a part at a time.
 *
 *   reserve ──▶ lock a part ──▶ is its map ──▶ copy what is ──▶ swap the extents, ──▶ unlock, …
 *   for all     of the range    as planned?    data             free the old blocks
 *
 * At each moment every block of the file is recorded at one place, and the data is there: the copy
 * is on the device before the transaction that speaks of it, and a commit flushes it before that
 * counts, as for a write. The old blocks are handed out again only after that commit. So a crash,
 * an error or a stop in between leaves the file whole, in more pieces than before at worst.
 *
 * Whoever writes, cuts off or removes meanwhile does so between two parts. If the map is not as it
 * was planned any more, or if somebody else had the lock, the reservation goes back first (whoever
 * holds the lock may wait for space), and the rest is planned anew under the lock.
 */
import { strict as assert } from 'node:assert';
import { fsError } from '../base/errors.ts';
import type { BlockNumber, BlockRun, FileBlock } from '../base/numbers.ts';
import { PromisedOperation } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { blocksOf } from '../tree/inode.ts';
import type { BlockCopier } from './block-copy.ts';
import type { Segment } from './data-map.ts';
import {
  areSame,
  asRun,
  countPieces,
  firstBlocks,
  joined,
  joinedMoves,
  lengthOf,
  movesTo,
  type SegmentMove,
} from './file-pieces.ts';
import type { LockHolder } from './range-locks.ts';
import {
  NOWHERE_BETTER,
  type PlaceRequest,
  placeWays,
  ReservedRuns,
  reserveBetter,
  spareBlocks,
} from './reserved-runs.ts';
import type { SurveyedFile } from './surveyed-file.ts';
import type { WriteContext } from './write-plan.ts';

/** A move gives back an extent and enters one, and may cut another in two. */
const RECORDS_PER_MOVE = 3;
/** Blocks of a part at most: as many extents are looked at in one step. */
const MOST_PART_BLOCKS = 256;

export interface MoveParts {
  readonly files: WriteContext;
  readonly copier: BlockCopier;
  /** Of a plan. */
  readonly mostBlocks: number;
  readonly mostSegments: number;
  /** Is there a reason to stop? */
  readonly isHalted: () => boolean;
}

/** Where a range of a file goes. */
interface Plan {
  readonly segments: readonly Segment[];
  readonly place: ReservedRuns;
}

/** Out of space it does not wait for those who give back, of whom this is one. */
class GivingOperation<T> extends PromisedOperation<T> {
  readonly givesBack = true;
}

export class RangeMove {
  readonly #parts: MoveParts;
  readonly #file: SurveyedFile;
  #end: FileBlock;
  /** The block behind the last one that is at its place. */
  #before: BlockNumber;
  #plan: Plan | undefined;
  #movedBlocks = 0;

  /**
   * @param end of the range
   * @param before the block behind the one before the range in the file; −1 if there is none
   */
  constructor(parts: MoveParts, file: SurveyedFile, end: FileBlock, before: BlockNumber) {
    this.#parts = parts;
    this.#file = file;
    this.#end = end;
    this.#before = before;
  }

  /** Where the range ends: sooner, if the rest of it had to be planned anew and has become long. */
  get end(): FileBlock {
    return this.#end;
  }

  get movedBlocks(): number {
    return this.#movedBlocks;
  }

  /**
   * Reserves a better place for these segments, with which the range begins.
   * @returns in how many pieces fewer they will lie
   * @throws NOWHERE_BETTER; FsError ENOSPC
   */
  async plan(segments: readonly Segment[]): Promise<number> {
    const before = this.#before;
    const { place } = await this.#reserve(segments);
    return countPieces(segments.map(asRun), before) - countPieces(place.runs, before);
  }

  async #reserve(segments: readonly Segment[]): Promise<Plan> {
    const { files } = this.#parts;
    const before = this.#before;
    const pieces = countPieces(segments.map(asRun), before);
    const want = { inode: this.#file.number, blocks: lengthOf(segments), pieces, before };
    files.freeing.begin();
    try {
      const runs = await this.#find(want);
      this.#plan = { segments, place: new ReservedRuns(runs, files.space, files.freeing) };
      return this.#plan;
    } catch (thrown) {
      files.freeing.end();
      throw thrown;
    }
  }

  /** Each way in a transaction of its own. */
  async #find(want: PlaceRequest): Promise<BlockRun[]> {
    const { space } = this.#parts.files;
    for (const way of placeWays(space)) {
      try {
        return await this.#transact((tx) => reserveBetter(tx, space, want, way));
      } catch (thrown) {
        if (thrown !== NOWHERE_BETTER) throw thrown;
      }
    }
    throw NOWHERE_BETTER;
  }

  /** As all is done while something is reserved: nothing waits for space that is held here. */
  #transact<T>(body: (tx: Transaction) => T): Promise<T> {
    const { runner, device } = this.#parts.files;
    const operation = new GivingOperation(body);
    runner.execute(operation);
    device.submit();
    return operation.promise;
  }

  /** Gives back what is reserved. */
  release(): void {
    this.#plan?.place.release();
    this.#plan = undefined;
  }

  /**
   * Moves all that was planned.
   * @throws NOWHERE_BETTER and FsError ENOSPC where the rest had to be planned anew; EINTR when it
   * was halted; the error of the device
   */
  async run(): Promise<void> {
    const mostBlocks = Math.min(this.#parts.copier.mostBlocks, MOST_PART_BLOCKS);
    try {
      for (let at = this.#nextPlanned(0); at < this.#end; at = this.#nextPlanned(at)) {
        const end = Math.min(at + mostBlocks, this.#end);
        await this.#withLock(at, end, () => this.#movePart(at, end));
        at = end;
      }
    } finally {
      this.release();
    }
  }

  /** The first block from `at` on that is to be moved. */
  #nextPlanned(at: FileBlock): FileBlock {
    for (const { fileBlock, length } of this.#plan?.segments ?? [])
      if (fileBlock + length > at) return Math.max(at, fileBlock);
    return this.#end;
  }

  async #withLock(first: FileBlock, end: FileBlock, body: () => Promise<void>): Promise<void> {
    const { locks, device } = this.#parts.files;
    const { number } = this.#file;
    let isGranted = false;
    const holder: LockHolder = { granted: () => {} };
    const granted = new Promise<void>((resolve) => {
      holder.granted = () => {
        isGranted = true;
        resolve();
      };
    });
    locks.acquire(number, first, end, holder);
    if (!isGranted) this.release();
    await granted;
    try {
      await body();
    } finally {
      locks.release(number, holder);
      device.submit();
    }
  }

  async #movePart(at: FileBlock, end: FileBlock): Promise<void> {
    if (this.#parts.isHalted()) throw fsError('EINTR');
    if (this.#plan?.place.isWanted) throw fsError('ENOSPC');
    const segments = await this.#mapped(at, end);
    if (segments === undefined) throw fsError('ENOSPC');
    const plan = await this.#planFor(segments, at, end);
    await this.#file.pace.pause();
    const moves = movesTo(segments, plan.place.runs, plan.place.used);
    await this.#parts.copier.copy(moves.filter(({ unwritten }) => !unwritten));
    await this.#record(plan.place, moves);
    const last = moves.at(-1);
    if (last !== undefined) this.#before = last.to + last.length;
  }

  /**
   * What has blocks now; undefined if others are not left enough: an answer, since who fails for
   * want of space waits for a commit, here with the lock.
   */
  #mapped(at: FileBlock, end: FileBlock): Promise<Segment[] | undefined> {
    const { files } = this.#parts;
    return this.#transact((tx) => {
      if (tx.readOnly) throw fsError('EROFS');
      if (files.space.index.freeBlocks < spareBlocks(files.space) / 2) return undefined;
      const segments: Segment[] = [];
      for (let from = at; from < end; ) {
        const found = this.#file.look(tx, from, end);
        segments.push(...found.segments);
        from = found.next;
      }
      return segments;
    });
  }

  /** The plan, made anew if these segments are not those of it. */
  async #planFor(segments: readonly Segment[], at: FileBlock, end: FileBlock): Promise<Plan> {
    const { segments: planned = [] } = this.#plan ?? {};
    if (this.#plan !== undefined && areSame(joined(segments, at, end), joined(planned, at, end)))
      return this.#plan;
    this.release();
    const { mostBlocks, mostSegments } = this.#parts;
    const survey = await this.#file.survey(at, { end: this.#end, mostBlocks, mostSegments });
    const rest = firstBlocks(survey.segments, mostBlocks);
    const last = rest.at(-1);
    // There may be far more by now than when the range was chosen.
    if (last !== undefined && (!survey.isAll || lengthOf(rest) < lengthOf(survey.segments)))
      this.#end = Math.max(end, last.fileBlock + last.length);
    const plan = await this.#reserve(rest);
    // The part is locked: what was seen of it still holds.
    assert(areSame(joined(segments, at, end), joined(plan.segments, at, end)), 'a locked range stands still');
    return plan;
  }

  async #record(place: ReservedRuns, moves: readonly SegmentMove[]): Promise<void> {
    const { files } = this.#parts;
    const most = Math.max(1, Math.floor(files.extentsPerStep / RECORDS_PER_MOVE));
    for (let done = 0; done < moves.length; done += most) {
      const step = moves.slice(done, done + most);
      const grown = await this.#transact((tx) => this.#swap(tx, step));
      place.claimed(lengthOf(step));
      this.#movedBlocks += lengthOf(step);
      if (grown !== 0) files.spaceChanged(this.#file.number);
      await this.#file.pace.pause();
    }
  }

  /** @returns blocks of its tree that the file has more than before */
  #swap(tx: Transaction, moves: readonly SegmentMove[]): number {
    const inode = this.#file.inode(tx);
    const before = blocksOf(inode);
    for (const move of joinedMoves(moves)) this.#parts.files.extents.moveAll(tx, inode, move, moves.length);
    return blocksOf(inode) - before;
  }
}
