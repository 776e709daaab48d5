/**
 * Finding the mount that a user means, without touching it: whoever asks a mount whose daemon
 * hangs, hangs as well.
 */
import { basename, dirname, join } from 'node:path';
import { coversOf, findMount, type MountRecord, mountTable, ownerOf } from '../fuse/mount-table.ts';
import { absolutePath, realPathOf } from '../path-bytes.ts';
import { identify, NoAnswerError } from './ask-mount.ts';
import { CommandError } from './failure.ts';
import { mountOf } from './storage-hold.ts';
import { abandonedMountOf } from './storage-users.ts';
import { inspectTarget } from './target.ts';
import { readVolumeHead } from './volume-head.ts';

function realPath(path: string): string | undefined {
  try {
    return realPathOf(path);
  } catch {
    return undefined;
  }
}

/**
 * The absolute path of a mountpoint, with symbolic links followed in all but its last part: that
 * one is not touched.
 */
export function mountpointPath(path: string): string {
  const absolute = absolutePath(path);
  if (absolute === '/') return absolute;
  return join(realPath(dirname(absolute)) ?? dirname(absolute), basename(absolute));
}

/**
 * The topmost mount on a directory, or the one of a target; undefined if there is none.
 * @throws CommandError if it is covered
 */
export function mountNamed(name: string): MountRecord | undefined {
  const direct = findMount(mountpointPath(name));
  if (direct) return direct;
  const real = realPath(name);
  if (real === undefined) return undefined;
  // Perhaps a symbolic link to the mountpoint, or the target itself is named.
  return findMount(real) ?? mountOfTarget(real);
}

function mountOfTarget(path: string): MountRecord | undefined {
  const mount = servedMountOf(path);
  const cover = mount && coversOf(mountTable(), mount).at(-1);
  if (!mount || !cover) return mount;
  throw new CommandError(
    `${path} is mounted on ${mount.directory}, below another mount (${cover.type} of ${cover.source} on ${cover.directory}): unmount that first`,
  );
}

/**
 * By the bytes of the target: what the mount table calls a source is a text that anybody can
 * choose.
 */
function servedMountOf(path: string): MountRecord | undefined {
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
 * Whether the mount is root's or of the user who asks: what it says of its source can be believed
 * then.
 */
export function isOwn(mount: MountRecord): boolean {
  const { uid } = ownerOf(mount);
  return uid === 0 || uid === process.geteuid?.();
}

function isFuse(type: string): boolean {
  return /^fuse(blk)?(\.|$)/.test(type);
}

function holdsVolume(path: string): boolean {
  try {
    readVolumeHead(inspectTarget(path));
    return true;
  } catch (thrown) {
    if (thrown instanceof CommandError) return false;
    throw thrown;
  }
}

/**
 * Whether a mount is Quarry's as far as can be told without asking it: by its type, or, where
 * another subtype was chosen, by the volume that its source is, if that can be believed.
 */
export function looksOurs(mount: MountRecord): boolean {
  return isOurs(mount.type) || (isFuse(mount.type) && isOwn(mount) && holdsVolume(mount.source));
}

async function answersAsOurs(mount: MountRecord): Promise<boolean> {
  if (!isFuse(mount.type)) return false;
  try {
    await identify(mount);
    return true;
  } catch (thrown) {
    if (!(thrown instanceof NoAnswerError)) throw thrown;
    // A daemon that was killed, or is stopped, says nothing.
    return thrown.reason !== 'refused' && thrown.reason !== 'foreign' && looksOurs(mount);
  }
}

/**
 * Whether a mount is Quarry's: by its type, or, where another subtype was chosen, by its answer, or
 * by its source if it cannot answer.
 */
export async function isServedByUs(mount: MountRecord): Promise<boolean> {
  return isOurs(mount.type) || (await answersAsOurs(mount));
}

/**
 * The topmost mount on a directory, or of a target, that is Quarry's, as `isServedByUs` has it.
 * @throws CommandError
 */
export async function requireMount(name: string): Promise<MountRecord> {
  const mount = mountNamed(name);
  if (!mount)
    throw new CommandError(`${name} is not a mountpoint: 'findmnt -t fuse.quarry,fuseblk.quarry' lists them`);
  if (!(await isServedByUs(mount))) {
    throw new CommandError(`${name} is a mount of ${mount.type}, not of Quarry: use umount(8)`);
  }
  return mount;
}
