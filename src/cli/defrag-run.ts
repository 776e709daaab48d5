/**
 * Files handed to whoever can move them, a batch at a time, and what came of it. It stops between
 * two questions: what was done by then stays.
 */
import type { DefragTally } from './defrag-tally.ts';
import { type DefragmentedFile, fileOf } from './defrag-tally.ts';
import {
  type DefragAnswer,
  type DefragmentedPart,
  type DefragQuestion,
  FILE_OUTCOMES,
  type FileOutcome,
  MOST_FILES_ASKED,
  worthTelling,
} from './defragmenting.ts';
import { CommandError } from './failure.ts';
import type { WalkedFile } from './file-walk.ts';

export interface DefragRunParts {
  readonly tally: DefragTally;
  /** The daemon of a mount, or a volume that is open here. */
  readonly ask: (question: DefragQuestion) => Promise<DefragAnswer>;
  readonly isStopped: () => boolean;
  /** Told of each file that was not fine as it was. */
  readonly told: (file: DefragmentedFile) => void;
  /** Told how many files are done, of the last one a part. */
  readonly progress: (files: number) => void;
}

export class DefragRun {
  readonly #parts: DefragRunParts;
  /** Of the file that is being done. */
  #begun: DefragmentedPart[] = [];

  constructor(parts: DefragRunParts) {
    this.#parts = parts;
  }

  /** @returns whether it came to the end of them */
  async through(files: AsyncIterable<WalkedFile>): Promise<boolean> {
    let batch: WalkedFile[] = [];
    for await (const file of files) {
      batch.push(file);
      if (batch.length < MOST_FILES_ASKED) continue;
      if (!(await this.#all(batch))) return false;
      batch = [];
    }
    return await this.#all(batch);
  }

  async #all(batch: readonly WalkedFile[]): Promise<boolean> {
    const { tally, isStopped, progress } = this.#parts;
    let left = batch;
    let fromBytes = 0;
    while (left.length > 0 && !isStopped()) {
      const question = { inodes: left.map(({ inode }) => inode), fromBytes, dryRun: tally.dryRun };
      const { parts, done, resumeBytes } = await this.#parts.ask(question);
      if (done === 0 && resumeBytes <= fromBytes) throw notUnderstood();
      for (const file of left.slice(0, done)) this.#end(file, partsOf(parts, file));
      left = left.slice(done);
      fromBytes = resumeBytes;
      const [next] = left;
      if (next !== undefined && fromBytes > 0) this.#begun = this.#begun.concat(partsOf(parts, next));
      progress(tally.files + (next === undefined ? 0 : Math.min(1, fromBytes / Math.max(1, next.sizeBytes))));
    }
    const [cutOff] = left;
    if (cutOff !== undefined && this.#begun.length > 0) this.#end(cutOff, []);
    return cutOff === undefined;
  }

  #end(file: WalkedFile, parts: readonly DefragmentedPart[]): void {
    const { tally, told } = this.#parts;
    const all = [...this.#begun, ...parts];
    this.#begun = [];
    tally.files++;
    if (all.length === 0) return;
    const outcome = all.reduce<FileOutcome>((worst, part) => worthTelling(worst, part.outcome), 'fine');
    const done = fileOf(file, all, tally.dryRun, outcome);
    tally.add(done);
    told(done);
  }
}

function partsOf(parts: readonly DefragmentedPart[], { inode }: WalkedFile): DefragmentedPart[] {
  return parts.filter((part) => part.inode === inode);
}

function notUnderstood(): CommandError {
  return new CommandError('the daemon of the mount does not say what became of the files');
}

/** What a server said, whoever it is, as an answer. @throws CommandError if it is none */
export function defragAnswerOf(said: unknown): DefragAnswer {
  const { parts, done, resumeBytes }: Record<string, unknown> = Object(said);
  if (!Array.isArray(parts) || parts.length > MOST_FILES_ASKED || !isCount(done) || !isCount(resumeBytes))
    throw notUnderstood();
  return { parts: parts.map(partOf), done, resumeBytes };
}

function partOf(said: unknown): DefragmentedPart {
  const { inode, outcome, pieces, piecesAfter, saved, movedBytes, reason }: Record<string, unknown> =
    Object(said);
  const found = FILE_OUTCOMES.find((known) => known === outcome);
  const counts = isCount(inode) && isCount(saved) && isCount(movedBytes);
  if (!counts || found === undefined || typeof reason !== 'string') throw notUnderstood();
  return {
    inode,
    outcome: found,
    pieces: isCount(pieces) ? pieces : null,
    piecesAfter: isCount(piecesAfter) ? piecesAfter : null,
    saved,
    movedBytes,
    reason,
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
