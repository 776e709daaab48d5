/**
 * Whose error it is when data that was accepted cannot be written: on a volume over a simulated
 * device that fails when told to.
 *
 * `lose` gives data to the volume as a cache does and sees to it that it fails; what a program sees
 * of it later is asked with the device mended.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { type Fault, SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;
const KIB = 1024;
const [EIO, EAGAIN, ENOSPC] = [5, 11, 28];
const WORKS: Fault = () => 0;

const failing = (errno: number): Fault => {
  return ({ operation }) => (operation === 'write' ? errno : 0);
};

function data(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 13) ^ (i >> 9) ^ seed;
  return bytes;
}

let device: SimulatedDevice;
let volume: TestVolume;
let lines: string[];

beforeEach(async () => {
  lines = [];
  device = new SimulatedDevice({ sizeBytes: 64 * MIB, seed: 7 });
  await formatted(device, 4096);
  volume = await TestVolume.open(device, { log: (line) => lines.push(line) });
});
afterEach(async () => {
  vi.useRealTimers();
  device.fault = WORKS;
  await volume.volume.unmount().catch(() => {});
});

/** A file with durable content. */
async function make(path: string, content: Uint8Array): Promise<number> {
  const inode = await volume.create(path);
  if (content.length > 0) await volume.write(inode, 0, content);
  await volume.volume.sync(inode);
  return inode;
}

/** Waits for what was answered early; no more is asked of the device than it has under way. */
async function quiet(): Promise<void> {
  await volume.volume.earlyWritesSettled();
}

/** Cached data that fails with this error; the device works again afterwards. */
async function lose(inode: number, offset: number, content: Uint8Array, errno = EIO): Promise<void> {
  device.fault = failing(errno);
  volume.early = true;
  volume.keepsTimes = true;
  await volume.write(inode, offset, content).catch(() => {});
  await quiet();
  volume.early = false;
  volume.keepsTimes = false;
  device.fault = WORKS;
}

const sync = (inode?: number) => volume.volume.sync(inode);
async function expectSync(inode: number | undefined, code: string | undefined): Promise<void> {
  const told = await sync(inode).then(
    () => undefined,
    (thrown: { code: string }) => thrown.code,
  );
  expect(told).toBe(code);
}
const lost = () => volume.volume.counters();

/** What is on the disk after all: of a copy of it, mounted anew. */
async function onDisk(path: string, length: number): Promise<Uint8Array> {
  await sync().catch(() => {});
  const content = device.crash(5).content;
  const copy = await TestVolume.open(new MemoryDevice(device.sizeBytes, 512, { content }));
  const seen = await copy.read(await copy.resolve(path), 0, length);
  await copy.volume.unmount();
  return seen;
}

function same(seen: Uint8Array, wanted: Uint8Array): void {
  expect(seen.length).toBe(wanted.length);
  expect(Buffer.compare(seen, wanted)).toBe(0);
}

describe('a sync of data alone', () => {
  test('fails for its inode as any other does, until it is written again', async () => {
    const [a, b] = [await make('/a', data(64 * KIB, 1)), await make('/b', data(64 * KIB, 2))];
    await lose(a, 0, data(64 * KIB, 4));
    for (let time = 0; time < 2; time++) {
      await volume.volume.sync(b, true);
      await expect(volume.volume.sync(a, true)).rejects.toMatchObject({ code: 'EIO' });
      await expect(volume.volume.sync(undefined, true)).rejects.toMatchObject({ code: 'EIO' });
    }
    await volume.write(a, 0, data(64 * KIB, 5));
    await volume.volume.sync(a, true);
  });

  test('tries again what may pass', async () => {
    const inode = await make('/a', data(64 * KIB, 1));
    await lose(inode, 0, data(64 * KIB, 4), EAGAIN);
    await volume.volume.sync(inode, true);
    expect(lost()).toMatchObject({ filesWithLostData: 0 });
    const copy = await TestVolume.open(
      new MemoryDevice(device.sizeBytes, 512, { content: device.crash(5).content }),
    );
    same(await copy.read(await copy.resolve('/a'), 0, 64 * KIB), data(64 * KIB, 4));
  });
});

