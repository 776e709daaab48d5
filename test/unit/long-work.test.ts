/**
 * Long work gives the loop back: no turn has more than its share of steps, and requests have theirs
 * in between.
 *
 * The clock of these volumes moves by a whole turn whenever it is looked at, so a turn is as short
 * as it can be, whatever the machine.
 */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import firstFit from '../../src/alloc/first-fit.ts';
import { checkVolume } from '../../src/check/checker.ts';
import { TurnLengths, type TurnSource } from '../../src/fs/base/turns.ts';
import { FileType, ROOT_INODE } from '../../src/fs/format/format.ts';
import { Picture } from '../../src/fs/journal/picture.ts';
import type { VolumeOptions } from '../../src/fs/life/volume-options.ts';
import { SpaceMap } from '../../src/fs/transaction/space-map.ts';
import { GroupWalk } from '../../src/fs/transaction/space-survey.ts';
import { Transaction } from '../../src/fs/transaction/transaction.ts';
import { Wire } from '../../src/fuse/abi.ts';
import { AttributeReplies } from '../../src/fuse/attribute-replies.ts';
import { DirectoryCookies } from '../../src/fuse/directory-cookies.ts';
import { DirectoryListing } from '../../src/fuse/directory-listing.ts';
import { LONGEST_LISTING_BYTES } from '../../src/fuse/limits.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { CALLER, formatted, TestVolume } from '../suite/volume-harness.ts';

const BLOCK = 1024;
const encoder = new TextEncoder();

/** A loop that takes the turns it is told to. */
class CountedTurns implements TurnSource {
  turns = 0;
  /** Called at the end of each turn. */
  ended: () => void = () => {};
  #milliseconds = 0;

  now(): number {
    this.#milliseconds += 1000;
    return this.#milliseconds;
  }

  later(goOn: () => void): void {
    setImmediate(() => {
      this.turns++;
      goOn();
      this.ended();
    });
  }
}

let turns: CountedTurns;
beforeEach(() => {
  turns = new CountedTurns();
});

async function open(journalBlocks?: number, options: VolumeOptions = {}): Promise<TestVolume> {
  const device = new MemoryDevice(128 * 1024 * 1024);
  await formatted(device, BLOCK, journalBlocks);
  return TestVolume.open(device, { turns, cacheBytes: 64 * 1024 * 1024, ...options });
}

/**
 * Runs `work`, and returns the most transactions that one turn held, requests of the test's own
 * aside.
 */
async function transactionsPerTurn(work: () => Promise<unknown>): Promise<number> {
  const begin = vi.spyOn(Transaction.prototype, 'begin');
  let most = 0;
  turns.ended = () => {
    most = Math.max(most, begin.mock.calls.length);
    begin.mockClear();
  };
  await work();
  begin.mockRestore();
  return most;
}

async function scattered(volume: TestVolume, path: string, extents: number): Promise<number> {
  const inode = await volume.create(path);
  for (let at = 0; at < extents; at++) await volume.write(inode, 2 * at * BLOCK, new Uint8Array(BLOCK));
  return inode;
}

