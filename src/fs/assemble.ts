/**
 * Makes the parts of a mounted volume and joins them, from the device upwards.
 *
 * Each part is given what it stands on when it is made. Where something below has to tell something
 * above, it is given a function that names it, which is not called before all of them are there.
 */
import type { Device } from '../aio/device.ts';
import { messageOf } from '../common/thrown.ts';
import { DateClock } from './base/clock.ts';
import { DEFAULT_CACHE_BYTES, DEFAULT_COMMIT_SECONDS, MIN_CACHE_BYTES } from './base/limits.ts';
import { Turns } from './base/turns.ts';
import { EarlyWrites } from './data/early-writes.ts';
import { reapInode } from './data/file-resizer.ts';
import { Freeing } from './data/freeing.ts';
import { IoEpochs } from './data/io-epochs.ts';
import { LossLog } from './data/loss-log.ts';
import { PendingBlocks } from './data/pending-blocks.ts';
import { RangeLocks } from './data/range-locks.ts';
import { ScratchPool } from './data/scratch.ts';
import { scratchBytes } from './data/write-edges.ts';
import type { WriteContext } from './data/write-plan.ts';
import type { Layout } from './format/layout.ts';
import { extentsPerStep } from './format/limits.ts';
import type { SuperblockImage } from './format/superblock.ts';
import { AccessTimes, RELATIVE_ACCESS } from './inodes/access-times.ts';
import { InodeTable } from './inodes/inode-table.ts';
import { Committer } from './journal/commit.ts';
import { Journal, logLength } from './journal/journal.ts';
import type { Recovery } from './journal/recovery.ts';
import { CommitSchedule } from './life/commit-schedule.ts';
import { Durability } from './life/durability.ts';
import { Growth } from './life/growth.ts';
import { Health } from './life/health.ts';
import { InodePaths } from './life/inode-path.ts';
import { Lifecycle } from './life/lifecycle.ts';
import { NodeReferences } from './life/node-references.ts';
import { Rest } from './life/rest.ts';
import { VolumeRunnerHost } from './life/runner-host.ts';
import { Shrinking } from './life/shrinking.ts';
import { VolumeMarks } from './life/volume-marks.ts';
import { policyOffer, type VolumeOptions } from './life/volume-options.ts';
import { Namespace } from './namespace.ts';
import { BlockCache } from './transaction/block-cache.ts';
import { OperationRunner, PromisedOperation } from './transaction/operation-runner.ts';
import { SpaceMap } from './transaction/space-map.ts';
import { Transaction } from './transaction/transaction.ts';
import { Directories } from './tree/directory.ts';
import { ExtendedAttributes } from './tree/extended-attributes.ts';
import { ExtentMap } from './tree/extents.ts';

/** Who wants to know of files whose space changed. */
export interface SpaceWatch {
  changed: (inode: number) => void;
}

export interface VolumeParts {
  readonly device: Device;
  readonly superblock: SuperblockImage;
  readonly layout: Layout;
  readonly turns: Turns;
  readonly cache: BlockCache;
  readonly tx: Transaction;
  readonly space: SpaceMap;
  readonly table: InodeTable;
  readonly names: Namespace;
  readonly directories: Directories;
  readonly attributes: ExtendedAttributes;
  readonly journal: Journal;
  readonly committer: Committer;
  readonly runner: OperationRunner;
  readonly files: WriteContext;
  readonly early: EarlyWrites;
  readonly pending: PendingBlocks;
  readonly spaceWatch: SpaceWatch;
  readonly access: AccessTimes;
  readonly references: NodeReferences;
  readonly paths: InodePaths;
  readonly durability: Durability;
  readonly schedule: CommitSchedule;
  readonly rest: Rest;
  readonly health: Health;
  readonly lifecycle: Lifecycle;
  readonly growth: Growth;
  readonly shrinking: Shrinking;
  readonly marks: VolumeMarks;
}

