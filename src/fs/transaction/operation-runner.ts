/**
 * Runs operations as transactions: perform, and on a miss roll back, load, perform again.
 *
 * Cached operations run to their end inside `execute`: no promise, no await. One that finds the
 * volume out of space while freed blocks wait for a commit is run again after that commit, and
 * while files are on their way to be freed, some moments later; one that changes more than the
 * journal has room for, after a checkpoint. While too much of the cache cannot leave it, operations
 * wait for one as well. One that finds the volume at rest (rest.ts) is run again when it is awake.
 *
 * Only one frame on the stack runs operations. What the end of one begins (the next step of a long
 * task, whoever waited for its lock) gets in line, and the frame takes it from there when it is
 * through, so the stack never grows with the work. When the budget of a turn is spent, the rest of
 * the line waits for a later turn; operations from outside do not get in that line, and run at
 * once.
 *
 * An operation that fails leaves nothing behind. If that cannot be had, because taking it back
 * failed too, the host is told (`broken`) before anything else can happen.
 */

import { CorruptionError, FsError, fsError } from '../base/errors.ts';
import type { Claimant, Operation } from '../base/filesystem.ts';
import { MAX_MISSES, MOST_MOMENTS, TURN_BUDGET_MILLISECONDS } from '../base/limits.ts';
import type { Turns } from '../base/turns.ts';
import type { BlockCache, LoadWaiter } from './block-cache.ts';
import { BlockMiss, PAUSED, RESTING, type Transaction, type UnfinishedWork } from './transaction.ts';

/** What the runner asks of the volume. */
export interface RunnerHost {
  /** Too much of the cache is dirty or only in the journal: operations wait for `afterRoom`. */
  readonly saturated: boolean;
  /** Has the journal room for what the running transaction changed? */
  readonly roomInJournal: boolean;
  /** Blocks freed that a commit, and the end of older I/O, would make available. */
  readonly pendingBlocks: number;
  /** Commits, empties the journal, then calls back. */
  afterRoom(done: () => void): void;
  /**
   * Inodes without a name are being freed, or wait for the kernel, which may just not have said yet
   * that it forgot them.
   */
  readonly freesSoon: boolean;
  /** Calls back a moment later. */
  afterMoment(done: () => void): void;
  /** Blocks are being given back in steps. */
  readonly freesMore: boolean;
  /**
   * Commits, waits until the blocks freed before are available (or some more, if there are none),
   * then calls back.
   */
  afterRelease(done: () => void): void;
  /** Calls back when every write answered early so far is done. */
  afterEarlyWrites(done: () => void): void;
  /**
   * Marks a volume at rest as in use again, then calls back; with what it threw, if that failed.
   */
  afterWaking(done: (thrown: unknown) => void): void;
  /** Told after every transaction that changed something. */
  changed(): void;
  /** An inode lost its last name. */
  orphaned(inode: number): void;
  /** An inode was made without a name. */
  unnamed(inode: number): void;
  /** An inode without a name got one. */
  named(inode: number): void;
  /** Told of every corruption met. */
  corrupt(error: CorruptionError): void;
  /**
   * A transaction could be neither ended nor taken back: what is in memory must never be committed.
   */
  broken(thrown: unknown): void;
  submit(): void;
}

/** An operation that waits for something, or has waited. */
class Waiting implements LoadWaiter {
  misses = 0;
  /** It has waited for early writes, and does not again: who writes on and on cannot hold it up. */
  behindEarlyWrites = false;
  /** Moments that it has waited for space which was about to be free. */
  moments = 0;
  /** It waited for room in the journal or the cache, and has not been attempted since. */
  waitedForRoom = false;
  /** What it has done of work in steps. */
  unfinished: UnfinishedWork[] | undefined;

  constructor(
    readonly runner: OperationRunner,
    readonly operation: Operation<Transaction>,
  ) {}

  loaded(thrown: unknown): void {
    if (thrown === undefined) this.runner.resume(this);
    else this.runner.end(this.operation, thrown);
  }
}

