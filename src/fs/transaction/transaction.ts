/**
 * Transactions: a metadata operation as a synchronous, all-or-nothing function of cached blocks.
 *
 *   begin → perform(tx) → succeed   the changed frames are dirty, a later commit writes them
 *                       → fail      every changed frame gets its pre-image back, made frames go,
 *                                   the allocator has back what it gave: nothing happened
 *
 * `read` returns a frame that is in memory or throws the one BlockMiss, which names the block to
 * load; the runner (operation-runner.ts) fails the transaction, loads, and performs it again from
 * the top. `modify` must be called before the first change of a frame: it keeps the pre-image.
 * `create` makes the frame of a newly allocated block, `discard` lets go of a freed one.
 *
 * There is one Transaction per volume, used again and again: operations never overlap.
 *
 * Invariants: (T1) a frame differs from its content at `begin` only if it is on the modified or
 * created list; (T2) after `fail` no frame, no space count and no note differs from `begin`; (T3) a
 * frame touched stays in its place until the end.
 */
import { strict as assert } from 'node:assert';
import type { Clock } from '../base/clock.ts';
import { empty } from '../base/empty.ts';
import { CorruptionError, fsError } from '../base/errors.ts';
import type { Claimant, TransactionHandle } from '../base/filesystem.ts';
import type { BlockNumber, SpaceNumber } from '../base/numbers.ts';
import { initialiseHeader } from '../format/block-header.ts';
import { type BlockKind, OwnerHeader } from '../format/format.ts';
import type { BlockCache, Frame } from './block-cache.ts';

/** Thrown when a block is not in memory. One object serves all: an answer, not an accident. */
export class BlockMiss extends Error {
  block = -1;
  /** Blocks worth reading at once, this one first. */
  count = 1;
}

/** Thrown by a change of a volume at rest, see rest.ts. One object serves all. */
export const RESTING = new Error('the volume is at rest');

/**
 * Thrown by an operation that has done its share of this turn and is to be performed again. One
 * object serves all.
 */
export const PAUSED = new Error('the rest comes later');

/** Space that changed hands in the running transaction. */
/** What happens to a run of blocks in a transaction. */
export type SpaceChangeKind = 'reserved' | 'claimed' | 'freed';

interface SpaceChange {
  readonly kind: SpaceChangeKind;
  readonly start: SpaceNumber;
  readonly length: number;
}

/** Who counts the free space: told what becomes of the changes that a transaction noted. */
export interface SpaceLedger {
  /** The transaction stands: its freed blocks wait for the commit. */
  freeingSucceeded(start: SpaceNumber, length: number): void;
  /** It is taken back. */
  undo(kind: SpaceChangeKind, start: SpaceNumber, length: number): void;
}

/** Who counts what users, groups and projects have: told of what a transaction changes. */
export interface UsageLedger {
  /** A transaction begins: what was noted before is forgotten. */
  begin(): void;
  /** Who is to be asked whether limits hold; nobody is for nobody. */
  askedBy(asker: Claimant | undefined): void;
  /** The inode that stands there has so many blocks more, and is there so many times more. */
  note(view: DataView, at: number, blocks: number, inodes: number): void;
  /**
   * Enters what was noted, as the last change of the transaction.
   * @throws EDQUOT where that is not allowed; ENOSPC for a node of the tree; CorruptionError
   */
  settle(tx: Transaction): void;
}

/**
 * Work of an operation that is done in steps, and what a later run of it goes on from. Who keeps it
 * here knows what it is.
 */
export abstract class UnfinishedWork {}

