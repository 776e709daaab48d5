/**
 * A volume that grows, and its image file with it: for `quarry resize`, and for the daemon that it
 * asks.
 *
 * Whatever can be refused is refused before the file is made longer. A growth that failed leaves
 * the file as long as it was, unless the superblock speaks of more by then.
 */
import { fstatSync } from 'node:fs';
import type { KernelDevice } from '../aio/kernel-device.ts';
import { inspectSuperblock } from '../check/superblock-pass.ts';
import { SUPERBLOCK_BYTES } from '../fs/format/format.ts';
import { type Geometry, Layout } from '../fs/format/layout.ts';
import { CommandError, targetError } from './failure.ts';
import { requireFileSize } from './process-limits.ts';
import { formatSize } from './sizes.ts';
import { withReader } from './target.ts';

/** Sizes of a volume before and after, in bytes. */
export interface Resized {
  readonly before: number;
  readonly after: number;
}

/** What a volume must be to grow, as far as the volume is concerned. */
interface Growing {
  readonly layout: Geometry;
  /** It takes no changes, … */
  readonly readOnly: boolean;
  /** … and does again at the first one. */
  readonly resting: boolean;
  readonly failureInWords: string;
  grow(sizeBytes: number): Promise<void>;
}

/** What is below a device, if it follows the volume. */
interface Backing {
  extend(sizeBytes: number): Promise<() => Promise<void>>;
}

/**
 * Lets the volume grow to this size, and its image file with it, or to all that the device has. A
 * part of a block is left out.
 * @throws CommandError
 */
export async function growVolume(
  volume: Growing,
  device: KernelDevice,
  sizeBytes: number | null,
  backing?: Backing,
): Promise<Resized> {
  const before = bytesOf(volume.layout);
  requireChangeable(volume, device);
  attempt(device.path, () => device.remeasure());
  const wanted = plannedSize(volume.layout, sizeBytes ?? device.sizeBytes, device.path);
  if (wanted < before) {
    const has = `${device.path} has ${formatSize(before)}`;
    throw new CommandError(`${has}, and becomes smaller only while it is not mounted`);
  }
  const follows = wanted > device.sizeBytes ? backing : undefined;
  const takeBack = follows ? await follows.extend(wanted) : extend(device, wanted);
  if (backing) attempt(device.path, () => device.remeasure());
  try {
    await volume.grow(wanted);
  } catch (thrown) {
    if (bytesOf(volume.layout) === before && superblockBytes(device) <= before) await takeBack();
    throw growthError(thrown, volume, device.path);
  }
  return { before, after: bytesOf(volume.layout) };
}

/**
 * The size, rounded down to whole blocks, of a volume with these blocks and this journal.
 * @throws CommandError if no volume has it
 */
export function plannedSize(geometry: Geometry, sizeBytes: number, path: string): number {
  const { blockBytes, journalBlocks } = geometry;
  const blockCount = Math.floor(sizeBytes / blockBytes);
  try {
    return bytesOf(new Layout({ blockBytes, blockCount, journalBlocks }));
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    throw new CommandError(`${path}: ${thrown.message}`, { cause: thrown });
  }
}

export function bytesOf({ blockCount, blockBytes }: Geometry): number {
  return blockCount * blockBytes;
}

/** @throws CommandError for a volume that takes no changes */
export function requireChangeable(
  { readOnly, resting, failureInWords }: Pick<Growing, 'readOnly' | 'resting' | 'failureInWords'>,
  device: KernelDevice,
): void {
  if (!readOnly || resting) return;
  const { path } = device;
  if (device.readOnly) throw new CommandError(`${path} is read-only here, and keeps its size`);
  if (failureInWords !== '') throw new CommandError(`${path} takes no changes any more: ${failureInWords}`);
  throw new CommandError(`${path} is damaged: run 'quarry fsck' on it`);
}

/**
 * Makes an image file as long as its volume is to be.
 * @returns what takes that back
 * @throws CommandError if it cannot be; then it is as it was
 */
function extend(device: KernelDevice, sizeBytes: number): () => void {
  const { path, isBlockDevice } = device;
  if (sizeBytes <= device.sizeBytes) return () => {};
  if (isBlockDevice) throw new CommandError(`${path} has no more than ${formatSize(device.sizeBytes)}`);
  requireFileSize(path, sizeBytes);
  const before = fstatSync(device.descriptor).size;
  attempt(path, () => device.resizeFile(sizeBytes));
  return () => device.resizeFile(before);
}

function attempt(path: string, work: () => void): void {
  try {
    work();
  } catch (thrown) {
    throw targetError(thrown, path);
  }
}

/**
 * What the superblock on disk says that the volume has; it may be more after a growth that failed.
 */
function superblockBytes({ descriptor }: KernelDevice): number {
  const bytes = withReader(`/proc/self/fd/${descriptor}`, (read) => read(0, SUPERBLOCK_BYTES));
  const found = inspectSuperblock(bytes);
  return typeof found === 'string' ? Number.POSITIVE_INFINITY : bytesOf(found.layout);
}

function growthError(thrown: unknown, { failureInWords }: Growing, path: string): Error {
  if (failureInWords === '') return targetError(thrown, path);
  return new CommandError(`${path} takes no changes any more: ${failureInWords}`, { cause: thrown });
}