/** Operations in line, in their order. Its arrays are used again and again. */
class Line {
  readonly #operations: (Operation<Transaction> | undefined)[] = [];
  readonly #waiting: (Waiting | undefined)[] = [];
  #first = 0;
  /** Exclusive. */
  #end = 0;

  get isEmpty(): boolean {
    return this.#first === this.#end;
  }

  push(operation: Operation<Transaction>, waiting: Waiting | undefined): void {
    this.#operations[this.#end] = operation;
    this.#waiting[this.#end++] = waiting;
  }

  /** What `shift` would take next, if it has waited before. */
  get waiting(): Waiting | undefined {
    return this.#waiting[this.#first];
  }

  shift(): Operation<Transaction> {
    const operation = this.#operations[this.#first] as Operation<Transaction>;
    this.#operations[this.#first] = undefined;
    this.#waiting[this.#first++] = undefined;
    if (this.isEmpty) this.#first = this.#end = 0;
    else if (this.#first >= 64 && this.#first * 2 > this.#end) this.#moveUp();
    return operation;
  }

  #moveUp(): void {
    this.#operations.splice(0, this.#first);
    this.#waiting.splice(0, this.#first);
    this.#end -= this.#first;
    this.#first = 0;
  }
}

/**
 * Thrown by an operation that must not overtake the writes which were answered early so far. One
 * object serves all.
 */
export const BEHIND_EARLY_WRITES = new Error('writes are on their way');

/** Thrown when the journal has no room for a transaction. One object serves all. */
/** What is done next costs a third of what it does by `queueMicrotask`, which makes a resource. */
const SOON = Promise.resolve();

const JOURNAL_FULL = new Error('the journal has no room');

/** What is thrown to be performed again later. */
const WAITS: ReadonlySet<unknown> = new Set([BEHIND_EARLY_WRITES, JOURNAL_FULL, PAUSED, RESTING]);

