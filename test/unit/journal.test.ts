/**
 * The journal by itself: what is appended is read back, whole transactions only, and nothing stale
 * is taken for new.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { DateClock } from '../../src/fs/base/clock.ts';
import { initialiseHeader } from '../../src/fs/format/block-header.ts';
import { BlockKind } from '../../src/fs/format/format.ts';
import { Layout } from '../../src/fs/format/layout.ts';
import { Journal, type LoggedTransaction, writeJournalHead } from '../../src/fs/journal/journal.ts';
import { readJournal, readJournalHead } from '../../src/fs/journal/journal-log.ts';
import { Frame } from '../../src/fs/transaction/block-cache.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';

const BLOCK = 1024;
const layout = new Layout({ blockBytes: BLOCK, blockCount: 2048, journalBlocks: 64 });
const identity = { uuid: new Uint8Array(16).fill(7), salt: new Uint8Array(8).fill(9) };
const START = { tail: 0, sequence: 100, generation: 0 };

function frame(block: number, content: number): Frame {
  const made = new Frame({ bytes: new Uint8Array(BLOCK) }, 0, new Uint8Array(BLOCK));
  initialiseHeader(made, BlockKind.symlink, block, identity.uuid);
  made.bytes.fill(content, 64);
  made.block = block;
  return made;
}

const home = (index: number) => layout.spaceStart + index;

let device: MemoryDevice;
let journal: Journal;

beforeEach(async () => {
  device = new MemoryDevice(2048 * BLOCK);
  await writeJournalHead(device, layout, identity, START);
  journal = new Journal({ device, layout, identity, clock: new DateClock() }, START);
});

function prepare(frames: readonly Frame[], revoked: readonly number[]): LoggedTransaction {
  const transaction = journal.begin(frames.length, revoked);
  for (const [index, one] of frames.entries()) transaction.pages.copy(one, index);
  transaction.pages.finish();
  return transaction;
}

async function append(homes: readonly number[], revoked: readonly number[] = [], content = 1): Promise<void> {
  const transaction = prepare(
    homes.map((index) => frame(home(index), content)),
    revoked.map(home),
  );
  await journal.writeRecords(transaction);
  await journal.writeCommit(transaction);
}

/** What would be replayed: block → the byte that fills its copy. */
async function replayed(): Promise<Map<number, number>> {
  const contents = await readJournal(device, layout, identity);
  return new Map(
    contents.homes.map((block, i) => [
      block - layout.spaceStart,
      device.peek((contents.places[i] as number) * BLOCK + 64, 1)[0] as number,
    ]),
  );
}

describe('a log', () => {
  test('that is empty has nothing to replay', async () => {
    const contents = await readJournal(device, layout, identity);
    expect(contents).toMatchObject({ transactions: 0, homes: [], revokes: 0 });
    expect(contents.position).toEqual({ tail: 0, sequence: 101, generation: 0 });
  });

  test('gives back the youngest copy of each block, in order of blocks', async () => {
    await append([5, 3, 9], [], 1);
    await append([3], [], 2);
    expect([...(await replayed())]).toEqual([
      [3, 2],
      [5, 1],
      [9, 1],
    ]);
  });

  test('leaves out what a later transaction, or the same one, revoked (J5)', async () => {
    await append([1, 2], [], 1);
    await append([3], [1], 2);
    expect([...(await replayed()).keys()]).toEqual([2, 3]);
    await append([1], [], 3);
    expect(await replayed()).toEqual(
      new Map([
        [1, 3],
        [2, 1],
        [3, 2],
      ]),
    );
  });

  test('ends at a transaction without its commit block', async () => {
    await append([1], [], 1);
    const transaction = prepare([frame(home(1), 2), frame(home(2), 2)], []);
    await journal.writeRecords(transaction);
    expect(await replayed()).toEqual(new Map([[1, 1]]));
  });

  test('takes a transaction as large as itself', async () => {
    const copies = Array.from({ length: 59 }, (_, i) => i);
    await append(copies, [500]);
    expect(journal.freeBlocks).toBe(0);
    expect([...(await replayed()).keys()]).toEqual(copies);
  });

  test('takes transactions of several descriptors and revoke blocks', async () => {
    const larger = new Layout({ blockBytes: BLOCK, blockCount: 4096, journalBlocks: 512 });
    device = new MemoryDevice(4096 * BLOCK);
    await writeJournalHead(device, larger, identity, START);
    journal = new Journal({ device, layout: larger, identity, clock: new DateClock() }, START);
    const frames = Array.from({ length: 200 }, (_, i) => frame(larger.spaceStart + i, 3));
    const transaction = prepare(
      frames,
      Array.from({ length: 250 }, (_, i) => larger.spaceStart + 1000 + i),
    );
    expect(transaction.places.length).toBe(200 + 4 + 3 + 1);
    await journal.writeRecords(transaction);
    await journal.writeCommit(transaction);
    const contents = await readJournal(device, larger, identity);
    expect(contents).toMatchObject({ transactions: 1, revokes: 250 });
    expect(contents.homes).toEqual(frames.map(({ block }) => block));
  });

  test('refuses a transaction that has no room (J8)', async () => {
    await append(Array.from({ length: 40 }, (_, i) => i));
    expect(() =>
      prepare(
        Array.from({ length: 30 }, (_, i) => frame(home(i), 1)),
        [],
      ),
    ).toThrow(/J8/);
  });
});

