/** The Device contract, run on every kind of device. */
import { constants } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import { type Device, type IoCompletion, PromisedCompletion } from '../../src/aio/device.ts';
import { openKernelDevice } from '../../src/aio/kernel-device.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { removeTemporaryImagesAfterAll, temporaryImage } from './aio-temporary.ts';

const { EBADF, EINVAL, EROFS } = constants.errno;
const SIZE = 4 * 1024 * 1024;

interface Kind {
  readonly name: string;
  open(readOnly: boolean): Device;
}

const KINDS: Kind[] = [
  { name: 'KernelDevice', open: (readOnly) => openKernelDevice(temporaryImage(SIZE), { readOnly }) },
  {
    name: 'KernelDevice at depth 4',
    open: (readOnly) => openKernelDevice(temporaryImage(SIZE), { readOnly, queueDepth: 4 }),
  },
  {
    name: 'KernelDevice by io_uring',
    open: (readOnly) => openKernelDevice(temporaryImage(SIZE), { readOnly, engine: 'uring' }),
  },
  {
    name: 'KernelDevice by io_uring at depth 4',
    open: (readOnly) => openKernelDevice(temporaryImage(SIZE), { readOnly, engine: 'uring', queueDepth: 4 }),
  },
  {
    name: 'KernelDevice by io_uring on tmpfs',
    open: (readOnly) =>
      openKernelDevice(temporaryImage(SIZE, '/dev/shm'), { readOnly, engine: 'uring', allowBuffered: true }),
  },
  {
    name: 'KernelDevice on tmpfs',
    open: (readOnly) => openKernelDevice(temporaryImage(SIZE, '/dev/shm'), { readOnly, allowBuffered: true }),
  },
  { name: 'MemoryDevice', open: (readOnly) => new MemoryDevice(SIZE, 512, { readOnly }) },
  {
    name: 'SimulatedDevice',
    open: (readOnly) => new SimulatedDevice({ sizeBytes: SIZE, readOnly, seed: 7 }),
  },
];

removeTemporaryImagesAfterAll();

