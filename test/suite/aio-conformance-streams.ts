/** Conformance: chunks, the async iterator, and the streams of Node. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'vitest';
import type { AsyncFile, ChunkOptions } from '../../src/aio/file/async-file.ts';
import { AbortError } from '../../src/aio/file/io-error.ts';
import type { Cases } from './aio-conformance.ts';
import {
  expectRefused,
  expectSenseless,
  expectThrowsSenseless,
  rejectionOf,
} from './aio-conformance-refusals.ts';
import { type Place, pattern } from './aio-conformance-targets.ts';
import { overlaid } from './aio-conformance-writes.ts';

async function gather(chunks: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

/** All chunks are kept until the end, so one that is reused would show. */
async function expectChunks(place: Place, options: ChunkOptions): Promise<Buffer[]> {
  const file = await place.open({ flags: 'r' });
  const chunks = await gather(file.chunks(options));
  const wanted = place.content.subarray(Number(options.start ?? 0), Number(options.end ?? place.sizeBytes));
  expect(Buffer.concat(chunks).equals(wanted)).toBe(true);
  expect(chunks.every(({ length }) => length > 0 && length <= (options.chunkBytes ?? 65_536))).toBe(true);
  const streamed = await gather(file.createReadStream(options));
  expect(Buffer.concat(streamed).equals(wanted)).toBe(true);
  expect(file.isClosed).toBe(false);
  return chunks;
}

/** Writes pieces of many lengths, and looks at every byte of the target. */
async function expectStreamed(
  place: Place,
  file: AsyncFile,
  bytes: Buffer,
  options: { start?: number; chunkBytes?: number; depth?: number; datasync?: boolean },
): Promise<void> {
  const pieces: Buffer[] = [];
  for (let at = 0, length = 1; at < bytes.length; at += length, length = (length * 7) % 9973) {
    pieces.push(bytes.subarray(at, at + length));
  }
  await pipeline(Readable.from(pieces), file.createWriteStream(options));
  expect(file.isClosed).toBe(false);
  expect(place.stored().equals(overlaid(place.content, bytes, options.start ?? 0))).toBe(true);
}

