/** Ranges of files: fallocate, SEEK_DATA and SEEK_HOLE, copy_file_range. */
import { expect } from 'vitest';
import type { Calls, OpenFile, RangeChange } from '../calls.ts';
import { make, modeOf, moved, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const fallocate = new Subject('fallocate');
export const seek = new Subject('SEEK_DATA and SEEK_HOLE');
export const copyRange = new Subject('copy_file_range');
export const fullAllocated = new Subject('allocated space on a full disk', true);

const KIB = 1024;
const MIB = 1024 * KIB;
const ALICE = { uid: 1001, gid: 1001 };
/** At least a block of any of the filesystems that are tried, which places are multiples of. */
const UNIT = 64 * KIB;
const CHANGES: readonly RangeChange[] = ['allocate', 'punch', 'zero'];

async function filled(fs: Calls, path: string, sizeBytes: number, value = 'd'): Promise<OpenFile> {
  const file = await fs.open(path, 'both', ['create', 'exclusive']);
  await file.write(0, Buffer.alloc(sizeBytes, value));
  return file;
}

async function expectContent(file: OpenFile, expected: Buffer, what = ''): Promise<void> {
  expect((await file.read(0, expected.length + 10)).equals(expected), what).toBe(true);
}

async function spaceOf(file: OpenFile): Promise<number> {
  await file.sync();
  return (await file.status()).sectors * 512;
}

fallocate.case('allocates what reads as zeros, and moves the end', async (fs) => {
  const file = await filled(fs, 'file', 1000);
  await file.fallocate('allocate', 0, 5 * UNIT + 7, false);
  expect((await file.status()).sizeBytes).toBe(5 * UNIT + 7);
  expect(await spaceOf(file)).toBeGreaterThanOrEqual(5 * UNIT);
  await expectContent(file, Buffer.concat([Buffer.alloc(1000, 'd'), Buffer.alloc(5 * UNIT + 7 - 1000)]));
  await file.close();
});

fallocate.case('allocates behind an end that stays, until it is cut off', async (fs) => {
  const file = await filled(fs, 'file', 1000);
  await file.fallocate('allocate', 2 * UNIT, 3 * UNIT, true);
  expect((await file.status()).sizeBytes).toBe(1000);
  expect(await spaceOf(file)).toBeGreaterThanOrEqual(3 * UNIT);
  await file.write(4 * UNIT + 5, Buffer.from('behind'));
  const expected = Buffer.alloc(4 * UNIT + 11);
  expected.fill('d', 0, 1000).write('behind', 4 * UNIT + 5);
  await expectContent(file, expected);
  await file.truncate(1000);
  expect(await spaceOf(file)).toBeLessThanOrEqual(UNIT);
  await file.close();
});

fallocate.case('allocates where data is, and leaves it', async (fs) => {
  const file = await filled(fs, 'file', 3 * UNIT);
  await file.fallocate('allocate', 100, 2 * UNIT, false);
  await file.fallocate('allocate', 0, 9, true);
  await expectContent(file, Buffer.alloc(3 * UNIT, 'd'));
  await file.close();
});

const PLACES = [
  [0, UNIT],
  [UNIT, 3 * UNIT],
  [UNIT - 1, UNIT + 2],
  [UNIT + 1, UNIT - 2],
  [UNIT + 10, 5],
  [3 * UNIT + 9, 2 * UNIT],
  [5 * UNIT - 1, 1],
  [7 * UNIT, UNIT],
] as const;

for (const change of ['punch', 'zero'] as const) {
  fallocate.case(`${change}: zeros, and nothing else, wherever they begin and end`, async (fs) => {
    const file = await filled(fs, 'file', 5 * UNIT);
    const expected = Buffer.alloc(5 * UNIT, 'd');
    for (const [offset, length] of PLACES) {
      await file.fallocate(change, offset, length, true);
      expected.subarray(offset, offset + length).fill(0);
      await expectContent(file, expected, `${offset} ${length}`);
    }
    await file.write(UNIT + 3, Buffer.from('again'));
    expected.write('again', UNIT + 3);
    await expectContent(file, expected);
    await file.sync();
    await file.dropCache();
    await expectContent(file, expected);
    await file.close();
  });
}

fallocate.case('a hole gives its space back, zeros keep theirs', async (fs) => {
  const file = await filled(fs, 'file', 16 * UNIT);
  const before = await spaceOf(file);
  await file.fallocate('zero', 0, 16 * UNIT, true);
  expect(await spaceOf(file)).toBeGreaterThanOrEqual(16 * UNIT);
  await file.fallocate('punch', UNIT, 12 * UNIT, true);
  expect(await spaceOf(file)).toBeLessThanOrEqual(before - 11 * UNIT);
  expect((await file.status()).sizeBytes).toBe(16 * UNIT);
  await file.close();
});

fallocate.case('zeros behind the end move it, or do not', async (fs) => {
  const file = await filled(fs, 'file', 100);
  await file.fallocate('zero', 50, 3 * UNIT, true);
  expect((await file.status()).sizeBytes).toBe(100);
  await file.fallocate('zero', 60, 3 * UNIT, false);
  expect((await file.status()).sizeBytes).toBe(3 * UNIT + 60);
  await expectContent(file, Buffer.concat([Buffer.alloc(50, 'd'), Buffer.alloc(3 * UNIT + 10)]));
  await file.close();
});

fallocate.case('what is small enough for an inode', async (fs) => {
  const file = await filled(fs, 'file', 60);
  await file.fallocate('punch', 10, 20, true);
  await file.fallocate('allocate', 0, 100, false);
  const expected = Buffer.alloc(100).fill('d', 0, 60).fill(0, 10, 30);
  await expectContent(file, expected);
  await file.fallocate('allocate', 0, 4 * UNIT, true);
  await expectContent(file, expected);
  await file.truncate(0);
  await file.close();
});

fallocate.case('moves mtime and ctime', async (fs) => {
  const file = await filled(fs, 'file', 2 * UNIT);
  await file.sync();
  for (const change of CHANGES) {
    const times = await moved(fs, ['file'], () => file.fallocate(change, 0, UNIT, true));
    expect(times, change).toEqual({ file: 'mc' });
  }
  await file.close();
});

fallocate.case('set-user-id is lost by one of an ordinary user, and stays with one of root', async (fs) => {
  const file = await filled(fs, 'file', 2 * UNIT);
  await file.close();
  await fs.chown('file', ALICE.uid, ALICE.gid);
  for (const change of CHANGES) {
    await fs.chmod('file', 0o6777);
    const own = await fs.open('file', 'both');
    await own.fallocate(change, 0, UNIT, true);
    await own.close();
    expect(await modeOf(fs, 'file'), change).toBe(0o6777);
    const other = await fs.as(ALICE).open('file', 'both');
    await other.fallocate(change, 0, UNIT, true);
    await other.close();
    expect(await modeOf(fs, 'file'), change).toBe(0o777);
  }
});

fallocate.case('a range of nothing is EINVAL', async (fs) => {
  const file = await filled(fs, 'file', 10);
  for (const change of CHANGES) await refuses('EINVAL', file.fallocate(change, 0, 0, true));
  await file.close();
});

fallocate.case(
  'through one who may not write it is EBADF',
  async (fs) => {
    await make(fs, 'file', 'content');
    const file = await fs.open('file', 'read');
    await refuses('EBADF', file.fallocate('allocate', 0, UNIT, true));
    await file.close();
  },
  'open files',
);

/** All stretches of data, as somebody who copies them finds them. */
async function stretchesOf(file: OpenFile): Promise<[from: number, to: number][]> {
  const found: [number, number][] = [];
  for (let at = 0; ; ) {
    try {
      at = await file.seek(at, 'data');
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'ENXIO' });
      return found;
    }
    const end = await file.seek(at, 'hole');
    found.push([at, end]);
    at = end;
  }
}

