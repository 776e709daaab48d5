/**
 * Writes the changes of a repair through the journal, so that each transaction is there whole or
 * not at all:
 *
 *   records → flush → commit block → flush (commit point) → blocks go home → flush → head that
 *   leaves it out → flush
 *
 * One transaction at a time: the log is empty before and after.
 */
import { viewOf } from '../common/bytes.ts';
import { crc32c } from '../crc32c.ts';
import {
  BlockHeader,
  BlockKind,
  JOURNAL_HEADS,
  JournalCommit,
  JournalDescriptor,
  JournalEntry,
  JournalHead,
  JournalHeader,
  MAGIC_BYTES,
} from '../fs/format/format.ts';
import type { BlockTarget } from './block-target.ts';
import type { JournalFacts, JournalOwner } from './journal-reader.ts';
import { sealBytes } from './metadata-block.ts';

/** Blocks of one transaction, so that its memory is bounded. */
const MOST_COPIES = 4096;

export class JournalWriter {
  /** Blocks that fit one transaction. */
  readonly capacity: number;
  readonly #target: BlockTarget;
  readonly #owner: JournalOwner;
  readonly #length: number;
  readonly #entriesPerDescriptor: number;
  #index: number;
  #sequence: number;
  #generation: number;

  constructor(
    target: BlockTarget,
    owner: JournalOwner,
    { index, generation }: JournalFacts,
    sequence: number,
  ) {
    const { layout } = owner;
    this.#target = target;
    this.#owner = owner;
    this.#length = layout.logBlocks;
    this.#index = index;
    this.#sequence = sequence;
    this.#generation = generation;
    this.#entriesPerDescriptor = Math.floor(
      (layout.blockBytes - JournalDescriptor.sizeBytes) / JournalEntry.sizeBytes,
    );
    const per = this.#entriesPerDescriptor;
    const most = Math.floor(((this.#length - 2) * per) / (per + 1));
    this.capacity = Math.min(most, MOST_COPIES);
  }

  /** The sequence number of the next transaction. */
  get sequence(): number {
    return this.#sequence;
  }

  /**
   * Writes a head that says the log is empty, and flushes it. Everything replayed must be flushed
   * at home.
   */
  async writeHead(): Promise<void> {
    const { layout } = this.#owner;
    this.#generation++;
    const block = layout.journalStart + (this.#generation % JOURNAL_HEADS);
    const bytes = this.#record(BlockKind.journalHead, block);
    const view = viewOf(bytes);
    JournalHead.generation.set(view, 0, this.#generation);
    JournalHead.tail.set(view, 0, this.#index);
    JournalHead.sequence.set(view, 0, this.#sequence);
    sealBytes(bytes);
    await this.#target.write(block * layout.blockBytes, bytes);
    await this.#target.flush();
  }

  /** Writes sealed metadata blocks, at most `capacity`, all or none. */
  async write(blocks: readonly [home: number, bytes: Uint8Array][]): Promise<void> {
    await this.#writeLog(blocks);
    const { blockBytes } = this.#owner.layout;
    await Promise.all(blocks.map(([home, bytes]) => this.#target.write(home * blockBytes, bytes)));
    await this.#target.flush();
    await this.writeHead();
  }

  async #writeLog(blocks: readonly [home: number, bytes: Uint8Array][]): Promise<void> {
    const records: [place: number, bytes: Uint8Array][] = [];
    let checksum = 0;
    for (let from = 0; from < blocks.length; from += this.#entriesPerDescriptor) {
      const part = blocks.slice(from, from + this.#entriesPerDescriptor);
      const place = this.#next();
      const descriptor = this.#descriptor(place, part);
      checksum = crc32c(descriptor, BlockHeader.checksum.offset, BlockHeader.checksum.offset + 4, checksum);
      records.push([place, descriptor]);
      for (const [, bytes] of part) records.push([this.#next(), bytes]);
    }
    const { blockBytes } = this.#owner.layout;
    await Promise.all(records.map(([place, bytes]) => this.#target.write(place * blockBytes, bytes)));
    await this.#target.flush();
    const place = this.#next();
    const commit = this.#commit(place, records.length + 1, blocks.length, checksum);
    await this.#target.write(place * blockBytes, commit);
    await this.#target.flush();
    this.#sequence++;
  }

  #descriptor(place: number, blocks: readonly [number, Uint8Array][]): Uint8Array {
    const bytes = this.#record(BlockKind.journalDescriptor, place);
    const view = viewOf(bytes);
    JournalDescriptor.count.set(view, 0, blocks.length);
    for (const [i, [home, copy]] of blocks.entries()) {
      const at = JournalDescriptor.sizeBytes + i * JournalEntry.sizeBytes;
      JournalEntry.block.set(view, at, home);
      JournalEntry.checksum.set(view, at, BlockHeader.checksum.get(viewOf(copy), 0));
    }
    sealBytes(bytes);
    return bytes;
  }

  #commit(place: number, logBlocks: number, copies: number, checksum: number): Uint8Array {
    const bytes = this.#record(BlockKind.journalCommit, place);
    const view = viewOf(bytes);
    JournalCommit.logBlocks.set(view, 0, logBlocks);
    JournalCommit.copies.set(view, 0, copies);
    JournalCommit.recordsChecksum.set(view, 0, checksum);
    sealBytes(bytes);
    return bytes;
  }

  /** A zeroed block with the header of a record of this volume and the current sequence number. */
  #record(kind: number, block: number): Uint8Array {
    const { layout, uuid, salt } = this.#owner;
    const bytes = new Uint8Array(layout.blockBytes);
    const view = viewOf(bytes);
    bytes.set(MAGIC_BYTES, 0);
    BlockHeader.kind.set(view, 0, kind);
    BlockHeader.block.set(view, 0, block);
    bytes.set(uuid, BlockHeader.uuid.offset);
    BlockHeader.sequence.set(view, 0, this.#sequence);
    JournalHeader.salt.of(bytes, 0).set(salt);
    return bytes;
  }

  /** Takes the next block of the log. */
  #next(): number {
    const place = this.#owner.layout.logBlock(this.#index);
    this.#index = (this.#index + 1) % this.#length;
    return place;
  }
}
