/**
 * Random damage: volumes of several kinds, and changes to their metadata blocks that a seed makes.
 */

import { blockChecksum } from '../../src/check/metadata-block.ts';
import { viewOf } from '../../src/common/bytes.ts';
import { defaultFeatures } from '../../src/fs/format/features.ts';
import {
  BlockHeader,
  BlockKind,
  HEADER_BYTES,
  MAGIC_BYTES,
  QuotaKind,
  SUPERBLOCK_BYTES,
} from '../../src/fs/format/format.ts';
import { crashImage } from '../../src/sim/crash-image.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;

export interface Sample {
  readonly name: string;
  readonly blockBytes: number;
  make(): Promise<MemoryDevice>;
}

async function setAttribute(
  { volume }: TestVolume,
  inode: number,
  name: string,
  length: number,
): Promise<void> {
  const value = new Uint8Array(length).fill(length);
  await volume.run((tx) =>
    volume.setExtendedAttribute(tx, inode, { name: new TextEncoder().encode(name), value }),
  );
}

async function fill(volume: TestVolume, files: number, blocks: number): Promise<void> {
  const { blockBytes } = volume.volume;
  for (const folder of ['/a', '/a/b', '/c']) await volume.mkdir(folder);
  for (let i = 0; i < files; i++) {
    const inode = await volume.create(`${i % 3 === 0 ? '/a/b' : '/c'}/file number ${i}`);
    if (i % 4 === 0) await volume.write(inode, 0, new Uint8Array(100).fill(i));
    if (i % 4 === 1) await volume.write(inode, blockBytes, new Uint8Array(2 * blockBytes).fill(i));
    if (i % 5 === 0) await setAttribute(volume, inode, 'user.small', 40);
    if (i % 7 === 0) await setAttribute(volume, inode, 'user.large', 2000);
  }
  const large = await volume.create('/a/large');
  for (let i = 0; i < blocks; i++)
    await volume.write(large, 2 * i * blockBytes, new Uint8Array(blockBytes).fill(i));
  for (let i = 0; i < 30; i++) await setAttribute(volume, large, `user.${i}`, i * 20);
  await setAttribute(volume, await volume.resolve('/a/b'), 'user.small', 50);
  await volume.symlink('t'.repeat(700), '/c/link');
  await setAttribute(volume, await volume.resolve('/c/link'), 'user.small', 10);
  await volume.link('/c/file number 1', '/a/second');
}

/** Many have something, and some may not have more than so much. */
async function limit(volume: TestVolume, files: number): Promise<void> {
  for (let i = 0; i < files; i += 3) {
    await volume.change(`/a/b/file number ${i}`, { uid: i, gid: 2 * i });
    if (i > 0) await volume.volume.quotas.setLimits(QuotaKind.user, i, { softBlocks: 1, hardInodes: i });
  }
}

/** Fills the volume to the last block that it gives. */
async function exhaust(volume: TestVolume): Promise<void> {
  const { blockBytes } = volume.volume;
  const inode = await volume.create('/rest');
  try {
    for (let at = 0; ; at += 8)
      await volume.write(inode, at * blockBytes, new Uint8Array(8 * blockBytes).fill(9));
  } catch {
    await volume.volume.sync();
  }
}

async function made(
  blockBytes: number,
  sizeBytes: number,
  files: number,
  isFull: boolean,
): Promise<MemoryDevice> {
  const device = new MemoryDevice(sizeBytes);
  await formatted(device, blockBytes, undefined, sizeBytes, defaultFeatures().add('quota'));
  const volume = await TestVolume.open(device);
  await fill(volume, files, 60);
  await limit(volume, files);
  if (isFull) await exhaust(volume);
  await volume.volume.unmount();
  return device.reopen();
}