export class OperationRunner {
  readonly #tx: Transaction;
  readonly #cache: BlockCache;
  readonly #host: RunnerHost;
  readonly #turns: Turns;
  /** A frame on the stack runs operations: others get in line. */
  #running = false;
  readonly #line = new Line();
  /** The line waits for a later turn. */
  #postponed = false;
  /**
   * When this turn has had its share of the line; infinite where it has taken nothing from it yet.
   */
  #turnEnds = Number.POSITIVE_INFINITY;
  /** Operations begun and not finished. */
  #unfinished = 0;
  #idle: (() => void)[] = [];
  /** Operations that wait for room in the journal or the cache, in their order. */
  #waitingForRoom: Waiting[] = [];
  readonly #newTurn = () => {
    this.#turnEnds = Number.POSITIVE_INFINITY;
  };
  readonly #goOn = () => this.#nextTurn();

  constructor(tx: Transaction, cache: BlockCache, host: RunnerHost, turns: Turns) {
    this.#tx = tx;
    this.#cache = cache;
    this.#host = host;
    this.#turns = turns;
  }

  execute(operation: Operation<Transaction>): void {
    this.#unfinished++;
    if (this.#running) this.#line.push(operation, undefined);
    else this.#enter(operation, undefined);
  }

  /**
   * Like `execute`, for what nobody waits for: when this turn has had its share of such work, it
   * comes in a later one.
   */
  executeInLine(operation: Operation<Transaction>): void {
    this.#unfinished++;
    this.#line.push(operation, undefined);
    if (!this.#running) this.#enter(undefined, undefined);
  }

  /** Attempts an operation again that has waited. */
  resume(waiting: Waiting): void {
    if (this.#running) this.#line.push(waiting.operation, waiting);
    else this.#enter(waiting.operation, waiting);
  }

  /** The one frame that runs operations: the given one, and then those in line. */
  #enter(operation: Operation<Transaction> | undefined, waiting: Waiting | undefined): void {
    this.#running = true;
    try {
      if (operation) this.#begin(operation, waiting);
      if (!this.#line.isEmpty && !this.#postponed) this.#takeFromLine();
    } finally {
      this.#running = false;
      if (!this.#line.isEmpty && !this.#postponed) this.#postpone();
    }
  }

  /**
   * Until the line is empty, or the budget of this turn is spent; all that is done before the
   * loop's next turn shares it.
   */
  #takeFromLine(): void {
    if (this.#turnEnds === Number.POSITIVE_INFINITY) {
      this.#turnEnds = this.#turns.now() + TURN_BUDGET_MILLISECONDS;
      SOON.then(this.#newTurn);
      this.#takeOne();
    }
    while (!this.#line.isEmpty && this.#turns.now() < this.#turnEnds) this.#takeOne();
  }

  #takeOne(): void {
    const { waiting } = this.#line;
    this.#begin(this.#line.shift(), waiting);
  }

  #postpone(): void {
    this.#postponed = true;
    this.#turns.later(this.#goOn);
  }

  #nextTurn(): void {
    this.#postponed = false;
    this.#turnEnds = Number.POSITIVE_INFINITY;
    try {
      this.#enter(undefined, undefined);
    } finally {
      this.#host.submit();
    }
  }

  /** Attempts an operation, unless there is no room for what it may change. */
  #begin(operation: Operation<Transaction>, waiting: Waiting | undefined): void {
    const mustWait =
      waiting === undefined
        ? this.#host.saturated
        : // Others that waited as well found no room again.
          waiting.waitedForRoom && this.#waitingForRoom.length > 0;
    if (mustWait) this.#waitForRoom(waiting ?? new Waiting(this, operation));
    else this.#attempt(operation, waiting);
  }

  #waitForRoom(waiting: Waiting): void {
    waiting.waitedForRoom = true;
    this.#waitingForRoom.push(waiting);
    if (this.#waitingForRoom.length === 1) this.#host.afterRoom(() => this.#roomMade());
  }

  #roomMade(): void {
    const waiting = this.#waitingForRoom;
    this.#waitingForRoom = [];
    for (const one of waiting) this.#line.push(one.operation, one);
    if (!this.#running) this.#enter(undefined, undefined);
  }

  /** Resolves when no operation is under way. */
  idle(): Promise<void> {
    if (this.#unfinished === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #attempt(operation: Operation<Transaction>, waiting: Waiting | undefined): void {
    const tx = this.#tx;
    tx.begin();
    tx.asker = operation;
    tx.behindEarlyWrites = false;
    tx.unfinished = undefined;
    if (waiting !== undefined) {
      waiting.waitedForRoom = false;
      tx.behindEarlyWrites = waiting.behindEarlyWrites;
      tx.unfinished = waiting.unfinished;
    }
    try {
      const { usage } = tx;
      if (usage !== undefined) usage.askedBy(operation);
      operation.perform(tx);
      if (usage !== undefined) usage.settle(tx);
      if (tx.changedFrames > 0 && !this.#host.roomInJournal) throw JOURNAL_FULL;
    } catch (thrown) {
      if (this.#takenBack(operation)) this.#afterFailure(operation, thrown, waiting);
      return;
    }
    this.#succeed(operation);
  }

  #succeed(operation: Operation<Transaction>): void {
    const tx = this.#tx;
    let changed: boolean;
    try {
      changed = tx.succeed();
    } catch (thrown) {
      this.#break(operation, thrown);
      return;
    }
    const { orphaned, unnamed, named } = tx;
    for (let inode = orphaned.pop(); inode !== undefined; inode = orphaned.pop()) this.#host.orphaned(inode);
    for (let inode = unnamed.pop(); inode !== undefined; inode = unnamed.pop()) this.#host.unnamed(inode);
    for (let inode = named.pop(); inode !== undefined; inode = named.pop()) this.#host.named(inode);
    this.end(operation, undefined);
    if (changed) this.#host.changed();
  }

  /** False when that failed, and the operation ended with it. */
  #takenBack(operation: Operation<Transaction>): boolean {
    try {
      this.#tx.fail();
      return true;
    } catch (thrown) {
      this.#break(operation, thrown);
      return false;
    }
  }

  #break(operation: Operation<Transaction>, thrown: unknown): void {
    this.#host.broken(thrown);
    this.end(operation, fsError('EIO'));
  }

  end(operation: Operation<Transaction>, thrown: unknown): void {
    if (thrown instanceof CorruptionError) this.#host.corrupt(thrown);
    operation.finished(thrown);
    if (--this.#unfinished === 0 && this.#idle.length > 0) for (const tell of this.#idle.splice(0)) tell();
  }

  /** What the operation waits for, or how it ends. */
  #afterFailure(operation: Operation<Transaction>, thrown: unknown, before: Waiting | undefined): void {
    const hope = thrown instanceof FsError ? this.#hopeOfSpace(operation, thrown, before) : 'none';
    if (hope === 'none' && !(thrown instanceof BlockMiss) && !WAITS.has(thrown)) {
      this.end(operation, thrown);
      return;
    }
    const waiting = before ?? new Waiting(this, operation);
    waiting.unfinished = this.#tx.unfinished;
    if (thrown instanceof BlockMiss) this.#load(thrown, waiting);
    else if (thrown === PAUSED) this.#line.push(operation, waiting);
    else if (thrown === JOURNAL_FULL) this.#waitForRoom(waiting);
    else if (thrown === RESTING) this.#host.afterWaking((failed) => waiting.loaded(failed));
    else if (hope !== 'none') this.#waitForSpace(waiting, hope);
    else {
      waiting.behindEarlyWrites = true;
      this.#host.afterEarlyWrites(() => this.resume(waiting));
    }
  }

  /** Whether space comes with a commit, or perhaps in a moment. */
  #hopeOfSpace(
    operation: Operation<Transaction>,
    { code }: FsError,
    before: Waiting | undefined,
  ): 'release' | 'moment' | 'none' {
    if (code !== 'ENOSPC' && code !== 'EDQUOT') return 'none';
    const { pendingBlocks, freesMore, freesSoon } = this.#host;
    const othersFree = freesMore && operation.givesBack !== true;
    if (code === 'ENOSPC' && (pendingBlocks > 0 || othersFree)) return 'release';
    // For a quota it counts at once; but it may be somebody else's.
    return (freesSoon || othersFree) && (before?.moments ?? 0) < MOST_MOMENTS ? 'moment' : 'none';
  }

  #waitForSpace(waiting: Waiting, hope: 'release' | 'moment'): void {
    const goOn = () => this.resume(waiting);
    if (hope === 'release') {
      this.#host.afterRelease(goOn);
      return;
    }
    waiting.moments++;
    this.#host.afterMoment(goOn);
  }

  #load({ block, count }: BlockMiss, waiting: Waiting): void {
    if (++waiting.misses > MAX_MISSES) {
      this.end(waiting.operation, fsError('EIO'));
      return;
    }
    this.#cache.misses++;
    this.#cache.load(block, count, waiting);
    this.#host.submit();
  }
}

