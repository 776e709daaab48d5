/** The enumeration of crash states: all that the Device contract allows, and nothing else. */
import { describe, expect, test } from 'vitest';
import { type Device, PromisedCompletion } from '../../src/aio/device.ts';
import { CrashDisk } from '../../src/sim/crash-disk.ts';
import { hashOfDisk, KeySet, keyOf } from '../../src/sim/crash-hash.ts';
import type { DeviceEvent } from '../../src/sim/crash-image.ts';
import { CrashCursor } from '../../src/sim/crash-states.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';

const SECTORS = 16;
const SECTOR = 512;
const BUDGET = { exhaustive: 2048, samples: 10, singles: 4, cuts: 4, seed: 1 };

function write(device: Device, sector: number, count: number, value: number): Promise<number> {
  const memory = device.allocateMemory(count * SECTOR);
  memory.bytes.fill(value);
  const completion = new PromisedCompletion();
  device.write(memory, 0, count * SECTOR, sector * SECTOR, completion);
  return completion.promise;
}

function writeThrough(device: Device, sector: number, count: number, value: number): Promise<number> {
  const memory = device.allocateMemory(count * SECTOR);
  memory.bytes.fill(value);
  const completion = new PromisedCompletion();
  device.writeThrough(memory, 0, count * SECTOR, sector * SECTOR, completion);
  return completion.promise;
}

function flush(device: Device): Promise<number> {
  const completion = new PromisedCompletion();
  device.flush(completion);
  return completion.promise;
}

/** The value of each sector, which must be uniform. */
function valuesOf(bytes: Uint8Array): string {
  const values = Array.from({ length: SECTORS }, (_, sector) => bytes[sector * SECTOR] as number);
  for (const [sector, value] of values.entries()) {
    const uniform = bytes.subarray(sector * SECTOR, (sector + 1) * SECTOR).every((byte) => byte === value);
    if (!uniform) throw new Error(`sector ${sector} is torn`);
  }
  return values.join(' ');
}

/** All states at each place of the log, and that their keys are those of their content. */
function statesByPlace(log: readonly DeviceEvent[]): Set<string>[] {
  const disk = new CrashDisk(new Uint8Array(SECTORS * SECTOR));
  const cursor = new CrashCursor(disk, log, hashOfDisk(disk.bytes));
  const places: Set<string>[] = [];
  do {
    const found = new Set<string>();
    for (const state of cursor.states(BUDGET)) {
      const mark = disk.mark();
      for (const { sector, data } of state.overlay) disk.write(sector * SECTOR, data);
      if (state.key !== keyOf(hashOfDisk(disk.bytes))) throw new Error('the key is not that of the content');
      found.add(valuesOf(disk.bytes));
      disk.rollback(mark);
    }
    places.push(found);
  } while (cursor.step());
  return places;
}

async function recordedRun(seed: number): Promise<SimulatedDevice> {
  const random = new SeededRandom(seed);
  const device = new SimulatedDevice({ sizeBytes: SECTORS * SECTOR, seed, stragglers: 0.2 });
  const ended: Promise<number>[] = [];
  for (let value = 1; value <= 5; value++) {
    const count = 1 + random.below(3);
    ended.push(write(device, random.below(SECTORS - count), count, value));
    if (random.chance(0.3)) ended.push(flush(device));
    device.submit();
    if (random.chance(0.5)) await ended[random.below(ended.length)];
  }
  await Promise.all(ended);
  return device;
}

describe('a crash cursor', () => {
  test('gives each sector of what is not flushed any of its contents, on its own', async () => {
    const disk = new CrashDisk(new Uint8Array(SECTORS * SECTOR));
    const log: DeviceEvent[] = [];
    const device = disk.device({ log });
    const first = [write(device, 0, 1, 1), flush(device)];
    device.submit();
    await Promise.all(first);
    const covered = flush(device);
    device.submit();
    await covered;
    void write(device, 0, 2, 2);
    void write(device, 1, 1, 3);
    const states = statesByPlace(log).at(-1);
    const heads = [...(states ?? [])].map((values) => values.slice(0, 3)).sort();
    expect(heads).toEqual(['1 0', '1 2', '1 3', '2 0', '2 2', '2 3']);
  });

  test('takes a write-through that is done for durable, and nothing else with it', async () => {
    const disk = new CrashDisk(new Uint8Array(SECTORS * SECTOR));
    const log: DeviceEvent[] = [];
    const device = disk.device({ log });
    const before = write(device, 0, 1, 1);
    device.submit();
    await before;
    const through = writeThrough(device, 1, 1, 2);
    const headsAt = (places: Set<string>[]) => [...(places.at(-1) ?? [])].map((values) => values.slice(0, 3));
    expect(headsAt(statesByPlace(log)).sort()).toEqual(['0 0', '0 2', '1 0', '1 2']);
    device.submit();
    await through;
    expect(headsAt(statesByPlace(log)).sort()).toEqual(['0 2', '1 2']);
  });

  test('refuses a write-through over what is not durable: what that leaves is not worked out', async () => {
    const log: DeviceEvent[] = [];
    const device = new CrashDisk(new Uint8Array(SECTORS * SECTOR)).device({ log });
    const both = [write(device, 0, 2, 1), writeThrough(device, 1, 1, 2)];
    device.submit();
    await Promise.all(both);
    expect(() => statesByPlace(log)).toThrow('write-through 1 overlaps');
  });

  test.each(Array.from({ length: 12 }, (_, seed) => seed))(
    'has every image among its states that the contract allows (seed %i)',
    async (seed) => {
      const device = await recordedRun(seed);
      const places = statesByPlace(device.log);
      for (let image = 0; image < 60; image++) {
        const crashed = device.crash(image);
        expect(places.at(-1)).toContain(valuesOf(crashed.peek(0, SECTORS * SECTOR)));
      }
      await device.close();
    },
  );
});

test('a disk rolled back is as it was, mark by mark', () => {
  const disk = new CrashDisk(new Uint8Array(SECTORS * SECTOR));
  const random = new SeededRandom(5);
  const marks: { mark: number; values: string }[] = [];
  for (let value = 1; value <= 100; value++) {
    if (value % 10 === 0) marks.push({ mark: disk.mark(), values: valuesOf(disk.bytes) });
    disk.write(random.below(SECTORS - 2) * SECTOR, new Uint8Array(2 * SECTOR).fill(value));
  }
  for (const { mark, values } of marks.reverse()) {
    expect(disk.changedSince(mark)).toBe(true);
    disk.rollback(mark);
    expect(valuesOf(disk.bytes)).toBe(values);
  }
});

test('a set of keys knows which it has', () => {
  const keys = new KeySet();
  const random = new SeededRandom(9);
  const model = new Set<number>();
  for (let i = 0; i < 20_000; i++) {
    const key = random.below(2 ** 21) * 2 ** 32 + random.below(2) * random.uint32();
    expect(keys.add(key)).toBe(!model.has(key));
    model.add(key);
  }
  expect(keys.size).toBe(model.size);
});
