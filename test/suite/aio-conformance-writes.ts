/**
 * Conformance: writes at an offset and at the position, whole and in pieces, inside the file and
 * past its end.
 */
import { statSync } from 'node:fs';
import { expect } from 'vitest';
import { AlignedBuffer } from '../../src/aio/file/aligned-buffer.ts';
import { Buffers } from '../../src/aio/file/buffers.ts';
import { AlignmentError } from '../../src/aio/file/io-error.ts';
import type { Cases } from './aio-conformance.ts';
import { expectRefused, expectSenseless, rejectionOf } from './aio-conformance-refusals.ts';
import { type Place, pattern } from './aio-conformance-targets.ts';

const MANY_PIECES = 2500;

/** `base` with `bytes` laid over it at `offset`; zeros fill what is between them. */
export function overlaid(base: Buffer, bytes: Uint8Array, offset: number): Buffer {
  const made = Buffer.alloc(Math.max(base.length, offset + bytes.length));
  base.copy(made);
  made.set(bytes, offset);
  return made;
}

/** Writes, and looks at every byte of the target. */
async function expectWritten(place: Place, bytes: Uint8Array, offset: number): Promise<void> {
  const file = await place.open();
  expect(await file.writeAt(bytes, offset)).toBe(bytes.length);
  const wanted = overlaid(place.content, bytes, offset);
  const back = Buffer.alloc(wanted.length + 10);
  expect(await file.readAt(back, 0)).toBe(wanted.length);
  expect(back.subarray(0, wanted.length).equals(wanted), 'read back').toBe(true);
  await file.close();
  expect(place.stored().equals(wanted), 'stored').toBe(true);
}

function aligned(lengthBytes: number): Buffer {
  return AlignedBuffer.from(pattern(lengthBytes, 1));
}

/** A file grows; a device has no room. */
async function expectGrowth(place: Place, bytes: Uint8Array, offset: number): Promise<void> {
  if (!place.isDevice) {
    await expectWritten(place, bytes, offset);
    return;
  }
  const file = await place.open();
  const error = await expectRefused(file.writeAt(bytes, offset), 'ENOSPC');
  expect(error.offset).toBe(offset);
  expect(error.length).toBe(bytes.length);
  expect(error.transferredBytes).toBeLessThan(bytes.length);
  const fits = place.sizeBytes - offset;
  if (fits <= 0) expect(error.transferredBytes).toBe(0);
}

