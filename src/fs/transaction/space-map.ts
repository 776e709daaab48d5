/**
 * The space of a volume: bitmaps and summaries on disk, changed only here.
 *
 * The bitmaps are the only truth about free space. Over them stand the summaries (layout.ts), whose
 * counts are changed in the same transaction; beside them the SpaceIndex keeps in memory what must
 * not be handed out now: blocks reserved for data on its way, and freed blocks that are not safe to
 * reuse. A policy picks, the index checks the answer, and this file sets the bits.
 *
 *   reserve ──▶ data is written ──▶ claim      two transactions with I/O between: bits set at the claim
 *   allocate                                   both at once, for metadata
 *   free ──▶ commit ──▶ release                reusable only when the freeing is durable and old I/O is over
 *
 * All numbers in the interface are absolute block numbers, except those that a transaction notes
 * and gives back. The alloc room counts from the start of the space.
 */
import type { AllocationKind, AllocationRequest, Allocator, Run } from '../../alloc/allocator.ts';
import { clearRange, countRange, setRange } from '../../alloc/bit-words.ts';
import { isBuiltIn } from '../../alloc/built-in.ts';
import { FencedPolicy, type PolicyOffer } from '../../alloc/fenced-policy.ts';
import { type GroupSource, SpaceIndex, SpaceMismatchError } from '../../alloc/space-index.ts';
import { CorruptionError, fsError } from '../base/errors.ts';
import type { BlockNumber, BlockRun, SpaceNumber } from '../base/numbers.ts';
import {
  BitmapHeader,
  BlockKind,
  HEADER_BYTES,
  SUMMARY_INITIALISED,
  SummaryEntry,
  SummaryHeader,
} from '../format/format.ts';
import type { Layout } from '../format/layout.ts';
import type { Frame } from './block-cache.ts';
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

/** Blocks kept back for tree nodes, so that deleting works on a full volume. */
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

function bitWords(frame: Frame): Uint32Array {
  const { buffer, byteOffset, byteLength } = frame.bytes;
  return new Uint32Array(buffer, byteOffset + HEADER_BYTES, (byteLength - HEADER_BYTES) / 4);
}

/** The summaries and bitmaps, read and changed in the running transaction. */
class SpaceOnDisk implements GroupSource {
  readonly blockCount: number;
  readonly groupBlocks: number;
  readonly groupCount: number;

  constructor(
    readonly tx: Transaction,
    readonly layout: Layout,
  ) {
    this.blockCount = layout.spaceBlocks;
    this.groupBlocks = layout.bitsPerBlock;
    this.groupCount = layout.groupCount;
  }

  get freeBlocks(): number {
    const { layout } = this;
    const root = this.#summary(layout.summaryLevels, 0);
    return SummaryHeader.freeBlocks.get(root.view, 0);
  }

  freeInGroup(group: number): number {
    return this.#freeUnder(0, group);
  }

  nextGroup(from: number, minimum: number): number {
    return this.#search(this.layout.summaryLevels, 0, from, minimum);
  }

  /** First group ≥ `from` under the node with `minimum` free blocks, or −1. */
  #search(level: number, index: number, from: number, minimum: number): number {
    const { layout } = this;
    const fanout = layout.summaryFanout;
    const childSpan = fanout ** (level - 1);
    const first = index * fanout;
    const last = Math.min(first + fanout, layout.summaryNodes(level - 1));
    for (let child = Math.max(first, Math.floor(from / childSpan)); child < last; child++) {
      if (this.#freeUnder(level - 1, child) < minimum) continue;
      if (level === 1) return child;
      const found = this.#search(level - 1, child, from, minimum);
      if (found >= 0) return found;
    }
    return -1;
  }

