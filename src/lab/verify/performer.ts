/**
 * Performs a history on a policy, with the naive model beside it.
 *
 * The disk, the index and the policy are told in the order in which a volume tells them: see
 * space-index.ts. What the policy does wrong is thrown as `RuleBroken` and comes back in the
 * result; where the index and the model disagree, that is a fault of ours, and an error.
 */
import type { AllocationRequest, AllocatorDefinition, FreeSpace, Run } from '../../alloc/allocator.ts';
import { SpaceIndex } from '../../alloc/space-index.ts';
import { BitmapDisk, MISS } from './bitmap-disk.ts';
import { FailingSpace } from './failing-space.ts';
import {
  type AllocateOperation,
  blocksText,
  freeText,
  type Goal,
  type History,
  type SpaceOperation,
  type VolumeShape,
} from './history.ts';
import { type HookObserver, ObservedPolicy, runText } from './observed-policy.ts';
import { type Breach, RuleBroken } from './rules.ts';
import { FREE, QUARANTINED, RESERVED, SpaceModel, USED } from './space-model.ts';

/** Files that `fill` writes in turn. */
const FILLED_FILES = 7;
/** Between two looks at the policy's own index. */
const EXAMINE_OPERATIONS = 16;
/** Questions of one request that fail; later ones are answered at once. */
const MOST_FAILURES = 64;
/** Of a longer history nobody reads what came of each operation. */
const MOST_TOLD = 1000;
/** More misses than any volume of the tests has bitmaps. */
const MOST_ATTEMPTS = 10_000;

/** A broken rule, and where. */
export interface BrokenRule extends Breach {
  /** Which operation of the history, from 0. */
  readonly at: number;
  /** Which of the requests that the operation made, from 0. */
  readonly request: number;
}

export interface Performed {
  /** What the policy was asked and told. */
  readonly calls: number;
  readonly broken?: BrokenRule;
  /** What came of each operation that was performed; nothing of a very long history. */
  readonly outcomes: readonly string[];
  /** The same history was answered otherwise the second time. */
  readonly varies: boolean;
}

/** Is told how far the history has come. */
export interface HistoryObserver extends HookObserver {
  at(operation: number, request: number): void;
}

/** Who looks on is nobody. */
export const UNOBSERVED: HistoryObserver = { enter: () => {}, leave: () => {}, at: () => {} };

/** So often a history is performed again before a policy is blamed for what may be chance. */
const MOST_REPEATS = 10;

/** Performs all of the history, or as much as shows a broken rule. */
export function performHistory(
  definition: AllocatorDefinition,
  history: History,
  observer: HistoryObserver = UNOBSERVED,
): Performed {
  const { answers, ...first } = performOnce(definition, history, observer, { questions: 'as they come' });
  if (!history.askedAgain || first.broken !== undefined) return { ...first, varies: false };
  const second = performOnce(definition, history, observer, { questions: 'as they come' });
  if (!sameAnswers(answers, second.answers)) return { ...first, varies: true };
  const { answers: _, ...failing } = performOnce(definition, history, observer, {
    questions: 'fail once',
    expected: answers,
  });
  const calls = first.calls + second.calls + failing.calls;
  // Chance may give the same answers twice, and others now.
  for (let again = 0; failing.broken?.rule === 'asked-again' && again < MOST_REPEATS; again++) {
    const other = performOnce(definition, history, observer, { questions: 'as they come' });
    if (!sameAnswers(answers, other.answers)) return { ...first, calls, varies: true };
  }
  return { ...failing, calls, varies: false };
}

interface Once extends Omit<Performed, 'varies'> {
  readonly answers: readonly (Run | undefined)[];
}

interface Performing {
  readonly questions: 'as they come' | 'fail once';
  /** The answers of a performance before. */
  readonly expected?: readonly (Run | undefined)[];
}

