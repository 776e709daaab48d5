/**
 * A volume that grows, and its image file with it: for `quarry resize`, and for the daemon that it
 * asks.
 */
import type { AioDevice } from '../aio/aio-device.ts';
import { CommandError } from './failure.ts';
import { formatSize } from './sizes.ts';

/** Sizes of a volume before and after, in bytes. */
export interface Resized {
  readonly before: number;
  readonly after: number;
}

/** What a volume must be to grow, as far as the volume is concerned. */
interface Growing {
  readonly layout: { readonly blockCount: number; readonly blockBytes: number };
  grow(sizeBytes: number): Promise<void>;
}

/**
 * Lets the volume grow to this size, and its image file with it, or to all that the device has.
 * @throws CommandError, FsError
 */
export async function growVolume(
  volume: Growing,
  device: AioDevice,
  sizeBytes: number | null,
): Promise<Resized> {
  const { blockBytes } = volume.layout;
  const sizeOf = () => volume.layout.blockCount * blockBytes;
  const before = sizeOf();
  device.remeasure(sizeBytes ?? 0);
  const wanted = sizeBytes ?? device.sizeBytes;
  if (wanted < before) {
    throw new CommandError(`it has ${formatSize(before)}, and a volume does not become smaller`);
  }
  if (wanted > device.sizeBytes) {
    throw new CommandError(`${device.path} has no more than ${formatSize(device.sizeBytes)}`);
  }
  try {
    await volume.grow(wanted);
  } catch (thrown) {
    if (thrown instanceof RangeError) throw new CommandError(thrown.message, { cause: thrown });
    throw thrown;
  }
  return { before, after: sizeOf() };
}