/**
 * Runs a function as one transaction. @throws what it throws, and EIO if its blocks cannot be read
 */
export function transact<T>(
  { runner, device }: { readonly runner: OperationRunner; readonly device: { submit(): void } },
  body: (tx: Transaction) => T,
  asker?: Claimant,
): Promise<T> {
  const operation = new PromisedOperation(body, asker);
  runner.execute(operation);
  device.submit();
  return operation.promise;
}

/**
 * A function as an operation, with its outcome as a promise: for tests and for what is not on the
 * hot path.
 */
export class PromisedOperation<T> implements Operation<Transaction> {
  readonly promise: Promise<T>;
  readonly #body: (tx: Transaction) => T;
  readonly #asker: Claimant | undefined;
  #resolve: (value: T) => void = () => {};
  #reject: (thrown: unknown) => void = () => {};
  #result: T | undefined;

  constructor(body: (tx: Transaction) => T, asker?: Claimant) {
    this.#body = body;
    this.#asker = asker;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  perform(tx: Transaction): void {
    this.#result = this.#body(tx);
  }

  get isLimited(): boolean {
    return this.#asker?.isLimited === true;
  }

  finished(thrown: unknown): void {
    if (thrown === undefined) this.#resolve(this.#result as T);
    else this.#reject(thrown);
  }
}
