/**
 * The journal for `quarry dump`: its heads, every transaction of which the log still holds records,
 * and which of them a mount would replay.
 *
 * Records are gathered block by block from the tail around the ring. What a mount would do is asked
 * of the mount's own reader (fs/journal-log.ts), so that the two cannot disagree.
 */
import { BlockSource } from '../check/block-source.ts';
import { viewOf } from '../check/metadata-block.ts';
import { rangeTexts } from '../check/number-ranges.ts';
import { blockFault } from '../fs/format/block-header.ts';
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
import { NotAVolumeError } from '../fs/format/superblock.ts';
import { readJournal, readJournalHead } from '../fs/journal/journal-log.ts';
import { blockParts, type Part } from '../inspect/block-parts.ts';
import { timeText } from '../inspect/value-text.ts';
import type { VolumeSource } from '../inspect/volume-source.ts';
import { failureLine } from './failure.ts';

export interface TransactionReport {
  readonly sequence: number;
  /** Index into the log where its first record is. */
  readonly start: number;
  /** Homes of its copies. */
  readonly copies: number[];
  readonly revokes: number[];
  /** From its commit block; undefined without one. */
  committed: { logBlocks: number; copies: number; time: string | undefined } | undefined;
  fate: 'replayed' | 'at home' | 'partly overwritten' | 'not committed';
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

export async function reportJournal(source: VolumeSource): Promise<JournalReport> {
  const { layout, superblock, device } = source;
  const identity = { uuid: superblock.uuid, salt: superblock.journalSalt };
  const heads: (readonly Part[] | undefined)[] = [];
  for (let i = 0; i < JOURNAL_HEADS; i++) {
    const block = layout.journalStart + i;
    const bytes = await source.block(block);
    heads.push(source.fault(bytes, block) === undefined ? blockParts(bytes) : undefined);
  }
  let tail: number | undefined;
  let fault: string | undefined;
  let due = { from: 0, to: 0 };
  try {
    const head = await readJournalHead(device, layout, identity);
    tail = head.tail;
    due = { from: head.sequence, to: head.sequence };
    if (!superblock.isClean) {
      due.to += (await readJournal(device, layout, identity)).transactions;
    }
  } catch (thrown) {
    if (!(thrown instanceof NotAVolumeError)) throw thrown;
    fault = failureLine(thrown);
  }
  const transactions = await gather(source, tail ?? 0);
  for (const transaction of transactions) transaction.fate = fateOf(transaction, due);
  return { heads, logBlocks: layout.logBlocks, tail, transactions, fault };
}

function fateOf(
  transaction: TransactionReport,
  due: { from: number; to: number },
): TransactionReport['fate'] {
  if (transaction.committed === undefined) return 'not committed';
  if (transaction.committed.copies !== transaction.copies.length) return 'partly overwritten';
  return transaction.sequence >= due.from && transaction.sequence < due.to ? 'replayed' : 'at home';
}

/** Transactions in the order of their sequence numbers. */
async function gather(source: VolumeSource, tail: number): Promise<TransactionReport[]> {
  const { layout, superblock } = source;
  const blocks = new BlockSource(source.device);
  const found = new Map<number, TransactionReport>();
  const length = layout.logBlocks;
  for (let i = 0; i < length; i++) {
    const index = (tail + i) % length;
    const place = layout.logBlock(index);
    const { bytes, errno } = await blocks.read(place * layout.blockBytes, layout.blockBytes);
    if (errno !== 0) continue;
    const view = viewOf(bytes);
    if (blockFault(view, bytes, 0, layout.blockBytes, place, superblock.uuid) !== undefined) continue;
    if (!JournalHeader.salt.of(bytes, 0).every((byte, at) => byte === superblock.journalSalt[at])) continue;
    add(found, bytes, index);
  }
  return [...found.values()].sort((a, b) => a.sequence - b.sequence);
}

function add(found: Map<number, TransactionReport>, bytes: Uint8Array, index: number): void {
  const view = viewOf(bytes);
  const sequence = BlockHeader.sequence.get(view, 0);
  let transaction = found.get(sequence);
  if (transaction === undefined) {
    transaction = { sequence, start: index, copies: [], revokes: [], committed: undefined, fate: 'at home' };
    found.set(sequence, transaction);
  }
  const kind = BlockHeader.kind.get(view, 0);
  if (kind === BlockKind.journalDescriptor) {
    const entries = entryOffsets(bytes, JournalDescriptor, JournalEntry.sizeBytes);
    for (const at of entries) transaction.copies.push(JournalEntry.block.get(view, at));
  } else if (kind === BlockKind.journalRevoke) {
    const entries = entryOffsets(bytes, JournalRevoke, RevokeEntry.sizeBytes);
    for (const at of entries) transaction.revokes.push(RevokeEntry.block.get(view, at));
  } else if (kind === BlockKind.journalCommit) {
    transaction.committed = {
      logBlocks: JournalCommit.logBlocks.get(view, 0),
      copies: JournalCommit.copies.get(view, 0),
      time: timeText(JournalCommit.seconds.get(view, 0)),
    };
  }
}

function entryOffsets(
  bytes: Uint8Array,
  record: typeof JournalDescriptor | typeof JournalRevoke,
  entryBytes: number,
): number[] {
  const most = Math.floor((bytes.length - record.sizeBytes) / entryBytes);
  const count = Math.min(record.count.get(viewOf(bytes), 0), most);
  return Array.from({ length: count }, (_, i) => record.sizeBytes + i * entryBytes);
}

/** Numbers as ranges: `3-5, 9`. */
function rangesText(numbers: readonly number[]): string {
  return rangeTexts([...numbers].sort((a, b) => a - b)).join(', ');
}

export function transactionLine(transaction: TransactionReport): string {
  const { sequence, start, copies, revokes, committed, fate } = transaction;
  const words = [fate === 'replayed' ? 'to be replayed' : fate, `from log index ${start}`];
  if (committed !== undefined) words.push(`${committed.logBlocks} blocks of the log`);
  if (committed?.time !== undefined) words.push(`committed ${committed.time}`);
  if (copies.length > 0) words.push(`copies of ${rangesText(copies)}`);
  if (revokes.length > 0) words.push(`revokes ${rangesText(revokes)}`);
  return `transaction ${sequence}: ${words.join('; ')}`;
}
