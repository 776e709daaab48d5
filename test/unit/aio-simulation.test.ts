/** The simulated device and its crash images: as bad as the contract allows, and no worse. */
import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { PromisedCompletion } from '../../src/aio/device.ts';
import { crashImage, type DeviceEvent } from '../../src/sim/crash-image.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { faultAtRate, SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { SparseBytes } from '../../src/sim/sparse-bytes.ts';

const { EIO } = constants.errno;
const SIZE = 1024 * 1024;
const SEEDS = Array.from({ length: 60 }, (_, seed) => seed);

async function write(
  device: SimulatedDevice,
  offset: number,
  length: number,
  value: number,
): Promise<number> {
  const memory = device.allocateMemory(length);
  memory.bytes.fill(value);
  const completion = new PromisedCompletion();
  device.write(memory, 0, length, offset, completion);
  device.submit();
  return completion.promise;
}

function writeThrough(device: SimulatedDevice, offset: number, length: number, value: number) {
  const memory = device.allocateMemory(length);
  memory.bytes.fill(value);
  const completion = new PromisedCompletion();
  device.writeThrough(memory, 0, length, offset, completion);
  device.submit();
  return completion.promise;
}

async function flush(device: SimulatedDevice): Promise<number> {
  const completion = new PromisedCompletion();
  device.flush(completion);
  device.submit();
  return completion.promise;
}

/** The value of each 512-byte sector, which must be uniform. */
function sectors(image: MemoryDevice, offset: number, count: number): number[] {
  return Array.from({ length: count }, (_, at) => {
    const bytes = image.peek(offset + at * 512, 512);
    expect(new Set(bytes).size).toBe(1);
    return bytes[0] as number;
  });
}

describe('crash', () => {
  test('a write before a finished flush is always there', async () => {
    const device = new SimulatedDevice({ sizeBytes: SIZE });
    await write(device, 4096, 4096, 7);
    await flush(device);
    await write(device, 65536, 4096, 8);
    for (const seed of SEEDS) {
      expect(sectors(device.crash(seed), 4096, 8)).toEqual(new Array(8).fill(7));
    }
  });

  test('any other write is there, absent or torn at sectors, over the seeds each of them', async () => {
    const device = new SimulatedDevice({ sizeBytes: SIZE });
    await write(device, 0, 4096, 1);
    await flush(device);
    await write(device, 0, 4096, 2);
    const seen = new Set<string>();
    for (const seed of SEEDS) {
      const values = sectors(device.crash(seed), 0, 8);
      expect(values.every((value) => value === 1 || value === 2)).toBe(true);
      seen.add(values.every((value) => value === 1) ? 'absent' : values.includes(1) ? 'torn' : 'whole');
    }
    expect([...seen].sort()).toEqual(['absent', 'torn', 'whole']);
  });

  test('a write-through that is done is always there, and makes nothing else durable', async () => {
    const device = new SimulatedDevice({ sizeBytes: SIZE });
    await write(device, 0, 512, 1);
    await writeThrough(device, 512, 512, 2);
    const seen = new Set(SEEDS.map((seed) => sectors(device.crash(seed), 0, 2).join()));
    expect([...seen].sort()).toEqual(['0,2', '1,2']);
  });

  test('a write-through that is under way, or failed, is like any write', async () => {
    const device = new SimulatedDevice({ sizeBytes: SIZE });
    device.fault = () => EIO;
    expect(await writeThrough(device, 0, 512, 1)).toBe(EIO);
    const asked = writeThrough(device, 512, 512, 2);
    const seen = new Set(SEEDS.map((seed) => sectors(device.crash(seed), 0, 2).join()));
    expect([...seen].sort()).toEqual(['0,0', '0,2', '1,0', '1,2']);
    await asked;
  });

  test('unflushed writes may be there out of order', async () => {
    const device = new SimulatedDevice({ sizeBytes: SIZE });
    await write(device, 0, 512, 1);
    await write(device, 512, 512, 1);
    const seen = new Set(SEEDS.map((seed) => sectors(device.crash(seed), 0, 2).join()));
    expect([...seen].sort()).toEqual(['0,0', '0,1', '1,0', '1,1']);
  });

  test('flushed writes keep their order', async () => {
    const device = new SimulatedDevice({ sizeBytes: SIZE });
    for (const value of [1, 2, 3]) await write(device, 0, 512, value);
    await flush(device);
    for (const seed of SEEDS) expect(sectors(device.crash(seed), 0, 1)).toEqual([3]);
  });

  test('a flush does not cover what ended after it was queued', () => {
    const data = new Uint8Array(512).fill(9);
    const log: DeviceEvent[] = [
      { kind: 'write-queued', request: 0, deviceOffset: 0, data },
      { kind: 'flush-queued', request: 1 },
      { kind: 'write-done', request: 0 },
      { kind: 'flush-done', request: 1 },
    ];
    const device = { sizeBytes: SIZE, sectorBytes: 512, initialContent: new SparseBytes(), log };
    const seen = new Set(SEEDS.map((seed) => sectors(crashImage(device, log.length, seed), 0, 1).join()));
    expect([...seen].sort()).toEqual(['0', '9']);
  });

  test('power may be cut at any earlier event', async () => {
    const device = new SimulatedDevice({ sizeBytes: SIZE });
    await write(device, 0, 512, 1);
    await flush(device);
    const before = device.log.length;
    await write(device, 0, 512, 2);
    await flush(device);
    for (const seed of SEEDS) {
      expect(sectors(crashImage(device, 0, seed), 0, 1)).toEqual([0]);
      expect(sectors(crashImage(device, before, seed), 0, 1)).toEqual([1]);
      expect(sectors(device.crash(seed), 0, 1)).toEqual([2]);
    }
  });

  test('a failed flush makes nothing durable; a failed write is gone after the next flush', async () => {
    const device = new SimulatedDevice({ sizeBytes: SIZE });
    await write(device, 0, 512, 1);
    device.fault = () => EIO;
    expect(await flush(device)).toBe(EIO);
    expect(await write(device, 512, 512, 1)).toBe(EIO);
    const seen = new Set(SEEDS.map((seed) => sectors(device.crash(seed), 0, 2).join()));
    expect(seen).toContain('0,0');
    device.fault = () => 0;
    expect(await flush(device)).toBe(0);
    for (const seed of SEEDS) expect(sectors(device.crash(seed), 0, 2)).toEqual([1, 0]);
  });

  test('is repeated by its seed', async () => {
    const device = new SimulatedDevice({ sizeBytes: SIZE });
    for (let at = 0; at < 64; at++) await write(device, at * 4096, 4096, at + 1);
    const image = (seed: number) => Buffer.from(device.crash(seed).peek(0, 64 * 4096)).toString('base64');
    for (const seed of SEEDS.slice(0, 5)) expect(image(seed)).toBe(image(seed));
  });
});