describe('a loss belongs to its inode', () => {
  test('every sync of it fails, no other hears of it, and one of all speaks for it', async () => {
    const [a, b, c] = [
      await make('/a', data(64 * KIB, 1)),
      await make('/b', data(64 * KIB, 2)),
      await make('/c', data(64 * KIB, 3)),
    ];
    await lose(a, 0, data(64 * KIB, 4));
    await lose(b, 0, data(64 * KIB, 5));
    const directory = await volume.resolve('/');
    for (let time = 0; time < 3; time++) {
      await expectSync(c, undefined);
      await expectSync(directory, undefined);
      await expectSync(a, 'EIO');
      await expectSync(b, 'EIO');
      await expectSync(undefined, 'EIO');
    }
    expect(lost()).toMatchObject({ filesWithLostData: 2, lostBytes: 128 * KIB, readOnly: false });
  });

  test('whichever way it was lost: answered early or not, whole file or end, in the body of the inode or not', async () => {
    volume.fromCache = true;
    const files: number[] = [];
    for (const [name, offset, length] of [
      ['long', 0, 300_000],
      ['behind the end', 500_000, 4096],
      ['short', 0, 5000],
    ] as const) {
      const inode = await make(`/${name}`, new Uint8Array(0));
      files.push(inode);
      device.fault = failing(EIO);
      await expect(volume.write(inode, offset, data(length, 1))).rejects.toMatchObject({ code: 'EIO' });
      device.fault = WORKS;
    }
    for (const inode of files) await expectSync(inode, 'EIO');
    // Beyond what a file can be: the kernel's cache takes it.
    const far = await make('/far', data(10, 1));
    await expect(volume.write(far, 2 ** 51, data(4096, 1))).rejects.toMatchObject({ code: 'EFBIG' });
    await expectSync(far, 'EFBIG');
    await volume.truncate('/far', 10);
    await expectSync(far, undefined);
  });

  test('who waited for his own write was told: nothing is kept of it', async () => {
    const inode = await make('/a', data(64 * KIB, 1));
    device.fault = failing(EIO);
    await expect(volume.write(inode, 0, data(64 * KIB, 2))).rejects.toMatchObject({ code: 'EIO' });
    device.fault = WORKS;
    await expectSync(inode, undefined);
    expect(lost().cachedWritesFailed).toBe(0);
  });

  test('a record that fails loses what was answered, and a volume that is read-only refuses every sync', async () => {
    const [a, c] = [await make('/a', data(100, 1)), await make('/c', data(100, 1))];
    await volume.create('/new');
    device.fault = failing(EIO);
    await expectSync(c, 'EIO');
    device.fault = WORKS;
    expect(volume.volume.readOnly).toBe(true);
    volume.fromCache = true;
    await expect(volume.write(a, 0, data(64 * KIB, 4))).rejects.toMatchObject({ code: 'EROFS' });
    expect(lost().filesWithLostData).toBe(1);
    for (const inode of [a, c, 1, undefined]) await expectSync(inode, 'EIO');
  });
});

