/** Finding the mount that a user means, without touching it: whoever asks a mount whose daemon hangs, hangs as well. */
import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { findMount, type MountRecord } from '../fuse/mount.ts';
import { CommandError } from './failure.ts';
import { mountOf } from './storage-hold.ts';
import { abandonedMountOf } from './storage-users.ts';
import { inspectTarget } from './target.ts';

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** The absolute path of a mountpoint, with symbolic links followed in all but its last part: that one is not touched. */
export function mountpointPath(path: string): string {
  const absolute = resolve(path);
  if (absolute === '/') return absolute;
  return join(realPath(dirname(absolute)) ?? dirname(absolute), basename(absolute));
}

function mountNamed(name: string): MountRecord | undefined {
  const direct = findMount(mountpointPath(name));
  if (direct) return direct;
  const real = realPath(name);
  if (real === undefined) return undefined;
  // Perhaps a symbolic link to the mountpoint, or the target itself is named.
  return findMount(real) ?? mountOfTarget(real);
}

function mountOfTarget(path: string): MountRecord | undefined {
  try {
    return mountOf(inspectTarget(path)) ?? abandonedMountOf(path);
  } catch (thrown) {
    if (thrown instanceof CommandError) return undefined;
    throw thrown;
  }
}

/** Whether a filesystem type in the mount table is Quarry's. */
export function isOurs(type: string): boolean {
  return /^fuse(blk)?\.quarry$/.test(type);
}

/**
 * The topmost mount on a directory, or of a target, that is Quarry's.
 * @param known accepts a mount under another subtype
 * @throws CommandError
 */
export function requireMount(name: string, known: (directory: string) => boolean): MountRecord {
  const mount = mountNamed(name);
  if (!mount)
    throw new CommandError(`${name} is not a mountpoint: 'findmnt -t fuse.quarry,fuseblk.quarry' lists them`);
  if (!isOurs(mount.type) && !known(mount.directory)) {
    throw new CommandError(`${name} is a mount of ${mount.type}, not of Quarry: use umount(8)`);
  }
  return mount;
}
