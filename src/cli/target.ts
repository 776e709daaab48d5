/**
 * Targets: block devices and image files, looked at without changing them.
 */
import { accessSync, closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { codeOf } from '../common/thrown.ts';
import type { ByteRange } from '../fs/erase.ts';
import { native } from '../native.ts';
import { realPathOf, systemPath } from '../path-bytes.ts';
import { isReadOnlyDevice, storageIdOf } from './block-devices.ts';
import { CommandError, targetError } from './failure.ts';
import { type FoundSignature, findEdges, findSignatures, type ReadBytes } from './signatures.ts';
import { numbersOf, type StorageId } from './storage-layers.ts';

export interface Target {
  /** Absolute, without symbolic links. */
  readonly path: string;
  readonly isBlockDevice: boolean;
  readonly sizeBytes: number;
  readonly id: StorageId;
}

/**
 * Looks at an existing target.
 * @throws CommandError if it is not there, or neither a block device nor a regular file
 */
export function inspectTarget(name: string): Target {
  try {
    const path = realPathOf(name);
    const status = statSync(systemPath(path), { bigint: true });
    const id = storageIdOf(status);
    if (status.isDirectory()) throw Object.assign(new Error('directory'), { code: 'EISDIR' });
    if (status.isBlockDevice()) return { path, isBlockDevice: true, sizeBytes: deviceSize(path), id };
    if (!status.isFile()) throw Object.assign(new Error('special'), { code: 'ENOTBLK' });
    return { path, isBlockDevice: false, sizeBytes: Number(status.size), id };
  } catch (thrown) {
    throw targetError(thrown, name);
  }
}

function deviceSize(path: string): number {
  const opened = native.openDevice(path, { readOnly: true, exclusive: false, direct: false });
  native.closeDevice(opened.descriptor);
  return opened.sizeBytes;
}

/** Whether nobody can write to it: a device that takes no changes, a file of such a filesystem. */
export function isWriteProtected({ path, id, isBlockDevice }: Target): boolean {
  const numbers = numbersOf(id);
  if (isBlockDevice) return numbers !== undefined && isReadOnlyDevice(numbers);
  try {
    accessSync(systemPath(path), constants.W_OK);
    return false;
  } catch (thrown) {
    return codeOf(thrown) === 'EROFS';
  }
}

/** Gives a reader of the target's bytes to `use`, and closes the target after it. */
export function withReader<T>(path: string, use: (read: ReadBytes) => T): T {
  // A FIFO that somebody has put there meanwhile must not make us wait.
  const descriptor = openSync(systemPath(path), constants.O_RDONLY | constants.O_NONBLOCK);
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

/** What is not zero at the ends of a volume of this size on the target. @throws CommandError */
export function edgesOf(target: Target, sizeBytes: number): ByteRange[] {
  try {
    return withReader(target.path, (read) => findEdges(read, sizeBytes));
  } catch (thrown) {
    throw targetError(thrown, target.path);
  }
}

/** What was opened must be what was looked at. @throws CommandError if it is another by now */
export function requireSame({ path, id }: Target, descriptor: number): void {
  if (storageIdOf(fstatSync(descriptor, { bigint: true })) !== id) {
    throw new CommandError(`${path} is another by now than when it was looked at: try again`);
  }
}

/** Throws unless the target can be read: a clear word before anything else is tried. */
export function requireReadable(target: Target): void {
  try {
    withReader(target.path, () => {});
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
