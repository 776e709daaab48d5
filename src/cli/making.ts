/**
 * A volume made on a block device or image file, whoever asks for it.
 *
 * Everything is judged before the first byte is written: geometry, what the target holds, who uses
 * it. Only then is a missing image made, old signatures are wiped, and the volume is written.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, ftruncateSync, openSync, unlinkSync } from 'node:fs';
import type { Device } from '../aio/device.ts';
import { printable } from '../common/printable.ts';
import type { Clock } from '../fs/base/clock.ts';
import type { ByteRange } from '../fs/erase.ts';
import { MAX_BLOCK_BYTES, MAX_LABEL_BYTES } from '../fs/format/format.ts';
import {
  defaultJournalBlocks,
  type Layout,
  MIN_JOURNAL_BLOCKS,
  MIN_SPACE_BLOCKS,
  powerOfTwoUpTo,
} from '../fs/format/layout.ts';
import { NAME_SECRET_BYTES } from '../fs/format/name-hash.ts';
import { formatVolume, planFormat } from '../fs/mkfs.ts';
import { systemPath } from '../path-bytes.ts';
import { CommandError, targetError, UsageError } from './failure.ts';
import { requireOverwritable } from './overwrite.ts';
import { requireFileSize } from './process-limits.ts';
import { formatSize } from './sizes.ts';
import { edgesOf, inspectTarget, type Target } from './target.ts';
import { holdingStorage, openStorage, type StorageEngine } from './volume-storage.ts';

/** What the volume is to be. */
export interface VolumePlan {
  /** Of the volume; undefined = all of the target. */
  readonly sizeBytes: number | undefined;
  readonly blockBytes: number;
  readonly journalBytes: number | undefined;
  readonly label: string;
  readonly uuid: Uint8Array;
  readonly features: ReadonlySet<string>;
  /** What is random in it; by default it is. */
  readonly secrets?: VolumeSecrets | undefined;
  /** Owner of the root directory; by default the user. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  readonly clock?: Clock | undefined;
}

export interface VolumeSecrets {
  /** 8 bytes. */
  readonly journalSalt: Uint8Array;
  /** `NAME_SECRET_BYTES`. */
  readonly nameSecret: Uint8Array;
}

/** How it is made. */
export interface MakingOptions {
  readonly force: boolean;
  /** A block device keeps what it held where nothing is written. */
  readonly keepBlocks: boolean;
  readonly engine: StorageEngine;
  /** Puts into the new volume what is to be in it; may close the device. */
  readonly fill?: ((device: Device) => Promise<void>) | undefined;
  /** Told how much of a device has been told that it is free, in bytes. */
  readonly progress?: (done: number, total: number) => void;
}

/** @throws UsageError */
export function requireLabel(label: string): void {
  if (Buffer.byteLength(label) > MAX_LABEL_BYTES) {
    throw new UsageError(`the label has ${Buffer.byteLength(label)} bytes, ${MAX_LABEL_BYTES} are the most`);
  }
  if (printable(label) !== label) throw new UsageError('the label holds a control character');
}

/** Version 4, variant of RFC 9562. */
export function randomUuid(): Uint8Array {
  const uuid = new Uint8Array(randomBytes(16));
  uuid[6] = ((uuid[6] ?? 0) & 0x0f) | 0x40;
  uuid[8] = ((uuid[8] ?? 0) & 0x3f) | 0x80;
  return uuid;
}

/**
 * Superblock, journal, volume root, space and backup at their least; a senseless block size is left
 * to the layout.
 */
function requireRoom(sizeBytes: number, blockBytes: number): void {
  const least = (MIN_JOURNAL_BLOCKS + MIN_SPACE_BLOCKS + 3) * blockBytes;
  if (blockBytes > MAX_BLOCK_BYTES || sizeBytes >= least) return;
  throw new CommandError(
    `${formatSize(sizeBytes)} are too small: with blocks of ${blockBytes} bytes a volume needs ${formatSize(least)}`,
  );
}

/** The layout that is asked for. @throws CommandError where no volume comes of it */
export function planVolume(plan: VolumePlan, sizeBytes: number): Layout {
  const { blockBytes, journalBytes } = plan;
  requireRoom(sizeBytes, blockBytes);
  if (journalBytes !== undefined && journalBytes % blockBytes !== 0) {
    throw new UsageError(`--journal-size is not a multiple of the block size, ${blockBytes}`);
  }
  const journalBlocks =
    journalBytes === undefined
      ? defaultJournalBlocks(blockBytes, Math.floor(sizeBytes / blockBytes))
      : powerOfTwoUpTo(Math.max(1, journalBytes / blockBytes));
  try {
    return planFormat(sizeBytes, { blockBytes, journalBlocks });
  } catch (thrown) {
    if (thrown instanceof RangeError) throw new CommandError(thrown.message, { cause: thrown });
    throw thrown;
  }
}

