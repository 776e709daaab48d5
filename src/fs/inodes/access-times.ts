/**
 * When files were last read: gathered in memory, written with a later commit.
 *
 *   read ──touched──▶ gathered ──write──▶ the inode's block, which a commit takes along as any
 *   other
 *
 * Reading costs no transaction so: a look at times that lie beside the size, and now and then an
 * entry in a map. What is asked of an inode in between is answered from the map (`overlay`); who
 * sets the time himself (`forget`) has the last word.
 *
 * The rules are the kernel's (relatime_need_update): 'relative' moves the time when the file was
 * changed since it was last read, or when that is a day ago. The map is bounded: half full it is
 * written, and when it is full, reads leave no mark for a while.
 *
 * An access time is never worth an error, nor that a volume at rest wakes: what cannot be written
 * is let go of. A crash may lose those of the last seconds.
 */
import { type AccessRules, type Attributes, FileFlag, type Operation } from '../base/filesystem.ts';
import { MOST_ACCESS_TIMES } from '../base/limits.ts';
import { Inode } from '../format/format.ts';
import type { OperationRunner } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { fileFlagsOf, type InodeRef, isDirectory } from '../tree/inode.ts';
import type { InodeTable } from './inode-table.ts';

export const RELATIVE_ACCESS: AccessRules = { files: 'relative', directories: 'relative' };

const DAY_SECONDS = 24 * 60 * 60;

interface Moment {
  seconds: number;
  nanoseconds: number;
}

export interface AccessTimesHost {
  /** There is something to be written one day. */
  gathered(): void;
  /** There is much of it. Called within a transaction. */
  pressed(): void;
}

export interface AccessTimesParts {
  readonly table: InodeTable;
  readonly runner: OperationRunner;
  readonly host: AccessTimesHost;
  /** Inodes that one transaction may change. */
  readonly perStep: number;
}

/** By inode. */
type Moments = Map<number, Moment>;

export class AccessTimes {
  rules: AccessRules;
  readonly #table: InodeTable;
  readonly #runner: OperationRunner;
  readonly #host: AccessTimesHost;
  readonly #perStep: number;
  readonly #moments: Moments = new Map();

  constructor(rules: AccessRules, { table, runner, host, perStep }: AccessTimesParts) {
    this.rules = rules;
    this.#table = table;
    this.#runner = runner;
    this.#perStep = perStep;
    this.#host = host;
  }

  /** How many inodes have a time that is not in their block yet. */
  get size(): number {
    return this.#moments.size;
  }

  /** The inode is being read. Leaves no mark in the transaction. */
  touched(tx: Transaction, inode: InodeRef): void {
    if (tx.readOnly) return;
    const { rules } = this;
    const rule = rules.files === rules.directories || !isDirectory(inode) ? rules.files : rules.directories;
    if (rule === 'never') return;
    const moment = this.#moments.size === 0 ? undefined : this.#moments.get(inode.number);
    if (rule === 'relative' && isRecent(inode, moment, tx.roughSeconds)) return;
    if ((fileFlagsOf(inode) & FileFlag.noAccessTime) === 0) this.#note(inode.number, moment, tx);
  }

  #note(number: number, before: Moment | undefined, { clock }: Transaction): void {
    const { seconds, nanoseconds } = clock;
    if (before !== undefined) {
      before.seconds = seconds;
      before.nanoseconds = nanoseconds;
      return;
    }
    if (this.#moments.size >= MOST_ACCESS_TIMES) return;
    this.#moments.set(number, { seconds, nanoseconds });
    if (this.#moments.size === 1) this.#host.gathered();
    if (this.#moments.size === MOST_ACCESS_TIMES / 2) this.#host.pressed();
  }

  /** Puts the time that is gathered, if any, in the place of the one on disk. */
  overlay(inode: number, into: Attributes): void {
    if (this.#moments.size === 0) return;
    const moment = this.#moments.get(inode);
    if (moment === undefined) return;
    into.accessSeconds = moment.seconds;
    into.accessNanoseconds = moment.nanoseconds;
  }

  /** The inode is gone, or its time was set. */
  forget(inode: number): void {
    this.#moments.delete(inode);
  }

  /**
   * Brings what is gathered into the blocks of the inodes, in bounded steps. Never throws.
   *
   * @param cachedOnly leave out those whose blocks would have to be read first: a sync does not
   * wait for them
   */
  async write(cachedOnly: boolean): Promise<void> {
    // Neighbours share blocks.
    const numbers = [...this.#moments.keys()].sort((a, b) => a - b);
    for (let at = 0; at < numbers.length; at += this.#perStep) {
      const step = numbers.slice(at, at + this.#perStep);
      const batch = { moments: this.#moments, numbers: step, cachedOnly };
      await new Promise<void>((resolve) => this.#runner.execute(new WriteStep(this.#table, batch, resolve)));
    }
  }
}

/** Times that are written together. */
interface MomentBatch {
  readonly moments: Moments;
  readonly numbers: readonly number[];
  readonly cachedOnly: boolean;
}

/** Writes some of the times. */
class WriteStep implements Operation<Transaction> {
  /** Those that are written, or will never be. */
  readonly #settled: number[] = [];

  constructor(
    readonly table: InodeTable,
    readonly batch: MomentBatch,
    readonly done: () => void,
  ) {}

  perform(tx: Transaction): void {
    this.#settled.length = 0;
    if (tx.readOnly) {
      this.#settled.push(...this.batch.numbers);
      return;
    }
    for (const number of this.batch.numbers) {
      const moment = this.batch.moments.get(number);
      if (moment === undefined) continue;
      const inode = this.#find(tx, number);
      if (inode !== undefined) this.#set(tx, inode, moment);
    }
  }

  #find(tx: Transaction, number: number): InodeRef | undefined {
    try {
      return this.table.isInUse(tx, number) ? this.table.get(tx, number) : undefined;
    } catch (thrown) {
      if (this.batch.cachedOnly && thrown === tx.miss) return undefined;
      throw thrown;
    }
  }

  #set(tx: Transaction, inode: InodeRef, moment: Moment): void {
    tx.modifyTimes(inode.frame);
    const { view } = inode.frame;
    Inode.accessSeconds.set(view, inode.at, moment.seconds);
    Inode.accessNanoseconds.set(view, inode.at, moment.nanoseconds);
    this.#settled.push(inode.number);
  }

  finished(thrown: unknown): void {
    const settled = thrown === undefined && this.batch.cachedOnly ? this.#settled : this.batch.numbers;
    for (const number of settled) this.batch.moments.delete(number);
    this.done();
  }
}

/** Was the inode read since it was last changed, and within a day? */
function isRecent({ frame, at }: InodeRef, moment: Moment | undefined, nowSeconds: number): boolean {
  const { view } = frame;
  const seconds = moment === undefined ? Inode.accessSeconds.get(view, at) : moment.seconds;
  if (nowSeconds - seconds >= DAY_SECONDS) return false;
  const modifySeconds = Inode.modifySeconds.get(view, at);
  const changeSeconds = Inode.changeSeconds.get(view, at);
  if (seconds > modifySeconds && seconds > changeSeconds) return true;
  if (seconds < modifySeconds || seconds < changeSeconds) return false;
  const nanoseconds = moment === undefined ? Inode.accessNanoseconds.get(view, at) : moment.nanoseconds;
  return (
    (seconds > modifySeconds || nanoseconds > Inode.modifyNanoseconds.get(view, at)) &&
    (seconds > changeSeconds || nanoseconds > Inode.changeNanoseconds.get(view, at))
  );
}