describe('a loss ends', () => {
  test('when all of it is written again, in any order and by any writer', async () => {
    const inode = await make('/a', data(64 * KIB, 1));
    const wanted = data(64 * KIB, 2);
    await lose(inode, 0, wanted);
    await volume.write(inode, 0, wanted.subarray(0, 20_000));
    await expectSync(inode, 'EIO');
    await volume.write(inode, 40_000, wanted.subarray(40_000));
    await expectSync(inode, 'EIO');
    expect(lost()).toMatchObject({ lostBytes: 20_000, lostRanges: 1 });
    volume.early = true;
    await volume.write(inode, 20_000, wanted.subarray(20_000, 40_000));
    await expectSync(inode, undefined);
    await expectSync(undefined, undefined);
    same(await onDisk('/a', 64 * KIB), wanted);
  });

  test('and not when the second try fails too', async () => {
    const inode = await make('/a', data(64 * KIB, 1));
    await lose(inode, 0, data(64 * KIB, 2));
    await lose(inode, 0, data(32 * KIB, 3));
    device.fault = failing(EIO);
    await expect(volume.write(inode, 0, data(64 * KIB, 2))).rejects.toThrow();
    device.fault = WORKS;
    await expectSync(inode, 'EIO');
    expect(lost()).toMatchObject({ filesWithLostData: 1, lostBytes: 64 * KIB });
  });

  test('when it is cut off', async () => {
    const inode = await make('/a', data(64 * KIB, 1));
    await lose(inode, 32 * KIB, data(32 * KIB, 2));
    await volume.truncate('/a', 40 * KIB);
    await expectSync(inode, 'EIO');
    expect(lost().lostBytes).toBe(8 * KIB);
    await volume.truncate('/a', 32 * KIB);
    await expectSync(inode, undefined);
    await volume.truncate('/a', 64 * KIB);
    await expectSync(inode, undefined);
  });

  test('when the inode is gone, and not before; the next owner of its number knows nothing', async () => {
    const inode = await make('/a', data(64 * KIB, 1));
    await lose(inode, 0, data(64 * KIB, 2));
    volume.volume.acquire(inode);
    await volume.unlink('/a');
    await expectSync(inode, 'EIO');
    volume.volume.forget(inode, 1);
    await volume.volume.run(() => {});
    await expectSync(undefined, undefined);
    expect(await volume.create('/next')).toBe(inode);
    await expectSync(inode, undefined);
    expect(lost()).toMatchObject({ filesWithLostData: 0, lostBytes: 0, cachedWritesFailed: 1 });
  });

  test('a write that is recorded in part loses only the rest, which reads as it was written', async () => {
    const blocks = 2000;
    const wanted = data(blocks * KIB, 9);
    const seen = new Set<string>();
    // With so many blocks left beside its data, the tree of its extents finds room, or not in a
    // later step.
    for (const spare of [0, 60]) {
      const small = new MemoryDevice(6 * MIB);
      await formatted(small, KIB, 128);
      const full = await TestVolume.open(small);
      const inode = await full.create('/a');
      const holes = Array.from({ length: blocks / 2 }, (_, i) =>
        full.write(inode, 2 * i * KIB, data(KIB, i)),
      );
      await Promise.all(holes);
      const filler = await full.create('/filler');
      await full.volume.sync();
      const free = async () => (await full.statistics()).freeBlocks - blocks / 2 - spare;
      await full.write(filler, 0, data((await free()) * KIB, 7));
      expect(await free()).toBeLessThan(3);
      full.fromCache = true;
      const outcome = await full.write(inode, 0, wanted).then(
        () => 'written',
        () => 'failed',
      );
      const { lostBytes } = full.volume.counters();
      if (outcome === 'failed') {
        same(await full.read(inode, 0, blocks * KIB), wanted);
        await expect(full.volume.sync(inode)).rejects.toMatchObject({ code: 'ENOSPC' });
      }
      seen.add(lostBytes === 0 ? outcome : lostBytes < blocks * KIB ? 'in part' : 'not at all');
      await full.unlink('/filler');
      await full.volume.sync(inode);
      await full.volume.unmount();
      const copy = await TestVolume.open(small.reopen());
      same(await copy.read(inode, 0, blocks * KIB), wanted);
      await copy.volume.unmount();
    }
    expect(seen).toContain('in part');
    expect(seen).toContain('written');
  });
});

