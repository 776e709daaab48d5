/**
 * Files in fewer pieces: the same bytes, times and holes as before, whoever else is at work, and
 * after any crash.
 */
import { describe, expect, test } from 'vitest';
import { defineAllocator } from '../../src/alloc/allocator.ts';
import { BUILT_IN_ALLOCATORS } from '../../src/alloc/built-in.ts';
import firstFit from '../../src/alloc/first-fit.ts';
import { checkVolume } from '../../src/check/checker.ts';
import { MAX_FILE_BYTES } from '../../src/fs/format/format.ts';
import { crashImage } from '../../src/sim/crash-image.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { contentsOf } from './check-tree.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

interface Ended {
  outcomes: Set<string>;
  movedBlocks: number;
  saved: number;
}

/** All ranges of a file. */
async function defragment({ volume }: TestVolume, inode: number, dryRun = false): Promise<Ended> {
  const ended: Ended = { outcomes: new Set(), movedBlocks: 0, saved: 0 };
  for (let from = 0; Number.isFinite(from); ) {
    const range = await volume.defragment({ inode, from, dryRun });
    expect(range.next).toBeGreaterThan(from);
    ended.outcomes.add(range.outcome);
    ended.movedBlocks += range.movedBlocks;
    ended.saved += range.saved;
    from = range.next;
  }
  return ended;
}

/** Two files that grow in turn, so that each lies in as many pieces as it has appends. */
async function weave(volume: TestVolume, names: readonly string[], turns: number, bytes: number) {
  const inodes = [];
  for (const name of names) inodes.push(await volume.create(name));
  for (let i = 0; i < turns; i++)
    for (const [which, inode] of inodes.entries())
      await volume.write(inode, i * bytes, new Uint8Array(bytes).fill(1 + ((i * 7 + which) % 250)));
  return inodes as [number, ...number[]];
}

interface Extent {
  fileBlock: number;
  length: number;
  unwritten: boolean;
}

/** Which blocks of the file are data, unwritten, or holes. */
async function shapeOf({ volume }: TestVolume, inode: number): Promise<Extent[]> {
  const shape: Extent[] = [];
  await volume.run((tx) => {
    shape.length = 0;
    volume.visitExtents(tx, inode, (fileBlock, _, length, unwritten) => {
      const last = shape.at(-1);
      if (last && last.fileBlock + last.length === fileBlock && last.unwritten === unwritten)
        last.length += length;
      else shape.push({ fileBlock, length, unwritten });
    });
  });
  return shape;
}

async function expectSound(volume: TestVolume): Promise<void> {
  await volume.volume.checkInvariants();
  await volume.volume.unmount();
  const device = (volume.device as MemoryDevice).clone();
  expect(await checkVolume(device)).toMatchObject({ problems: [], state: 'clean' });
}

describe.each([
  { blockBytes: KIB, sizeBytes: 40 * MIB },
  { blockBytes: 4 * KIB, sizeBytes: 300 * MIB },
])('blocks of $blockBytes bytes', ({ blockBytes, sizeBytes }) => {
  test('a file of hundreds of pieces becomes one, and is the same file', async () => {
    const volume = await TestVolume.make(sizeBytes, blockBytes, { allocator: firstFit });
    const [inode, other] = await weave(volume, ['/a', '/b'], 400, blockBytes);
    await volume.link('/a', '/c');
    await volume.unlink('/b');
    expect(other).toBeGreaterThan(0);
    await volume.volume.sync();
    const before = await volume.stat('/a');
    const contents = await contentsOf(volume.device as MemoryDevice);
    expect(await volume.volume.countPieces(inode)).toBe(400);
    const ended = await defragment(volume, inode);
    expect(ended).toEqual({ outcomes: new Set(['better']), movedBlocks: 400, saved: 399 });
    expect(await volume.volume.countPieces(inode)).toBe(1);
    const { sectors, ...after } = await volume.stat('/c');
    // The nodes of its tree are fewer.
    expect(sectors).toBe(400 * (blockBytes / 512));
    expect(before).toMatchObject(after);
    await volume.volume.sync();
    expect(await contentsOf(volume.device as MemoryDevice)).toEqual(contents);
    expect((await volume.statistics()).freeBlocks).toBeGreaterThan(0);
    expect(await defragment(volume, inode)).toEqual({
      outcomes: new Set(['fine']),
      movedBlocks: 0,
      saved: 0,
    });
    await expectSound(volume);
  });

  test('holes stay holes, and unwritten extents unwritten', async () => {
    const volume = await TestVolume.make(sizeBytes, blockBytes, { allocator: firstFit });
    const sparse = await volume.create('/sparse');
    const reserved = await volume.create('/reserved');
    for (let i = 0; i < 60; i++) {
      await volume.write(sparse, 3 * i * blockBytes, new Uint8Array(blockBytes + 5).fill(i + 1));
      await volume.volume.preallocate(reserved, i * 2 * blockBytes, 2 * blockBytes);
      if (i % 4 === 0) await volume.write(reserved, i * 2 * blockBytes + 9, new Uint8Array(20).fill(7));
    }
    await volume.truncate('/sparse', 5000 * blockBytes);
    await volume.volume.sync();
    const contents = await contentsOf(volume.device as MemoryDevice);
    for (const inode of [sparse, reserved]) {
      const shape = await shapeOf(volume, inode);
      expect(shape.length).toBeGreaterThan(20);
      expect(await volume.volume.countPieces(inode)).toBeGreaterThan(50);
      await defragment(volume, inode);
      expect(await volume.volume.countPieces(inode)).toBe(1);
      expect(await shapeOf(volume, inode)).toEqual(shape);
    }
    await volume.volume.sync();
    expect(await contentsOf(volume.device as MemoryDevice)).toEqual(contents);
    await expectSound(volume);
  });
});