function later(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('one step a turn', () => {
  test.each(['truncate', 'unlink'] as const)('of %s, with requests in between', async (how) => {
    const volume = await open(64);
    await scattered(volume, '/file', 2000);
    await volume.create('/other');
    let answered = 0;
    const most = await transactionsPerTurn(async () => {
      const before = turns.turns;
      const done = how === 'truncate' ? volume.truncate('/file', 0) : volume.unlink('/file');
      while (turns.turns < before + 200) {
        // A cached request is answered before `execute` returns, whatever waits.
        const request = { perform: () => {}, finished: () => answered++ };
        volume.volume.execute(request);
        await later();
      }
      await done;
    });
    expect(answered).toBeGreaterThan(90);
    expect(most).toBeLessThan(10);
    await volume.volume.unmount();
    expect((await checkVolume((volume.device as MemoryDevice).reopen())).problems).toEqual([]);
  });

  test.each([
    ['a hole over very many extents', 'punch'],
    ['zeros over them', 'zero'],
    ['space between them', 'allocate'],
    ['a look for the end of a hole in pieces', 'seek'],
  ] as const)('of %s', async (_, action) => {
    const volume = await open(64);
    const inode = await scattered(volume, '/file', 3000);
    const range = { inode, offsetBytes: 0, lengthBytes: 6000 * BLOCK, keepSize: true } as const;
    const how = { updateTimes: true, killPrivileges: false };
    if (action === 'seek') await volume.volume.fallocate({ ...range, ...how, action: 'zero' });
    const before = turns.turns;
    const most = await transactionsPerTurn(() =>
      action === 'seek'
        ? volume.volume.seek(inode, 0, 'data')
        : volume.volume.fallocate({ ...range, ...how, action }),
    );
    expect(turns.turns - before).toBeGreaterThan(3);
    expect(most).toBeLessThan(10);
    await volume.volume.unmount();
    expect((await checkVolume((volume.device as MemoryDevice).reopen())).problems).toEqual([]);
  });

  test('of following free space in very many pieces', { timeout: 20_000 }, async () => {
    const volume = await open(64, { allocator: firstFit });
    const [kept, gone] = [await volume.create('/kept'), await volume.create('/gone')];
    for (let at = 0; at < 3000; at++) {
      for (const inode of [kept, gone]) await volume.write(inode, at * BLOCK, new Uint8Array(BLOCK));
    }
    await volume.truncate('/gone', 0);
    await volume.volume.sync();
    const survey = volume.volume.beginSurvey(1000);
    if (survey === undefined) throw new Error('no survey');
    const step = vi.spyOn(GroupWalk.prototype, 'step');
    let most = 0;
    let all = 0;
    turns.ended = () => {
      most = Math.max(most, step.mock.calls.length);
      all += step.mock.calls.length;
      step.mockClear();
    };
    while (survey.staleGroups > 0) await volume.volume.surveyOn(survey);
    step.mockRestore();
    expect(survey.freeRuns().runs[0]).toBeGreaterThan(2900);
    // The group with the pieces takes several, each in a turn of its own.
    expect(all).toBeGreaterThan(2);
    expect(most).toBe(1);
    await volume.volume.unmount();
  });

  test('of making very many freed pieces available', { timeout: 20_000 }, async () => {
    const volume = await open(16384);
    const { freeBlocks } = await volume.statistics();
    await scattered(volume, '/file', 4000);
    await volume.volume.sync();
    await volume.unlink('/file');
    // Freed, as far as the loop is quiet.
    for (let before = -1; before !== turns.turns; ) {
      before = turns.turns;
      for (let count = 0; count < 4; count++) await later();
    }
    expect(volume.volume.counters().pendingBlocks).toBeGreaterThan(2500);
    const release = vi.spyOn(SpaceMap.prototype, 'release');
    const most: number[] = [];
    turns.ended = () => {
      most.push(release.mock.calls.reduce((sum, [runs]) => sum + runs.length, 0));
      release.mockClear();
    };
    await volume.volume.sync();
    while (volume.volume.counters().pendingBlocks > 0) await later();
    release.mockRestore();
    expect(Math.max(...most)).toBeLessThanOrEqual(128);
    expect(most.length).toBeGreaterThan(30);
    expect((await volume.statistics()).freeBlocks).toBeGreaterThan(freeBlocks - 20);
    await volume.volume.unmount();
    expect(await checkVolume((volume.device as MemoryDevice).reopen())).toMatchObject({
      state: 'clean',
      problems: [],
    });
  });

  test('of many files that are let go of at once', async () => {
    const volume = await open();
    const names = Array.from({ length: 400 }, (_, at) => `/file-${at}`);
    const inodes: number[] = [];
    for (const name of names) {
      const inode = await volume.create(name);
      inodes.push(inode);
      volume.volume.acquire(inode);
    }
    for (const name of names) await volume.unlink(name);
    expect(volume.volume.counters().openOrphans).toBe(400);
    const begin = vi.spyOn(Transaction.prototype, 'begin');
    for (const inode of inodes) volume.volume.forget(inode, 1);
    expect(begin.mock.calls.length).toBeLessThan(3);
    begin.mockRestore();
    await volume.volume.unmount();
    expect(await checkVolume((volume.device as MemoryDevice).reopen())).toMatchObject({
      state: 'clean',
      problems: [],
    });
  });

  test('and who needs the space meanwhile waits for it', async () => {
    const device = new MemoryDevice(4 * 1024 * 1024);
    await formatted(device, BLOCK, 64);
    const volume = await TestVolume.open(device, { turns });
    await scattered(volume, '/file', 1000);
    const { freeBlocks } = await volume.statistics();
    const rest = await volume.create('/rest');
    await volume.write(rest, 0, new Uint8Array((freeBlocks - 40) * BLOCK));
    await volume.unlink('/file');
    const data = new Uint8Array(700 * BLOCK).fill(5);
    const inode = await volume.create('/new');
    await volume.write(inode, 0, data);
    expect(Buffer.compare(await volume.read(inode, 0, data.length), data)).toBe(0);
    await volume.volume.unmount();
    expect(await checkVolume(device.reopen())).toMatchObject({ state: 'clean', problems: [] });
  });

  test('of a large commit, which is still what was there at one moment', async () => {
    const volume = await open(16384);
    const names = Array.from({ length: 3000 }, (_, at) => `name-${at}`);
    for (const name of names) await volume.create(`/${name}`);
    // The blocks of these are freed without being changed.
    const links = Array.from({ length: 100 }, (_, at) => `link-${at}`);
    for (const name of links) await volume.symlink(name.repeat(300), `/${name}`);
    const take = vi.spyOn(Picture.prototype, 'takeSome');
    const most: number[] = [];
    turns.ended = () => {
      most.push(take.mock.calls.length);
      take.mockClear();
    };
    const { dirtyFrames } = volume.volume.counters();
    const synced = volume.volume.sync();
    // What comes after is not in it: names go, others come, blocks are freed and used again.
    for (const name of names.slice(0, 1500)) await volume.unlink(`/${name}`);
    for (const name of links) await volume.unlink(`/${name}`);
    for (let at = 0; at < 1500; at++) await volume.create(`/late-${at}`);
    expect(turns.turns).toBe(0);
    await synced;
    take.mockRestore();
    expect(dirtyFrames).toBeGreaterThan(1000);
    // Of 32 blocks each; those that are about to change come besides, with what changes them.
    expect(Math.max(...most)).toBeLessThanOrEqual(2);
    expect(most.length).toBeGreaterThan(20);
    const cut = await TestVolume.open((volume.device as MemoryDevice).clone());
    expect(await cut.list('/')).toEqual([...names, ...links].sort());
    for (const name of links) expect(await cut.readlink(`/${name}`)).toBe(name.repeat(300));
    await cut.volume.unmount();
    await volume.volume.unmount();
    const again = (volume.device as MemoryDevice).reopen();
    expect(await checkVolume(again)).toMatchObject({ state: 'clean', problems: [] });
  });
});

describe('the ancestors of a directory', () => {
  const DEPTH = 12_000;

  /** A chain of directories, one in the other, under /0. @returns the innermost */
  async function chain(volume: TestVolume): Promise<number> {
    let parent = ROOT_INODE;
    for (let level = 0; level < DEPTH; level++) {
      const within = parent;
      const request = { mode: FileType.directory | 0o755, deviceNumber: 0, caller: CALLER };
      parent = await volume.volume.run((tx) =>
        volume.volume.create(tx, within, encoder.encode(String(level % 10)), request),
      );
    }
    return parent;
  }

  function moveInto(volume: TestVolume, name: string, parent: number): Promise<void> {
    const from = encoder.encode(name);
    return volume.volume.run((tx) => {
      const to = { parent, name: encoder.encode('new') };
      volume.volume.rename(tx, { parent: ROOT_INODE, name: from }, to);
    });
  }

  test('are looked at in steps', async () => {
    const volume = await open();
    const deepest = await chain(volume);
    await volume.mkdir('/moved');
    const before = turns.turns;
    await moveInto(volume, 'moved', deepest);
    expect(turns.turns - before).toBeGreaterThan(DEPTH / 1024 - 2);
    await expect(moveInto(volume, '0', deepest)).rejects.toThrow('EINVAL');
    await volume.volume.unmount();
    expect((await checkVolume((volume.device as MemoryDevice).reopen())).problems).toEqual([]);
  });

  test('are looked at again when the tree has changed meanwhile', async () => {
    const volume = await open();
    const deepest = await chain(volume);
    await volume.mkdir('/moved');
    const moving = moveInto(volume, 'moved', deepest);
    for (let turn = 0; turn < 4; turn++) await later();
    // All of the chain comes below what is about to be moved to its end.
    await volume.rename('/0', '/moved/0');
    await expect(moving).rejects.toThrow('EINVAL');
    await volume.volume.unmount();
    expect((await checkVolume((volume.device as MemoryDevice).reopen())).problems).toEqual([]);
  });

  test('are found in the end, however often the tree changes', async () => {
    const volume = await open();
    const deepest = await chain(volume);
    for (const name of ['moved', 'a', 'b']) await volume.mkdir(`/${name}`);
    await volume.mkdir('/a/x');
    let moved = false;
    const moving = moveInto(volume, 'moved', deepest).then(() => {
      moved = true;
    });
    for (let round = 0; !moved && round < 1000; round++) {
      await volume.rename(`/${'ab'[round % 2]}/x`, `/${'ba'[round % 2]}/x`);
      await later();
    }
    await moving;
    await volume.volume.unmount();
  });
});

test('an answer to READDIR is bounded, whatever the kernel has room for', () => {
  const wire = new Wire(new Uint8Array(1024 * 1024));
  const listing = new DirectoryListing(wire, new AttributeReplies(wire, BLOCK), {
    directoryCookies: new DirectoryCookies([1, 2, 3, 4]),
    scarceSpace: { isScarce: false },
  } as never);
  listing.begin(0, 1024 * 1024, undefined, 0);
  let names = 0;
  while (listing.visit(encoder.encode(`n${names}`), 7, 8, names + 1)) names++;
  listing.end();
  expect(names).toBeGreaterThan(1000);
  expect(listing.bytes).toBeLessThanOrEqual(LONGEST_LISTING_BYTES);
});

test('lengths of turns are counted by powers of two', () => {
  const lengths = new TurnLengths();
  for (const milliseconds of [0, 0.0009, 0.001, 0.0019, 0.002, 1, 1.023, 1.024, 1e6])
    lengths.note(milliseconds);
  expect(lengths.summary([12, 0, 3])).toEqual({
    count: 12,
    longestMilliseconds: 1e6,
    shorterThanMicroseconds: { 1: 2, 2: 5, 4: 1, 1024: 2, 2048: 1, [2 ** 23]: 1 },
  });
});
