/**
 * Files of an open volume in fewer pieces: for the daemon, which `quarry defrag` asks, and for the
 * command itself where the volume is not mounted.
 *
 * Nothing is kept from one question to the next. A question names files and where to begin in the
 * first one; the answer comes after a moment and says how far it got.
 */

import { emptyAttributes } from '../fs/base/empty-attributes.ts';
import { FsError } from '../fs/base/errors.ts';
import type { DefragmentOutcome } from '../fs/data/defragmentation.ts';
import type { Volume } from '../fs/volume.ts';
import { CommandError } from './failure.ts';

/** What is needed of a volume. */
export type MovableFiles = Pick<
  Volume,
  'blockBytes' | 'run' | 'readAttributes' | 'countPieces' | 'defragment'
>;

/** Files that a question names at most. */
export const MOST_FILES_ASKED = 256;
/** After how long no further range is begun: whoever presses Ctrl-C waits for that. */
const MOMENT_MILLISECONDS = 100;

/** What is asked of the daemon. */
export interface DefragQuestion {
  readonly inodes: readonly number[];
  /** Where to begin in the first of them: 0, or what the last answer said. */
  readonly fromBytes: number;
  readonly dryRun: boolean;
}

/**
 * As those of a range; `refused`: it is not the asker's. `failed`: an error of the device, or of
 * the disk.
 */
export const FILE_OUTCOMES = ['fine', 'better', 'nowhere', 'full', 'refused', 'failed'] as const;
export type FileOutcome = (typeof FILE_OUTCOMES)[number];

/** What was done to a file for one question. */
export interface DefragmentedPart {
  readonly inode: number;
  readonly outcome: FileOutcome;
  /** Pieces before, where this is the file's first part. */
  readonly pieces: number | null;
  /** Pieces when the end was reached. */
  readonly piecesAfter: number | null;
  /** Pieces fewer, as planned. */
  readonly saved: number;
  readonly movedBytes: number;
  /** Of `failed`. */
  readonly reason: string;
}

export interface DefragAnswer {
  /** Those that were not in one piece, in the order of the question. */
  readonly parts: readonly DefragmentedPart[];
  /** Files of the question that are done. */
  readonly done: number;
  /** Where to go on in the next one. */
  readonly resumeBytes: number;
}

/** @throws CommandError for what is no question */
export function readDefragQuestion(payload: string): DefragQuestion {
  const { inodes, fromBytes, dryRun }: Record<string, unknown> = Object(JSON.parse(payload));
  const isNumber = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
  const areFiles = Array.isArray(inodes) && inodes.length <= MOST_FILES_ASKED && inodes.every(isNumber);
  if (!areFiles || !isNumber(fromBytes))
    throw new CommandError('the daemon does not understand the question');
  return { inodes, fromBytes, dryRun: dryRun === true };
}

/**
 * Goes on with files for a moment.
 * @param isAllowed whether the asker may have files of this user moved
 * @throws FsError EROFS, and EINTR where the volume is being unmounted or put to rest
 */
export async function defragmentFiles(
  volume: MovableFiles,
  { inodes, fromBytes, dryRun }: DefragQuestion,
  isAllowed: (uid: number) => boolean,
): Promise<DefragAnswer> {
  const ends = performance.now() + MOMENT_MILLISECONDS;
  const parts: DefragmentedPart[] = [];
  let from = Math.floor(fromBytes / volume.blockBytes);
  for (const [done, inode] of inodes.entries()) {
    const work = new FileWork(volume, inode, dryRun);
    const next = await work.run(from, ends, isAllowed);
    const isDone = !Number.isFinite(next);
    if (work.outcome !== 'fine' || work.isInPieces || from > 0 || !isDone) parts.push(work.part());
    if (!isDone) return { parts, done, resumeBytes: next * volume.blockBytes };
    if (performance.now() > ends) return { parts, done: done + 1, resumeBytes: 0 };
    from = 0;
  }
  return { parts, done: inodes.length, resumeBytes: 0 };
}

class FileWork {
  readonly #volume: MovableFiles;
  readonly #inode: number;
  readonly #dryRun: boolean;
  #pieces: number | null = null;
  #piecesAfter: number | null = null;
  #saved = 0;
  #movedBlocks = 0;
  #reason = '';
  #outcome: FileOutcome = 'fine';

  constructor(volume: MovableFiles, inode: number, dryRun: boolean) {
    this.#volume = volume;
    this.#inode = inode;
    this.#dryRun = dryRun;
  }

  get outcome(): FileOutcome {
    return this.#outcome;
  }

  get isInPieces(): boolean {
    return (this.#pieces ?? 0) > 1;
  }

  part(): DefragmentedPart {
    return {
      inode: this.#inode,
      outcome: this.#outcome,
      pieces: this.#pieces,
      piecesAfter: this.#piecesAfter,
      saved: this.#saved,
      movedBytes: this.#movedBlocks * this.#volume.blockBytes,
      reason: this.#reason,
    };
  }

  /**
   * @param from block of the file
   * @param ends when no further range is begun, by the clock of `performance`
   * @returns the block to go on with, infinite at the end of the file
   */
  async run(from: number, ends: number, isAllowed: (uid: number) => boolean): Promise<number> {
    try {
      return await this.#run(from, ends, isAllowed);
    } catch (thrown) {
      if (!(thrown instanceof FsError) || thrown.code === 'EROFS' || thrown.code === 'EINTR') throw thrown;
      // It was removed meanwhile, or is another file by now.
      if (thrown.code !== 'ESTALE' && thrown.code !== 'EISDIR' && thrown.code !== 'EINVAL') {
        this.#outcome = 'failed';
        this.#reason = thrown.code;
      }
      return Number.POSITIVE_INFINITY;
    }
  }

  async #run(from: number, ends: number, isAllowed: (uid: number) => boolean): Promise<number> {
    if (!isAllowed(await this.#owner())) {
      this.#outcome = 'refused';
      return Number.POSITIVE_INFINITY;
    }
    const inode = this.#inode;
    if (from === 0) this.#pieces = await this.#volume.countPieces(inode);
    if (this.#pieces !== null && this.#pieces <= 1) return Number.POSITIVE_INFINITY;
    let next = from;
    do {
      const range = await this.#volume.defragment({ inode, from: next, dryRun: this.#dryRun });
      this.#outcome = worthTelling(this.#outcome, range.outcome);
      this.#saved += range.saved;
      this.#movedBlocks += range.movedBlocks;
      next = range.next;
    } while (Number.isFinite(next) && performance.now() < ends);
    if (!Number.isFinite(next)) {
      const isKnown = this.#movedBlocks === 0 && this.#pieces !== null;
      this.#piecesAfter = isKnown ? this.#pieces : await this.#volume.countPieces(inode);
    }
    return next;
  }

  async #owner(): Promise<number> {
    const attributes = emptyAttributes();
    await this.#volume.run((tx) => this.#volume.readAttributes(tx, this.#inode, attributes));
    return attributes.uid;
  }
}

/** Of a file whose ranges ended so and so. */
export function worthTelling(before: FileOutcome, found: FileOutcome | DefragmentOutcome): FileOutcome {
  const order: readonly FileOutcome[] = ['fine', 'nowhere', 'full', 'better', 'refused', 'failed'];
  return order.indexOf(found) > order.indexOf(before) ? found : before;
}
