/**
 * Files in fewer pieces, as far as the mount's policy finds a better place, beside all else.
 *
 * A file is gone through in ranges of whole pieces, each some megabytes at most; a longer piece
 * stays where it is. A range goes to new runs if they are fewer (reserved-runs.ts), a megabyte at a
 * time (range-move.ts), or it stays. Content, size, times and holes are as before; unwritten
 * extents stay unwritten.
 *
 * One range of the volume is moved at a time. Who puts the volume to rest or ends it halts that
 * first.
 */
import { FsError, fsError } from '../base/errors.ts';
import type { BlockNumber, FileBlock } from '../base/numbers.ts';
import { Pace, type Turns } from '../base/turns.ts';
import { FILE_BLOCK_LIMIT } from '../format/format.ts';
import { transact } from '../transaction/operation-runner.ts';
import { BlockCopier } from './block-copy.ts';
import type { Segment } from './data-map.ts';
import { asRun, countPieces, firstPieces } from './file-pieces.ts';
import { RangeMove } from './range-move.ts';
import { NOWHERE_BETTER, spareBlocks } from './reserved-runs.ts';
import { SurveyedFile } from './surveyed-file.ts';
import type { WriteContext } from './write-plan.ts';

/** Longer pieces are read about as fast as if they were one. */
const RANGE_BYTES = 32 * 1024 * 1024;
/** Segments of a range at most: what is kept in memory of one. */
const RANGE_SEGMENTS = 8192;

/** Which part of a file. */
export interface DefragmentRequest {
  readonly inode: number;
  /** Block of the file to begin with: 0, or where the last range ended. */
  readonly from: FileBlock;
  /** Nothing is moved, only looked whether it could be. */
  readonly dryRun: boolean;
}

/**
 * `fine`: it was in one piece, or in pieces long enough. `better`: it is in fewer now, or would be.
 * `nowhere`: the policy finds no better place. `full`: that would take space that others may need.
 */
export type DefragmentOutcome = 'fine' | 'better' | 'nowhere' | 'full';

/** What became of a range. */
export interface DefragmentedRange {
  readonly outcome: DefragmentOutcome;
  /** Block of the file to go on with; infinite at its end. */
  readonly next: FileBlock;
  /** Pieces fewer, as planned. */
  readonly saved: number;
  readonly movedBlocks: number;
}

/** A range, chosen. */
interface Chosen {
  readonly segments: readonly Segment[];
  readonly before: BlockNumber;
  readonly next: FileBlock;
  /** It was passed over because there is little free space. */
  readonly isTooLong: boolean;
}

export class Defragmentation {
  readonly #files: WriteContext;
  readonly #turns: Turns;
  readonly #copier: BlockCopier;
  #turn: Promise<unknown> = Promise.resolve();
  #underWay = 0;
  #halts = 0;

  constructor(files: WriteContext, turns: Turns) {
    this.#files = files;
    this.#turns = turns;
    this.#copier = new BlockCopier(files);
  }

  /** Is a range being moved, or about to be? */
  get underWay(): boolean {
    return this.#underWay > 0;
  }

  /** What is under way stops after its next megabyte. Resolves when it has. */
  async halt(): Promise<void> {
    if (!this.underWay) return;
    this.#halts++;
    await this.#turn.catch(() => {});
    this.#halts--;
  }

  /**
   * In how many pieces a file lies.
   * @throws FsError EINTR where it was halted; ESTALE, EINVAL, EISDIR, EIO
   */
  countPieces(inode: number): Promise<number> {
    return this.#inTurn(async () => (await this.#survey(inode)).countPieces());
  }

