/**
 * Pass 2: the journal. Which transactions are to be replayed, and where the newest copy of each
 * block is.
 *
 * From the tail that the newer valid head names, transaction after transaction with consecutive
 * sequence numbers, to the first that is not whole. A crash leaves a transaction without its commit
 * block, never one whose commit block is there and the rest is not: all before a commit block is
 * flushed before it is written. So that, and a commit block that is not due yet, are damage.
 * Nothing is copied: later passes read a block that is to be replayed at its place in the log.
 */

import { sameBytes, viewOf } from '../common/bytes.ts';
import { crc32c } from '../crc32c.ts';
import {
  BlockHeader,
  BlockKind,
  COUNTER_LIMIT,
  JOURNAL_HEADS,
  JournalCommit,
  JournalDescriptor,
  JournalEntry,
  JournalHead,
  JournalHeader,
  JournalRevoke,
  RevokeEntry,
} from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import type { BlockSource } from './block-source.ts';
import { blockChecksum, hasMagic } from './metadata-block.ts';
import type { ProblemLog } from './problem.ts';

/** The log is read in pieces of this size. */
const PIECE_BYTES = 65536;

/** Whose journal it is. */
export interface JournalOwner {
  readonly layout: Layout;
  readonly uuid: Uint8Array;
  /** `Superblock.journalSalt`. */
  readonly salt: Uint8Array;
}

export interface JournalFacts {
  /** Whole transactions to be replayed. */
  readonly transactions: number;
  /** Home of each block to be replayed, and the block of the journal with its newest copy. */
  readonly copies: ReadonlyMap<number, number>;
  /** Index in the log where the next transaction may go, … */
  readonly index: number;
  /** … a sequence number that nothing in the log has, … */
  readonly sequence: number;
  /** … and the generation of the newer head. */
  readonly generation: number;
}

interface FoundTransaction {
  readonly logBlocks: number;
  readonly copies: [home: number, place: number][];
  readonly revoked: number[];
}

interface HeadFacts {
  readonly tail: number;
  readonly sequence: number;
  readonly generation: number;
}

/** A few words on why a transaction with a commit block is not whole. */
type Damage = string;

/** Runs the pass. @param isClean the volume was unmounted in order: nothing is replayed */
export async function examineJournal(
  source: BlockSource,
  log: ProblemLog,
  owner: JournalOwner,
  isClean: boolean,
): Promise<JournalFacts> {
  log.pass = 'journal';
  const journal = new JournalWalk(source, owner);
  const { head, isInsane } = await journal.heads();
  if (isInsane) log.report('journal-damaged', { what: 'a head points nowhere' });
  if (!head) log.report('journal-heads', { block: owner.layout.journalStart });
  if (isClean) return await emptyJournal(log, journal, head);
  const start = head ?? (await journal.youngestRun());
  return await journal.walk(log, start);
}

/** What the journal of a volume that was unmounted in order says: it should hold nothing. */
async function emptyJournal(
  log: ProblemLog,
  journal: JournalWalk,
  head: HeadFacts | undefined,
): Promise<JournalFacts> {
  const copies = new Map<number, number>();
  if (!head)
    return { transactions: 0, copies, index: 0, sequence: (await journal.highest()) + 2, generation: 0 };
  const first = await journal.transaction(head.tail, head.sequence, journal.length);
  if (first === undefined) {
    return {
      transactions: 0,
      copies,
      index: head.tail,
      sequence: head.sequence,
      generation: head.generation,
    };
  }
  log.report('journal-not-empty', { found: typeof first === 'string' ? 'parts of' : 'some' });
  const sequence = Math.max(await journal.highest(), head.sequence) + 2;
  return { transactions: 0, copies, index: head.tail, sequence, generation: head.generation };
}

/** A sequence number that nothing in the log has, also where the log was not walked. */
export async function unusedSequence(
  source: BlockSource,
  owner: JournalOwner,
  facts: JournalFacts,
): Promise<number> {
  return Math.max(await new JournalWalk(source, owner).highest(), facts.sequence) + 2;
}

class JournalWalk {
  readonly length: number;
  readonly #source: BlockSource;
  readonly #owner: JournalOwner;
  /** The piece of the log read last. */
  #piece: Uint8Array = new Uint8Array(0);
  #pieceFrom = 0;

  constructor(source: BlockSource, owner: JournalOwner) {
    this.#source = source;
    this.#owner = owner;
    this.length = owner.layout.logBlocks;
  }

