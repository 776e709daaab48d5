/**
 * Conformance: reads at an offset and at the position, whole and in pieces, up to the end and
 * beyond it.
 */
import { truncateSync } from 'node:fs';
import { expect } from 'vitest';
import { AlignedBuffer } from '../../src/aio/file/aligned-buffer.ts';
import { Buffers } from '../../src/aio/file/buffers.ts';
import { AlignmentError } from '../../src/aio/file/io-error.ts';
import type { Cases } from './aio-conformance.ts';
import { expectRefused, expectSenseless, rejectionOf } from './aio-conformance-refusals.ts';
import { makeLoopDevice, type Place, pattern } from './aio-conformance-targets.ts';

const FILLER = 0xee;
/** More pieces than a system call takes (IOV_MAX, 1024). */
const MANY_PIECES = 2500;

/**
 * Reads into memory filled before, and looks at every byte of it. By O_DIRECT the kernel itself
 * zeros what a read asks for after the end of the file, on filesystems made of iomap (ext4, XFS).
 */
async function expectRead(place: Place, into: Uint8Array, offset: number): Promise<void> {
  const file = await place.open({ flags: 'r' });
  into.fill(FILLER);
  const count = await file.readAt(into, offset);
  const there = place.content.subarray(offset, offset + into.length);
  expect(count).toBe(there.length);
  expect(Buffer.compare(into.subarray(0, count), there)).toBe(0);
  const isKept = (byte: number) => byte === FILLER || (place.isDirect && byte === 0);
  expect(into.subarray(count).every(isKept), 'bytes after what was read').toBe(true);
}

