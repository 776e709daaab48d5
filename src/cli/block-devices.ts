/**
 * What the kernel says of block devices: sysfs, and the state of loop devices. Reads only; asks
 * nothing of a device that is not one.
 */
import { closeSync, constants, openSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { addon } from '../native.ts';
import { pathText, systemPath } from '../path-bytes.ts';
import { type BlockFacts, deviceId, fileId, type StorageId } from './storage-layers.ts';

const SECTOR_BYTES = 512;
const { O_NONBLOCK, O_RDONLY } = constants;

/** dev_t as the C library splits it (gnu_dev_major, gnu_dev_minor). */
export function deviceNumbersOf(device: number | bigint): string {
  const number = BigInt(device);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn);
  const minor = (number & 0xffn) | ((number >> 12n) & ~0xffn);
  return `${major}:${minor & 0xffffffffn}`;
}

/** What stat(2) identifies: the device itself for a block device, else device and inode. */
export function storageIdOf(status: {
  dev: bigint;
  ino: bigint;
  rdev: bigint;
  isBlockDevice(): boolean;
}): StorageId {
  if (status.isBlockDevice()) return deviceId(deviceNumbersOf(status.rdev));
  return fileId(deviceNumbersOf(status.dev), status.ino);
}

function textOf(path: string): string | undefined {
  try {
    return pathText(readFileSync(path)).replace(/\n$/, '');
  } catch {
    return undefined;
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** The directory of a block device in sysfs, or undefined. */
function systemDirectory(deviceNumbers: string): string | undefined {
  try {
    return realpathSync(join('/sys/dev/block', deviceNumbers));
  } catch {
    return undefined;
  }
}

/** The usual path of a block device, such as /dev/loop0; it is not looked at. */
export function devicePath(deviceNumbers: string): string {
  const name = /^DEVNAME=(.*)$/m.exec(textOf(join('/sys/dev/block', deviceNumbers, 'uevent')) ?? '')?.[1];
  return name === undefined ? `/dev/block/${deviceNumbers}` : join('/dev', name);
}

/** Whether a block device takes no changes from anybody. */
export function isReadOnlyDevice(deviceNumbers: string): boolean {
  return textOf(join('/sys/dev/block', deviceNumbers, 'ro')) === '1';
}

/** What a block device is made of. */
export function blockFacts(deviceNumbers: string): BlockFacts {
  const directory = systemDirectory(deviceNumbers);
  if (directory === undefined) return { slaves: [] };
  const slaves = namesIn(join(directory, 'slaves'))
    .map((name) => textOf(join(directory, 'slaves', name, 'dev')))
    .filter((numbers) => numbers !== undefined);
  const partition = partitionFacts(directory);
  const loop = loopFacts(directory, deviceNumbers);
  return { slaves, ...(partition && { partition }), ...(loop && { loop }) };
}

function partitionFacts(directory: string): BlockFacts['partition'] {
  if (textOf(join(directory, 'partition')) === undefined) return undefined;
  const disk = textOf(join(dirname(directory), 'dev'));
  if (disk === undefined) return undefined;
  const sectors = (name: string) => Number(textOf(join(directory, name)) ?? 0) * SECTOR_BYTES;
  return { disk, startBytes: sectors('start'), sizeBytes: sectors('size') };
}

/**
 * The device itself knows which file it has; only who may not open it goes by the path that sysfs
 * has of it.
 */
function loopFacts(directory: string, deviceNumbers: string): BlockFacts['loop'] {
  const shown = textOf(join(directory, 'loop/backing_file'));
  if (shown === undefined) return undefined;
  const path = shown.replace(/ \(deleted\)$/, '');
  return askLoop(devicePath(deviceNumbers), path) ?? readLoop(join(directory, 'loop'), path);
}

function askLoop(device: string, path: string): BlockFacts['loop'] {
  if (addon === undefined) return undefined;
  let descriptor: number;
  try {
    descriptor = openSync(device, O_RDONLY | O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const found = addon.loopBacking(descriptor);
    if (found === undefined) return undefined;
    const { offsetBytes, limitBytes } = found;
    if (found.blockDevice !== 0) {
      return {
        backing: deviceId(deviceNumbersOf(found.blockDevice)),
        path: undefined,
        offsetBytes,
        limitBytes,
      };
    }
    return { backing: fileId(deviceNumbersOf(found.device), found.inode), path, offsetBytes, limitBytes };
  } finally {
    closeSync(descriptor);
  }
}

function readLoop(directory: string, path: string): BlockFacts['loop'] {
  try {
    const backing = storageIdOf(statSync(systemPath(path), { bigint: true }));
    const number = (name: string) => Number(textOf(join(directory, name)) ?? 0);
    return { backing, path, offsetBytes: number('offset'), limitBytes: number('sizelimit') };
  } catch {
    return undefined;
  }
}

/** `major:minor` of every loop device that has a file. */
export function loopDevices(): string[] {
  const names = namesIn('/sys/block').filter((name) => basename(name).startsWith('loop'));
  const used = names.filter((name) => namesIn(join('/sys/block', name, 'loop')).length > 0);
  return used
    .map((name) => textOf(join('/sys/block', name, 'dev')))
    .filter((numbers) => numbers !== undefined);
}

/** `major:minor` of what the kernel made of a block device: mapped devices, RAID. */
export function holdersOf(deviceNumbers: string): string[] {
  const directory = join('/sys/dev/block', deviceNumbers, 'holders');
  return namesIn(directory)
    .map((name) => textOf(join(directory, name, 'dev')))
    .filter((numbers) => numbers !== undefined);
}