  /** The newer of the heads that are valid, and whether one is sealed and makes no sense. */
  async heads(): Promise<{ head: HeadFacts | undefined; isInsane: boolean }> {
    const { blockBytes, journalStart } = this.#owner.layout;
    let head: HeadFacts | undefined;
    let isInsane = false;
    for (let slot = 0; slot < JOURNAL_HEADS; slot++) {
      const { bytes, errno } = await this.#source.read((journalStart + slot) * blockBytes, blockBytes);
      if (errno !== 0 || !this.#isOwn(bytes, journalStart + slot)) continue;
      const found = this.#headFacts(viewOf(bytes));
      if (!found) isInsane = true;
      else if (found.generation > (head?.generation ?? -1)) head = found;
    }
    return { head, isInsane };
  }

  #headFacts(view: DataView): HeadFacts | undefined {
    if (BlockHeader.kind.get(view, 0) !== BlockKind.journalHead) return undefined;
    const tail = JournalHead.tail.get(view, 0);
    const sequence = JournalHead.sequence.get(view, 0);
    const generation = JournalHead.generation.get(view, 0);
    const sound = tail < this.length && sequence < COUNTER_LIMIT && generation < COUNTER_LIMIT;
    return sound ? { tail, sequence, generation } : undefined;
  }

  /** Walks the log from `start` and says what is to be replayed. */
  async walk(log: ProblemLog, start: HeadFacts): Promise<JournalFacts> {
    const sieve = new Sieve();
    let { tail: index, sequence } = start;
    let transactions = 0;
    let left = this.length;
    let damage: Damage | undefined;
    while (damage === undefined) {
      const next = await this.transaction(index, sequence, left);
      if (next === undefined) break;
      if (typeof next === 'string') damage = next;
      else {
        sieve.add(next, sequence++);
        index = (index + next.logBlocks) % this.length;
        left -= next.logBlocks;
        transactions++;
      }
    }
    const highest = await this.highest();
    if (damage === undefined && highest >= sequence)
      damage = `transaction ${highest} is committed, but transaction ${sequence} is not there`;
    if (damage !== undefined) log.report('journal-damaged', { what: damage });
    const beyond = Math.max(highest, sequence) + 2;
    return { transactions, copies: sieve.copies(), index, sequence: beyond, generation: start.generation };
  }

  /**
   * The highest sequence number of a valid commit block anywhere in the log; 0 if there is none.
   */
  async highest(): Promise<number> {
    let highest = 0;
    for (let index = 0; index < this.length; index++) {
      const found = await this.#record(index);
      if (found?.kind === BlockKind.journalCommit) highest = Math.max(highest, found.sequence);
    }
    return highest;
  }

