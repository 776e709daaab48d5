/** Finding the mount that a user means, without touching it: whoever asks a mount whose daemon hangs, hangs as well. */
import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { findMount, type MountRecord, mountTable } from '../fuse/mount.ts';
import { coversOf, ownerOf } from '../fuse/mount-table.ts';
import { identify, NoAnswerError } from './ask-mount.ts';
import { CommandError } from './failure.ts';

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

/** Anybody may write any source into the table for a mount of his own: only root, the caller and the target's owner are believed. */
function mountOfTarget(target: string): MountRecord | undefined {
  const believed = new Set([0, process.geteuid?.(), ownerIdOf(target)]);
  const mount = mountTable().findLast(
    (record) => record.source === target && isOurs(record.type) && believed.has(ownerOf(record).uid),
  );
  const cover = mount && coversOf(mountTable(), mount).at(-1);
  if (!mount || !cover) return mount;
  throw new CommandError(
    `${target} is mounted on ${mount.directory}, below another mount (${cover.type} of ${cover.source} on ${cover.directory}): unmount that first`,
  );
}

function ownerIdOf(path: string): number | undefined {
  try {
    return statSync(path).uid;
  } catch {
    return undefined;
  }
}

/** The topmost mount on a directory, or the one of a target; undefined if there is none. @throws CommandError if it is covered */
export function mountNamed(name: string): MountRecord | undefined {
  const direct = findMount(mountpointPath(name));
  if (direct) return direct;
  const real = realPath(name);
  if (real === undefined) return undefined;
  // Perhaps a symbolic link to the mountpoint, or the target itself is named.
  return findMount(real) ?? mountOfTarget(real);
}

/** Whether a filesystem type in the mount table is Quarry's. */
export function isOurs(type: string): boolean {
  return /^fuse(blk)?\.quarry$/.test(type);
}

async function answersAsOurs(mount: MountRecord): Promise<boolean> {
  if (!/^fuse(blk)?(\.|$)/.test(mount.type)) return false;
  try {
    await identify(mount);
    return true;
  } catch (thrown) {
    if (thrown instanceof NoAnswerError) return false;
    throw thrown;
  }
}

/**
 * The topmost mount on a directory, or of a target, that is Quarry's: by its type, or by its answer where another subtype was chosen.
 * @throws CommandError
 */
export async function requireMount(name: string): Promise<MountRecord> {
  const mount = mountNamed(name);
  if (!mount)
    throw new CommandError(`${name} is not a mountpoint: 'findmnt -t fuse.quarry,fuseblk.quarry' lists them`);
  if (!isOurs(mount.type) && !(await answersAsOurs(mount))) {
    throw new CommandError(`${name} is a mount of ${mount.type}, not of Quarry: use umount(8)`);
  }
  return mount;
}