describe.each(KINDS)('$name', ({ open }) => {
  const opened: Device[] = [];

  function device(readOnly = false): Device {
    const made = open(readOnly);
    opened.push(made);
    return made;
  }

  afterEach(async () => {
    for (const one of opened.splice(0)) await one.close();
  });

  test('reads back what was written', async () => {
    const one = device();
    const memory = one.allocateMemory(8192);
    memory.bytes.subarray(0, 4096).fill(0xab);
    expect(await write(one, memory, 0, 4096, 65536)).toBe(0);
    expect(await read(one, memory, 4096, 4096, 65536)).toBe(0);
    expect(memory.bytes.subarray(4096).every((byte) => byte === 0xab)).toBe(true);
  });

  test('begins as zeros, in memory and on the device', async () => {
    const one = device();
    const memory = one.allocateMemory(4096);
    expect(memory.bytes.every((byte) => byte === 0)).toBe(true);
    memory.bytes.fill(1);
    expect(await read(one, memory, 0, 4096, SIZE - 4096)).toBe(0);
    expect(memory.bytes.every((byte) => byte === 0)).toBe(true);
  });

  test('flushes', async () => {
    const one = device();
    const memory = one.allocateMemory(512);
    expect(await write(one, memory, 0, 512, 0)).toBe(0);
    expect(await flush(one)).toBe(0);
  });

  test('writes through', async () => {
    const one = device();
    const memory = one.allocateMemory(8192);
    memory.bytes.subarray(0, 4096).fill(0xcd);
    const completion = new PromisedCompletion();
    one.writeThrough(memory, 0, 4096, 65536, completion);
    one.submit();
    expect(await completion.promise).toBe(0);
    expect(await read(one, memory, 4096, 4096, 65536)).toBe(0);
    expect(memory.bytes.subarray(4096).every((byte) => byte === 0xcd)).toBe(true);
  });

  test('discards whole sectors, and nothing beside them', async () => {
    const one = device();
    const memory = one.allocateMemory(16384);
    memory.bytes.subarray(0, 12288).fill(0xcd);
    expect(await write(one, memory, 0, 12288, 65536)).toBe(0);
    expect(one.discardBytes).toBeGreaterThan(0);
    expect(await discard(one, 65536 + 4096, 4096)).toBe(0);
    for (const at of [0, 8192]) {
      expect(await read(one, memory, 12288, 4096, 65536 + at)).toBe(0);
      expect(memory.bytes.subarray(12288).every((byte) => byte === 0xcd)).toBe(true);
    }
    expect(await read(one, memory, 12288, 4096, 65536 + 4096)).toBe(0);
    expect(memory.bytes.subarray(12288).every((byte) => byte === 0xcd)).toBe(false);
    expect(await discard(one, 100, 4096)).toBe(EINVAL);
    expect(await discard(one, SIZE, one.sectorBytes)).toBe(EINVAL);
    expect(await discard(device(true), 0, 4096)).toBe(EROFS);
    const underWay = discard(one, 0, 4096);
    await one.close();
    expect(await underWay).toBe(0);
    expect(await discard(one, 0, 4096)).toBe(EBADF);
  });

  test('ends a write-through that is under way when it is closed', async () => {
    const one = device();
    const { completions, ended } = recorder(2);
    const memory = one.allocateMemory(1024);
    one.writeThrough(memory, 0, 512, 0, completions[0] as IoCompletion);
    one.writeThrough(memory, 512, 512, 1, completions[1] as IoCompletion);
    await one.close();
    expect(ended.errnos.sort()).toEqual([0, EINVAL]);
  });

  test('never ends a request inside the call that queued or submitted it', async () => {
    const one = device();
    const memory = one.allocateMemory(512);
    const { completions, ended } = recorder(4);
    one.read(memory, 0, 512, 0, completions[0] as IoCompletion);
    one.write(memory, 0, 512, 0, completions[1] as IoCompletion);
    one.flush(completions[2] as IoCompletion);
    one.read(memory, 0, 512, 1, completions[3] as IoCompletion);
    one.submit();
    expect(ended.count).toBe(0);
    await one.close();
    expect(ended.count).toBe(4);
  });

  test('does not begin before submit', async () => {
    const one = device();
    const memory = one.allocateMemory(512);
    const { completions, ended } = recorder(1);
    one.read(memory, 0, 512, 0, completions[0] as IoCompletion);
    await turns(5);
    expect(ended.count).toBe(0);
    one.submit();
    await one.close();
    expect(ended.errnos).toEqual([0]);
  });

  test('takes a thousand requests at once, and ends each exactly once', async () => {
    const one = device();
    const count = 1000;
    const memory = one.allocateMemory(count * 512);
    for (let at = 0; at < count; at++) memory.bytes.fill(at % 251, at * 512, (at + 1) * 512);
    const first = recorder(count);
    for (const [at, completion] of first.completions.entries())
      one.write(memory, at * 512, 512, at * 1024, completion);
    one.submit();
    await first.all;
    memory.bytes.fill(0);
    const second = recorder(count);
    for (const [at, completion] of second.completions.entries())
      one.read(memory, at * 512, 512, at * 1024, completion);
    one.submit();
    await second.all;
    expect(first.ended.errnos).toEqual(new Array(count).fill(0));
    expect(second.ended.errnos).toEqual(new Array(count).fill(0));
    for (let at = 0; at < count; at++) expect(memory.bytes[at * 512 + 511]).toBe(at % 251);
  });

  test('takes new requests from inside a completion', async () => {
    const one = device();
    const memory = one.allocateMemory(512);
    let left = 100;
    await new Promise<void>((resolve) => {
      const completion = {
        ioDone(errno: number): void {
          expect(errno).toBe(0);
          if (--left === 0) resolve();
          else one.read(memory, 0, 512, left * 512, completion);
          one.submit();
        },
      };
      one.read(memory, 0, 512, 0, completion);
      one.submit();
    });
    expect(left).toBe(0);
  });

  test.each([
    ['an offset inside a sector', 0, 512, 100],
    ['half a sector', 0, 256, 0],
    ['memory inside a sector', 8, 512, 0],
    ['beyond the memory', 512, 4096, 0],
    ['beyond the end', 0, 4096, SIZE - 512],
    ['far beyond the end', 0, 512, 2 ** 52],
    ['a negative offset', 0, 512, -512],
    ['no number', 0, 512, Number.NaN],
  ])('refuses %s with EINVAL', async (_, memoryOffset, lengthBytes, deviceOffset) => {
    const one = device();
    const memory = one.allocateMemory(4096);
    expect(await read(one, memory, memoryOffset, lengthBytes, deviceOffset)).toBe(EINVAL);
    expect(await write(one, memory, memoryOffset, lengthBytes, deviceOffset)).toBe(EINVAL);
  });

  test('refuses writes with EROFS when read-only', async () => {
    const one = device(true);
    const memory = one.allocateMemory(512);
    expect(one.readOnly).toBe(true);
    expect(await write(one, memory, 0, 512, 0)).toBe(EROFS);
    expect(await read(one, memory, 0, 512, 0)).toBe(0);
  });

  test('ends nothing as nothing', async () => {
    const one = device();
    const memory = one.allocateMemory(512);
    expect(await read(one, memory, 0, 0, 0)).toBe(0);
  });

  test('close waits, is idempotent, and refuses what comes later with EBADF', async () => {
    const one = device();
    const memory = one.allocateMemory(64 * 512);
    const { completions, ended } = recorder(64);
    for (const [at, completion] of completions.entries())
      one.write(memory, at * 512, 512, at * 512, completion);
    const closing = one.close();
    expect(one.close()).toBe(closing);
    await closing;
    expect(ended.count).toBe(64);
    expect(await read(one, memory, 0, 512, 0)).toBe(EBADF);
    expect(await flush(one)).toBe(EBADF);
  });

  test('keeps a mirror of random writes', async () => {
    const one = device();
    const random = new SeededRandom(42);
    const memory = one.allocateMemory(65536);
    const mirror = new Uint8Array(SIZE);
    for (let step = 0; step < 200; step++) {
      const length = (1 + random.below(128)) * 512;
      const offset = random.below((SIZE - length) / 512 + 1) * 512;
      const value = random.below(256);
      memory.bytes.fill(value, 0, length);
      mirror.fill(value, offset, offset + length);
      expect(await write(one, memory, 0, length, offset)).toBe(0);
    }
    for (let offset = 0; offset < SIZE; offset += 65536) {
      expect(await read(one, memory, 0, 65536, offset)).toBe(0);
      expect(Buffer.compare(memory.bytes, mirror.subarray(offset, offset + 65536))).toBe(0);
    }
  });
});

