/**
 * The parts of asynchronous files by themselves: buffers, pools, the order of operations, lines of
 * tokens, queues and their choice.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { AlignedBuffer, memoryUnder } from '../../src/aio/file/aligned-buffer.ts';
import { BufferPool } from '../../src/aio/file/buffer-pool.ts';
import { Buffers } from '../../src/aio/file/buffers.ts';
import { FileGroup } from '../../src/aio/file/file-group.ts';
import { FileQueues } from '../../src/aio/file/file-queues.ts';
import { AioError, asAioError } from '../../src/aio/file/io-error.ts';
import { openFile, openFileIn } from '../../src/aio/file/open-file.ts';
import { OperationOrder } from '../../src/aio/file/operation-order.ts';
import { TokenRing } from '../../src/aio/token-ring.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { removeTemporaryImagesAfterAll, temporaryImage } from './aio-temporary.ts';

const { EAGAIN, EPERM } = constants.errno;
const SIZE = 1 << 20;

removeTemporaryImagesAfterAll();

describe('Buffers', () => {
  const sample = () => Buffers.of(Buffer.from('ab'), Buffer.alloc(0), Buffer.from('cdef'), Buffer.from('g'));

  test('are one sequence of bytes', () => {
    const buffers = sample();
    expect(buffers.length).toBe(7);
    expect(buffers.vectors.map(({ length }) => length)).toEqual([2, 4, 1]);
    expect(buffers.concat().toString()).toBe('abcdefg');
    expect(buffers.push(Buffer.from('h')).length).toBe(8);
  });

  test.each([0, 1, 2, 3, 6, 7])('lose their first %d bytes', (count) => {
    const buffers = sample();
    expect(buffers.consume(count).concat().toString()).toBe('abcdefg'.slice(count));
    expect(buffers.length).toBe(7 - count);
    expect(buffers.vectors.every(({ length }) => length > 0)).toBe(true);
  });

  test('do not lose more than they have, and a clone loses nothing', () => {
    const buffers = sample();
    const clone = buffers.clone();
    for (const count of [-1, 8, 1.5, Number.NaN]) expect(() => buffers.consume(count)).toThrow(RangeError);
    buffers.consume(7);
    expect([buffers.length, clone.length]).toEqual([0, 7]);
  });
});

describe('aligned memory', () => {
  test('is a zeroed Buffer at a page boundary, and so are its parts in their place', () => {
    const buffer = AlignedBuffer.allocate(10_000);
    expect(Buffer.isBuffer(buffer)).toBe(true);
    expect(buffer.length).toBe(10_000);
    expect(buffer.every((byte) => byte === 0)).toBe(true);
    expect(AlignedBuffer.isAligned(buffer)).toBe(true);
    expect(AlignedBuffer.isAligned(buffer.subarray(512), 512)).toBe(true);
    expect(AlignedBuffer.isAligned(buffer.subarray(512))).toBe(false);
    expect(AlignedBuffer.isAligned(Buffer.alloc(4096))).toBe(false);
    expect(AlignedBuffer.from(Buffer.from('abc')).toString()).toBe('abc');
    expect(AlignedBuffer.from(Buffer.alloc(0))).toHaveLength(0);
    expect(() => AlignedBuffer.allocate(0)).toThrow(RangeError);
  });

  test('a pool lends each buffer to one at a time, first come first served', async () => {
    const pool = new BufferPool({ bufferBytes: 1000, count: 2 });
    const first = await pool.acquire();
    const second = await pool.acquire();
    expect(AlignedBuffer.isAligned(second, 512)).toBe(true);
    expect([first.length, second.length, pool.available]).toEqual([1000, 1000, 0]);
    expect(pool.tryAcquire()).toBeUndefined();
    const order: number[] = [];
    const third = pool.acquire().then((buffer) => [order.push(3), buffer] as const);
    const fourth = pool.acquire().then((buffer) => [order.push(4), buffer] as const);
    pool.release(second);
    pool.release(first);
    expect((await third)[1]).toBe(second);
    expect((await fourth)[1]).toBe(first);
    expect(order).toEqual([3, 4]);
    pool.release(first);
    expect(pool.available).toBe(1);
    expect(() => pool.release(first)).toThrow(/not lent/);
    expect(() => pool.release(Buffer.alloc(1000))).toThrow(/not lent/);
    for (const count of [0, -1, 1.5]) expect(() => new BufferPool({ count })).toThrow(RangeError);
  });
});

describe('the order of operations', () => {
  test('kinds that may run beside each other do, others wait for each other in turn', () => {
    const order = new OperationOrder();
    const direct = order.enter('direct');
    const read = order.enter('read');
    const cached = order.enter('cached');
    const cachedToo = order.enter('cached');
    const alone = order.enter('alone');
    const alsoAlone = order.enter('alone');
    const later = order.enter('direct');
    const open = () => [direct, read, cached, cachedToo, alone, alsoAlone, later].map((phase) => phase.open);
    expect(open()).toEqual([true, true, false, false, false, false, false]);
    order.leave(direct);
    order.leave(read);
    expect(open()).toEqual([true, true, true, true, false, false, false]);
    order.leave(cached);
    order.leave(cachedToo);
    expect(open().slice(4)).toEqual([true, false, false]);
    order.leave(alone);
    expect(open().slice(5)).toEqual([true, false]);
    order.leave(alsoAlone);
    expect(later.open).toBe(true);
    expect(order.idle).toBe(false);
    order.leave(later);
    expect(order.idle).toBe(true);
  });

  test('a barrier waits for all before it, and for nothing after it', () => {
    const order = new OperationOrder();
    const told: string[] = [];
    order.afterAll(() => told.push('at once'));
    const first = order.enter('direct');
    const second = order.enter('cached');
    order.afterAll(() => told.push('two'));
    const third = order.enter('cached');
    order.afterAll(() => told.push('three'));
    order.leave(third);
    expect(told).toEqual(['at once']);
    order.leave(first);
    expect(told).toEqual(['at once']);
    order.leave(second);
    expect(told).toEqual(['at once', 'two', 'three']);
  });

  test('random operations: nobody runs beside what it must not, every barrier comes, seed 5', () => {
    const random = new SeededRandom(5);
    const order = new OperationOrder();
    const running = new Map<ReturnType<OperationOrder['enter']>, number>();
    let [unfinished, barriers, told] = [0, 0, 0];
    const leave: (() => void)[] = [];
    for (let step = 0; step < 5000 || unfinished > 0; step++) {
      if (step < 5000 && random.below(2) === 0) {
        const phase = order.enter(random.pick(['read', 'direct', 'cached', 'alone'] as const));
        unfinished++;
        const start = () => {
          running.set(phase, (running.get(phase) ?? 0) + 1);
          leave.push(() => {
            const left = (running.get(phase) ?? 0) - 1;
            if (left > 0) running.set(phase, left);
            else running.delete(phase);
            unfinished--;
            order.leave(phase);
          });
        };
        if (phase.open) start();
        else phase.waiting.push(start);
      } else if (leave.length > 0) {
        leave.splice(random.below(leave.length), 1)[0]?.();
      }
      if (random.below(20) === 0) {
        barriers++;
        order.afterAll(() => told++);
      }
      const kinds = [...running.keys()].map(({ kind }) => kind);
      expect(new Set(kinds).size).toBeLessThanOrEqual(1);
      if (kinds.includes('alone')) expect([...running.values()]).toEqual([1]);
    }
    expect([order.idle, told]).toEqual([true, barriers]);
  });
});

test('a line of tokens is first in, first out, and lets go of any', () => {
  const random = new SeededRandom(9);
  const ring = new TokenRing();
  let model: number[] = [];
  for (let step = 0; step < 20_000; step++) {
    const dice = random.below(step < 10_000 ? 5 : 7);
    if (dice < 3) {
      ring.push(step);
      model.push(step);
    } else if (dice === 3 && random.below(10) === 0) {
      const token = model[random.below(model.length + 1)] ?? -1;
      expect(ring.remove(token)).toBe(model.includes(token));
      model = model.filter((other) => other !== token);
    } else if (model.length > 0) {
      expect(ring.shift()).toBe(model.shift());
    }
    expect(ring.count).toBe(model.length);
  }
});

describe('errors', () => {
  test('are named where Node has no name', () => {
    expect(new AioError(117, { syscall: 'read' }).code).toBe('EUCLEAN');
    expect(new AioError(5, { syscall: 'read', path: '/x', offset: 2 ** 40, length: 512 })).toMatchObject({
      message: `EIO: i/o error, read '/x' (512 bytes at ${2 ** 40})`,
      errno: -5,
    });
    expect(new AioError(4000, { syscall: 'read' }).code).toBe('errno 4000');
  });

  test('of Node keep their number; what is no system error stays what it is', () => {
    const node = Object.assign(new Error('x'), { errno: -28, code: 'ENOSPC' });
    expect(asAioError(node, 'write', '/y')).toMatchObject({ code: 'ENOSPC', path: '/y', cause: node });
    const mistake = new TypeError('y');
    expect(asAioError(mistake, 'write', '/y')).toBe(mistake);
  });
});

describe('the choice of an engine', () => {
  /** Refuses some kinds of queues, as a system would. */
  function refusing(...kinds: string[]): FileGroup {
    const queues = new FileQueues();
    return new FileGroup((wish) => {
      const { kind } = wish;
      if (!kinds.includes(kind)) return queues.lease(wish);
      const errno = kind === 'uring' ? EPERM : EAGAIN;
      throw Object.assign(new Error(`E: no ${kind} here, setup`), {
        errno: -errno,
        syscall: `${kind}_setup`,
      });
    });
  }

  test.each([
    [[], 'uring'],
    [['uring'], 'aio'],
    [['uring', 'aio'], 'direct'],
  ])('auto passes over %j and takes %s', async (refused, engine) => {
    const path = temporaryImage(SIZE);
    const file = await openFileIn(refusing(...refused), path, { flags: 'r+' });
    expect(file.options.engine).toBe(engine);
    expect(await file.writeAt(AlignedBuffer.allocate(4096), 0)).toBe(4096);
    await file.close();
  });

  test('a named engine that the system refuses is an error, and leaves no descriptor', async () => {
    const path = temporaryImage(SIZE);
    const before = openedFor(path);
    await expect(openFileIn(refusing('uring'), path, { engine: 'uring' })).rejects.toMatchObject({
      code: 'EPERM',
      syscall: 'uring_setup',
      path,
      message: `EPERM: engine uring: no uring here, uring_setup '${path}'`,
    });
    // Those of earlier tests may end meanwhile.
    expect(openedFor(path).length).toBeLessThanOrEqual(before.length);
    expect(openedFor(path)).not.toContain(path);
  });

  test('a filesystem without O_DIRECT: a named engine says so, auto takes the page cache', async () => {
    const path = '/proc/self/comm'; // a regular file, and nobody reads that directly
    for (const engine of ['direct', 'aio', 'uring'] as const) {
      await expect(openFile(path, { engine })).rejects.toMatchObject({ code: 'EINVAL', message: /O_DIRECT/ });
    }
    const file = await openFile(path);
    expect(file.options.engine).toBe('buffered');
    const bytes = Buffer.alloc(100);
    expect(bytes.subarray(0, await file.read(bytes)).toString()).toBe(readFileSync(path, 'utf8'));
    await file.close();
  });

  test('a deeper queue than the shared one is had', async () => {
    for (const engine of ['aio', 'uring'] as const) {
      const file = await openFile(temporaryImage(SIZE), { engine, queueDepth: 1024 });
      const memory = AlignedBuffer.allocate(4096);
      const reads = Array.from({ length: 1024 }, () => file.submitRead(memory, 0));
      file.flushSubmissions();
      await file.drain();
      expect(reads.every(({ state }) => state === 'done')).toBe(true);
      await file.close();
    }
  });
});

