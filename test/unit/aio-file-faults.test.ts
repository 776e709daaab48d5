/**
 * Files on kernel queues that misbehave: short transfers, errors, no room, late hand-overs,
 * completions that come too early.
 *
 * Each mistake that weaker engines of this kind make has its test here or in the conformance suite.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import { AlignedBuffer } from '../../src/aio/file/aligned-buffer.ts';
import type { AsyncFile, EngineName, OpenFileOptions } from '../../src/aio/file/async-file.ts';
import { FileGroup } from '../../src/aio/file/file-group.ts';
import { AioError, TimeoutError } from '../../src/aio/file/io-error.ts';
import { openFileIn } from '../../src/aio/file/open-file.ts';
import { SubmissionQueue } from '../../src/aio/submission-queue.ts';
import { type IoQueueHandle, QUEUE_ENTRY_NUMBERS, QueueOperation } from '../../src/native.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { type Fault, type FaultPlan, type FaultyQueue, faultyLeases } from '../suite/aio-faulty-queue.ts';
import { removeTemporaryImagesAfterAll, temporaryImage } from './aio-temporary.ts';

const { EAGAIN, EINTR, EINVAL, EIO, ENOSPC } = constants.errno;
const ENGINES: EngineName[] = ['buffered', 'direct', 'mmap', 'aio', 'uring'];
const SIZE = 1 << 20;
const SECTOR = 4096;
const IOV_MAX = 1024;

removeTemporaryImagesAfterAll();

const opened: AsyncFile[] = [];
afterEach(async () => {
  for (const file of opened.splice(0)) await file.close();
});

async function open(path: string, plan: FaultPlan, options: OpenFileOptions) {
  const { lease, queues } = faultyLeases(plan);
  const file = await openFileIn(new FileGroup(lease), path, { flags: 'r+', ...options });
  opened.push(file);
  return { file, queue: queues[0] as FaultyQueue };
}

/** Faults for the first transfers, one each; nothing bad after them. */
function oneAfterTheOther(...faults: (Fault | undefined)[]): FaultPlan {
  const left = [...faults];
  return ({ operation }) => (operation === QueueOperation.dataSync ? undefined : left.shift());
}

function bytesOf(lengthBytes: number, seed: number): Buffer {
  const random = new SeededRandom(seed);
  const bytes = AlignedBuffer.allocate(lengthBytes);
  for (let at = 0; at < lengthBytes; at += 4) bytes.writeUInt32LE(random.below(2 ** 32), at);
  return bytes;
}

function filledImage(seed: number): { path: string; content: Buffer } {
  const path = temporaryImage(SIZE);
  const content = bytesOf(SIZE, seed);
  writeFileSync(path, content, { flush: true });
  return { path, content };
}

function isDirect(engine: EngineName): boolean {
  return engine !== 'buffered' && engine !== 'mmap';
}

