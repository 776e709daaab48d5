/**
 * A mounted volume: puts the pieces together and answers what a FUSE layer may ask (filesystem.ts).
 *
 *   names        namespace.ts → directory.ts, inode-table.ts      synchronous, in a transaction
 *   data         file-reader.ts, file-writer.ts, file-resizer.ts  device transfers, then a transaction
 *   durability   durability.ts, commit.ts, journal.ts             at sync, every few seconds, when much is dirty
 *   recovery     recovery.ts                                      before the mount of a volume that was not unmounted in order
 *
 * Nothing of what is on disk is kept here a second time. What lives outside the blocks: the lookup counts of the kernel, which
 * orphans wait for their last holder, access times that were not written yet, and what is in flight.
 */

import type { Device } from '../aio/device.ts';
import type { PolicyOffer } from '../alloc/fenced-policy.ts';
import { DateClock } from './base/clock.ts';
import type { CorruptionError } from './base/errors.ts';
import type {
  AttributeChanges,
  Attributes,
  Caller,
  CreateRequest,
  EntryVisitor,
  FileSystem,
  Operation,
  ReadRequest,
  SpaceStatistics,
  WriteRequest,
} from './base/filesystem.ts';
import {
  DEFAULT_CACHE_BYTES,
  DEFAULT_COMMIT_SECONDS,
  extentsPerStep,
  MIN_CACHE_BYTES,
  MOMENT_MILLISECONDS,
} from './base/limits.ts';
import { Turns } from './base/turns.ts';
import { EarlyWrites } from './data/early-writes.ts';
import { readFile } from './data/file-reader.ts';
import { reapAll, reapInode, resizeFile } from './data/file-resizer.ts';
import { writeFile } from './data/file-writer.ts';
import { Freeing } from './data/freeing.ts';
import { IoEpochs } from './data/io-epochs.ts';
import { LossLog } from './data/loss-log.ts';
import { PendingBlocks } from './data/pending-blocks.ts';
import { RangeLocks } from './data/range-locks.ts';
import { ScratchPool } from './data/scratch.ts';
import { scratchBytes } from './data/write-edges.ts';
import type { WriteContext } from './data/write-plan.ts';
import { MAX_NAME_BYTES, VolumeRoot } from './format/format.ts';
import type { Layout } from './format/layout.ts';
import { readSuperblock, type SuperblockImage } from './format/superblock.ts';
import { AccessTimes, RELATIVE_ACCESS } from './inodes/access-times.ts';
import { changeInode } from './inodes/inode-changes.ts';
import { InodeTable } from './inodes/inode-table.ts';
import { Committer } from './journal/commit.ts';
import { Journal, logLength } from './journal/journal.ts';
import { type Recovery, recover, replayText } from './journal/recovery.ts';
import { CommitSchedule } from './life/commit-schedule.ts';
import { Durability } from './life/durability.ts';
import { BrokenTransactionError, failureInWords } from './life/health.ts';
import { InodePaths } from './life/inode-path.ts';
import { NodeReferences } from './life/node-references.ts';
import { Rest } from './life/rest.ts';
import { VolumeMarks } from './life/volume-marks.ts';
import {
  policyOffer,
  type VolumeAdjustment,
  type VolumeCounters,
  type VolumeOptions,
} from './life/volume-options.ts';
import { Namespace } from './namespace.ts';
import { BlockCache } from './transaction/block-cache.ts';
import {
  BEHIND_EARLY_WRITES,
  OperationRunner,
  PromisedOperation,
  type RunnerHost,
} from './transaction/operation-runner.ts';
import { SpaceMap } from './transaction/space-map.ts';
import { Transaction } from './transaction/transaction.ts';
import { Directories, isDot, isDotDot, requireDirectory } from './tree/directory.ts';
import { ExtentMap } from './tree/extents.ts';
import { fillAttributes } from './tree/inode.ts';