/** A volume that lost its power in the middle of work. */
async function cutOff(): Promise<MemoryDevice> {
  const base = new MemoryDevice(4 * MIB);
  await formatted(base, 4096);
  const device = new SimulatedDevice({ sizeBytes: base.sizeBytes, seed: 3, content: base.content });
  const volume = await TestVolume.open(device);
  await fill(volume, 60, 30);
  await volume.volume.sync();
  for (let i = 0; i < 40; i += 3) await volume.unlink(`/${i % 3 === 0 ? 'a/b' : 'c'}/file number ${i}`);
  await volume.volume.sync();
  return crashImage(device, device.log.length, 5);
}

export const SAMPLES: readonly Sample[] = [
  { name: 'blocks of 4 KiB', blockBytes: 4096, make: () => made(4096, 8 * MIB, 150, false) },
  { name: 'blocks of 1 KiB', blockBytes: 1024, make: () => made(1024, 2 * MIB, 150, false) },
  { name: 'no free space', blockBytes: 1024, make: () => made(1024, MIB, 60, true) },
  { name: 'a journal to replay', blockBytes: 4096, make: cutOff },
];

export class Damager {
  readonly #random: SeededRandom;
  readonly #blocks: number[] = [];

  constructor(
    readonly device: MemoryDevice,
    readonly blockBytes: number,
    seed: number,
  ) {
    this.#random = new SeededRandom(seed);
    for (let block = 0; block < device.sizeBytes / blockBytes; block++) {
      const head = device.peek(block * blockBytes, HEADER_BYTES);
      if (MAGIC_BYTES.every((byte, i) => head[i] === byte)) this.#blocks.push(block);
    }
  }

  /** Damages up to 30 blocks. */
  run(): void {
    const times = this.#random.pick([1, 2, 5, 30]);
    for (let i = 0; i < times; i++) this.#once();
  }

  #once(): void {
    const random = this.#random;
    const block = random.pick(this.#blocks);
    const bytes = this.device.peek(block * this.blockBytes, this.blockBytes);
    const damages = [this.#flip, this.#word, this.#word, this.#pointer, this.#splice, this.#zero];
    random.pick(damages).call(this, bytes);
    if (random.chance(0.85)) this.#seal(bytes);
    this.device.poke(block * this.blockBytes, bytes);
  }

  #place(): number {
    const random = this.#random;
    return random.chance(0.5) ? HEADER_BYTES + random.below(200) : random.below(this.blockBytes);
  }

  #flip(bytes: Uint8Array): void {
    const at = this.#place();
    bytes[at] = (bytes[at] ?? 0) ^ (1 << this.#random.below(8));
  }

  #word(bytes: Uint8Array): void {
    const at = this.#place() & ~1;
    const value = this.#random.pick([0, 1, 2, 0x7fff, 0xffff, this.#random.below(65536)]);
    viewOf(bytes).setUint16(Math.min(at, bytes.length - 2), value, true);
  }

  /** Eight bytes that could be a block, an inode, or far too much. */
  #pointer(bytes: Uint8Array): void {
    const at = Math.min(this.#place() & ~7, bytes.length - 8);
    const low = this.#random.pick([this.#random.below(4096), this.#random.below(64), 0xffffffff, 0]);
    viewOf(bytes).setUint32(at, low, true);
    viewOf(bytes).setUint32(at + 4, this.#random.pick([0, 0, 0, 1, 0xffff, 0xffffffff]), true);
  }

  #splice(bytes: Uint8Array): void {
    const other = this.device.peek(this.#random.pick(this.#blocks) * this.blockBytes, this.blockBytes);
    const from = this.#random.pick([0, 6, HEADER_BYTES, HEADER_BYTES, this.#place()]);
    bytes.set(other.subarray(from), from);
  }

  #zero(bytes: Uint8Array): void {
    const at = this.#random.pick([0, this.#place()]);
    bytes.fill(0, at, at + this.#random.pick([16, 512, bytes.length]));
  }

  #seal(bytes: Uint8Array): void {
    const isSuperblock = BlockHeader.kind.get(viewOf(bytes), 0) === BlockKind.superblock;
    const covered = isSuperblock ? bytes.subarray(0, SUPERBLOCK_BYTES) : bytes;
    BlockHeader.checksum.set(viewOf(bytes), 0, blockChecksum(covered));
  }
}
