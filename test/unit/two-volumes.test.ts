/**
 * Two volumes in one process, on devices of their own: what one of them is opened with, how it ends
 * and what becomes of its device is nothing to the other.
 */
import { constants } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import type { Device, IoCompletion, Memory } from '../../src/aio/device.ts';
import { AlignedBuffer } from '../../src/aio/file/aligned-buffer.ts';
import { FileGroup } from '../../src/aio/file/file-group.ts';
import { FileQueues } from '../../src/aio/file/file-queues.ts';
import { openFileIn } from '../../src/aio/file/open-file.ts';
import {
  type KernelDevice,
  type KernelDeviceOptions,
  openKernelDevice,
} from '../../src/aio/kernel-device.ts';
import { LONGEST_SPIN_NANOSECONDS } from '../../src/common/limits.ts';
import { native } from '../../src/native.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';
import { removeTemporaryImagesAfterAll, temporaryImage } from './aio-temporary.ts';

const { EIO } = constants.errno;
const SIZE = 16 << 20;
const FILES = 40;
const FILE_BYTES = 20_000;

removeTemporaryImagesAfterAll();

/** A device of the kernel whose writes and flushes fail from some moment on. */
class BreakableDevice implements Device {
  isBroken = false;
  readonly sectorBytes: number;
  readonly readOnly: boolean;

  constructor(readonly below: KernelDevice) {
    this.sectorBytes = below.sectorBytes;
    this.readOnly = below.readOnly;
  }

  get sizeBytes(): number {
    return this.below.sizeBytes;
  }

  get discardBytes(): number {
    return this.below.discardBytes;
  }

  allocateMemory(lengthBytes: number): Memory {
    return this.below.allocateMemory(lengthBytes);
  }

  read(...request: Parameters<Device['read']>): void {
    this.below.read(...request);
  }

  write(...request: Parameters<Device['write']>): void {
    if (this.isBroken) fail(request[4]);
    else this.below.write(...request);
  }

  writeThrough(...request: Parameters<Device['writeThrough']>): void {
    if (this.isBroken) fail(request[4]);
    else this.below.writeThrough(...request);
  }

  discard(...request: Parameters<Device['discard']>): void {
    if (this.isBroken) fail(request[2]);
    else this.below.discard(...request);
  }

  flush(completion: IoCompletion): void {
    if (this.isBroken) fail(completion);
    else this.below.flush(completion);
  }

  submit(): void {
    this.below.submit();
  }

  close(): Promise<void> {
    return this.below.close();
  }
}

function fail(completion: IoCompletion): void {
  queueMicrotask(() => completion.ioDone(EIO));
}

interface Opened {
  readonly path: string;
  readonly device: BreakableDevice;
  readonly volume: TestVolume;
}

async function openedVolume(options: KernelDeviceOptions, cacheBytes: number): Promise<Opened> {
  const path = temporaryImage(SIZE);
  const device = new BreakableDevice(openKernelDevice(path, options));
  await formatted(device, 4096);
  return { path, device, volume: await TestVolume.open(device, { cacheBytes }) };
}

function openPair(): Promise<[Opened, Opened]> {
  return Promise.all([
    openedVolume({ engine: 'aio', spinNanoseconds: 1_000_000 }, 4 << 20),
    openedVolume({ engine: 'uring', spinNanoseconds: 0, queueDepth: 4 }, 8 << 20),
  ]);
}

/** Different for each volume and file. */
function contentOf(seed: number, file: number): Uint8Array {
  return new Uint8Array(FILE_BYTES).map((_, at) => (seed + file * 31 + at * 7) & 0xff);
}

/** Files in a directory, all under way at once. */
async function fill(volume: TestVolume, directory: string, seed: number): Promise<void> {
  await volume.mkdir(directory);
  await Promise.all(
    Array.from({ length: FILES }, async (_, file) => {
      const inode = await volume.create(`${directory}/${file}`);
      await volume.write(inode, 0, contentOf(seed, file));
    }),
  );
}

async function expectFilled(volume: TestVolume, directory: string, seed: number): Promise<void> {
  for (let file = 0; file < FILES; file++) {
    const inode = await volume.resolve(`${directory}/${file}`);
    const bytes = await volume.read(inode, 0, FILE_BYTES);
    expect(Buffer.compare(bytes, contentOf(seed, file))).toBe(0);
  }
}

async function expectOnDisk({ path }: Opened, directories: Record<string, number>): Promise<void> {
  const again = await TestVolume.open(openKernelDevice(path), {});
  for (const [directory, seed] of Object.entries(directories)) await expectFilled(again, directory, seed);
  await again.volume.unmount();
}

