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
import { CopyBuffers } from './data/copy-buffers.ts';
import { Defragmentation } from './data/defragmentation.ts';
import { Discards } from './data/discards.ts';
import { EarlyWrites } from './data/early-writes.ts';
import { reapInode } from './data/file-resizer.ts';
import { Freeing } from './data/freeing.ts';
import { IoEpochs } from './data/io-epochs.ts';
import { LossLog } from './data/loss-log.ts';
import { PendingBlocks } from './data/pending-blocks.ts';
import { RangeLocks } from './data/range-locks.ts';
import { ScratchPool } from './data/scratch.ts';
import { Trimming } from './data/trimming.ts';
import { scratchBytes } from './data/write-edges.ts';
import type { WriteContext } from './data/write-plan.ts';
import { WritesUnderWay } from './data/writes-under-way.ts';
import { hasFeature } from './format/features.ts';
import type { Layout } from './format/layout.ts';
import { extentsPerStep, logBlocksOf } from './format/limits.ts';
import type { SuperblockImage } from './format/superblock.ts';
import { AccessLists } from './inodes/access-lists.ts';
import { AccessTimes, RELATIVE_ACCESS } from './inodes/access-times.ts';
import { InodeTable } from './inodes/inode-table.ts';
import { Quotas } from './inodes/quotas.ts';
import { Committer } from './journal/commit.ts';
import { Journal } from './journal/journal.ts';
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
import { VolumeQuotas } from './life/volume-quotas.ts';
import { Namespace } from './namespace.ts';
import { BlockCache } from './transaction/block-cache.ts';
import { OperationRunner, transact } from './transaction/operation-runner.ts';
import { SpaceMap } from './transaction/space-map.ts';
import { Transaction } from './transaction/transaction.ts';
import { Directories } from './tree/directory.ts';
import { ExtendedAttributes, mostInheritedBytes } from './tree/extended-attributes.ts';
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
  readonly acls: AccessLists;
  /** Undefined where the volume has none. */
  readonly quotas: Quotas | undefined;
  readonly journal: Journal;
  readonly committer: Committer;
  readonly runner: OperationRunner;
  readonly files: WriteContext;
  readonly defragmentation: Defragmentation;
  readonly discards: Discards;
  readonly trimming: Trimming;
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
  readonly volumeQuotas: VolumeQuotas;
  readonly marks: VolumeMarks;
}

/** What a volume stands on, and what the others are told by. */
function baseOf(recovery: Recovery, superblock: SuperblockImage, options: VolumeOptions) {
  const { device, layout } = recovery;
  const { blockBytes } = layout;
  const log = options.log ?? (() => {});
  const clock = options.clock ?? new DateClock();
  const turns = new Turns(options.turns);
  const readOnly = (options.readOnly ?? false) || device.readOnly;
  const cacheBytes = Math.max(options.cacheBytes ?? DEFAULT_CACHE_BYTES, MIN_CACHE_BYTES);
  const cache = new BlockCache(device, blockBytes, superblock.uuid, cacheBytes);
  const tx = new Transaction(cache, clock, readOnly);
  tx.resting = readOnly && (options.mayRest ?? false);
  const health = new Health(tx, log);
  const space = new SpaceMap(tx, layout);
  const logBlocks = logBlocksOf(layout, hasFeature(superblock.view, 'quota'));
  return { device, layout, blockBytes, logBlocks, superblock, log, clock, turns, cache, tx, health, space };
}
type Base = ReturnType<typeof baseOf>;

/** What blocks mean. */
function meaningOf(base: Base, options: VolumeOptions) {
  const { tx, space, layout, blockBytes, superblock, logBlocks } = base;
  const { acl = true, directoryGroups = false } = options;
  const extents = new ExtentMap(space);
  const table = new InodeTable(layout, space, extents);
  const directories = new Directories(space, superblock.nameSecret);
  const attributes = new ExtendedAttributes(space, superblock.nameSecret, blockBytes, logBlocks.forUsage);
  const acls = new AccessLists(attributes, acl, mostInheritedBytes(blockBytes, logBlocks.forAll));
  const names = new Namespace({ table, directories, extents, space, acls });
  names.directoryGroups = directoryGroups;
  const quotas = hasFeature(superblock.view, 'quota') ? new Quotas(table, space) : undefined;
  if (quotas !== undefined) quotas.isEnforced = options.quota ?? true;
  tx.usage = quotas;
  return { extents, table, directories, attributes, acls, names, quotas };
}
type Meaning = ReturnType<typeof meaningOf>;

/** How they reach the disk. */
function wayToDisk(base: Base, { position }: Recovery, thorough: boolean | undefined) {
  const { device, layout, superblock, clock, health } = base;
  const epochs = new IoEpochs();
  const identity = { uuid: superblock.uuid, salt: superblock.journalSalt };
  const journal = new Journal({ device, layout, identity, clock, thorough }, position);
  const failed = (error: Error) => health.fail(error);
  const isSound = () => health.sound;
  const broken = (error: Error) => committer.stop(error);
  const discards = new Discards({ ...base, isSound, broken });
  const committer: Committer = new Committer({ ...base, epochs, journal, discards, failed });
  const marks = new VolumeMarks(device, superblock, clock);
  return { epochs, journal, discards, committer, marks };
}
type WayToDisk = ReturnType<typeof wayToDisk>;

