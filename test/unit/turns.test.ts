/**
 * Work of any length is done in steps: the stack does not grow with it, nor what an operation that
 * failed leaves behind.
 */
import { afterEach, describe, expect, test, vi } from 'vitest';
import firstFit from '../../src/alloc/first-fit.ts';
import { checkVolume } from '../../src/check/checker.ts';
import { fsError } from '../../src/fs/base/errors.ts';
import { FileType, ROOT_INODE } from '../../src/fs/format/format.ts';
import { SpaceMap } from '../../src/fs/transaction/space-map.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { CALLER, formatted, TestVolume } from '../suite/volume-harness.ts';

const BLOCK = 1024;
/** In steps of a few extents, some thousand of them: more than any stack has room for. */
const EXTENTS = 24_000;
/**
 * Pieces of a write, as many as that takes; the time to find room for them grows faster than their
 * number.
 */
const PIECES = 12_000;
const encoder = new TextEncoder();

/** The least journal, so that a step is a few extents. */
async function volumeOfSmallSteps(sizeBytes = 128 * 1024 * 1024): Promise<TestVolume> {
  const device = new MemoryDevice(sizeBytes);
  await formatted(device, BLOCK, 64);
  return TestVolume.open(device, { allocator: firstFit });
}

function numbered(at: number): Uint8Array {
  return new Uint8Array(BLOCK).fill(at % 251);
}

/** A file of single blocks with holes between, none of which continues another. */
async function scattered(volume: TestVolume, path: string): Promise<number> {
  const inode = await volume.create(path);
  for (let at = 0; at < EXTENTS; at++) await volume.write(inode, 2 * at * BLOCK, numbered(at));
  return inode;
}

async function unmountAndCheck({ volume, device }: TestVolume): Promise<void> {
  await volume.unmount();
  expect(await checkVolume((device as MemoryDevice).reopen())).toMatchObject({
    state: 'clean',
    problems: [],
  });
}

describe('the stack does not grow', () => {
  test('with the pieces of a file that is removed', async () => {
    const volume = await volumeOfSmallSteps();
    const { freeBlocks } = await volume.statistics();
    await scattered(volume, '/file');
    await volume.unlink('/file');
    await volume.volume.sync();
    const again = await volume.remount();
    expect(await again.list('/')).toEqual([]);
    expect((await again.statistics()).freeBlocks).toBeGreaterThan(freeBlocks - 10);
    await unmountAndCheck(again);
  });

  test('with the pieces of a file that is cut off', async () => {
    const volume = await volumeOfSmallSteps();
    const inode = await scattered(volume, '/file');
    await volume.truncate('/file', 2 * BLOCK);
    expect((await volume.stat('/file')).sectors).toBe(BLOCK / 512);
    expect(await volume.read(inode, 0, BLOCK)).toEqual(numbered(0));
    await unmountAndCheck(volume);
  });

  test('with the pieces of a write', async () => {
    const volume = await volumeOfSmallSteps(29 * 1024 * 1024);
    await fragmentSpace(volume);
    const data = new Uint8Array(PIECES * BLOCK);
    for (let at = 0; at < PIECES; at++) data.fill(at % 251, at * BLOCK, (at + 1) * BLOCK);
    const inode = await volume.create('/file');
    await volume.write(inode, 0, data);
    expect((await volume.stat('/file')).sectors).toBeGreaterThan(data.length / 512);
    expect(Buffer.compare(await volume.read(inode, 0, data.length), data)).toBe(0);
    await unmountAndCheck(volume);
  });

  test('with those who wait for a lock', { timeout: 30_000 }, async () => {
    const made = await volumeOfSmallSteps();
    // Its inode lies in a block that no mount looks at.
    let inode = 0;
    for (let at = 0; at < 40; at++) inode = await made.create(`/file-${at}`);
    const volume = await made.remount();
    const writes: Promise<void>[] = [];
    // The first waits for the device, the others for the first.
    for (let at = 0; at < 6000; at++) writes.push(volume.write(inode, at % 300, new Uint8Array([at % 251])));
    await Promise.all(writes);
    expect(await volume.read(inode, 0, 3)).toEqual(new Uint8Array([5700 % 251, 5701 % 251, 5702 % 251]));
    await unmountAndCheck(volume);
  });
});

/** Every second block is free, and hardly any other. */
async function fragmentSpace(volume: TestVolume): Promise<void> {
  const kept = await volume.create('/kept');
  const removed = await volume.create('/removed');
  for (let at = 0; at < PIECES + 1200; at++) {
    await volume.write(kept, at * BLOCK, numbered(1));
    await volume.write(removed, at * BLOCK, numbered(2));
  }
  await volume.truncate('/removed', 0);
  await volume.volume.sync();
}

describe('when taking an operation back fails', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** Creates a file, takes space for it, and fails. */
  function failHalfway({ volume }: TestVolume): Promise<void> {
    return volume.run((tx) => {
      const request = { mode: FileType.directory | 0o755, deviceNumber: 0, caller: CALLER };
      for (let at = 0; at < 100; at++) volume.create(tx, ROOT_INODE, encoder.encode(`half-${at}`), request);
      throw fsError('EIO');
    });
  }

  test('nothing of it is ever committed, and the volume says why it is read-only', async () => {
    const device = new MemoryDevice(16 * 1024 * 1024);
    await formatted(device, BLOCK);
    const lines: string[] = [];
    const volume = await TestVolume.open(device, { log: (line) => lines.push(line) });
    await volume.create('/before');
    await volume.volume.sync();
    await volume.create('/not synced');
    vi.spyOn(SpaceMap.prototype, 'undo').mockImplementation(() => {
      throw new RangeError('the stack is full');
    });
    await expect(failHalfway(volume)).rejects.toThrow('EIO');
    vi.restoreAllMocks();
    await expect(volume.volume.sync()).rejects.toThrow('could not be undone: the stack is full');
    await expect(volume.create('/after')).rejects.toThrow('EROFS');
    expect(await volume.list('/')).toEqual(['before', 'not synced']);
    expect(volume.volume.counters()).toMatchObject({ readOnly: true });
    expect(volume.volume.counters().failure).toContain('could not be undone');
    expect(lines).toEqual([expect.stringContaining('the stack is full')]);
    await volume.volume.unmount();
    const again = await TestVolume.open(device.reopen());
    expect(await again.list('/')).toEqual(['before']);
    await unmountAndCheck(again);
  });
});
