/**
 * The order in which a commit talks to the device, one request at a time: the invariants of
 * journal.ts as a transcript.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import type { IoCompletion, Memory } from '../../src/aio/device.ts';
import { DateClock } from '../../src/fs/base/clock.ts';
import { EVENT_LOOP, Turns } from '../../src/fs/base/turns.ts';
import { Discards } from '../../src/fs/data/discards.ts';
import { IoEpochs } from '../../src/fs/data/io-epochs.ts';
import { initialiseHeader } from '../../src/fs/format/block-header.ts';
import { BlockHeader, BlockKind, JOURNAL_HEADS } from '../../src/fs/format/format.ts';
import { Layout } from '../../src/fs/format/layout.ts';
import { Committer } from '../../src/fs/journal/commit.ts';
import { Journal, writeJournalHead } from '../../src/fs/journal/journal.ts';
import { BlockCache, type Frame } from '../../src/fs/transaction/block-cache.ts';
import type { SpaceMap } from '../../src/fs/transaction/space-map.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';

const BLOCK = 1024;
const EIO = 5;
const layout = new Layout({ blockBytes: BLOCK, blockCount: 2048, journalBlocks: 64 });
const identity = { uuid: new Uint8Array(16).fill(7), salt: new Uint8Array(8).fill(9) };

/** Tells what is asked of it, and ends nothing before it is told to. */
class SteppedDevice extends MemoryDevice {
  readonly asked: string[] = [];
  stepping = false;
  /** The next flush fails when it is carried out. */
  failsFlush = false;
  #held: (() => void)[] = [];

  override write(memory: Memory, at: number, length: number, offset: number, completion: IoCompletion): void {
    this.asked.push(...this.#names(memory, at, length, offset));
    if (!this.stepping) super.write(memory, at, length, offset, completion);
    else this.#held.push(() => super.write(memory, at, length, offset, completion));
  }

  override writeThrough(
    memory: Memory,
    at: number,
    length: number,
    offset: number,
    completion: IoCompletion,
  ): void {
    this.asked.push(...this.#names(memory, at, length, offset).map((name) => `${name} through`));
    if (!this.stepping) super.writeThrough(memory, at, length, offset, completion);
    else this.#held.push(() => super.writeThrough(memory, at, length, offset, completion));
  }

  override flush(completion: IoCompletion): void {
    this.asked.push('flush');
    const fails = this.failsFlush;
    this.failsFlush = false;
    const carryOut = () => (fails ? queueMicrotask(() => completion.ioDone(EIO)) : super.flush(completion));
    if (!this.stepping) carryOut();
    else this.#held.push(carryOut);
  }

  /** Carries out what was asked so far; returns what is asked next. */
  async step(): Promise<string[]> {
    const held = this.#held;
    this.#held = [];
    this.asked.length = 0;
    for (const carryOut of held) carryOut();
    this.submit();
    await new Promise((resolve) => setTimeout(resolve, 1));
    return [...this.asked];
  }

  /** Keeps one of what was asked so far back until the function returned is called and a step follows. */
  holdBack(which = 0): () => void {
    const held = this.#held.splice(which, 1);
    return () => this.#held.push(...held);
  }

  #names({ bytes }: Memory, at: number, length: number, offset: number): string[] {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Array.from({ length: length / BLOCK }, (_, i) => {
      const block = offset / BLOCK + i;
      if (block >= layout.spaceStart) return `home ${block - layout.spaceStart}`;
      if (block < layout.journalStart + JOURNAL_HEADS) return 'head';
      const kind = BlockHeader.kind.get(view, at + i * BLOCK);
      if (kind === BlockKind.journalDescriptor) return 'descriptor';
      if (kind === BlockKind.journalRevoke) return 'revoke';
      return kind === BlockKind.journalCommit ? 'commit' : 'copy';
    });
  }
}

let device: SteppedDevice;
let cache: BlockCache;
let epochs: IoEpochs;
let committer: Committer;
let freed: { start: number; length: number }[];
let released: { start: number; length: number }[];
let failures: Error[];
let tx: { contentChanges: number };
/** Every step takes a turn of its own. */
let slow: boolean;