  /**
   * Without a head: where the longest run of whole transactions begins that ends with the youngest
   * one. What of it is at home already does no harm to bring there again, since every later change
   * of a block is in a later transaction.
   */
  async youngestRun(): Promise<HeadFacts> {
    const starts = new Map<number, { start: number; end: number }>();
    let youngest = 0;
    for (let index = 0; index < this.length; index++) {
      const found = await this.#record(index);
      if (found?.kind !== BlockKind.journalCommit) continue;
      const blocks = JournalCommit.logBlocks.get(found.view, 0);
      if (blocks > this.length) continue;
      const end = (index + 1) % this.length;
      starts.set(found.sequence, { start: (end - blocks + this.length) % this.length, end });
      youngest = Math.max(youngest, found.sequence);
    }
    let sequence = youngest;
    let run = starts.get(sequence);
    if (!run) return { tail: 0, sequence: 1, generation: 0 };
    for (;;) {
      const before = starts.get(sequence - 1);
      if (before?.end !== run.start || !(await this.#isWhole(before.start, sequence - 1))) break;
      run = before;
      sequence--;
    }
    return { tail: run.start, sequence, generation: 0 };
  }

  async #isWhole(start: number, sequence: number): Promise<boolean> {
    return typeof (await this.transaction(start, sequence, this.length)) === 'object';
  }

  /**
   * The transaction at `start`; undefined if it was never committed, words if it was and is not
   * whole.
   */
  async transaction(
    start: number,
    sequence: number,
    left: number,
  ): Promise<FoundTransaction | Damage | undefined> {
    const copies: [number, number][] = [];
    const revoked: number[] = [];
    let damage: Damage | undefined;
    let checksum = 0;
    let logBlocks = 0;
    while (logBlocks < left) {
      const record = await this.#record((start + logBlocks) % this.length);
      if (record?.sequence !== sequence) return undefined;
      const { kind, view, bytes } = record;
      logBlocks++;
      if (kind === BlockKind.journalCommit) {
        const found = { logBlocks, copies, revoked };
        return damage ?? commitDamage(view, found, checksum) ?? found;
      }
      const { offset, lengthBytes } = BlockHeader.checksum;
      checksum = crc32c(bytes, offset, offset + lengthBytes, checksum);
      if (kind === BlockKind.journalRevoke) {
        if (!readRevokes(view, revoked)) damage ??= 'a revoke block makes no sense';
        continue;
      }
      const homes = readEntries(view);
      if (!homes || homes.length > left - logBlocks) return 'a descriptor makes no sense';
      for (const { home, sum } of homes) {
        const index = (start + logBlocks++) % this.length;
        damage ??= await this.#copyDamage(index, home, sum);
        copies.push([home, this.#place(index)]);
      }
    }
    return undefined;
  }

  async #copyDamage(index: number, home: number, sum: number): Promise<Damage | undefined> {
    const { volumeRootBlock, spaceStart, spaceBlocks } = this.#owner.layout;
    const inside = home === volumeRootBlock || (home >= spaceStart && home < spaceStart + spaceBlocks);
    if (!inside) return `it has a copy of block ${home}, which is none of metadata`;
    const bytes = await this.#block(index);
    const sound =
      bytes &&
      hasOwnHeader(bytes, home, this.#owner.uuid) &&
      BlockHeader.checksum.get(viewOf(bytes), 0) === sum;
    return sound ? undefined : `the copy of block ${home} is broken`;
  }

  /** The record at this index of the log, if there is one of this volume. */
  async #record(
    index: number,
  ): Promise<{ kind: number; sequence: number; view: DataView; bytes: Uint8Array } | undefined> {
    const bytes = await this.#block(index);
    if (!bytes || !this.#isOwn(bytes, this.#place(index))) return undefined;
    const view = viewOf(bytes);
    const kind = BlockHeader.kind.get(view, 0);
    const sequence = BlockHeader.sequence.get(view, 0);
    const known =
      kind === BlockKind.journalCommit ||
      kind === BlockKind.journalRevoke ||
      kind === BlockKind.journalDescriptor;
    return known && sequence < COUNTER_LIMIT ? { kind, sequence, view, bytes } : undefined;
  }

  #isOwn(bytes: Uint8Array, block: number): boolean {
    return (
      sameBytes(JournalHeader.salt.of(bytes, 0), this.#owner.salt) &&
      hasOwnHeader(bytes, block, this.#owner.uuid)
    );
  }

  #place(index: number): number {
    return this.#owner.layout.logBlock(index);
  }

  /** The bytes at an index of the log, good until the next call. */
  async #block(index: number): Promise<Uint8Array | undefined> {
    const { blockBytes } = this.#owner.layout;
    const count = this.#piece.length / blockBytes;
    if (index < this.#pieceFrom || index >= this.#pieceFrom + count) {
      const wanted = Math.min(PIECE_BYTES / blockBytes, this.length - index);
      const { bytes, errno } = await this.#source.read(this.#place(index) * blockBytes, wanted * blockBytes);
      this.#piece = errno === 0 ? bytes : new Uint8Array(wanted * blockBytes);
      this.#pieceFrom = index;
    }
    const at = (index - this.#pieceFrom) * blockBytes;
    return this.#piece.subarray(at, at + blockBytes);
  }
}

function hasOwnHeader(bytes: Uint8Array, block: number, uuid: Uint8Array): boolean {
  const view = viewOf(bytes);
  return (
    hasMagic(bytes) &&
    BlockHeader.block.get(view, 0) === block &&
    sameBytes(BlockHeader.uuid.of(bytes, 0), uuid) &&
    BlockHeader.checksum.get(view, 0) === blockChecksum(bytes)
  );
}

/** @param checksum over the checksums of the records before the commit block */
function commitDamage(
  view: DataView,
  { logBlocks, copies, revoked }: FoundTransaction,
  checksum: number,
): Damage | undefined {
  const agrees =
    JournalCommit.logBlocks.get(view, 0) === logBlocks &&
    JournalCommit.copies.get(view, 0) === copies.length &&
    JournalCommit.revokes.get(view, 0) === revoked.length &&
    JournalCommit.recordsChecksum.get(view, 0) === checksum;
  return agrees ? undefined : 'a commit block belongs to other records than those before it';
}

function readRevokes(view: DataView, revoked: number[]): boolean {
  const count = JournalRevoke.count.get(view, 0);
  if (JournalRevoke.sizeBytes + count * RevokeEntry.sizeBytes > view.byteLength) return false;
  for (let i = 0; i < count; i++)
    revoked.push(RevokeEntry.block.get(view, JournalRevoke.sizeBytes + i * RevokeEntry.sizeBytes));
  return true;
}

function readEntries(view: DataView): { home: number; sum: number }[] | undefined {
  const count = JournalDescriptor.count.get(view, 0);
  if (JournalDescriptor.sizeBytes + count * JournalEntry.sizeBytes > view.byteLength) return undefined;
  return Array.from({ length: count }, (_, i) => {
    const at = JournalDescriptor.sizeBytes + i * JournalEntry.sizeBytes;
    return { home: JournalEntry.block.get(view, at), sum: JournalEntry.checksum.get(view, at) };
  });
}

/** Keeps the newest copy of each block, unless its transaction or a later one revoked the block. */
class Sieve {
  readonly #copies = new Map<number, { place: number; sequence: number }>();
  readonly #revoked = new Map<number, number>();

  add({ copies, revoked }: FoundTransaction, sequence: number): void {
    for (const [home, place] of copies) this.#copies.set(home, { place, sequence });
    for (const home of revoked) this.#revoked.set(home, sequence);
  }

  copies(): Map<number, number> {
    const kept = new Map<number, number>();
    for (const [home, { place, sequence }] of this.#copies) {
      if ((this.#revoked.get(home) ?? -1) < sequence) kept.set(home, place);
    }
    return kept;
  }
}