describe('two volumes', () => {
  test('of different options are used at once', async () => {
    const [one, other] = await openPair();
    expect([one.device.below.engine, other.device.below.engine]).toEqual(['aio', 'uring']);
    await Promise.all([fill(one.volume, '/a', 1), fill(other.volume, '/a', 2)]);
    await Promise.all([expectFilled(one.volume, '/a', 1), expectFilled(other.volume, '/a', 2)]);
    await Promise.all([one.volume.volume.unmount(), other.volume.volume.unmount()]);
    await expectOnDisk(one, { '/a': 1 });
    await expectOnDisk(other, { '/a': 2 });
  });

  test.each(['aio', 'uring'])('that on %s ends, and the other goes on', async (engine) => {
    const pair = await openPair();
    if (engine === 'uring') pair.reverse();
    const [ending, staying] = pair;
    await fill(ending.volume, '/a', 1);
    const ended = ending.volume.volume.unmount();
    await fill(staying.volume, '/a', 2);
    await ended;
    await fill(staying.volume, '/b', 3);
    await staying.volume.volume.sync();
    await expectFilled(staying.volume, '/b', 3);
    await staying.volume.volume.unmount();
    await expectOnDisk(ending, { '/a': 1 });
    await expectOnDisk(staying, { '/a': 2, '/b': 3 });
  });

  test.each(['aio', 'uring'])(
    'the device of that on %s fails, and the other does not notice',
    async (engine) => {
      const pair = await openPair();
      if (engine === 'uring') pair.reverse();
      const [failing, sound] = pair;
      await Promise.all([fill(failing.volume, '/a', 1), fill(sound.volume, '/a', 2)]);
      failing.device.isBroken = true;
      await Promise.all([
        expect(failing.volume.mkdir('/c').then(() => failing.volume.volume.sync())).rejects.toThrow(),
        fill(sound.volume, '/b', 3).then(() => sound.volume.volume.sync()),
      ]);
      expect(failing.volume.volume.readOnly).toBe(true);
      expect(sound.volume.volume.readOnly).toBe(false);
      await failing.volume.volume.unmount().catch(() => {});
      await expectFilled(sound.volume, '/b', 3);
      await sound.volume.volume.unmount();
      await expectOnDisk(sound, { '/a': 2, '/b': 3 });
    },
  );
});

describe('the spin', () => {
  const channels: { close(): void }[] = [];
  afterEach(() => {
    for (const channel of channels.splice(0)) channel.close();
  });

  /** Whether the thread spins when a request of this device has ended. */
  async function spins({ device, volume }: Opened): Promise<boolean> {
    const channel = new native.FuseChannel(native.socketPair()[0], 16384, 2);
    channels.push(channel);
    const before = channel.statistics();
    for (let round = 0; round < 20; round++)
      await volume.write(await volume.create(`/${Math.random()}`), 0, contentOf(1, 1));
    await volume.volume.sync();
    expect(device.below.statistics().completed).toBeGreaterThan(0);
    const after = channel.statistics();
    return after.spinHits + after.spinMisses > before.spinHits + before.spinMisses;
  }

  /** Who lost the processor in a spin makes none for a while, which happens when others want it. */
  async function expectSpin(opened: Opened): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt++) if (await spins(opened)) return;
    expect.fail('it never spins');
  }

  test('is the longest wish, and a device that is closed takes its own along', async () => {
    const [patient, other] = await openPair();
    await expectSpin(patient);
    await patient.volume.volume.unmount();
    expect(await spins(other)).toBe(false);
    await other.volume.volume.unmount();
  });

  test('of a channel ends with the channel, and those of devices stay', async () => {
    const [patient, other] = await openPair();
    await patient.volume.volume.unmount();
    const channel = new native.FuseChannel(native.socketPair()[0], 16384, 2);
    channel.setSpin(500_000);
    expect(await spins(other)).toBe(false);
    channel.start(
      () => {},
      () => {},
    );
    await expectSpin(other);
    channel.close();
    expect(await spins(other)).toBe(false);
    await other.volume.volume.unmount();
  });

  test('that no device can have is refused, and leaves nothing open', () => {
    const path = temporaryImage(SIZE);
    const spinNanoseconds = LONGEST_SPIN_NANOSECONDS + 1;
    for (const engine of ['aio', 'uring'] as const)
      expect(() => openKernelDevice(path, { engine, spinNanoseconds })).toThrow(RangeError);
  });
});

describe('two groups of files', () => {
  test.each(['aio', 'uring', 'direct'] as const)(
    'with engine %s share no queue, memory or number',
    async (engine) => {
      const path = temporaryImage(SIZE);
      const groups = [0, 1].map(() => new FileGroup(new FileQueues().lease));
      const [one, other] = await Promise.all(
        groups.map((group) => openFileIn(group, path, { flags: 'r+', engine })),
      );
      if (one === undefined || other === undefined) throw new Error('two were asked for');
      // Unaligned, so that it goes through memory of the group.
      const bytes = AlignedBuffer.allocate(1000);
      const requests = [one, other].map((file) => file.submitRead(bytes, 1));
      expect(requests.map(({ id }) => id)).toEqual([1, 1]);
      await Promise.all(requests.map((request) => request.wait()));
      await one.close();
      expect(await other.readAt(bytes, 1)).toBe(1000);
      const [kept, ofOther] = groups.map(({ scratch }) => scratch.take(4096));
      expect(kept).not.toBe(ofOther);
      await other.close();
    },
  );
});
