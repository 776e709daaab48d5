/**
 * One volume, one owner: who works on a target holds its storage, by whatever name it goes.
 *
 *   hold = holdStorage(target, 'exclusive')    refuses with one line that says who has it
 *   … work …
 *   hold.release()                             or the end of the process
 *
 * A hold is a claim (O_EXCL) of a block device, and on each layer below it a lock of the open file
 * description on the range of bytes that the target has of it (storage-layers.ts). Locks are
 * advisory: every command that writes takes them, in the same places, so that a loop device and its
 * file, two loop devices, or two names of a file meet.
 *
 * What others do is seen by the claims of the kernel: a block device below that is mounted, and
 * loop devices over the same bytes that are. Parts of a device that are not known, below a mapped
 * device, are locked for sharing: logical volumes do not exclude each other, and whoever holds the
 * whole does.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { constants as system } from 'node:os';
import { codeOf } from '../common/thrown.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import { addon, native } from '../native.ts';
import { systemPath } from '../path-bytes.ts';
import { blockFacts, devicePath, loopDevices, storageIdOf } from './block-devices.ts';
import { CommandError, targetError } from './failure.ts';
import { deviceId, layersOf, numbersOf, overlap, type StorageLayer } from './storage-layers.ts';
import {
  blockMountOf,
  deviceHolder,
  fileUser,
  isSwap,
  openElsewhere,
  type StorageUser,
} from './storage-users.ts';
import type { Target } from './target.ts';

const { EAGAIN } = system.errno;
const { O_NONBLOCK, O_RDONLY, O_RDWR } = constants;
/** Of Linux; it resolves a path and opens nothing. */
const O_PATH = 0x200000;
const SHARED = 1;
const EXCLUSIVE = 2;

/** `shared` is for who only reads. */
export type HoldMode = 'shared' | 'exclusive';

/** Somebody else has the storage. */
export class StorageInUse extends CommandError {
  override readonly name = 'StorageInUse';

  /** @param directory where it is mounted, if that is known */
  constructor(
    message: string,
    readonly directory: string | undefined,
  ) {
    super(message);
  }
}

/** Locks and claims of one target. */
export class StorageHold {
  readonly #locks: number[];
  #claim: number | undefined;

  constructor(claim: number | undefined, locks: number[]) {
    this.#claim = claim;
    this.#locks = locks;
  }

