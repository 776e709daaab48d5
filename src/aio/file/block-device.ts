/**
 * `getBlockDevice`: what Linux tells of a block device, from ioctls and from sysfs. Works on disks,
 * on partitions, whose disk says what they do not, and on loop and other virtual devices.
 */
import { constants, fstat, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { native } from '../../native.ts';
import { discardGranularity } from '../discard-granularity.ts';
import { pathOf } from './arguments.ts';
import type { PathLike } from './async-file.ts';
import { AioError, asAioError } from './io-error.ts';
import { openDescriptor, takeDescriptor } from './storage.ts';

/** A block device as it is now; sizes in bytes. */
export interface BlockDevice {
  readonly path: string;
  /** As the kernel calls it: `sda1`, `nvme0n1`, `loop0`; '' where sysfs does not know it. */
  readonly name: string;
  readonly sizeBytes: number;
  /** The shortest range that can be read or written (BLKSSZGET). */
  readonly logicalSectorBytes: number;
  /** What the device writes without reading first (BLKPBSZGET). */
  readonly physicalSectorBytes: number;
  /** What direct I/O needs of memory addresses, and of offsets and lengths; 0: it does not say. */
  readonly memoryAlignBytes: number;
  readonly offsetAlignBytes: number;
  /** The shortest range that `AsyncFile.discard` gives back; 0: none. */
  readonly discardBytes: number;
  /** It takes no changes from anybody. */
  readonly isReadOnly: boolean;
  /** It has heads to move; undefined where nobody says. */
  readonly isRotational: boolean | undefined;
  readonly isRemovable: boolean | undefined;
  /** The disk that it is a part of; undefined where it is none. */
  readonly partitionOf: string | undefined;
  /** Of the disk; undefined where it has none, or only root may know. */
  readonly model: string | undefined;
  readonly serialNumber: string | undefined;
}

/**
 * @param path of a block device, which may be in use; it is opened for reading
 * @throws AioError ENOTBLK for anything else, and what open(2) says; TypeError with `code`
 */
export async function getBlockDevice(path: PathLike): Promise<BlockDevice> {
  const place = pathOf(path);
  try {
    const flags = constants.O_RDONLY | constants.O_NONBLOCK;
    const descriptor = takeDescriptor(await openDescriptor(place.path, flags, 0));
    try {
      return await describe(place.text, descriptor.number);
    } finally {
      descriptor.close();
    }
  } catch (thrown) {
    throw asAioError(thrown, 'open', place.text);
  }
}

async function describe(path: string, descriptor: number): Promise<BlockDevice> {
  const stats = await promisify(fstat)(descriptor, { bigint: true });
  if (!stats.isBlockDevice()) throw new AioError(ENOTBLK, { syscall: 'open', path });
  const { isBlockDevice: _, ...geometry } = native.probeDescriptor(descriptor);
  const folder = sysfsFolder(stats.rdev);
  const isPartition = folder !== undefined && textIn(folder, 'partition') !== undefined;
  const disk = isPartition ? dirname(folder) : folder;
  return {
    path,
    name: nameOf(folder) ?? '',
    ...geometry,
    discardBytes: discardGranularity(descriptor, true),
    isReadOnly: textIn(folder, 'ro') === '1',
    isRotational: flagIn(disk, 'queue/rotational'),
    isRemovable: flagIn(disk, 'removable'),
    partitionOf: isPartition ? nameOf(disk) : undefined,
    model: textIn(disk, 'device/model'),
    serialNumber: textIn(disk, 'device/serial') ?? textIn(disk, 'serial'),
  };
}

/** errno.h; Node does not list it. */
const ENOTBLK = 15;

function sysfsFolder(device: bigint): string | undefined {
  // As gnu_dev_major and gnu_dev_minor of glibc.
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn);
  try {
    return realpathSync(`/sys/dev/block/${major}:${minor}`);
  } catch {
    return undefined;
  }
}

function nameOf(folder: string | undefined): string | undefined {
  return folder?.slice(folder.lastIndexOf('/') + 1);
}

function textIn(folder: string | undefined, name: string): string | undefined {
  if (folder === undefined) return undefined;
  try {
    return readFileSync(join(folder, name), 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

function flagIn(folder: string | undefined, name: string): boolean | undefined {
  const text = textIn(folder, name);
  return text === undefined ? undefined : text === '1';
}