test.each([...BUILT_IN_ALLOCATORS])('whatever the policy: %s', async (_, allocator) => {
  const volume = await TestVolume.make(24 * MIB, KIB, { allocator: firstFit });
  await weave(volume, ['/a', '/b', '/c'], 150, 2 * KIB);
  await volume.unlink('/b');
  const again = await volume.remount({ allocator });
  const contents = await contentsOf(again.device as MemoryDevice);
  for (const path of ['/a', '/c']) {
    const inode = await again.resolve(path);
    const before = await again.volume.countPieces(inode);
    expect(before).toBe(150);
    await defragment(again, inode);
    // A buddy's blocks are powers of two: 300 are four of them. A policy by chance may go on
    // where it was lucky.
    expect(await again.volume.countPieces(inode)).toBeLessThan(12);
  }
  await again.volume.sync();
  expect(await contentsOf(again.device as MemoryDevice)).toEqual(contents);
  await expectSound(again);
});

test('a file longer than a range goes range by range, and its ranges meet', async () => {
  const volume = await TestVolume.make(300 * MIB, 4 * KIB, { allocator: firstFit });
  const [inode] = await weave(volume, ['/a', '/b'], 45, 2 * MIB);
  await volume.unlink('/b');
  expect(await volume.volume.countPieces(inode)).toBe(45);
  await defragment(volume, inode);
  // Bitmaps stand in the way every 128 MiB.
  expect(await volume.volume.countPieces(inode)).toBeLessThanOrEqual(4);
  expect((await volume.read(inode, 89 * MIB, 100))[0]).toBe(1 + ((44 * 7) % 250));
  await expectSound(volume);
});

test('others have their turn in the midst of a long file, though all of its map is in memory', async () => {
  // Each look at the clock finds that a turn has been long enough.
  let milliseconds = 0;
  const turns = { now: () => milliseconds++, later: (goOn: () => void) => void setImmediate(goOn) };
  const volume = await TestVolume.make(24 * MIB, KIB, { allocator: firstFit, turns });
  const [inode] = await weave(volume, ['/a', '/b'], 1000, KIB);
  let taken = 0;
  let isOver = false;
  const take = () => {
    taken++;
    if (!isOver) setImmediate(take);
  };
  setImmediate(take);
  const turnsOf = async (work: () => Promise<unknown>) => {
    const before = taken;
    await work();
    return taken - before;
  };
  expect(await turnsOf(() => volume.volume.countPieces(inode))).toBeGreaterThan(1000 / 64 - 2);
  expect(await turnsOf(() => defragment(volume, inode))).toBeGreaterThan(2 * (1000 / 64));
  isOver = true;
  await expectSound(volume);
});

test('what is only looked at does not move', async () => {
  const volume = await TestVolume.make(16 * MIB, KIB, { allocator: firstFit });
  const [inode] = await weave(volume, ['/a', '/b'], 100, KIB);
  const { freeBlocks } = await volume.statistics();
  expect(await defragment(volume, inode, true)).toEqual({
    outcomes: new Set(['better']),
    movedBlocks: 0,
    saved: 99,
  });
  expect(await volume.volume.countPieces(inode)).toBe(100);
  expect((await volume.statistics()).freeBlocks).toBe(freeBlocks);
  await expectSound(volume);
});

