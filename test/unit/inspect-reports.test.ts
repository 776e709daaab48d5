/** What a volume is, as data: superblocks, journal, inodes, directories, blocks, space, usage. */
import { beforeAll, describe, expect, test } from 'vitest';
import { inspectSuperblock } from '../../src/check/superblock-pass.ts';
import { viewOf } from '../../src/common/bytes.ts';
import {
  BlockHeader,
  BlockKind,
  EntryRecord,
  HEADER_BYTES,
  INODE_BODY_BYTES,
  INODE_BODY_OFFSET,
  JournalCommit,
  JournalDescriptor,
  JournalHeader,
  SummaryEntry,
  SummaryHeader,
  Superblock,
  VolumeRoot,
} from '../../src/fs/format/format.ts';
import { reportBlock } from '../../src/inspect/block-report.ts';
import { reportDirectory, reportInode } from '../../src/inspect/inode-report.ts';
import { InspectError } from '../../src/inspect/inspect-error.ts';
import { type JournalReport, type Replay, reportJournal } from '../../src/inspect/journal-report.ts';
import { nodeRecords } from '../../src/inspect/node-records.ts';
import { reportSpace } from '../../src/inspect/space-report.ts';
import { reportSuperblocks } from '../../src/inspect/superblock-report.ts';
import { describeHead, describeLayout } from '../../src/inspect/volume-head.ts';
import { VolumeSource } from '../../src/inspect/volume-source.ts';
import { readUsage } from '../../src/inspect/volume-usage.ts';
import type { MemoryDevice } from '../../src/sim/memory-device.ts';
import {
  BLOCK_BYTES,
  MANY,
  makeSample,
  type Sample,
  SIZE_BYTES,
  sourceOf,
  withBlock,
  withUnreadable,
} from './inspect-sample.ts';

let sample: Sample;
let clean: VolumeSource;
let crashed: VolumeSource;
beforeAll(async () => {
  sample = await makeSample();
  clean = await sourceOf(sample.clean);
  crashed = await sourceOf(sample.crashed);
});

/** A copy of the volume with one byte of a block wrong, and its checksum with it. */
function spoiled(device: MemoryDevice, block: number): MemoryDevice {
  const copy = device.clone();
  const at = block * BLOCK_BYTES + HEADER_BYTES + 9;
  copy.poke(at, new Uint8Array([(copy.peek(at, 1)[0] ?? 0) ^ 1]));
  return copy;
}

describe('superblocks', () => {
  test('the first and its copies', async () => {
    const reports = await reportSuperblocks(sample.clean);
    expect(reports.map(({ block, fault }) => [block, fault])).toEqual([
      [0, undefined],
      [clean.layout.firstBackup, undefined],
    ]);
    expect(reports[0]?.parts.map(({ title }) => title)).toEqual(['block header', 'superblock']);
  });

  test('a damaged first one alone: nobody knows where the copies are', async () => {
    const [first, ...copies] = await reportSuperblocks(spoiled(sample.clean, 0));
    expect(first?.fault).toBe('checksum does not match');
    expect(copies).toEqual([]);
  });

  test('a copy that is damaged, or not there', async () => {
    const { firstBackup } = clean.layout;
    const [, copy] = await reportSuperblocks(spoiled(sample.clean, firstBackup));
    expect(copy?.fault).toBe('checksum does not match');
    const device = sample.clean.clone();
    device.poke(firstBackup * BLOCK_BYTES, new Uint8Array(BLOCK_BYTES));
    await expect(reportSuperblocks(device)).rejects.toThrow(
      new InspectError(`there is no superblock in block ${firstBackup}: it does not begin with 'QUARRY'`),
    );
    await expect(reportSuperblocks(withUnreadable(sample.clean, firstBackup))).rejects.toThrow(
      `the superblock in block ${firstBackup} cannot be read`,
    );
  });

  test('what the first says, and where things stand', () => {
    const found = inspectSuperblock(sample.clean.peek(0, BLOCK_BYTES));
    if (typeof found === 'string') throw new Error(found);
    expect(describeHead(found)).toMatchObject({
      label: 'test',
      uuid: '01020304-0506-0708-090a-0b0c0d0e0f10',
      state: 'clean',
      mountCount: 1,
      features: ['attributes', 'unwritten'],
      onlyReadableFor: undefined,
    });
    expect(describeLayout(found.layout)).toMatchObject({
      blockBytes: BLOCK_BYTES,
      sizeBytes: SIZE_BYTES,
      volumeRootBlock: clean.layout.volumeRootBlock,
      groupBlocks: clean.layout.bitsPerBlock,
    });
  });

  test('a dirty one, never unmounted, with a feature that allows reading only', () => {
    const bytes = sample.crashed.peek(0, BLOCK_BYTES);
    viewOf(bytes).setBigUint64(Superblock.readOnlyFeatures.offset, 8n, true);
    const found = inspectSuperblock(bytes);
    if (typeof found === 'string') throw new Error(found);
    expect(describeHead(found)).toMatchObject({
      state: 'dirty',
      unmounted: undefined,
      onlyReadableFor: '0x8',
    });
  });
});

