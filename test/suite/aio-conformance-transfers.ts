/**
 * Conformance: memory that its owner gives away, or shrinks, while a request is under way with it.
 */
import { expect } from 'vitest';
import { AlignedBuffer } from '../../src/aio/file/aligned-buffer.ts';
import type { AsyncFile } from '../../src/aio/file/async-file.ts';
import type { Cases } from './aio-conformance.ts';
import { expectRefused } from './aio-conformance-refusals.ts';
import { pattern } from './aio-conformance-targets.ts';

/** As `worker.postMessage(bytes, [bytes.buffer])` does. */
function giveAway(bytes: Uint8Array): void {
  const buffer = bytes.buffer as ArrayBuffer;
  structuredClone(buffer, { transfer: [buffer] });
}

/** Node transfers memory of its own; memory of an addon it copies, or refuses to give. */
function tryToGiveAway(bytes: Uint8Array): void {
  try {
    giveAway(bytes);
  } catch (thrown) {
    expect(thrown).toMatchObject({ name: 'DataCloneError' });
  }
}

/** Everything still works, with memory that stays. */
async function expectSound(file: AsyncFile, offset: number, expected: Uint8Array): Promise<void> {
  for (const bytes of [new Uint8Array(expected.length), AlignedBuffer.allocate(expected.length)]) {
    expect(await file.readAt(bytes, offset)).toBe(expected.length);
    expect(Buffer.compare(bytes, expected)).toBe(0);
  }
}

export const transferCases: Cases = {
  'a read whose memory went to another thread is refused, and the file goes on': async (place) => {
    const file = await place.open();
    const before = AlignedBuffer.allocate(4096);
    await file.readAt(before, 8192);
    const plain = new Uint8Array(4096);
    const piece = new Uint8Array(512);
    const reads = [file.readAt(plain, 8192), file.readAtv([AlignedBuffer.allocate(512), piece], 8192)];
    giveAway(plain);
    giveAway(piece);
    const errors = await Promise.all(reads.map((read) => expectRefused(read, 'EFAULT')));
    expect(errors.map((error) => error.transferredBytes)).toEqual([0, 0]);
    await expectSound(file, 8192, before);
  },

  'a read whose memory shrank is refused': async (place) => {
    const file = await place.open();
    const buffer: ArrayBuffer = Reflect.construct(ArrayBuffer, [4096, { maxByteLength: 8192 }]);
    const read = file.readAt(new Uint8Array(buffer), 0);
    Reflect.apply(Reflect.get(buffer, 'resize'), buffer, [100]);
    await expectRefused(read, 'EFAULT');
    expect(await file.readAt(new Uint8Array(buffer), 0)).toBe(100);
  },

  'a write whose memory went to another thread writes what it had, or is refused': async (place) => {
    const file = await place.open({ flags: 'r+' });
    const plain = new Uint8Array(pattern(4096, 5));
    const written = file.writeAt(plain, 8192);
    giveAway(plain);
    expect(await written).toBe(4096);
    await expectSound(file, 8192, pattern(4096, 5));
  },

  'a write that waits in line with memory that is gone is refused, and nothing is written': async (place) => {
    const file = await place.open({ flags: 'r+' });
    const before = AlignedBuffer.allocate(4096);
    await file.readAt(before, 8192);
    const plain = new Uint8Array(pattern(4096, 6));
    const sync = file.isBlockDevice ? file.sync() : file.truncate(1 << 20);
    const written = file.writeAt(plain, 8192);
    giveAway(plain);
    await sync;
    const outcome = await written.catch((thrown: NodeJS.ErrnoException) => thrown.code);
    expect(outcome).toBe(file.isBlockDevice ? 4096 : 'EFAULT');
    if (!file.isBlockDevice) await expectSound(file, 8192, before);
  },

  'aligned memory stays where it is': async (place) => {
    const file = await place.open({ flags: 'r+' });
    const all = AlignedBuffer.allocate(8192);
    const half = all.subarray(4096);
    half.set(pattern(4096, 7));
    const wait = file.isBlockDevice ? file.sync() : file.truncate(1 << 20);
    const written = [file.writeAt(half, 8192), file.writeAtv([half, half], 16384)];
    tryToGiveAway(half);
    await wait;
    expect(await Promise.all(written)).toEqual([4096, 8192]);
    await expectSound(file, 8192, pattern(4096, 7));
    await expectSound(file, 20480, pattern(4096, 7));
    const read = file.readAt(half, 0);
    tryToGiveAway(half);
    expect(await read).toBe(4096);
  },
};