  /** Free blocks under node `index` of `level`, or in the group at level 0. */
  #freeUnder(level: number, index: number): number {
    const { layout } = this;
    const parent = Math.floor(index / layout.summaryFanout);
    if (!this.#initialised(level + 1, parent)) return layout.pristineFree(level, index);
    return SummaryEntry.freeBlocks.get(this.#summary(level + 1, parent).view, this.#entryAt(index));
  }

  /** Was the node of this level (the bitmap, at level 0) ever written? */
  #initialised(level: number, index: number): boolean {
    const { layout } = this;
    if (level >= layout.summaryLevels) return true;
    const parent = Math.floor(index / layout.summaryFanout);
    if (!this.#initialised(level + 1, parent)) return false;
    const flags = SummaryEntry.flags.get(this.#summary(level + 1, parent).view, this.#entryAt(index));
    return (flags & SUMMARY_INITIALISED) !== 0;
  }

  #summary(level: number, index: number): Frame {
    return this.tx.read(this.layout.summaryBlock(level, index), BlockKind.summary);
  }

  #entryAt(index: number): number {
    return HEADER_BYTES + (index % this.layout.summaryFanout) * SummaryEntry.sizeBytes;
  }

  readBitmap(group: number): Uint8Array {
    const bytes = Math.ceil(this.layout.groupLength(group) / 8);
    if (this.#initialised(0, group)) {
      const frame = this.tx.read(this.layout.bitmapBlock(group), BlockKind.groupBitmap);
      const metadata = this.layout.groupMetadataBlocks(group);
      if (countRange(bitWords(frame), 0, metadata) !== metadata) {
        throw new CorruptionError(frame.block, 'a bitmap in which its own block is free');
      }
      return frame.bytes.subarray(HEADER_BYTES, HEADER_BYTES + bytes);
    }
    const pristine = new Uint32Array(Math.ceil(bytes / 4));
    setRange(pristine, 0, this.layout.groupMetadataBlocks(group));
    return new Uint8Array(pristine.buffer, 0, bytes);
  }

  /**
   * Sets or clears bits of one group and moves all counts with them.
   * @throws CorruptionError if one of them is so already
   */
  change(start: SpaceNumber, length: number, toUsed: boolean): void {
    const { layout, tx } = this;
    const group = Math.floor(start / layout.bitsPerBlock);
    this.#initialise(0, group);
    const frame = tx.read(layout.bitmapBlock(group), BlockKind.groupBitmap);
    const words = bitWords(frame);
    const first = start - group * layout.bitsPerBlock;
    const set = countRange(words, first, length);
    if (set !== (toUsed ? 0 : length) || first < layout.groupMetadataBlocks(group)) {
      throw new CorruptionError(
        frame.block,
        `blocks ${start + layout.spaceStart} to ${start + layout.spaceStart + length - 1} are not all ${toUsed ? 'free' : 'in use'}`,
      );
    }
    tx.modify(frame);
    if (toUsed) setRange(words, first, length);
    else clearRange(words, first, length);
    this.#countBits(frame, first, toUsed ? length : -length);
    this.#countSummaries(group, toUsed ? -length : length);
  }

  #countBits(frame: Frame, first: number, change: number): void {
    BitmapHeader.used.set(frame.view, 0, BitmapHeader.used.get(frame.view, 0) + change);
    const hint = BitmapHeader.firstFree.get(frame.view, 0);
    if (change < 0 && first < hint) BitmapHeader.firstFree.set(frame.view, 0, first);
  }

  #countSummaries(group: number, change: number): void {
    const { layout, tx } = this;
    let index = group;
    for (let level = 1; level <= layout.summaryLevels; level++) {
      const node = this.#summary(level, Math.floor(index / layout.summaryFanout));
      const at = this.#entryAt(index);
      tx.modify(node);
      const { view } = node;
      SummaryEntry.freeBlocks.set(view, at, SummaryEntry.freeBlocks.get(view, at) + change);
      SummaryHeader.freeBlocks.set(view, 0, SummaryHeader.freeBlocks.get(view, 0) + change);
      index = Math.floor(index / layout.summaryFanout);
    }
  }

  /**
   * Writes the node (bitmap at level 0) as mkfs means it, and its parents before it, if that was
   * never done.
   */
  #initialise(level: number, index: number): void {
    const { layout, tx } = this;
    if (this.#initialised(level, index)) return;
    const parent = Math.floor(index / layout.summaryFanout);
    this.#initialise(level + 1, parent);
    if (level === 0) createBitmap(tx, layout, index);
    else createSummary(tx, layout, level, index);
    const node = this.#summary(level + 1, parent);
    tx.modify(node);
    SummaryEntry.flags.set(node.view, this.#entryAt(index), SUMMARY_INITIALISED);
  }
}