seek.case('finds data between holes, whether it is on disk or not', async (fs) => {
  const file = await filled(fs, 'file', UNIT);
  await file.write(4 * UNIT, Buffer.alloc(2 * UNIT, 'x'));
  await file.truncate(20 * UNIT);
  await file.write(18 * UNIT, Buffer.alloc(2 * UNIT, 'x'));
  const expected = [
    [0, UNIT],
    [4 * UNIT, 6 * UNIT],
    [18 * UNIT, 20 * UNIT],
  ];
  expect(await stretchesOf(file)).toEqual(expected);
  await file.sync();
  await file.dropCache();
  expect(await stretchesOf(file)).toEqual(expected);
  expect(await file.seek(5 * UNIT + 3, 'data')).toBe(5 * UNIT + 3);
  expect(await file.seek(5 * UNIT + 3, 'hole')).toBe(6 * UNIT);
  expect(await file.seek(7 * UNIT + 3, 'hole')).toBe(7 * UNIT + 3);
  await file.close();
});

seek.case('the end is a hole, and behind it there is nothing', async (fs) => {
  const file = await filled(fs, 'file', UNIT + 10);
  expect(await file.seek(0, 'hole')).toBe(UNIT + 10);
  await file.truncate(2 * UNIT);
  await refuses('ENXIO', file.seek(2 * UNIT, 'hole'));
  await refuses('ENXIO', file.seek(2 * UNIT, 'data'));
  await refuses('ENXIO', file.seek(90 * UNIT, 'data'));
  await file.truncate(0);
  await refuses('ENXIO', file.seek(0, 'data'));
  await file.close();
});