describe('the journal', () => {
  const NOTHING: Replay = { tail: 0, from: 0, to: 0, fault: undefined };

  function reported(source: VolumeSource, replay: Partial<Replay> = {}): Promise<JournalReport> {
    return reportJournal(source, () => Promise.resolve({ ...NOTHING, ...replay }));
  }

  function fates({ transactions }: JournalReport): string[] {
    return transactions.map(({ fate }) => fate);
  }

  /** The block of the log with the first record of this kind. */
  function recordOf(device: MemoryDevice, kind: number): number {
    for (let index = 0; index < crashed.layout.logBlocks; index++) {
      const block = crashed.layout.logBlock(index);
      const bytes = device.peek(block * BLOCK_BYTES, BLOCK_BYTES);
      if (BlockHeader.kind.get(viewOf(bytes), 0) === kind) return block;
    }
    throw new Error(`the log has no record of kind ${kind}`);
  }

  test('what is to be replayed is what the mount says', async () => {
    const before = await reported(crashed);
    expect(before).toMatchObject({ tail: 0, logBlocks: crashed.layout.logBlocks, fault: undefined });
    expect(before.heads.map((parts) => parts?.[1]?.title)).toEqual(['journal head', undefined]);
    const [{ sequence = 0, copies = [], committed } = {}] = before.transactions;
    expect(fates(before)).toEqual(['at home']);
    expect(copies).toContain(crashed.layout.volumeRootBlock);
    expect(committed).toMatchObject({ copies: copies.length });
    expect(fates(await reported(crashed, { from: sequence, to: sequence + 1 }))).toEqual(['replayed']);
    expect(fates(await reported(crashed, { from: sequence + 1, to: sequence + 2 }))).toEqual(['at home']);
    expect(await reported(crashed, { tail: undefined, fault: 'no' })).toMatchObject({
      tail: undefined,
      fault: 'no',
    });
  });

  test('transactions are gathered around the ring', async () => {
    const [found] = (await reported(crashed)).transactions;
    const { transactions } = await reported(crashed, { tail: crashed.layout.logBlocks - 1 });
    expect(transactions).toEqual([found]);
  });

  test('one without its commit block, and one of which a part is gone', async () => {
    const commit = recordOf(sample.crashed, BlockKind.journalCommit);
    const cut = await sourceOf(spoiled(sample.crashed, commit));
    expect(fates(await reported(cut))).toEqual(['not committed']);
    const descriptor = recordOf(sample.crashed, BlockKind.journalDescriptor);
    const partly = await sourceOf(spoiled(sample.crashed, descriptor));
    expect(fates(await reported(partly))).toEqual(['partly overwritten']);
  });

  test('a count of entries that its block has no room for', async () => {
    const descriptor = recordOf(sample.crashed, BlockKind.journalDescriptor);
    const device = withBlock(sample.crashed, descriptor, (bytes) =>
      JournalDescriptor.count.set(viewOf(bytes), 0, 2 ** 30),
    );
    const [transaction] = (await reported(await sourceOf(device))).transactions;
    expect(transaction?.copies.length).toBeLessThan(BLOCK_BYTES);
    expect(transaction?.fate).toBe('partly overwritten');
  });

  test('records of another journal, and blocks that cannot be read, are passed over', async () => {
    const commit = recordOf(sample.crashed, BlockKind.journalCommit);
    const foreign = withBlock(sample.crashed, commit, (bytes) => JournalHeader.salt.of(bytes, 0).fill(0xee));
    expect(fates(await reported(await sourceOf(foreign)))).toEqual(['not committed']);
    const unreadable = await sourceOf(withUnreadable(sample.crashed, commit));
    expect(fates(await reported(unreadable))).toEqual(['not committed']);
  });

  test('a time that no calendar has is none', async () => {
    const commit = recordOf(sample.crashed, BlockKind.journalCommit);
    const device = withBlock(sample.crashed, commit, (bytes) =>
      viewOf(bytes).setBigInt64(JournalCommit.seconds.offset, 2n ** 62n, true),
    );
    const [transaction] = (await reported(await sourceOf(device))).transactions;
    expect(transaction?.committed?.time).toBeUndefined();
  });

  test('a head that is not valid is none; one that cannot be read is an error before all else', async () => {
    const { journalStart } = crashed.layout;
    const valid = ({ heads }: JournalReport) => heads.map((parts) => parts !== undefined);
    expect(valid(await reported(clean))).toEqual([true, true]);
    expect(valid(await reported(await sourceOf(spoiled(sample.clean, journalStart))))).toEqual([false, true]);
    const unreadable = new VolumeSource(withUnreadable(sample.crashed, journalStart), crashed.superblock);
    const report = reportJournal(unreadable, () => Promise.reject(new Error('asked too early')));
    await expect(report).rejects.toThrow(`block ${journalStart} cannot be read`);
  });
});