export class Transaction implements TransactionHandle {
  readonly miss = new BlockMiss('block not in memory');
  /** Inodes that lost their last name in this transaction. */
  readonly orphaned: number[] = [];
  /** Inodes made without a name in it. */
  readonly unnamed: number[] = [];
  /** Inodes without a name that got one. */
  readonly named: number[] = [];
  /** The writes answered early before this operation are done. */
  behindEarlyWrites = false;
  /** Of all transactions that stand; a block counts once for each of them. */
  blocksChanged = 0;
  /** Of them, those that changed more than times. */
  contentChanges = 0;
  /** Moves on whenever the inode table's map changes or a change of it may have been taken back. */
  changesOfTable = 0;
  #space: SpaceLedger | undefined;
  /** Who asks for what the running transaction does; undefined for nobody who has limits. */
  asker: Claimant | undefined = undefined;
  /** Undefined where nobody counts usage. */
  usage: UsageLedger | undefined;
  /** See `TransactionHandle`. */
  mustBeDurable = false;
  readonly #clock: Clock;
  #timed = false;
  /** Read-only until the first change. */
  resting = false;
  /** Read-only, and changes are EIO. */
  shutDown = false;
  /**
   * Moves on whenever a directory gets another parent or is removed, or a change of that kind may
   * have been taken back.
   */
  treeChanges = 0;
  /** Inodes that the volume has after this transaction, if it makes one; 0 if not. */
  inodesWithNew = 0;
  /** Of the running operation, from this run and those before. */
  unfinished: UnfinishedWork[] | undefined;
  #serial = 0;
  #running = false;
  #changesContent = false;
  readonly #modified: Frame[] = [];
  readonly #preImages: Uint8Array[] = [];
  readonly #created: Frame[] = [];
  readonly #discarded: number[] = [];
  readonly #spaceChanges: SpaceChange[] = [];
  readonly #spare: Uint8Array[] = [];

  readonly blockBytes: number;

  constructor(
    readonly cache: BlockCache,
    clock: Clock,
    public readOnly: boolean,
  ) {
    this.blockBytes = cache.blockBytes;
    this.#clock = clock;
  }

