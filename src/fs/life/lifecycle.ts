/**
 * A volume's life, from its mount to its end.
 *
 *   start     marked as in use, what a crash left behind is freed
 *   settle    everything done so far is in the journal or at home
 *   unmount   everything home, marked clean, the device closed
 */
import type { Device } from '../../aio/device.ts';
import type { PolicyOffer } from '../../alloc/fenced-policy.ts';
import { CorruptionError } from '../base/errors.ts';
import type { Defragmentation } from '../data/defragmentation.ts';
import type { Discards } from '../data/discards.ts';
import { reapAll } from '../data/file-resizer.ts';
import type { Trimming } from '../data/trimming.ts';
import type { WriteContext } from '../data/write-plan.ts';
import type { AccessTimes } from '../inodes/access-times.ts';
import type { InodeTable } from '../inodes/inode-table.ts';
import { orphanAfter } from '../inodes/orphans.ts';
import type { Committer } from '../journal/commit.ts';
import { type Recovery, replayText } from '../journal/recovery.ts';
import { type OperationRunner, PromisedOperation } from '../transaction/operation-runner.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import type { Transaction } from '../transaction/transaction.ts';
import type { CommitSchedule } from './commit-schedule.ts';
import type { Durability } from './durability.ts';
import type { Health } from './health.ts';
import type { NodeReferences } from './node-references.ts';
import type { Rest } from './rest.ts';
import type { VolumeMarks } from './volume-marks.ts';

export interface LifecycleParts {
  readonly device: Device;
  readonly recovery: Recovery;
  readonly policy: PolicyOffer;
  readonly space: SpaceMap;
  readonly table: InodeTable;
  readonly runner: OperationRunner;
  readonly files: WriteContext;
  readonly defragmentation: Defragmentation;
  readonly discards: Discards;
  readonly trimming: Trimming;
  readonly references: NodeReferences;
  readonly access: AccessTimes;
  readonly durability: Durability;
  readonly schedule: CommitSchedule;
  readonly committer: Committer;
  readonly marks: VolumeMarks;
  readonly health: Health;
  readonly rest: Rest;
  readonly log: (line: string) => void;
}

export class Lifecycle {
  readonly #parts: LifecycleParts;
  #unmounting: Promise<void> | undefined;

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
  }

  /** Marks the volume as in use and frees what a crash left behind. */
  async start(): Promise<void> {
    const { recovery, log, space, policy, table, health, marks, files } = this.#parts;
    const readOnly = health.state === 'readOnly';
    if (recovery.contents !== undefined) log(replayText(recovery.contents, readOnly));
    await this.#run(() => space.usePolicy(policy));
    // What every operation needs is brought in now, and checked: a volume without it is none.
    await this.#run((tx) => table.expectRootDirectory(tx));
    if (health.state === 'resting') await this.#leaveOrphans();
    if (health.state !== 'writable') return;
    await marks.markInUse();
    const orphans = await reapAll(files);
    if (orphans > 0) log(`inodes freed that had no name or were being truncated: ${orphans}`);
  }

  /** What is to be freed when the volume wakes. Corruption has marked it as damaged. */
  async #leaveOrphans(): Promise<void> {
    const { rest, table } = this.#parts;
    try {
      let orphan = 0;
      do {
        const last = orphan;
        orphan = await this.#run((tx) => orphanAfter(tx, table, last));
        if (orphan !== 0) rest.putOff(orphan);
      } while (orphan !== 0);
    } catch (thrown) {
      if (!(thrown instanceof CorruptionError)) throw thrown;
    }
  }

  #run<T>(body: (tx: Transaction) => T): Promise<T> {
    const { runner, device } = this.#parts;
    const operation = new PromisedOperation(body);
    runner.execute(operation);
    device.submit();
    return operation.promise;
  }

  /** @throws the error of the device */
  async settle(): Promise<void> {
    const { defragmentation, trimming, references, access, durability } = this.#parts;
    await defragmentation.halt();
    await trimming.halt();
    await references.settled();
    await access.write(false);
    await durability.commit();
  }

  async markClean(): Promise<void> {
    const { health, marks, log } = this.#parts;
    if (health.sound) await marks.markClean();
    else log("corruption was met while mounted: the volume is not marked clean; run 'quarry fsck'");
  }

  /**
   * @throws the device's error; LostDataError when all else is done, if files lack data that could
   * not be written
   */
  unmount(): Promise<void> {
    this.#unmounting ??= this.#unmount();
    return this.#unmounting;
  }

  async #unmount(): Promise<void> {
    const { device, schedule, durability, discards } = this.#parts;
    schedule.end();
    try {
      await this.#finish();
    } finally {
      await durability.quiet();
      await discards.makeFree();
      await device.close();
    }
    durability.expectNothingLost();
  }

  async #finish(): Promise<void> {
    const { rest, health, durability, runner, references, files, defragmentation, trimming } = this.#parts;
    await rest.quiet();
    await defragmentation.halt();
    await trimming.halt();
    // What could not be written so far is tried once more, also when it has to wake for that.
    if (health.state === 'resting' && durability.lost.kept().size > 0) await rest.wake().catch(() => {});
    await runner.idle();
    await references.settled();
    if (health.state !== 'writable') return;
    references.clear();
    await reapAll(files);
    await this.settle();
    await this.drain();
    await this.markClean();
  }

  /**
   * The journal is empty when it resolves, and the device knows of what was freed.
   * @throws the error of the device
   */
  async drain(): Promise<void> {
    const { committer, discards } = this.#parts;
    await committer.drain();
    await discards.finish();
  }
}