/** A group's first bitmap: its own metadata in use, and the bits beyond its end. */
export function createBitmap(tx: Transaction, layout: Layout, group: number): void {
  const frame = tx.create(layout.bitmapBlock(group), BlockKind.groupBitmap, 0);
  const words = bitWords(frame);
  const metadata = layout.groupMetadataBlocks(group);
  const length = layout.groupLength(group);
  setRange(words, 0, metadata);
  setRange(words, length, layout.bitsPerBlock - length);
  BitmapHeader.used.set(frame.view, 0, metadata + layout.bitsPerBlock - length);
  BitmapHeader.firstFree.set(frame.view, 0, metadata);
}

/** A summary node of which nothing below was ever written. */
export function createSummary(tx: Transaction, layout: Layout, level: number, index: number): Frame {
  const frame = tx.create(layout.summaryBlock(level, index), BlockKind.summary, 0);
  const { view } = frame;
  const first = index * layout.summaryFanout;
  const last = Math.min(first + layout.summaryFanout, layout.summaryNodes(level - 1));
  let sum = 0;
  for (let child = first; child < last; child++) {
    const free = layout.pristineFree(level - 1, child);
    SummaryEntry.freeBlocks.set(view, HEADER_BYTES + (child - first) * SummaryEntry.sizeBytes, free);
    sum += free;
  }
  SummaryHeader.freeBlocks.set(view, 0, sum);
  SummaryHeader.level.set(view, 0, level);
  SummaryHeader.entryCount.set(view, 0, last - first);
  return frame;
}

/** Writes bitmap and summaries of group 0, which every volume has. For mkfs. */
export function createSpace(tx: Transaction, layout: Layout): void {
  createBitmap(tx, layout, 0);
  for (let level = 1; level <= layout.summaryLevels; level++) {
    const frame = createSummary(tx, layout, level, 0);
    SummaryEntry.flags.set(frame.view, HEADER_BYTES, SUMMARY_INITIALISED);
  }
}

export class SpaceMap implements SpaceLedger {
  readonly #tx: Transaction;
  readonly #layout: Layout;
  readonly #disk: SpaceOnDisk;
  readonly #index: SpaceIndex;
  readonly #keptBack: number;
  #policyName = '';
  #policyFile = '';
  #policy: Allocator | undefined;
  #fence: FencedPolicy | undefined;
  /** Runs freed by transactions that the next commit will make durable. */
  #freed: Run[] = [];

  constructor(tx: Transaction, layout: Layout) {
    this.#tx = tx;
    this.#layout = layout;
    this.#disk = new SpaceOnDisk(tx, layout);
    this.#index = new SpaceIndex(this.#disk);
    this.#keptBack = Math.min(KEPT_BACK_BLOCKS, Math.floor(layout.spaceBlocks / 32));
    tx.keepSpaceBy(this);
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
      this.#policy?.release?.(run);
    }
  }

  /** The transaction that freed the run succeeded. */
  freeingSucceeded(start: SpaceNumber, length: number): void {
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
      this.#policy?.taken?.(run, request);
      return run;
    } catch (thrown) {
      if (!(thrown instanceof SpaceMismatchError)) throw thrown;
      throw new CorruptionError(this.#layout.bitmapBlock(thrown.group), thrown.message);
    }
  }

  #keepBack(request: AllocationRequest): void {
    const most = this.#index.freeBlocks - this.#keptBack;
    if (most < request.minimum) throw fsError('ENOSPC');
    if (request.length > most) request.length = most;
  }
}