seek.case('what was allocated, punched or zeroed is a hole until it is written to', async (fs) => {
  const file = await filled(fs, 'file', 8 * UNIT);
  await file.sync();
  await file.fallocate('punch', UNIT, UNIT, true);
  await file.fallocate('zero', 3 * UNIT, 2 * UNIT, true);
  await file.fallocate('allocate', 8 * UNIT, 4 * UNIT, false);
  await file.write(10 * UNIT, Buffer.alloc(UNIT, 'x'));
  expect(await stretchesOf(file)).toEqual([
    [0, UNIT],
    [2 * UNIT, 3 * UNIT],
    [5 * UNIT, 8 * UNIT],
    [10 * UNIT, 11 * UNIT],
  ]);
  await file.close();
});

/** Copies until nothing is left. */
async function copyAll(
  source: OpenFile,
  target: OpenFile,
  from: number,
  to: number,
  length: number,
): Promise<number> {
  let done = 0;
  while (done < length) {
    const count = await source.copyTo(target, from + done, to + done, length - done);
    if (count === 0) return done;
    done += count;
  }
  return done;
}

copyRange.case('copies bytes from anywhere to anywhere', async (fs) => {
  const data = Buffer.alloc(5 * UNIT);
  for (let at = 0; at < data.length; at++) data[at] = 1 + ((at * 31 + (at >> 9)) % 255);
  const source = await fs.open('source', 'both', ['create', 'exclusive']);
  await source.write(0, data);
  const target = await filled(fs, 'target', 2 * UNIT, 't');
  let expected = Buffer.alloc(2 * UNIT, 't');
  for (const [from, to, length] of [
    [0, 0, 100],
    [1, UNIT - 3, 10],
    [UNIT, UNIT, UNIT],
    [77, 3 * UNIT + 5, 2 * UNIT],
    [4 * UNIT + 1, 9 * UNIT, UNIT - 1],
  ] as const) {
    expect(await copyAll(source, target, from, to, length)).toBe(length);
    const longer = Buffer.alloc(Math.max(expected.length, to + length));
    expected.copy(longer);
    data.copy(longer, to, from, from + length);
    expected = longer;
    await expectContent(target, expected, `${from} ${to} ${length}`);
  }
  await expectContent(source, data);
  await source.close();
  await target.close();
});