test('what there is nothing to do for, or no right to', async () => {
  const volume = await TestVolume.make(16 * MIB, KIB);
  const directory = await volume.mkdir('/d');
  const small = await volume.create('/small');
  await volume.write(small, 0, new Uint8Array(50));
  const empty = await volume.create('/empty');
  for (const inode of [small, empty]) {
    expect(await defragment(volume, inode)).toMatchObject({ outcomes: new Set(['fine']), movedBlocks: 0 });
    expect(await volume.volume.countPieces(inode)).toBe(0);
  }
  await expect(defragment(volume, directory)).rejects.toMatchObject({ code: 'EISDIR' });
  await expect(defragment(volume, 12345)).rejects.toMatchObject({ code: 'ESTALE' });
  await volume.volume.sync();
  const reader = await TestVolume.open((volume.device as MemoryDevice).clone(), { readOnly: true });
  await expect(defragment(reader, small)).rejects.toMatchObject({ code: 'EROFS' });
  await volume.volume.rest();
  await expect(defragment(volume, small)).rejects.toMatchObject({ code: 'EROFS' });
  expect(volume.volume.resting).toBe(true);
  await volume.volume.unmount();
});

describe('beside others', () => {
  /** Writes, truncations and removals of one file, and what it must read as. */
  class Writer {
    data = new Uint8Array(0);
    readonly #random: SeededRandom;

    constructor(
      readonly volume: TestVolume,
      readonly path: string,
      public inode: number,
      readonly mostBytes: number,
      seed: number,
    ) {
      this.#random = new SeededRandom(seed);
    }

    async step(): Promise<void> {
      const random = this.#random;
      const dice = random.below(20);
      if (dice === 0) await this.#resize(random.below(this.data.length + 1));
      else if (dice === 1) await this.#resize(this.data.length + random.below(9000));
      else if (dice === 2) await this.#again();
      else if (dice === 3) await this.#preallocate();
      else
        await this.#write(random.below(this.mostBytes), 1 + random.below(random.pick([500, 4000, 40_000])));
    }

    async #write(at: number, length: number): Promise<void> {
      const bytes = new Uint8Array(length).fill(1 + this.#random.below(255));
      const longer = new Uint8Array(Math.max(this.data.length, at + length));
      longer.set(this.data);
      longer.set(bytes, at);
      this.data = longer;
      this.volume.early = this.#random.chance(0.5);
      await this.volume.write(this.inode, at, bytes);
    }

    async #resize(size: number): Promise<void> {
      const data = new Uint8Array(size);
      data.set(this.data.subarray(0, size));
      this.data = data;
      await this.volume.truncate(this.path, size);
    }

    async #preallocate(): Promise<void> {
      const { length } = this.data;
      await this.volume.volume.preallocate(this.inode, length, 20 * KIB);
      const data = new Uint8Array(length + 20 * KIB);
      data.set(this.data);
      this.data = data;
    }

    /** Another file of the same name, and maybe of the same number. */
    async #again(): Promise<void> {
      await this.volume.unlink(this.path);
      this.inode = await this.volume.create(this.path);
      this.data = new Uint8Array(0);
    }

    async expectData(): Promise<void> {
      expect((await this.volume.stat(this.path)).sizeBytes).toBe(this.data.length);
      const read = await this.volume.read(this.inode, 0, this.data.length);
      expect(Buffer.compare(read, this.data)).toBe(0);
    }
  }

  test.each(
    [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => ({ seed, mostBytes: seed % 2 === 0 ? 4 * MIB : 300 * KIB })),
  )('who write, cut off and remove, seed $seed, $mostBytes bytes', async ({ seed, mostBytes }) => {
    const device = new SimulatedDevice({ sizeBytes: 32 * MIB, seed, stragglers: 0.05 });
    await formatted(device, KIB);
    const volume = await TestVolume.open(device, { allocator: firstFit, commitSeconds: 0.01 });
    const writers: Writer[] = [];
    for (let i = 0; i < 3; i++)
      writers.push(new Writer(volume, `/${i}`, await volume.create(`/${i}`), mostBytes, seed * 10 + i));
    let isOver = false;
    let moved = 0;
    const defragmenting = (async () => {
      for (let i = 0; !isOver; i++) {
        const writer = writers[i % writers.length] as Writer;
        const ended = await defragment(volume, writer.inode).catch((thrown) => {
          expect(thrown).toMatchObject({ code: 'ESTALE' });
          return { movedBlocks: 0 };
        });
        moved += ended.movedBlocks;
        await new Promise(setImmediate);
      }
    })();
    for (let round = 0; round < 30; round++) {
      await Promise.all(
        writers.map(async (writer) => {
          for (let i = 0; i < 4; i++) await writer.step();
        }),
      );
      await Promise.all(writers.map((writer) => writer.expectData()));
    }
    isOver = true;
    await defragmenting;
    expect(moved).toBeGreaterThan(200);
    await Promise.all(writers.map((writer) => writer.expectData()));
    await volume.volume.checkInvariants();
    await volume.volume.unmount();
    const disk = await crashImage(device, device.log.length, 1);
    expect(await checkVolume(disk)).toMatchObject({ problems: [], state: 'clean' });
  });

  test('who make it long in the midst of it: a range is bounded all the same', async () => {
    const volume = await TestVolume.make(200 * MIB, 4 * KIB, { allocator: firstFit });
    const block = 4 * KIB;
    const inode = await volume.create('/a');
    const other = await volume.create('/b');
    for (let i = 0; i < 2000; i++) {
      await volume.write(inode, 2 * i * block, new Uint8Array(block).fill(1 + (i % 250)));
      await volume.write(other, i * block, new Uint8Array(block).fill(9));
    }
    await volume.write(inode, 90 * MIB, new Uint8Array(block).fill(5));
    await volume.unlink('/b');
    // When the first part is copied, a later one gets another map, and far more than a range behind it.
    const device = volume.device as MemoryDevice;
    const write = device.write.bind(device);
    let changing: Promise<unknown> | undefined;
    device.write = (...transfer) => {
      device.write = write;
      changing = Promise.all([
        volume.volume.preallocate(inode, 20 * MIB, 60 * MIB),
        volume.write(inode, 3501 * block, new Uint8Array(block).fill(6)),
      ]);
      write(...transfer);
    };
    const { movedBlocks, next } = await volume.volume.defragment({ inode, from: 0, dryRun: false });
    await changing;
    const most = (32 * MIB) / block;
    expect(movedBlocks).toBeGreaterThan(2000);
    expect(movedBlocks).toBeLessThanOrEqual(2000 + most);
    expect(next).toBeLessThan((90 * MIB) / block);
    await defragment(volume, inode);
    expect((await volume.read(inode, 3998 * block, 10))[0]).toBe(1 + (1999 % 250));
    expect((await volume.read(inode, 90 * MIB, 10))[0]).toBe(5);
    await expectSound(volume);
  });

  test('who remove it in the midst of it', async () => {
    const device = new SimulatedDevice({ sizeBytes: 32 * MIB, seed: 1 });
    await formatted(device, KIB);
    const volume = await TestVolume.open(device, { allocator: firstFit });
    const { freeBlocks } = await volume.statistics();
    const [inode] = await weave(volume, ['/a', '/b'], 4000, KIB);
    const copying = new Promise<void>((resolve) => {
      device.fault = ({ operation, lengthBytes }) => {
        if (operation === 'write' && lengthBytes > 100 * KIB) resolve();
        return 0;
      };
    });
    const removed = copying.then(() => volume.unlink('/a'));
    await expect(defragment(volume, inode)).rejects.toMatchObject({ code: 'ESTALE' });
    await removed;
    await volume.unlink('/b');
    await volume.volume.unmount();
    const disk = crashImage(device, device.log.length, 1);
    expect(await checkVolume(disk.clone())).toMatchObject({ problems: [], state: 'clean' });
    const again = await TestVolume.open(disk);
    expect((await again.statistics()).freeBlocks).toBe(freeBlocks);
    await again.volume.unmount();
  });

  test('nobody is refused space for it', async () => {
    const device = new SimulatedDevice({ sizeBytes: 8 * MIB, seed: 1 });
    await formatted(device, KIB);
    const volume = await TestVolume.open(device, { allocator: firstFit });
    const [inode] = await weave(volume, ['/a', '/b'], 2000, KIB);
    const filler = await volume.create('/filler');
    const { freeBlocks } = await volume.statistics();
    // As soon as data is copied, somebody wants nearly all that was free before.
    const copying = new Promise<void>((resolve) => {
      device.fault = ({ operation, lengthBytes }) => {
        if (operation === 'write' && lengthBytes > 100 * KIB) resolve();
        return 0;
      };
    });
    const defragmenting = defragment(volume, inode);
    await copying;
    await volume.write(filler, 0, new Uint8Array((freeBlocks - 60) * KIB).fill(3));
    expect((await defragmenting).outcomes).toContain('full');
    expect(await volume.volume.countPieces(inode)).toBeGreaterThan(500);
    await volume.volume.checkInvariants();
    await volume.volume.unmount();
    const disk = crashImage(device, device.log.length, 1);
    expect(await checkVolume(disk)).toMatchObject({ problems: [], state: 'clean' });
  });

  test('nor left with next to nothing', async () => {
    let tellReserved = () => {};
    const reserved = new Promise<void>((resolve) => {
      tellReserved = resolve;
    });
    const telling = defineAllocator({
      name: 'telling',
      create: (space, options) => {
        const policy = firstFit.create(space, options);
        return {
          allocate: (want) => policy.allocate(want),
          taken: ({ length }) => {
            if (length >= 2000) tellReserved();
          },
        };
      },
    });
    const volume = await TestVolume.make(8 * MIB, KIB, { allocator: telling });
    const [inode] = await weave(volume, ['/a', '/b'], 2000, KIB);
    const filler = await volume.create('/filler');
    await volume.volume.sync();
    const { freeBlocks } = await volume.statistics();
    const defragmenting = defragment(volume, inode);
    await reserved;
    // All but a little of what is free beside it, before anything is moved.
    await volume.write(filler, 0, new Uint8Array((freeBlocks - 2000 - 30) * KIB).fill(3));
    expect(await defragmenting).toEqual({ outcomes: new Set(['full']), movedBlocks: 0, saved: 0 });
    expect(await volume.volume.countPieces(inode)).toBe(2000);
    await expectSound(volume);
  });

  test('a full volume is left alone', async () => {
    const volume = await TestVolume.make(8 * MIB, KIB, { allocator: firstFit });
    const [inode] = await weave(volume, ['/a', '/b'], 300, KIB);
    const filler = await volume.create('/filler');
    const { freeBlocks, blocks } = await volume.statistics();
    await volume.write(filler, 0, new Uint8Array((freeBlocks - Math.floor(blocks / 64) - 10) * KIB).fill(1));
    expect(await defragment(volume, inode)).toMatchObject({ outcomes: new Set(['full']), movedBlocks: 0 });
    expect(await volume.volume.countPieces(inode)).toBe(300);
    await expectSound(volume);
  });

  test('an unmount comes first', async () => {
    const device = new SimulatedDevice({ sizeBytes: 96 * MIB, seed: 1 });
    await formatted(device, 4 * KIB);
    const volume = await TestVolume.open(device, { allocator: firstFit });
    const [inode] = await weave(volume, ['/a', '/b'], 2000, 8 * KIB);
    await volume.volume.sync();
    const contents = await contentsOf(crashImage(device, device.log.length, 1));
    const copying = new Promise<void>((resolve) => {
      device.fault = ({ operation, lengthBytes }) => {
        if (operation === 'write' && lengthBytes > 100 * KIB) resolve();
        return 0;
      };
    });
    const ends = Promise.all(
      [1, 2].map(() =>
        expect(volume.volume.defragment({ inode, from: 0, dryRun: false })).rejects.toMatchObject({
          code: 'EINTR',
        }),
      ),
    );
    await copying;
    await volume.volume.unmount();
    await ends;
    const disk = crashImage(device, device.log.length, 1);
    expect(await checkVolume(disk.clone())).toMatchObject({ problems: [], state: 'clean' });
    expect(await contentsOf(disk)).toEqual(contents);
    const again = await TestVolume.open(disk);
    expect(await again.volume.countPieces(inode)).toSatisfy((pieces) => pieces > 1 && pieces < 2000);
    await again.volume.unmount();
  });
});

