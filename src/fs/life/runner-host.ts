/**
 * What operations that cannot go on wait for, and whom they tell: the volume, as the runner sees
 * it.
 */
import type { Device } from '../../aio/device.ts';
import type { CorruptionError } from '../base/errors.ts';
import { MOMENT_MILLISECONDS } from '../base/limits.ts';
import type { EarlyWrites } from '../data/early-writes.ts';
import type { Freeing } from '../data/freeing.ts';
import type { IoEpochs } from '../data/io-epochs.ts';
import type { Committer } from '../journal/commit.ts';
import type { RunnerHost } from '../transaction/operation-runner.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { BrokenTransactionError, type Health } from './health.ts';
import type { NodeReferences } from './node-references.ts';
import type { Rest } from './rest.ts';

export interface HostParts {
  readonly device: Device;
  readonly tx: Transaction;
  readonly space: SpaceMap;
  readonly committer: Committer;
  readonly epochs: IoEpochs;
  readonly early: EarlyWrites;
  readonly freeing: Freeing;
  readonly references: NodeReferences;
  readonly rest: Rest;
  readonly health: Health;
  /** Something changed: a commit is due some time. */
  changed(): void;
}

export class VolumeRunnerHost implements RunnerHost {
  readonly #device: Device;
  readonly #tx: Transaction;
  readonly #committer: Committer;
  readonly #parts: HostParts;
  readonly #changed: () => void;

  constructor(parts: HostParts) {
    this.#device = parts.device;
    this.#tx = parts.tx;
    this.#committer = parts.committer;
    this.#parts = parts;
    this.#changed = parts.changed;
  }

  get saturated(): boolean {
    return this.#committer.saturated;
  }

  get roomInJournal(): boolean {
    return this.#committer.hasRoomFor(this.#tx);
  }

  get pendingBlocks(): number {
    return this.#parts.space.pendingBlocks;
  }

  get freesSoon(): boolean {
    return this.#parts.references.freesSoon;
  }

  get freesMore(): boolean {
    return this.#parts.freeing.underWay;
  }

  afterMoment(done: () => void): void {
    setTimeout(() => this.#goOn(done), MOMENT_MILLISECONDS);
    this.submit();
  }

  afterRoom(done: () => void): void {
    this.#whateverBecomesOf(this.#committer.makeRoom(), done);
  }

  afterRelease(done: () => void): void {
    const { early, epochs, freeing } = this.#parts;
    early.hurry();
    const released = () => epochs.afterAllSoFar(done);
    const release = () => this.#whateverBecomesOf(this.#committer.makeFree(), released);
    if (this.pendingBlocks === 0 && this.freesMore) freeing.afterStep(release);
    else release();
  }

  afterEarlyWrites(done: () => void): void {
    this.#parts.early.afterAllSoFar(() => this.#goOn(done));
    this.submit();
  }

  afterWaking(done: (thrown: unknown) => void): void {
    this.#parts.rest
      .wake()
      .then(() => done(undefined), done)
      .finally(() => this.submit());
  }

  /** Who goes on finds out for himself. */
  #whateverBecomesOf(promise: Promise<void>, done: () => void): void {
    const goOn = () => this.#goOn(done);
    promise.then(goOn, goOn);
  }

  #goOn(done: () => void): void {
    done();
    this.submit();
  }

  changed(): void {
    this.#changed();
  }

  orphaned(inode: number): void {
    this.#parts.references.orphaned(inode);
  }

  unnamed(inode: number): void {
    this.#parts.references.unnamed(inode);
  }

  named(inode: number): void {
    this.#parts.references.named(inode);
  }

  corrupt(error: CorruptionError): void {
    this.#parts.health.damage(error);
  }

  broken(thrown: unknown): void {
    this.#committer.stop(new BrokenTransactionError(thrown));
  }

  submit(): void {
    this.#device.submit();
  }
}