  /**
   * Lets go of the block device itself, so that the kernel can claim it for a mount. The locks
   * stay.
   */
  releaseClaim(): void {
    if (this.#claim !== undefined) native.closeDevice(this.#claim);
    this.#claim = undefined;
  }

  /** Idempotent. */
  release(): void {
    this.releaseClaim();
    for (const descriptor of this.#locks.splice(0)) closeSync(descriptor);
  }
}

/**
 * Holds the target's storage.
 * @throws StorageInUse; CommandError if it cannot be opened
 */
export function holdStorage(target: Target, mode: HoldMode): StorageHold {
  const layers = layersOf(target.id, target.path, blockFacts);
  refuseUsed(target, layers);
  const locks: number[] = [];
  let claim: number | undefined;
  try {
    claim = claimDevice(target, layers);
    const locked = { target, layers, mode, locks };
    for (const layer of layers) lockLayer(layer, locked);
    return new StorageHold(claim, locks);
  } catch (thrown) {
    new StorageHold(claim, locks).release();
    throw thrown;
  }
}

/** Works on the target while nobody else can. @throws StorageInUse, and what the work throws */
export async function holding<T>(target: Target, mode: HoldMode, work: () => Promise<T>): Promise<T> {
  const hold = holdStorage(target, mode);
  try {
    return await work();
  } finally {
    hold.release();
  }
}

/**
 * Refuses what somebody else holds, as far as can be seen without holding it.
 * @throws StorageInUse
 */
export function requireFreeStorage(target: Target): void {
  const layers = layersOf(target.id, target.path, blockFacts);
  refuseUsed(target, layers);
  const itself = numbersOf(target.id);
  if (itself !== undefined && isClaimed(itself)) throw inUse(target, layers, layers[0]);
  for (const layer of layers) {
    if (isLockedElsewhere(layer)) throw inUse(target, layers, layer);
  }
}

/**
 * Where the target's bytes are mounted, by whatever name; undefined if they are not, or it cannot
 * be seen.
 */
export function mountOf(target: Target): MountRecord | undefined {
  const layers = layersOf(target.id, target.path, blockFacts);
  const { mount } = blockMountOf(layers) ?? {};
  if (mount) return mount;
  const locked = layers.find((layer) => numbersOf(layer.id) === undefined && isLockedElsewhere(layer));
  return locked && fileUser(locked.id, locked.path).mount;
}

/**
 * Loop devices over bytes of the target, used or not: what is written by one way, the others do not
 * see.
 */
export function loopsOver(target: Target): string[] {
  // Nobody to ask what is behind a loop device.
  if (addon === undefined) return [];
  return rivalsOf(layersOf(target.id, target.path, blockFacts)).map(devicePath);
}

/** Loop devices that share bytes with these layers, and are none of them. */
function rivalsOf(layers: readonly StorageLayer[]): string[] {
  return loopDevices().filter((numbers) => {
    const id = deviceId(numbers);
    if (layers.some((layer) => layer.id === id)) return false;
    return overlap(layersOf(id, undefined, blockFacts), layers);
  });
}

/** What the kernel has of these bytes: mounts and claims of others, and swap. */
function refuseUsed(target: Target, layers: readonly StorageLayer[]): void {
  if (blockMountOf(layers)) throw inUse(target, layers, layers[0]);
  if (layers.some(({ id }) => isSwap(id)))
    throw new StorageInUse(`${target.path} is in use as swap: run 'swapoff' first`, undefined);
  for (const numbers of rivalsOf(layers)) {
    if (isClaimed(numbers)) throw inUse(target, layers, layers[0], devicePath(numbers));
  }
  for (const layer of layers) {
    const below = layer.role === 'loop' ? numbersOf(layer.id) : undefined;
    if (below !== undefined && isClaimed(below)) throw inUse(target, layers, layer);
  }
}

/** Whether somebody has this block device for himself. Who may not open it cannot know. */
function isClaimed(deviceNumbers: string): boolean {
  try {
    const options = { readOnly: true, exclusive: true, direct: false };
    native.closeDevice(native.openDevice(devicePath(deviceNumbers), options).descriptor);
    return false;
  } catch (thrown) {
    return codeOf(thrown) === 'EBUSY';
  }
}

function claimDevice(target: Target, layers: readonly StorageLayer[]): number | undefined {
  if (!target.isBlockDevice) return undefined;
  try {
    return native.openDevice(target.path, { readOnly: true, exclusive: true, direct: false }).descriptor;
  } catch (thrown) {
    if (codeOf(thrown) === 'EBUSY') throw inUse(target, layers, layers[0]);
    throw targetError(thrown, target.path);
  }
}

/**
 * Locks of a disk by its partitions, and of slaves by what is made of them, are shared: each has a
 * part of its own.
 */
function kindOf(layer: StorageLayer, mode: HoldMode): 1 | 2 {
  const whole = mode === 'exclusive' && layer.exact && layer.role !== 'partition';
  return whole ? EXCLUSIVE : SHARED;
}

function rangeOf({ startBytes, endBytes }: StorageLayer): [startBytes: number, lengthBytes: number] {
  return [startBytes, Number.isFinite(endBytes) ? endBytes - startBytes : 0];
}

/** Layers of a target that are being locked. */
interface LockedLayers {
  readonly target: Target;
  readonly layers: readonly StorageLayer[];
  readonly mode: HoldMode;
  /** Descriptors of those that are. */
  readonly locks: number[];
}

/**
 * Takes the lock on a layer, if it can be had at all: some host filesystems have none, and some
 * files no path any more.
 */
function lockLayer(layer: StorageLayer, { target, layers, mode, locks }: LockedLayers): void {
  const kind = kindOf(layer, mode);
  // A lock for writing needs a descriptor that may; on what nobody may write, sharing is enough.
  const opened = (kind === EXCLUSIVE ? openLayer(layer, O_RDWR) : undefined) ?? openLayer(layer, O_RDONLY);
  if (opened === undefined) return;
  locks.push(opened.descriptor);
  const had = opened.writable ? kind : SHARED;
  const errno = native.lockDescriptor(opened.descriptor, had, ...rangeOf(layer));
  if (errno === EAGAIN) throw inUse(target, layers, layer);
}

function isLockedElsewhere(layer: StorageLayer): boolean {
  // Nobody can tell without it.
  if (addon === undefined) return false;
  const opened = openLayer(layer, O_RDONLY);
  if (opened === undefined) return false;
  try {
    return addon.isLockedElsewhere(opened.descriptor, kindOf(layer, 'exclusive'), ...rangeOf(layer));
  } finally {
    closeSync(opened.descriptor);
  }
}

interface OpenedLayer {
  readonly descriptor: number;
  readonly writable: boolean;
}

/** Opens what the layer is, which its path may not be any more; undefined if it cannot be had. */
function openLayer(layer: StorageLayer, access: number): OpenedLayer | undefined {
  const numbers = numbersOf(layer.id);
  const usual = numbers === undefined ? [] : [devicePath(numbers)];
  const known = layer.path === undefined ? usual : [...usual, layer.path];
  const writable = access === O_RDWR;
  for (const path of known) {
    const descriptor = openIf(path, access, layer.id);
    if (descriptor !== undefined) return { descriptor, writable };
  }
  for (const path of openElsewhere(layer.id)) {
    const descriptor = openIf(path, access, layer.id);
    if (descriptor !== undefined) return { descriptor, writable };
  }
  return undefined;
}

/** Looks first: a device or a FIFO that is there by now would notice that it is opened. */
function openIf(path: string, access: number, id: string): number | undefined {
  let place: number | undefined;
  try {
    place = openSync(systemPath(path), O_PATH);
    if (storageIdOf(fstatSync(place, { bigint: true })) !== id) return undefined;
    return openSync(`/proc/self/fd/${place}`, access | O_NONBLOCK);
  } catch {
    return undefined;
  } finally {
    if (place !== undefined) closeSync(place);
  }
}

/** The refusal, in words. `layer` is where the other was met, `rival` the device that he has. */
function inUse(
  target: Target,
  layers: readonly StorageLayer[],
  layer: StorageLayer | undefined,
  rival?: string,
): StorageInUse {
  const user = blockMountOf(layers) ?? userOf(layer, rival);
  return new StorageInUse(usedText(target, layer, user), user.mount?.directory);
}

function userOf(layer: StorageLayer | undefined, rival: string | undefined): StorageUser {
  if (rival !== undefined) return { holder: `what holds ${rival}, which has the same bytes` };
  if (layer === undefined) return {};
  if (numbersOf(layer.id) === undefined) return fileUser(layer.id, layer.path);
  const holder = deviceHolder(layer.id);
  return holder === undefined ? {} : { holder };
}

function usedText({ path, id }: Target, layer: StorageLayer | undefined, user: StorageUser): string {
  const { mount, through, holder } = user;
  if (mount) {
    const { directory } = mount;
    const by = through ?? (layer?.id === id ? undefined : layer?.path);
    if (by === undefined) return `${path} is mounted on ${directory}: unmount it first`;
    return `${path} is in use: its bytes are also those of ${by}, which is mounted on ${directory}: unmount that first`;
  }
  if (holder === undefined) return `${path} is in use: unmount it, or stop the program that holds it`;
  return `${path} is in use by ${holder}: unmount or stop that first`;
}
