/**
 * Whose bytes a target's bytes are. A loop device shows those of a file, a partition those of a
 * disk, a mapped device those of its slaves; so one volume can be reached by many names. What
 * counts is the storage below: each layer down to the last, by its identity and the range of bytes
 * that the target has of it.
 *
 *   /dev/loop1p1 ── /dev/loop1, from 1 MiB ── disk.img, from 1 MiB
 *
 * Two targets are one where they share bytes of a layer. Two loop devices over different parts of
 * one file are two. Pure: what the system knows of a block device comes from block-devices.ts, or
 * from a test.
 */

/** `file 8:1 1234`, device and inode of a file, or `device 7:0`. */
export type StorageId = string;

export function fileId(deviceNumbers: string, inode: bigint): StorageId {
  return `file ${deviceNumbers} ${inode}`;
}

export function deviceId(deviceNumbers: string): StorageId {
  return `device ${deviceNumbers}`;
}

/** `major:minor` of the block device that an id names; undefined for a file. */
export function numbersOf(id: StorageId): string | undefined {
  return /^device (.*)$/.exec(id)?.[1];
}

/** What a block device is made of. */
export interface BlockFacts {
  readonly partition?: { readonly disk: string; readonly startBytes: number; readonly sizeBytes: number };
  readonly loop?: {
    readonly backing: StorageId;
    /** Where the backing file was when the device was made; it may be another by now. */
    readonly path: string | undefined;
    readonly offsetBytes: number;
    /** 0 for all that is there. */
    readonly limitBytes: number;
  };
  /** `major:minor` of the devices that a mapper or RAID driver made it of. */
  readonly slaves: readonly string[];
}

/** @param deviceNumbers `major:minor` */
export type FactsOf = (deviceNumbers: string) => BlockFacts;

/** How the layer above came to it. */
export type LayerRole = 'itself' | 'partition' | 'loop' | 'slave';

export interface StorageLayer {
  readonly id: StorageId;
  readonly role: LayerRole;
  /**
   * A path by which it may be opened, to be checked; undefined for what is found by its device
   * number.
   */
  readonly path: string | undefined;
  readonly startBytes: number;
  /** Infinity: to the end, wherever that is. */
  readonly endBytes: number;
  /** All of these bytes are the target's. Of what lies below a mapped device, only some may be. */
  readonly exact: boolean;
}

/** More layers than anybody stacks. */
const MOST_LAYERS = 64;

/** The target and all that is below it, from the top. */
export function layersOf(id: StorageId, path: string | undefined, facts: FactsOf): StorageLayer[] {
  const layers: StorageLayer[] = [
    { id, role: 'itself', path, startBytes: 0, endBytes: Number.POSITIVE_INFINITY, exact: true },
  ];
  for (let at = 0; at < layers.length && layers.length < MOST_LAYERS; at++) {
    const layer = layers[at];
    if (layer) layers.push(...below(layer, facts));
  }
  return layers;
}

function below(layer: StorageLayer, facts: FactsOf): StorageLayer[] {
  const numbers = numbersOf(layer.id);
  if (numbers === undefined) return [];
  const { partition, loop, slaves } = facts(numbers);
  if (loop) {
    const limit = loop.limitBytes || Number.POSITIVE_INFINITY;
    const { backing, path, offsetBytes } = loop;
    return [{ ...part(layer, offsetBytes, limit), id: backing, role: 'loop', path }];
  }
  if (partition) {
    const { disk, startBytes, sizeBytes } = partition;
    return [
      { ...part(layer, startBytes, sizeBytes), id: deviceId(disk), role: 'partition', path: undefined },
    ];
  }
  const whole = { startBytes: 0, endBytes: Number.POSITIVE_INFINITY, path: undefined, exact: false };
  return slaves.map((slave) => ({ ...whole, id: deviceId(slave), role: 'slave' }));
}

/** The layer's range, as bytes of a layer that has the upper one from `offsetBytes` on. */
function part(
  layer: StorageLayer,
  offsetBytes: number,
  limitBytes: number,
): Pick<StorageLayer, 'startBytes' | 'endBytes' | 'exact'> {
  const startBytes = offsetBytes + layer.startBytes;
  const endBytes = offsetBytes + Math.min(layer.endBytes, limitBytes);
  return { startBytes, endBytes, exact: layer.exact };
}

/** Two mapped devices on one slave are taken for different parts of it, as logical volumes are. */
function meet(one: StorageLayer, other: StorageLayer): boolean {
  const maySay = one.exact || other.exact;
  return maySay && one.id === other.id && one.startBytes < other.endBytes && other.startBytes < one.endBytes;
}

/** Whether two targets share bytes. */
export function overlap(some: readonly StorageLayer[], others: readonly StorageLayer[]): boolean {
  return some.some((one) => others.some((other) => meet(one, other)));
}