/** What those below tell those above, which are made later. */
interface Above {
  readonly lifecycle: Lifecycle;
  readonly schedule: CommitSchedule;
  readonly defragmentation: Defragmentation;
  readonly reap: (inode: number, done: () => void) => void;
}

/** Who holds what, and who runs operations. */
function workOf(base: Base, { epochs, committer, marks }: WayToDisk, above: () => Above) {
  const { device, blockBytes, tx, space, cache, health, turns } = base;
  const early = new EarlyWrites(device, blockBytes);
  const freeing = new Freeing();
  const references = new NodeReferences((inode, done) => above().reap(inode, done));
  const rest: Rest = new Rest(health, {
    settle: () => above().lifecycle.settle(),
    isBusy: () => early.underWay || references.beingFreed > 0 || above().defragmentation.underWay,
    drain: () => above().lifecycle.drain(),
    markClean: () => above().lifecycle.markClean(),
    markInUse: () => marks.markInUse(),
    reap: (inode) => references.orphaned(inode),
  });
  const changed = () => above().schedule.changed();
  const holders = { epochs, early, freeing, references, rest };
  const host = new VolumeRunnerHost({ device, tx, space, committer, health, ...holders, changed });
  const runner = new OperationRunner(tx, cache, host, turns);
  return { ...holders, runner };
}
type Work = ReturnType<typeof workOf>;

/** What is in files, and when it is durable. */
function dataOf(
  parts: Base & Meaning & WayToDisk & Work,
  options: VolumeOptions,
  schedule: () => CommitSchedule,
) {
  const { device, blockBytes, table, directories, runner, early, committer } = parts;
  const stepExtents = extentsPerStep(parts.logBlocks.forAll);
  const host = {
    gathered: () => schedule().later(),
    pressed: () => setImmediate(() => schedule().now()),
  };
  const rules = options.accessRules ?? RELATIVE_ACCESS;
  const access = new AccessTimes(rules, { table, runner, host, perStep: stepExtents });
  const paths = new InodePaths((body) => transact(parts, body), table, directories);
  const losses = new LossLog(parts.log, (inode, signal) => paths.find(inode, signal));
  const durability = new Durability(early, access, committer, losses);
  const pending = new PendingBlocks();
  const spaceWatch: SpaceWatch = { changed: () => {} };
  const files: WriteContext = {
    device,
    blockBytes,
    table,
    extents: parts.extents,
    runner,
    epochs: parts.epochs,
    space: parts.space,
    attributes: parts.attributes,
    quotas: parts.quotas,
    locks: new RangeLocks((inode) => early.hurry(inode)),
    early,
    access,
    lost: durability.lost,
    freeing: parts.freeing,
    scratch: new ScratchPool(device, scratchBytes(blockBytes)),
    copies: new CopyBuffers(device, blockBytes),
    extentsPerStep: stepExtents,
    dataWritten: () => {
      committer.dataWritten();
      schedule().later();
    },
    commit: () => committer.commit(),
    pending,
    underWay: new WritesUnderWay(),
    spaceChanged: (inode) => spaceWatch.changed(inode),
  };
  durability.writeBy(files);
  const defragmentation = new Defragmentation(files, parts.turns);
  return { access, paths, durability, pending, spaceWatch, files, defragmentation };
}
type Data = ReturnType<typeof dataOf>;

/** Frees an inode that nobody holds any more. */
function reap({ rest, access, files, log }: Base & Work & Data, inode: number, done: () => void): void {
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

/** The parts of a volume whose journal was looked at. Nothing is read or written yet. */
export function assemble(
  recovery: Recovery,
  superblock: SuperblockImage,
  options: VolumeOptions,
): VolumeParts {
  const base = baseOf(recovery, superblock, options);
  const meaning = meaningOf(base, options);
  const disk = wayToDisk(base, recovery, options.thorough);
  const work = workOf(base, disk, () => above);
  work.rest.mayWake = options.mayWake ?? work.rest.mayWake;
  const data = dataOf({ ...base, ...meaning, ...disk, ...work }, options, () => above.schedule);
  const parts = { ...base, ...meaning, ...disk, ...work, ...data };
  const commitSeconds = options.commitSeconds ?? DEFAULT_COMMIT_SECONDS;
  const schedule = new CommitSchedule(parts.committer, parts.access, commitSeconds, parts.turns);
  const policy = policyOffer(options, parts.log);
  const trimming = new Trimming({ ...parts, makeFree: () => parts.committer.makeFree() });
  parts.discards.turn(options.discard ?? false);
  if (options.reserved !== undefined) parts.space.reserved = options.reserved;
  const lifecycle = new Lifecycle({ ...parts, recovery, policy, schedule, trimming });
  const above: Above = {
    lifecycle,
    schedule,
    defragmentation: parts.defragmentation,
    reap: (inode, done) => reap(parts, inode, done),
  };
  return {
    ...parts,
    schedule,
    lifecycle,
    trimming,
    growth: new Growth(parts),
    shrinking: new Shrinking(parts),
    volumeQuotas: new VolumeQuotas(parts),
  };
}
