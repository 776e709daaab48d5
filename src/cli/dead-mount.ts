/**
 * Mounts that nobody serves any more: their daemon was killed, and each call into them ends with
 * ENOTCONN.
 *
 * Such a mount is taken away by whoever mounts there again, or asks for its end. Only one that
 * surely is dead is touched: the topmost mount at exactly this place is Quarry's by its type, or by
 * the volume that is its source, and the kernel says that its connection is gone when it is asked
 * something. What its daemon had not
 * committed is lost already; the volume recovers at its next mount.
 *
 * A dead mount of a block device keeps the device as long as programs stand in it or have files of
 * it open; an image file is free when the process is gone. `waitForRelease` waits for either.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../common/thrown.ts';
import { findMount, type MountRecord } from '../fuse/mount-table.ts';
import { abandonMount } from '../fuse/unmount.ts';
import { native } from '../native.ts';
import { linkTarget } from '../path-bytes.ts';
import { identify, NoAnswerError } from './ask-mount.ts';
import { CommandError } from './failure.ts';
import { isOwn, looksOurs, mountpointPath } from './mountpoint.ts';
import { processName, processNumbers } from './processes.ts';

/** More dead mounts on top of each other than anybody makes. */
const MOST_STACKED = 32;
const POLL_MILLISECONDS = 20;

/**
 * Whether this mount has lost its daemon.
 * @throws NoAnswerError if it has one that does not answer
 */
export async function isDead(mount: MountRecord): Promise<boolean> {
  if (!looksOurs(mount)) return false;
  try {
    await identify(mount);
  } catch (thrown) {
    if (!(thrown instanceof NoAnswerError) || thrown.reason === 'silent') throw thrown;
    return thrown.reason === 'dead';
  }
  return false;
}

/** Links of a process in /proc that keep a mount in use. */
function linksOf(pid: string): string[] {
  const process = join('/proc', pid);
  const links = [join(process, 'cwd'), join(process, 'root')];
  try {
    links.push(...readdirSync(join(process, 'fd')).map((name) => join(process, 'fd', name)));
  } catch {
    // It ended, or is another user's.
  }
  return links;
}

function leadsInto(link: string, directory: string): boolean {
  try {
    const path = linkTarget(link);
    return path === directory || path.startsWith(`${directory}/`);
  } catch {
    return false;
  }
}

/**
 * Processes that stand in the directory or have files below it open, as `name (pid)`. Does not
 * touch the mount.
 */
function usersOf(directory: string): string[] {
  const users = processNumbers().filter((pid) => linksOf(pid).some((link) => leadsInto(link, directory)));
  return users.map(processName);
}

/** A dead mount that was taken away. */
export interface ClearedMount {
  readonly mount: MountRecord;
  /** Who used it at that moment. */
  readonly users: readonly string[];
}

/**
 * Takes a dead mount out of the directory tree.
 * @throws MountError if that is not permitted
 */
export async function clearDeadMount(mount: MountRecord): Promise<ClearedMount> {
  const users = usersOf(mount.directory);
  await abandonMount(mount);
  return { mount, users };
}

/**
 * Takes away every dead mount on top of a directory.
 * @throws MountError if that is not permitted
 */
export async function clearDeadMounts(directory: string): Promise<ClearedMount[]> {
  const cleared: ClearedMount[] = [];
  const path = mountpointPath(directory);
  while (cleared.length < MOST_STACKED) {
    const mount = findMount(path);
    if (mount === undefined || !(await isDead(mount))) break;
    cleared.push(await clearDeadMount(mount));
  }
  return cleared;
}

function isHeld(target: string): boolean {
  try {
    const { descriptor } = native.openDevice(target, { readOnly: true, exclusive: true, direct: false });
    native.closeDevice(descriptor);
    return false;
  } catch (thrown) {
    return codeOf(thrown) === 'EBUSY';
  }
}

/**
 * Waits until nobody holds the target.
 * @throws CommandError saying `otherwise` after the limit
 */
export async function waitForRelease(target: string, limitMs: number, otherwise: string): Promise<void> {
  const end = performance.now() + limitMs;
  while (isHeld(target)) {
    if (performance.now() > end) throw new CommandError(otherwise);
    await sleep(POLL_MILLISECONDS);
  }
}

/**
 * `waitForRelease` of what a mount shows as its source. Of another user's mount that is a text
 * which he chose: the path of a device that acts when it is opened, or one on which whoever looks
 * waits for ever. Then there is nothing to wait for.
 */
export async function waitForSource(mount: MountRecord, limitMs: number, otherwise: string): Promise<void> {
  if (isOwn(mount)) await waitForRelease(mount.source, limitMs, otherwise);
}