  #survey(inode: number): Promise<SurveyedFile> {
    const turns = { pace: new Pace(this.#turns), isHalted: () => this.#halts > 0 };
    return SurveyedFile.open(this.#files, inode, turns);
  }

  /** One after the other, and none any more while it is halted. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#halts > 0) return Promise.reject(fsError('EINTR'));
    this.#underWay++;
    const turned = this.#turn
      .catch(() => {})
      .then(() => {
        if (this.#halts > 0) throw fsError('EINTR');
        return work();
      })
      .finally(() => {
        this.#underWay--;
      });
    this.#turn = turned;
    return turned;
  }

  /**
   * Moves the next range of a file, if there is a better place for it.
   * @throws FsError EINTR where it was halted; EROFS, ESTALE, EINVAL, EISDIR; EIO and what else the
   * device says, or the disk
   */
  range(request: DefragmentRequest): Promise<DefragmentedRange> {
    return this.#inTurn(() => this.#range(request));
  }

  async #range({ inode, from, dryRun }: DefragmentRequest): Promise<DefragmentedRange> {
    const file = await this.#survey(inode);
    const { segments, before, next, isTooLong } = await this.#choose(file, from);
    const [first] = segments;
    if (first === undefined) return { outcome: isTooLong ? 'full' : 'fine', next, saved: 0, movedBlocks: 0 };
    const parts = {
      files: this.#files,
      copier: this.#copier,
      mostBlocks: this.#mostBlocks,
      mostSegments: RANGE_SEGMENTS,
      isHalted: () => this.#halts > 0,
    };
    const last = segments.at(-1) ?? first;
    const end = last.fileBlock + last.length;
    const move = new RangeMove(parts, file, end, before);
    try {
      const saved = await move.plan(segments);
      if (!dryRun) await move.run();
      const goOn = move.end < end ? move.end : next;
      return { outcome: 'better', next: goOn, saved, movedBlocks: move.movedBlocks };
    } catch (thrown) {
      const outcome = outcomeOf(thrown);
      if (outcome === undefined) throw thrown;
      return { outcome, next, saved: 0, movedBlocks: move.movedBlocks };
    } finally {
      move.release();
    }
  }

  /** Of a range. */
  get #mostBlocks(): number {
    return Math.floor(RANGE_BYTES / this.#files.blockBytes);
  }

  /** Blocks beyond what is left to others. Where they are fewer than those, nothing is moved. */
  #freeBlocks(): Promise<number> {
    const { space } = this.#files;
    return transact(this.#files, (tx) => {
      if (tx.readOnly) throw fsError('EROFS');
      return Math.max(0, space.availableBlocks - spareBlocks(space));
    });
  }

  /** The pieces from `from` on that go together; none where they are fine as they are. */
  async #choose(file: SurveyedFile, from: FileBlock): Promise<Chosen> {
    const usual = this.#mostBlocks;
    const free = await this.#freeBlocks();
    const mostBlocks = Math.min(usual, free);
    const bounds = { end: FILE_BLOCK_LIMIT, mostBlocks, mostSegments: RANGE_SEGMENTS };
    const before = await file.blockBehind(from);
    const { segments, isAll } = await file.survey(from, bounds);
    const isFine = from === 0 && isAll && countPieces(segments.map(asRun), before) <= 1;
    const isFull = free < spareBlocks(this.#files.space);
    if (isFine || isFull) return { segments: [], before, next: Number.POSITIVE_INFINITY, isTooLong: !isFine };
    const { skipped, taken } = firstPieces(segments, before, mostBlocks, isAll);
    const behind = skipped + taken;
    const last = segments[behind - 1];
    const isEnd = last === undefined || (isAll && behind === segments.length);
    return {
      segments: segments.slice(0, taken),
      before,
      next: isEnd ? Number.POSITIVE_INFINITY : last.fileBlock + last.length,
      isTooLong: skipped > 0 && mostBlocks < usual,
    };
  }
}

/** Undefined for what is no outcome, but a failure. */
function outcomeOf(thrown: unknown): DefragmentOutcome | undefined {
  if (thrown === NOWHERE_BETTER) return 'nowhere';
  return thrown instanceof FsError && thrown.code === 'ENOSPC' ? 'full' : undefined;
}