function performOnce(
  definition: AllocatorDefinition,
  { shape, operations, askedAgain }: History,
  observer: HistoryObserver,
  { questions, expected }: Performing,
): Once {
  const performer = new Performer(definition, shape, observer, {
    forgetful: askedAgain,
    failing: questions === 'fail once',
    expected,
  });
  const outcomes: string[] = [];
  const isTold = operations.length <= MOST_TOLD;
  let at = 0;
  let broken: BrokenRule | undefined;
  try {
    performer.begin();
    for (const operation of operations) {
      performer.operation = at;
      const outcome = performer.perform(operation);
      if (isTold) outcomes.push(outcome);
      at++;
      if (at % EXAMINE_OPERATIONS === 0) performer.examine();
    }
    at = Math.max(0, operations.length - 1);
    performer.examine();
  } catch (thrown) {
    if (!(thrown instanceof RuleBroken)) throw thrown;
    broken = { ...thrown.breach, at, request: performer.request };
  }
  const { calls, answers } = performer;
  return broken === undefined ? { calls, answers, outcomes } : { calls, answers, outcomes, broken };
}

function sameAnswers(one: readonly (Run | undefined)[], other: readonly (Run | undefined)[]): boolean {
  return one.length === other.length && one.every((run, index) => sameRun(run, other[index]));
}

function sameRun(one: Run | undefined, other: Run | undefined): boolean {
  return one?.start === other?.start && one?.length === other?.length;
}

interface Asking {
  /**
   * What the index has learnt is forgotten before each attempt, so that asking again is the same
   * question.
   */
  readonly forgetful: boolean;
  /** Each question of a request fails once. */
  readonly failing: boolean;
  /** The answers that are right, as nothing failed when they were given. */
  readonly expected: readonly (Run | undefined)[] | undefined;
}

/** Blocks of a file, in the order of the file. */
interface FileBlocks {
  used: Run[];
  held: Run[];
}

class Performer {
  calls = 0;
  /** Requests of the operation that is performed. */
  request = 0;
  operation = 0;
  readonly answers: (Run | undefined)[] = [];
  readonly #definition: AllocatorDefinition;
  readonly #observer: HistoryObserver;
  readonly #asking: Asking;
  readonly #disk: BitmapDisk;
  readonly #index: SpaceIndex;
  readonly #space: FailingSpace;
  readonly #model: SpaceModel;
  readonly #files = new Map<number, FileBlocks>();
  #quarantined: Run[] = [];
  #policy: ObservedPolicy | undefined;
  #last: Run | undefined;

  constructor(
    definition: AllocatorDefinition,
    shape: VolumeShape,
    observer: HistoryObserver,
    asking: Asking,
  ) {
    this.#definition = definition;
    this.#observer = observer;
    this.#asking = asking;
    this.#disk = new BitmapDisk(shape);
    this.#index = new SpaceIndex(this.#disk, shape.mapBudgetBytes);
    this.#space = new FailingSpace(this.#index);
    this.#model = new SpaceModel(shape.groupBlocks, shape.blockCount);
    for (let start = 0; start < shape.blockCount; start += shape.groupBlocks) {
      const length = Math.min(shape.metadataBlocks, shape.blockCount - start);
      this.#model.mark({ start, length }, USED);
    }
  }

  /** Makes the policy. @throws RuleBroken */
  begin(): void {
    this.#policy = this.#ask(
      () => new ObservedPolicy(this.#definition, this.#space as FreeSpace, {}, this.#observer),
    );
  }

