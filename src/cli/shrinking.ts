/**
 * A volume that shrinks, and its image file with it: for `quarry resize` of what is not mounted.
 *
 * The file is cut when the volume has its new size for good.
 */
import type { KernelDevice } from '../aio/kernel-device.ts';
import { FsError } from '../fs/base/errors.ts';
import type { Volume } from '../fs/volume.ts';
import { CommandError, targetError } from './failure.ts';
import { bytesOf, type Resized, requireChangeable } from './growing.ts';
import { formatSize } from './sizes.ts';

/**
 * Lets the volume shrink to this size, which is whole blocks, and its image file with it.
 * @throws CommandError; what was there is there
 */
export async function shrinkVolume(
  volume: Volume,
  device: KernelDevice,
  sizeBytes: number,
  progress?: (done: number, total: number) => void,
): Promise<Resized> {
  const before = bytesOf(volume.layout);
  requireChangeable(volume, device);
  try {
    await volume.shrink(sizeBytes, progress);
  } catch (thrown) {
    throw await shrinkError(thrown, volume, device.path);
  }
  if (!device.isBlockDevice) device.resizeFile(sizeBytes);
  return { before, after: bytesOf(volume.layout) };
}

async function shrinkError(thrown: unknown, volume: Volume, path: string): Promise<Error> {
  const { failureInWords } = volume;
  if (failureInWords !== '')
    return new CommandError(`${path} takes no changes any more: ${failureInWords}`, { cause: thrown });
  if (!(thrown instanceof FsError && thrown.code === 'ENOSPC')) return targetError(thrown, path);
  const least = formatSize(await volume.leastSizeBytes());
  return new CommandError(`${path}: what is in it needs ${least} or a little more`, { cause: thrown });
}
