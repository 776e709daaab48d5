/** Conformance: the request level: states, many at once, giving up, deadlines, signals. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { AlignedBuffer } from '../../src/aio/file/aligned-buffer.ts';
import type { IoOperation, IoRequest } from '../../src/aio/file/async-file.ts';
import { AbortError, CancelledError } from '../../src/aio/file/io-error.ts';
import type { Cases } from './aio-conformance.ts';
import {
  expectRefused,
  expectSenseless,
  expectThrowsSenseless,
  rejectionOf,
} from './aio-conformance-refusals.ts';
import { pattern } from './aio-conformance-targets.ts';
import { overlaid } from './aio-conformance-writes.ts';

const DEPTH = 4;
/** Twice the requests that a loop device takes. */
const MANY = 256;
const ROUNDS = 60;

export const requestCases: Cases = {
  'a request tells where it is, from its submission to its end': async (place) => {
    const file = await place.open();
    const block = AlignedBuffer.allocate(4096);
    const request = file.submitRead(block, 8192);
    const next = file.submitRead(AlignedBuffer.allocate(512), 0);
    expect(next.id).toBeGreaterThan(request.id);
    expect(request.id).toBeGreaterThanOrEqual(1);
    expect(request).toMatchObject({
      operation: 'read',
      offset: 8192,
      lengthBytes: 4096,
      isDone: false,
      isReleased: false,
      transferredBytes: 0,
      error: undefined,
    });
    expect(request.state).toMatch(/^(queued|running)$/);
    expect(request.latency).toBeGreaterThanOrEqual(0);
    expect(request.wait()).toBe(request.wait());
    expect(await request.wait()).toBe(4096);
    expect(request).toMatchObject({
      state: 'done',
      isDone: true,
      isReleased: true,
      transferredBytes: 4096,
      error: undefined,
    });
    const { latency } = request;
    expect(latency).toBeGreaterThan(0);
    await next.wait();
    expect(request.latency, 'the clock stops at the end').toBe(latency);
    await request.whenReleased();
    expect(block.equals(place.content.subarray(8192, 12_288))).toBe(true);
  },

  'every kind of submission': async (place) => {
    const file = await place.open();
    const bytes = pattern(1000, 1);
    expect(await file.submitWrite(bytes, 33).wait()).toBe(1000);
    expect(await file.submitWritev([bytes.subarray(0, 10), bytes.subarray(10, 50)], 2000).wait()).toBe(50);
    const pieces = [Buffer.alloc(7), Buffer.alloc(43)];
    expect(await file.submitReadv(pieces, 2000).wait()).toBe(50);
    expect(Buffer.concat(pieces).equals(bytes.subarray(0, 50))).toBe(true);
    expect(await file.submitSync().wait()).toBe(0);
    expect(await file.submitDatasync().wait()).toBe(0);
    const wanted = overlaid(overlaid(place.content, bytes, 33), bytes.subarray(0, 50), 2000);
    expect(place.stored().equals(wanted)).toBe(true);
  },

  'more at once than a device has room for, again and again': async (place) => {
    const file = await place.open({ queueDepth: MANY });
    const memory = AlignedBuffer.allocate(MANY * 512);
    for (let round = 0; round < ROUNDS; round++) {
      const requests = Array.from({ length: MANY }, (_, at) =>
        file.submitWrite(memory.subarray(at * 512, (at + 1) * 512), ((at * 37 + round) % 128) * 512),
      );
      const counts = await Promise.all(requests.map((request) => request.wait()));
      expect(counts.every((count) => count === 512)).toBe(true);
      // Sleeps in between: what was overlooked then has nobody to wake it.
      if (round % 3 === 0) await sleep(1);
    }
  },

  'onDone is called once, and what it submits goes on': async (place) => {
    const file = await place.open({ queueDepth: DEPTH });
    const memory = AlignedBuffer.allocate(DEPTH * 512);
    const seen = new Map<IoRequest, number>();
    let left = 200;
    await new Promise<void>((resolve) => {
      const submit = (slot: number) => {
        file.submitRead(memory.subarray(slot * 512, (slot + 1) * 512), slot * 512, {
          onDone: (request) => {
            seen.set(request, (seen.get(request) ?? 0) + 1);
            expect(request).toMatchObject({ state: 'done', transferredBytes: 512 });
            if (--left === 0) resolve();
            else if (left >= DEPTH) submit(slot);
          },
        });
      };
      for (let slot = 0; slot < DEPTH; slot++) submit(slot);
    });
    expect(seen.size).toBe(200);
    expect(Math.max(...seen.values())).toBe(1);
  },

  'onDone hears of failures too': async (place) => {
    const file = await place.open({ flags: 'r' });
    const request = await new Promise<IoRequest>((resolve) => {
      file.submitWrite(AlignedBuffer.allocate(512), 0, { onDone: resolve });
    });
    expect(request.state).toBe('failed');
    expect(request.error).toMatchObject({ code: 'EBADF' });
  },

  'a failure that nobody waits for stays in the request': async (place) => {
    const file = await place.open({ flags: 'r' });
    const request = file.submitWrite(AlignedBuffer.allocate(512), 0);
    await file.drain();
    expect(request.state).toBe('failed');
    expect(request.isDone).toBe(true);
    expect(request.error).toMatchObject({ code: 'EBADF', path: place.path });
    expect(await rejectionOf(request.wait())).toBe(request.error);
  },

  'submitAll takes several operations in their order': async (place) => {
    const file = await place.open();
    const bytes = AlignedBuffer.from(pattern(4096, 2));
    const into = [Buffer.alloc(10), Buffer.alloc(20)];
    const operations: IoOperation[] = [
      { operation: 'write', bytes, offset: 4096 },
      { operation: 'read', bytes: into, offset: 16_384 },
      { operation: 'write', bytes: [bytes.subarray(0, 5), bytes.subarray(5, 9)], offset: 12_288 },
      { operation: 'datasync' },
      { operation: 'sync' },
    ];
    const requests = file.submitAll(operations);
    expect(requests.map(({ operation }) => operation)).toEqual([
      'write',
      'read',
      'write',
      'datasync',
      'sync',
    ]);
    expect(await Promise.all(requests.map((request) => request.wait()))).toEqual([4096, 30, 9, 0, 0]);
    expect(Buffer.concat(into).equals(place.content.subarray(16_384, 16_414))).toBe(true);
    const wanted = overlaid(overlaid(place.content, bytes, 4096), bytes.subarray(0, 9), 12_288);
    expect(place.stored().equals(wanted)).toBe(true);
    expect(file.submitAll([])).toEqual([]);
    expect(file.statistics()).toMatchObject({ submitted: 5, completed: 5 });
  },

  'never more than queueDepth run at once, and all end': async (place) => {
    const file = await place.open({ queueDepth: DEPTH });
    const requests: IoRequest[] = [];
    let most = 0;
    const onDone = () => {
      most = Math.max(most, requests.filter(({ state }) => state === 'running').length);
    };
    const memory = AlignedBuffer.allocate(4096);
    for (let at = 0; at < 100; at++) requests.push(file.submitRead(memory, 0, { onDone }));
    file.flushSubmissions();
    expect(requests.filter(({ state }) => state === 'running').length).toBeLessThanOrEqual(DEPTH);
    await file.drain();
    expect(most).toBeLessThanOrEqual(DEPTH);
    expect(requests.every(({ state }) => state === 'done')).toBe(true);
    expect(file.statistics()).toMatchObject({ submitted: 100, completed: 100 });
  },

  'flushSubmissions hands over at once': async (place) => {
    const file = await place.open();
    const request = file.submitRead(AlignedBuffer.allocate(4096), 0);
    file.flushSubmissions();
    // A read from the page cache may have ended already.
    expect(request.state).not.toBe('queued');
    expect(await request.wait()).toBe(4096);
  },

  'arguments that make no sense throw': async (place) => {
    const file = await place.open();
    const block = AlignedBuffer.allocate(512);
    const senseless = [-1, 0.5, Number.NaN, 2 ** 53];
    for (const offset of senseless) {
      expectThrowsSenseless(() => file.submitRead(block, offset));
      expectThrowsSenseless(() => file.submitWrite(block, offset));
      expectThrowsSenseless(() => file.submitReadv([block], offset));
      expectThrowsSenseless(() => file.submitWritev([block], offset));
      expectThrowsSenseless(() => file.submitAll([{ operation: 'write', bytes: block, offset }]));
    }
    expectThrowsSenseless(() => file.submitRead(undefined as unknown as Buffer, 0));
    expectThrowsSenseless(() => file.submitRead(block, 0, { timeoutMs: Number.NaN }));
    expectThrowsSenseless(() => file.submitAll([{ operation: 'explode' } as unknown as IoOperation]));
    expect(file.statistics().submitted).toBe(0);
  },

  'cancel of what is queued is certain': async (place) => {
    const file = await place.open({ queueDepth: 1 });
    const bytes = AlignedBuffer.from(pattern(512, 3));
    const requests = Array.from({ length: 8 }, (_, at) => file.submitWrite(bytes, at * 512));
    const last = requests[7] as IoRequest;
    expect(last.state).toBe('queued');
    expect(await last.cancel()).toBe('cancelled');
    expect(last).toMatchObject({ state: 'cancelled', isDone: true, isReleased: true, transferredBytes: 0 });
    const error = await rejectionOf(last.wait());
    expect(error).toBeInstanceOf(CancelledError);
    expect(error).toMatchObject({ code: 'ECANCELED', path: place.path, offset: 7 * 512, length: 512 });
    await file.drain();
    expect(requests.slice(0, 7).every(({ state }) => state === 'done')).toBe(true);
    const seven = Buffer.concat(Array<Buffer>(7).fill(bytes));
    expect(place.stored().equals(overlaid(place.content, seven, 0)), 'the eighth was not written').toBe(true);
    expect(file.statistics()).toMatchObject({ submitted: 8, completed: 8 });
  },

  'cancel of what has ended changes nothing': async (place) => {
    const file = await place.open();
    const request = file.submitRead(AlignedBuffer.allocate(512), 0);
    await request.wait();
    expect(await request.cancel()).toBe('finished');
    expect(request.state).toBe('done');
    const failed = (await place.open({ flags: 'r' })).submitWrite(AlignedBuffer.allocate(512), 0);
    await rejectionOf(failed.wait());
    expect(await failed.cancel()).toBe('finished');
  },

  'cancel of what runs is honest': async (place) => {
    const file = await place.open();
    const bytes = AlignedBuffer.from(pattern(4096, 4));
    const requests = Array.from({ length: 16 }, (_, at) => file.submitWrite(bytes, at * 4096));
    file.flushSubmissions();
    const outcomes = await Promise.all(requests.map((request) => request.cancel()));
    await file.drain();
    const stored = place.stored();
    for (const [at, request] of requests.entries()) {
      const there = stored.subarray(at * 4096, (at + 1) * 4096);
      if (outcomes[at] === 'cancelled') {
        expect(request.state).toBe('cancelled');
        if (request.transferredBytes === 0) {
          expect(there.equals(place.content.subarray(at * 4096, (at + 1) * 4096))).toBe(true);
        }
      } else {
        expect(request.state).toBe('done');
        expect(there.equals(bytes)).toBe(true);
      }
    }
  },

  'a signal that was given before keeps the request from happening': async (place) => {
    const file = await place.open();
    const reason = new Error('too late');
    const bytes = AlignedBuffer.from(pattern(4096, 5));
    const signal = AbortSignal.abort(reason);
    const error = await rejectionOf(file.writeAt(bytes, 0, { signal }));
    expect(error).toBeInstanceOf(AbortError);
    expect(error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
    expect(await rejectionOf(file.write(bytes, { signal }))).toBeInstanceOf(AbortError);
    expect(await rejectionOf(file.datasync({ signal }))).toBeInstanceOf(AbortError);
    expect(await rejectionOf(file.lock('shared', { signal }))).toBeInstanceOf(AbortError);
    if (!place.isDevice) expect(await rejectionOf(file.append(bytes, { signal }))).toBeInstanceOf(AbortError);
    expect(place.stored().equals(place.content)).toBe(true);
    expect(await file.seek(0, 1)).toBe(0);
  },

  'a signal ends the wait at once, and the buffer is free when it is said to be': async (place) => {
    const file = await place.open({ queueDepth: 1 });
    const controller = new AbortController();
    const requests = Array.from({ length: 6 }, () =>
      file.submitRead(AlignedBuffer.allocate(65_536), 0, { signal: controller.signal }),
    );
    controller.abort();
    for (const request of requests) {
      expect(request.isDone).toBe(true);
      expect(request.state).toBe('cancelled');
      expect(await rejectionOf(request.wait())).toBeInstanceOf(AbortError);
      await request.whenReleased();
      expect(request.isReleased).toBe(true);
    }
    expect(await file.readAt(AlignedBuffer.allocate(512), 0), 'the file goes on').toBe(512);
  },

  'signals are let go of': async (place) => {
    const file = await place.open();
    const signal = new AbortController().signal;
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    };
    for (let at = 0; at < 20; at++) await file.readAt(AlignedBuffer.allocate(512), 0, { signal });
    expect(listeners).toBe(0);
  },

  'a deadline that is not reached does not matter': async (place) => {
    const file = await place.open({ timeoutMs: 30_000 });
    expect(await file.readAt(AlignedBuffer.allocate(512), 0)).toBe(512);
    expect(await file.readAt(AlignedBuffer.allocate(512), 0, { timeoutMs: 60_000 })).toBe(512);
    expect(await file.readAt(AlignedBuffer.allocate(512), 0, { timeoutMs: 0 })).toBe(512);
  },

  'a lot of requests in one turn': async (place) => {
    const file = await place.open({ queueDepth: 64 });
    const memory = AlignedBuffer.allocate(4096);
    const counts = await Promise.all(Array.from({ length: 2000 }, () => file.readAt(memory, 4096)));
    expect(counts.every((count) => count === 4096)).toBe(true);
    expect(file.statistics()).toMatchObject({ submitted: 2000, completed: 2000, bounced: 0 });
  },

  'one failure does not disturb its neighbours': async (place) => {
    const file = await place.open({ align: 'strict' });
    const block = AlignedBuffer.allocate(4096);
    const results = await Promise.allSettled([
      file.readAt(block, 0),
      file.readAt('no' as unknown as Buffer, 0),
      file.readAt(block, 4096),
      file.readAt(block, -5),
      file.readAt(block, 8192),
    ]);
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
    await expectSenseless(file.readAt(block, -5), /offset/);
    await expectRefused((await place.open({ flags: 'r' })).writeAt(block, 0), 'EBADF');
  },
};