  /** @returns what came of it, in words; '' if there was nothing to tell. @throws RuleBroken */
  perform(operation: SpaceOperation): string {
    this.request = 0;
    this.#observer.at(this.operation, 0);
    switch (operation.does) {
      case 'allocate':
        return this.#outcome(this.#allocate(operation));
      case 'fill':
        return this.#fill(operation.length);
      case 'commit':
        return this.#commit(this.#file(operation.file));
      case 'roll back':
        return this.#rollBack(this.#file(operation.file));
      case 'undo':
        return this.#undo(this.#file(operation.file));
      case 'cut':
        return this.#cut(this.#file(operation.file), operation.from, operation.blocks);
      case 'delete':
        return this.#delete(operation.file);
      case 'punch':
        return this.#punch({ start: operation.start, length: operation.blocks });
      case 'settle':
        return this.#settle();
      case 'evict':
        for (let group = 0; group < this.#index.groupCount; group++) this.#disk.forget(group);
        return '';
      case 'grow':
        return this.#grow(operation.blocks);
    }
  }

  /** The policy's own index and figures; and ours. @throws RuleBroken */
  examine(): void {
    this.#disk.fetchAll();
    this.#made.examine();
    this.#index.checkInvariants();
    if (this.#index.freeBlocks === this.#model.freeBlocks) return;
    throw new Error(
      `the index has ${this.#index.freeBlocks} free blocks, the model ${this.#model.freeBlocks}`,
    );
  }

  // ---- operations ----

  #allocate(operation: AllocateOperation): Run | undefined {
    const file = this.#file(operation.file);
    const { length, minimum, kind, stream } = operation;
    const goal = this.#goal(operation.goal, file);
    const want: AllocationRequest = { goal, length, minimum, inode: operation.file, kind, stream };
    this.#observer.at(this.operation, this.request);
    const run = this.#ask(() => this.#made.allocate({ ...want }, this.#model));
    this.#expectSame(run, want);
    if (operation.full && run !== undefined && run.length < length) this.#expectNoneOf(run, want);
    if (this.#asking.forgetful) this.answers.push(run);
    if (run === undefined) return undefined;
    this.#reserve(run);
    this.#model.mark(run, RESERVED);
    file.held.push(run);
    this.#tell(() => this.#made.taken(run, want));
    this.#last = run;
    if (!operation.held) this.#commit(file);
    return run;
  }

  /** The answer may be in a group of which only the runs are known: its bitmap is fetched now. */
  #reserve(run: Run): void {
    try {
      this.#index.reserve(run);
    } catch (thrown) {
      if (thrown !== MISS) throw thrown;
      this.#disk.fetchAll();
      this.#index.reserve(run);
    }
  }

  #fill(length: number): string {
    let runs = 0;
    while (this.#model.freeBlocks > 0) {
      this.request = runs;
      this.#allocate(fillRequest(length, runs));
      runs++;
    }
    return `${runs} runs`;
  }