/** The bookkeeping of freed space, without the space. */
const space = {
  takeFreed: () => freed.splice(0),
  release: (runs: { start: number; length: number }[]) => released.push(...runs),
} as unknown as SpaceMap;

beforeEach(async () => {
  device = new SteppedDevice(2048 * BLOCK);
  const position = { tail: 0, sequence: 1, generation: 0 };
  await writeJournalHead(device, layout, identity, position);
  cache = new BlockCache(device, BLOCK, identity.uuid, 4 * 1024 * 1024);
  epochs = new IoEpochs();
  freed = [];
  released = [];
  failures = [];
  const journal = new Journal({ device, layout, identity, clock: new DateClock() }, position);
  const failed = (error: Error) => failures.push(error);
  slow = false;
  let milliseconds = 0;
  const turns = new Turns({ ...EVENT_LOOP, now: () => (slow ? ++milliseconds * 1000 : 0) });
  tx = { contentChanges: 0 };
  const parts = { device, cache, space, tx, epochs, journal, blockBytes: BLOCK, turns, failed };
  const tellers = { log: () => {}, isSound: () => true, broken: failed };
  committer = new Committer({ ...parts, discards: new Discards({ ...parts, layout, ...tellers }) });
  device.asked.length = 0;
  device.stepping = true;
});

function dirty(index: number): Frame {
  const block = layout.spaceStart + index;
  const frame = cache.get(block) ?? cache.claim(block, 1);
  initialiseHeader(frame, BlockKind.symlink, block, identity.uuid);
  cache.markDirty(frame);
  return frame;
}

test('a commit: records, flush, commit block written through; and nothing goes home (J1, J2)', async () => {
  dirty(5);
  dirty(6);
  cache.free(layout.spaceStart + 9);
  let over = false;
  const commit = committer.commit().then(() => {
    over = true;
  });
  expect(device.asked).toEqual(['descriptor', 'copy', 'copy', 'revoke']);
  expect(await device.step()).toEqual(['flush']);
  expect(await device.step()).toEqual(['commit through']);
  expect(over).toBe(false);
  expect(await device.step()).toEqual([]);
  await commit;
});

test('a checkpoint: home, flush, head, flush, after the commit point (J2, J3, J4)', async () => {
  dirty(5);
  const room = committer.makeRoom();
  for (const expected of [['flush'], ['commit through']]) expect(await device.step()).toEqual(expected);
  expect(await device.step()).toEqual(['home 5']);
  expect(await device.step()).toEqual(['flush']);
  expect(await device.step()).toEqual(['head']);
  expect(await device.step()).toEqual(['flush']);
  expect(await device.step()).toEqual([]);
  await room;
});

test('a checkpoint brings home what was committed, not what was changed since', async () => {
  const frame = dirty(5);
  frame.bytes.fill(1, 64);
  const room = committer.makeRoom();
  frame.bytes.fill(2, 64);
  cache.markDirty(frame);
  while ((await device.step()).length > 0);
  await room;
  expect(device.peek((layout.spaceStart + 5) * BLOCK + 64, 1)[0]).toBe(1);
  expect(cache.dirtyFrames).toBe(1);
});

test('a commit goes on while a checkpoint is under way', async () => {
  dirty(5);
  const room = committer.makeRoom();
  while (!device.asked.includes('home 5')) await device.step();
  dirty(6);
  const commit = committer.commit();
  expect(device.asked.slice(-2)).toEqual(['descriptor', 'copy']);
  while ((await device.step()).length > 0);
  await Promise.all([room, commit]);
  expect(cache.loggedFrames).toBe(1);
});

test('data alone: one flush, and none if nothing was written since', async () => {
  committer.dataWritten();
  const commit = committer.commit();
  expect(device.asked).toEqual(['flush']);
  await device.step();
  await commit;
  await committer.commit();
  expect(device.asked).toEqual([]);
});

test('data that is written while a checkpoint flushes is flushed again by who asks', async () => {
  dirty(5);
  const room = committer.makeRoom();
  while (!device.asked.includes('home 5')) await device.step();
  committer.dataWritten();
  expect(await device.step()).toEqual(['flush']);
  let over = false;
  const commit = committer.commit().then(() => {
    over = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 1));
  expect(over, 'the flush that may cover the data is not over').toBe(false);
  while ((await device.step()).length > 0);
  await Promise.all([room, commit]);
});

