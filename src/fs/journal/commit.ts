/**
 * Commits: how dirty metadata reaches the disk.
 *
 *   1 copy        the dirty frames, sealed, into memory, as they are between two operations:
 *                 operations go on while that is done in small steps, and a frame that one is about
 *                 to change is copied before (picture.ts)
 *   2 log         descriptors and copies to the journal, then a flush, which also covers the data
 *                 that the snapshot speaks of
 *   3 commit      the commit block to the journal, durable when it is done
 *   ─────────     commit point: everything up to the snapshot survives; before it, nothing of it
 *                 does
 *   4 checkpoint  now and then: all blocks that are only in the journal go home, a flush, and the
 *                 tail of the journal moves up. It works from copies of its own, made in step 1,
 *                 and further commits go on meanwhile
 *
 * One commit runs at a time, and one checkpoint. Whoever asks for a commit while one runs shares
 * the next one with all others who ask: a hundred concurrent fsyncs cost two commits. A commit
 * without metadata is a flush, and so is a sync of data alone when only times have changed.
 *
 * The invariants J1 to J8 are listed in journal.ts. The first error of the device ends it all
 * (`failure`): what is on the disk is doubtful then, so nothing more is written, and the volume
 * becomes read-only. `stop` ends it as well, when what is in memory is doubtful.
 */

import type { Device, Memory } from '../../aio/device.ts';
import type { Run } from '../../alloc/allocator.ts';
import { asError } from '../base/errors.ts';
import { CHECKPOINT_LOG_SHARE, COMMIT_LOG_SHARE, COMMIT_SHARE, DIRTY_SHARE } from '../base/limits.ts';
import type { Turns } from '../base/turns.ts';
import type { Discards } from '../data/discards.ts';
import type { IoEpochs } from '../data/io-epochs.ts';
import { sealBlock } from '../format/block-header.ts';
import type { MovingView } from '../format/block-view.ts';
import type { BlockCache, Frame } from '../transaction/block-cache.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import { flushDevice, Staging, writeBlocks } from './block-transfers.ts';
import type { Journal, JournalMark, LoggedTransaction } from './journal.ts';
import { Picture } from './picture.ts';

/** Freed runs that are made available between two looks at the clock. */
const RUNS_PER_STEP = 64;

export interface CommitterParts {
  readonly device: Device;
  readonly cache: BlockCache;
  readonly space: SpaceMap;
  readonly epochs: IoEpochs;
  readonly journal: Journal;
  readonly blockBytes: number;
  readonly turns: Turns;
  readonly discards: Discards;
  readonly tx: ContentChanges;
  /** Told once, when the device failed or `stop` was called. */
  readonly failed: (error: Error) => void;
}

/** Counts the transactions that changed more than times. */
interface ContentChanges {
  readonly contentChanges: number;
}

/** A transaction, and the frames whose copies it takes, in their order. */
interface FramesToLog extends LoggedTransaction {
  readonly frames: readonly Frame[];
}

/**
 * What a transaction changed, in blocks. `changedFrames` is cheaper to know than `newlyDirty`, and
 * at least as large.
 */
interface ChangedBlocks {
  readonly changedFrames: number;
  readonly newlyDirty: number;
  readonly freedBlocks: number;
}

/** Copies on their way home. */
interface Checkpoint {
  readonly frames: readonly Frame[];
  /** Their copies, in the same order, … */
  readonly memory: Memory;
  /** … and the one that is being made. */
  readonly copy: MovingView;
  readonly mark: JournalMark;
}

