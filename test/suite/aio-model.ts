/**
 * A model of an asynchronous file, and what a property test does to both: batches of operations,
 * all of a batch under way at once.
 *
 * The model is the bytes of the file. Where more than one outcome is allowed it says so for each
 * byte: what a failed or cancelled write was about may be old or new, and a read beside writes sees
 * either. After each batch the file is looked at by other means, every byte must be one that is
 * allowed, and the model goes on from there.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect } from 'vitest';
import { AlignedBuffer } from '../../src/aio/file/aligned-buffer.ts';
import type { AsyncFile, IoRequest } from '../../src/aio/file/async-file.ts';
import { AioError, CancelledError } from '../../src/aio/file/io-error.ts';
import { QueueOperation } from '../../src/native.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { pattern } from './aio-conformance-targets.ts';
import type { FaultPlan } from './aio-faulty-queue.ts';

const SECTOR = 4096;
const SPACE_BYTES = 12 * SECTOR;
const MOST_BYTES = 3 * SECTOR;

/** One operation, as fast-check makes and shrinks it. */
export type ModelOperation =
  | {
      readonly kind: 'read' | 'write';
      readonly offset: number;
      readonly length: number;
      readonly memory: Memory;
    }
  | { readonly kind: 'append'; readonly length: number }
  | { readonly kind: 'sync' }
  | { readonly kind: 'cancel'; readonly which: number };

/** Memory of a transfer: aligned, of the heap, or in two or more pieces. */
type Memory = 'aligned' | 'heap' | 'pieces';

export interface ModelBatch {
  readonly operations: readonly ModelOperation[];
  /** Submitted after the operations, in the same turn. */
  readonly truncateTo: number | undefined;
}

const place = fc.oneof(
  fc.nat(SPACE_BYTES),
  fc.nat(SPACE_BYTES / SECTOR).map((sector) => sector * SECTOR),
);
const extent = fc.oneof(
  fc.integer({ min: 1, max: MOST_BYTES }),
  fc.integer({ min: 1, max: MOST_BYTES / SECTOR }).map((sectors) => sectors * SECTOR),
);
const memory = fc.constantFrom<Memory>('aligned', 'aligned', 'heap', 'pieces');

const operation: fc.Arbitrary<ModelOperation> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('write' as const), offset: place, length: extent, memory }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('read' as const), offset: place, length: extent, memory }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('append' as const), length: extent }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('sync' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), which: fc.nat(20) }) },
);

/** What is done to one file. */
export const batches: fc.Arbitrary<ModelBatch[]> = fc.array(
  fc.record({
    operations: fc.array(operation, { minLength: 1, maxLength: 16 }),
    truncateTo: fc.option(fc.nat(SPACE_BYTES), { nil: undefined, freq: 4 }),
  }),
  { minLength: 1, maxLength: 5 },
);

/**
 * Faults below the engine: short transfers, delays, interruptions, and now and then an error for
 * good.
 */
export function faultsOf(seed: number, unit: number): FaultPlan {
  const random = new SeededRandom(seed);
  return ({ operation: kind, lengthBytes }) => {
    const dice = random.below(20);
    if (dice < 3) return { kind: 'late', turns: random.below(4) };
    if (dice === 3) return { kind: 'result', result: random.chance(0.5) ? -11 : -4 };
    if (dice === 4) return { kind: 'result', result: -5 };
    const moves = kind !== QueueOperation.sync && kind !== QueueOperation.dataSync;
    if (dice > 10 || !moves || lengthBytes <= unit) return undefined;
    return { kind: 'short', bytes: unit * (1 + random.below(Math.ceil(lengthBytes / unit) - 1)) };
  };
}

/** A write under way: where it goes, what it writes, and how it ended. */
interface ModelWrite {
  offset: number;
  readonly bytes: Buffer;
  succeeded: boolean;
}

function piecesOf(bytes: Buffer, kind: Memory): Buffer[] {
  if (kind !== 'pieces') return [bytes];
  const third = Math.floor(bytes.length / 3);
  return [bytes.subarray(0, third), bytes.subarray(third, third), bytes.subarray(third)];
}

function memoryOf(length: number, kind: Memory): Buffer {
  return kind === 'aligned' ? AlignedBuffer.allocate(length) : Buffer.alloc(length);
}

export class FileModel {
  /** What the file holds, as far as it is known. */
  content: Buffer;
  readonly #file: AsyncFile;
  readonly #path: string;
  #salt = 0;

  constructor(file: AsyncFile, path: string) {
    this.#file = file;
    this.#path = path;
    this.content = readFileSync(path);
  }

