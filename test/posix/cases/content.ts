/** Bytes of files: reads and writes at ends, holes, truncation. */
import { expect } from 'vitest';
import type { Calls, OpenFile } from '../calls.ts';
import { contentOf, make, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const sparse = new Subject('sparse files and truncate');
export const ends = new Subject('read and write at ends');

const MIB = 1024 * 1024;

/** Bytes that say where they stand. */
function pattern(lengthBytes: number): Buffer {
  const data = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at++) data[at] = 1 + ((at * 7 + (at >> 8)) % 255);
  return data;
}

async function makeWith(fs: Calls, path: string, data: Uint8Array): Promise<OpenFile> {
  const file = await fs.open(path, 'both', ['create', 'exclusive']);
  await file.write(0, data);
  return file;
}

async function read(file: OpenFile): Promise<Buffer> {
  return file.read(0, (await file.status()).sizeBytes);
}

sparse.case('a file made longer has zeros behind what was its end, at every kind of end', async (fs) => {
  const data = pattern(200_000);
  const file = await makeWith(fs, 'file', data);
  for (const size of [199_999, 131_073, 65_536, 4097, 4096, 4095, 512, 200, 1, 0]) {
    await file.truncate(size);
    await file.truncate(200_000);
    const expected = Buffer.concat([data.subarray(0, size), Buffer.alloc(200_000 - size)]);
    expect((await read(file)).equals(expected), String(size)).toBe(true);
    await file.truncate(0);
    await file.write(0, data);
  }
  await file.close();
});

sparse.case('truncate by path does as much as by the open file', async (fs) => {
  await make(fs, 'file', 'content');
  await fs.truncate('file', 3);
  expect(await contentOf(fs, 'file')).toBe('con');
  await fs.truncate('file', 5);
  expect(await contentOf(fs, 'file')).toBe('con\0\0');
});

sparse.case('a hole takes no space, and reads as zeros', async (fs) => {
  await make(fs, 'file');
  await fs.truncate('file', 64 * MIB);
  expect(await fs.status('file')).toMatchObject({ sizeBytes: 64 * MIB, sectors: 0 });
  const file = await fs.open('file', 'both');
  await file.write(32 * MIB, Buffer.alloc(4096, 'x'));
  await file.sync();
  const { sectors, sizeBytes } = await file.status();
  expect(sectors).toBeGreaterThanOrEqual(8);
  expect(sectors).toBeLessThanOrEqual(512);
  expect(sizeBytes).toBe(64 * MIB);
  const around = await file.read(32 * MIB - 10_000, 30_000);
  expect(
    around.equals(Buffer.concat([Buffer.alloc(10_000), Buffer.alloc(4096, 'x'), Buffer.alloc(15_904)])),
  ).toBe(true);
  expect((await file.read(64 * MIB - 5, 100)).equals(Buffer.alloc(5))).toBe(true);
  await file.close();
});

sparse.case('a truncation gives the space back', async (fs) => {
  const file = await makeWith(fs, 'file', pattern(300_000));
  await file.sync();
  expect((await file.status()).sectors).toBeGreaterThanOrEqual(300_000 / 512);
  await file.truncate(0);
  await file.sync();
  expect((await file.status()).sectors).toBe(0);
  await file.close();
});

sparse.case('writes far apart leave holes between them', async (fs) => {
  const file = await fs.open('file', 'both', ['create']);
  const places = [2 ** 31 - 3, 2 ** 32 - 3, 2 ** 40 - 3, 2 ** 43 + 12_345];
  for (const place of places) await file.write(place, Buffer.from('island'));
  await file.sync();
  await file.dropCache();
  for (const place of places) {
    expect((await file.read(place - 3, 9)).toString('latin1')).toBe('\0\0\0island');
  }
  const { sizeBytes, sectors } = await file.status();
  expect(sizeBytes).toBe(2 ** 43 + 12_351);
  expect(sectors * 512).toBeLessThan(2 * MIB);
  await file.close();
});

sparse.case('truncate of a directory is EISDIR', async (fs) => {
  await fs.mkdir('d');
  await refuses('EISDIR', fs.truncate('d', 0));
});

