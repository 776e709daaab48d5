/**
 * The space of a volume: bitmaps and summaries on disk, changed only here.
 *
 * The bitmaps are the only truth about free space. Over them stand the summaries (layout.ts), whose
 * counts are changed in the same transaction; beside them the SpaceIndex keeps in memory what must
 * not be handed out now: blocks reserved for data on its way, and freed blocks that are not safe to
 * reuse. A policy picks, the index checks the answer, and this file sets the bits.
 *
 *   reserve ──▶ data is written ──▶ claim      two transactions with I/O between: bits set at the
 *                                              claim
 *   allocate                                   both at once, for metadata
 *   free ──▶ commit ──▶ release                reusable only when the freeing is durable and old
 *                                              I/O is over
 *
 * All numbers in the interface are absolute block numbers, except those that a transaction notes
 * and gives back. The alloc room counts from the start of the space.
 */
import type { AllocationKind, AllocationRequest, Allocator, Run } from '../../alloc/allocator.ts';
import { BelowLimit } from '../../alloc/below-limit.ts';
import { isBuiltIn } from '../../alloc/built-in.ts';
import { FencedPolicy, type PolicyOffer } from '../../alloc/fenced-policy.ts';
import { SpaceIndex, SpaceMismatchError } from '../../alloc/space-index.ts';
import { CorruptionError, FsError, fsError } from '../base/errors.ts';
import type { ReservedSpace } from '../base/filesystem.ts';
import type { BlockNumber, BlockRun, SpaceNumber } from '../base/numbers.ts';
import type { Layout } from '../format/layout.ts';
import { AllocationCounts } from './allocation-counts.ts';
import { growSpace } from './space-growth.ts';
import { SpaceOnDisk } from './space-on-disk.ts';
import { shrinkSpace } from './space-shrink.ts';
import { MOST_SURVEYED_GROUPS, SpaceSurvey } from './space-survey.ts';
import type { SpaceChangeKind, SpaceLedger, Transaction } from './transaction.ts';

/** Counters of who decides which blocks are handed out. */
export interface PolicyCounters {
  readonly allocator: string;
  /** The module that it came from; empty if it came with Quarry. */
  readonly allocatorFile: string;
  /**
   * Why the built-in policy decides in its place, or its figures are missing; empty while all is
   * well.
   */
  readonly allocatorFault: string;
  /**
   * Requests that the built-in policy answered, because this one found nothing where there was
   * something.
   */
  readonly allocatorPassedOver: number;
  readonly policy: Record<string, number>;
}

/**
 * Blocks kept back for tree nodes, so that deleting works on a full volume. Most of them
 * are there for names too, but not for those of more and more new files: see `#keptFrom`.
 */
export const KEPT_BACK_BLOCKS = 16;

/** What a caller of `reserve` or `allocate` wants; `goal` is an absolute block or −1. */
export interface SpaceRequest {
  goal: BlockNumber;
  length: number;
  minimum: number;
  inode: number;
  kind: AllocationKind;
  stream: boolean;
}

/** Which free runs are to be withheld. */
export interface WithheldRequest {
  readonly from: BlockNumber;
  readonly limit: BlockNumber;
  /** The shortest run. */
  readonly minimumBlocks: number;
  /** In all, at least `minimumBlocks`. */
  readonly mostBlocks: number;
  readonly mostRuns: number;
}

/** Runs out of the free space, counted from its start, and the block to go on with. */
export interface Withheld {
  readonly runs: readonly Run[];
  readonly next: BlockNumber;
}

export class SpaceMap implements SpaceLedger {
  readonly counts = new AllocationCounts();
  readonly #tx: Transaction;
  readonly #layout: Layout;
  readonly #disk: SpaceOnDisk;
  readonly #index: SpaceIndex;
  #policyName = '';
  #policyFile = '';
  #policy: Allocator | undefined;
  #fence: FencedPolicy | undefined;
  /** Runs freed by transactions that the next commit will make durable. */
  #freed: Run[] = [];
  /** Blocks that are left to tree nodes for writes under way, see `holdNodes`. */
  #heldForNodes = 0;
  /** How many inodes the volume would have had when a new one was last refused. */
  #inodesWhenFull = 0;

  /** What ordinary users leave to root. */
  reserved: ReservedSpace = { bytes: 0, share: 0 };

  constructor(tx: Transaction, layout: Layout) {
    this.#tx = tx;
    this.#layout = layout;
    this.#disk = new SpaceOnDisk(tx, layout);
    this.#index = new SpaceIndex(this.#disk);
    tx.keepSpaceBy(this);
  }

