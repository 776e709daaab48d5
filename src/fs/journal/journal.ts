/**
 * The journal: a ring of blocks in which a transaction is written whole before any of it goes home.
 *
 *   heads        two blocks, written in turn; the valid one with the higher generation names the
 *                tail
 *   log          … | transaction S | transaction S+1 | … | free … |  from the tail, round and round
 *   transaction  descriptor, copies … descriptor, copies … revoke … commit
 *
 * This file appends to the log and moves the tail. When that is to happen is the committer's
 * business (commit.ts); reading a log after a crash is journal-log.ts.
 *
 * Invariants, cited in the code, the tests and docs/TESTING.md:
 *   J1  A commit block is queued only after everything else of its transaction, and the data it
 *       speaks of, is flushed.
 *   J2  No block of a transaction goes home before its commit block is durable.
 *   J3  The tail moves past a transaction only after its blocks, or younger copies of them, are
 *       flushed at home.
 *   J4  A place of the log is written again only after a head that leaves it out is flushed.
 *   J5  A metadata block that was freed is revoked in the transaction that freed it, so that no old
 *       copy of it is replayed over what the block holds later.
 *   J6  A freed block is handed out again only after the commit that freed it, and after a
 *       checkpoint that may still be writing its old copy.
 *   J7  Sequence numbers only grow, one per transaction; after a recovery one is left out, so that
 *       no remnant of an unfinished transaction can be taken for a new one.
 *   J8  What is dirty always fits into the free part of the log: an operation that would break this
 *       waits for a checkpoint.
 */
import { strict as assert } from 'node:assert';
import type { Device, Memory } from '../../aio/device.ts';
import type { Clock } from '../base/clock.ts';
import { initialiseHeader, sealBlock } from '../format/block-header.ts';
import { BlockKind, JOURNAL_HEADS, JournalHead, JournalHeader } from '../format/format.ts';
import type { Layout } from '../format/layout.ts';
import { flushDevice, Staging, writeBlocks, writeLastBlockThrough } from './block-transfers.ts';
import {
  entriesPerDescriptor,
  type JournalIdentity,
  numbersPerRevoke,
  TransactionPages,
} from './transaction-pages.ts';

/** Where a log stands when nothing in it has to be replayed. */
export interface JournalPosition {
  /** Index into the log where the next transaction goes. */
  readonly tail: number;
  /** Its sequence number. */
  readonly sequence: number;
  /** Generation of the head that says so. */
  readonly generation: number;
}

/** What a journal is made for. */
export interface JournalParts {
  readonly device: Device;
  readonly layout: Layout;
  readonly identity: JournalIdentity;
  readonly clock: Clock;
  /** Tree nodes are looked through before they are written; by default not. */
  readonly thorough?: boolean | undefined;
}

/** A transaction between its two writes. */
export interface LoggedTransaction {
  readonly memory: Memory;
  /** Absolute blocks of the journal that it takes, the commit block last. */
  readonly places: readonly number[];
  readonly pages: TransactionPages;
}

/** A place in the log: everything before it may be forgotten once it is at home. */
export interface JournalMark {
  readonly index: number;
  readonly sequence: number;
  /** Blocks of the log in use before it. */
  readonly usedBlocks: number;
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
  const staged = new Staging(device).reserve(blockBytes);
  const { memory, bytes, view } = staged;
  bytes.fill(0, 0, blockBytes);
  initialiseHeader(staged, BlockKind.journalHead, block, identity.uuid);
  JournalHeader.salt.of(bytes, 0).set(identity.salt);
  JournalHead.generation.set(view, 0, position.generation);
  JournalHead.tail.set(view, 0, position.tail);
  JournalHead.sequence.set(view, 0, position.sequence);
  sealBlock(staged, blockBytes, position.sequence);
  await writeBlocks(device, memory, [block], blockBytes);
  await flushDevice(device);
}

export class Journal {
  readonly logBlocks: number;
  readonly #device: Device;
  readonly #layout: Layout;
  readonly #identity: JournalIdentity;
  readonly #clock: Clock;
  readonly #thorough: boolean;
  readonly #staging: Staging;
  readonly #entriesPerDescriptor: number;
  readonly #numbersPerRevoke: number;
  /** Index where the next transaction goes. */
  #head: number;
  #used = 0;
  #sequence: number;
  #generation: number;

  constructor(parts: JournalParts, position: JournalPosition) {
    const { device, layout, identity, clock, thorough } = parts;
    this.#device = device;
    this.#layout = layout;
    this.#identity = identity;
    this.#clock = clock;
    this.#thorough = thorough ?? false;
    this.#staging = new Staging(device);
    this.logBlocks = layout.logBlocks;
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
   * Takes the places of a transaction with `copies` copies. Its pages are to be filled, and
   * finished, before it is written. Their memory is used again by the next call.
   */
  begin(copies: number, revoked: readonly number[]): LoggedTransaction {
    const { blockBytes } = this.#layout;
    const length = this.cost(copies, revoked.length);
    assert(length <= this.freeBlocks, 'J8: a transaction is larger than the free part of the log');
    const staged = this.#staging.reserve(length * blockBytes);
    const sequence = this.#sequence++;
    const places: number[] = [];
    for (let i = 0; i < length; i++) {
      places.push(this.#layout.logBlock(this.#head));
      this.#head = this.#head + 1 === this.logBlocks ? 0 : this.#head + 1;
    }
    this.#used += length;
    this.#clock.read();
    const shape = {
      blockBytes,
      places,
      sequence,
      copies,
      revoked,
      identity: this.#identity,
      clock: this.#clock,
      thorough: this.#thorough,
    };
    return { memory: staged.memory, places, pages: new TransactionPages(staged, shape) };
  }

  /** Writes everything but the commit block. Not flushed. */
  writeRecords({ memory, places }: LoggedTransaction): Promise<void> {
    return writeBlocks(this.#device, memory, places.slice(0, -1), this.#layout.blockBytes);
  }

  /**
   * Writes the commit block, which is durable when this resolves; all before it must be flushed
   * (J1).
   */
  writeCommit({ memory, places }: LoggedTransaction): Promise<void> {
    return writeLastBlockThrough(this.#device, memory, places, this.#layout.blockBytes);
  }

  /**
   * Everything before the mark is flushed at home (J3): forget it. Its place is free when this
   * resolves (J4).
   */
  async moveTail(mark: JournalMark): Promise<void> {
    const generation = ++this.#generation;
    const position = { tail: mark.index, sequence: mark.sequence, generation };
    await writeJournalHead(this.#device, this.#layout, this.#identity, position);
    this.#used -= mark.usedBlocks;
  }
}