describe.each(ENGINES)('%s', (engine) => {
  test('a read that stops early goes on where it stopped', async () => {
    const { path, content } = filledImage(1);
    const shorts = [SECTOR, 3 * SECTOR, SECTOR].map((bytes) => ({ kind: 'short', bytes }) as const);
    const { file, queue } = await open(path, oneAfterTheOther(...shorts), { engine });
    const into = AlignedBuffer.allocate(16 * SECTOR);
    expect(await file.readAt(into, 2 * SECTOR)).toBe(into.length);
    expect(into.equals(content.subarray(2 * SECTOR, 18 * SECTOR))).toBe(true);
    expect(queue.seen.map(({ offset }) => offset / SECTOR)).toEqual([2, 3, 6, 7]);
    expect(file.statistics().continued).toBe(3);
  });

  test('a write that stops early goes on where it stopped, and touches nothing else', async () => {
    const { path, content } = filledImage(2);
    const shorts = [SECTOR, 2 * SECTOR].map((bytes) => ({ kind: 'short', bytes }) as const);
    const { file, queue } = await open(path, oneAfterTheOther(...shorts), { engine });
    const bytes = bytesOf(8 * SECTOR, 3);
    expect(await file.writeAt(bytes, 4 * SECTOR)).toBe(bytes.length);
    await file.close();
    bytes.copy(content, 4 * SECTOR);
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(queue.seen.map(({ offset }) => offset / SECTOR)).toEqual([4, 5, 7]);
  });

  test('scattered transfers that stop inside a piece go on inside it', async () => {
    const { path, content } = filledImage(4);
    const plan = oneAfterTheOther(
      { kind: 'short', bytes: 3 * SECTOR },
      { kind: 'short', bytes: SECTOR },
      undefined,
      { kind: 'short', bytes: 5 * SECTOR },
    );
    const { file } = await open(path, plan, { engine });
    const pieces = [2, 2, 3].map((count) => AlignedBuffer.allocate(count * SECTOR));
    expect(await file.readAtv(pieces, SECTOR)).toBe(7 * SECTOR);
    expect(Buffer.concat(pieces).equals(content.subarray(SECTOR, 8 * SECTOR))).toBe(true);
    expect(await file.writeAtv(pieces, 20 * SECTOR)).toBe(7 * SECTOR);
    await file.close();
    content.copy(content, 20 * SECTOR, SECTOR, 8 * SECTOR);
    expect(readFileSync(path).equals(content)).toBe(true);
  });

  test('a short read at the end of the file is not asked for again at an unaligned place', async () => {
    const path = temporaryImage(0);
    writeFileSync(path, bytesOf(SECTOR, 5).subarray(0, 1000), { flush: true });
    const { file, queue } = await open(path, () => undefined, { engine, align: 'strict' });
    expect(await file.readAt(AlignedBuffer.allocate(2 * SECTOR), 0)).toBe(1000);
    expect(await file.readAt(AlignedBuffer.allocate(SECTOR), SECTOR)).toBe(0);
    for (const { offset, lengthBytes } of queue.seen) {
      expect(offset % file.alignment.offsetBytes).toBe(0);
      expect(lengthBytes % file.alignment.offsetBytes).toBe(0);
    }
  });

  test('a write that stops inside a sector does that sector again', async () => {
    const { path, content } = filledImage(6);
    const { file, queue } = await open(path, oneAfterTheOther({ kind: 'lie', bytes: SECTOR + 1000 }), {
      engine,
    });
    const bytes = bytesOf(4 * SECTOR, 7);
    expect(await file.writeAt(bytes, 0)).toBe(bytes.length);
    await file.close();
    bytes.copy(content, 0);
    expect(readFileSync(path).equals(content)).toBe(true);
    const again = isDirect(engine)
      ? Math.floor((SECTOR + 1000) / file.alignment.offsetBytes) * file.alignment.offsetBytes
      : SECTOR + 1000;
    expect(queue.seen.map(({ offset }) => offset)).toEqual([0, again]);
  });

  test('an error says all it knows, in numbers and names', async () => {
    const { path } = filledImage(8);
    const plan = oneAfterTheOther({ kind: 'short', bytes: SECTOR }, { kind: 'result', result: -EIO });
    const { file } = await open(path, plan, { engine });
    const error = await file.readAt(AlignedBuffer.allocate(4 * SECTOR), 8 * SECTOR).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(AioError);
    expect(error).toMatchObject({
      code: 'EIO',
      errno: -EIO,
      syscall: 'read',
      path,
      offset: 8 * SECTOR,
      length: 4 * SECTOR,
      transferredBytes: SECTOR,
    });
    expect(error.message).toContain(`(${4 * SECTOR} bytes at ${8 * SECTOR})`);
  });

  test('a write that fails halfway rejects, and one that moves nothing is EIO', async () => {
    const { path } = filledImage(9);
    const plan = oneAfterTheOther(
      { kind: 'short', bytes: SECTOR },
      { kind: 'result', result: -ENOSPC },
      { kind: 'result', result: 0 },
    );
    const { file } = await open(path, plan, { engine });
    const bytes = AlignedBuffer.allocate(2 * SECTOR);
    await expect(file.writeAt(bytes, 0)).rejects.toMatchObject({ code: 'ENOSPC', transferredBytes: SECTOR });
    await expect(file.writeAt(bytes, 0)).rejects.toMatchObject({ code: 'EIO', transferredBytes: 0 });
    expect(await file.writeAt(bytes, 0)).toBe(bytes.length);
  });

  test('no room and an interruption are tried again', async () => {
    const { path, content } = filledImage(10);
    const faults = [EAGAIN, EINTR, EAGAIN].map((errno) => ({ kind: 'result', result: -errno }) as const);
    const { file } = await open(path, oneAfterTheOther(...faults), { engine });
    const into = AlignedBuffer.allocate(SECTOR);
    expect(await file.readAt(into, SECTOR)).toBe(SECTOR);
    expect(into.equals(content.subarray(SECTOR, 2 * SECTOR))).toBe(true);
  });

  test('a filesystem without asynchronous fsync is synced on a thread', async () => {
    const { path } = filledImage(11);
    const syncs: number[] = [QueueOperation.sync, QueueOperation.dataSync];
    const plan: FaultPlan = ({ operation }) =>
      syncs.includes(operation) ? { kind: 'result', result: -EINVAL } : undefined;
    const { file } = await open(path, plan, { engine });
    await file.writeAt(AlignedBuffer.allocate(SECTOR), 0);
    await file.sync();
    await file.datasync();
  });

  test('close waits for everything, also for what the kernel took its time with', async () => {
    const { path, content } = filledImage(12);
    const { file } = await open(path, () => ({ kind: 'late', turns: 20 }), { engine, queueDepth: 2 });
    const bytes = bytesOf(SECTOR, 13);
    const ended: number[] = [];
    for (let at = 0; at < 8; at++) {
      file.submitWrite(bytes, at * SECTOR, { onDone: () => ended.push(at) });
      bytes.copy(content, at * SECTOR);
    }
    await file.close();
    expect(ended).toHaveLength(8);
    expect(readFileSync(path).equals(content)).toBe(true);
  });

  test('sync comes after every write that was submitted before, and waits for no later one', async () => {
    const { path } = filledImage(14);
    const slow: FaultPlan = ({ operation, offset }) =>
      operation === QueueOperation.write && offset < 8 * SECTOR ? { kind: 'late', turns: 3000 } : undefined;
    const { file, queue } = await open(path, slow, { engine, queueDepth: 64 });
    const bytes = AlignedBuffer.allocate(SECTOR);
    const before = Array.from({ length: 2 }, (_, at) => file.submitWrite(bytes, at * SECTOR));
    const sync = file.submitSync();
    const after = file.submitWrite(bytes, 100 * SECTOR);
    await after.wait();
    expect(sync.isDone, 'the later write overtook the sync').toBe(false);
    await sync.wait();
    expect(before.every(({ state }) => state === 'done')).toBe(true);
    const order = queue.seen.map(({ operation }) => operation);
    expect(order.indexOf(QueueOperation.sync)).toBe(order.length - 1);
  });

  test('truncate runs alone', async () => {
    const { path } = filledImage(15);
    const { file } = await open(path, () => ({ kind: 'late', turns: 5 }), { engine });
    const bytes = bytesOf(SECTOR, 16);
    const write = file.submitWrite(bytes, SIZE - SECTOR);
    const truncation = file.truncate(SECTOR);
    const read = file.submitRead(AlignedBuffer.allocate(SECTOR), SIZE - SECTOR);
    const append = file.append(bytes);
    expect(await write.wait()).toBe(SECTOR);
    await truncation;
    expect((await append).offset).toBe(SECTOR);
    expect(await read.wait()).toBe(0);
    expect((await file.stat()).size).toBe(2 * SECTOR);
  });

  test('after a deadline the buffer stays with the kernel until it is released', async () => {
    const { path, content } = filledImage(17);
    const { file } = await open(path, () => ({ kind: 'late', turns: 3000 }), { engine });
    const into = AlignedBuffer.allocate(SECTOR);
    const request = file.submitRead(into, SECTOR, { timeoutMs: 1 });
    await expect(request.wait()).rejects.toBeInstanceOf(TimeoutError);
    expect(request).toMatchObject({ state: 'timed-out', isDone: true, isReleased: false });
    expect(request.error).toMatchObject({ code: 'ETIMEDOUT', timeoutMs: 1, path, offset: SECTOR });
    await request.whenReleased();
    expect(request.isReleased).toBe(true);
    expect(into.equals(content.subarray(SECTOR, 2 * SECTOR)), 'the kernel had the buffer all along').toBe(
      true,
    );
    expect(request.state).toBe('timed-out');
  });

  test('more pieces than a system call takes are several', async () => {
    const { path } = filledImage(18);
    const { file, queue } = await open(path, () => undefined, { engine });
    const align = file.alignment.offsetBytes;
    const all = bytesOf(3000 * align, 19);
    const pieces = Array.from({ length: 3000 }, (_, at) => all.subarray(at * align, (at + 1) * align));
    expect(await file.writeAtv(pieces, 0)).toBe(all.length);
    expect(queue.seen.map(({ segmentCount }) => segmentCount)).toEqual([
      IOV_MAX,
      IOV_MAX,
      3000 - 2 * IOV_MAX,
    ]);
    expect(readFileSync(path).subarray(0, all.length).equals(all)).toBe(true);
  });

  test('what is submitted in one turn goes to the kernel at once', async () => {
    const { path } = filledImage(20);
    const { file, queue } = await open(path, () => undefined, { engine, queueDepth: 32 });
    const into = AlignedBuffer.allocate(SECTOR);
    const reads = Array.from({ length: 32 }, (_, at) => file.readAt(into, at * SECTOR));
    await Promise.all(reads);
    const atOnce = engine === 'aio' || engine === 'uring' ? 32 : 4;
    expect(queue.batches[0]).toBe(atOnce);
  });

  // What the engine under test does is compared with bytes in an array, with random faults below.
  test.each([1, 2, 3])('does what a plain array does, seed %d', async (seed) => {
    const random = new SeededRandom(seed * 7919);
    const { path, content } = filledImage(seed);
    const plan = randomFaults(random, isDirect(engine) ? SECTOR : 1);
    const { file } = await open(path, plan, { engine, queueDepth: 1 + random.below(16) });
    let model: Buffer = Buffer.from(content);
    for (let round = 0; round < 30; round++) {
      model = await oneRound(file, model, random);
    }
    await file.close();
    expect(
      readFileSync(path).equals(model),
      `seed ${seed}: vitest run ${import.meta.filename} -t 'seed ${seed}'`,
    ).toBe(true);
  });
});

