/**
 * How a mount ends, or is made harmless.
 *
 * umount(2), which waits for the server's answers, is called by a child: see errand.ts. So whoever
 * serves a mount may end it too. Anybody but root asks fusermount3 (fusermount.ts).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isRoot } from '../common/permissions.ts';
import { codeOf } from '../common/thrown.ts';
import { native } from '../native.ts';
import { runErrand, SilenceError } from './errand.ts';
import { unmountByHelper } from './fusermount.ts';
import { advised, BusyMountError } from './mount-error.ts';
import { deviceOf, type MountRecord } from './mount-table.ts';

/** MNT_DETACH. */
const UMOUNT_LAZILY = 2;
/** A question to the mount, such as watchers ask, holds its root for less than this in all. */
const BUSY_TRIES = 5;
const BUSY_WAIT_MILLISECONDS = 50;
const NEVER: AbortSignal = new AbortController().signal;

/**
 * Takes a mount out of the directory tree, used or not; its filesystem ends with its last user.
 * @throws MountError if that is not permitted
 */
export async function abandonMount(mount: MountRecord, signal: AbortSignal = NEVER): Promise<void> {
  if (isRoot()) await unmountAsRoot(mount, UMOUNT_LAZILY, signal);
  else await unmountByHelper(mount.directory, '-z');
}

async function unmountAsRoot(
  { directory, id }: MountRecord,
  flags: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    await runErrand(native.startUnmount(directory, id, flags), signal);
  } catch (thrown) {
    if (thrown instanceof SilenceError) throw thrown;
    if (codeOf(thrown) === 'EBUSY') throw new BusyMountError(directory, { cause: thrown });
    const advice = {
      EINVAL: `${directory} is not a mountpoint`,
      ENOENT: `${directory} does not exist`,
      EPERM: `not allowed to unmount ${directory}: this needs CAP_SYS_ADMIN`,
      ESTALE: `${directory} is another mount by now`,
    };
    throw advised(thrown, advice, `cannot unmount ${directory}`);
  }
}

/**
 * Tries again where the mount is busy, which may be over soon.
 * @throws what the last try did
 */
export async function untilNotBusy(unmountOnce: () => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let left = BUSY_TRIES - 1; ; left--) {
    try {
      await unmountOnce();
      return;
    } catch (thrown) {
      if (!(thrown instanceof BusyMountError) || left === 0 || signal.aborted) throw thrown;
    }
    await sleep(BUSY_WAIT_MILLISECONDS);
  }
}

/**
 * Unmounts the mount that its path leads to. umount(2) is called in a child, so whoever serves the
 * mount may call this. For a `fuseblk` mount the volume is clean when it resolves; for others the
 * daemon is still at it, until it lets go of its target.
 *
 * @throws BusyMountError if it stays busy; MountError; SilenceError if `signal` comes first
 */
export async function unmount(mount: MountRecord, signal: AbortSignal = NEVER): Promise<void> {
  const asRoot = isRoot();
  await untilNotBusy(
    () => (asRoot ? unmountAsRoot(mount, 0, signal) : unmountByHelper(mount.directory)),
    signal,
  );
}

/**
 * Makes the filesystem of a mount that `covers` hide read-only, and so has all of the page cache
 * written, without touching what covers it.
 *
 * @throws ErrandError: EBUSY while somebody has a file open for writing
 */
export async function sealCovered(mount: MountRecord, covers: readonly MountRecord[]): Promise<void> {
  const directories = covers.map(({ directory }) => directory);
  await runErrand(native.startSeal(directories, mount.directory, ...deviceOf(mount)), NEVER);
}