describe('the simulated device', () => {
  async function orderOf(seed: number): Promise<number[]> {
    const device = new SimulatedDevice({ sizeBytes: SIZE, seed });
    const memory = device.allocateMemory(512);
    const order: number[] = [];
    for (let at = 0; at < 32; at++) {
      device.read(memory, 0, 512, at * 512, { ioDone: () => order.push(at) });
    }
    await device.close();
    return order;
  }

  test('ends requests in an order that the seed decides', async () => {
    const ascending = Array.from({ length: 32 }, (_, at) => at);
    const first = await orderOf(1);
    expect(first).not.toEqual(ascending);
    expect([...first].sort((left, right) => left - right)).toEqual(ascending);
    expect(await orderOf(1)).toEqual(first);
    expect(await orderOf(2)).not.toEqual(first);
  });

  test('fails what the fault says, and leaves no trace of it', async () => {
    const device = new SimulatedDevice({
      sizeBytes: SIZE,
      fault: ({ operation, deviceOffset }) => (operation === 'write' && deviceOffset === 512 ? EIO : 0),
    });
    expect(await write(device, 0, 512, 5)).toBe(0);
    expect(await write(device, 512, 512, 5)).toBe(EIO);
    const completion = new PromisedCompletion();
    const memory = device.allocateMemory(1024);
    device.read(memory, 0, 1024, 0, completion);
    device.submit();
    expect(await completion.promise).toBe(0);
    expect([memory.bytes[0], memory.bytes[512]]).toEqual([5, 0]);
  });

  test('fails a share of the requests', async () => {
    const device = new SimulatedDevice({ sizeBytes: SIZE, fault: faultAtRate(3, 0.25, EIO, 'write') });
    let failed = 0;
    for (let at = 0; at < 400; at++) if ((await write(device, at * 512, 512, 1)) === EIO) failed++;
    expect(failed).toBeGreaterThan(60);
    expect(failed).toBeLessThan(140);
    expect(await flush(device)).toBe(0);
  });
});

describe('the memory device', () => {
  test('of a tebibyte costs what is written', async () => {
    const device = new MemoryDevice(2 ** 40);
    device.poke(2 ** 40 - 512, new Uint8Array(512).fill(3));
    device.poke(65536 - 256, new Uint8Array(512).fill(4));
    expect(device.content.usedBytes).toBe(3 * 65536);
    expect(device.peek(2 ** 40 - 512, 512)[511]).toBe(3);
    expect([...device.peek(65536 - 257, 514)].filter((byte) => byte === 4)).toHaveLength(512);
    await device.close();
  });

  test('reopens over the same bytes, clones over a copy', () => {
    const device = new MemoryDevice(SIZE);
    const clone = device.clone();
    device.poke(0, Uint8Array.of(1));
    expect(device.reopen().peek(0, 1)[0]).toBe(1);
    expect(clone.peek(0, 1)[0]).toBe(0);
    expect(device.reopen({ readOnly: true }).readOnly).toBe(true);
  });
});

test('xoshiro128** follows its definition', () => {
  // The reference algorithm in 64-bit arithmetic, from a state that is recovered by running it on
  // BigInt.
  const mask = 0xffffffffn;
  const rotl = (value: bigint, bits: bigint) => ((value << bits) | (value >> (32n - bits))) & mask;
  const state = splitMix(12345);
  const random = new SeededRandom(12345);
  for (let step = 0; step < 1000; step++) {
    const [s0, s1, s2, s3] = state as [bigint, bigint, bigint, bigint];
    expect(random.uint32()).toBe(Number((rotl((s1 * 5n) & mask, 7n) * 9n) & mask));
    const [t2, t3] = [s2 ^ s0, s3 ^ s1];
    state.splice(0, 4, s0 ^ t3, s1 ^ t2, t2 ^ ((s1 << 9n) & mask), rotl(t3, 11n));
  }
});

function splitMix(seed: number): bigint[] {
  const mask = 0xffffffffn;
  return [1n, 2n, 3n, 4n].map((step) => {
    let mixed = (BigInt(seed) + step * 0x9e3779b9n) & mask;
    mixed = ((mixed ^ (mixed >> 16n)) * 0x85ebca6bn) & mask;
    mixed = ((mixed ^ (mixed >> 13n)) * 0xc2b2ae35n) & mask;
    return mixed ^ (mixed >> 16n);
  });
}