describe('pinned memory', () => {
  test('is used by io_uring, by any number of files, and says no elsewhere', async () => {
    const path = temporaryImage(SIZE);
    const content = Buffer.alloc(SIZE, 'pinned');
    writeFileSync(path, content, { flush: true });
    const memory = AlignedBuffer.allocate(65536);
    const one = await openFile(path, { engine: 'uring', flags: 'r+' });
    const other = await openFile(path, { engine: 'uring' });
    expect(one.registerMemory(memory.subarray(4096))).toBe(true);
    expect(one.registerMemory(memory)).toBe(true);
    expect(other.registerMemory(memory)).toBe(true);
    await one.close();
    expect(await other.readAt(memory.subarray(4096, 12_288), 8192)).toBe(8192);
    expect(memory.subarray(4096, 12_288).equals(content.subarray(8192, 16_384))).toBe(true);
    other.unregisterMemory(memory);
    other.unregisterMemory(memory);
    expect(await other.readAt(memory, 0)).toBe(65536);
    expect(() => other.registerMemory(Buffer.alloc(4096))).toThrow(TypeError);
    await other.close();
    const threads = await openFile(path, { engine: 'direct' });
    expect(threads.registerMemory(memory)).toBe(false);
    await threads.close();
    expect(() => one.registerMemory(memory)).toThrow(/closed/);
  });

  test('a file that is closed while memory is pinned lets go of it', async () => {
    const path = temporaryImage(SIZE);
    const keeper = await openFile(path, { engine: 'uring' });
    for (let round = 0; round < 200; round++) {
      const file = await openFile(path, { engine: 'uring' });
      expect(file.registerMemory(AlignedBuffer.allocate(4096)), `round ${round}`).toBe(true);
      await file.close();
    }
    await keeper.close();
  });

  test('of the ring goes to its own numbers again: no memory is read through a place that was another one', async () => {
    const path = temporaryImage(SIZE);
    writeFileSync(path, Buffer.alloc(SIZE, 7), { flush: true });
    const file = await openFile(path, { engine: 'uring' });
    for (let round = 0; round < 50; round++) {
      const memory = AlignedBuffer.allocate(8192);
      if (round % 2 === 0) file.registerMemory(memory);
      expect(memoryUnder(memory)).toBeDefined();
      expect(await file.readAt(memory, 4096)).toBe(8192);
      expect(memory.every((byte) => byte === 7)).toBe(true);
      if (round % 2 === 0) file.unregisterMemory(memory);
    }
    await file.close();
  });
});