export const writeCases: Cases = {
  'aligned memory, offset and length': (place) => expectWritten(place, aligned(8192), 4096),
  'an odd offset and length, between what was there': (place) => expectWritten(place, aligned(5003), 1234),
  'one byte': (place) => expectWritten(place, aligned(1), 4095),
  'memory that is not aligned': (place) => expectWritten(place, aligned(8192).subarray(3, 4099), 4096),
  'memory of the heap': (place) => expectWritten(place, pattern(4096, 2), 8192),
  'a plain Uint8Array at an offset of its buffer': (place) =>
    expectWritten(place, new Uint8Array(new ArrayBuffer(10_000), 7, 9000).fill(3), 100),
  'no bytes at all': (place) => expectWritten(place, aligned(1).subarray(0, 0), 5),
  'no bytes do not make a file longer': async (place) => {
    const file = await place.open();
    expect(await file.writeAt(Buffer.alloc(0), place.sizeBytes + 100)).toBe(0);
    expect((await file.stat()).size).toBe(place.sizeBytes);
  },

  'across the end': (place) => expectGrowth(place, aligned(9000), place.sizeBytes - 1000),
  'right at the end': (place) => expectGrowth(place, aligned(4096), place.sizeBytes),
  'after the end, with a hole between': (place) => expectGrowth(place, aligned(10), place.sizeBytes + 9999),
  'aligned, after the end': (place) =>
    expectGrowth(place, aligned(4096), Math.ceil(place.sizeBytes / 4096) * 4096 + 8192),
  'the last bytes': (place) => expectWritten(place, aligned(100), place.sizeBytes - 100),

  'everything at once': (place) => expectWritten(place, aligned(place.sizeBytes), 0),

  'several megabytes into a new file': async (place) => {
    const path = place.beside();
    const file = await place.openPath(path, { flags: 'w+' });
    const bytes = aligned(3 * 2 ** 20 + 77);
    expect(await file.writeAt(bytes, 0)).toBe(bytes.length);
    expect(statSync(path).size).toBe(bytes.length);
    const back = AlignedBuffer.allocate(bytes.length + 1);
    expect(await file.readAt(back, 0)).toBe(bytes.length);
    expect(back.subarray(0, -1).equals(bytes)).toBe(true);
  },

  'arguments that make no sense are refused': async (place) => {
    const file = await place.open();
    const block = AlignedBuffer.allocate(4096);
    for (const offset of [-1, 0.5, Number.NaN, 2 ** 53, '0' as unknown as number]) {
      await expectSenseless(file.writeAt(block, offset), /offset/);
      await expectSenseless(file.writeAtv([block], offset), /offset/);
    }
    await expectSenseless(file.writeAt('text' as unknown as Buffer, 0), /bytes|Uint8Array|buffer/i);
    await expectSenseless(file.write(undefined as unknown as Buffer), /bytes|Uint8Array|buffer/i);
    expect(place.stored().equals(place.content)).toBe(true);
  },

  'with align strict, what is not aligned is refused and not written': async (place) => {
    const file = await place.open({ align: 'strict' });
    const { offsetBytes, memoryBytes } = file.alignment;
    const block = aligned(8192);
    for (const [bytes, offset] of [
      [block.subarray(0, 4096), 100],
      [block.subarray(0, 100), 0],
      [block.subarray(2, 4098), 0],
    ] as const) {
      const fits =
        offset % offsetBytes === 0 &&
        bytes.length % offsetBytes === 0 &&
        bytes.byteOffset % memoryBytes === 0;
      if (fits) continue;
      expect(await rejectionOf(file.writeAt(bytes, offset))).toBeInstanceOf(AlignmentError);
    }
    expect(place.stored().equals(place.content)).toBe(true);
    expect(await file.writeAt(block, 4096)).toBe(8192);
    expect(place.stored().equals(overlaid(place.content, block, 4096))).toBe(true);
  },

  'neighbours in one sector, written at once, do not lose each other': async (place) => {
    const file = await place.open();
    const bytes = pattern(64 * 97, 3);
    const writes = Array.from({ length: 64 }, (_, at) =>
      file.writeAt(bytes.subarray(at * 97, (at + 1) * 97), 1000 + at * 97),
    );
    await Promise.all(writes);
    expect(place.stored().equals(overlaid(place.content, bytes, 1000))).toBe(true);
  },

  'neighbours in one sector, through two files, do not lose each other': async (place) => {
    const files = [await place.open(), await place.open()];
    const bytes = pattern(64 * 97, 4);
    const writes = Array.from({ length: 64 }, (_, at) =>
      files[at % 2]?.writeAt(bytes.subarray(at * 97, (at + 1) * 97), 1000 + at * 97),
    );
    await Promise.all(writes);
    expect(place.stored().equals(overlaid(place.content, bytes, 1000))).toBe(true);
  },

  'odd and aligned neighbours, written at once, do not lose each other': async (place) => {
    const file = await place.open();
    const block = aligned(4096);
    const odd = pattern(100, 5);
    await Promise.all([
      file.writeAt(odd, 4096 - 100),
      file.writeAt(block, 4096),
      file.writeAt(odd, 8192),
      file.writeAt(odd, 4096 - 200),
    ]);
    const wanted = [
      [odd, 4096 - 100],
      [block, 4096],
      [odd, 8192],
      [odd, 4096 - 200],
    ] as const;
    const result = wanted.reduce((base, [bytes, offset]) => overlaid(base, bytes, offset), place.content);
    expect(place.stored().equals(result)).toBe(true);
  },

  'odd writes past the end, at once, end with the right length': async (place) => {
    const path = place.beside(pattern(1000));
    const file = await place.openPath(path);
    const bytes = pattern(3001, 6);
    // None covers another: of those the order is nobody's promise.
    const offsets = [1000, 10_003, 4001, 20_123, 7002];
    await Promise.all(offsets.map((offset) => file.writeAt(bytes, offset)));
    const wanted = offsets.reduce((base, offset) => overlaid(base, bytes, offset), pattern(1000));
    const back = Buffer.alloc(30_000);
    const count = await file.readAt(back, 0);
    expect(count).toBe(20_123 + 3001);
    expect(back.subarray(0, count).equals(wanted)).toBe(true);
    expect(statSync(path).size).toBe(count);
  },

  'from several pieces, in order': async (place) => {
    const file = await place.open();
    const bytes = pattern(5777, 7);
    const pieces = [
      bytes.subarray(0, 1),
      bytes.subarray(1, 1),
      AlignedBuffer.from(bytes.subarray(1, 5000)),
      bytes.subarray(5000),
    ];
    const vector = Buffers.of(...pieces);
    expect(await file.writeAtv(vector, 300)).toBe(5777);
    expect(vector.length, 'the vector is as it was').toBe(5777);
    expect(place.stored().equals(overlaid(place.content, bytes, 300))).toBe(true);
    expect(vector.concat().equals(bytes), 'nothing was read into the pieces').toBe(true);
  },

  'from aligned pieces': async (place) => {
    const file = await place.open({ align: 'strict' });
    const bytes = aligned(3 * 4096);
    const pieces = [0, 1, 2].map((at) => bytes.subarray(at * 4096, (at + 1) * 4096));
    expect(await file.writeAtv(pieces, 4096)).toBe(bytes.length);
    expect(place.stored().equals(overlaid(place.content, bytes, 4096))).toBe(true);
  },

  'from more pieces than a system call takes': async (place) => {
    const file = await place.open();
    const pieces = Array.from({ length: MANY_PIECES }, (_, at) => pattern(1 + (at % 20), at));
    const total = Buffers.of(...pieces);
    expect(await file.writeAtv(pieces, 1001)).toBe(total.length);
    expect(place.stored().equals(overlaid(place.content, total.concat(), 1001))).toBe(true);
    expect(await file.writeAtv([], 0)).toBe(0);
  },

  'at the position, which reads share': async (place) => {
    const file = await place.open();
    const piece = Buffer.alloc(3);
    const results = await Promise.all([
      file.write(Buffer.from('abc')),
      file.read(piece),
      file.write(Buffer.from('defg')),
      file.seek(0, 1),
    ]);
    expect(results).toEqual([3, 3, 4, 10]);
    expect(piece.equals(place.content.subarray(3, 6))).toBe(true);
    const first = overlaid(place.content, Buffer.from('abc'), 0);
    expect(place.stored().equals(overlaid(first, Buffer.from('defg'), 6))).toBe(true);
  },

  'many at once, each at its own place': async (place) => {
    const file = await place.open({ queueDepth: 8 });
    const count = Math.floor(place.sizeBytes / 512);
    const bytes = aligned(count * 512);
    await Promise.all(
      Array.from({ length: count }, (_, at) =>
        file.writeAt(bytes.subarray(at * 512, (at + 1) * 512), at * 512),
      ),
    );
    expect(place.stored().equals(overlaid(place.content, bytes, 0))).toBe(true);
  },

  'offsets beyond 32 bits hit their place': async (place) => {
    if (place.isDevice) return;
    const path = place.beside();
    const file = await place.openPath(path, { flags: 'w+' });
    // ext4 ends at 16 TiB, tmpfs near 2 ** 63.
    const far = place.kind === 'tmpfs' ? [2 ** 45, 2 ** 53 - 16_384] : [2 ** 43 - 4096];
    for (const offset of [2 ** 31 - 100, 2 ** 32 - 4096, 2 ** 32, 2 ** 32 + 4096 + 1, ...far]) {
      const bytes = pattern(4096, offset % 251);
      expect(await file.writeAt(bytes, offset), `at ${offset}`).toBe(4096);
      const back = Buffer.alloc(8192);
      expect(await file.readAt(back, offset), `at ${offset}`).toBe(4096);
      expect(back.subarray(0, 4096).equals(bytes), `at ${offset}`).toBe(true);
    }
    const low = Buffer.alloc(4096);
    expect(await file.readAt(low, 0)).toBe(4096);
    expect(
      low.every((byte) => byte === 0),
      'nothing landed at the low 32 bits',
    ).toBe(true);
  },

  'past the longest file there can be': async (place) => {
    if (place.kind !== 'file') return;
    const file = await place.open();
    const error = await expectRefused(file.writeAt(aligned(4096), 2 ** 52), /^(EFBIG|ENOSPC)$/);
    expect(error.syscall).not.toBe('open');
    expect(error.offset).toBe(2 ** 52);
    expect(error.length).toBe(4096);
    expect(error.path).toBe(place.path);
  },
};
