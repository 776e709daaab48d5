/**
 * What the journal makes of a volume: recovery, shared commits, small journals, errors of the
 * device.
 */
import { describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { FsError } from '../../src/fs/base/errors.ts';
import type { VolumeOptions } from '../../src/fs/life/volume-options.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { CALLER, formatted, TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;
const EIO = 5;

function data(length: number, first = 5): Uint8Array {
  return new Uint8Array(length).map((_, i) => (i * 13 + first) & 0xff);
}

/** The disk as it is, without the volume having been unmounted. */
function cut(volume: TestVolume): MemoryDevice {
  return (volume.device as MemoryDevice).clone();
}

async function logged(device: MemoryDevice, options: VolumeOptions = {}): Promise<[TestVolume, string[]]> {
  const lines: string[] = [];
  return [await TestVolume.open(device, { ...options, log: (line) => lines.push(line) }), lines];
}

/** A file of 50,000 bytes that is open and has no name. @returns its inode */
async function openWithoutName(volume: TestVolume): Promise<number> {
  const inode = await volume.create('/open');
  volume.volume.acquire(inode);
  await volume.write(inode, 0, data(50_000));
  await volume.unlink('/open');
  return inode;
}

describe('recovery', () => {
  test('brings back what was synced, and tells how much it replayed', async () => {
    const volume = await TestVolume.make(16 * MIB, 4096);
    const inode = await volume.create('/kept');
    await volume.write(inode, 0, data(100_000));
    await volume.volume.sync();
    await volume.create('/lost');
    const [again, lines] = await logged(cut(volume));
    expect(lines).toEqual([
      expect.stringMatching(/^the volume was not unmounted in order: replayed 1 trans/),
    ]);
    expect(await again.list('/')).toEqual(['kept']);
    expect(Buffer.compare(await again.read(await again.resolve('/kept'), 0, 200_000), data(100_000))).toBe(0);
    await again.volume.unmount();
    expect((await checkVolume((again.device as MemoryDevice).reopen())).problems).toEqual([]);
  });

  test('frees inodes that were truncated while open without a name', async () => {
    const volume = await TestVolume.make(16 * MIB, 4096);
    const before = await volume.statistics();
    const inode = await openWithoutName(volume);
    await volume.volume.setSize(inode, 10_000, false);
    await volume.volume.sync();
    expect((await checkVolume(cut(volume))).problems).toEqual([]);
    const again = await TestVolume.open(cut(volume));
    await again.volume.sync();
    expect(await again.statistics()).toEqual(before);
  });

  test('of a read-only mount writes nothing, and shows the same', async () => {
    const volume = await TestVolume.make(16 * MIB, 4096);
    await volume.create('/kept');
    await volume.volume.sync();
    const disk = new MemoryDevice(16 * MIB, 512, { content: cut(volume).content, readOnly: true });
    const before = disk.clone();
    const [again, lines] = await logged(disk, { readOnly: true });
    expect(lines[0]).toMatch(/in memory, nothing is written/);
    expect(await again.list('/')).toEqual(['kept']);
    await again.volume.unmount();
    expect(Buffer.compare(disk.peek(0, 16 * MIB), before.peek(0, 16 * MIB))).toBe(0);
  });

  test('frees inodes that were open without a name', async () => {
    const volume = await TestVolume.make(16 * MIB, 4096);
    const before = await volume.statistics();
    await openWithoutName(volume);
    await volume.volume.sync();
    const [again, lines] = await logged(cut(volume));
    expect(lines.at(-1)).toBe('inodes freed that had no name or were being truncated: 1');
    await again.volume.sync();
    expect(await again.statistics()).toEqual(before);
  });

  test('is not tried when the journal is damaged: nothing is written', async () => {
    const volume = await TestVolume.make(16 * MIB, 4096);
    await volume.create('/a');
    await volume.volume.sync();
    const disk = cut(volume);
    disk.poke(4096 * 4 + 100, new Uint8Array([1, 2, 3]));
    const before = disk.clone();
    await expect(TestVolume.open(disk)).rejects.toThrow(/its journal is damaged: .*quarry fsck -y/);
    expect(Buffer.compare(disk.peek(0, 16 * MIB), before.peek(0, 16 * MIB))).toBe(0);
    const looked = await TestVolume.open(disk.reopen(), { readOnly: true, recovery: false });
    expect(await looked.list('/')).toEqual([]);
  });

  test('does not write an old copy over a block that holds data now (J5)', async () => {
    const volume = await TestVolume.make(4 * MIB, 1024);
    const directory = await volume.mkdir('/d');
    const request = { mode: 0o100644, deviceNumber: 0, caller: CALLER };
    const names = Array.from({ length: 60 }, (_, i) =>
      Buffer.from(`a-rather-long-name-${i}`.padEnd(60, '.')),
    );
    for (const name of names) {
      await volume.volume.run((tx) => volume.volume.create(tx, directory, name, request));
    }
    await volume.volume.sync();
    for (const name of names) await volume.volume.run((tx) => volume.volume.unlink(tx, directory, name));
    await volume.rmdir('/d');
    await volume.volume.sync();
    const inode = await volume.create('/file');
    const { freeBlocks } = await volume.statistics();
    const length = (freeBlocks - 40) * 1024;
    for (let at = 0; at < length; at += 65536) {
      await volume.write(inode, at, data(Math.min(65536, length - at), at / 65536));
    }
    await volume.volume.sync();
    const again = await TestVolume.open(cut(volume));
    for (let at = 0; at < length; at += 65536) {
      const expected = data(Math.min(65536, length - at), at / 65536);
      expect(Buffer.compare(await again.read(inode, at, 65536), expected), `at ${at}`).toBe(0);
    }
  });
});

describe('commits', () => {
  test('are shared: 100 concurrent syncs cost a handful of flushes', async () => {
    const volume = await TestVolume.make(16 * MIB, 4096);
    const before = volume.volume.counters();
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const inode = await volume.create(`/f${i}`);
        await volume.write(inode, 0, data(4096, i));
        await volume.volume.sync();
      }),
    );
    const after = volume.volume.counters();
    expect(after.commits - before.commits).toBeLessThanOrEqual(4);
    expect(after.flushes - before.flushes).toBeLessThanOrEqual(8);
    const again = await TestVolume.open(cut(volume));
    expect((await again.list('/')).length).toBe(100);
  });

  test('do not hold up operations', async () => {
    const volume = await TestVolume.make(16 * MIB, 4096);
    await volume.create('/a');
    const sync = volume.volume.sync();
    let ended = false;
    sync.then(() => {
      ended = true;
    });
    await volume.create('/b');
    expect(ended).toBe(false);
    await sync;
  });

  test('without changes cost nothing, and of data alone one flush', async () => {
    const volume = await TestVolume.make(16 * MIB, 4096);
    const inode = await volume.create('/a');
    await volume.write(inode, 0, data(8192));
    await volume.volume.sync();
    const before = volume.volume.counters();
    await volume.volume.sync();
    expect(volume.volume.counters().flushes).toBe(before.flushes);
  });
});