  get #keptBack(): number {
    return Math.min(KEPT_BACK_BLOCKS, Math.floor(this.#layout.spaceBlocks / 32));
  }

  /**
   * Makes the space as long as a volume of so many blocks has it; all that is new is free. What is
   * in memory follows with `resized`, when the transaction has succeeded.
   */
  grow(tx: Transaction, blockCount: number): void {
    growSpace(tx, this.#disk, blockCount);
  }

  /**
   * Makes the space as short as a volume of so many blocks has it, where nothing is in use behind
   * its end. `resized` follows.
   * @throws CorruptionError if something is
   */
  shrink(tx: Transaction, blockCount: number): void {
    shrinkSpace(tx, this.#disk, blockCount);
  }

  /** Everybody, who shares the layout, sees the new size from here on. */
  resized(blockCount: number): void {
    this.#layout.resize(blockCount);
    this.#index.resized();
  }

  /**
   * Nothing is handed out from the block `end` on any more; the policy that decided until now does
   * not come back.
   */
  confine(end: BlockNumber): void {
    this.#fence = undefined;
    this.#policy = new BelowLimit(this.#index, end - this.#layout.spaceStart);
  }

  /** The free space as policies see it. */
  get index(): SpaceIndex {
    return this.#index;
  }

  /**
   * Makes the policy that will decide; one that is not of the program, within a fence. Must be
   * called before the first request.
   * @throws PolicyError if it cannot be made. May miss
   */
  usePolicy(offer: PolicyOffer): void {
    const { definition, options = {}, file = '' } = offer;
    this.#policyName = definition.name;
    this.#policyFile = file;
    if (isBuiltIn(definition)) {
      this.#policy = definition.create(this.#index, options);
      return;
    }
    this.#fence = new FencedPolicy(this.#index, offer);
    this.#policy = this.#fence;
  }

  get policy(): Allocator | undefined {
    return this.#policy;
  }

  policyCounters(): PolicyCounters {
    // First of all: what it does wrong here is told below.
    const policy = this.#policy?.stats?.() ?? {};
    return {
      allocator: this.#policyName,
      allocatorFile: this.#policyFile,
      allocatorFault: this.#fence?.fault ?? '',
      allocatorPassedOver: this.#fence?.passedOver ?? 0,
      policy,
    };
  }

  /** The fence around the policy, if it needs one. */
  get fence(): FencedPolicy | undefined {
    return this.#fence;
  }

  /**
   * Blocks that files may still take: clear bits less reservations less what is kept back. Needs
   * the top summary in memory.
   */
  get availableBlocks(): number {
    return Math.max(0, this.#index.freeBlocks + this.#index.quarantinedBlocks - this.#keptBack);
  }

  /** Blocks of those that are left to root: no more than half of the volume. */
  get reservedBlocks(): number {
    const { bytes, share } = this.reserved;
    if (bytes === 0 && share === 0) return 0;
    const usable = this.usableBlocks;
    return Math.min(
      Math.floor(usable / 2),
      Math.ceil(bytes / this.#layout.blockBytes) + Math.floor(share * usable),
    );
  }

  /** Blocks that files of whoever asks may still take. */
  get availableToAsker(): number {
    return Math.max(0, this.availableBlocks - this.#leftToRoot);
  }

  get #leftToRoot(): number {
    const reserved = this.reservedBlocks;
    if (reserved === 0) return 0;
    const { asker } = this.#tx;
    return (asker?.usesReserve ?? asker?.isLimited !== true) ? 0 : reserved;
  }

  /** Are there as many blocks for tree nodes beside what is kept back and held? May miss. */
  hasNodes(blocks: number): boolean {
    return this.#index.freeBlocks >= this.#keptBack + this.#heldForNodes + blocks;
  }

  /**
   * From now on so many more blocks (or fewer, if negative) are given to tree nodes only: a write
   * has promised its caller that it will find them.
   */
  holdNodes(blocks: number): void {
    this.#heldForNodes += blocks;
  }

  /**
   * A survey of the space, which follows it until the next one, or `endSurvey`.
   * @param mostCells its map has at most as many
   * @returns undefined where the volume has too many groups
   */
  beginSurvey(mostCells: number): SpaceSurvey | undefined {
    this.endSurvey();
    if (this.#layout.groupCount > MOST_SURVEYED_GROUPS) return undefined;
    const survey = new SpaceSurvey(this.#disk, this.#layout, mostCells);
    this.#disk.groupChanged = (group) => survey.groupChanged(group);
    return survey;
  }

  endSurvey(): void {
    this.#disk.groupChanged = undefined;
  }

  /** Blocks that files may have at most. */
  get usableBlocks(): number {
    return this.#layout.pristineFree(this.#layout.summaryLevels, 0) - this.#keptBack;
  }

  /** Blocks that become available with the next commit. */
  get pendingBlocks(): number {
    return this.#index.quarantinedBlocks;
  }

  /**
   * Can these blocks belong to an inode: do they lie in one group of the space, behind its bitmap
   * and summaries?
   */
  contains(block: BlockNumber, length: number): boolean {
    const { spaceStart, spaceBlocks, bitsPerBlock } = this.#layout;
    const start = block - spaceStart;
    if (!(length > 0 && start >= 0 && start + length <= spaceBlocks)) return false;
    const group = Math.floor(start / bitsPerBlock);
    const first = start - group * bitsPerBlock;
    // No group has more than a few blocks of metadata: beyond them there is nothing to compute.
    return (
      first + length <= bitsPerBlock && (first >= 16 || first >= this.#layout.groupMetadataBlocks(group))
    );
  }

  /**
   * A run for data that is written before its bits are set: `claim` or `unreserve` follows.
   * @throws ENOSPC
   */
  reserve(tx: Transaction, want: SpaceRequest): BlockRun {
    const run = this.#pick(want);
    tx.noteSpace('reserved', run.start, run.length);
    return { start: run.start + this.#layout.spaceStart, length: run.length };
  }

  /** A run for metadata, bits set at once. @throws ENOSPC */
  allocate(tx: Transaction, want: SpaceRequest): BlockRun {
    const run = this.#pick(want);
    tx.noteSpace('reserved', run.start, run.length);
    this.#set(tx, run);
    return { start: run.start + this.#layout.spaceStart, length: run.length };
  }

  /**
   * The same; undefined, and nothing changed, where it would throw ENOSPC. Whoever cannot do
   * without the blocks throws `noRoom`.
   */
  allocateIfAny(tx: Transaction, want: SpaceRequest): BlockRun | undefined {
    return this.#ifAny(() => this.allocate(tx, want));
  }

  /** As `reserve`; undefined, and nothing changed, where it would throw ENOSPC. */
  reserveIfAny(tx: Transaction, want: SpaceRequest): BlockRun | undefined {
    return this.#ifAny(() => this.reserve(tx, want));
  }

  #ifAny(take: () => BlockRun): BlockRun | undefined {
    const inodesWhenFull = this.#inodesWhenFull;
    try {
      return take();
    } catch (thrown) {
      this.#inodesWhenFull = inodesWhenFull;
      if (thrown instanceof FsError && thrown.code === 'ENOSPC') return undefined;
      throw thrown;
    }
  }

  /** One block for metadata. @throws ENOSPC */
  allocateOne(tx: Transaction, goal: BlockNumber, inode: number, kind: AllocationKind): BlockNumber {
    return this.allocate(tx, { goal, length: 1, minimum: 1, inode, kind, stream: false }).start;
  }

  /** Sets the bits of a reserved run: its data is written. */
  claim(tx: Transaction, start: BlockNumber, length: number): void {
    this.#set(tx, { start: start - this.#layout.spaceStart, length });
  }

  #set(tx: Transaction, run: Run): void {
    this.#disk.change(run.start, run.length, true);
    this.#index.commitReserved(run);
    tx.noteSpace('claimed', run.start, run.length);
  }

  /** Gives a reserved run back whose data never came. Outside of transactions. */
  unreserve(start: BlockNumber, length: number): void {
    const run = { start: start - this.#layout.spaceStart, length };
    this.#index.unreserve(run);
    this.counts.returned(length);
    this.#policy?.release?.(run);
  }

  /**
   * Clears the bits of blocks in use; a run may span groups.
   * @throws CorruptionError if one is free already
   */
  free(tx: Transaction, start: BlockNumber, length: number): void {
    if (!this.contains(start, length)) throw new CorruptionError(start, 'is outside the space, yet in use');
    const group = this.#layout.bitsPerBlock;
    let at = start - this.#layout.spaceStart;
    const end = at + length;
    while (at < end) {
      const here = Math.min(end, (Math.floor(at / group) + 1) * group) - at;
      this.#disk.change(at, here, false);
      this.#index.quarantine({ start: at, length: here });
      tx.noteSpace('freed', at, here);
      at += here;
    }
  }

  /** Takes back one change of space in a transaction that fails; the bits are as before already. */
  undo(kind: SpaceChangeKind, start: SpaceNumber, length: number): void {
    const run = { start, length };
    if (kind === 'claimed') this.#index.uncommitReserved(run);
    else if (kind === 'freed') this.#index.unquarantine(run, true);
    else {
      this.#index.unreserve(run);
      this.counts.returned(length);
      this.#policy?.release?.(run);
    }
  }

  /** The transaction that freed the run succeeded. */
  freeingSucceeded(start: SpaceNumber, length: number): void {
    this.counts.freed(length);
    this.#freed.push({ start, length });
  }

  /** The runs freed since the last call: a commit makes their freeing durable. */
  takeFreed(): Run[] {
    const runs = this.#freed;
    this.#freed = [];
    return runs;
  }

  /** The runs may be handed out again. */
  release(runs: readonly Run[]): void {
    for (const run of runs) {
      this.#index.unquarantine(run, false);
      this.#policy?.release?.(run);
    }
  }

  /**
   * Takes free runs out of the free space, for a moment: `giveBack` follows, and until then they
   * count as pending. They lie in the group of `from`, in [from, limit), absolute blocks. The
   * policy is not told, for nothing is in use that was not. To be called last in a transaction. May
   * miss.
   */
  withhold({ from, limit, minimumBlocks, mostBlocks, mostRuns }: WithheldRequest): Withheld {
    const { spaceStart, bitsPerBlock } = this.#layout;
    const index = this.#index;
    const groupEnd = (Math.floor((from - spaceStart) / bitsPerBlock) + 1) * bitsPerBlock;
    const end = Math.min(groupEnd, limit - spaceStart);
    const runs: Run[] = [];
    let at = from - spaceStart;
    let left = mostBlocks;
    while (at < end && left >= minimumBlocks && runs.length < mostRuns) {
      const found = index.findRun(at, end, minimumBlocks, bitsPerBlock);
      if (found === undefined) return this.#withheld(runs, end);
      at = found.start + found.length;
      const length = Math.min(found.length, left, end - found.start);
      if (length < minimumBlocks) continue;
      runs.push({ start: found.start, length });
      at = found.start + length;
      left -= length;
    }
    return this.#withheld(runs, at);
  }

  #withheld(runs: readonly Run[], next: SpaceNumber): Withheld {
    for (const run of runs) this.#index.withhold(run);
    return { runs, next: next + this.#layout.spaceStart };
  }

  /** Runs that were withheld are free as before. */
  giveBack(runs: readonly Run[]): void {
    for (const run of runs) this.#index.unquarantine(run, false);
  }

  /** Asks the policy, checks its answer, takes the blocks out of the free space. */
  #pick(want: SpaceRequest): Run {
    if (this.#tx.readOnly) throw this.#tx.refusal();
    const request: AllocationRequest = {
      ...want,
      goal: want.goal < 0 ? -1 : want.goal - this.#layout.spaceStart,
    };
    if (want.kind !== 'tree') this.#keepBack(request);
    try {
      const run = this.#policy?.allocate(request);
      if (run === undefined) throw fsError('ENOSPC');
      this.#index.checkAnswer(this.#policyName, run, request);
      this.#index.reserve(run);
      this.counts.handedOut(run, request);
      this.#policy?.taken?.(run, request);
      return run;
    } catch (thrown) {
      if (!(thrown instanceof SpaceMismatchError)) throw thrown;
      throw new CorruptionError(this.#layout.bitmapBlock(thrown.group), thrown.message);
    }
  }

  #keepBack(request: AllocationRequest): void {
    const most = this.#index.freeBlocks - this.#keptFrom(request) - this.#heldForNodes;
    if (most < request.minimum) throw this.noRoom();
    if (request.length > most) request.length = most;
  }

  /** ENOSPC. If that is for a new inode, the volume is full with those that there are. */
  noRoom(): FsError {
    if (this.#tx.inodesWithNew > 0) this.#inodesWhenFull = this.#tx.inodesWithNew;
    return fsError('ENOSPC');
  }

  /**
   * How many blocks the request has to leave. The node of a directory may be full though another
   * one has room: names of files that take the place of removed ones may have half of what is kept
   * back, and names that come without a new inode, as those of a rename, most of it.
   */
  #keptFrom({ kind }: AllocationRequest): number {
    const inodes = this.#tx.inodesWithNew;
    if (kind === 'directory' && inodes === 0) return this.#keptBack >> 2;
    const replaces = kind === 'directory' && inodes < this.#inodesWhenFull;
    return (replaces ? this.#keptBack >> 1 : this.#keptBack) + this.#leftToRoot;
  }
}