  /** The time of this transaction: read when it is first asked for, since most only look. */
  get clock(): Clock {
    if (!this.#timed) this.#clock.read();
    this.#timed = true;
    return this.#clock;
  }

  /** Seconds since 1970, for what counts in days. */
  get roughSeconds(): number {
    return this.#clock.roughSeconds();
  }

  /** What a change of a read-only volume throws. */
  refusal(): Error {
    if (this.resting) return RESTING;
    return fsError(this.shutDown ? 'EIO' : 'EROFS');
  }

  begin(): void {
    assert(!this.#running, 'transactions do not nest');
    this.#running = true;
    this.#timed = false;
    this.mustBeDurable = false;
    this.#changesContent = false;
    this.inodesWithNew = 0;
    if (this.usage !== undefined) this.usage.begin();
    this.#serial++;
  }

  /**
   * The frame of `block`, which must be of `kind`. `ahead` blocks are loaded with it if it has to
   * be loaded.
   */
  read(block: BlockNumber, kind: BlockKind, ahead = 1): Frame {
    const frame = this.cache.get(block);
    if (frame === undefined) {
      this.miss.block = block;
      this.miss.count = ahead;
      throw this.miss;
    }
    if (frame.kind !== kind) throw new CorruptionError(block, `is of kind ${frame.kind}, expected ${kind}`);
    frame.touchedBy = this.#serial;
    frame.recent = true;
    return frame;
  }

  /** Announces a change of the frame. */
  modify(frame: Frame): void {
    this.#changesContent = true;
    this.modifyTimes(frame);
  }

  /**
   * Announces a change of nothing but times of an inode in the frame: all that a sync of data alone
   * need not bring to the disk.
   */
  modifyTimes(frame: Frame): void {
    if (frame.modifiedBy === this.#serial) return;
    assert(this.#running, 'a frame changes in a transaction only');
    if (this.readOnly) throw this.refusal();
    frame.picture?.take(frame);
    const image = this.#spare.pop() ?? new Uint8Array(this.blockBytes);
    image.set(frame.bytes);
    frame.modifiedBy = this.#serial;
    this.#modified.push(frame);
    this.#preImages.push(image);
  }

  /** The zeroed frame of a block that has just been allocated, header filled in. */
  create(block: BlockNumber, kind: BlockKind, owner: number): Frame {
    assert(this.#running, 'a frame is made in a transaction only');
    if (this.readOnly) throw this.refusal();
    this.#changesContent = true;
    const frame = this.cache.claim(block, this.#serial);
    initialiseHeader(frame, kind, block, this.cache.uuid);
    if (owner !== 0) OwnerHeader.owner.set(frame.view, 0, owner);
    frame.kind = kind;
    frame.touchedBy = this.#serial;
    frame.modifiedBy = this.#serial;
    frame.recent = true;
    this.#created.push(frame);
    return frame;
  }

  /** The metadata block was freed: its frame goes when the transaction succeeds. */
  discard(block: BlockNumber): void {
    this.#discarded.push(block);
  }

  /** Once, before the first change of space. */
  keepSpaceBy(ledger: SpaceLedger): void {
    assert(this.#space === undefined, 'free space is counted twice');
    this.#space = ledger;
  }

  get #ledger(): SpaceLedger {
    assert(this.#space, 'nobody counts the free space');
    return this.#space;
  }

  noteSpace(kind: SpaceChangeKind, start: SpaceNumber, length: number): void {
    this.#spaceChanges.push({ kind, start, length });
  }

  /** Frames changed that no earlier transaction left dirty. */
  get newlyDirty(): number {
    let count = this.#created.length;
    for (const frame of this.#modified) if (!frame.dirty) count++;
    return count;
  }

  /** Frames changed: at least `newlyDirty`, and cheaper to know. */
  get changedFrames(): number {
    return this.#modified.length + this.#created.length;
  }

  /** Metadata blocks freed. */
  get freedBlocks(): number {
    return this.#discarded.length;
  }

  /**
   * The changes stand. Returns whether there were any.
   * @throws a bug of ours: the changes are there in part then
   */
  succeed(): boolean {
    const changed = this.#modified.length + this.#created.length > 0;
    if (!changed && this.#spaceChanges.length === 0) {
      this.#running = false;
      return false;
    }
    try {
      this.#keepChanges();
    } finally {
      this.#end();
    }
    return changed;
  }

  #keepChanges(): void {
    const { cache } = this;
    if (this.#changesContent) this.contentChanges++;
    this.blocksChanged += this.#modified.length + this.#created.length;
    for (const frame of this.#modified) cache.markDirty(frame);
    for (const frame of this.#created) cache.markDirty(frame);
    for (const block of this.#discarded) cache.free(block);
    for (const change of this.#spaceChanges) {
      if (change.kind === 'freed') this.#ledger.freeingSucceeded(change.start, change.length);
    }
  }

  /**
   * Nothing happened. Whatever goes wrong here, every frame has its bytes back first, and the next
   * transaction can begin.
   * @throws what went wrong: the counts of space are in doubt then
   */
  fail(): void {
    try {
      this.#restoreFrames();
      this.#undoSpace();
    } finally {
      empty(this.orphaned);
      empty(this.unnamed);
      empty(this.named);
      this.changesOfTable++;
      this.#end();
    }
  }

  #restoreFrames(): void {
    for (let i = this.#modified.length - 1; i >= 0; i--) {
      const frame = this.#modified[i] as Frame;
      frame.bytes.set(this.#preImages[i] as Uint8Array);
      frame.modifiedBy = 0;
    }
    for (const frame of this.#created) this.cache.drop(frame);
  }

  #undoSpace(): void {
    for (let i = this.#spaceChanges.length - 1; i >= 0; i--) {
      const change = this.#spaceChanges[i] as SpaceChange;
      this.#ledger.undo(change.kind, change.start, change.length);
    }
  }

  #end(): void {
    for (const image of this.#preImages) if (this.#spare.length < 64) this.#spare.push(image);
    empty(this.#modified);
    empty(this.#preImages);
    empty(this.#created);
    empty(this.#discarded);
    empty(this.#spaceChanges);
    this.#running = false;
  }
}
