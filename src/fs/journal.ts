/**
 * The journal: a ring of blocks in which a transaction is written whole before any of it goes home.
 *
 *   heads        two blocks, written in turn; the valid one with the higher generation names the tail
 *   log          … | transaction S | transaction S+1 | … | free … |      from the tail, round and round
 *   transaction  descriptor, copies … descriptor, copies … revoke … commit
 *
 * This file appends to the log and moves the tail. When that is to happen is the committer's business (commit.ts); reading a
 * log after a crash is journal-log.ts.
 *
 * Invariants, cited in the code, the tests and docs/TESTING.md:
 *   J1  A commit block is queued only after everything else of its transaction, and the data it speaks of, is flushed.
 *   J2  No block of a transaction goes home before its commit block is flushed.
 *   J3  The tail moves past a transaction only after its blocks, or younger copies of them, are flushed at home.
 *   J4  A place of the log is written again only after a head that leaves it out is flushed.
 *   J5  A metadata block that was freed is revoked in the transaction that freed it, so that no old copy of it is replayed over what
 *       the block holds later.
 *   J6  A freed block is handed out again only after the commit that freed it, and after a checkpoint that may still be writing its old copy.
 *   J7  Sequence numbers only grow, one per transaction; after a recovery one is left out, so that no remnant of an unfinished transaction
 *       can be taken for a new one.
 *   J8  What is dirty always fits into the free part of the log: an operation that would break this waits for a checkpoint.
 */
import { strict as assert } from 'node:assert';
import type { Device, Memory } from '../aio/device.ts';
import { crc32c } from '../crc32c.ts';
import type { Frame } from './block-cache.ts';
import { initialiseHeader, sealBlock } from './block-header.ts';
import { flushDevice, Staging, writeBlocks } from './block-transfers.ts';
import type { Clock } from './clock.ts';
import {
  BlockHeader,
  BlockKind,
  JOURNAL_HEADS,
  JournalCommit,
  JournalDescriptor,
  JournalEntry,
  JournalHead,
  JournalHeader,
  JournalRevoke,
  RevokeEntry,
} from './format.ts';
import type { Layout } from './layout.ts';

/** Where a log stands when nothing in it has to be replayed. */
export interface JournalPosition {
  /** Index into the log where the next transaction goes. */
  readonly tail: number;
  /** Its sequence number. */
  readonly sequence: number;
  /** Generation of the head that says so. */
  readonly generation: number;
}

/** Whose journal it is: stamped on all of its blocks. */
export interface JournalIdentity {
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** 8 bytes: `Superblock.hashSeed`. */
  readonly salt: Uint8Array;
}

/** A transaction between its two writes. */
export interface LoggedTransaction {
  readonly memory: Memory;
  /** Absolute blocks of the journal that it takes, the commit block last. */
  readonly places: readonly number[];
}

/** A place in the log: everything before it may be forgotten once it is at home. */
export interface JournalMark {
  readonly index: number;
  readonly sequence: number;
  /** Blocks of the log in use before it. */
  readonly usedBlocks: number;
}

/** The place of index `index` of the log as an absolute block. */
export function logBlock(layout: Layout, index: number): number {
  return layout.journalStart + JOURNAL_HEADS + index;
}

/** Blocks in the log of a volume. */
export function logLength(layout: Layout): number {
  return layout.journalBlocks - JOURNAL_HEADS;
}

/** Entries in one descriptor. */
export function entriesPerDescriptor(blockBytes: number): number {
  return Math.floor((blockBytes - JournalDescriptor.sizeBytes) / JournalEntry.sizeBytes);
}

function numbersPerRevoke(blockBytes: number): number {
  return Math.floor((blockBytes - JournalRevoke.sizeBytes) / RevokeEntry.sizeBytes);
}

