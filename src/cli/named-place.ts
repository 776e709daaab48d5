/**
 * What a path names for commands that look at a volume from outside or from inside: a target, or a
 * file or directory of a mounted volume, with the target that it lies on.
 *
 * The target of a mount is found by the source in the mount table. That is a text that anybody may
 * choose, so it is believed only when the storage that it names is held by that very mount.
 */
import { statSync } from 'node:fs';
import { codeOf } from '../common/thrown.ts';
import { type MountRecord, mountTable } from '../fuse/mount-table.ts';
import { realPathOf, systemPath } from '../path-bytes.ts';
import { CommandError, targetError } from './failure.ts';
import { isServedByUs } from './mountpoint.ts';
import { mountOf } from './storage-hold.ts';
import { inspectTarget, type Target } from './target.ts';

export interface NamedPlace {
  readonly kind: 'volume' | 'file' | 'directory';
  readonly target: Target;
  /** Where the target is mounted; undefined if it is not, or that cannot be seen. */
  readonly mount: MountRecord | undefined;
  /** Of a file or directory. */
  readonly inode: number;
  /** The file or directory, absolute; the target's own path for a target. */
  readonly path: string;
}

/** The inode of a volume's root directory, as stat(2) tells it. */
const ROOT = 1;

/** A file or directory of a mount; what the mount's volume lies on was not looked at. */
export interface PlaceInMount extends Omit<NamedPlace, 'target'> {
  readonly mount: MountRecord;
}

/** @throws CommandError if nothing of Quarry's is there */
export async function namedPlace(name: string): Promise<NamedPlace> {
  const place = await placeInMount(name);
  if (place !== undefined) return { ...place, target: targetOf(place.mount) };
  const target = inspectTarget(name);
  return { kind: 'volume', target, mount: mountOf(target), inode: ROOT, path: target.path };
}

/**
 * Undefined for what is no file or directory of a mount of Quarry's, and may be a target.
 * @throws CommandError for a directory that is none
 */
export async function placeInMount(name: string): Promise<PlaceInMount | undefined> {
  const found = lookAt(name);
  const { path, isDirectory, isFile, inode } = found;
  const mount = isDirectory || isFile ? await mountAround(found) : undefined;
  if (mount === undefined && isDirectory)
    throw new CommandError(
      `${name} is not in a mount of Quarry: name a directory or file in one, a block device or an image file`,
    );
  const kind = isFile ? 'file' : inode === ROOT ? 'volume' : 'directory';
  return mount && { kind, mount, inode, path };
}

/** A volume by its target or a directory of its mount; a file of a mount is an image. */
export async function namedVolume(name: string): Promise<NamedPlace> {
  const place = await namedPlace(name);
  if (place.kind === 'volume') return place;
  if (place.kind === 'directory')
    throw new CommandError(
      `${name} is a directory in a mount: name the mount, its block device or its image file`,
    );
  const target = inspectTarget(name);
  return { kind: 'volume', target, mount: mountOf(target), inode: ROOT, path: target.path };
}

interface Seen {
  readonly path: string;
  readonly isDirectory: boolean;
  readonly isFile: boolean;
  readonly inode: number;
  /** `major:minor`, as the mount table has them. */
  readonly deviceNumbers: string;
}

function lookAt(name: string): Seen {
  try {
    const path = realPathOf(name);
    const status = statSync(systemPath(path), { bigint: true });
    // As the kernel encodes a dev_t for user space.
    const device = status.dev;
    const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
    const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn & 0xffffffffn);
    return {
      path,
      isDirectory: status.isDirectory(),
      isFile: status.isFile(),
      inode: Number(status.ino),
      deviceNumbers: `${major}:${minor}`,
    };
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOTCONN')
      throw new CommandError(`the daemon of ${name} is gone: name the block device or image file itself`);
    throw targetError(thrown, name);
  }
}

/** The mount of Quarry's that a file or directory is in. */
async function mountAround({ deviceNumbers }: Seen): Promise<MountRecord | undefined> {
  const mount = mountTable().find((record) => record.deviceNumbers === deviceNumbers);
  return mount && (await isServedByUs(mount)) ? mount : undefined;
}

function targetOf(mount: MountRecord): Target {
  const target = sourceTarget(mount.source);
  if (target !== undefined && mountOf(target)?.deviceNumbers === mount.deviceNumbers) return target;
  throw new CommandError(
    `it cannot be seen what is mounted on ${mount.directory}: name the block device or image file itself, or run as root`,
  );
}

function sourceTarget(source: string): Target | undefined {
  try {
    return inspectTarget(source);
  } catch (thrown) {
    if (thrown instanceof CommandError) return undefined;
    throw thrown;
  }
}