describe('what may pass by itself', () => {
  test('is written at the next sync of its file when it has passed', async () => {
    const [a, b] = [await make('/a', data(64 * KIB, 1)), await make('/b', data(64 * KIB, 1))];
    const wanted = data(64 * KIB, 2);
    await lose(a, 0, wanted, ENOSPC);
    await lose(b, 100 * KIB, wanted, EAGAIN);
    device.fault = failing(ENOSPC);
    await expect(sync(a)).rejects.toMatchObject({ code: 'ENOSPC' });
    device.fault = WORKS;
    await expectSync(a, undefined);
    expect(lost()).toMatchObject({ filesWithLostData: 1, lostBytes: 64 * KIB, lostBytesKept: 64 * KIB });
    await expectSync(b, undefined);
    same(await onDisk('/a', 64 * KIB), wanted);
    same((await onDisk('/b', 164 * KIB)).subarray(100 * KIB), wanted);
  });

  test('shows in size and data meanwhile, as what was written around it does', async () => {
    const inode = await make('/a', data(10_000, 1));
    await lose(inode, 8192, data(64 * KIB, 2), ENOSPC);
    await lose(inode, 200_000, data(5000, 3), ENOSPC);
    const wanted = new Uint8Array(205_000);
    wanted.set(data(10_000, 1));
    wanted.set(data(64 * KIB, 2), 8192);
    wanted.set(data(5000, 3), 200_000);
    expect((await volume.statInode(inode)).sizeBytes).toBe(205_000);
    same(await volume.read(inode, 0, 300_000), wanted);
    // A write in the middle of it cuts it in two, and what is newer stays.
    await volume.write(inode, 20_000, data(300, 4));
    wanted.set(data(300, 4), 20_000);
    for (const [from, length] of [
      [0, 300_000],
      [20_100, 1000],
      [8000, 700],
      [204_999, 10],
      [205_000, 10],
    ] as const) {
      same(await volume.read(inode, from, length), wanted.subarray(from, from + length));
    }
    await volume.truncate('/a', 203_000);
    same(await volume.read(inode, 0, 300_000), wanted.subarray(0, 203_000));
    await expectSync(inode, undefined);
    same(await onDisk('/a', 300_000), wanted.subarray(0, 203_000));
    expect(lost()).toMatchObject({ filesWithLostData: 0, lostBytesKept: 0 });
  });

  test('never takes the place of what was written later', async () => {
    const inode = await make('/a', data(64 * KIB, 1));
    await lose(inode, 0, data(64 * KIB, 2), ENOSPC);
    // The sync finds the copy, and waits for the lock behind the write.
    const newer = data(64 * KIB, 3);
    await Promise.all([volume.write(inode, 0, newer), sync(inode)]);
    same(await onDisk('/a', 64 * KIB), newer);

    await lose(inode, 0, data(64 * KIB, 4), ENOSPC);
    await Promise.all([volume.truncate('/a', 100), sync(inode)]);
    same(await onDisk('/a', 64 * KIB), data(64 * KIB, 4).subarray(0, 100));
  });

  test('nor of what waited behind it and was written at once when it failed', async () => {
    const inode = await make('/a', data(100, 1));
    device.fault = failing(ENOSPC);
    volume.early = true;
    // The first needs blocks; when it has none, the second still fits into the inode.
    const [first, second] = [data(5000, 2), data(50, 3)];
    await Promise.all([volume.write(inode, 0, first), volume.write(inode, 10, second)]);
    await quiet();
    device.fault = WORKS;
    first.set(second, 10);
    same(await volume.read(inode, 0, 5000), first);
    await expectSync(inode, undefined);
    same(await onDisk('/a', 5000), first);
  });

  test('is lost for good when the second try fails otherwise', async () => {
    const inode = await make('/a', data(64 * KIB, 1));
    await lose(inode, 0, data(64 * KIB, 2), ENOSPC);
    device.fault = failing(EIO);
    await expect(sync(inode)).rejects.toThrow();
    device.fault = WORKS;
    expect(lost()).toMatchObject({ lostBytes: 64 * KIB, lostBytesKept: 0 });
    await expectSync(inode, 'ENOSPC');
  });

  test('a long write too; where the memory for it ends, the oldest is lost for good', async () => {
    const inode = await make('/a', new Uint8Array(0));
    volume.fromCache = true;
    const wanted = data(40 * MIB, 2);
    device.fault = failing(ENOSPC);
    for (let at = 0; at < wanted.length; at += MIB) {
      await expect(volume.write(inode, at, wanted.subarray(at, at + MIB))).rejects.toThrow();
    }
    device.fault = WORKS;
    const { lostBytes, lostBytesKept, lostRanges } = lost();
    expect(lostBytes).toBe(40 * MIB);
    expect(lostBytesKept).toBeGreaterThan(28 * MIB);
    expect(lostBytesKept).toBeLessThan(32 * MIB);
    expect(lostRanges).toBe(1 + lostBytesKept / (128 * KIB));
    await expectSync(inode, 'ENOSPC');
    expect(lost()).toMatchObject({ lostRanges: 1, lostBytesKept: 0, lostBytes: 40 * MIB - lostBytesKept });
    // Small writes have all the memory again, and had it before: the copies give way.
    await volume.write(inode, 0, wanted.subarray(0, 40 * MIB - lostBytesKept));
    await expectSync(inode, undefined);
    same(await onDisk('/a', 40 * MIB), wanted);
  });

  test('memory kept for it does not keep later writes from being answered early', async () => {
    const inode = await make('/a', new Uint8Array(0));
    volume.fromCache = true;
    device.fault = failing(ENOSPC);
    for (let at = 0; at < 33; at++) await volume.write(inode, at * MIB, data(MIB, at)).catch(() => {});
    device.fault = WORKS;
    const before = lost().lostBytesKept;
    volume.early = true;
    await volume.write(await volume.create('/b'), 0, data(100_000, 1));
    expect(volume.volume.counters().lostBytesKept).toBe(before - 128 * KIB);
  });

  test('not for room on the volume, of which the writer is told: the file shows what it has', async () => {
    const filler = await make('/filler', new Uint8Array(0));
    await expect(volume.write(filler, 0, data(50 * MIB, 1))).resolves.toBeUndefined();
    const inode = await make('/a', new Uint8Array(0));
    volume.fromCache = true;
    const wanted = data(20 * MIB, 2);
    await expect(volume.write(inode, 0, wanted)).rejects.toMatchObject({ code: 'ENOSPC' });
    await expectSync(inode, 'ENOSPC');
    await expectSync(filler, undefined);
    expect((await volume.statInode(inode)).sizeBytes).toBe(0);
    expect(volume.volume.counters().lostBytesKept).toBe(0);
    await volume.unlink('/filler');
    await expectSync(inode, 'ENOSPC');
    await volume.write(inode, 0, wanted);
    await expectSync(inode, undefined);
    same(await onDisk('/a', 20 * MIB), wanted);
  });
});