/** Harmless faults, as far as the caller can see: everything comes out right in the end. */
function randomFaults(random: SeededRandom, unit: number): FaultPlan {
  return ({ operation, lengthBytes }) => {
    const dice = random.below(10);
    if (dice < 2) return { kind: 'late', turns: 1 + random.below(5) };
    if (dice === 2) return { kind: 'result', result: random.below(2) === 0 ? -EAGAIN : -EINTR };
    const transfers = operation !== QueueOperation.sync && operation !== QueueOperation.dataSync;
    if (dice > 6 || !transfers || lengthBytes <= unit) return undefined;
    return { kind: 'short', bytes: unit * (1 + random.below(Math.ceil(lengthBytes / unit) - 1)) };
  };
}

/**
 * Operations on places that do not meet, all under way at once; returns what the file should hold
 * then.
 */
async function oneRound(file: AsyncFile, model: Buffer, random: SeededRandom): Promise<Buffer> {
  const lanes = 8;
  const width = Math.floor(model.length / lanes);
  const after = Buffer.from(model);
  const pending: Promise<unknown>[] = [];
  const appended: Buffer[] = [];
  for (let lane = 0; lane < lanes; lane++) {
    // Whole pages, or anything inside one lane but the pages at its borders, which direct I/O would
    // share.
    const aligned = random.below(2) === 0;
    const unit = aligned ? SECTOR : 1;
    const space = Math.floor((width - 2 * SECTOR) / unit);
    if (space < 2) continue;
    const from = lane * width + SECTOR + unit * random.below(space);
    const offset = aligned ? Math.ceil(from / SECTOR) * SECTOR : from;
    const length = Math.min(
      unit * (1 + random.below(Math.min(space, aligned ? 16 : 40_000))),
      (lane + 1) * width - offset,
    );
    if (length <= 0) continue;
    pending.push(transferOne(file, model, after, random, offset, length));
  }
  if (random.below(3) === 0) {
    const bytes = bytesOf(4 * (1 + random.below(3000)), random.below(1000));
    appended.push(bytes);
    pending.push(file.append(bytes).then(({ offset }) => expect(offset).toBe(model.length)));
  }
  if (random.below(3) === 0) pending.push(file.datasync());
  await Promise.all(pending);
  const grown = Buffer.concat([after, ...appended]);
  if (random.below(6) > 0) return grown;
  const length = Math.max(8 * 4 * SECTOR, grown.length - random.below(50_000));
  await file.truncate(length);
  return Buffer.concat([grown, Buffer.alloc(length)]).subarray(0, length);
}