describe('a sync of data alone', () => {
  test('is a flush while nothing but times has changed, and none if nothing was written since', async () => {
    dirty(5);
    committer.dataWritten();
    const sync = committer.syncData();
    expect(device.asked).toEqual(['flush']);
    expect(await device.step()).toEqual([]);
    await sync;
    await committer.syncData();
    expect(device.asked).toEqual([]);
    expect(cache.dirtyFrames).toBe(1);
  });

  test('is a commit if more has changed, and a flush again when that is durable', async () => {
    dirty(5);
    tx.contentChanges++;
    committer.dataWritten();
    const sync = committer.syncData();
    expect(device.asked).toEqual(['descriptor', 'copy']);
    while ((await device.step()).length > 0);
    await sync;
    dirty(5);
    committer.dataWritten();
    const again = committer.syncData();
    expect(device.asked).toEqual(['flush']);
    await device.step();
    await again;
  });

  test('waits for the next commit if more has changed since the one under way began', async () => {
    dirty(5);
    tx.contentChanges++;
    const commit = committer.commit();
    dirty(6);
    tx.contentChanges++;
    let over = false;
    const sync = committer.syncData().then(() => {
      over = true;
    });
    while (!device.asked.includes('commit through')) await device.step();
    await device.step();
    await commit;
    expect(over).toBe(false);
    while ((await device.step()).length > 0);
    await sync;
    expect(cache.dirtyFrames).toBe(0);
  });

  test('waits for the commit under way, whose commit block is not there yet', async () => {
    dirty(5);
    tx.contentChanges++;
    const commit = committer.commit();
    let over = false;
    const sync = committer.syncData().then(() => {
      over = true;
    });
    expect(await device.step()).toEqual(['flush']);
    expect(await device.step()).toEqual(['commit through']);
    void committer.syncData();
    expect(device.asked).toEqual(['commit through']);
    expect(over).toBe(false);
    await device.step();
    await Promise.all([commit, sync]);
  });

  test('does not take for durable what is changed while a commit copies', async () => {
    slow = true;
    for (let index = 0; index < 40; index++) dirty(index);
    tx.contentChanges++;
    const commit = committer.commit();
    expect(device.asked, 'it copies still').toEqual([]);
    dirty(50);
    tx.contentChanges++;
    let over = false;
    commit.then(() => {
      over = true;
    });
    while (!over) await device.step();
    const sync = committer.syncData();
    expect(device.asked.slice(-2)).toEqual(['descriptor', 'copy']);
    while ((await device.step()).length > 0);
    await sync;
  });

  test('is waited for, and the one after it, by whoever wants quiet', async () => {
    committer.dataWritten();
    const first = committer.syncData();
    committer.dataWritten();
    const second = committer.syncData();
    let quiet = false;
    const waits = committer.quiet().then(() => {
      quiet = true;
    });
    await device.step();
    await first;
    expect(quiet).toBe(false);
    await device.step();
    await Promise.all([second, waits]);
  });

  test('is begun again for what was written while one was under way, once for all who ask', async () => {
    committer.dataWritten();
    const first = committer.syncData();
    committer.dataWritten();
    const others = [committer.syncData(), committer.syncData()];
    expect(device.asked).toEqual(['flush']);
    expect(await device.step()).toEqual(['flush']);
    await first;
    expect(await device.step()).toEqual([]);
    await Promise.all(others);
    committer.dataWritten();
    const last = committer.syncData();
    committer.dataWritten();
    const afterLast = committer.syncData();
    expect(device.asked).toEqual(['flush']);
    expect(await device.step()).toEqual(['flush']);
    await device.step();
    await Promise.all([last, afterLast]);
  });

  test('ends everything with the error of its flush, though the next would succeed', async () => {
    device.stepping = false;
    device.failsFlush = true;
    committer.dataWritten();
    await expect(committer.syncData()).rejects.toMatchObject({ code: 'EIO' });
    await expect(committer.syncData()).rejects.toMatchObject({ code: 'EIO' });
    await expect(committer.commit()).rejects.toMatchObject({ code: 'EIO' });
    expect(failures).toHaveLength(1);
  });
});