describe('the end of a mount', () => {
  const consistent = async () => {
    const image = new MemoryDevice(device.sizeBytes, 512, { content: device.crash(3).content });
    const { problems, state } = await checkVolume(image);
    expect({ problems, state }).toEqual({ problems: [], state: 'clean' });
  };

  test('says how many files lack data; the volume is clean all the same', async () => {
    await lose(await make('/a', data(64 * KIB, 1)), 0, data(64 * KIB, 2));
    await lose(await make('/b', data(64 * KIB, 1)), 0, data(64 * KIB, 2));
    await expect(volume.volume.unmount()).rejects.toThrow(
      '2 files have lost data that could not be written (EIO)',
    );
    await consistent();
  });

  test('tries what may pass once more, and then has nothing to say', async () => {
    const wanted = data(64 * KIB, 2);
    await lose(await make('/a', data(64 * KIB, 1)), 0, wanted, ENOSPC);
    await volume.volume.unmount();
    await consistent();
    same(await onDisk('/a', 64 * KIB), wanted);
  });

  test('says nothing of files that are gone, or for which there was no room: their writers were told', async () => {
    volume.fromCache = true;
    await expect(volume.write(await volume.create('/full'), 0, data(64 * MIB, 1))).rejects.toMatchObject({
      code: 'ENOSPC',
    });
    const inode = await volume.create('/gone');
    volume.volume.acquire(inode);
    await lose(inode, 0, data(1000, 1));
    await volume.unlink('/gone');
    await volume.volume.unmount();
    await consistent();
  });
});

describe('what is said of it', () => {
  test('each range, with its file, and many in one line', async () => {
    await volume.mkdir('/some');
    await volume.mkdir('/some/folder');
    const inodes: number[] = [];
    for (let i = 0; i < 50; i++)
      inodes.push(await make(`/some/folder/file ${i}\u001b[2J`, data(64 * KIB, 1)));
    for (const inode of inodes) await lose(inode, 4096, data(10_000, 2));
    expect(lost()).toMatchObject({ filesWithLostData: 50, lostRanges: 50, lostBytes: 500_000 });
    await volume.volume.unmount().catch(() => {});
    const said = lines.filter((line) => line.startsWith('lost data'));
    expect(said[0]).toBe(
      `lost data of inode ${inodes[0]}, "/some/folder/file 0\\u001b[2J": bytes 4096 to 14095 could not be written (EIO)`,
    );
    expect(said.slice(10)).toEqual(['lost data: 40 more ranges, 400000 bytes in 40 files']);
  });

  test('a file that was moved, and that it is tried again', async () => {
    await volume.mkdir('/first');
    await volume.mkdir('/second');
    const inode = await make('/first/file', data(64 * KIB, 1));
    await volume.rename('/first/file', '/second/file');
    await lose(inode, 0, data(10, 2), ENOSPC);
    await volume.volume.unmount();
    expect(lines.filter((line) => line.startsWith('lost data'))).toEqual([
      `lost data of inode ${inode}, "/second/file": bytes 0 to 9 could not be written (ENOSPC); the next sync of the file tries again, if there is memory for it until then`,
    ]);
  });

  test('ranges of a file are bounded: the nearest become one, and none is forgotten', async () => {
    const inode = await make('/a', data(400 * KIB, 1));
    for (let i = 0; i < 100; i++) await lose(inode, i * 4096, data(2000 - i, 2));
    const { lostRanges, lostBytes } = lost();
    expect(lostRanges).toBe(32);
    expect(lostBytes).toBeGreaterThan(100 * 1900);
    await volume.write(inode, 0, data(99 * 4096, 3));
    await expectSync(inode, 'EIO');
    await volume.write(inode, 99 * 4096, data(4096, 3));
    await expectSync(inode, undefined);
  });
});