export class Volume implements FileSystem<Transaction>, RunnerHost {
  readonly layout: Layout;
  /** How long work on this volume held the event loop, as far as it chose its turns itself. */
  readonly turns: Turns;
  readonly #device: Device;
  readonly #superblock: SuperblockImage;
  readonly #log: (line: string) => void;
  readonly #cache: BlockCache;
  readonly #tx: Transaction;
  readonly #space: SpaceMap;
  readonly #policy: PolicyOffer;
  readonly #table: InodeTable;
  readonly #names: Namespace;
  readonly #directories: Directories;
  readonly #journal: Journal;
  readonly #committer: Committer;
  readonly #recovery: Recovery;
  readonly #runner: OperationRunner;
  readonly #files: WriteContext;
  readonly #early: EarlyWrites;
  readonly #access: AccessTimes;
  readonly #rest: Rest;
  readonly #schedule: CommitSchedule;
  readonly #marks: VolumeMarks;
  readonly #paths: InodePaths;
  readonly #durability: Durability;
  readonly #pending = new PendingBlocks();
  /** As it was when last seen. */
  #freeBytes = Number.POSITIVE_INFINITY;
  #spaceChanged: (inode: number) => void = () => {};
  readonly #references = new NodeReferences((inode, done) => this.#reap(inode, done));
  #sound = true;
  #unmounting: Promise<void> | undefined;

