/**
 * Targets: block devices and image files, looked at without changing them.
 */
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { parseMountinfo } from '../fuse/mount.ts';
import { native } from '../native.ts';
import { CommandError, targetError } from './failure.ts';
import { type FoundSignature, findSignatures, type ReadBytes } from './signatures.ts';

export interface Target {
  /** Absolute, without symbolic links. */
  readonly path: string;
  readonly isBlockDevice: boolean;
  readonly sizeBytes: number;
  /** `major:minor` of a block device, as mountinfo names it. */
  readonly deviceNumbers: string | undefined;
}

/** dev_t as the C library splits it (gnu_dev_major, gnu_dev_minor). */
export function deviceNumbersOf(device: number): string {
  const number = BigInt(device);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn);
  const minor = (number & 0xffn) | ((number >> 12n) & ~0xffn);
  return `${major}:${minor & 0xffffffffn}`;
}

/**
 * Looks at an existing target.
 * @throws CommandError if it is not there, or neither a block device nor a regular file
 */
export function inspectTarget(name: string): Target {
  try {
    const path = realpathSync(name);
    const status = statSync(path);
    if (status.isDirectory()) throw Object.assign(new Error('directory'), { code: 'EISDIR' });
    if (status.isBlockDevice()) {
      const deviceNumbers = deviceNumbersOf(status.rdev);
      return { path, isBlockDevice: true, sizeBytes: deviceSize(path), deviceNumbers };
    }
    if (!status.isFile()) throw Object.assign(new Error('special'), { code: 'ENOTBLK' });
    return { path, isBlockDevice: false, sizeBytes: status.size, deviceNumbers: undefined };
  } catch (thrown) {
    throw targetError(thrown, name);
  }
}

function deviceSize(path: string): number {
  const opened = native.openDevice(path, { readOnly: true, exclusive: false, direct: false });
  native.closeDevice(opened.descriptor);
  return opened.sizeBytes;
}

/** Gives a reader of the target's bytes to `use`, and closes the target after it. */
export function withReader<T>(path: string, use: (read: ReadBytes) => T): T {
  const descriptor = openSync(path, 'r');
  try {
    return use((offsetBytes, lengthBytes) => {
      const bytes = new Uint8Array(lengthBytes);
      const count = readSync(descriptor, bytes, 0, lengthBytes, offsetBytes);
      return bytes.subarray(0, count);
    });
  } finally {
    closeSync(descriptor);
  }
}

/** What the target holds, by its signatures. @throws CommandError */
export function signaturesOf(target: Target): FoundSignature[] {
  try {
    return withReader(target.path, (read) => findSignatures(read, target.sizeBytes));
  } catch (thrown) {
    throw targetError(thrown, target.path);
  }
}

/** Where the target is mounted, or undefined: by its own mount, or as swap. */
export function mountedOn(target: Target): string | undefined {
  const mounts = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'));
  const mount = mounts.find(
    ({ source, deviceNumbers }) => source === target.path || deviceNumbers === target.deviceNumbers,
  );
  if (mount) return mount.directory;
  return swapsOf(readIfThere('/proc/swaps')).includes(target.path) ? 'swap' : undefined;
}

/** The paths in the text of /proc/swaps. */
export function swapsOf(text: string): string[] {
  const lines = text.split('\n').slice(1);
  return lines.map((line) => line.split(/\s/)[0] ?? '').filter((path) => path !== '');
}

/** The loop device that an image file is behind, or undefined. */
export function loopDeviceOf(target: Target): string | undefined {
  if (target.isBlockDevice) return undefined;
  for (const name of namesIn('/sys/block')) {
    if (!name.startsWith('loop')) continue;
    const backing = readIfThere(`/sys/block/${name}/loop/backing_file`).replace(/\n$/, '');
    if (backing === target.path) return `/dev/${name}`;
  }
  return undefined;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Throws unless the target can be read: a clear word before anything else is tried. */
export function requireReadable(target: Target): void {
  try {
    const descriptor = openSync(target.path, 'r');
    fstatSync(descriptor);
    closeSync(descriptor);
  } catch (thrown) {
    throw targetError(thrown, target.path);
  }
}

/** "is not a Quarry volume", with what it holds instead if that is known. */
export function notAVolume(target: Target, reason: string): CommandError {
  const other = signaturesOf(target).find(({ name }) => name !== 'a Quarry volume');
  const instead = other ? `it holds ${other.name}` : reason;
  return new CommandError(`${target.path} is not a Quarry volume: ${instead}`);
}
