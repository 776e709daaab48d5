/** Space before data: unwritten extents, read as zeros, written to in parts, cut, and checked. */
import { beforeEach, describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { repairVolume } from '../../src/check/repair.ts';
import { formatVolume } from '../../src/fs/mkfs.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { TestVolume } from './volume-harness.ts';

const BLOCK = 1024;
const SIZE = 4 * 1024 * BLOCK;

let device: MemoryDevice;
let volume: TestVolume;

async function made(features?: ReadonlySet<string>): Promise<void> {
  device = new MemoryDevice(SIZE);
  // What nobody has written must not show.
  device.poke(0, new Uint8Array(SIZE).fill(0xee));
  await formatVolume(device, {
    blockBytes: BLOCK,
    journalBlocks: 64,
    label: '',
    uuid: new Uint8Array(16).fill(1),
    journalSalt: new Uint8Array(8).fill(2),
    nameSecret: new Uint8Array(16).fill(3),
    uid: 0,
    gid: 0,
    ...(features ? { features } : {}),
  });
  volume = await TestVolume.open(device);
}

beforeEach(() => made());

async function soundAfterwards(): Promise<void> {
  await volume.volume.checkInvariants();
  await volume.volume.unmount();
  expect((await checkVolume(device.reopen())).problems).toEqual([]);
}

const sectors = async (path: string) => (await volume.stat(path)).sectors;

test("reads as zeros, counts as space, and is the file's own", async () => {
  const inode = await volume.create('/f');
  await volume.volume.preallocate(inode, 0, 10 * BLOCK + 1);
  expect(await volume.stat('/f')).toMatchObject({ sizeBytes: 10 * BLOCK + 1, sectors: 22 });
  expect(await volume.read(inode, 0, 20 * BLOCK)).toEqual(new Uint8Array(10 * BLOCK + 1));
  await soundAfterwards();
});

describe.each([
  ['from the front', 0, 3 * BLOCK],
  ['in the middle of a block', 4 * BLOCK + 100, 50],
  ['over several', 2 * BLOCK + 7, 5 * BLOCK],
  ['to the end', 15 * BLOCK, BLOCK],
  ['all', 0, 16 * BLOCK],
])('what is written %s', (_, offset, length) => {
  test('is there, and nothing else', async () => {
    const inode = await volume.create('/f');
    await volume.volume.preallocate(inode, 0, 16 * BLOCK);
    const before = await sectors('/f');
    const expected = new Uint8Array(16 * BLOCK);
    expected.fill(7, offset, offset + length);
    await volume.write(inode, offset, new Uint8Array(length).fill(7));
    expect(await volume.read(inode, 0, 16 * BLOCK)).toEqual(expected);
    expect(await sectors('/f')).toBe(before);
    await volume.volume.unmount();
    volume = await TestVolume.open(device.reopen());
    expect(await volume.read(inode, 0, 16 * BLOCK)).toEqual(expected);
    device = volume.device as MemoryDevice;
    await soundAfterwards();
  });
});

test('holes are filled, and data stays', async () => {
  const inode = await volume.create('/f');
  const expected = new Uint8Array(20 * BLOCK);
  for (const block of [1, 2, 7, 19]) {
    expected.fill(block, block * BLOCK, (block + 1) * BLOCK);
    await volume.write(inode, block * BLOCK, new Uint8Array(BLOCK).fill(block));
  }
  await volume.volume.preallocate(inode, 100, 19 * BLOCK);
  expect(await volume.read(inode, 0, 30 * BLOCK)).toEqual(expected);
  expect((await volume.stat('/f')).sectors).toBeGreaterThanOrEqual(40);
  await soundAfterwards();
});

test('what the inode holds itself moves out', async () => {
  const inode = await volume.create('/f');
  await volume.write(inode, 0, new TextEncoder().encode('kept'));
  await volume.volume.preallocate(inode, 0, 40);
  expect(await sectors('/f')).toBe(0);
  await volume.volume.preallocate(inode, 2 * BLOCK, BLOCK);
  const expected = new Uint8Array(3 * BLOCK);
  expected.set(new TextEncoder().encode('kept'));
  expect(await volume.read(inode, 0, 5 * BLOCK)).toEqual(expected);
  await soundAfterwards();
});

test('cut and made longer again: zeros', async () => {
  const inode = await volume.create('/f');
  await volume.volume.preallocate(inode, 0, 8 * BLOCK);
  await volume.write(inode, 3 * BLOCK, new Uint8Array(BLOCK).fill(9));
  await volume.truncate('/f', 3 * BLOCK + 10);
  await volume.truncate('/f', 2 * BLOCK + 500);
  await volume.truncate('/f', 6 * BLOCK);
  expect(await volume.read(inode, 0, 8 * BLOCK)).toEqual(new Uint8Array(6 * BLOCK));
  await soundAfterwards();
});

test('who counts the blocks of files is told of those that took some', async () => {
  const told: number[] = [];
  const inode = await volume.create('/f');
  volume.volume.watchSpace((changed) => told.push(changed));
  await volume.volume.preallocate(inode, 0, 10);
  expect(told).toEqual([]);
  await volume.volume.preallocate(inode, 0, 5 * BLOCK);
  await volume.volume.preallocate(inode, BLOCK, 2 * BLOCK);
  expect(told).toEqual([inode]);
});

test('who writes behind the range meanwhile keeps what he wrote', async () => {
  for (const before of [0, 20, 5 * BLOCK]) {
    const inode = await volume.create(`/f-${before}`);
    if (before > 0) await volume.write(inode, 0, new Uint8Array(before).fill(1));
    const allocated = volume.volume.preallocate(inode, 0, 10 * BLOCK);
    const written = volume.write(inode, 100 * BLOCK, new Uint8Array(BLOCK).fill(2));
    await Promise.all([allocated, written]);
    expect((await volume.stat(`/f-${before}`)).sizeBytes).toBe(101 * BLOCK);
    expect(await volume.read(inode, 100 * BLOCK, BLOCK)).toEqual(new Uint8Array(BLOCK).fill(2));
  }
  await soundAfterwards();
});

test('where there is no room the file keeps its size, and the volume is sound', async () => {
  const inode = await volume.create('/f');
  await volume.write(inode, 0, new Uint8Array(20).fill(1));
  await expect(volume.volume.preallocate(inode, 0, 2 * SIZE)).rejects.toMatchObject({ code: 'ENOSPC' });
  expect(await volume.stat('/f')).toMatchObject({ sizeBytes: 20 });
  await soundAfterwards();
});

test('what cannot be is refused', async () => {
  const directory = await volume.mkdir('/d');
  const file = await volume.create('/f');
  const refused = (inode: number, offset: number, length: number) =>
    volume.volume.preallocate(inode, offset, length);
  await expect(refused(directory, 0, 1)).rejects.toMatchObject({ code: 'EISDIR' });
  await expect(refused(file, 0, 0)).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(refused(file, -1, 5)).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(refused(file, 2 ** 50, 5)).rejects.toMatchObject({ code: 'EFBIG' });
  await soundAfterwards();
});

test('a volume without the feature has no such extents', async () => {
  await made(new Set(['attributes']));
  const inode = await volume.create('/f');
  await expect(volume.volume.preallocate(inode, 0, BLOCK)).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
  await soundAfterwards();
});

test('a repair that builds the file anew keeps what is unwritten', async () => {
  const inode = await volume.create('/f');
  for (let i = 0; i < 40; i++) {
    await volume.volume.preallocate(inode, 2 * i * BLOCK, BLOCK);
    if (i % 3 === 0) await volume.write(inode, 2 * i * BLOCK, new Uint8Array(BLOCK).fill(i + 1));
  }
  const expected = await volume.read(inode, 0, 80 * BLOCK);
  await volume.volume.unmount();
  device = device.reopen();
  expect((await repairVolume(device, 'all')).outcome).toBe('clean');
  volume = await TestVolume.open(device);
  expect(await volume.read(inode, 0, 80 * BLOCK)).toEqual(expected);
  await soundAfterwards();
});