test('a mapped file that another process cuts short while it is read gives what is there, and no signal', async () => {
  const path = temporaryImage(SIZE);
  const file = await openFile(path, { engine: 'mmap', flags: 'r+' });
  const memory = AlignedBuffer.allocate(SIZE);
  for (let round = 0; round < 20; round++) {
    const reads = Array.from({ length: 16 }, () => file.readAt(memory, 0));
    const cut = spawnSync('truncate', ['-s', String(round * 1000), path]);
    expect(cut.status).toBe(0);
    for (const count of await Promise.all(reads)) expect(count).toBeLessThanOrEqual(SIZE);
    expect(await file.readAt(memory, 0)).toBe(round * 1000);
    expect(await file.writeAt(memory.subarray(0, 100), SIZE - 100)).toBe(100);
    expect((await file.stat()).size).toBe(SIZE);
  }
  await file.close();
});

/**
 * What the descriptors of this process lead to, as far as it is the file or what an engine opens:
 * the test runner has others.
 */
function openedFor(path: string): string[] {
  const targets = readdirSync('/proc/self/fd').map((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`);
    } catch {
      return ''; // the one that listed them
    }
  });
  return targets.filter((target) => target === path || /io_uring|eventfd/.test(target)).sort();
}

test('a file that somebody has locked is not emptied by opening it', async () => {
  const path = temporaryImage(SIZE);
  const holder = await openFile(path, { flags: 'r+', lock: 'exclusive' });
  await expect(openFile(path, { flags: 'w+', lock: 'exclusive' })).rejects.toMatchObject({ code: 'EBUSY' });
  expect((await holder.stat()).size).toBe(SIZE);
  await holder.close();
  const next = await openFile(path, { flags: 'w+', lock: 'exclusive' });
  expect((await next.stat()).size).toBe(0);
  await next.close();
});

test('memory that is given to another thread while the kernel fills it stays where it is', async () => {
  const path = temporaryImage(SIZE);
  writeFileSync(path, Buffer.alloc(SIZE, 9), { flush: true });
  for (const engine of ['aio', 'uring', 'direct'] as const) {
    const file = await openFile(path, { engine });
    const buffer = AlignedBuffer.allocate(65536);
    const read = file.submitRead(buffer, 0);
    file.flushSubmissions();
    expect(structuredClone(buffer.buffer, { transfer: [buffer.buffer as ArrayBuffer] }).byteLength).toBe(
      65536,
    );
    expect(await read.wait()).toBe(65536);
    expect(buffer.every((byte) => byte === 9)).toBe(true);
    await file.close();
  }
});
