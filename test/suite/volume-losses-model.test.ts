/**
 * Random writes, failures, truncations and syncs of a few files, against a model that knows for
 * each byte what was written last and what became of it: on the device, kept in memory, or lost for
 * good.
 *
 * The volume must show every byte that is not lost for good, and its syncs must fail for exactly
 * the files that have such bytes.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const KIB = 1024;
const MOST_BYTES = 96 * KIB;
const [EIO, ENOSPC] = [5, 28];

/** What became of a byte. */
const ON_DEVICE = 0;
const KEPT = 1;
const LOST = 2;

class FileModel {
  readonly bytes = new Uint8Array(MOST_BYTES);
  readonly fate = new Uint8Array(MOST_BYTES);
  #recordedBytes = 0;

  constructor(readonly inode: number) {}

  get sizeBytes(): number {
    return Math.max(this.#recordedBytes, this.fate.lastIndexOf(KEPT) + 1);
  }

  get isLost(): boolean {
    return this.fate.includes(LOST);
  }

  write(offset: number, data: Uint8Array, fate: number): void {
    this.bytes.set(data, offset);
    this.fate.fill(fate, offset, offset + data.length);
    if (fate === ON_DEVICE) this.#recordedBytes = Math.max(this.#recordedBytes, offset + data.length);
  }

  truncate(sizeBytes: number): void {
    this.bytes.fill(0, sizeBytes);
    this.fate.fill(ON_DEVICE, sizeBytes);
    this.#recordedBytes = sizeBytes;
  }

  sync(): void {
    this.#recordedBytes = this.sizeBytes;
    for (let i = 0; i < MOST_BYTES; i++) if (this.fate[i] === KEPT) this.fate[i] = ON_DEVICE;
  }
}

let device: SimulatedDevice;
let volume: TestVolume;
let random: SeededRandom;

async function begin(seed: number, blockBytes: number): Promise<FileModel[]> {
  random = new SeededRandom(seed);
  device = new SimulatedDevice({ sizeBytes: 64 * 1024 * KIB, seed });
  // A journal so long that no commit begins by itself, least of all while writes fail.
  await formatted(device, blockBytes, 1024);
  volume = await TestVolume.open(device);
  const files = ['/a', '/b', '/c'].map(async (path) => new FileModel(await volume.create(path)));
  return Promise.all(files);
}

beforeEach(() => {
  random = new SeededRandom(1);
});
afterEach(() => volume.volume.unmount().catch(() => {}));

/** A write that goes well, may pass or fails for good. */
async function write(file: FileModel): Promise<void> {
  const offset = random.below(random.chance(0.5) ? MOST_BYTES - 1 : 8 * KIB);
  const length = 1 + random.below(Math.min(random.chance(0.5) ? 40 * KIB : 700, MOST_BYTES - offset));
  const data = new Uint8Array(length).map(() => random.below(255) + 1);
  const dice = random.below(10);
  const errno = dice < 5 ? 0 : dice < 9 ? ENOSPC : EIO;
  // What fits into the inode goes nowhere near the device: it may succeed though writes fail.
  const inBody = file.sizeBytes === 0 || offset + length < 400 ? 0 : errno;
  device.fault = ({ operation }) => (operation === 'write' ? inBody : 0);
  volume.early = random.chance(0.5);
  volume.fromCache = true;
  await volume.write(file.inode, offset, data).catch(() => {});
  await volume.volume.earlyWritesSettled();
  device.fault = () => 0;
  file.write(offset, data, inBody === 0 ? ON_DEVICE : inBody === ENOSPC ? KEPT : LOST);
}

async function look(file: FileModel): Promise<void> {
  const size = (await volume.statInode(file.inode)).sizeBytes;
  expect(size).toBe(file.sizeBytes);
  const from = random.below(MOST_BYTES);
  const seen = await volume.read(file.inode, from, MOST_BYTES);
  expect(seen.length).toBe(Math.max(0, size - from));
  const wrong = seen.findIndex((byte, i) => file.fate[from + i] !== LOST && byte !== file.bytes[from + i]);
  expect(wrong).toBe(-1);
}

async function sync(file: FileModel): Promise<void> {
  const told = await volume.volume.sync(file.inode).then(
    () => 'well',
    () => 'an error',
  );
  file.sync();
  expect(told).toBe(file.isLost ? 'an error' : 'well');
}

async function step(files: readonly FileModel[]): Promise<void> {
  const file = files[random.below(files.length)] as FileModel;
  const dice = random.below(20);
  if (dice < 10) await write(file);
  else if (dice < 15) await look(file);
  else if (dice < 17) {
    const sizeBytes = random.below(file.sizeBytes + 2000) % MOST_BYTES;
    await volume.volume.setSize(file.inode, sizeBytes, false);
    file.truncate(sizeBytes);
  } else await sync(file);
}

test.each([
  [1, 1024],
  [2, 4096],
  [3, 16384],
])('seed %i, blocks of %i', async (seed, blockBytes) => {
  const files = await begin(seed, blockBytes);
  for (let i = 0; i < 400; i++) await step(files);
  for (const file of files) await sync(file);
  const lostFiles = files.filter((file) => file.isLost).length;
  expect(volume.volume.counters()).toMatchObject({ filesWithLostData: lostFiles, lostBytesKept: 0 });
  for (const file of files) await look(file);
});