describe('ranges of a file that lacks data', () => {
  test.each(['punch', 'zero'] as const)('%s ends the loss of what it covers', async (action) => {
    const inode = await make('/f', data(64 * KIB, 1));
    await lose(inode, 8 * KIB, data(16 * KIB, 2));
    const range = { inode, offsetBytes: 8 * KIB, keepSize: true, updateTimes: true, killPrivileges: false };
    await volume.volume.fallocate({ ...range, action, lengthBytes: 12 * KIB });
    await expectSync(inode, 'EIO');
    await volume.volume.fallocate({ ...range, action, lengthBytes: 16 * KIB });
    await expectSync(inode, undefined);
  });

  test('what is kept in memory is data, is copied, and is not cut by a longer end', async () => {
    const inode = await make('/f', data(4 * KIB, 1));
    const content = data(20 * KIB, 2);
    await lose(inode, 100 * KIB, content, EAGAIN);
    const seek = (at: number, target: 'data' | 'hole') => volume.volume.seek(inode, at, target);
    expect((await seek(4 * KIB, 'data')).offsetBytes).toBe(100 * KIB);
    expect((await seek(100 * KIB, 'hole')).offsetBytes).toBe(120 * KIB);
    const target = await volume.create('/g');
    const how = { updateTimes: true, killPrivileges: false };
    const copy = { from: inode, fromBytes: 0, to: target, toBytes: 0, lengthBytes: 999 * KIB, ...how };
    expect(await volume.volume.copyRange(copy)).toBe(120 * KIB);
    same(await volume.read(target, 100 * KIB, 99 * KIB), content);
    await volume.volume.preallocate(inode, 0, 50 * KIB);
    same(await volume.read(inode, 100 * KIB, 99 * KIB), content);
    await expectSync(inode, undefined);
    same(await onDisk('/f', 200 * KIB), await volume.read(inode, 0, 200 * KIB));
  });

  test('a small copy is not waited for: what is lost of it belongs to the target', async () => {
    const content = data(16 * KIB, 1);
    const inode = await make('/f', content);
    const target = await make('/g', data(16 * KIB, 2));
    const how = { updateTimes: true, killPrivileges: false };
    const copy = { from: inode, fromBytes: 0, to: target, toBytes: 0, lengthBytes: 16 * KIB, ...how };
    device.fault = failing(EIO);
    expect(await volume.volume.copyRange(copy)).toBe(16 * KIB);
    await quiet();
    device.fault = WORKS;
    await expectSync(inode, undefined);
    await expectSync(target, 'EIO');
    expect(await volume.volume.copyRange(copy)).toBe(16 * KIB);
    await expectSync(target, undefined);
    same(await onDisk('/g', 16 * KIB), content);
  });

  test.each([0, 16 * KIB])(
    'whoever is answered before a copy to %i bytes is there sets the mode that stays',
    async (length) => {
      await volume.volume.unmount();
      // Every request is held back for a while.
      const { content } = device.crash(1);
      device = new SimulatedDevice({ sizeBytes: device.sizeBytes, seed: 3, stragglers: 1, content });
      volume = await TestVolume.open(device);
      const inode = await make('/f', data(16 * KIB, 1));
      const target = await make('/g', data(length, 2));
      const how = { updateTimes: false, killPrivileges: true };
      const copy = { from: inode, fromBytes: 0, to: target, toBytes: 0, lengthBytes: 16 * KIB, ...how };
      const writes = () => device.log.filter(({ kind }) => kind === 'write-done').length;
      const before = writes();
      await volume.volume.copyRange(copy);
      expect(writes()).toBe(before);
      await volume.volume.run((tx) => volume.volume.changeAttributes(tx, target, { mode: 0o4755 }));
      await quiet();
      expect((await volume.stat('/g')).mode & 0o7777).toBe(0o4755);
      expect((await volume.stat('/g')).sizeBytes).toBe(16 * KIB);
    },
  );
});