/** The parts of a volume whose journal was looked at. Nothing is read or written yet. */
export function assemble(
  recovery: Recovery,
  superblock: SuperblockImage,
  options: VolumeOptions,
): VolumeParts {
  const { device, layout } = recovery;
  const { blockBytes } = layout;
  const log = options.log ?? (() => {});
  const clock = options.clock ?? new DateClock();
  const turns = new Turns(options.turns);
  const readOnly = (options.readOnly ?? false) || device.readOnly;

  // Blocks, and what all-or-nothing is.
  const cacheBytes = Math.max(options.cacheBytes ?? DEFAULT_CACHE_BYTES, MIN_CACHE_BYTES);
  const cache = new BlockCache(device, blockBytes, superblock.uuid, cacheBytes);
  const tx = new Transaction(cache, blockBytes, superblock.uuid, clock, readOnly);
  const health = new Health(tx, log);
  const space = new SpaceMap(tx, layout);

  // What blocks mean.
  const extents = new ExtentMap(space);
  const table = new InodeTable(layout, space, extents);
  const directories = new Directories(space, superblock.nameSecret);
  const attributes = new ExtendedAttributes(space, superblock.nameSecret, blockBytes, logLength(layout));
  const names = new Namespace(table, directories, extents, space);

  // How they reach the disk.
  const epochs = new IoEpochs();
  const identity = { uuid: superblock.uuid, salt: superblock.journalSalt };
  const journal = new Journal(device, layout, identity, recovery.position, clock, options.thorough);
  const failed = (error: Error) => health.fail(error);
  const committer = new Committer({ device, cache, space, epochs, journal, blockBytes, turns, failed });
  const marks = new VolumeMarks(device, superblock, clock);

  // Who holds what, and who runs operations.
  const early = new EarlyWrites(device, blockBytes);
  const freeing = new Freeing();
  const references = new NodeReferences((inode, done) => reap(inode, done));
  const rest: Rest = new Rest(health, {
    settle: () => lifecycle.settle(),
    isBusy: () => early.underWay || references.beingFreed > 0,
    drain: () => committer.drain(),
    markClean: () => lifecycle.markClean(),
    markInUse: () => marks.markInUse(),
    reap: (inode) => references.orphaned(inode),
  });
  const host = new VolumeRunnerHost({
    device,
    tx,
    space,
    committer,
    epochs,
    early,
    freeing,
    references,
    rest,
    health,
    changed: () => schedule.changed(),
  });
  const runner = new OperationRunner(tx, cache, host, turns);

  // Data.
  const stepExtents = extentsPerStep(logLength(layout));
  const access = new AccessTimes(options.accessRules ?? RELATIVE_ACCESS, table, runner, stepExtents, {
    gathered: () => schedule.later(),
    pressed: () => setImmediate(() => schedule.now()),
  });
  const paths = new InodePaths((body) => run(body), table, directories);
  const losses = new LossLog(log, (inode) => paths.find(inode));
  const durability = new Durability(early, access, committer, losses);
  const pending = new PendingBlocks();
  const spaceWatch: SpaceWatch = { changed: () => {} };
  const files: WriteContext = {
    device,
    blockBytes,
    table,
    extents,
    runner,
    epochs,
    space,
    attributes,
    locks: new RangeLocks(),
    early,
    access,
    lost: durability.lost,
    freeing,
    scratch: new ScratchPool(device, scratchBytes(blockBytes)),
    extentsPerStep: stepExtents,
    dataWritten: () => {
      committer.dataWritten();
      schedule.later();
    },
    pending,
    spaceChanged: (inode) => spaceWatch.changed(inode),
  };
  durability.writeBy(files);
  const commitSeconds = options.commitSeconds ?? DEFAULT_COMMIT_SECONDS;
  const schedule = new CommitSchedule(committer, access, commitSeconds, turns);
  const lifecycle = new Lifecycle({
    device,
    recovery,
    policy: policyOffer(options, log),
    space,
    table,
    runner,
    files,
    references,
    access,
    durability,
    schedule,
    committer,
    marks,
    health,
    rest,
    log,
  });

  const growth = new Growth({
    device,
    layout,
    space,
    table,
    runner,
    durability,
    marks,
    health,
    rest,
  });

  const shrinking = new Shrinking({
    device,
    layout,
    space,
    table,
    directories,
    files,
    runner,
    committer,
    durability,
    marks,
    health,
  });

  function run<T>(body: (tx: Transaction) => T): Promise<T> {
    const operation = new PromisedOperation(body);
    runner.execute(operation);
    device.submit();
    return operation.promise;
  }

  function reap(inode: number, done: () => void): void {
    if (rest.putOff(inode)) {
      done();
      return;
    }
    access.forget(inode);
    reapInode(files, inode, (thrown) => {
      if (thrown !== undefined) log(`freeing inode ${inode} failed: ${messageOf(thrown)}`);
      done();
    });
  }

  return {
    device,
    superblock,
    layout,
    turns,
    cache,
    tx,
    space,
    table,
    names,
    directories,
    attributes,
    journal,
    committer,
    runner,
    files,
    early,
    pending,
    spaceWatch,
    access,
    references,
    paths,
    durability,
    schedule,
    rest,
    health,
    lifecycle,
    growth,
    shrinking,
    marks,
  };
}
