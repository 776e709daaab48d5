/**
 * The order in which the journal and recovery talk to the device where a crash would show it,
 * request by request.
 */
import { describe, expect, test } from 'vitest';
import type { IoCompletion, Memory } from '../../src/aio/device.ts';
import { DateClock } from '../../src/fs/base/clock.ts';
import { initialiseHeader, sealBlock } from '../../src/fs/format/block-header.ts';
import { BlockHeader, BlockKind, JOURNAL_HEADS, Superblock, VolumeRoot } from '../../src/fs/format/format.ts';
import { Layout } from '../../src/fs/format/layout.ts';
import { readSuperblock, type SuperblockImage } from '../../src/fs/format/superblock.ts';
import { Journal, writeJournalHead } from '../../src/fs/journal/journal.ts';
import { readJournal } from '../../src/fs/journal/journal-log.ts';
import { recover } from '../../src/fs/journal/recovery.ts';
import { BlockCache, Frame } from '../../src/fs/transaction/block-cache.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';

const BLOCK = 1024;
const layout = new Layout({ blockBytes: BLOCK, blockCount: 2048, journalBlocks: 64 });
const identity = { uuid: new Uint8Array(16).fill(7), salt: new Uint8Array(8).fill(9) };
const START = { tail: 0, sequence: 100, generation: 0 };

/** Tells in what order it was asked, and can keep flushes back. */
class TranscribingDevice extends MemoryDevice {
  readonly asked: string[] = [];
  holdsFlushes = false;
  #held: (() => void)[] = [];

  override write(memory: Memory, at: number, length: number, offset: number, completion: IoCompletion): void {
    const block = offset / BLOCK;
    const isHead = block >= layout.journalStart && block < layout.journalStart + JOURNAL_HEADS;
    this.asked.push(
      isHead ? 'head' : block >= layout.spaceStart ? `home ${block - layout.spaceStart}` : 'log',
    );
    super.write(memory, at, length, offset, completion);
  }

  override flush(completion: IoCompletion): void {
    this.asked.push('flush');
    if (this.holdsFlushes) this.#held.push(() => super.flush(completion));
    else super.flush(completion);
  }

  letFlushesGo(): void {
    this.holdsFlushes = false;
    for (const carryOut of this.#held.splice(0)) carryOut();
    this.submit();
  }
}

function frame(block: number): Frame {
  const made = new Frame({ bytes: new Uint8Array(BLOCK) }, 0, new Uint8Array(BLOCK));
  initialiseHeader(made, BlockKind.symlink, block, identity.uuid);
  made.block = block;
  return made;
}

async function journalOn(device: MemoryDevice): Promise<Journal> {
  await writeJournalHead(device, layout, identity, START);
  return new Journal({ device, layout, identity, clock: new DateClock(), thorough: true }, START);
}

async function append(journal: Journal, homes: readonly number[], revoked: readonly number[] = []) {
  const transaction = journal.begin(
    homes.length,
    revoked.map((index) => layout.spaceStart + index),
  );
  for (const [i, index] of homes.entries()) transaction.pages.copy(frame(layout.spaceStart + index), i);
  transaction.pages.finish();
  await journal.writeRecords(transaction);
  await journal.writeCommit(transaction);
}

describe('the journal', () => {
  test('gives the place before the tail free when the head that leaves it out is flushed (J4)', async () => {
    const device = new TranscribingDevice(2048 * BLOCK);
    const journal = await journalOn(device);
    await append(journal, [1, 2]);
    const used = journal.usedBlocks;
    device.holdsFlushes = true;
    const moving = journal.moveTail(journal.mark());
    await new Promise((resolve) => setTimeout(resolve, 2));
    expect(journal.usedBlocks).toBe(used);
    device.letFlushesGo();
    await moving;
    expect(journal.usedBlocks).toBe(0);
  });

  test('replays no copy of a block that the same transaction revokes (J5)', async () => {
    const device = new MemoryDevice(2048 * BLOCK);
    const journal = await journalOn(device);
    await append(journal, [1, 2, 3], [2]);
    const { homes } = await readJournal(device, layout, identity);
    expect(homes.map((block) => block - layout.spaceStart)).toEqual([1, 3]);
  });
});

test('the journal takes no block that a reader would refuse', async () => {
  const device = new TranscribingDevice(2048 * BLOCK);
  const journal = await journalOn(device);
  const transaction = journal.begin(1, []);
  const node = frame(layout.spaceStart + 3);
  BlockHeader.kind.set(node.view, 0, BlockKind.extentNode);
  transaction.pages.copy(node, 0);
  expect(() => transaction.pages.finish()).toThrow('was about to be written with');
});

describe('recovery', () => {
  test('brings blocks home, flushes, and only then writes a head without them', async () => {
    const device = new TranscribingDevice(2048 * BLOCK);
    const journal = await journalOn(device);
    await append(journal, [4, 9]);
    const root = frame(layout.volumeRootBlock);
    initialiseHeader(root, BlockKind.volumeRoot, root.block, identity.uuid);
    VolumeRoot.blockCount.set(root.view, 0, layout.blockCount);
    sealBlock(root, BLOCK, 1);
    device.poke(root.block * BLOCK, root.bytes);
    const superblock = {
      uuid: identity.uuid,
      journalSalt: identity.salt,
      nameSecret: new Uint8Array(16),
      isClean: false,
      layout: () => layout,
      resized: () => {},
    } as unknown as SuperblockImage;
    device.asked.length = 0;
    await recover(device, superblock, { readOnly: false, replay: true });
    expect(device.asked).toEqual(['home 4', 'home 9', 'flush', 'head', 'flush']);
  });
});

describe('a frame for a block that is to be written for the first time', () => {
  test('is refused while the block holds metadata in use', () => {
    const cache = new BlockCache(new MemoryDevice(2048 * BLOCK), BLOCK, identity.uuid, 1024 * 1024);
    const dirty = cache.claim(10, 1);
    cache.markDirty(dirty);
    expect(() => cache.claim(10, 2)).toThrow('is free in its bitmap, yet holds metadata in use');
    cache.markLogged(dirty);
    expect(() => cache.claim(10, 2)).toThrow('is free in its bitmap');
    const read = cache.claim(11, 3);
    read.touchedBy = 3;
    expect(() => cache.claim(11, 3)).toThrow('is free in its bitmap');
    expect(cache.claim(11, 4).block).toBe(11);
  });
});

describe('a superblock', () => {
  test('with an incompatible feature nobody knows is not mounted', async () => {
    const device = new MemoryDevice(4 * 1024 * BLOCK);
    await formatted(device, BLOCK);
    const superblock = await readSuperblock(device);
    const { blockBytes, firstBackup } = superblock.layout();
    Superblock.incompatibleFeatures.set(superblock.view, 0, 2 ** 40);
    await superblock.write(device, 0, blockBytes, superblock.sequence + 1);
    await superblock.write(device, firstBackup, blockBytes, superblock.sequence);
    const before = device.clone();
    await expect(TestVolume.open(device)).rejects.toThrow('features that this version does not know');
    expect(device.peek(0, 64 * BLOCK)).toEqual(before.peek(0, 64 * BLOCK));
  });
});
