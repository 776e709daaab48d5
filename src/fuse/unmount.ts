/**
 * How a mount ends, or is made harmless.
 *
 * umount(2), which waits for the server's answers, is called by a child: see errand.ts. So whoever
 * serves a mount may end it too. Anybody but root asks fusermount3 (fusermount.ts).
 */
import { isRoot } from '../common/permissions.ts';
import { native } from '../native.ts';
import { runErrand, SilenceError } from './errand.ts';
import { unmountByHelper } from './fusermount.ts';
import { advised } from './mount-error.ts';
import { deviceOf, type MountRecord } from './mount-table.ts';

/** MNT_DETACH. */
const UMOUNT_LAZILY = 2;
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
    const advice = {
      EBUSY: `${directory} is busy: end what uses it ('fuser -vm ${directory}' shows it) and try again`,
      EINVAL: `${directory} is not a mountpoint`,
      ENOENT: `${directory} does not exist`,
      EPERM: `not allowed to unmount ${directory}: this needs CAP_SYS_ADMIN`,
      ESTALE: `${directory} is another mount by now`,
    };
    throw advised(thrown, advice, `cannot unmount ${directory}`);
  }
}

/**
 * Unmounts the mount that its path leads to. umount(2) is called in a child, so whoever serves the
 * mount may call this. For a `fuseblk` mount the volume is clean when it resolves; for others the
 * daemon is still at it, until it lets go of its target.
 *
 * @throws MountError, with what to do where the mount is busy; SilenceError if `signal` comes first
 */
export async function unmount(mount: MountRecord, signal: AbortSignal = NEVER): Promise<void> {
  if (isRoot()) await unmountAsRoot(mount, 0, signal);
  else await unmountByHelper(mount.directory);
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
