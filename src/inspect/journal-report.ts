/**
 * The journal for people: its heads, every transaction of which the log still holds records, and
 * which of them a mount would replay.
 *
 * Records are gathered block by block from the tail around the ring, whatever is between them. What
 * is to be replayed is not judged here: whoever asks for the report says it (`Replay`).
 */
import { BlockSource } from '../check/block-source.ts';
import { sameBytes, viewOf } from '../common/bytes.ts';
import { blockFault } from '../fs/format/block-header.ts';
import { blockViewOf } from '../fs/format/block-view.ts';
import {
  BlockHeader,
  BlockKind,
  JOURNAL_HEADS,
  JournalCommit,
  JournalDescriptor,
  JournalEntry,
  JournalHeader,
  JournalRevoke,
  RevokeEntry,
} from '../fs/format/format.ts';
import { blockParts, type Part } from './block-parts.ts';
import { timeText } from './value-text.ts';
import type { VolumeSource } from './volume-source.ts';

/** What a mount would do with a journal. */
export interface Replay {
  /** Index into the log where it begins; undefined if no head says so. */
  readonly tail: number | undefined;
  /** Sequence numbers from `from` to below `to` are to be replayed. */
  readonly from: number;
  readonly to: number;
  /** Why nothing can be replayed; undefined if nothing is wrong. */
  readonly fault: string | undefined;
}

export type TransactionFate = 'replayed' | 'at home' | 'partly overwritten' | 'not committed';

export interface CommitReport {
  readonly logBlocks: number;
  readonly copies: number;
  readonly time: string | undefined;
}

export interface TransactionReport {
  readonly sequence: number;
  /** Index into the log where its first record is. */
  readonly start: number;
  /** Homes of its copies. */
  readonly copies: readonly number[];
  readonly revokes: readonly number[];
  /** From its commit block; undefined without one. */
  readonly committed: CommitReport | undefined;
  readonly fate: TransactionFate;
}

export interface JournalReport {
  /** The heads that can be read; others are undefined. */
  readonly heads: readonly (readonly Part[] | undefined)[];
  readonly logBlocks: number;
  readonly tail: number | undefined;
  readonly transactions: readonly TransactionReport[];
  /** Why nothing can be replayed; undefined if nothing is wrong. */
  readonly fault: string | undefined;
}

/**
 * @param readReplay asked when the heads have been read
 * @throws InspectError if a head cannot be read; what `readReplay` throws
 */
export async function reportJournal(
  source: VolumeSource,
  readReplay: () => Promise<Replay>,
): Promise<JournalReport> {
  const heads = await reportHeads(source);
  const replay = await readReplay();
  const { tail, fault } = replay;
  const found = await gather(source, tail ?? 0);
  const transactions = found.map((records) => reportOf(records, replay));
  return { heads, logBlocks: source.layout.logBlocks, tail, transactions, fault };
}

async function reportHeads(source: VolumeSource): Promise<JournalReport['heads']> {
  const heads: (readonly Part[] | undefined)[] = [];
  for (let i = 0; i < JOURNAL_HEADS; i++) {
    const block = source.layout.journalStart + i;
    const bytes = await source.block(block);
    heads.push(source.fault(bytes, block) === undefined ? blockParts(bytes) : undefined);
  }
  return heads;
}

/** What the log holds of one transaction. */
class TransactionRecords {
  readonly copies: number[] = [];
  readonly revokes: number[] = [];
  committed: CommitReport | undefined;

  constructor(
    readonly sequence: number,
    readonly start: number,
  ) {}

  add(bytes: Uint8Array): void {
    const view = viewOf(bytes);
    const kind = BlockHeader.kind.get(view, 0);
    if (kind === BlockKind.journalDescriptor) {
      for (const at of entryOffsets(bytes, JournalDescriptor, JournalEntry.sizeBytes))
        this.copies.push(JournalEntry.block.get(view, at));
    } else if (kind === BlockKind.journalRevoke) {
      for (const at of entryOffsets(bytes, JournalRevoke, RevokeEntry.sizeBytes))
        this.revokes.push(RevokeEntry.block.get(view, at));
    } else if (kind === BlockKind.journalCommit) this.committed = commitOf(view);
  }
}

function commitOf(view: DataView): CommitReport {
  return {
    logBlocks: JournalCommit.logBlocks.get(view, 0),
    copies: JournalCommit.copies.get(view, 0),
    time: timeText(JournalCommit.seconds.get(view, 0)),
  };
}

/** The places of the entries of a record, as many as fit its block. */
function entryOffsets(
  bytes: Uint8Array,
  record: typeof JournalDescriptor | typeof JournalRevoke,
  entryBytes: number,
): number[] {
  const most = Math.floor((bytes.length - record.sizeBytes) / entryBytes);
  const count = Math.min(record.count.get(viewOf(bytes), 0), most);
  return Array.from({ length: count }, (_, i) => record.sizeBytes + i * entryBytes);
}

/** Transactions in the order of their sequence numbers. */
async function gather(
  { device, superblock, layout }: VolumeSource,
  tail: number,
): Promise<TransactionRecords[]> {
  const blocks = new BlockSource(device);
  const { uuid, journalSalt } = superblock;
  const { blockBytes, logBlocks } = layout;
  const found = new Map<number, TransactionRecords>();
  for (let i = 0; i < logBlocks; i++) {
    const index = (tail + i) % logBlocks;
    const place = layout.logBlock(index);
    const { bytes, errno } = await blocks.read(place * blockBytes, blockBytes);
    if (errno !== 0) continue;
    if (blockFault(blockViewOf(bytes), blockBytes, place, uuid) !== undefined) continue;
    if (sameBytes(JournalHeader.salt.of(bytes, 0), journalSalt)) add(found, bytes, index);
  }
  return [...found.values()].sort((a, b) => a.sequence - b.sequence);
}

function add(found: Map<number, TransactionRecords>, bytes: Uint8Array, index: number): void {
  const sequence = BlockHeader.sequence.get(viewOf(bytes), 0);
  const records = found.get(sequence) ?? new TransactionRecords(sequence, index);
  found.set(sequence, records);
  records.add(bytes);
}

function reportOf(records: TransactionRecords, replay: Replay): TransactionReport {
  const { sequence, start, copies, revokes, committed } = records;
  return { sequence, start, copies, revokes, committed, fate: fateOf(records, replay) };
}

function fateOf({ sequence, copies, committed }: TransactionRecords, { from, to }: Replay): TransactionFate {
  if (committed === undefined) return 'not committed';
  if (committed.copies !== copies.length) return 'partly overwritten';
  return sequence >= from && sequence < to ? 'replayed' : 'at home';
}