async function transferOne(
  file: AsyncFile,
  model: Buffer,
  after: Buffer,
  random: SeededRandom,
  offset: number,
  length: number,
): Promise<void> {
  const whole = random.below(2) === 0 ? AlignedBuffer.allocate(length) : Buffer.alloc(length);
  const cut = random.below(length + 1);
  const pieces = [whole.subarray(0, cut), whole.subarray(cut)];
  const vector = random.below(2) === 0;
  if (random.below(2) === 0) {
    const count = await (vector ? file.readAtv(pieces, offset) : file.readAt(whole, offset));
    expect(count).toBe(length);
    expect(whole.equals(model.subarray(offset, offset + length)), `read of ${length} at ${offset}`).toBe(
      true,
    );
    return;
  }
  for (let at = 0; at < length; at++) whole[at] = random.below(256);
  whole.copy(after, offset);
  const count = await (vector ? file.writeAtv(pieces, offset) : file.writeAt(whole, offset));
  expect(count).toBe(length);
}

test('a completion that comes before submit returns is not lost', async () => {
  /** A kernel that is done before it has taken leave. */
  class EagerQueue implements IoQueueHandle {
    readonly entries = new Float64Array(8 * QUEUE_ENTRY_NUMBERS);
    readonly segments = new Float64Array(4096 * 3);
    readonly completions = new Float64Array(16);
    readonly #onCompletions: (count: number) => void;

    constructor(onCompletions: (count: number) => void) {
      this.#onCompletions = onCompletions;
    }

    submit(count: number): void {
      for (let at = 0; at < count; at++) {
        this.completions[at * 2] = this.entries[at * QUEUE_ENTRY_NUMBERS + 6] as number;
        this.completions[at * 2 + 1] = this.entries[at * QUEUE_ENTRY_NUMBERS + 4] as number;
      }
      this.#onCompletions(count);
    }

    setSpin(): void {}

    close(): void {}

    statistics() {
      return { submitted: 0, submitCalls: 0, completed: 0, batches: 0 };
    }
  }
  const ended: string[] = [];
  const queue = new SubmissionQueue<string>((onCompletions) => new EagerQueue(onCompletions), 8);
  const lane = queue.openLane({ file: 0, descriptor: 0, depth: 8, alignBytes: 512 }, (name, bytes, errno) =>
    ended.push(`${name} ${bytes} ${errno}`),
  );
  for (let at = 0; at < 20; at++) lane.transfer(QueueOperation.read, 0, 0, 512 * (at + 1), 0, `r${at}`);
  queue.submit();
  expect(ended).toEqual(Array.from({ length: 20 }, (_, at) => `r${at} ${512 * (at + 1)} 0`));
  expect(lane.unfinished).toBe(0);
});
