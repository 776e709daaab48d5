/**
 * Reading a journal: which transactions it holds, and what of them is to be replayed.
 *
 *   scan   every block of the log once, in order: records are kept, of copies only their number and
 *          checksum
 *   walk   from the tail that the newer head names, transaction by transaction, to the first that
 *          is not whole
 *   sift   of each block the youngest copy that no later transaction revoked
 *
 * The end of the log is the first transaction without a valid commit block: power was lost before
 * it was committed. By J1 a commit block is only ever written when all before it is durable; so a
 * commit block whose transaction is not whole, or one behind the end with a sequence number that
 * was not due yet, is no trace of a crash but damage, and nothing is replayed then.
 *
 * Nothing is written here. Memory: some 20 bytes for each block of the log.
 */

import type { Device } from '../../aio/device.ts';
import { sameBytes } from '../../common/bytes.ts';
import { MAX_METADATA_TRANSFER_BYTES } from '../base/limits.ts';
import { blockFault } from '../format/block-header.ts';
import type { BlockView, MovingView } from '../format/block-view.ts';
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
} from '../format/format.ts';
import type { Layout } from '../format/layout.ts';
import { NotAVolumeError } from '../format/superblock.ts';
import { readBlocks, Staging } from './block-transfers.ts';
import type { JournalPosition } from './journal.ts';
import { checksumOfRecords, type JournalIdentity } from './transaction-pages.ts';

/** What a journal holds for a volume that was not unmounted in order. */
export interface JournalContents {
  readonly transactions: number;
  /** Blocks to be brought home, in order of their numbers; … */
  readonly homes: readonly number[];
  /** … the absolute block of the journal where the copy of each is; … */
  readonly places: readonly number[];
  /** … and its checksum. */
  readonly checksums: readonly number[];
  readonly revokes: number;
  /** Where the log goes on once these are at home. */
  readonly position: JournalPosition;
}

interface DescribedCopies {
  homes: number[];
  checksums: number[];
}

type LogRecord =
  | ({ kind: 'descriptor'; sequence: number; checksum: number } & DescribedCopies)
  | { kind: 'revoke'; sequence: number; checksum: number; blocks: number[] }
  | {
      kind: 'commit';
      sequence: number;
      logBlocks: number;
      copies: number;
      revokes: number;
      recordsChecksum: number;
    };

interface LoggedTransaction {
  /** Index behind it. */
  readonly end: number;
  readonly logBlocks: number;
  readonly copies: { home: number; index: number; checksum: number }[];
  readonly revoked: number[];
}

function damaged(what: string): NotAVolumeError {
  return new NotAVolumeError(`its journal is damaged: ${what}; 'quarry fsck -y' can repair it`);
}

/**
 * What the newer of the two heads says.
 * @throws NotAVolumeError if neither is valid, FsError of the device
 */
export async function readJournalHead(
  device: Device,
  layout: Layout,
  identity: JournalIdentity,
): Promise<JournalPosition> {
  const { blockBytes, journalStart } = layout;
  const staged = new Staging(device).reserve(JOURNAL_HEADS * blockBytes);
  const { bytes, view } = staged;
  await readBlocks(device, staged.memory, [journalStart, journalStart + 1], blockBytes);
  let newest: JournalPosition | undefined;
  for (let i = 0; i < JOURNAL_HEADS; i++) {
    const at = i * blockBytes;
    if (blockFault({ ...staged, at }, blockBytes, journalStart + i, identity.uuid) !== undefined) continue;
    if (BlockHeader.kind.get(view, at) !== BlockKind.journalHead || !saltFits(bytes, at, identity)) continue;
    const generation = JournalHead.generation.get(view, at);
    if (newest !== undefined && newest.generation > generation) continue;
    newest = {
      tail: JournalHead.tail.get(view, at),
      sequence: JournalHead.sequence.get(view, at),
      generation,
    };
  }
  if (newest === undefined) throw damaged('neither of its heads is valid');
  if (newest.tail >= layout.logBlocks) throw damaged('its head points outside of it');
  if (!(newest.sequence < COUNTER_LIMIT && newest.generation < COUNTER_LIMIT)) {
    throw damaged('its head counts more transactions than there can have been');
  }
  return newest;
}

function saltFits(bytes: Uint8Array, at: number, identity: JournalIdentity): boolean {
  return sameBytes(JournalHeader.salt.of(bytes, at), identity.salt);
}

/**
 * What has to be replayed of the journal.
 * @throws NotAVolumeError if it is damaged, FsError of the device
 */