export class Committer {
  readonly #device: Device;
  readonly #cache: BlockCache;
  readonly #space: SpaceMap;
  readonly #epochs: IoEpochs;
  readonly #journal: Journal;
  readonly #blockBytes: number;
  readonly #turns: Turns;
  readonly #discards: Discards;
  readonly #tx: ContentChanges;
  readonly #failed: (error: Error) => void;
  readonly #homeStaging: Staging;
  /** Data writes that were done, … */
  #dataWrites = 0;
  /** … and how many of them a flush that is over has covered. */
  #dataFlushed = 0;
  /** How many changes of more than times are durable. */
  #contentDurable = 0;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  /** The same for flushes of data alone. */
  #flushing: Promise<void> | undefined;
  #nextFlush: Promise<void> | undefined;
  #checkpoint: Promise<void> | undefined;
  /** Blocks that were freed are becoming available. */
  #handingOut: Promise<void> | undefined;
  /** The next commit takes a checkpoint with it, whatever the journal holds. */
  #checkpointWanted = false;
  #failure: Error | undefined;
  /** The first error of the device. */
  #deviceError: Error | undefined;
  commits = 0;
  checkpoints = 0;
  flushes = 0;
  /** Blocks written to the journal, and home. */
  blocksLogged = 0;
  blocksWritten = 0;

  constructor(parts: CommitterParts) {
    this.#device = parts.device;
    this.#cache = parts.cache;
    this.#space = parts.space;
    this.#epochs = parts.epochs;
    this.#journal = parts.journal;
    this.#blockBytes = parts.blockBytes;
    this.#turns = parts.turns;
    this.#discards = parts.discards;
    this.#tx = parts.tx;
    this.#failed = parts.failed;
    this.#homeStaging = new Staging(parts.device);
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  /**
   * No commit is begun any more: every one fails with this error. One that runs goes on, since it
   * has its copies.
   */
  stop(error: Error): void {
    this.#fail(error);
  }

  dataWritten(): void {
    this.#dataWrites++;
  }

  get #dataUnflushed(): boolean {
    return this.#dataFlushed < this.#dataWrites;
  }

  /** Is there anything that a commit would do? */
  get needed(): boolean {
    return this.#dataUnflushed || this.#cache.dirtyFrames > 0 || this.#checkpointWanted;
  }

  /** So much is dirty that a commit is due. */
  get due(): boolean {
    const { dirtyFrames, budgetFrames } = this.#cache;
    return (
      dirtyFrames > budgetFrames * COMMIT_SHARE || dirtyFrames > this.#journal.logBlocks * COMMIT_LOG_SHARE
    );
  }

  /** So much cannot leave the cache that operations have to wait for `makeRoom`. */
  get saturated(): boolean {
    const { dirtyFrames, loggedFrames, budgetFrames } = this.#cache;
    return dirtyFrames + loggedFrames > budgetFrames * DIRTY_SHARE && this.#failure === undefined;
  }