describe('inodes and directories', () => {
  test('an inode and where it is', async () => {
    const { inode, block, parts } = await reportInode(clean, sample.small);
    expect(inode).toBe(sample.small);
    expect(block).toBe((await clean.inode(sample.small)).block);
    expect(parts.map(({ title }) => title)).toEqual(['inode 2', 'inode 2, data in its body']);
    expect(parts[1]?.notes).toEqual([expect.stringContaining('Hello, disk..')]);
  });

  test('the names of a directory in order of their keys', async () => {
    const { directory, parent, entries } = await reportDirectory(clean, sample.folder);
    expect([directory, parent, entries.length]).toEqual([sample.folder, 1, MANY + 1]);
    const keys = entries.map(({ key }) => key);
    expect(keys).toEqual([...keys].sort((a, b) => a - b));
    expect(entries).toContainEqual(
      expect.objectContaining({
        inode: sample.large,
        type: 'regular',
        name: new TextEncoder().encode('large'),
      }),
    );
  });

  test('a type that no file has', async () => {
    const { bytes, at, block } = await clean.inode(1);
    const { offsets } = nodeRecords(bytes, at + INODE_BODY_OFFSET, INODE_BODY_BYTES);
    const device = withBlock(sample.clean, block, (changed) =>
      EntryRecord.type.set(viewOf(changed), offsets[0] ?? 0, 9),
    );
    const { entries } = await reportDirectory(await sourceOf(device), 1);
    expect(entries[0]?.type).toBe('type 9');
  });

  test('a file has no names', async () => {
    await expect(reportDirectory(clean, sample.small)).rejects.toThrow(
      new InspectError(`inode ${sample.small} is no directory`),
    );
  });
});

describe('blocks', () => {
  test('one of metadata, one of data, one of no known kind', async () => {
    const { volumeRootBlock } = clean.layout;
    expect(await reportBlock(clean, volumeRootBlock)).toMatchObject({
      fault: undefined,
      parts: expect.any(Array),
    });
    const damaged = await sourceOf(spoiled(sample.clean, volumeRootBlock));
    expect((await reportBlock(damaged, volumeRootBlock)).fault).toBe('checksum does not match');
    const unknown = withBlock(sample.clean, volumeRootBlock, (bytes) =>
      BlockHeader.kind.set(viewOf(bytes), 0, 999),
    );
    const none = { parts: undefined, fault: undefined };
    expect(await reportBlock(await sourceOf(unknown), volumeRootBlock)).toMatchObject(none);
    expect(await reportBlock(clean, clean.layout.blockCount - 1)).toMatchObject(none);
  });
});

describe('the space', () => {
  test('of one group', async () => {
    const { layout } = clean;
    const report = await reportSpace(clean);
    expect(report).toMatchObject({ groupCount: 1, summaryLevels: 1, spaceStart: layout.spaceStart });
    expect(report.groups).toMatchObject([
      { group: 0, bitmapBlock: layout.spaceStart, freeBlocks: report.freeBlocks },
    ]);
    // Bits behind the end of a short last group are set.
    expect((report.groups[0]?.used ?? 0) + report.freeBlocks).toBe(layout.bitsPerBlock);
  });

  test('groups that were never used are left out', async () => {
    const { summaryLevels } = clean.layout;
    const top = clean.layout.summaryBlock(summaryLevels, 0);
    const device = withBlock(sample.clean, top, (bytes) =>
      SummaryEntry.flags.set(viewOf(bytes), HEADER_BYTES, 0),
    );
    expect((await reportSpace(await sourceOf(device))).groups).toEqual([]);
  });

  test('a damaged bitmap', async () => {
    const { spaceStart } = clean.layout;
    await expect(reportSpace(await sourceOf(spoiled(sample.clean, spaceStart)))).rejects.toThrow(
      `block ${spaceStart} is damaged`,
    );
  });
});

describe('usage', () => {
  test('by the counters where they stand', async () => {
    const { layout } = clean;
    const top = layout.summaryBlock(layout.summaryLevels, 0);
    const summary = viewOf(sample.clean.peek(top * BLOCK_BYTES, BLOCK_BYTES));
    const root = viewOf(sample.clean.peek(layout.volumeRootBlock * BLOCK_BYTES, BLOCK_BYTES));
    const usage = {
      freeBlocks: SummaryHeader.freeBlocks.get(summary, 0),
      inodes: VolumeRoot.inodeCount.get(root, 0),
    };
    expect(await readUsage(sample.clean, layout)).toEqual(usage);
    expect(await readUsage(spoiled(sample.clean, top), layout)).toEqual(usage);
    expect(await readUsage(withUnreadable(sample.clean, top), layout)).toEqual({
      ...usage,
      freeBlocks: undefined,
    });
    const other = withBlock(sample.clean, layout.volumeRootBlock, (bytes) =>
      BlockHeader.kind.set(viewOf(bytes), 0, BlockKind.summary),
    );
    expect(await readUsage(other, layout)).toEqual({ ...usage, inodes: undefined });
  });
});