  /** Submits all operations of a batch in one turn, waits for them, and compares. */
  async run(batch: ModelBatch): Promise<void> {
    const writes: ModelWrite[] = [];
    const reads: { offset: number; into: Buffer; count: number }[] = [];
    const requests: IoRequest[] = [];
    const pending = batch.operations.map((one) => this.#submit(one, writes, reads, requests));
    if (batch.truncateTo !== undefined) pending.push(this.#file.truncate(batch.truncateTo));
    await Promise.all(pending);
    await this.#file.drain();
    for (const read of reads) this.#judgeRead(read, writes);
    this.#judgeContent(writes, batch.truncateTo);
    const { submitted, completed } = this.#file.statistics();
    expect(completed).toBe(submitted);
  }

  #submit(
    one: ModelOperation,
    writes: ModelWrite[],
    reads: { offset: number; into: Buffer; count: number }[],
    requests: IoRequest[],
  ): Promise<unknown> {
    switch (one.kind) {
      case 'write': {
        // Overlapping writes at once may end in any order: one that meets another is left out.
        const meets = writes.some(
          ({ offset, bytes }) => one.offset < offset + bytes.length && offset < one.offset + one.length,
        );
        if (meets) return Promise.resolve();
        const bytes = memoryOf(one.length, one.memory);
        pattern(one.length, ++this.#salt).copy(bytes);
        const write: ModelWrite = { offset: one.offset, bytes, succeeded: false };
        writes.push(write);
        const request = this.#file.submitWritev(piecesOf(bytes, one.memory), one.offset);
        requests.push(request);
        return expectEnd(request, one.length).then((done) => {
          write.succeeded = done;
        });
      }
      case 'read': {
        const into = memoryOf(one.length, one.memory);
        const request = this.#file.submitReadv(piecesOf(into, one.memory), one.offset);
        requests.push(request);
        return expectEnd(request, undefined).then((done) => {
          if (done) reads.push({ offset: one.offset, into, count: request.transferredBytes });
        });
      }
      case 'append':
        return this.#append(one.length, writes);
      case 'sync':
        return this.#file.datasync().catch(expectInjected);
      case 'cancel': {
        const request = requests[one.which % Math.max(1, requests.length)];
        return request ? expectHonestCancel(request) : Promise.resolve();
      }
    }
  }

  /**
   * Where an append that failed would have gone is not told: it may leave bytes, or a hole,
   * anywhere behind the end.
   */
  #append(length: number, writes: ModelWrite[]): Promise<unknown> {
    // A write past the end beside an append may lie where that goes: the batch has one or the
    // other.
    const end = this.content.length;
    const meets = writes.some(({ offset, bytes }) => offset + bytes.length > end && offset >= 0);
    if (meets) return Promise.resolve();
    const bytes = pattern(length, ++this.#salt);
    const write: ModelWrite = { offset: end, bytes, succeeded: false };
    writes.push(write);
    return this.#file.append(bytes).then(({ offset, bytesWritten }) => {
      expect(offset).toBe(end);
      expect(bytesWritten).toBe(length);
      write.succeeded = true;
    }, expectInjected);
  }

  /**
   * Every byte that was read is that of before the batch, or one that a write of the batch put
   * there.
   */
  #judgeRead(
    { offset, into, count }: { offset: number; into: Buffer; count: number },
    writes: ModelWrite[],
  ): void {
    const ends = writes.map((write) => write.offset + write.bytes.length);
    const longest = Math.max(this.content.length, ...ends);
    expect(count).toBeGreaterThanOrEqual(Math.max(0, Math.min(into.length, this.content.length - offset)));
    expect(count).toBeLessThanOrEqual(Math.max(0, Math.min(into.length, longest - offset)));
    for (let at = 0; at < count; at++) {
      const found = into[at];
      if (found === (this.content[offset + at] ?? 0)) continue;
      const isNew = writes.some((write) => write.bytes[offset + at - write.offset] === found);
      if (!isNew) throw new Error(`read at ${offset}: byte ${at} is ${found}, which was never there`);
    }
  }

  #judgeContent(writes: readonly ModelWrite[], truncatedTo: number | undefined): void {
    const stored = readFileSync(this.#path);
    const sure = writes
      .filter(({ succeeded }) => succeeded)
      .map(({ offset, bytes }) => offset + bytes.length);
    const possible = writes.map(({ offset, bytes }) => offset + bytes.length);
    if (truncatedTo === undefined) {
      expect(stored.length).toBeGreaterThanOrEqual(Math.max(this.content.length, ...sure));
      expect(stored.length).toBeLessThanOrEqual(Math.max(this.content.length, ...possible));
    } else expect(stored.length).toBe(truncatedTo);
    const before = Buffer.alloc(Math.max(stored.length, this.content.length));
    this.content.copy(before);
    const wanted = Buffer.from(before);
    const open = Buffer.alloc(before.length);
    for (const { offset, bytes, succeeded } of writes) {
      bytes.copy(wanted, offset);
      if (!succeeded)
        open.fill(1, Math.min(offset, open.length), Math.min(offset + bytes.length, open.length));
    }
    for (let at = 0; at < stored.length; at++) {
      if (stored[at] === wanted[at] || (open[at] === 1 && stored[at] === before[at])) continue;
      throw new Error(`byte ${at} is ${stored[at]}, not ${wanted[at]}${open[at] ? ` or ${before[at]}` : ''}`);
    }
    this.content = stored;
  }
}

/** What is injected is all that may go wrong. */
function expectInjected(error: unknown): void {
  expect(error).toBeInstanceOf(AioError);
  expect((error as AioError).code).toBe('EIO');
}

/**
 * True when it moved what it should; false when it failed by an injected error or was cancelled.
 */
async function expectEnd(request: IoRequest, wanted: number | undefined): Promise<boolean> {
  try {
    const count = await request.wait();
    expect(request).toMatchObject({ state: 'done', isDone: true, isReleased: true, transferredBytes: count });
    if (wanted !== undefined) expect(count).toBe(wanted);
    return true;
  } catch (error) {
    if (error instanceof CancelledError) expect(request.state).toBe('cancelled');
    else {
      expectInjected(error);
      expect(request.state).toBe('failed');
    }
    return false;
  }
}

async function expectHonestCancel(request: IoRequest): Promise<void> {
  const wasDone = request.isDone;
  const outcome = await request.cancel();
  if (wasDone) expect(outcome).toBe('finished');
  await request.wait().catch(() => undefined);
  if (outcome === 'cancelled') expect(request.state).toBe('cancelled');
  if (outcome === 'running') expect(request.state).not.toBe('cancelled');
}
