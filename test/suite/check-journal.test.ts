/**
 * The checker's own reading of the journal: what it says of a volume that lost its power, and that
 * its replay leaves the same files as the recovery of a mount.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { sealBytes } from '../../src/check/metadata-block.ts';
import { repairVolume } from '../../src/check/repair.ts';
import { viewOf } from '../../src/common/bytes.ts';
import {
  BlockHeader,
  BlockKind,
  JOURNAL_HEADS,
  JournalCommit,
  JournalHead,
  SUPERBLOCK_BYTES,
  Superblock,
  VolumeState,
} from '../../src/fs/format/format.ts';
import { formatVolume } from '../../src/fs/mkfs.ts';
import { crashImage } from '../../src/sim/crash-image.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { contentsOf } from './check-tree.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const BLOCK = 4096;
const SIZE = 4 * 1024 * 1024;
const JOURNAL_START = 1;

/** A volume with several transactions in its journal, and what a mount shows of it. */
let crashed: MemoryDevice;
let expected: Map<string, string>;

beforeAll(async () => {
  const base = new MemoryDevice(SIZE);
  await formatVolume(base, {
    blockBytes: BLOCK,
    journalBlocks: 256,
    label: '',
    uuid: new Uint8Array(16).fill(5),
    journalSalt: new Uint8Array(8).fill(6),
    nameSecret: new Uint8Array(16).fill(7),
    uid: 0,
    gid: 0,
  });
  const device = new SimulatedDevice({ sizeBytes: SIZE, seed: 11, content: base.content });
  const volume = await TestVolume.open(device);
  await volume.mkdir('/d');
  for (let i = 0; i < 5; i++) {
    const inode = await volume.create(`/d/file ${i}`);
    await volume.write(inode, 0, new Uint8Array(3000 * (i + 1)).fill(i + 1));
    await volume.volume.sync();
  }
  await volume.unlink('/d/file 2');
  await volume.rename('/d/file 3', '/moved');
  await volume.volume.sync();
  // Names are lost, since nobody asked for them to be durable.
  await volume.create('/never synced');
  crashed = crashImage(device, device.log.length, 2);
  expected = await contentsOf(crashed);
});

interface JournalBlock {
  readonly block: number;
  readonly kind: number;
  readonly sequence: number;
}

/** The records in the journal of a device, by sequence. */
function recordsOf(device: MemoryDevice): JournalBlock[] {
  const found: JournalBlock[] = [];
  const journalBlocks = Superblock.journalBlocks.get(viewOf(device.peek(0, SUPERBLOCK_BYTES)), 0);
  for (let block = JOURNAL_START; block < JOURNAL_START + journalBlocks; block++) {
    const view = viewOf(device.peek(block * BLOCK, BLOCK));
    if (BlockHeader.block.get(view, 0) !== block) continue;
    found.push({ block, kind: BlockHeader.kind.get(view, 0), sequence: BlockHeader.sequence.get(view, 0) });
  }
  return found.sort((a, b) => a.sequence - b.sequence);
}

function commitsOf(device: MemoryDevice): JournalBlock[] {
  return recordsOf(device).filter(({ kind }) => kind === BlockKind.journalCommit);
}

function flip(device: MemoryDevice, block: number): void {
  const bytes = device.peek(block * BLOCK + 2000, 1).map((byte) => byte ^ 0x40);
  device.poke(block * BLOCK + 2000, bytes);
}

function edit(
  device: MemoryDevice,
  block: number,
  lengthBytes: number,
  change: (view: DataView) => void,
): void {
  const bytes = device.peek(block * BLOCK, lengthBytes);
  change(viewOf(bytes));
  sealBytes(bytes);
  device.poke(block * BLOCK, bytes);
}

async function repaired(device: MemoryDevice): Promise<Map<string, string>> {
  const { after, outcome } = await repairVolume(device, 'all');
  expect(after.problems).toEqual([]);
  expect(outcome).toBe('corrected');
  expect(await checkVolume(device)).toMatchObject({ clean: true, state: 'clean' });
  return await contentsOf(device);
}

describe('a journal to be replayed', () => {
  test('is no problem: the volume is checked as it will be', async () => {
    const result = await checkVolume(crashed.reopen({ readOnly: true }));
    expect(result).toMatchObject({ clean: true, state: 'dirty', problems: [] });
    expect(result.journal.transactions).toBeGreaterThan(2);
    expect(result.journal.blocks).toBeGreaterThan(2);
    expect(result.statistics.files).toBe(4);
  });

  test.each(['safe', 'all'] as const)('is brought home, to what a mount makes of it (%s)', async (mode) => {
    const device = crashed.clone();
    const result = await repairVolume(device, mode);
    expect(result).toMatchObject({ outcome: 'clean', problems: [] });
    expect(result.replayed).toBeGreaterThan(2);
    expect(await checkVolume(device)).toMatchObject({
      clean: true,
      state: 'clean',
      journal: { transactions: 0, blocks: 0 },
    });
    expect(await contentsOf(device)).toEqual(expected);
    expect([...expected.keys()]).toContain('/moved');
    expect([...expected.keys()]).not.toContain('/d/file 2');
  });

  test('both heads gone: the log speaks for itself', async () => {
    const device = crashed.clone();
    for (let slot = 0; slot < JOURNAL_HEADS; slot++)
      device.poke((JOURNAL_START + slot) * BLOCK, new Uint8Array(BLOCK));
    expect((await checkVolume(device)).problems.map(({ code }) => code)).toEqual(['journal-heads']);
    expect(await repaired(device)).toEqual(expected);
  });

  test('one head gone is what a crash leaves', async () => {
    const heads = recordsOf(crashed).filter(({ kind }) => kind === BlockKind.journalHead);
    const generations = heads.map(({ block }) => ({
      block,
      generation: JournalHead.generation.get(viewOf(crashed.peek(block * BLOCK, BLOCK)), 0),
    }));
    const oldest = generations.sort((a, b) => a.generation - b.generation)[0];
    const device = crashed.clone();
    if (generations.length === JOURNAL_HEADS && oldest) flip(device, oldest.block);
    expect((await checkVolume(device)).problems).toEqual([]);
  });
});

