/**
 * A regular file whose map is looked at in steps, so that no turn grows with it.
 *
 * It stays the file that it was: if its inode goes, and another file gets the number, the next look
 * says ESTALE. What a step saw may be otherwise at the next one, unless the range is locked.
 */
import { fsError } from '../base/errors.ts';
import type { BlockNumber, FileBlock } from '../base/numbers.ts';
import type { Pace } from '../base/turns.ts';
import { FILE_BLOCK_LIMIT, Inode } from '../format/format.ts';
import { transact } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { type InodeRef, isInline, requireRegular } from '../tree/inode.ts';
import type { Segment } from './data-map.ts';
import { asRun, countPieces, lengthOf } from './file-pieces.ts';
import type { FileContext } from './file-reader.ts';

/** Extents that one step looks at: each may be in a node that has to be loaded. */
const EXTENTS_PER_LOOK = 64;

/** Where a survey stops. */
export interface SurveyBounds {
  readonly end: FileBlock;
  readonly mostBlocks: number;
  readonly mostSegments: number;
}

const WHOLE: SurveyBounds = {
  end: FILE_BLOCK_LIMIT,
  mostBlocks: Number.POSITIVE_INFINITY,
  mostSegments: EXTENTS_PER_LOOK,
};

export interface Survey {
  /** What has blocks, in the order of the file. */
  readonly segments: readonly Segment[];
  /** Whether the file has nothing behind them, up to the end of the survey. */
  readonly isAll: boolean;
}

/** How fast a survey goes on, and whether it does. */
export interface SurveyTurns {
  readonly pace: Pace;
  readonly isHalted: () => boolean;
}

export class SurveyedFile {
  readonly pace: Pace;

  private constructor(
    readonly context: FileContext,
    readonly number: number,
    readonly generation: number,
    readonly turns: SurveyTurns,
  ) {
    this.pace = turns.pace;
  }

  /** @throws FsError ESTALE if there is no such inode, EINVAL or EISDIR if it is no regular file */
  static open(context: FileContext, number: number, turns: SurveyTurns): Promise<SurveyedFile> {
    return transact(context, (tx) => {
      const inode = context.table.get(tx, number);
      requireRegular(inode);
      return new SurveyedFile(context, number, generationOf(inode), turns);
    });
  }

  /** @throws FsError ESTALE if it is gone */
  inode(tx: Transaction): InodeRef {
    const inode = this.context.table.get(tx, this.number);
    if (generationOf(inode) !== this.generation) throw fsError('ESTALE');
    return inode;
  }

  /** The block behind the one that holds the file block before `at`; −1 if that is a hole. */
  blockBehind(at: FileBlock): Promise<BlockNumber> {
    if (at === 0) return Promise.resolve(-1);
    return transact(this.context, (tx) => {
      const inode = this.inode(tx);
      if (isInline(inode)) return -1;
      const { block } = this.context.extents.find(tx, inode, at - 1);
      return block === 0 ? -1 : block + 1;
    });
  }

  /**
   * What has blocks from `from` on, until one of the bounds is reached or passed.
   * @throws FsError EINTR where it was halted
   */
  async survey(from: FileBlock, bounds: SurveyBounds): Promise<Survey> {
    const segments: Segment[] = [];
    let at = from;
    let blocks = 0;
    while (at < bounds.end) {
      if (blocks > bounds.mostBlocks || segments.length >= bounds.mostSegments)
        return { segments, isAll: false };
      const start = at;
      const found = await transact(this.context, (tx) => this.look(tx, start, bounds.end));
      for (const segment of found.segments) segments.push(segment);
      blocks += lengthOf(found.segments);
      at = found.next;
      await this.pace.pause();
      if (this.turns.isHalted()) throw fsError('EINTR');
    }
    return { segments, isAll: true };
  }

  /** One step of a survey: what has blocks, and where the next step begins. */
  look(tx: Transaction, from: FileBlock, end: FileBlock): { segments: Segment[]; next: FileBlock } {
    const inode = this.inode(tx);
    const segments: Segment[] = [];
    if (isInline(inode)) return { segments, next: end };
    let at = from;
    for (let left = EXTENTS_PER_LOOK; left > 0 && at < end; left--) {
      const { block, length: whole, unwritten } = this.context.extents.find(tx, inode, at);
      const length = Math.min(whole, end - at);
      if (block !== 0) segments.push({ fileBlock: at, block, length, fresh: false, unwritten });
      at += length;
    }
    return { segments, next: at };
  }

  /** Pieces of all of it. */
  async countPieces(): Promise<number> {
    let pieces = 0;
    let before: BlockNumber = -1;
    for (let at: FileBlock = 0; ; ) {
      const { segments, isAll } = await this.survey(at, WHOLE);
      pieces += countPieces(segments.map(asRun), before);
      const last = segments.at(-1);
      if (isAll || last === undefined) return pieces;
      before = last.block + last.length;
      at = last.fileBlock + last.length;
    }
  }
}

function generationOf(inode: InodeRef): number {
  return Inode.generation.get(inode.frame.view, inode.at);
}