/** Writes one head and flushes it: from then on the log begins at `position`. */
export async function writeJournalHead(
  device: Device,
  layout: Layout,
  identity: JournalIdentity,
  position: JournalPosition,
): Promise<void> {
  const { blockBytes } = layout;
  const block = layout.journalStart + (position.generation % JOURNAL_HEADS);
  const { memory, bytes, view } = new Staging(device).reserve(blockBytes);
  bytes.fill(0, 0, blockBytes);
  initialiseHeader(view, bytes, 0, BlockKind.journalHead, block, identity.uuid);
  JournalHeader.salt.of(bytes, 0).set(identity.salt);
  JournalHead.generation.set(view, 0, position.generation);
  JournalHead.tail.set(view, 0, position.tail);
  JournalHead.sequence.set(view, 0, position.sequence);
  sealBlock(view, bytes, 0, blockBytes, position.sequence);
  await writeBlocks(device, memory, 0, [block], blockBytes);
  await flushDevice(device);
}

export class Journal {
  readonly logBlocks: number;
  readonly #device: Device;
  readonly #layout: Layout;
  readonly #identity: JournalIdentity;
  readonly #clock: Clock;
  readonly #staging: Staging;
  readonly #entriesPerDescriptor: number;
  readonly #numbersPerRevoke: number;
  /** Index where the next transaction goes. */
  #head: number;
  #used = 0;
  #sequence: number;
  #generation: number;

  constructor(
    device: Device,
    layout: Layout,
    identity: JournalIdentity,
    position: JournalPosition,
    clock: Clock,
  ) {
    this.#device = device;
    this.#layout = layout;
    this.#identity = identity;
    this.#clock = clock;
    this.#staging = new Staging(device);
    this.logBlocks = logLength(layout);
    this.#entriesPerDescriptor = entriesPerDescriptor(layout.blockBytes);
    this.#numbersPerRevoke = numbersPerRevoke(layout.blockBytes);
    this.#head = position.tail;
    this.#sequence = position.sequence;
    this.#generation = position.generation;
  }

  /** Blocks of the log that hold transactions which may have to be replayed. */
  get usedBlocks(): number {
    return this.#used;
  }

  get freeBlocks(): number {
    return this.logBlocks - this.#used;
  }

