/** Conformance: the position, the length, and what sync and drain wait for. */
import { expect } from 'vitest';
import { AlignedBuffer } from '../../src/aio/file/aligned-buffer.ts';
import type { Cases } from './aio-conformance.ts';
import { expectRefused, rejectionOf } from './aio-conformance-refusals.ts';
import { pattern } from './aio-conformance-targets.ts';
import { overlaid } from './aio-conformance-writes.ts';

export const sizeCases: Cases = {
  'seek from the start, the position and the end': async (place) => {
    const file = await place.open();
    expect(await file.seek(0, 1)).toBe(0);
    expect(await file.seek(100)).toBe(100);
    expect(await file.seek(-30, 1)).toBe(70);
    expect(await file.seek(0, 2)).toBe(place.sizeBytes);
    expect(await file.seek(-1, 2)).toBe(place.sizeBytes - 1);
    expect(await file.seek(5000, 2)).toBe(place.sizeBytes + 5000);
    expect(await file.read(Buffer.alloc(1))).toBe(0);
    expect(await file.seek(2 ** 40, 0)).toBe(2 ** 40);
  },

  'seek refuses a bad whence and a bad position, and stays': async (place) => {
    const file = await place.open();
    await file.seek(7);
    for (const whence of [3, -1, 0.5, '0']) await expectRefused(file.seek(0, whence as 0), 'EINVAL');
    for (const [offset, whence] of [
      [-1, 0],
      [-8, 1],
      [-place.sizeBytes - 1, 2],
      [0.5, 0],
      [Number.NaN, 1],
      [2 ** 53, 0],
    ] as const) {
      const error = await expectRefused(file.seek(offset, whence), 'EINVAL');
      expect(error.path).toBe(place.path);
    }
    expect(await file.seek(0, 1)).toBe(7);
  },

  'truncate makes shorter and longer; a device cannot': async (place) => {
    const file = await place.open();
    if (place.isDevice) {
      await expectRefused(file.truncate(4096), 'EINVAL');
      expect((await file.stat()).size).toBe(place.sizeBytes);
      return;
    }
    await file.truncate(5000);
    expect(place.stored().equals(place.content.subarray(0, 5000))).toBe(true);
    await file.truncate(9001);
    const wanted = Buffer.concat([place.content.subarray(0, 5000), Buffer.alloc(4001)]);
    expect(place.stored().equals(wanted)).toBe(true);
    const back = Buffer.alloc(10_000);
    expect(await file.readAt(back, 0)).toBe(9001);
    expect(back.subarray(0, 9001).equals(wanted), 'no old bytes come back').toBe(true);
    await file.truncate(0);
    expect(await file.readAt(back, 0)).toBe(0);
  },

  'truncate to a senseless length is refused': async (place) => {
    const file = await place.open();
    for (const length of [-1, 1.5, Number.NaN, 2 ** 53]) {
      const error = await rejectionOf(file.truncate(length));
      const isSaid =
        error instanceof RangeError ||
        error instanceof TypeError ||
        (error as NodeJS.ErrnoException).code === 'EINVAL';
      expect(isSaid, String(error)).toBe(true);
    }
    expect((await file.stat()).size).toBe(place.sizeBytes);
  },

  'truncate runs after what came before, and before what comes later': async (place) => {
    if (place.isDevice) return;
    const file = await place.open({ queueDepth: 4 });
    const before = AlignedBuffer.from(pattern(4096, 1));
    const after = AlignedBuffer.from(pattern(4096, 2));
    const order: string[] = [];
    const note = (name: string) => () => order.push(name);
    const all = [
      ...Array.from({ length: 16 }, (_, at) => file.writeAt(before, at * 4096).then(note('before'))),
      file.truncate(100).then(note('truncate')),
      ...Array.from({ length: 4 }, (_, at) => file.writeAt(after, 4096 + at * 4096).then(note('after'))),
    ];
    await Promise.all(all);
    expect(order.indexOf('truncate')).toBe(16);
    const head = Buffer.concat([before.subarray(0, 100), Buffer.alloc(4096 - 100)]);
    expect(place.stored().equals(Buffer.concat([head, after, after, after, after]))).toBe(true);
  },

  'sync and datasync wait for every write submitted before': async (place) => {
    const file = await place.open({ queueDepth: 4 });
    const block = AlignedBuffer.from(pattern(4096, 3));
    for (const method of ['sync', 'datasync'] as const) {
      const writes = Array.from({ length: 16 }, (_, at) => file.submitWrite(block, at * 4096));
      await file[method]();
      expect(writes.map(({ state }) => state)).toEqual(writes.map(() => 'done'));
    }
    const request = file.submitSync();
    expect(request).toMatchObject({ operation: 'sync', offset: 0, lengthBytes: 0 });
    expect(await request.wait()).toBe(0);
    expect(await file.submitDatasync().wait()).toBe(0);
    expect(place.stored().equals(overlaid(place.content, Buffer.concat(Array(16).fill(block)), 0))).toBe(
      true,
    );
  },

  'sync of a file for reading, with nothing to do': async (place) => {
    const file = await place.open({ flags: 'r' });
    await file.sync();
    await file.datasync();
  },

  'drain waits for everything, and may be called with nothing under way': async (place) => {
    const file = await place.open({ queueDepth: 2 });
    await file.drain();
    const requests = Array.from({ length: 40 }, (_, at) =>
      file.submitRead(AlignedBuffer.allocate(512), at * 512),
    );
    await file.drain();
    expect(requests.every(({ isDone }) => isDone)).toBe(true);
  },
};