export const readCases: Cases = {
  'aligned memory, offset and length': (place) => expectRead(place, AlignedBuffer.allocate(8192), 4096),
  'the first byte': (place) => expectRead(place, AlignedBuffer.allocate(1), 0),
  'an odd offset and length': (place) => expectRead(place, AlignedBuffer.allocate(5003), 1234),
  'memory that is not aligned': (place) =>
    expectRead(place, AlignedBuffer.allocate(8192).subarray(3, 4099), 4096),
  'memory of the heap': (place) => expectRead(place, Buffer.alloc(4096), 0),
  'a plain Uint8Array at an offset of its buffer': (place) =>
    expectRead(place, new Uint8Array(new ArrayBuffer(10_000), 7, 9000), 100),
  'memory shared between threads': (place) =>
    expectRead(place, new Uint8Array(new SharedArrayBuffer(4096)), 8192),
  'across the end of the file': (place) =>
    expectRead(place, AlignedBuffer.allocate(8192), Math.floor((place.sizeBytes - 1) / 4096) * 4096),
  'across the end from an odd offset': (place) =>
    expectRead(place, AlignedBuffer.allocate(999), place.sizeBytes - 100),
  'at the end': (place) => expectRead(place, AlignedBuffer.allocate(4096), place.sizeBytes),
  'after the end': (place) => expectRead(place, AlignedBuffer.allocate(4096), place.sizeBytes + 12_345),
  'far after the end': async (place) => {
    for (const offset of [2 ** 31, 2 ** 32, 2 ** 40, 2 ** 52, Number.MAX_SAFE_INTEGER - 4096]) {
      await expectRead(place, AlignedBuffer.allocate(4096), offset);
    }
  },
  'no bytes at all': (place) => expectRead(place, AlignedBuffer.allocate(1).subarray(0, 0), 17),
  'everything and more': (place) => expectRead(place, AlignedBuffer.allocate(2 ** 21), 0),

  'arguments that make no sense are refused': async (place) => {
    const file = await place.open();
    const block = AlignedBuffer.allocate(4096);
    for (const offset of [-1, 1.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY, '0' as unknown as number]) {
      await expectSenseless(file.readAt(block, offset), /offset/);
      await expectSenseless(file.readAtv([block], offset), /offset/);
    }
    await expectSenseless(file.readAt('text' as unknown as Buffer, 0), /bytes|Uint8Array|buffer/i);
    await expectSenseless(file.readAtv([7] as unknown as Buffer[], 0), /bytes|Uint8Array|buffer|vector/i);
    await expectSenseless(file.readAt(block, 0, { timeoutMs: -1 }), /timeoutMs/);
  },

  'with align strict, what is not aligned is refused with the numbers': async (place) => {
    const file = await place.open({ align: 'strict' });
    const { offsetBytes, memoryBytes } = file.alignment;
    const block = AlignedBuffer.allocate(8192);
    expect(await file.readAt(block, 4096)).toBe(8192);
    expect(block.equals(place.content.subarray(4096, 4096 + 8192))).toBe(true);
    const attempts: [Buffer, number][] = [
      [block.subarray(0, 4096), 1],
      [block.subarray(0, 1), 0],
      [block.subarray(1, 4097), 0],
    ];
    for (const [bytes, offset] of attempts) {
      const fits =
        offset % offsetBytes === 0 &&
        bytes.length % offsetBytes === 0 &&
        bytes.byteOffset % memoryBytes === 0;
      if (fits) {
        expect(await file.readAt(bytes, offset)).toBe(bytes.length);
        continue;
      }
      const error = await rejectionOf(file.readAt(bytes, offset));
      expect(error).toBeInstanceOf(AlignmentError);
      expect(error).toMatchObject({
        code: 'EINVAL',
        offset,
        length: bytes.length,
        path: place.path,
        offsetAlignBytes: offsetBytes,
        memoryAlignBytes: memoryBytes,
      });
      expect(String(error)).toMatch(new RegExp(`\\b(${offsetBytes}|${memoryBytes})\\b`));
    }
  },

  'with align strict, a read across the end is no offence': async (place) => {
    const file = await place.open({ align: 'strict' });
    const from = Math.floor((place.sizeBytes - 1) / 4096) * 4096;
    const block = AlignedBuffer.allocate(8192);
    expect(await file.readAt(block, from)).toBe(place.sizeBytes - from);
    expect(await file.readAt(block, from + 4096)).toBe(0);
  },

  'only what is not aligned takes the way round': async (place) => {
    const file = await place.open();
    const block = AlignedBuffer.allocate(4096);
    await file.readAt(block, 0);
    await file.readAt(block, 4096);
    expect(file.statistics()).toMatchObject({ submitted: 2, completed: 2, bounced: 0, continued: 0 });
    await file.readAt(block.subarray(0, 4095), 1);
    expect(file.statistics().bounced).toBe(file.alignment.offsetBytes > 1 ? 1 : 0);
  },

  'into several pieces, in order': async (place) => {
    const file = await place.open();
    const memory = AlignedBuffer.allocate(10_000);
    const pieces = [
      memory.subarray(0, 1),
      memory.subarray(1, 1),
      memory.subarray(1, 5000),
      Buffer.alloc(777),
    ];
    expect(await file.readAtv(pieces, 300)).toBe(5777);
    expect(Buffer.concat(pieces).equals(place.content.subarray(300, 6077))).toBe(true);
  },

  'into aligned pieces': async (place) => {
    const file = await place.open({ align: 'strict' });
    const pieces = [AlignedBuffer.allocate(4096), AlignedBuffer.allocate(8192), AlignedBuffer.allocate(4096)];
    const vector = Buffers.of(...pieces);
    expect(await file.readAtv(vector, 4096)).toBe(16_384);
    expect(Buffer.concat(pieces).equals(place.content.subarray(4096, 20_480))).toBe(true);
    expect(vector.length, 'the vector is as it was').toBe(16_384);
  },

  'into more pieces than a system call takes': async (place) => {
    const file = await place.open();
    const pieces = Array.from({ length: MANY_PIECES }, (_, at) => Buffer.alloc(1 + (at % 40)));
    const total = Buffers.of(...pieces).length;
    expect(total).toBeLessThan(place.sizeBytes - 11);
    expect(await file.readAtv(pieces, 11)).toBe(total);
    expect(Buffer.concat(pieces).equals(place.content.subarray(11, 11 + total))).toBe(true);
  },

  'into more aligned pieces than a system call takes': async (place) => {
    const file = await place.open();
    const align = Math.max(512, file.alignment.offsetBytes, file.alignment.memoryBytes);
    const content = pattern(1030 * align);
    const path = place.isDevice ? makeLoopDevice(content.length + 4096) : place.beside(content);
    const other = await place.openPath(path, { align: 'strict' });
    if (place.isDevice) await other.writeAt(AlignedBuffer.from(content), 0);
    const memory = AlignedBuffer.allocate(content.length);
    const pieces = Array.from({ length: 1030 }, (_, at) => memory.subarray(at * align, (at + 1) * align));
    expect(await other.readAtv(pieces, 0)).toBe(content.length);
    expect(memory.equals(content)).toBe(true);
  },

  'into pieces, up to the end in the midst of one': async (place) => {
    const file = await place.open();
    const pieces = [100, 200, 300].map((length) => Buffer.alloc(length, FILLER));
    expect(await file.readAtv(pieces, place.sizeBytes - 250)).toBe(250);
    const all = Buffer.concat(pieces);
    expect(all.subarray(0, 250).equals(place.content.subarray(-250))).toBe(true);
    expect(all.subarray(250).every((byte) => byte === FILLER)).toBe(true);
    expect(await file.readAtv(pieces, place.sizeBytes)).toBe(0);
    expect(await file.readAtv([], 0)).toBe(0);
  },

  'at the position, one after the other': async (place) => {
    const file = await place.open({ flags: 'r' });
    const lengths = [1, 4096, 511, 8192, 3];
    const buffers = lengths.map((length) => Buffer.alloc(length));
    const counts = await Promise.all(buffers.map((buffer) => file.read(buffer)));
    expect(counts).toEqual(lengths);
    const total = lengths.reduce((sum, length) => sum + length);
    expect(Buffer.concat(buffers).equals(place.content.subarray(0, total))).toBe(true);
    expect(await file.seek(0, 1)).toBe(total);
  },

  'at the position, to the end': async (place) => {
    const file = await place.open({ flags: 'r' });
    await file.seek(-10, 2);
    const buffer = Buffer.alloc(20, FILLER);
    expect(await file.read(buffer)).toBe(10);
    expect(await file.read(buffer)).toBe(0);
    expect(buffer.subarray(0, 10).equals(place.content.subarray(-10))).toBe(true);
    expect(await file.seek(0, 1)).toBe(place.sizeBytes);
  },

  'many at once, each into its own memory': async (place) => {
    const file = await place.open({ queueDepth: 16 });
    const memory = AlignedBuffer.allocate(300 * 512);
    const reads = Array.from({ length: 300 }, (_, at) => {
      const offset = (at * 7919) % (place.sizeBytes - 512);
      return file
        .readAt(memory.subarray(at * 512, (at + 1) * 512), offset)
        .then((count) => ({ at, offset, count }));
    });
    for (const { at, offset, count } of await Promise.all(reads)) {
      expect(count).toBe(512);
      expect(
        memory.subarray(at * 512, (at + 1) * 512).equals(place.content.subarray(offset, offset + 512)),
      ).toBe(true);
    }
  },

  'of a file that another made shorter meanwhile': async (place) => {
    if (place.isDevice) return;
    const file = await place.open();
    const block = AlignedBuffer.allocate(8192);
    expect(await file.readAt(block, 16_384)).toBe(8192);
    truncateSync(place.path, 5000);
    expect(await file.readAt(block, 16_384)).toBe(0);
    expect(await file.readAt(block, 4096)).toBe(904);
    expect(block.subarray(0, 904).equals(place.content.subarray(4096, 5000))).toBe(true);
    truncateSync(place.path, 0);
    expect(await file.readAt(block, 0)).toBe(0);
    await expectRefused(file.seek(-1, 2), 'EINVAL');
  },
};
