/** Discards: which blocks the device is told of, when, and that nobody gets them meanwhile. */
import { afterEach, describe, expect, test } from 'vitest';
import type { IoCompletion } from '../../src/aio/device.ts';
import { checkVolume } from '../../src/check/checker.ts';
import { Errno } from '../../src/fs/base/errors.ts';
import { EVENT_LOOP } from '../../src/fs/base/turns.ts';
import type { VolumeOptions } from '../../src/fs/life/volume-options.ts';
import { KEPT_BACK_BLOCKS } from '../../src/fs/transaction/space-map.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const BLOCK = 4096;
const SIZE_BYTES = 16 * 1024 * 1024;
const ALL = { startBytes: 0, lengthBytes: 2 ** 64, minimumBytes: 0 };

/** Notes discards, and holds them back or fails them when it is told to. */
class DiscardDevice extends MemoryDevice {
  /** First and last block of each, as they were asked for. */
  readonly asked: [first: number, last: number][] = [];
  least = 512;
  errno = 0;
  onDiscard = () => {};
  holding = false;
  #held: (() => void)[] = [];

  override get discardBytes(): number {
    return this.least;
  }

  override discard(deviceOffset: number, lengthBytes: number, completion: IoCompletion): void {
    this.onDiscard();
    this.asked.push([deviceOffset / BLOCK, (deviceOffset + lengthBytes) / BLOCK - 1]);
    const goOn = () => {
      if (this.errno === 0) super.discard(deviceOffset, lengthBytes, completion);
      else queueMicrotask(() => completion.ioDone(this.errno));
      this.submit();
    };
    if (this.holding) this.#held.push(goOn);
    else goOn();
  }