describe('a device that fails', () => {
  const EIO = 5;
  async function woven(): Promise<{ device: SimulatedDevice; volume: TestVolume; inode: number }> {
    const device = new SimulatedDevice({ sizeBytes: 8 * MIB, seed: 1 });
    await formatted(device, KIB);
    const volume = await TestVolume.open(device, { allocator: firstFit });
    const [inode] = await weave(volume, ['/a', '/b'], 200, KIB);
    await volume.volume.sync();
    return { device, volume, inode };
  }

  test.each(['read', 'write'] as const)('at a %s: the file stays where it was', async (operation) => {
    const { device, volume, inode } = await woven();
    const { freeBlocks } = await volume.statistics();
    device.fault = (site) => (site.operation === operation ? EIO : 0);
    await expect(defragment(volume, inode)).rejects.toMatchObject({ code: 'EIO' });
    device.fault = () => 0;
    expect(await volume.volume.countPieces(inode)).toBe(200);
    expect((await volume.statistics()).freeBlocks).toBe(freeBlocks);
    // Nobody's data was lost, so nobody's sync fails.
    await volume.volume.sync(inode);
    expect(await volume.read(inode, 77 * KIB, 1)).toEqual(new Uint8Array([1 + ((77 * 7) % 250)]));
    await defragment(volume, inode);
    expect(await volume.volume.countPieces(inode)).toBe(1);
    await volume.volume.checkInvariants();
    await volume.volume.unmount();
  });

  test('at a commit: the volume is read-only, and the disk is whole', async () => {
    const { device, volume, inode } = await woven();
    await defragment(volume, inode);
    device.fault = (site) => (site.operation === 'read' ? 0 : EIO);
    await expect(volume.volume.sync()).rejects.toMatchObject({ code: 'EIO' });
    await expect(defragment(volume, inode)).rejects.toMatchObject({ code: 'EROFS' });
    device.fault = () => 0;
    await volume.volume.unmount().catch(() => {});
    const crashed = crashImage(device, device.log.length, 4);
    const again = await TestVolume.open(crashed);
    expect(await again.read(await again.resolve('/a'), 77 * KIB, 1)).toEqual(
      new Uint8Array([1 + ((77 * 7) % 250)]),
    );
    await again.volume.unmount();
  });
});