export async function readJournal(
  device: Device,
  layout: Layout,
  identity: JournalIdentity,
): Promise<JournalContents> {
  const head = await readJournalHead(device, layout, identity);
  const log = new JournalLog(layout, identity);
  await log.scan(device);
  return log.contents(head);
}

class JournalLog {
  readonly #length: number;
  readonly #records = new Map<number, LogRecord>();
  /** By index: the block that the copy there is of, −1 if there is none, … */
  readonly #homes: Float64Array;
  /** … and its checksum. */
  readonly #checksums: Uint32Array;

  constructor(
    private readonly layout: Layout,
    private readonly identity: JournalIdentity,
  ) {
    this.#length = layout.logBlocks;
    this.#homes = new Float64Array(this.#length).fill(-1);
    this.#checksums = new Uint32Array(this.#length);
  }

  // ---- scan ----

  async scan(device: Device): Promise<void> {
    const { blockBytes } = this.layout;
    const most = Math.min(this.#length, Math.max(1, MAX_METADATA_TRANSFER_BYTES / blockBytes));
    const { memory, bytes, view } = new Staging(device).reserve(most * blockBytes);
    const block: MovingView = { bytes, view, at: 0 };
    for (let from = 0; from < this.#length; from += most) {
      const count = Math.min(most, this.#length - from);
      const places = Array.from({ length: count }, (_, i) => this.layout.logBlock(from + i));
      await readBlocks(device, memory, places, blockBytes);
      for (let i = 0; i < count; i++) {
        block.at = i * blockBytes;
        this.#look(block, from + i);
      }
    }
  }

  #look(block: BlockView, index: number): void {
    const { bytes, view, at } = block;
    const { blockBytes } = this.layout;
    const claimed = BlockHeader.block.get(view, at);
    if (blockFault(block, blockBytes, claimed, this.identity.uuid) !== undefined) return;
    if (claimed !== this.layout.logBlock(index)) {
      this.#homes[index] = claimed;
      this.#checksums[index] = BlockHeader.checksum.get(view, at);
      return;
    }
    if (!saltFits(bytes, at, this.identity)) return;
    const record = readRecord(block, blockBytes);
    if (record !== undefined) this.#records.set(index, record);
  }

  // ---- walk ----

  contents(head: JournalPosition): JournalContents {
    const sieve = new Sieve();
    let index = head.tail;
    let { sequence } = head;
    let left = this.#length;
    let transactions = 0;
    for (;;) {
      const transaction = this.#transaction(index, sequence, left);
      if (transaction === undefined) break;
      sieve.add(transaction, sequence);
      index = transaction.end;
      left -= transaction.logBlocks;
      sequence++;
      transactions++;
    }
    this.#expectNothingBehind(sequence);
    const copies = sieve.youngest();
    return {
      transactions,
      homes: copies.map((copy) => copy.home),
      places: copies.map((copy) => this.layout.logBlock(copy.index)),
      checksums: copies.map((copy) => copy.checksum),
      revokes: sieve.revokes,
      // J7: the number that an unfinished transaction may have used is left out.
      position: { tail: index, sequence: sequence + 1, generation: head.generation },
    };
  }

  /**
   * The transaction at `index`, or undefined if it was not committed.
   * @throws NotAVolumeError if it was, and is not whole
   */
  #transaction(start: number, sequence: number, left: number): LoggedTransaction | undefined {
    const copies: LoggedTransaction['copies'] = [];
    const revoked: number[] = [];
    const checksums: number[] = [];
    let fault: string | undefined;
    let index = start;
    let logBlocks = 0;
    while (logBlocks < left) {
      const record = this.#records.get(index);
      if (record === undefined || record.sequence !== sequence) return undefined;
      index = this.#after(index);
      logBlocks++;
      if (record.kind === 'commit') {
        const found = { end: index, logBlocks, copies, revoked };
        fault ??= commitFault(record, found, checksums);
        if (fault !== undefined) throw damaged(`transaction ${sequence} is committed, but ${fault}`);
        return found;
      }
      checksums.push(record.checksum);
      if (record.kind === 'revoke') {
        for (const block of record.blocks) revoked.push(block);
        continue;
      }
      if (logBlocks + record.homes.length > left) return undefined;
      for (const [i, home] of record.homes.entries()) {
        const checksum = record.checksums[i] as number;
        fault ??= this.#copyFault(index, home, checksum);
        copies.push({ home, index, checksum });
        index = this.#after(index);
        logBlocks++;
      }
    }
    return undefined;
  }