describe('the tail', () => {
  test('moves: what is before it is forgotten, and its place used again', async () => {
    await append([1, 2]);
    const mark = journal.mark();
    await append([3]);
    await journal.moveTail(mark);
    expect([...(await replayed()).keys()]).toEqual([3]);
    expect(journal.usedBlocks).toBe(3);
  });

  test('goes round and round, with the heads in turn', async () => {
    const random = new SeededRandom(5);
    const model = new Map<number, number>();
    for (let round = 1; round <= 200; round++) {
      const homes = [...new Set(Array.from({ length: 1 + random.below(20) }, () => random.below(100)))];
      if (journal.cost(homes.length, 3) > journal.freeBlocks) {
        await journal.moveTail(journal.mark());
        model.clear();
      }
      const content = 1 + (round % 200);
      const revoked = [200, 201, 202];
      await append(homes, revoked, content);
      for (const index of homes) model.set(index, content);
      expect(await replayed(), `round ${round}`).toEqual(new Map([...model].sort(([a], [b]) => a - b)));
      const head = await readJournalHead(device, layout, identity);
      expect(head.sequence).toBeLessThanOrEqual(100 + round);
    }
  });

  test('is that of the other head when one is torn', async () => {
    await append([1]);
    await journal.moveTail(journal.mark());
    device.poke((layout.journalStart + 1) * BLOCK + 80, new Uint8Array([99]));
    expect(await readJournalHead(device, layout, identity)).toEqual(START);
  });
});

describe('what is stale', () => {
  test('an older lap of the ring is not taken for the next transaction', async () => {
    for (let i = 0; i < 30; i++) await append([i]).then(() => journal.moveTail(journal.mark()));
    expect((await readJournal(device, layout, identity)).transactions).toBe(0);
  });

  test('the log of a former volume with the same uuid is not replayed', async () => {
    await append([1]);
    await append([2]);
    const other = { uuid: identity.uuid, salt: new Uint8Array(8).fill(1) };
    await writeJournalHead(device, layout, other, START);
    expect((await readJournal(device, layout, other)).transactions).toBe(0);
  });

  test('a recovery leaves a sequence number out (J7)', async () => {
    await append([1]);
    expect((await readJournal(device, layout, identity)).position.sequence).toBe(102);
  });
});

describe('damage is told from a crash', () => {
  const placeOf = (index: number) => layout.logBlock(index) * BLOCK;

  test('a committed transaction with a broken copy', async () => {
    await append([1, 2]);
    device.poke(placeOf(2) + 500, new Uint8Array([77]));
    await expect(readJournal(device, layout, identity)).rejects.toThrow(/transaction 100 is committed, but/);
  });

  test('a descriptor that is gone before transactions that are there', async () => {
    await append([1]);
    await append([2]);
    device.poke(placeOf(0), new Uint8Array(BLOCK));
    await expect(readJournal(device, layout, identity)).rejects.toThrow(
      /transaction 100 is committed, but the log ends before it/,
    );
  });

  test('a copy that would go over the superblock, the journal or the end', async () => {
    for (const block of [0, 1, layout.journalStart + 10, layout.firstBackup, 2 ** 47]) {
      device = new MemoryDevice(2048 * BLOCK);
      await writeJournalHead(device, layout, identity, START);
      journal = new Journal({ device, layout, identity, clock: new DateClock() }, START);
      const transaction = prepare([frame(block, 1)], []);
      await journal.writeRecords(transaction);
      await journal.writeCommit(transaction);
      await expect(readJournal(device, layout, identity)).rejects.toThrow(/not one of metadata/);
    }
  });

  test('two broken heads', async () => {
    device.poke(layout.journalStart * BLOCK, new Uint8Array(2 * BLOCK));
    await expect(readJournal(device, layout, identity)).rejects.toThrow(/neither of its heads/);
  });

  test('a head that points outside of the log', async () => {
    await writeJournalHead(device, layout, identity, { ...START, tail: layout.logBlocks, generation: 4 });
    await expect(readJournal(device, layout, identity)).rejects.toThrow(/outside/);
  });
});
