/** Conformance: appends, alone and together, through one file and several. */
import { linkSync, readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { AlignedBuffer } from '../../src/aio/file/aligned-buffer.ts';
import type { AsyncFile } from '../../src/aio/file/async-file.ts';
import type { Cases } from './aio-conformance.ts';
import { expectRefused } from './aio-conformance-refusals.ts';
import { pattern } from './aio-conformance-targets.ts';

/**
 * Appends many records at once, taking the files in turn, and expects them whole, side by side, in
 * the order of the calls.
 */
async function expectRecordsInOrder(files: readonly AsyncFile[], path: string, start: number): Promise<void> {
  const records = Array.from({ length: 60 }, (_, at) => pattern(1 + ((at * 613) % 5000), at));
  const appends = records.map((record, at) => (files[at % files.length] as AsyncFile).append(record));
  const landed = await Promise.all(appends);
  const stored = readFileSync(path);
  let end = start;
  for (const [at, { offset, bytesWritten }] of landed.entries()) {
    const record = records[at] as Buffer;
    expect(offset).toBe(end);
    expect(bytesWritten).toBe(record.length);
    expect(stored.subarray(offset, offset + bytesWritten).equals(record), `record ${at}`).toBe(true);
    end += bytesWritten;
  }
  expect(stored.length).toBe(end);
}

export const appendCases: Cases = {
  'go to the end, and say where; a device has no end to move': async (place) => {
    const file = await place.open();
    if (place.isDevice) {
      await expectRefused(file.append(Buffer.from('x')), 'EINVAL');
      return;
    }
    expect(await file.append(Buffer.from('one'))).toEqual({ offset: place.sizeBytes, bytesWritten: 3 });
    expect(await file.append(Buffer.from('two'))).toEqual({ offset: place.sizeBytes + 3, bytesWritten: 3 });
    expect(place.stored().equals(Buffer.concat([place.content, Buffer.from('onetwo')]))).toBe(true);
    expect(await file.seek(0, 1), 'the position stays').toBe(0);
  },

  'many at once never overlap': async (place) => {
    const path = place.beside(pattern(777));
    await expectRecordsInOrder([await place.openPath(path, { queueDepth: 8 })], path, 777);
  },

  'many at once through several files of one inode never overlap': async (place) => {
    const path = place.beside(pattern(777));
    linkSync(path, `${path}-link`);
    const files = [
      await place.openPath(path),
      await place.openPath(`${path}-link`),
      await place.openPath(path),
    ];
    await expectRecordsInOrder(files, path, 777);
  },

  'of several pieces': async (place) => {
    const path = place.beside();
    const file = await place.openPath(path);
    const pieces = [Buffer.from('head '), AlignedBuffer.from(Buffer.from('body')), Buffer.alloc(0)];
    expect(await file.append(pieces)).toEqual({ offset: 0, bytesWritten: 9 });
    expect(await file.append([])).toEqual({ offset: 9, bytesWritten: 0 });
    expect(readFileSync(path, 'utf8')).toBe('head body');
  },

  'follow a write past the end and a truncation': async (place) => {
    const path = place.beside();
    const file = await place.openPath(path);
    await file.writeAt(Buffer.from('x'), 99);
    expect((await file.append(Buffer.from('y'))).offset).toBe(100);
    await file.truncate(10);
    expect((await file.append(Buffer.from('z'))).offset).toBe(10);
    const [, appended] = await Promise.all([file.truncate(5), file.append(Buffer.from('w'))]);
    expect(appended.offset).toBe(5);
    expect(readFileSync(path).length).toBe(6);
  },

  'in aligned blocks': async (place) => {
    const path = place.beside();
    const file = await place.openPath(path, { align: 'strict' });
    const blocks = [1, 2, 3].map((salt) => AlignedBuffer.from(pattern(4096, salt)));
    const landed = await Promise.all(blocks.map((block) => file.append(block)));
    expect(landed.map(({ offset }) => offset)).toEqual([0, 4096, 8192]);
    expect(readFileSync(path).equals(Buffer.concat(blocks))).toBe(true);
  },

  "write of a file opened with 'a' goes to the end, writeAt where it is told": async (place) => {
    const path = place.beside(Buffer.from('start '));
    const file = await place.openPath(path, { flags: 'a+' });
    expect(await Promise.all([file.write(Buffer.from('one ')), file.write(Buffer.from('two'))])).toEqual([
      4, 3,
    ]);
    expect(await file.writeAt(Buffer.from('S'), 0)).toBe(1);
    expect((await file.append(Buffer.from('!'))).offset).toBe(13);
    expect(readFileSync(path, 'utf8')).toBe('Start one two!');
  },

  'of a file for reading are refused': async (place) => {
    const file = await place.openPath(place.beside(pattern(10)), { flags: 'r' });
    await expectRefused(file.append(Buffer.from('x')), 'EBADF');
    expect((await file.stat()).size).toBe(10);
  },
};