sparse.case(
  'truncate to less than nothing is EINVAL',
  async (fs) => {
    await make(fs, 'file', 'x');
    await refuses('EINVAL', fs.truncate('file', -1));
    const file = await fs.open('file', 'both');
    await refuses('EINVAL', file.truncate(-1));
    await file.close();
    expect(await contentOf(fs, 'file')).toBe('x');
  },
  'texts and sizes of nothing',
);

ends.case('a read ends at the end of the file, and behind it there is nothing', async (fs) => {
  for (const length of [1, 100, 4095, 4096, 4097, 10_000]) {
    const data = pattern(length);
    const file = await makeWith(fs, `file-${length}`, data);
    expect((await file.read(0, length + 10_000)).equals(data)).toBe(true);
    expect((await file.read(length - 1, 10)).equals(data.subarray(length - 1))).toBe(true);
    expect(await file.read(length, 10)).toHaveLength(0);
    expect(await file.read(length + 100_000, 10)).toHaveLength(0);
    await file.close();
  }
});

ends.case('an empty file reads as nothing', async (fs) => {
  const file = await fs.open('file', 'both', ['create']);
  expect(await file.read(0, 100)).toHaveLength(0);
  await file.close();
});

ends.case('a write at the end lengthens, one within it does not', async (fs) => {
  const file = await makeWith(fs, 'file', pattern(5000));
  await file.write(10, Buffer.from('within'));
  expect((await file.status()).sizeBytes).toBe(5000);
  await file.write(4998, Buffer.from('across'));
  expect((await file.status()).sizeBytes).toBe(5004);
  await file.write(5004, Buffer.from('at'));
  expect((await file.read(4998, 100)).toString()).toBe('acrossat');
  expect((await file.read(10, 6)).toString()).toBe('within');
  await file.close();
});

ends.case('a write behind the end leaves zeros in between', async (fs) => {
  for (const length of [10, 3000, 5000]) {
    const data = pattern(length);
    const file = await makeWith(fs, `file-${length}`, data);
    await file.write(length + 3000, Buffer.from('behind'));
    const expected = Buffer.concat([data, Buffer.alloc(3000), Buffer.from('behind')]);
    expect((await read(file)).equals(expected), String(length)).toBe(true);
    await file.close();
  }
});

ends.case('writes of any place and length are what is read', async (fs) => {
  const model = pattern(50_000);
  const file = await makeWith(fs, 'file', model);
  for (const [at, length] of [
    [0, 1],
    [4095, 2],
    [4096, 4096],
    [8191, 4098],
    [100, 20_000],
    [49_999, 1],
    [30_000, 12_288],
  ] as const) {
    const data = Buffer.alloc(length, 'abc');
    await file.write(at, data);
    data.copy(model, at);
    expect((await read(file)).equals(model), `${at}+${length}`).toBe(true);
  }
  await file.sync();
  await file.dropCache();
  expect((await read(file)).equals(model)).toBe(true);
  await file.close();
});

ends.case(
  'what was not opened for it is EBADF',
  async (fs) => {
    await make(fs, 'file', 'x');
    const [reader, writer] = [await fs.open('file', 'read'), await fs.open('file', 'write')];
    await refuses('EBADF', reader.write(0, Buffer.from('x')));
    await refuses('EINVAL', reader.truncate(0));
    await refuses('EBADF', writer.read(0, 1));
    await reader.close();
    await writer.close();
  },
  'open files',
);

ends.case(
  'O_APPEND writes at the end, wherever it is told to',
  async (fs) => {
    await make(fs, 'file', '0123456789');
    const file = await fs.open('file', 'write', ['append']);
    await file.write(0, Buffer.from('end'));
    await file.close();
    expect(await contentOf(fs, 'file')).toBe('0123456789end');
  },
  'open files',
);

ends.case('O_SYNC takes as much as any', async (fs) => {
  const file = await fs.open('file', 'both', ['create', 'sync']);
  await file.write(0, Buffer.from('synchronous'));
  expect((await file.read(0, 100)).toString()).toBe('synchronous');
  await file.close();
});