/** The size of the volume on an existing target. @throws CommandError */
function sizeOn(target: Target, { sizeBytes }: VolumePlan): number {
  if (sizeBytes === undefined) {
    if (target.sizeBytes > 0) return target.sizeBytes;
    throw new CommandError(`${target.path} is empty: give the volume a size, such as --size 1G`);
  }
  if (target.isBlockDevice && sizeBytes > target.sizeBytes) {
    throw new CommandError(`--size ${formatSize(sizeBytes)} is more than ${target.path} has`);
  }
  return sizeBytes;
}

/** Of what could not be made, nothing stays. */
export function removeImage(path: string): void {
  try {
    unlinkSync(systemPath(path));
  } catch {
    // The first error is the one to tell.
  }
}

/** Makes an image file that is not there yet. @throws what open(2) says */
export function createImage(path: string, sizeBytes: number): void {
  const descriptor = openSync(systemPath(path), 'wx', 0o666);
  try {
    ftruncateSync(descriptor, sizeBytes);
  } catch (thrown) {
    removeImage(path);
    throw thrown;
  } finally {
    closeSync(descriptor);
  }
}

/** What a plan says to mkfs. The device's own size where it has none. */
export function formatOptions(plan: VolumePlan, layout: Layout) {
  const { secrets, owner, clock } = plan;
  return {
    blockBytes: plan.blockBytes,
    journalBlocks: layout.journalBlocks,
    label: plan.label,
    uuid: plan.uuid,
    features: plan.features,
    journalSalt: secrets?.journalSalt ?? new Uint8Array(randomBytes(8)),
    nameSecret: secrets?.nameSecret ?? new Uint8Array(randomBytes(NAME_SECRET_BYTES)),
    uid: owner?.uid ?? process.getuid?.() ?? 0,
    gid: owner?.gid ?? process.getgid?.() ?? 0,
    sizeBytes: layout.blockCount * layout.blockBytes,
    ...(clock && { clock }),
  };
}

/** @throws CommandError where the blocks would be smaller than sectors */
function requireSectors(device: Device, { blockBytes }: VolumePlan, path: string): void {
  if (blockBytes >= device.sectorBytes) return;
  throw new CommandError(
    `blocks of ${blockBytes} bytes are smaller than the sectors of ${path}: use --block-size ${device.sectorBytes}`,
  );
}

/**
 * Makes the volume, and an image as long as it. What is stale is wiped wherever it is, also behind
 * a volume that takes a part of the device only.
 */
async function format(
  target: Target,
  plan: VolumePlan,
  sizeBytes: number,
  options: MakingOptions & { readonly stale: readonly ByteRange[] },
): Promise<Layout> {
  const layout = planVolume(plan, sizeBytes);
  const device = await openStorage(target, {
    readOnly: false,
    engine: options.engine,
    accept: (opened) => requireSectors(opened, plan, target.path),
    ...(!target.isBlockDevice && sizeBytes !== target.sizeBytes && { lengthBytes: sizeBytes }),
  });
  try {
    const made = await formatVolume(device, {
      ...formatOptions(plan, layout),
      sizeBytes,
      stale: options.stale,
      // An image file may have been given its space on purpose.
      discard: target.isBlockDevice && !options.keepBlocks,
      ...(options.progress && { progress: options.progress }),
    });
    await options.fill?.(device);
    return made;
  } finally {
    await device.close();
  }
}

async function makeOnNewImage(path: string, plan: VolumePlan, options: MakingOptions): Promise<Layout> {
  const { sizeBytes } = plan;
  if (sizeBytes === undefined) {
    throw new CommandError(`${path} does not exist: give --size, such as --size 1G, to make an image file`);
  }
  planVolume(plan, sizeBytes);
  requireFileSize(path, sizeBytes);
  createImage(path, sizeBytes);
  try {
    const target = inspectTarget(path);
    return await holdingStorage(target, 'exclusive', options.engine, () =>
      format(target, plan, sizeBytes, { ...options, stale: [] }),
    );
  } catch (thrown) {
    removeImage(path);
    throw thrown;
  }
}

async function makeOnExisting(target: Target, plan: VolumePlan, options: MakingOptions): Promise<Layout> {
  const sizeBytes = sizeOn(target, plan);
  planVolume(plan, sizeBytes);
  if (!target.isBlockDevice) requireFileSize(target.path, sizeBytes);
  return await holdingStorage(target, 'exclusive', options.engine, async () => {
    const signatures = requireOverwritable(target, options.force);
    const stale = [...signatures, ...edgesOf(target, sizeBytes)];
    return await format(target, plan, sizeBytes, { ...options, stale });
  });
}

/**
 * Makes the volume at an absolute path.
 * @param name the path as it was given, for messages
 * @throws CommandError
 */
export async function makeVolume(
  path: string,
  name: string,
  plan: VolumePlan,
  options: MakingOptions,
): Promise<Layout> {
  try {
    return existsSync(systemPath(path))
      ? await makeOnExisting(inspectTarget(path), plan, options)
      : await makeOnNewImage(path, plan, options);
  } catch (thrown) {
    throw targetError(thrown, name);
  }
}
