/**
 * The pages of one transaction of the journal, in memory and in the order of the log.
 *
 *   descriptor, copies … descriptor, copies … revoke … commit
 *
 * The copies are made one by one and in any order, each in its place; then `finish` makes the pages
 * that speak of them.
 */

import { strict as assert } from 'node:assert';
import { crc32c } from '../../crc32c.ts';
import type { Clock } from '../base/clock.ts';
import { CorruptionError } from '../base/errors.ts';
import { contentFault, inodeFaults } from '../format/block-content.ts';
import { initialiseHeader, sealBlock } from '../format/block-header.ts';
import type { MovingView, ViewedBytes } from '../format/block-view.ts';
import {
  BlockHeader,
  BlockKind,
  JournalCommit,
  JournalDescriptor,
  JournalEntry,
  JournalHeader,
  JournalRevoke,
  RevokeEntry,
} from '../format/format.ts';
import { NODE_BLOCK_KIND } from '../format/node-blocks.ts';
import type { Frame } from '../transaction/block-cache.ts';

/** Whose journal it is: stamped on all of its blocks. */
export interface JournalIdentity {
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** 8 bytes: `Superblock.journalSalt`. */
  readonly salt: Uint8Array;
}

/** Entries in one descriptor. */
export function entriesPerDescriptor(blockBytes: number): number {
  return Math.floor((blockBytes - JournalDescriptor.sizeBytes) / JournalEntry.sizeBytes);
}

/** Numbers in one revoke block. */
export function numbersPerRevoke(blockBytes: number): number {
  return Math.floor((blockBytes - JournalRevoke.sizeBytes) / RevokeEntry.sizeBytes);
}

/** `JournalCommit.recordsChecksum` for records with these checksums. */
export function checksumOfRecords(checksums: readonly number[]): number {
  const bytes = new Uint8Array(checksums.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [i, checksum] of checksums.entries()) view.setUint32(i * 4, checksum, true);
  return crc32c(bytes, 0, bytes.length, 0);
}

/** What the pages are made for. */
export interface TransactionShape {
  /** Tree nodes are looked through as well, which takes microseconds each. */
  readonly thorough: boolean;
  readonly blockBytes: number;
  /** Absolute blocks of the journal, one for each page. */
  readonly places: readonly number[];
  readonly sequence: number;
  readonly copies: number;
  readonly revoked: readonly number[];
  readonly identity: JournalIdentity;
  readonly clock: Clock;
}

const NODE_KINDS: ReadonlySet<number> = new Set(Object.values(NODE_BLOCK_KIND));

/** What is refused when it is read must not be written. */
function sealFault(frame: Frame, thorough: boolean): CorruptionError | undefined {
  const kind = BlockHeader.kind.get(frame.view, 0);
  if (!thorough && NODE_KINDS.has(kind)) return undefined;
  const fault = contentFault(frame, kind) ?? inodeFaultIn(frame, kind);
  return fault === undefined
    ? undefined
    : new CorruptionError(frame.block, `was about to be written with ${fault}`);
}

/** One that was there when the block was read is the business of fsck. */
function inodeFaultIn(frame: Frame, kind: number): string | undefined {
  if (kind !== BlockKind.inodes) return undefined;
  for (const [at, fault] of inodeFaults(frame) ?? []) if (!frame.inodeFaults?.has(at)) return fault;
  return undefined;
}

export class TransactionPages {
  readonly #perDescriptor: number;
  /** The home of each copy. */
  readonly #homes: Float64Array;
  #copied = 0;
  #page = 0;
  /** Why nothing of it may be written. */
  #fault: CorruptionError | undefined;
  /** The checksums of descriptors and revokes, for the commit block. */
  readonly #checksums: number[] = [];

  /** The page that is being made. */
  readonly #block: MovingView;

  constructor(
    { bytes, view }: ViewedBytes,
    private readonly shape: TransactionShape,
  ) {
    this.#block = { bytes, view, at: 0 };
    this.#perDescriptor = entriesPerDescriptor(shape.blockBytes);
    this.#homes = new Float64Array(shape.copies);
  }