type Transfer = Parameters<Device['read']> extends [...infer Rest, IoCompletion] ? Rest : never;

function read(device: Device, ...transfer: Transfer): Promise<number> {
  const completion = new PromisedCompletion();
  device.read(...transfer, completion);
  device.submit();
  return completion.promise;
}

function write(device: Device, ...transfer: Transfer): Promise<number> {
  const completion = new PromisedCompletion();
  device.write(...transfer, completion);
  device.submit();
  return completion.promise;
}

function discard(one: Device, deviceOffset: number, lengthBytes: number): Promise<number> {
  const completion = new PromisedCompletion();
  one.discard(deviceOffset, lengthBytes, completion);
  one.submit();
  return completion.promise;
}

function flush(device: Device): Promise<number> {
  const completion = new PromisedCompletion();
  device.flush(completion);
  device.submit();
  return completion.promise;
}

/**
 * Completions that record how each request ended; `all` settles when every one has. A second end is
 * an error.
 */
function recorder(count: number) {
  const ended = { count: 0, errnos: new Array<number | undefined>(count).fill(undefined) };
  let resolve = () => {};
  const all = new Promise<void>((done) => {
    resolve = done;
  });
  const completions = ended.errnos.map((_, at) => ({
    ioDone(errno: number): void {
      expect(ended.errnos[at]).toBeUndefined();
      ended.errnos[at] = errno;
      if (++ended.count === count) resolve();
    },
  }));
  return { completions, ended, all };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