  #commit(file: FileBlocks): string {
    for (const run of file.held) {
      this.#disk.change(run, true);
      this.#index.commitReserved(run);
      this.#model.mark(run, USED);
    }
    file.used.push(...file.held.splice(0));
    return '';
  }

  #rollBack(file: FileBlocks): string {
    for (const run of file.held.splice(0).reverse()) this.#unreserve(run);
    return '';
  }

  #undo(file: FileBlocks): string {
    const [first] = file.used;
    if (first !== undefined) {
      this.#disk.change(first, false);
      this.#index.quarantine(first);
      this.#disk.change(first, true);
      this.#index.unquarantine(first, true);
    }
    const last = file.used.pop();
    if (last === undefined) return '';
    this.#disk.change(last, false);
    this.#index.uncommitReserved(last);
    this.#unreserve(last);
    return '';
  }

  #cut(file: FileBlocks, from: 'end' | 'front', blocks: number): string {
    let left = blocks;
    while (left > 0) {
      const run = from === 'end' ? file.used.pop() : file.used.shift();
      if (run === undefined) break;
      const length = Math.min(left, run.length);
      const rest = { start: run.start, length: run.length - length };
      if (from === 'end') {
        if (rest.length > 0) file.used.push(rest);
        this.#quarantine({ start: run.start + rest.length, length });
      } else {
        if (rest.length > 0) file.used.unshift({ ...rest, start: run.start + length });
        this.#quarantine({ start: run.start, length });
      }
      left -= length;
    }
    return blocks === left ? 'it has none' : '';
  }

  #delete(inode: number): string {
    const file = this.#file(inode);
    this.#rollBack(file);
    for (const run of file.used.splice(0)) this.#quarantine(run);
    this.#files.delete(inode);
    this.#tell(() => this.#made.forgetInode(inode));
    return '';
  }

  #punch(hole: Run): string {
    const end = hole.start + hole.length;
    let freed = 0;
    for (const file of this.#files.values()) {
      file.used = file.used.flatMap((run) => {
        const runEnd = run.start + run.length;
        const start = Math.max(run.start, hole.start);
        const length = Math.min(runEnd, end) - start;
        if (length <= 0) return [run];
        this.#quarantine({ start, length });
        freed += length;
        const before = { start: run.start, length: start - run.start };
        const behind = { start: start + length, length: runEnd - start - length };
        return [before, behind].filter((rest) => rest.length > 0);
      });
    }
    return `${freed} freed`;
  }

  #settle(): string {
    const runs = this.#quarantined;
    this.#quarantined = [];
    for (const run of runs) {
      this.#index.unquarantine(run, false);
      this.#model.mark(run, FREE);
      this.#tell(() => this.#made.release(run));
    }
    return '';
  }

  #grow(blocks: number): string {
    const blockCount = this.#disk.blockCount + blocks;
    this.#disk.fetchAll();
    const metadata = this.#disk.grow(blockCount);
    this.#model.grow(blockCount);
    for (const run of metadata) this.#model.mark(run, USED);
    this.#index.resized();
    return `to ${blockCount} blocks`;
  }

  // ---- steps of operations ----

  get #made(): ObservedPolicy {
    if (this.#policy === undefined) throw new Error('the policy is not made yet');
    return this.#policy;
  }

  #file(inode: number): FileBlocks {
    let file = this.#files.get(inode);
    if (file === undefined) {
      file = { used: [], held: [] };
      this.#files.set(inode, file);
    }
    return file;
  }

  #goal(goal: Goal, file: FileBlocks): number {
    if (typeof goal === 'number') return goal;
    if (goal === 'none') return -1;
    const last = goal === 'after the last' ? this.#last : (file.held.at(-1) ?? file.used.at(-1));
    if (last === undefined) return -1;
    return last.start + last.length;
  }

  #unreserve(run: Run): void {
    this.#index.unreserve(run);
    this.#model.mark(run, FREE);
    this.#tell(() => this.#made.release(run));
  }

  #quarantine(run: Run): void {
    this.#disk.change(run, false);
    this.#index.quarantine(run);
    this.#model.mark(run, QUARANTINED);
    this.#quarantined.push(run);
  }

  #tell(hook: () => void): void {
    this.calls++;
    hook();
  }

  /** Asks again until no bitmap is missing, as the runner of a volume's operations does. */
  #ask<T>(question: () => T): T {
    const { forgetful, failing } = this.#asking;
    for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
      if (forgetful) this.#index.forgetMaps();
      this.#space.failAt(failing && attempt <= MOST_FAILURES ? attempt : 0);
      this.calls++;
      try {
        return question();
      } catch (thrown) {
        if (thrown !== MISS) throw thrown;
      } finally {
        this.#space.failAt(0);
      }
    }
    throw new Error('misses without end');
  }

  #expectSame(run: Run | undefined, want: AllocationRequest): void {
    const { expected } = this.#asking;
    if (expected === undefined) return;
    const right = expected[this.answers.length];
    if (sameRun(run, right)) return;
    throw new RuleBroken({
      rule: 'asked-again',
      asked: `${want.minimum} to ${want.length} blocks for inode ${want.inode}, each question to the space failing once`,
      answered: run === undefined ? 'undefined' : runText(run),
      why: `without a failing question it is ${right === undefined ? 'undefined' : runText(right)}: some state was changed before the last question`,
    });
  }

  /** The full length was expected, and this is less. */
  #expectNoneOf(run: Run, { length, minimum }: AllocationRequest): void {
    const longer = this.#model.findRun(length);
    if (longer === undefined) return;
    throw new RuleBroken({
      rule: 'full-length',
      asked: `${length} blocks, ${minimum} at the least, of a volume that is nearly empty`,
      answered: runText(run),
      why: freeText(longer),
    });
  }

  #outcome(run: Run | undefined): string {
    return run === undefined ? 'undefined, as there is none' : blocksText(run);
  }
}

/** The request number `index` of an operation that fills the volume. */
export function fillRequest(length: number, index: number): AllocateOperation {
  return {
    does: 'allocate',
    file: 1 + (index % FILLED_FILES),
    length,
    minimum: 1,
    goal: 'after the last',
    kind: 'data',
    stream: false,
    held: false,
    full: false,
  };
}