  /**
   * Would the journal take all that is dirty, and what the transaction changed (J8)?
   * @throws Error if it never could
   */
  hasRoomFor(changed: ChangedBlocks): boolean {
    const { changedFrames, freedBlocks } = changed;
    if (this.#fits(changedFrames, freedBlocks) || this.#fits(changed.newlyDirty, freedBlocks)) return true;
    if (this.#failure !== undefined) return true;
    if (this.#journal.cost(changedFrames, freedBlocks) <= this.#journal.logBlocks) return false;
    throw new Error(`a transaction of ${changedFrames} blocks is larger than the journal`);
  }

  #fits(frames: number, freed: number): boolean {
    const { dirtyFrames, freedBlocks } = this.#cache;
    return this.#journal.cost(dirtyFrames + frames, freedBlocks + freed) <= this.#journal.freeBlocks;
  }

  /**
   * Everything done before the call survives power loss when it resolves.
   * @throws the error of the device
   */
  commit(): Promise<void> {
    if (this.#running === undefined) {
      if (this.#failure) return Promise.reject(this.#failure);
      if (!this.needed) return Promise.resolve();
      this.#running = this.#run().finally(() => {
        this.#running = undefined;
      });
      return this.#running;
    }
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.commit();
      });
    return this.#next;
  }

  /**
   * Everything done before the call but for times survives power loss when it resolves. Where only
   * times have changed since the last commit, the data is flushed, and no transaction is written.
   * @throws the error of the device
   */
  syncData(): Promise<void> {
    if (this.#failure === undefined && this.#contentDurable !== this.#tx.contentChanges) return this.commit();
    if (this.#flushing === undefined) {
      if (this.#failure) return Promise.reject(this.#failure);
      if (!this.#dataUnflushed) return Promise.resolve();
      this.#flushing = this.#flush().finally(() => {
        this.#flushing = undefined;
      });
      return this.#flushing;
    }
    this.#nextFlush ??= this.#flushing
      .catch(() => {})
      .then(() => {
        this.#nextFlush = undefined;
        return this.syncData();
      });
    return this.#nextFlush;
  }

  /**
   * Commits and brings everything home: the journal is empty when it resolves, but for what was
   * done meanwhile.
   * @throws the error of the device
   */
  async makeRoom(): Promise<void> {
    if (this.#checkpoint === undefined) {
      this.#checkpointWanted ||= this.#journal.usedBlocks > 0 || this.#cache.dirtyFrames > 0;
      await this.commit();
    }
    await this.#checkpoint;
    if (this.#failure) throw this.#failure;
  }

  /**
   * Commits, and waits until what was freed before is out of reach of checkpoints (J6).
   * @throws the error of the device
   */
  async makeFree(): Promise<void> {
    await this.commit();
    await this.#checkpoint;
    await this.#handingOut;
    await this.#discards.makeFree();
  }

  /**
   * Nothing is dirty and the journal is empty when it resolves. Nothing may be changed meanwhile.
   * @throws the error of the device
   */
  async drain(): Promise<void> {
    do await this.makeRoom();
    while (this.needed || this.#journal.usedBlocks > 0);
  }

  /** Resolves when no commit and no checkpoint is under way, whatever became of them. */
  async quiet(): Promise<void> {
    for (;;) {
      const underWay =
        this.#next ??
        this.#running ??
        this.#nextFlush ??
        this.#flushing ??
        this.#checkpoint ??
        this.#handingOut;
      if (underWay === undefined) return;
      await underWay.catch(() => {});
    }
  }

  async #run(): Promise<void> {
    this.commits++;
    try {
      await this.#commit();
    } catch (thrown) {
      this.#deviceFailed(thrown);
      throw thrown;
    }
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#failed(error);
  }

  #deviceFailed(thrown: unknown): void {
    const error = asError(thrown);
    this.#deviceError ??= error;
    this.#fail(error);
  }

  /** Of two flushes at once a device may fail only one, for what both should have covered. */
  #expectNoError(): void {
    if (this.#deviceError !== undefined) throw this.#deviceError;
  }

  async #commit(): Promise<void> {
    // 1 copy
    const freed = this.#space.takeFreed();
    const contentChanges = this.#tx.contentChanges;
    const olderCheckpoint = this.#checkpoint;
    const transaction = this.#takeDirty();
    const checkpoint = this.#takeCheckpoint();
    const copied = this.#copy(transaction, checkpoint);
    if (copied) await copied;
    transaction?.pages.finish();

    // 2 log
    if (transaction) await this.#journal.writeRecords(transaction);
    if (transaction || this.#dataUnflushed) await this.#flush();

    // 3 commit
    if (transaction) await this.#journal.writeCommit(transaction);
    this.#expectNoError();

    this.#contentDurable = contentChanges;
    // Commit point. What the snapshot freed may be handed out again: J6.
    this.#release(freed, olderCheckpoint);

    // 4 checkpoint
    if (checkpoint) this.#startCheckpoint(checkpoint);
  }

  /** Step 1, at once: which frames become a transaction of the journal. */
  #takeDirty(): FramesToLog | undefined {
    const revoked = this.#cache.takeFreed();
    const frames = [...this.#cache.dirtySet()].sort((a, b) => a.block - b.block);
    if (frames.length === 0) return undefined;
    const transaction = this.#journal.begin(frames.length, revoked);
    for (const [place, frame] of frames.entries()) {
      frame.logPlace = place;
      this.#cache.markLogged(frame);
    }
    this.blocksLogged += transaction.places.length;
    return { ...transaction, frames };
  }

  /**
   * Step 1, bit by bit: what all these frames hold now. What is logged goes home as well, if
   * anything does. Undefined when that was all.
   */
  #copy(transaction: FramesToLog | undefined, checkpoint: Checkpoint | undefined): Promise<void> | undefined {
    const picture = new Picture(checkpoint?.frames ?? transaction?.frames ?? [], (frame) => {
      if (frame.logPlace >= 0) transaction?.pages.copy(frame, frame.logPlace);
      if (frame.homePlace >= 0 && checkpoint) this.#copyForHome(frame, checkpoint);
      frame.logPlace = -1;
      frame.homePlace = -1;
    });
    return this.#turns.inSteps(() => picture.takeSome());
  }

  #copyForHome({ bytes: content, homePlace }: Frame, { copy, mark }: Checkpoint): void {
    copy.at = homePlace * this.#blockBytes;
    copy.bytes.set(content, copy.at);
    sealBlock(copy, this.#blockBytes, mark.sequence - 1);
  }

  #release(freed: readonly Run[], olderCheckpoint: Promise<void> | undefined): void {
    if (freed.length === 0) return;
    const release = () => this.#epochs.afterAllSoFar(() => this.#handOut(freed));
    if (olderCheckpoint === undefined) release();
    else olderCheckpoint.then(release, () => {});
  }

  /** Makes freed runs available, bit by bit. */
  #handOut(freed: readonly Run[]): void {
    let at = 0;
    const rest = this.#turns.inSteps(() => {
      this.#space.release(this.#discards.take(freed.slice(at, at + RUNS_PER_STEP)));
      at += RUNS_PER_STEP;
      return at >= freed.length;
    });
    if (rest === undefined) return;
    const all = Promise.all([this.#handingOut, rest])
      .catch((thrown) => this.#fail(asError(thrown)))
      .then(() => {
        if (this.#handingOut === all) this.#handingOut = undefined;
      });
    this.#handingOut = all;
  }

  // ---- checkpoint ----

  get #checkpointDue(): boolean {
    if (this.#checkpointWanted) return true;
    const { loggedFrames, budgetFrames } = this.#cache;
    return (
      this.#journal.usedBlocks > this.#journal.logBlocks * CHECKPOINT_LOG_SHARE ||
      loggedFrames > budgetFrames * COMMIT_SHARE
    );
  }

  /**
   * All that is only in the journal, this commit included; none of it is written before the commit
   * point (J2).
   */
  #takeCheckpoint(): Checkpoint | undefined {
    if (this.#checkpoint !== undefined || !this.#checkpointDue) return undefined;
    this.#checkpointWanted = false;
    const mark = this.#journal.mark();
    const frames = [...this.#cache.loggedSet()].sort((a, b) => a.block - b.block);
    for (const [place, frame] of frames.entries()) {
      frame.homePlace = place;
      this.#cache.markGoingHome(frame);
    }
    const { memory, bytes, view } = this.#homeStaging.reserve(frames.length * this.#blockBytes);
    return { frames, mark, memory, copy: { bytes, view, at: 0 } };
  }

  #startCheckpoint(checkpoint: Checkpoint): void {
    this.checkpoints++;
    this.#checkpoint = this.#bringHome(checkpoint)
      .catch((thrown) => this.#deviceFailed(thrown))
      .finally(() => {
        this.#checkpoint = undefined;
      });
  }

  async #bringHome({ frames, memory, mark }: Checkpoint): Promise<void> {
    const blocks = frames.map((frame) => frame.block);
    try {
      await writeBlocks(this.#device, memory, blocks, this.#blockBytes);
      this.blocksWritten += blocks.length;
      await this.#flush();
    } finally {
      for (const frame of frames) this.#cache.markHome(frame);
    }
    // J3: at home for good. J4: moveTail flushes the head before it gives the place free.
    this.flushes++;
    await this.#journal.moveTail(mark);
  }

  /** @throws the error of the device, also of another request */
  async #flush(): Promise<void> {
    const covered = this.#dataWrites;
    this.flushes++;
    try {
      await flushDevice(this.#device);
    } catch (thrown) {
      this.#deviceFailed(thrown);
    }
    this.#expectNoError();
    this.#dataFlushed = Math.max(this.#dataFlushed, covered);
  }
}