describe('a flush that ends well after another failed proves nothing', () => {
  const outcome = (work: Promise<void>) => work.catch((thrown: unknown) => thrown);

  /** A flush of data fails, while the last request but it waits. */
  async function failBeside(): Promise<void> {
    device.failsFlush = true;
    committer.dataWritten();
    const sync = outcome(committer.syncData());
    const other = device.holdBack();
    expect(await device.step()).toEqual([]);
    expect(await sync).toMatchObject({ code: 'EIO' });
    other();
  }

  test('that of a commit: no commit block is written', async () => {
    dirty(5);
    const commit = outcome(committer.commit());
    expect(await device.step()).toEqual(['flush']);
    await failBeside();
    expect(await device.step()).toEqual([]);
    expect(await commit).toMatchObject({ code: 'EIO' });
    expect(failures).toHaveLength(1);
  });

  test('that of a commit block: whoever waits for it is told', async () => {
    dirty(5);
    const commit = outcome(committer.commit());
    expect(await device.step()).toEqual(['flush']);
    expect(await device.step()).toEqual(['commit through']);
    await failBeside();
    expect(await device.step()).toEqual([]);
    expect(await commit).toMatchObject({ code: 'EIO' });
  });

  test('that of a checkpoint: the journal keeps what went home (J3)', async () => {
    dirty(5);
    const room = outcome(committer.makeRoom());
    while (!device.asked.includes('home 5')) await device.step();
    expect(await device.step()).toEqual(['flush']);
    await failBeside();
    expect(await device.step()).toEqual([]);
    expect(await room).toMatchObject({ code: 'EIO' });
  });

  test('that of data: whoever waits for it is told', async () => {
    dirty(5);
    const commit = outcome(committer.commit());
    device.failsFlush = true;
    expect(await device.step()).toEqual(['flush']);
    committer.dataWritten();
    const sync = outcome(committer.syncData());
    const other = device.holdBack(1);
    await device.step();
    expect(await commit).toMatchObject({ code: 'EIO' });
    other();
    await device.step();
    expect(await sync).toMatchObject({ code: 'EIO' });
  });
});

describe('freed blocks are handed out again (J6)', () => {
  const RUN = { start: 40, length: 3 };

  test('after the commit, not before', async () => {
    dirty(5);
    freed.push(RUN);
    const commit = committer.commit();
    for (let i = 0; i < 2; i++) {
      await device.step();
      expect(released).toEqual([]);
    }
    await device.step();
    await commit;
    expect(released).toEqual([RUN]);
  });

  test('after I/O that may still reach them', async () => {
    const epoch = epochs.enter();
    dirty(5);
    freed.push(RUN);
    const commit = committer.commit();
    while ((await device.step()).length > 0);
    await commit;
    expect(released).toEqual([]);
    epochs.leave(epoch);
    expect(released).toEqual([RUN]);
  });

  test('after a checkpoint that was under way before', async () => {
    dirty(5);
    const room = committer.makeRoom();
    while (!device.asked.includes('home 5')) await device.step();
    device.stepping = true;
    cache.free(layout.spaceStart + 5);
    dirty(6);
    freed.push(RUN);
    const commit = committer.commit();
    const home = device.holdBack();
    while ((await device.step()).length > 0);
    await commit;
    expect(released).toEqual([]);
    home();
    while ((await device.step()).length > 0);
    await room;
    expect(released).toEqual([RUN]);
  });
});

test('an error ends it all: told once, and every later commit is refused', async () => {
  dirty(5);
  device.stepping = false;
  device.flush = (completion) => queueMicrotask(() => completion.ioDone(5));
  await expect(committer.commit()).rejects.toMatchObject({ code: 'EIO' });
  await expect(committer.commit()).rejects.toMatchObject({ code: 'EIO' });
  await expect(committer.makeRoom()).rejects.toMatchObject({ code: 'EIO' });
  await expect(committer.syncData()).rejects.toMatchObject({ code: 'EIO' });
  expect(failures).toHaveLength(1);
});
