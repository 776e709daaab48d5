/**
 * Runs operations as transactions: perform, and on a miss roll back, load, perform again.
 *
 * Cached operations run to their end inside `execute`: no promise, no await. One that finds the volume out of space
 * while freed blocks wait for a commit is run again after that commit; one that changes more than the journal has room for, after a checkpoint.
 * While too much of the cache cannot leave it, operations wait for one as well.
 */
import type { BlockCache, LoadWaiter } from './block-cache.ts';
import { CorruptionError, FsError, fsError } from './errors.ts';
import type { Operation } from './filesystem.ts';
import { MAX_MISSES } from './limits.ts';
import { BlockMiss, type Transaction } from './transaction.ts';

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
  /** Commits, waits until the blocks freed before are available, then calls back. */
  afterRelease(done: () => void): void;
  /** Calls back when every write answered early so far is done. */
  afterEarlyWrites(done: () => void): void;
  /** Told after every transaction that changed something. */
  changed(): void;
  /** Inodes that lost their last name. */
  orphaned(inodes: readonly number[]): void;
  /** Told of every corruption met. */
  corrupt(error: CorruptionError): void;
  submit(): void;
}

/** An operation that waits for something. */
class Waiting implements LoadWaiter {
  misses = 0;
  /** It has waited for early writes, and does not again: who writes on and on cannot hold it up. */
  behindEarlyWrites = false;

  constructor(
    readonly runner: OperationRunner,
    readonly operation: Operation<Transaction>,
  ) {}

  loaded(thrown: unknown): void {
    if (thrown === undefined) this.runner.attempt(this.operation, this);
    else this.runner.end(this.operation, thrown);
  }
}

/** Thrown by an operation that must not overtake the writes which were answered early so far. One object serves all. */
export const BEHIND_EARLY_WRITES = new Error('writes are on their way');

/** Thrown when the journal has no room for a transaction. One object serves all. */
const JOURNAL_FULL = new Error('the journal has no room');

export class OperationRunner {
  readonly #tx: Transaction;
  readonly #cache: BlockCache;
  readonly #host: RunnerHost;
  /** Operations begun and not finished. */
  #unfinished = 0;
  #idle: (() => void)[] = [];
  /** Operations that wait for room in the journal or the cache, in their order. */
  #waitingForRoom: { operation: Operation<Transaction>; waiting: Waiting | undefined }[] = [];

  constructor(tx: Transaction, cache: BlockCache, host: RunnerHost) {
    this.#tx = tx;
    this.#cache = cache;
    this.#host = host;
  }

  execute(operation: Operation<Transaction>): void {
    this.#unfinished++;
    if (this.#host.saturated) this.#waitForRoom(operation, undefined);
    else this.attempt(operation, undefined);
  }

  #waitForRoom(operation: Operation<Transaction>, waiting: Waiting | undefined): void {
    this.#waitingForRoom.push({ operation, waiting });
    if (this.#waitingForRoom.length === 1) this.#host.afterRoom(() => this.#roomMade());
  }

  /** Attempts those who wait, up to the first for which there is no room again: the others would find none either. */
  #roomMade(): void {
    const waiting = this.#waitingForRoom;
    this.#waitingForRoom = [];
    let tried = 0;
    while (tried < waiting.length && this.#waitingForRoom.length === 0) {
      const next = waiting[tried++] as (typeof waiting)[number];
      this.attempt(next.operation, next.waiting);
    }
    this.#waitingForRoom.push(...waiting.slice(tried));
  }

  /** Resolves when no operation is under way. */
  idle(): Promise<void> {
    if (this.#unfinished === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  attempt(operation: Operation<Transaction>, waiting: Waiting | undefined): void {
    const tx = this.#tx;
    tx.begin();
    tx.behindEarlyWrites = waiting?.behindEarlyWrites ?? false;
    try {
      operation.perform(tx);
      if (!this.#host.roomInJournal) throw JOURNAL_FULL;
    } catch (thrown) {
      tx.fail();
      this.#afterFailure(operation, thrown, waiting);
      return;
    }
    const { orphaned } = tx;
    const changed = tx.succeed();
    if (orphaned.length > 0) this.#host.orphaned(orphaned.splice(0));
    this.end(operation, undefined);
    if (changed) this.#host.changed();
  }

  end(operation: Operation<Transaction>, thrown: unknown): void {
    if (thrown instanceof CorruptionError) this.#host.corrupt(thrown);
    operation.finished(thrown);
    if (--this.#unfinished === 0) for (const tell of this.#idle.splice(0)) tell();
  }

  #afterFailure(operation: Operation<Transaction>, thrown: unknown, before: Waiting | undefined): void {
    if (thrown instanceof BlockMiss) {
      const waiting = before ?? new Waiting(this, operation);
      if (++waiting.misses > MAX_MISSES) {
        this.end(operation, fsError('EIO'));
        return;
      }
      this.#cache.misses++;
      this.#cache.load(thrown.block, thrown.count, waiting);
      this.#host.submit();
      return;
    }
    if (thrown === BEHIND_EARLY_WRITES) {
      const waiting = before ?? new Waiting(this, operation);
      waiting.behindEarlyWrites = true;
      this.#host.afterEarlyWrites(() => this.attempt(operation, waiting));
      return;
    }
    if (thrown === JOURNAL_FULL) {
      this.#waitForRoom(operation, before);
      return;
    }
    const outOfSpace = thrown instanceof FsError && thrown.code === 'ENOSPC';
    if (outOfSpace && this.#host.pendingBlocks > 0) {
      this.#host.afterRelease(() => this.attempt(operation, before));
      return;
    }
    this.end(operation, thrown);
  }
}

/** A function as an operation, with its outcome as a promise: for tests and for what is not on the hot path. */
export class PromisedOperation<T> implements Operation<Transaction> {
  readonly promise: Promise<T>;
  #resolve: (value: T) => void = () => {};
  #reject: (thrown: unknown) => void = () => {};
  #result: T | undefined;

  constructor(private readonly body: (tx: Transaction) => T) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  perform(tx: Transaction): void {
    this.#result = this.body(tx);
  }

  finished(thrown: unknown): void {
    if (thrown === undefined) this.#resolve(this.#result as T);
    else this.#reject(thrown);
  }
}
