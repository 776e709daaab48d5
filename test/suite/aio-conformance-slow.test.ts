/**
 * Requests that are really under way, on a loop device that the kernel slows down: deadlines,
 * signals, cancelling, closing.
 *
 * Of several requests at far apart places only the first is answered soon; the others sit in the
 * kernel.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AlignedBuffer } from '../../src/aio/file/aligned-buffer.ts';
import type { AsyncFile, IoRequest, OpenFileOptions } from '../../src/aio/file/async-file.ts';
import { AbortError, TimeoutError } from '../../src/aio/file/io-error.ts';
import { openFile } from '../../src/aio/file/open-file.ts';
import { rejectionOf } from './aio-conformance-refusals.ts';
import {
  DEVICE_BYTES,
  ENGINES,
  makeSlowDevice,
  SLOWNESS_OBSTACLE,
  undoAfterAll,
} from './aio-conformance-targets.ts';

const PER_SECOND = 15;
const REQUESTS = 4;

undoAfterAll();

describe.skipIf(SLOWNESS_OBSTACLE !== '' && !process.env.CI).each(ENGINES)('%s', (engine) => {
  let device: string;
  const opened: AsyncFile[] = [];

  beforeAll(() => {
    device = makeSlowDevice(PER_SECOND);
  });
  afterEach(async () => {
    for (const file of opened.splice(0)) await file.close();
  });

  async function open(options: OpenFileOptions = {}): Promise<AsyncFile> {
    const file = await openFile(device, { engine, flags: 'r', ...options });
    opened.push(file);
    return file;
  }

  /**
   * Reads that nothing has in a cache: with the last close of a device the kernel forgets its
   * pages.
   */
  function submitReads(file: AsyncFile, options: object = {}): IoRequest[] {
    const step = DEVICE_BYTES / REQUESTS;
    return Array.from({ length: REQUESTS }, (_, at) =>
      file.submitRead(AlignedBuffer.allocate(4096), at * step, options),
    );
  }

  test('a deadline ends the wait in time, and the buffer stays with the kernel until it is released', async () => {
    const file = await open({ timeoutMs: 20 });
    const requests = submitReads(file);
    const last = requests.at(-1) as IoRequest;
    const error = await rejectionOf(last.wait());
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({
      code: 'ETIMEDOUT',
      timeoutMs: 20,
      path: device,
      offset: last.offset,
      length: 4096,
    });
    expect(last.state).toBe('timed-out');
    expect(last.latency).toBeGreaterThan(15);
    const released = last.isReleased;
    await last.whenReleased();
    expect(last).toMatchObject({ isReleased: true, state: 'timed-out', error });
    // io_uring and threads may have let go of it at once; kernel AIO cannot.
    if (engine === 'aio') expect(released).toBe(false);
    await file.drain();
    expect(await file.readAt(AlignedBuffer.allocate(512), 0, { timeoutMs: 0 })).toBe(512);
  });

  test('a signal ends the wait at once', async () => {
    const file = await open();
    const controller = new AbortController();
    const last = submitReads(file, { signal: controller.signal }).at(-1) as IoRequest;
    await sleep(10);
    const start = performance.now();
    controller.abort();
    expect(last.isDone).toBe(true);
    expect(await rejectionOf(last.wait())).toBeInstanceOf(AbortError);
    expect(performance.now() - start).toBeLessThan(100);
    await last.whenReleased();
  });

  test('cancel says what the kernel did', async () => {
    const file = await open();
    const requests = submitReads(file);
    await sleep(10);
    const last = requests.at(-1) as IoRequest;
    expect(last.state).toBe('running');
    const outcome = await last.cancel();
    if (outcome === 'cancelled') expect(last).toMatchObject({ state: 'cancelled', isReleased: true });
    else {
      expect(outcome).toBe('running');
      expect(last.isDone).toBe(false);
      expect(await last.wait()).toBe(4096);
      expect(last.state).toBe('done');
    }
    // IOCB of files and disks have no cancel function in the kernel.
    if (engine === 'aio') expect(outcome).toBe('running');
  });

  test('close and drain wait for what is with the kernel', async () => {
    const file = await open();
    const requests = submitReads(file);
    const start = performance.now();
    const drained = file.drain().then(() => requests.every(({ isDone }) => isDone));
    await file.close();
    expect(performance.now() - start).toBeGreaterThan(50);
    expect(requests.every(({ state }) => state === 'done')).toBe(true);
    expect(await drained).toBe(true);
  });

  test('a wait for a slow device is no wait for others', async () => {
    const file = await open();
    const requests = submitReads(file);
    const start = performance.now();
    await sleep(5);
    const turn = performance.now() - start;
    expect(turn).toBeLessThan(180);
    expect(requests.at(-1)?.isDone).toBe(false);
    await file.drain();
  });
});
