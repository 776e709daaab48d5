/**
 * The device of a target for whoever works on a volume without mounting it, by either engine:
 * `native` is O_DIRECT through the kernel's asynchronous I/O, with the storage held against all
 * others (storage-hold.ts); `fs` is node:fs, for where the addon is not.
 *
 * Without the addon nothing can be locked: whoever opens one image twice then is not refused.
 */
import { ftruncateSync } from 'node:fs';
import type { Device } from '../aio/device.ts';
import { addon } from '../native.ts';
import { systemPath } from '../path-bytes.ts';
import { StoreDevice } from '../program/stores/block-store.ts';
import { openFileStore } from '../program/stores/file-store.ts';
import { targetError } from './failure.ts';
import { type HoldMode, holding, holdStorage } from './storage-hold.ts';
import { requireSame, type Target } from './target.ts';

export type StorageEngine = 'native' | 'fs';

/** The engine that there is. */
export const USUAL_ENGINE: StorageEngine = addon === undefined ? 'fs' : 'native';

/** The engine for a command: a block device is not touched by who cannot see who else uses it. */
export function engineFor({ isBlockDevice }: Target): StorageEngine {
  return isBlockDevice ? 'native' : USUAL_ENGINE;
}

export interface StorageOptions {
  readonly readOnly: boolean;
  readonly engine: StorageEngine;
  /** Throws for a device that is not wanted, before anything is changed. */
  readonly accept?: (device: Device) => void;
  /** Of an image file, which gets it. */
  readonly lengthBytes?: number;
  readonly onClosed?: () => void;
}

/** Opens a target that is held. @throws CommandError, and what the system says */
export async function openStorage(target: Target, options: StorageOptions): Promise<Device> {
  return options.engine === 'native' ? openNative(target, options) : openByFile(target, options);
}

async function openNative(target: Target, options: StorageOptions): Promise<Device> {
  const { readOnly, accept, lengthBytes, onClosed } = options;
  const { openTarget } = await import('./open-target.ts');
  const held = { exclusive: false, allowBuffered: true, ...(onClosed && { onClosed }) };
  const device = openTarget(target, { readOnly, ...held });
  try {
    accept?.(device);
    if (lengthBytes !== undefined) device.resizeFile(lengthBytes);
    return device;
  } catch (thrown) {
    await device.close();
    throw thrown;
  }
}

async function openByFile(target: Target, options: StorageOptions): Promise<Device> {
  const { readOnly, accept, lengthBytes, onClosed } = options;
  const store = await openFileStore(systemPath(target.path), {
    readOnly,
    inspect: (descriptor) => {
      requireSame(target, descriptor);
      if (lengthBytes !== undefined) ftruncateSync(descriptor, lengthBytes);
    },
    ...(onClosed && { onClosed }),
  });
  const device = new StoreDevice(store);
  try {
    accept?.(device);
    return device;
  } catch (thrown) {
    await device.close();
    throw thrown;
  }
}

/** Opens the target for looking at it, whoever else uses it. @throws CommandError */
export async function openForReading(target: Target): Promise<Device> {
  try {
    return await openStorage(target, { readOnly: true, engine: engineFor(target) });
  } catch (thrown) {
    throw targetError(thrown, target.path);
  }
}

function canHold(engine: StorageEngine): boolean {
  return engine === 'native' || addon !== undefined;
}

/** Works on the target while nobody else can, where that can be seen to. @throws StorageInUse */
export function holdingStorage<T>(
  target: Target,
  mode: HoldMode,
  engine: StorageEngine,
  work: () => Promise<T>,
): Promise<T> {
  return canHold(engine) ? holding(target, mode, work) : work();
}

/** Opens the target and holds it until the device is closed. @throws StorageInUse, CommandError */
export async function openHeldStorage(
  target: Target,
  { readOnly, engine }: Pick<StorageOptions, 'readOnly' | 'engine'>,
): Promise<Device> {
  const hold = canHold(engine) ? holdStorage(target, readOnly ? 'shared' : 'exclusive') : undefined;
  try {
    return await openStorage(target, { readOnly, engine, onClosed: () => hold?.release() });
  } catch (thrown) {
    hold?.release();
    throw thrown;
  }
}