describe('a small journal', () => {
  const MOST_FILES = 3000;

  test('takes any amount of work: operations wait for room', async () => {
    const device = new MemoryDevice(64 * MIB);
    await formatted(device, 1024, 64);
    const volume = await TestVolume.open(device);
    await volume.mkdir('/d');
    const names = Array.from({ length: MOST_FILES }, (_, i) => `/d/file-${i}`);
    await Promise.all(names.map((name) => volume.create(name)));
    const counters = volume.volume.counters();
    expect(counters.checkpoints).toBeGreaterThan(10);
    expect(counters.journalUsedBlocks).toBeLessThanOrEqual(counters.journalBlocks);
    await Promise.all(names.filter((_, i) => i % 2 === 0).map((name) => volume.unlink(name)));
    await volume.volume.unmount();
    expect((await checkVolume(device.reopen())).problems).toEqual([]);
  });

  test('takes a write in more pieces than a transaction may enter', async () => {
    const device = new MemoryDevice(16 * MIB);
    await formatted(device, 1024, 64);
    const volume = await TestVolume.open(device);
    const inodes = [await volume.create('/a'), await volume.create('/b')] as const;
    // Two files block by block in turn, until the volume is full; then one of them goes and leaves
    // holes of one block.
    await expect(
      (async () => {
        for (let i = 0; ; i++) {
          for (const inode of inodes) await volume.write(inode, i * 1024, data(1024, i));
          if (i % 50 === 0) await volume.volume.sync();
        }
      })(),
    ).rejects.toMatchObject({ code: 'ENOSPC' });
    await volume.unlink('/a');
    await volume.volume.sync();
    const inode = await volume.create('/c');
    const content = data(MIB, 77);
    await volume.write(inode, 0, content);
    expect(Buffer.compare(await volume.read(inode, 0, MIB), content)).toBe(0);
    await volume.volume.unmount();
    expect((await checkVolume(device.reopen())).problems).toEqual([]);
  });
});

describe('an error of the device', () => {
  test.each(['write', 'flush'] as const)(
    'in a %s of a commit makes the volume read-only, for good',
    async (operation) => {
      const device = new SimulatedDevice({ sizeBytes: 16 * MIB, seed: 3 });
      await formatted(device, 4096);
      const lines: string[] = [];
      const volume = await TestVolume.open(device, { log: (line) => lines.push(line) });
      await volume.create('/before');
      await volume.volume.sync();
      await volume.create('/after');
      device.fault = (site) => (site.operation === operation ? EIO : 0);
      await expect(volume.volume.sync()).rejects.toBeInstanceOf(FsError);
      device.fault = () => 0;
      await expect(volume.volume.sync()).rejects.toMatchObject({ code: 'EIO' });
      await expect(volume.create('/more')).rejects.toMatchObject({ code: 'EROFS' });
      expect(volume.volume.counters()).toMatchObject({ readOnly: true, failure: 'EIO' });
      expect(lines.filter((line) => line.includes('read-only'))).toHaveLength(1);
      expect(await volume.list('/')).toEqual(['after', 'before']);
      await volume.volume.unmount();
      const again = await TestVolume.open(
        new MemoryDevice(16 * MIB, 512, { content: device.crash(1).content }),
      );
      expect(await again.list('/')).toContain('before');
      await again.volume.unmount();
    },
  );
});
