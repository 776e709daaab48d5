/**
 * `git` with a real repository: its history, commit by commit along the first parents, as a clone
 * of it that pulls each commit.
 *
 * The tree of the first commit is written, then the volume is 'filled'. Each pull adds a pack as
 * large as its new objects are in the repository, removes each changed file and writes it anew,
 * makes and removes others. After fifty packs they become one, as by `git gc`. It ends with HEAD.
 */
import type { LabOperation } from '../operation.ts';
import { wholeBlocks } from '../operation.ts';
import { contentOf, type GitHistory, headOf, readGitHistory } from './git-history.ts';
import { writeWhole } from './whole-file.ts';
import type { Workload } from './workload.ts';

const PACK_DIRECTORY = 1;
const MOST_PACKS = 50;
const SECONDS_BETWEEN_PULLS = 30;
/** How full the volume gets that is taken where nobody asked for a size. */
const FULLNESS = 0.8;
const BLOCK_BYTES = 4096;

/** The last one that was read: runs that follow each other are mostly of the same. */
let lastRead: { readonly repository: string; readonly history: GitHistory } | undefined;

/** @throws WorkloadLoadError */
export async function loadRepository(repository: string): Promise<Workload> {
  const history = await historyOf(repository);
  const { peakBytes, churnBytes } = figuresOf(history);
  return {
    name: `git?repo=${repository}`,
    says: `${history.commitEnds.length} pulls of ${repository}`,
    source: `${repository} at ${history.head}`,
    content: contentOf(history),
    sizeBytes: Math.ceil(peakBytes / FULLNESS),
    churnBytes,
    operations: () => new Clone(history).pulls(),
  };
}

async function historyOf(repository: string): Promise<GitHistory> {
  if (lastRead?.repository === repository && lastRead.history.head === (await headOf(repository)))
    return lastRead.history;
  const history = await readGitHistory(repository);
  lastRead = { repository, history };
  return history;
}

/** What the clone takes at most, and what is written into it behind its first commit. */
function figuresOf(history: GitHistory): { peakBytes: number; churnBytes: number } {
  const sizes = new Map<number, number>();
  let usedBytes = 0;
  let peakBytes = 0;
  let churnBytes = 0;
  let isFilled = false;
  for (const operation of new Clone(history).pulls()) {
    if (operation === 'filled') isFilled = true;
    else if (operation.kind === 'write') {
      const { file, offsetBytes, lengthBytes } = operation;
      const before = sizes.get(file) ?? 0;
      const after = wholeBlocks(offsetBytes + lengthBytes, BLOCK_BYTES);
      sizes.set(file, after);
      usedBytes += after - before;
      peakBytes = Math.max(peakBytes, usedBytes);
      if (isFilled) churnBytes += lengthBytes;
    } else if (operation.kind === 'remove') {
      usedBytes -= sizes.get(operation.file) ?? 0;
      sizes.delete(operation.file);
    }
  }
  return { peakBytes, churnBytes };
}

interface Pack {
  readonly number: number;
  readonly sizeBytes: number;
}

class Clone {
  readonly #history: GitHistory;
  /** Numbers of the files that are there, by those of the history. */
  readonly #present = new Map<number, number>();
  /** Of the history's directories; the root and that of the packs are not among them. */
  readonly #made = new Map<number, number>([[0, 0]]);
  #packs: Pack[] = [];
  #nextFile = 1;
  #nextDirectory = 2;
  #change = 0;
  #written = 0;

  constructor(history: GitHistory) {
    this.#history = history;
  }

  *pulls(): Generator<LabOperation | 'filled'> {
    const { commitEnds } = this.#history;
    yield { kind: 'makeDirectory', directory: PACK_DIRECTORY, parent: 0 };
    for (let commit = 0; commit < commitEnds.length; commit++) {
      const end = commitEnds.at(commit);
      yield* this.#pack(this.#packedBytes(end));
      while (this.#change < end) yield* this.#apply(this.#change++);
      if (commit === 0) yield 'filled';
      yield { kind: 'wait', seconds: SECONDS_BETWEEN_PULLS };
    }
  }

  /** Of the objects that are written up to a change. */
  #packedBytes(end: number): number {
    const { written, packedSizes } = this.#history;
    let bytes = 0;
    let at = this.#written;
    for (let change = this.#change; change < end; change++) {
      if (written.at(change) === 1) bytes += packedSizes.at(at++);
    }
    return bytes;
  }

  *#pack(sizeBytes: number): Generator<LabOperation> {
    if (sizeBytes === 0) return;
    yield* this.#addPack(sizeBytes);
    if (this.#packs.length <= MOST_PACKS) return;
    const old = this.#packs;
    this.#packs = [];
    yield* this.#addPack(old.reduce((sum, pack) => sum + pack.sizeBytes, 0));
    for (const { number } of old) yield { kind: 'remove', file: number };
  }

  *#addPack(sizeBytes: number): Generator<LabOperation> {
    const number = this.#nextFile++;
    this.#packs.push({ number, sizeBytes });
    yield* writeWhole(number, PACK_DIRECTORY, sizeBytes);
  }

  *#apply(change: number): Generator<LabOperation> {
    const { files, written, sizes, directoryOf } = this.#history;
    const file = files.at(change);
    const old = this.#present.get(file);
    if (old !== undefined) yield { kind: 'remove', file: old };
    this.#present.delete(file);
    if (written.at(change) === 0) return;
    const number = this.#nextFile++;
    this.#present.set(file, number);
    const directory = yield* this.#directory(directoryOf.at(file));
    yield* writeWhole(number, directory, sizes.at(this.#written++));
  }

  *#directory(directory: number): Generator<LabOperation, number> {
    const made = this.#made.get(directory);
    if (made !== undefined) return made;
    const parent = yield* this.#directory(this.#history.parentOf.at(directory));
    const number = this.#nextDirectory++;
    this.#made.set(directory, number);
    yield { kind: 'makeDirectory', directory: number, parent };
    return number;
  }
}