test('wherever the power is cut', async () => {
  const device = new MemoryDevice(2 * MIB);
  await formatted(device, KIB, 64);
  const made = await TestVolume.open(device, { allocator: firstFit });
  const [first, second] = await weave(made, ['/a', '/b'], 60, KIB);
  const sparse = await made.create('/sparse');
  for (let i = 0; i < 12; i++) await made.write(sparse, 2 * i * KIB, new Uint8Array(KIB).fill(i + 1));
  await made.volume.unmount();
  const before = await contentsOf(device.reopen());
  const cut = new SimulatedDevice({ sizeBytes: 2 * MIB, seed: 5, content: device.content });
  const volume = await TestVolume.open(cut, { allocator: firstFit });
  for (const inode of [first, second as number, sparse]) {
    await defragment(volume, inode);
    if (inode === first) await volume.volume.sync();
  }
  await volume.volume.unmount();
  const pieces = new Set<number>();
  for (let events = 0; events <= cut.log.length; events++) {
    for (const seed of [1, 2, 3]) {
      const crashed = crashImage(cut, events, seed);
      const checked = await checkVolume(crashed.clone());
      expect(checked.problems, `after ${events} events`).toEqual([]);
      expect(await contentsOf(crashed)).toEqual(before);
      const again = await TestVolume.open(crashed.reopen());
      pieces.add(await again.volume.countPieces(first));
      await again.volume.unmount();
    }
  }
  expect(pieces).toContain(60);
  expect(pieces).toContain(1);
});

test('what is asked while it is halted is not begun', async () => {
  const volume = await TestVolume.make(24 * MIB, KIB, { allocator: firstFit });
  const [inode] = await weave(volume, ['/a', '/b'], 300, KIB);
  const counting = volume.volume.countPieces(inode);
  const unmounting = volume.volume.unmount();
  const asked = [
    volume.volume.countPieces(inode),
    volume.volume.defragment({ inode, from: 0, dryRun: false }),
  ];
  for (const ended of await Promise.allSettled(asked))
    expect(ended).toMatchObject({ status: 'rejected', reason: { code: 'EINTR' } });
  await counting.catch(() => {});
  await unmounting;
});

test('a range beyond what any file has', async () => {
  const volume = await TestVolume.make(8 * MIB, KIB);
  const inode = await volume.create('/a');
  await volume.write(inode, MAX_FILE_BYTES - KIB, new Uint8Array(KIB).fill(9));
  expect(await defragment(volume, inode)).toMatchObject({ outcomes: new Set(['fine']) });
  await volume.volume.unmount();
});