  letGo(): void {
    this.holding = false;
    for (const goOn of this.#held.splice(0)) goOn();
  }

  isAsked(block: number): boolean {
    return this.asked.some(([first, last]) => first <= block && block <= last);
  }
}

let device: DiscardDevice;
let volume: TestVolume;
let lines: string[] = [];

async function mounted(options: VolumeOptions = {}, sizeBytes = SIZE_BYTES): Promise<void> {
  device = new DiscardDevice(sizeBytes);
  await formatted(device, BLOCK);
  lines = [];
  volume = await TestVolume.open(device, { log: (line) => lines.push(line), ...options });
}

async function file(path: string, blocks: number): Promise<number[]> {
  await volume.write(await volume.create(path), 0, Buffer.alloc(blocks * BLOCK, path));
  return blocksOf(path);
}

async function blocksOf(path: string): Promise<number[]> {
  const inode = await volume.resolve(path);
  const found: number[] = [];
  await volume.volume.run((tx) => {
    found.length = 0;
    volume.volume.visitExtents(tx, inode, (_, block, length) => {
      for (let at = 0; at < length; at++) found.push(block + at);
      return true;
    });
  });
  return found;
}

/** As `file` wrote it. */
async function expectContent(path: string, blocks: number): Promise<void> {
  const bytes = await volume.read(await volume.resolve(path), 0, blocks * BLOCK);
  expect(Buffer.alloc(blocks * BLOCK, path).equals(bytes)).toBe(true);
}

const counters = () => volume.volume.counters();
const soon = () => new Promise((resolve) => setImmediate(resolve));

afterEach(async () => {
  device.letGo();
  await volume.volume.unmount();
  expect((await checkVolume(device.reopen())).problems).toEqual([]);
});

describe('with discard', () => {
  test('blocks are discarded when their freeing is durable, as one run, and no others', async () => {
    await mounted({ discard: true });
    const gone = await file('/gone', 20);
    const kept = await file('/kept', 20);
    await volume.volume.sync();
    device.asked.length = 0;
    await volume.unlink('/gone');
    await soon();
    expect(device.asked).toEqual([]);
    await volume.volume.sync();
    await soon();
    expect(device.asked).toEqual([[gone[0], gone.at(-1)]]);
    expect(kept.some((block) => device.isAsked(block))).toBe(false);
    expect(counters()).toMatchObject({ discards: 1, discardedBlocks: 20, discardFailures: 0 });
    await expectContent('/kept', 20);
  });

  test('nobody gets a block before its discard has ended, and who needs it waits', async () => {
    await mounted({ discard: true });
    const gone = await file('/gone', 300);
    await volume.volume.sync();
    device.holding = true;
    await volume.unlink('/gone');
    await volume.volume.sync();
    const { freeBlocks } = await volume.volume.space();
    let isWritten = false;
    const written = file('/all', freeBlocks - 100).then((blocks) => {
      isWritten = true;
      return blocks;
    });
    for (let i = 0; i < 50; i++) await soon();
    expect(isWritten).toBe(false);
    device.letGo();
    const all = await written;
    expect(all.some((block) => gone.includes(block))).toBe(true);
    await expectContent('/all', all.length);
  });

  test('what waits for its turn goes back when space is needed', async () => {
    await mounted({ discard: true });
    for (const path of ['/a', '/b', '/c']) await file(path, 100);
    await volume.volume.sync();
    device.holding = true;
    for (const path of ['/a', '/between', '/c']) {
      if (path === '/between') await file(path, 1);
      else await volume.unlink(path);
      await volume.volume.sync();
    }
    const { freeBlocks } = await volume.volume.space();
    const written = file('/all', freeBlocks - 30);
    for (let i = 0; i < 50; i++) await soon();
    device.letGo();
    await written;
    expect(counters()).toMatchObject({ discards: 1, discardedBlocks: 100, discardPassedOverBlocks: 100 });
  });

  test('runs shorter than the device gives back are left alone', async () => {
    await mounted();
    device.least = 8 * BLOCK;
    volume.volume.adjust({ discard: true });
    await file('/short', 7);
    await file('/between', 1);
    const long = await file('/long', 8);
    await volume.volume.sync();
    for (const path of ['/short', '/long']) await volume.unlink(path);
    await volume.volume.sync();
    await soon();
    expect(device.asked).toEqual([[long[0], long.at(-1)]]);
    volume.volume.adjust({ discard: false });
    await volume.unlink('/between');
    await volume.volume.sync();
    await soon();
    expect(device.asked).toHaveLength(1);
  });

  test('an error is told once, and costs nothing else', async () => {
    await mounted({ discard: true });
    device.errno = Errno.EIO;
    for (const path of ['/a', '/b']) {
      await file(path, 20);
      await volume.volume.sync();
      await volume.unlink(path);
      await volume.volume.sync();
      await soon();
    }
    expect(lines.filter((line) => line.startsWith('discarding'))).toHaveLength(1);
    expect(counters()).toMatchObject({ discards: 0, discardFailures: 2, pendingBlocks: 0 });
  });

  test('a device that knows no discard is asked once, or never', async () => {
    await mounted({ discard: true });
    device.errno = Errno.EOPNOTSUPP;
    for (const path of ['/a', '/b']) {
      await file(path, 20);
      await volume.volume.sync();
      await volume.unlink(path);
      await volume.volume.sync();
      await soon();
    }
    expect(device.asked).toHaveLength(1);
    device.least = 0;
    volume.volume.adjust({ discard: true });
    expect(lines.at(-1)).toBe('discard: the device does not know it');
  });

  test('the end of a mount discards what its last commit freed', async () => {
    await mounted({ discard: true });
    const gone = await file('/gone', 20);
    await volume.volume.sync();
    await volume.unlink('/gone');
    await volume.volume.unmount();
    expect(gone.every((block) => device.isAsked(block))).toBe(true);
  });

  test('a long run is waited for to its next piece only, by an end that takes too long', async () => {
    let late = 0;
    const turns = { ...EVENT_LOOP, now: () => EVENT_LOOP.now() + late };
    await mounted({ discard: true, turns }, 256 * 2 ** 20);
    const inode = await volume.create('/gone');
    const lengthBytes = 120 * 2 ** 20;
    const times = { updateTimes: true, killPrivileges: false };
    const range = { offsetBytes: 0, lengthBytes, keepSize: false };
    await volume.volume.fallocate({ inode, action: 'allocate', ...range, ...times });
    await volume.volume.sync();
    device.holding = true;
    await volume.unlink('/gone');
    const ended = volume.volume.unmount();
    while (device.asked.length === 0) await soon();
    late = 3000;
    device.letGo();
    await ended;
    const discarded = device.asked.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    expect(device.asked.length).toBe(1);
    expect(counters()).toMatchObject({
      discardedBlocks: discarded,
      discardPassedOverBlocks: lengthBytes / BLOCK - discarded,
    });
  });
});

describe('FITRIM', () => {
  const trim = (range: Partial<typeof ALL> = {}) => volume.volume.whole.trim({ ...ALL, ...range });

  test('tells of everything that is free, and of nothing else', async () => {
    await mounted();
    const kept = await file('/kept', 50);
    await file('/gone', 20);
    await file('/after', 1);
    await volume.unlink('/gone');
    await volume.volume.sync();
    const trimmed = await trim();
    const { freeBlocks } = await volume.volume.space();
    expect(trimmed).toBe((freeBlocks + KEPT_BACK_BLOCKS) * BLOCK);
    expect(kept.some((block) => device.isAsked(block))).toBe(false);
    await expectContent('/kept', 50);
    expect(counters()).toMatchObject({ discardedBlocks: trimmed / BLOCK, pendingBlocks: 0 });
    await volume.volume.checkInvariants();
  });

  test('of a range, and of runs that are long enough', async () => {
    await mounted();
    await file('/kept', 50);
    await file('/gone', 20);
    await file('/after', 1);
    const gone = await blocksOf('/gone');
    await volume.unlink('/gone');
    await volume.volume.sync();
    const first = gone[0] ?? 0;
    const behind = { startBytes: (first + 3) * BLOCK, lengthBytes: 5 * BLOCK };
    expect(await trim(behind)).toBe(5 * BLOCK);
    expect(device.asked).toEqual([[first + 3, first + 7]]);
    expect(await trim({ ...behind, minimumBytes: 6 * BLOCK })).toBe(0);
    device.asked.length = 0;
    await trim({ minimumBytes: 21 * BLOCK });
    expect(device.isAsked(first)).toBe(false);
    expect(device.asked.length).toBeGreaterThan(0);
  });

  test('what was freed just before is made durable first', async () => {
    await mounted();
    const gone = await file('/gone', 20);
    await volume.volume.sync();
    const { commits } = counters();
    await volume.unlink('/gone');
    device.onDiscard = () => expect(counters().commits).toBe(commits + 1);
    await trim();
    expect(gone.every((block) => device.isAsked(block))).toBe(true);
  });

  test('beside a write that takes the space: nobody is given what is being discarded', async () => {
    await mounted();
    device.holding = true;
    const trimmed = trim();
    for (let i = 0; device.asked.length === 0 && i < 100; i++) await soon();
    const { freeBlocks } = await volume.volume.space();
    const written = file('/all', freeBlocks - 30);
    for (let i = 0; i < 20; i++) await soon();
    device.letGo();
    const all = await written;
    await trimmed;
    await expectContent('/all', all.length);
  });

  test('is refused where it makes no sense', async () => {
    await mounted();
    const refused = (code: string) => ({ code });
    await expect(trim({ startBytes: SIZE_BYTES })).rejects.toMatchObject(refused('EINVAL'));
    await expect(trim({ lengthBytes: BLOCK - 1 })).rejects.toMatchObject(refused('EINVAL'));
    await expect(trim({ minimumBytes: 2 ** 60 })).rejects.toMatchObject(refused('EINVAL'));
    await volume.volume.rest();
    await expect(trim()).rejects.toMatchObject(refused('EROFS'));
    expect(volume.volume.resting).toBe(true);
    await volume.volume.wake();
    device.errno = Errno.EIO;
    await expect(trim()).rejects.toMatchObject(refused('EIO'));
    expect(counters().pendingBlocks).toBe(0);
    device.least = 0;
    await expect(trim()).rejects.toMatchObject(refused('EOPNOTSUPP'));
  });

  test('is ended by an unmount', async () => {
    await mounted();
    for (const path of ['/a', '/b', '/c', '/d']) await file(path, 3);
    for (const path of ['/a', '/c']) await volume.unlink(path);
    await volume.volume.sync();
    device.holding = true;
    const trimmed = expect(trim()).rejects.toMatchObject({ code: 'EINTR' });
    for (let i = 0; device.asked.length === 0 && i < 100; i++) await soon();
    const unmounted = volume.volume.unmount();
    await soon();
    device.letGo();
    await Promise.all([trimmed, unmounted]);
    expect(device.asked).toHaveLength(1);
  });
});
