/**
 * Who uses a storage: for the words of a refusal, and to find the mount of a target. Nothing is
 * ever refused for what is found here: a source in the mount table is a text that anybody can
 * choose, and may have named another file when it was written.
 *
 * Mounts of block devices are found by device number. Who has an image is the process that holds
 * the lock on it (/proc/PID/fdinfo), and its mount is the one its connection has the number of. No
 * path from a mount table is touched.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  connectionOf,
  type MountRecord,
  mountTable,
  ownerOf,
  parseMountinfo,
  unescapeOctal,
} from '../fuse/mount-table.ts';
import { systemPath } from '../path-bytes.ts';
import { blockFacts, devicePath, holdersOf, storageIdOf } from './block-devices.ts';
import { connectionIn, processName, processNumbers, readIfThere } from './processes.ts';
import {
  deviceId,
  layersOf,
  numbersOf,
  overlap,
  type StorageId,
  type StorageLayer,
} from './storage-layers.ts';

/** Who has a storage; all there is to be known of it may be nothing. */
export interface StorageUser {
  /** The mount. */
  readonly mount?: MountRecord;
  /** What is mounted or in use, where it is not the target itself. */
  readonly through?: string;
  /** `name (pid)`, or what else can be said. */
  readonly holder?: string;
}

function isBlockMount({ deviceNumbers }: MountRecord): boolean {
  return !deviceNumbers.startsWith('0:');
}

/** The youngest mount of a block device that shares bytes with these layers. */
export function blockMountOf(layers: readonly StorageLayer[]): StorageUser | undefined {
  const records = mountTable().filter(isBlockMount);
  for (const numbers of new Set(records.map((record) => record.deviceNumbers))) {
    const id = deviceId(numbers);
    if (!overlap(layersOf(id, undefined, blockFacts), layers)) continue;
    const mount = records.findLast((record) => record.deviceNumbers === numbers);
    if (mount) return id === layers[0]?.id ? { mount } : { mount, through: devicePath(numbers) };
  }
  return undefined;
}

/** A process that holds a lock on a file. */
interface LockHolder {
  readonly pid: string;
  /** Its FUSE connections, as the kernel numbers them. */
  readonly connections: readonly number[];
}

/** Other processes, by number. */
function processes(): string[] {
  return processNumbers().filter((pid) => pid !== String(process.pid));
}

/** Number and fdinfo of each descriptor of a process that may be looked at. */
function descriptorsOf(pid: string): [number: string, text: string][] {
  const directory = join('/proc', pid, 'fdinfo');
  try {
    return readdirSync(directory).map((name) => [name, readIfThere(join(directory, name))]);
  } catch {
    return [];
  }
}

/**
 * `8:1 1234` of a line such as `lock: 1: OFDLCK ADVISORY WRITE -1 08:01:1234 0 EOF`, whose numbers
 * are hexadecimal but the inode's.
 */
function lockedFile(fdinfo: string): string | undefined {
  const found = /^lock:.* ([0-9a-f]+):([0-9a-f]+):(\d+) \S+ \S+$/m.exec(fdinfo);
  if (!found) return undefined;
  const [, major = '', minor = '', inode = ''] = found;
  return `${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)} ${inode}`;
}

/** The processes that hold a lock on the file, as far as they may be looked at. */
function lockHolders(id: StorageId): LockHolder[] {
  const file = id.replace(/^file /, '');
  const holders: LockHolder[] = [];
  for (const pid of processes()) {
    const descriptors = descriptorsOf(pid).map(([, text]) => text);
    if (!descriptors.some((text) => lockedFile(text) === file)) continue;
    holders.push({ pid, connections: connectionsIn(descriptors) });
  }
  return holders;
}

function connectionsIn(descriptors: readonly string[]): number[] {
  return descriptors.map(connectionIn).filter((number) => number !== undefined);
}

/**
 * Who has a lock on this file: by its mount, if it has one in this namespace.
 * @param path what the mount table calls it, for where the kernel does not tell the connections of
 * a process
 */
export function fileUser(id: StorageId, path: string | undefined): StorageUser {
  const holders = lockHolders(id);
  const records = mountTable();
  for (const { connections } of holders) {
    const mount = records.findLast((record) => connections.includes(connectionOf(record)));
    if (mount) return { mount };
  }
  const [holder] = holders;
  const named = holder?.connections.length ? undefined : records.findLast((record) => isNamed(record, path));
  if (named) return { mount: named };
  return holder ? { holder: processName(holder.pid) } : {};
}

function isNamed({ type, source }: MountRecord, path: string | undefined): boolean {
  return /^fuse(\.|$)/.test(type) && source === path;
}

/**
 * The mount of our own that names this path and is served by no process that can be seen: its
 * daemon was killed, and holds nothing any more that could be asked.
 */
export function abandonedMountOf(path: string): MountRecord | undefined {
  const own = mountTable().filter(
    (record) => isNamed(record, path) && ownerOf(record).uid === process.geteuid?.(),
  );
  if (own.length === 0) return undefined;
  const served = new Set(
    processes().flatMap((pid) => connectionsIn(descriptorsOf(pid).map(([, text]) => text))),
  );
  return own.findLast((record) => !served.has(connectionOf(record)));
}

/** Filesystems whose files show other device numbers than their mounts. */
const NUMBERED_OTHERWISE: ReadonlySet<string> = new Set(['btrfs', 'overlay']);

/** Whether what is open there can lie on this filesystem, as the table of mounts tells it. */
function mayLieOn(deviceNumbers: string, fdinfo: string, mounts: readonly MountRecord[]): boolean {
  const id = Number(/^mnt_id:\s*(\d+)$/m.exec(fdinfo)?.[1]);
  const mount = mounts.find((record) => record.id === id);
  return mount !== undefined && (mount.deviceNumbers === deviceNumbers || NUMBERED_OTHERWISE.has(mount.type));
}

/**
 * Paths in /proc by which a file can be opened that other processes have open, and that has perhaps
 * no other path any more. What lies on another filesystem is not touched: its server may hang, and
 * a FIFO or a device notices who opens it.
 */
export function openElsewhere(id: StorageId): string[] {
  const [, deviceNumbers, inode] = /^file (\S+) (\d+)$/.exec(id) ?? [];
  if (deviceNumbers === undefined) return [];
  const isIt = new RegExp(`^ino:\\s*${inode}$`, 'm');
  const paths: string[] = [];
  for (const pid of processes()) {
    const same = descriptorsOf(pid).filter(([, text]) => isIt.test(text));
    if (same.length === 0) continue;
    const mounts = parseMountinfo(readIfThere(join('/proc', pid, 'mountinfo')));
    for (const [name, text] of same) {
      if (mayLieOn(deviceNumbers, text, mounts)) paths.push(join('/proc', pid, 'fd', name));
    }
  }
  return paths;
}

/** Who has claimed this block device: what the kernel made of it, if not a mount. */
export function deviceHolder(id: StorageId): string | undefined {
  const [holder] = holdersOf(numbersOf(id) ?? '');
  return holder === undefined ? undefined : devicePath(holder);
}

/** Whether the storage is swap space. */
export function isSwap(id: StorageId): boolean {
  return swapsOf(readIfThere('/proc/swaps')).some((path) => {
    try {
      return storageIdOf(statSync(systemPath(path), { bigint: true })) === id;
    } catch {
      return false;
    }
  });
}

/** The paths in the text of /proc/swaps. */
export function swapsOf(text: string): string[] {
  const lines = text.split('\n').slice(1);
  return lines.map((line) => unescapeOctal(line.split(/\s/)[0] ?? '')).filter((path) => path !== '');
}