copyRange.case('copies holes as zeros over data, and what ends in one', async (fs) => {
  const source = await filled(fs, 'source', UNIT);
  await source.truncate(6 * UNIT);
  await source.write(3 * UNIT, Buffer.alloc(UNIT, 's'));
  const target = await filled(fs, 'target', 4 * UNIT + 9, 't');
  expect(await copyAll(source, target, 0, 0, 6 * UNIT)).toBe(6 * UNIT);
  const expected = Buffer.alloc(6 * UNIT);
  expected.fill('d', 0, UNIT).fill('s', 3 * UNIT, 4 * UNIT);
  await expectContent(target, expected);
  await source.close();
  await target.close();
});

copyRange.case('ends where the source does', async (fs) => {
  const source = await filled(fs, 'source', 1000);
  const target = await filled(fs, 'target', 0);
  expect(await source.copyTo(target, 400, 0, 9999)).toBe(600);
  expect(await source.copyTo(target, 1000, 600, 9999)).toBe(0);
  expect(await source.copyTo(target, 5000, 600, 9999)).toBe(0);
  expect((await target.status()).sizeBytes).toBe(600);
  await source.close();
  await target.close();
});

copyRange.case('copies within one file what does not overlap', async (fs) => {
  const file = await filled(fs, 'file', 4 * UNIT);
  await file.write(10, Buffer.from('mark'));
  expect(await copyAll(file, file, 0, 2 * UNIT + 1, UNIT)).toBe(UNIT);
  expect((await file.read(2 * UNIT + 11, 4)).toString()).toBe('mark');
  await refuses('EINVAL', file.copyTo(file, 0, UNIT - 1, UNIT));
  await refuses('EINVAL', file.copyTo(file, UNIT - 1, 0, UNIT));
  await file.close();
});

copyRange.case('moves times of the target, and takes set-user-id from it', async (fs) => {
  const source = await filled(fs, 'source', UNIT);
  const target = await filled(fs, 'target', UNIT);
  await target.sync();
  const times = await moved(fs, ['target'], () => source.copyTo(target, 0, 0, 100));
  expect(times).toEqual({ target: 'mc' });
  await fs.chown('target', ALICE.uid, ALICE.gid);
  await fs.chmod('target', 0o6777);
  await source.copyTo(target, 0, 0, 100);
  expect(await modeOf(fs, 'target')).toBe(0o6777);
  const theirs = await fs.as(ALICE).open('target', 'both');
  const readable = await fs.as(ALICE).open('source', 'read');
  await readable.copyTo(theirs, 0, 0, 100);
  expect(await modeOf(fs, 'target')).toBe(0o777);
  for (const file of [source, target, theirs, readable]) await file.close();
});

fullAllocated.case('what was allocated can be written, in any order', async (fs) => {
  const file = await fs.open('file', 'both', ['create']);
  await file.fallocate('allocate', 0, MIB, false);
  const filler = await fs.open('filler', 'both', ['create']);
  for (let at = 0; ; at += 64 * KIB) {
    try {
      await filler.write(at, Buffer.alloc(64 * KIB, 'f'));
      await filler.sync();
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'ENOSPC' });
      break;
    }
  }
  const expected = Buffer.alloc(MIB);
  for (let at = 4 * KIB; at < MIB; at += 8 * KIB) {
    const place = (at * 37) % MIB;
    await file.write(place, Buffer.alloc(1000, 'w'));
    expected.fill('w', place, place + 1000);
  }
  await file.sync();
  await file.dropCache();
  await expectContent(file, expected);
  await filler.close();
  await file.close();
  await fs.unlink('filler');
  await fs.unlink('file');
});

fullAllocated.case('more than there is, is ENOSPC, and changes nothing', async (fs) => {
  const file = await filled(fs, 'file', UNIT);
  const { freeBlocks, blockBytes } = await fs.statfs();
  await refuses('ENOSPC', file.fallocate('allocate', 0, (freeBlocks + 64) * blockBytes, true));
  await expectContent(file, Buffer.alloc(UNIT, 'd'));
  await file.close();
  await fs.unlink('file');
});