export const streamCases: Cases = {
  'the whole content': async (place) => {
    const chunks = await expectChunks(place, {});
    expect(chunks.length).toBe(Math.ceil(place.sizeBytes / 65_536));
  },
  'small chunks, one at a time': async (place) => {
    await expectChunks(place, { chunkBytes: 4096, depth: 1 });
  },
  'many read ahead': async (place) => {
    await expectChunks(place, { chunkBytes: 4096, depth: 64 });
  },
  'a part that begins and ends anywhere': async (place) => {
    const chunks = await expectChunks(place, { start: 1234, end: 50_001, chunkBytes: 8192 });
    const { alignment } = await place.open();
    let offset = 1234;
    for (const { length } of chunks.slice(0, -1)) {
      offset += length;
      expect(offset % alignment.offsetBytes).toBe(0);
    }
  },
  'an empty part': async (place) => {
    expect(await expectChunks(place, { start: 5, end: 5 })).toEqual([]);
    expect(await expectChunks(place, { start: place.sizeBytes })).toEqual([]);
  },
  'an end after the end of the file': async (place) => {
    await expectChunks(place, { end: place.sizeBytes + 1_000_000 });
  },
  'the file is its own iterator': async (place) => {
    const file = await place.open({ flags: 'r' });
    expect(Buffer.concat(await gather(file)).equals(place.content)).toBe(true);
  },

  'leaving the loop early leaves nothing under way': async (place) => {
    const file = await place.open({ flags: 'r' });
    for await (const chunk of file.chunks({ chunkBytes: 4096, depth: 8 })) {
      expect(chunk.equals(place.content.subarray(0, 4096))).toBe(true);
      break;
    }
    await file.drain();
    const { submitted, completed } = file.statistics();
    expect(submitted).toBe(completed);
    expect(file.isClosed).toBe(false);
  },

  'options that make no sense are refused': async (place) => {
    const file = await place.open();
    const senseless: ChunkOptions[] = [
      { chunkBytes: 0 },
      { chunkBytes: -4096 },
      { chunkBytes: 1.5 },
      { depth: 0 },
      { depth: 65 },
      { start: -1 },
      { start: 0.5 },
      { end: -1 },
    ];
    if (file.alignment.offsetBytes > 1) senseless.push({ chunkBytes: file.alignment.offsetBytes + 1 });
    for (const options of senseless) {
      const name = new RegExp(Object.keys(options)[0] ?? '');
      await expectSenseless((async () => file.chunks(options).next())(), name);
    }
    expectThrowsSenseless(() => file.createWriteStream({ chunkBytes: 0 }));
    expectThrowsSenseless(() => file.createWriteStream({ depth: 65 }));
    expectThrowsSenseless(() => file.createWriteStream({ start: -1 }));
  },

  'a signal ends the chunks': async (place) => {
    const file = await place.open({ flags: 'r' });
    const controller = new AbortController();
    const chunks = file.chunks({ chunkBytes: 4096, signal: controller.signal });
    expect((await chunks.next()).done).toBe(false);
    controller.abort();
    expect(await rejectionOf(gather(chunks))).toBeInstanceOf(AbortError);
  },

  'a read stream feeds a pipeline': async (place) => {
    const file = await place.open({ flags: 'r' });
    const hash = createHash('sha256');
    await pipeline(file.createReadStream({ chunkBytes: 8192 }), hash);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(place.content).digest('hex'));
  },

  'a read stream that is destroyed stops': async (place) => {
    const file = await place.open({ flags: 'r' });
    const stream = file.createReadStream({ chunkBytes: 4096, depth: 8 });
    for await (const chunk of stream) {
      expect(chunk.length).toBe(4096);
      break;
    }
    expect(stream.destroyed).toBe(true);
    await file.close();
  },

  'a stream of a closed file fails with EBADF': async (place) => {
    const file = await place.open();
    await file.close();
    const reading = (async () => gather(file.createReadStream()))();
    await expectRefused(reading, 'EBADF');
    const writing = (async () => pipeline(Readable.from([Buffer.alloc(10)]), file.createWriteStream()))();
    await expectRefused(writing, 'EBADF');
  },

  'a write stream gathers pieces of any length': async (place) => {
    await expectStreamed(place, await place.open(), pattern(50_001, 1), {});
  },
  'a write stream begins anywhere': async (place) => {
    const options = { start: 777, chunkBytes: 4096, depth: 8, datasync: true };
    await expectStreamed(place, await place.open(), pattern(40_000, 2), options);
  },
  'a write stream with one write at a time': async (place) => {
    await expectStreamed(place, await place.open(), pattern(30_000, 3), { chunkBytes: 4096, depth: 1 });
  },
  'a write stream makes a file longer; a device ends it with ENOSPC': async (place) => {
    const file = await place.open();
    const start = place.sizeBytes - 100;
    if (!place.isDevice) {
      await expectStreamed(place, file, pattern(20_000, 4), { start });
      return;
    }
    const writing = pipeline(Readable.from([pattern(20_000, 4)]), file.createWriteStream({ start }));
    await expectRefused(writing, 'ENOSPC');
  },
  'a write stream of nothing changes nothing': async (place) => {
    await expectStreamed(place, await place.open(), Buffer.alloc(0), {});
  },
  'a write stream on a file for reading fails with EBADF': async (place) => {
    const file = await place.open({ flags: 'r' });
    await expectRefused(pipeline(Readable.from([Buffer.alloc(9)]), file.createWriteStream()), 'EBADF');
  },
  'a copy through both streams': async (place) => {
    const source = await place.open({ flags: 'r' });
    const path = place.beside();
    const target = await place.openPath(path, { flags: 'w+' });
    await pipeline(source.createReadStream(), target.createWriteStream());
    const back = Buffer.alloc(place.sizeBytes + 1);
    expect(await target.readAt(back, 0)).toBe(place.sizeBytes);
    expect(back.subarray(0, -1).equals(place.content)).toBe(true);
  },
};
