/** A small volume for tests of src/inspect, as a crash leaves it and as an unmount does. */
import type { Device } from '../../src/aio/device.ts';
import { sealBytes } from '../../src/check/metadata-block.ts';
import { readSuperblock } from '../../src/fs/format/superblock.ts';
import { VolumeSource } from '../../src/inspect/volume-source.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';

export const BLOCK_BYTES = 1024;
export const SIZE_BYTES = 2 * 1024 * 1024;
/** Names in the directory `/folder`, beside `large`. */
export const MANY = 120;
/** Errno of Linux for a block that cannot be read. */
const EIO = 5;

export interface Sample {
  /** Its journal is to be replayed. */
  readonly crashed: MemoryDevice;
  readonly clean: MemoryDevice;
  /** Inodes by what they are. */
  readonly small: number;
  readonly folder: number;
  readonly large: number;
}

export async function makeSample(): Promise<Sample> {
  const device = new MemoryDevice(SIZE_BYTES);
  await formatted(device, BLOCK_BYTES);
  const volume = await TestVolume.open(device);
  const small = await volume.create('/small');
  await volume.write(small, 0, new TextEncoder().encode('Hello, disk.\n'));
  const folder = await volume.mkdir('/folder');
  const large = await volume.create('/folder/large');
  await volume.write(large, 0, new Uint8Array(3 * BLOCK_BYTES).fill(0x51));
  await volume.volume.sync();
  const crashed = device.clone();
  for (let i = 0; i < MANY; i++) await volume.create(`/folder/${'n'.repeat(30)}${i}`);
  await volume.volume.unmount();
  return { crashed, clean: device.clone(), small, folder, large };
}

export async function sourceOf(device: Device): Promise<VolumeSource> {
  return new VolumeSource(device, await readSuperblock(device));
}

/** A copy of the volume with one block changed, and its checksum right again. */
export function withBlock(
  device: MemoryDevice,
  block: number,
  change: (bytes: Uint8Array) => void,
): MemoryDevice {
  const copy = device.clone();
  const bytes = copy.peek(block * BLOCK_BYTES, BLOCK_BYTES);
  change(bytes);
  sealBytes(bytes);
  copy.poke(block * BLOCK_BYTES, bytes);
  return copy;
}

/** A copy of the volume of which some blocks cannot be read. */
export function withUnreadable(device: MemoryDevice, ...blocks: number[]): SimulatedDevice {
  return new SimulatedDevice({
    sizeBytes: device.sizeBytes,
    content: device.content,
    fault: ({ operation, deviceOffset, lengthBytes }) => {
      const first = Math.floor(deviceOffset / BLOCK_BYTES);
      const last = Math.floor((deviceOffset + lengthBytes - 1) / BLOCK_BYTES);
      return operation === 'read' && blocks.some((block) => block >= first && block <= last) ? EIO : 0;
    },
  });
}
