/**
 * Where a file has data, and where it has holes: lseek(2) with SEEK_DATA and SEEK_HOLE.
 *
 * Unwritten extents are holes. What was answered early and is on its way is waited for; what could
 * not be written and is kept in memory (lost-writes.ts) is data. What a cache above has not handed
 * over yet is not known here: so the answer says which hole it rests on, and whoever has such a
 * cache sees to that first. Blocks are looked at in bounded steps.
 */
import { strict as assert } from 'node:assert';
import type { SeekAnswer, SeekTarget } from '../base/filesystem.ts';
import type { FileBlock } from '../base/numbers.ts';
import { BEHIND_EARLY_WRITES } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { type InodeRef, isInline, requireRegular, sizeOf } from '../tree/inode.ts';
import { inSteps } from './steps.ts';
import type { WriteContext } from './write-plan.ts';

const EXTENTS_PER_STEP = 512;
/** Answer where there is nothing more. */
const NOWHERE = -1;
const END = Number.POSITIVE_INFINITY;

/** A stretch of a file, in bytes, up to its end at most. */
interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly isHole: boolean;
}

class Seek {
  constructor(
    readonly context: WriteContext,
    readonly number: number,
    readonly offsetBytes: number,
    readonly target: SeekTarget,
  ) {}

  /** Looks at some extents. Returns the answer, or the byte to go on from. */
  step(tx: Transaction, from: number): SeekAnswer | number {
    const { context, number, offsetBytes } = this;
    const inode = context.table.get(tx, number);
    requireRegular(inode);
    if (!tx.behindEarlyWrites && context.early.pending(number)) throw BEHIND_EARLY_WRITES;
    const size = Math.max(sizeOf(inode), context.lost.sizeOf(number));
    if (offsetBytes >= size) return { offsetBytes: NOWHERE, holeFrom: offsetBytes, holeEnd: END };
    let at = from;
    for (let left = EXTENTS_PER_STEP; left > 0 && at < size; left--) {
      const stretch = this.#stretchAt(tx, inode, at, size);
      const answer = this.target === 'data' ? this.#data(stretch) : this.#hole(stretch, size);
      if (answer !== undefined) return answer;
      at = stretch.to;
    }
    return at < size ? at : this.#atEnd(size);
  }

  #stretchAt(tx: Transaction, inode: InodeRef, from: number, size: number): Stretch {
    if (isInline(inode)) return { from, to: size, isHole: false };
    const { blockBytes, extents } = this.context;
    const fileBlock: FileBlock = Math.floor(from / blockBytes);
    const { block, length, unwritten } = extents.find(tx, inode, fileBlock);
    const to = Math.min((fileBlock + length) * blockBytes, size);
    return { from, to, isHole: block === 0 || unwritten };
  }

  #data({ from, to, isHole }: Stretch): SeekAnswer | undefined {
    const at = isHole ? this.context.lost.keptIn(this.number, from, to)?.from : from;
    if (at === undefined) return undefined;
    return { offsetBytes: Math.max(from, at), holeFrom: this.offsetBytes, holeEnd: Math.max(from, at) };
  }

  #hole({ from, to, isHole }: Stretch, size: number): SeekAnswer | undefined {
    if (!isHole) return undefined;
    const { lost } = this.context;
    let at = from;
    for (let kept = lost.keptIn(this.number, at, at + 1); kept !== undefined && at < to; ) {
      at = kept.to;
      kept = lost.keptIn(this.number, at, at + 1);
    }
    if (at >= to) return undefined;
    const next = lost.keptIn(this.number, at, to);
    return { offsetBytes: at, holeFrom: at, holeEnd: next?.from ?? (to < size ? to : END) };
  }

  #atEnd(size: number): SeekAnswer {
    if (this.target === 'data') return { offsetBytes: NOWHERE, holeFrom: this.offsetBytes, holeEnd: END };
    return { offsetBytes: size, holeFrom: size, holeEnd: END };
  }
}

/** @throws FsError EISDIR, EINVAL, ESTALE, EIO */
export async function seek(
  context: WriteContext,
  inode: number,
  offsetBytes: number,
  target: SeekTarget,
): Promise<SeekAnswer> {
  const task = new Seek(context, inode, offsetBytes, target);
  let answer: SeekAnswer | undefined;
  await inSteps(context, { first: offsetBytes, end: END }, (tx, at) => {
    const found = task.step(tx, at);
    answer = typeof found === 'number' ? undefined : found;
    return typeof found === 'number' ? found : END;
  });
  assert(answer !== undefined, 'the last step has an answer');
  return answer;
}