  /**
   * Makes copy number `index` of the transaction: the frame as it is now, sealed. What no reader
   * would take is told by `finish`, since whoever is about to change the frame has no part in it.
   */
  copy(frame: Frame, index: number): void {
    const { blockBytes, sequence, thorough } = this.shape;
    this.#fault ??= sealFault(frame, thorough);
    const at = this.#pageOf(index) * blockBytes;
    this.#block.bytes.set(frame.bytes, at);
    this.#block.at = at;
    sealBlock(this.#block, blockBytes, sequence);
    this.#homes[index] = frame.block;
    this.#copied++;
  }

  /** Each copy stands behind the descriptors of those before it, and its own. */
  #pageOf(index: number): number {
    return index + Math.floor(index / this.#perDescriptor) + 1;
  }

  /**
   * Makes all other pages.
   * @throws CorruptionError if a copy is not what a reader would take: then nothing of the
   * transaction must be written
   */
  finish(): void {
    if (this.#fault !== undefined) throw this.#fault;
    const { copies, revoked, places } = this.shape;
    assert(this.#copied === copies, 'a transaction has every copy that it was given a place for');
    for (let from = 0; from < copies; from += this.#perDescriptor) this.#addDescriptor(from);
    const most = numbersPerRevoke(this.shape.blockBytes);
    for (let from = 0; from < revoked.length; from += most) this.#addRevoke(revoked.slice(from, from + most));
    this.#addCommit();
    assert(this.#page === places.length, 'a transaction fills the pages that it was given');
  }

  /** The descriptor of the copies from `first` on. */
  #addDescriptor(first: number): void {
    const { view } = this.#block;
    const { blockBytes, copies } = this.shape;
    const count = Math.min(this.#perDescriptor, copies - first);
    const at = this.#begin(BlockKind.journalDescriptor);
    JournalDescriptor.count.set(view, at, count);
    let entry = at + JournalDescriptor.sizeBytes;
    for (let index = first; index < first + count; index++) {
      const copyAt = this.#page++ * blockBytes;
      JournalEntry.block.set(view, entry, this.#homes[index] as number);
      JournalEntry.checksum.set(view, entry, BlockHeader.checksum.get(view, copyAt));
      entry += JournalEntry.sizeBytes;
    }
    this.#sealRecord();
  }

  #addRevoke(blocks: readonly number[]): void {
    const { view } = this.#block;
    const at = this.#begin(BlockKind.journalRevoke);
    JournalRevoke.count.set(view, at, blocks.length);
    for (const [i, block] of blocks.entries()) {
      RevokeEntry.block.set(view, at + JournalRevoke.sizeBytes + i * RevokeEntry.sizeBytes, block);
    }
    this.#sealRecord();
  }

  #addCommit(): void {
    const { view } = this.#block;
    const { places, copies, revoked, clock } = this.shape;
    const at = this.#begin(BlockKind.journalCommit);
    JournalCommit.logBlocks.set(view, at, places.length);
    JournalCommit.copies.set(view, at, copies);
    JournalCommit.revokes.set(view, at, revoked.length);
    JournalCommit.recordsChecksum.set(view, at, checksumOfRecords(this.#checksums));
    JournalCommit.seconds.set(view, at, clock.seconds);
    JournalCommit.nanoseconds.set(view, at, clock.nanoseconds);
    this.#sealRecord();
  }

  /** A zeroed page with its header. Returns where it starts. */
  #begin(kind: BlockKind): number {
    const { blockBytes, places, identity } = this.shape;
    const at = this.#page * blockBytes;
    this.#block.at = at;
    const { bytes } = this.#block;
    bytes.fill(0, at, at + blockBytes);
    const place = places[this.#page++] as number;
    initialiseHeader(this.#block, kind, place, identity.uuid);
    JournalHeader.salt.of(bytes, at).set(identity.salt);
    return at;
  }

  #sealRecord(): void {
    const { view, at } = this.#block;
    sealBlock(this.#block, this.shape.blockBytes, this.shape.sequence);
    this.#checksums.push(BlockHeader.checksum.get(view, at));
  }
}