  /** Blocks of the log that a transaction takes. */
  cost(copies: number, revokes: number): number {
    const descriptors = Math.ceil(copies / this.#entriesPerDescriptor);
    return copies + descriptors + Math.ceil(revokes / this.#numbersPerRevoke) + 1;
  }

  /** Where the next transaction will begin. */
  mark(): JournalMark {
    return { index: this.#head, sequence: this.#sequence, usedBlocks: this.#used };
  }

  /**
   * Lays out a transaction in memory, synchronously: the frames' copies are sealed and taken, and the frames may change again. The memory
   * is used again by the next call.
   */
  prepare(frames: readonly Frame[], revoked: readonly number[]): LoggedTransaction {
    const { blockBytes } = this.#layout;
    const length = this.cost(frames.length, revoked.length);
    assert(length <= this.freeBlocks, 'J8: a transaction is larger than the free part of the log');
    const { memory, bytes, view } = this.#staging.reserve(length * blockBytes);
    const sequence = this.#sequence++;
    const places: number[] = [];
    for (let i = 0; i < length; i++) {
      places.push(logBlock(this.#layout, this.#head));
      this.#head = this.#head + 1 === this.logBlocks ? 0 : this.#head + 1;
    }
    this.#used += length;
    const page = new TransactionPages(view, bytes, blockBytes, places, sequence, this.#identity);
    page.addCopies(frames, this.#entriesPerDescriptor);
    page.addRevokes(revoked, this.#numbersPerRevoke);
    this.#clock.read();
    page.addCommit(frames.length, revoked.length, this.#clock);
    return { memory, places };
  }

  /** Writes everything but the commit block. Not flushed. */
  writeRecords({ memory, places }: LoggedTransaction): Promise<void> {
    return writeBlocks(this.#device, memory, 0, places.slice(0, -1), this.#layout.blockBytes);
  }

  /** Writes the commit block; all before it must be flushed (J1). Not flushed. */
  writeCommit({ memory, places }: LoggedTransaction): Promise<void> {
    const { blockBytes } = this.#layout;
    return writeBlocks(this.#device, memory, (places.length - 1) * blockBytes, places.slice(-1), blockBytes);
  }

  /** Everything before the mark is flushed at home (J3): forget it. Its place is free when this resolves (J4). */
  async moveTail(mark: JournalMark): Promise<void> {
    const generation = ++this.#generation;
    const position = { tail: mark.index, sequence: mark.sequence, generation };
    await writeJournalHead(this.#device, this.#layout, this.#identity, position);
    this.#used -= mark.usedBlocks;
  }
}

/** Fills the pages of one transaction in memory, in the order of the log. */
class TransactionPages {
  #page = 0;
  /** The checksums of descriptors and revokes, for the commit block. */
  readonly #checksums: number[] = [];

  constructor(
    private readonly view: DataView,
    private readonly bytes: Uint8Array,
    private readonly blockBytes: number,
    private readonly places: readonly number[],
    private readonly sequence: number,
    private readonly identity: JournalIdentity,
  ) {}

  addCopies(frames: readonly Frame[], most: number): void {
    for (let from = 0; from < frames.length; from += most) {
      this.#addDescriptor(frames.slice(from, from + most));
    }
  }

  /** A descriptor and the copies it names. */
  #addDescriptor(frames: readonly Frame[]): void {
    const { view, blockBytes } = this;
    const at = this.#begin(BlockKind.journalDescriptor);
    JournalDescriptor.count.set(view, at, frames.length);
    let entry = at + JournalDescriptor.sizeBytes;
    for (const frame of frames) {
      const copyAt = this.#page++ * blockBytes;
      this.bytes.set(frame.bytes, copyAt);
      sealBlock(view, this.bytes, copyAt, blockBytes, this.sequence);
      JournalEntry.block.set(view, entry, frame.block);
      JournalEntry.checksum.set(view, entry, BlockHeader.checksum.get(view, copyAt));
      entry += JournalEntry.sizeBytes;
    }
    this.#sealRecord(at);
  }

  addRevokes(blocks: readonly number[], most: number): void {
    const { view } = this;
    for (let from = 0; from < blocks.length; from += most) {
      const here = blocks.slice(from, from + most);
      const at = this.#begin(BlockKind.journalRevoke);
      JournalRevoke.count.set(view, at, here.length);
      for (const [i, block] of here.entries()) {
        RevokeEntry.block.set(view, at + JournalRevoke.sizeBytes + i * RevokeEntry.sizeBytes, block);
      }
      this.#sealRecord(at);
    }
  }

  addCommit(copies: number, revokes: number, clock: Clock): void {
    const { view } = this;
    const at = this.#begin(BlockKind.journalCommit);
    assert(this.#page === this.places.length, 'a transaction fills the pages that it was given');
    JournalCommit.logBlocks.set(view, at, this.places.length);
    JournalCommit.copies.set(view, at, copies);
    JournalCommit.revokes.set(view, at, revokes);
    JournalCommit.recordsChecksum.set(view, at, checksumOfRecords(this.#checksums));
    JournalCommit.seconds.set(view, at, clock.seconds);
    JournalCommit.nanoseconds.set(view, at, clock.nanoseconds);
    this.#sealRecord(at);
  }

  /** A zeroed page with its header. Returns where it starts. */
  #begin(kind: BlockKind): number {
    const at = this.#page * this.blockBytes;
    this.bytes.fill(0, at, at + this.blockBytes);
    const place = this.places[this.#page++] as number;
    initialiseHeader(this.view, this.bytes, at, kind, place, this.identity.uuid);
    JournalHeader.salt.of(this.bytes, at).set(this.identity.salt);
    return at;
  }

  #sealRecord(at: number): void {
    sealBlock(this.view, this.bytes, at, this.blockBytes, this.sequence);
    this.#checksums.push(BlockHeader.checksum.get(this.view, at));
  }
}

/** `JournalCommit.recordsChecksum` for records with these checksums. */
export function checksumOfRecords(checksums: readonly number[]): number {
  const bytes = new Uint8Array(checksums.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [i, checksum] of checksums.entries()) view.setUint32(i * 4, checksum, true);
  return crc32c(bytes, 0, bytes.length, 0);
}