  #copyFault(index: number, home: number, checksum: number): string | undefined {
    const { volumeRootBlock, spaceStart, spaceBlocks } = this.layout;
    const inside = home === volumeRootBlock || (home >= spaceStart && home < spaceStart + spaceBlocks);
    if (!inside) return `block ${home}, of which it has a copy, is not one of metadata`;
    if (this.#homes[index] === home && this.#checksums[index] === checksum) return undefined;
    return `its copy of block ${home} is broken`;
  }

  #after(index: number): number {
    return index + 1 === this.#length ? 0 : index + 1;
  }

  #expectNothingBehind(sequence: number): void {
    for (const record of this.#records.values()) {
      if (record.kind === 'commit' && record.sequence >= sequence) {
        throw damaged(`transaction ${record.sequence} is committed, but the log ends before it`);
      }
    }
  }
}

/** Keeps of each block the youngest copy, and who was revoked when. */
class Sieve {
  revokes = 0;
  readonly #youngest = new Map<number, { index: number; checksum: number; sequence: number }>();
  readonly #revokedIn = new Map<number, number>();

  add(transaction: LoggedTransaction, sequence: number): void {
    for (const { home, index, checksum } of transaction.copies) {
      this.#youngest.set(home, { index, checksum, sequence });
    }
    for (const block of transaction.revoked) this.#revokedIn.set(block, sequence);
    this.revokes += transaction.revoked.length;
  }

  /**
   * In order of their blocks; without those that were revoked by their own transaction or a later
   * one (J5).
   */
  youngest(): { home: number; index: number; checksum: number }[] {
    const copies: { home: number; index: number; checksum: number }[] = [];
    for (const [home, { index, checksum, sequence }] of this.#youngest) {
      if ((this.#revokedIn.get(home) ?? -1) < sequence) copies.push({ home, index, checksum });
    }
    return copies.sort((a, b) => a.home - b.home);
  }
}

function commitFault(
  commit: LogRecord & { kind: 'commit' },
  { logBlocks, copies, revoked }: LoggedTransaction,
  checksums: readonly number[],
): string | undefined {
  const counts =
    commit.logBlocks === logBlocks && commit.copies === copies.length && commit.revokes === revoked.length;
  if (!counts) return 'its parts are not those that its commit block counts';
  return commit.recordsChecksum === checksumOfRecords(checksums)
    ? undefined
    : 'its records are not those that its commit block was made for';
}

function readRecord(block: BlockView, blockBytes: number): LogRecord | undefined {
  const { view, at } = block;
  const kind = BlockHeader.kind.get(view, at);
  const sequence = BlockHeader.sequence.get(view, at);
  const checksum = BlockHeader.checksum.get(view, at);
  if (kind === BlockKind.journalDescriptor) {
    const entries = readEntries(block, blockBytes);
    return entries && { kind: 'descriptor', sequence, checksum, ...entries };
  }
  if (kind === BlockKind.journalRevoke) {
    const count = JournalRevoke.count.get(view, at);
    if (JournalRevoke.sizeBytes + count * RevokeEntry.sizeBytes > blockBytes) return undefined;
    const from = at + JournalRevoke.sizeBytes;
    const blocks = Array.from({ length: count }, (_, i) =>
      RevokeEntry.block.get(view, from + i * RevokeEntry.sizeBytes),
    );
    return { kind: 'revoke', sequence, checksum, blocks };
  }
  if (kind !== BlockKind.journalCommit) return undefined;
  return {
    kind: 'commit',
    sequence,
    logBlocks: JournalCommit.logBlocks.get(view, at),
    copies: JournalCommit.copies.get(view, at),
    revokes: JournalCommit.revokes.get(view, at),
    recordsChecksum: JournalCommit.recordsChecksum.get(view, at),
  };
}

/** What a descriptor says of its copies; undefined if it cannot be. */
function readEntries({ view, at }: BlockView, blockBytes: number): DescribedCopies | undefined {
  const count = JournalDescriptor.count.get(view, at);
  if (JournalDescriptor.sizeBytes + count * JournalEntry.sizeBytes > blockBytes) return undefined;
  const homes: number[] = [];
  const checksums: number[] = [];
  for (let i = 0; i < count; i++) {
    const entry = at + JournalDescriptor.sizeBytes + i * JournalEntry.sizeBytes;
    homes.push(JournalEntry.block.get(view, entry));
    checksums.push(JournalEntry.checksum.get(view, entry));
  }
  return { homes, checksums };
}