  constructor(recovery: Recovery, superblock: SuperblockImage, options: VolumeOptions) {
    const { device } = recovery;
    this.turns = new Turns(options.turns);
    const layout = superblock.layout();
    const { blockBytes } = layout;
    this.layout = layout;
    this.#device = device;
    this.#recovery = recovery;
    this.#superblock = superblock;
    this.#log = options.log ?? (() => {});
    const clock = options.clock ?? new DateClock();
    const readOnly = (options.readOnly ?? false) || device.readOnly;
    const cacheBytes = Math.max(options.cacheBytes ?? DEFAULT_CACHE_BYTES, MIN_CACHE_BYTES);
    this.#cache = new BlockCache(device, blockBytes, superblock.uuid, cacheBytes);
    this.#tx = new Transaction(this.#cache, blockBytes, superblock.uuid, clock, readOnly);
    this.#space = new SpaceMap(this.#tx, layout);
    this.#policy = policyOffer(options, this.#log);
    const extents = new ExtentMap(this.#space);
    this.#table = new InodeTable(layout, this.#space, extents);
    this.#directories = new Directories(this.#space, superblock.hashSeed);
    this.#names = new Namespace(this.#table, this.#directories, extents, this.#space);
    const epochs = new IoEpochs();
    const identity = { uuid: superblock.uuid, salt: superblock.hashSeed };
    this.#journal = new Journal(device, layout, identity, recovery.position, clock);
    this.#committer = new Committer({
      device,
      cache: this.#cache,
      space: this.#space,
      epochs,
      journal: this.#journal,
      blockBytes,
      turns: this.turns,
      failed: (error) => this.#poison(error),
    });
    this.#runner = new OperationRunner(this.#tx, this.#cache, this, this.turns);
    this.#early = new EarlyWrites(device, blockBytes);
    const stepExtents = extentsPerStep(logLength(layout));
    this.#access = new AccessTimes(
      options.accessRules ?? RELATIVE_ACCESS,
      this.#table,
      this.#runner,
      stepExtents,
      {
        gathered: () => this.#schedule.later(),
        pressed: () => setImmediate(() => this.#schedule.now()),
      },
    );
    this.#paths = new InodePaths((body) => this.run(body), this.#table, this.#directories);
    const losses = new LossLog(this.#log, (inode) => this.#paths.find(inode));
    this.#durability = new Durability(this.#early, this.#access, this.#committer, losses);
    this.#files = {
      device,
      blockBytes,
      table: this.#table,
      extents,
      runner: this.#runner,
      epochs,
      space: this.#space,
      locks: new RangeLocks(),
      early: this.#early,
      access: this.#access,
      lost: this.#durability.lost,
      freeing: new Freeing(),
      scratch: new ScratchPool(device, scratchBytes(blockBytes)),
      extentsPerStep: stepExtents,
      dataWritten: () => this.#dataWritten(),
      pending: this.#pending,
      spaceChanged: (inode) => this.#spaceChanged(inode),
    };
    this.#durability.writeBy(this.#files);
    const commitSeconds = options.commitSeconds ?? DEFAULT_COMMIT_SECONDS;
    this.#schedule = new CommitSchedule(this.#committer, this.#access, commitSeconds, this.turns);
    this.#marks = new VolumeMarks(device, superblock, clock);
    this.#rest = new Rest(this.#tx, {
      settle: () => this.#settle(),
      isBusy: () => this.#early.underWay || this.#references.beingFreed > 0,
      drain: () => this.#committer.drain(),
      markClean: () => this.#markClean(),
      markInUse: () => this.#marks.markInUse(),
      failed: (error) => this.#poison(error),
      reap: (inode) => this.#references.orphaned(inode),
    });
  }

  get blockBytes(): number {
    return this.layout.blockBytes;
  }

  get freeBytes(): number {
    try {
      this.#freeBytes = this.#space.availableBlocks * this.layout.blockBytes;
    } catch {
      // Not in memory just now, or damaged, which whoever wants to write will find.
    }
    return this.#freeBytes;
  }

  get readOnly(): boolean {
    return this.#tx.readOnly;
  }

  /** What made the volume read-only if it was not damage; empty if nothing did. */
  get failureInWords(): string {
    return failureInWords(this.#committer.failure);
  }

  get label(): string {
    return this.#superblock.label;
  }

  /** Marks the volume as in use and frees what a crash left behind. */
  async start(): Promise<void> {
    const { contents } = this.#recovery;
    if (contents !== undefined) this.#log(replayText(contents, this.readOnly));
    await this.run(() => this.#space.usePolicy(this.#policy));
    // What every operation needs is brought in now, and checked: a volume without it is none.
    await this.run((tx) => this.#table.expectRootDirectory(tx));
    if (this.readOnly) return;
    await this.#marks.markInUse();
    const orphans = await reapAll(this.#files);
    if (orphans > 0) this.#log(`inodes freed that had no name or were being truncated: ${orphans}`);
  }

  /** @throws the device's error; LostDataError when all else is done, if files lack data that could not be written */
  unmount(): Promise<void> {
    this.#unmounting ??= this.#unmount();
    return this.#unmounting;
  }

  async #unmount(): Promise<void> {
    this.#schedule.end();
    try {
      await this.#rest.quiet();
      // What could not be written so far is tried once more, also when it has to wake for that.
      if (this.resting && this.#durability.lost.kept().size > 0) await this.#rest.wake().catch(() => {});
      await this.#runner.idle();
      await this.#references.settled();
      if (!this.readOnly) {
        this.#references.clear();
        await reapAll(this.#files);
        await this.#settle();
        await this.#committer.drain();
        await this.#markClean();
      }
    } finally {
      await this.#durability.quiet();
      await this.#device.close();
    }
    this.#durability.expectNothingLost();
  }

  async #settle(): Promise<void> {
    await this.#references.settled();
    await this.#access.write(false);
    await this.#durability.commit();
  }

  /** Clean on disk and read-only until the first change: see rest.ts. @throws the error of the device */
  rest(): Promise<void> {
    return this.#rest.rest();
  }

  /** Whether the volume is read-only because it rests. */
  get resting(): boolean {
    return this.#tx.resting;
  }

  /** Changes what a mount may change while it lasts. */
  adjust({ commitSeconds, accessRules }: VolumeAdjustment): void {
    if (accessRules !== undefined) this.#access.rules = accessRules;
    if (commitSeconds !== undefined) this.#schedule.setSeconds(commitSeconds);
  }

  async #markClean(): Promise<void> {
    if (!this.#sound) {
      this.#log("corruption was met while mounted: the volume is not marked clean; run 'quarry fsck'");
      return;
    }
    await this.#marks.markClean();
  }

  // ---- RunnerHost ----

  get saturated(): boolean {
    return this.#committer.saturated;
  }

  get roomInJournal(): boolean {
    return this.#committer.hasRoomFor(this.#tx);
  }

  get pendingBlocks(): number {
    return this.#space.pendingBlocks;
  }

  get freesSoon(): boolean {
    return this.#references.freesSoon;
  }

  afterMoment(done: () => void): void {
    setTimeout(() => {
      done();
      this.submit();
    }, MOMENT_MILLISECONDS);
    this.submit();
  }

  afterRoom(done: () => void): void {
    this.#then(this.#committer.makeRoom(), done);
  }

  get freesMore(): boolean {
    return this.#files.freeing.underWay;
  }

  afterRelease(done: () => void): void {
    const released = () => this.#files.epochs.afterAllSoFar(done);
    const release = () => this.#then(this.#committer.makeFree(), released);
    if (this.pendingBlocks === 0 && this.freesMore) this.#files.freeing.afterStep(release);
    else release();
  }

  afterEarlyWrites(done: () => void): void {
    this.#early.afterAllSoFar(() => {
      done();
      this.submit();
    });
    this.submit();
  }

  afterWaking(done: (thrown: unknown) => void): void {
    this.#rest
      .wake()
      .then(() => done(undefined), done)
      .finally(() => this.submit());
  }

  /** Calls back whatever became of the promise: who goes on finds out for himself. */
  #then(promise: Promise<void>, done: () => void): void {
    const goOn = () => {
      done();
      this.submit();
    };
    promise.then(goOn, goOn);
  }

  changed(): void {
    this.#schedule.changed();
  }

  #dataWritten(): void {
    this.#committer.dataWritten();
    this.#schedule.later();
  }

  /** The device failed a commit, or memory is in doubt: the volume is read-only from then on. */
  #poison(error: Error): void {
    this.#sound = false;
    this.#tx.readOnly = true;
    this.#tx.resting = false;
    this.#log(`${failureInWords(error)}: the volume is read-only now`);
  }

  broken(thrown: unknown): void {
    this.#committer.stop(new BrokenTransactionError(thrown));
  }

  orphaned(inode: number): void {
    this.#references.orphaned(inode);
  }

  #reap(inode: number, done: () => void): void {
    if (this.#rest.putOff(inode)) {
      done();
      return;
    }
    this.#access.forget(inode);
    reapInode(this.#files, inode, (thrown) => {
      if (thrown !== undefined) this.#log(`freeing inode ${inode} failed: ${(thrown as Error).message}`);
      done();
    });
  }

  corrupt(error: CorruptionError): void {
    if (this.#sound) {
      this.#log(`corruption: ${error.message}; the volume is read-only from now on; run 'quarry fsck' on it`);
    }
    this.#sound = false;
    this.#tx.readOnly = true;
    this.#tx.resting = false;
  }

  submit(): void {
    this.#device.submit();
  }

  /** The built-in policy decides from now on; `fault` is what somebody's policy did. */
  dismissAllocator(fault: string): void {
    this.#space.fence?.dismiss(fault);
  }

  // ---- FileSystem ----

  execute(operation: Operation<Transaction>): void {
    this.#runner.execute(operation);
  }

  /** Runs a function as one transaction. @throws what it throws, and EIO if its blocks cannot be read */
  run<T>(body: (tx: Transaction) => T): Promise<T> {
    const operation = new PromisedOperation(body);
    this.#runner.execute(operation);
    this.#device.submit();
    return operation.promise;
  }

  lookup(tx: Transaction, parent: number, name: Uint8Array): number {
    const inode = this.#names.lookup(tx, parent, name);
    if (!isDot(name) && !isDotDot(name)) this.#paths.remember(inode, parent);
    return inode;
  }

  readAttributes(tx: Transaction, inode: number, into: Attributes): void {
    fillAttributes(this.#table.get(tx, inode), this.layout.blockBytes, into);
    this.#access.overlay(inode, into);
    if (this.#early.pending(inode)) into.sizeBytes = Math.max(into.sizeBytes, this.#early.sizeOf(inode));
    const { lost } = this.#files;
    if (lost.keeps(inode)) into.sizeBytes = Math.max(into.sizeBytes, lost.sizeOf(inode));
    into.sectors += this.#pending.of(inode) * (this.layout.blockBytes / 512);
  }

  changeAttributes(tx: Transaction, inode: number, changes: AttributeChanges): void {
    changeInode(tx, this.#table.get(tx, inode), changes);
    if (changes.accessSeconds !== undefined) this.#access.forget(inode);
  }

  accessed(tx: Transaction, inode: number): void {
    this.#access.touched(tx, this.#table.get(tx, inode));
  }

  create(tx: Transaction, parent: number, name: Uint8Array, request: CreateRequest): number {
    const inode = this.#names.create(tx, parent, name, request);
    this.#paths.remember(inode, parent);
    return inode;
  }

  symlink(tx: Transaction, parent: number, name: Uint8Array, target: Uint8Array, caller: Caller): number {
    return this.#names.symlink(tx, parent, name, target, caller);
  }

  readSymlink(tx: Transaction, inode: number): Uint8Array {
    return this.#names.readSymlink(tx, inode);
  }

  link(tx: Transaction, inode: number, parent: number, name: Uint8Array): void {
    this.#stayBehindWrites(tx, inode);
    this.#names.link(tx, inode, parent, name);
    this.#paths.remember(inode, parent);
  }

  unlink(tx: Transaction, parent: number, name: Uint8Array): void {
    this.#names.unlink(tx, parent, name);
  }

  removeDirectory(tx: Transaction, parent: number, name: Uint8Array): void {
    this.#names.removeDirectory(tx, parent, name);
  }

  rename(
    tx: Transaction,
    parent: number,
    name: Uint8Array,
    newParent: number,
    newName: Uint8Array,
    flags: number,
  ): void {
    const inode = this.#names.lookup(tx, parent, name);
    this.#stayBehindWrites(tx, inode);
    this.#names.rename(tx, parent, name, newParent, newName, flags);
    this.#paths.remember(inode, newParent);
  }

  /** A new name must not be on disk before the data that its file was given. */
  #stayBehindWrites(tx: Transaction, inode: number): void {
    if (!tx.behindEarlyWrites && this.#early.pending(inode)) throw BEHIND_EARLY_WRITES;
  }

  readDirectory(tx: Transaction, inode: number, cookie: number, visit: EntryVisitor): void {
    const directory = this.#table.get(tx, inode);
    requireDirectory(directory);
    this.#directories.read(tx, directory, cookie, visit);
  }

  statistics(tx: Transaction, into: SpaceStatistics): void {
    const root = this.#table.root(tx);
    into.blockBytes = this.layout.blockBytes;
    into.blocks = this.#space.usableBlocks;
    into.freeBlocks = this.#space.availableBlocks;
    into.inodes = VolumeRoot.inodeCount.get(root.view, 0);
    into.freeInodes = into.freeBlocks * this.layout.inodesPerBlock;
    into.maxNameBytes = MAX_NAME_BYTES;
  }

  read(request: ReadRequest): void {
    readFile(this.#files, request);
  }

  write(request: WriteRequest): void {
    writeFile(this.#files, request);
  }

  setSize(inode: number, sizeBytes: number, killPrivileges: boolean): Promise<void> {
    return resizeFile(this.#files, inode, sizeBytes, killPrivileges);
  }

  sync(inode?: number): Promise<void> {
    return this.#durability.sync(inode);
  }

  watchSpace(changed: (inode: number) => void): void {
    this.#spaceChanged = changed;
  }

  acquire(inode: number): void {
    this.#references.acquire(inode);
  }

  forget(inode: number, count: number): boolean {
    if (!this.#references.release(inode, count)) return false;
    this.#space.policy?.forgetInode?.(inode);
    return true;
  }

  counters(): VolumeCounters {
    const cache = this.#cache.statistics();
    return {
      ...this.#space.policyCounters(),
      readOnly: this.readOnly,
      resting: this.resting,
      commits: this.#committer.commits,
      checkpoints: this.#committer.checkpoints,
      flushes: this.#committer.flushes,
      metadataBlocksLogged: this.#committer.blocksLogged,
      metadataBlocksWritten: this.#committer.blocksWritten,
      metadataBlocksRead: cache.blocksRead,
      cacheMisses: cache.misses,
      cacheFrames: cache.frames,
      dirtyFrames: cache.dirtyFrames,
      loggedFrames: cache.loggedFrames,
      journalBlocks: this.#journal.logBlocks,
      journalUsedBlocks: this.#journal.usedBlocks,
      failure: this.#committer.failure?.message ?? '',
      inodesHeldByKernel: this.#references.size,
      openOrphans: this.#references.openOrphans,
      reservedBlocks: this.#space.index.reservedBlocks,
      pendingBlocks: this.#space.pendingBlocks,
      ...this.#durability.lost.counters(),
    };
  }
}

/**
 * Opens the volume on the device and marks it as mounted. Closes the device if that fails.
 * @throws NotAVolumeError, FsError (EIO), CorruptionError
 */
export async function openVolume(device: Device, options: VolumeOptions = {}): Promise<Volume> {
  try {
    const superblock = await readSuperblock(device);
    const readOnly = (options.readOnly ?? false) || device.readOnly;
    if (!readOnly) superblock.requireWritable();
    const mode = { readOnly, replay: options.recovery ?? true };
    const volume = new Volume(await recover(device, superblock, mode), superblock, options);
    await volume.start();
    return volume;
  } catch (thrown) {
    await device.close();
    throw thrown;
  }
}