describe('a damaged journal', () => {
  test('a broken copy in a committed transaction', async () => {
    const device = crashed.clone();
    const last = commitsOf(device).at(-1);
    if (!last) throw new Error('no transaction');
    flip(device, last.block - 1);
    const { problems } = await checkVolume(device);
    expect(problems.map(({ code }) => code)).toContain('journal-damaged');
    const now = await repaired(device);
    for (const path of ['/d/file 0', '/d/file 1']) expect(now.get(path)).toBe(expected.get(path));
  });

  test('a commit block that is gone while a later one is there', async () => {
    const device = crashed.clone();
    const commits = commitsOf(device);
    flip(device, commits.at(-2)?.block ?? 0);
    const { problems } = await checkVolume(device);
    expect(problems.map(({ code }) => code)).toContain('journal-damaged');
    const now = await repaired(device);
    expect(now.get('/d/file 0')).toBe(expected.get('/d/file 0'));
  });

  test('a last commit block that is gone is what a crash leaves', async () => {
    const device = crashed.clone();
    flip(device, commitsOf(device).at(-1)?.block ?? 0);
    const before = await contentsOf(device);
    expect(await checkVolume(device)).toMatchObject({ clean: true });
    await repairVolume(device, 'safe');
    expect(await contentsOf(device)).toEqual(before);
  });

  test('a commit block that counts something else', async () => {
    const device = crashed.clone();
    edit(device, commitsOf(device).at(-1)?.block ?? 0, BLOCK, (view) =>
      JournalCommit.copies.set(view, 0, 999),
    );
    expect((await checkVolume(device)).problems.map(({ code }) => code)).toContain('journal-damaged');
    await repaired(device);
  });

  test('a head that points outside of the log', async () => {
    const device = crashed.clone();
    const heads = recordsOf(device).filter(({ kind }) => kind === BlockKind.journalHead);
    for (const { block } of heads)
      edit(device, block, BLOCK, (view) => JournalHead.tail.set(view, 0, 2 ** 40));
    const codes = (await checkVolume(device)).problems.map(({ code }) => code);
    expect(codes).toEqual(expect.arrayContaining(['journal-damaged', 'journal-heads']));
    expect(await repaired(device)).toEqual(expected);
  });

  test('a log that is not empty under a superblock that says it is clean', async () => {
    const device = crashed.clone();
    await repairVolume(device, 'all');
    const sound = await contentsOf(device);
    // The old head, from before the replay, would have it done again.
    for (let slot = 0; slot < JOURNAL_HEADS; slot++) {
      const at = (JOURNAL_START + slot) * BLOCK;
      device.poke(at, crashed.peek(at, BLOCK));
    }
    expect((await checkVolume(device)).problems.map(({ code }) => code)).toEqual(['journal-not-empty']);
    expect((await repairVolume(device, 'safe')).outcome).toBe('corrected');
    expect(await contentsOf(device)).toEqual(sound);
    edit(device, 0, SUPERBLOCK_BYTES, (view) => Superblock.state.set(view, 0, VolumeState.dirty));
    expect((await checkVolume(device)).journal.transactions).toBe(0);
    expect(await contentsOf(device)).toEqual(sound);
  });
});

describe('orphans that a crash left', () => {
  test('are freed, without being called a problem', async () => {
    const base = new MemoryDevice(SIZE);
    await formatted(base, BLOCK);
    const device = new SimulatedDevice({ sizeBytes: SIZE, seed: 4, content: base.content });
    const volume = await TestVolume.open(device);
    const inode = await volume.create('/open');
    await volume.write(inode, 0, new Uint8Array(5 * BLOCK).fill(3));
    volume.volume.acquire(inode);
    await volume.unlink('/open');
    await volume.volume.sync();
    const image = crashImage(device, device.log.length, 6);
    expect(await checkVolume(image)).toMatchObject({ clean: true, statistics: { orphans: 1 } });
    const result = await repairVolume(image, 'safe');
    expect(result).toMatchObject({ outcome: 'clean', orphans: 1, problems: [] });
    expect(await checkVolume(image)).toMatchObject({ clean: true, statistics: { inodes: 1, orphans: 0 } });
  });
});
