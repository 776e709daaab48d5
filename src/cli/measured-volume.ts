/**
 * A volume opened for being measured, mounted or not; nothing is written to it.
 *
 * It is read as a mount would see it (mounted-view.ts). Of one that is mounted, the daemon is asked
 * to commit before, so that what has reached it is on the disk. A volume in use moves while it is
 * read all the same, and blocks that move in the midst of it may be counted twice, or not, or look
 * damaged: whoever wants figures to the block unmounts it.
 */
import type { MountRecord } from '../fuse/mount-table.ts';
import { InspectError } from '../inspect/inspect-error.ts';
import type { VolumeSource } from '../inspect/volume-source.ts';
import { askMount, NoAnswerError } from './ask-mount.ts';
import { say, type Terminal } from './command.ts';
import { CommandError, targetError } from './failure.ts';
import { type MountedView, viewAsMounted } from './mounted-view.ts';
import type { Target } from './target.ts';
import { readVolumeHead } from './volume-head.ts';
import { openForReading } from './volume-storage.ts';

/** Everything dirty may have to be written. */
const COMMIT_MILLISECONDS = 30_000;
/** A journal that is being written may be read in the midst of it. */
const MOST_TRIES = 5;

export interface MeasuredVolume {
  readonly source: VolumeSource;
  /** What it is mounted on, if it is. */
  readonly mountedOn: string | undefined;
  /** By its superblock it was unmounted in order. */
  readonly isClean: boolean;
  /** A commit was made before; of a mounted volume only. */
  readonly committed: boolean;
}

/**
 * Gives the volume to `use` and closes it after it.
 * @throws CommandError
 */
export async function withMeasuredVolume<T>(
  target: Target,
  mount: MountRecord | undefined,
  terminal: Terminal,
  use: (volume: MeasuredVolume) => Promise<T>,
): Promise<T> {
  readVolumeHead(target);
  const committed = mount !== undefined && (await commit(mount, terminal));
  const device = await openForReading(target);
  try {
    let view = await viewAsMounted(device);
    for (let tries = 1; isTornBy(view, mount) && tries < MOST_TRIES; tries++)
      view = await viewAsMounted(device);
    if (view.journalFault !== undefined)
      say(terminal, `${target.path} is shown as it is on disk: ${view.journalFault}`);
    const { source } = view;
    const { isClean } = source.superblock;
    return await use({ source, mountedOn: mount?.directory, isClean, committed });
  } catch (thrown) {
    if (thrown instanceof InspectError) throw new CommandError(thrown.message, { cause: thrown });
    throw targetError(thrown, target.path);
  } finally {
    await device.close();
  }
}

function isTornBy({ journalFault }: MountedView, mount: MountRecord | undefined): boolean {
  return journalFault !== undefined && mount !== undefined;
}

/**
 * Asks for what has reached the daemon to be on the disk; says why, where it is not.
 * @returns whether it is
 */
export async function commit(mount: MountRecord, terminal: Terminal): Promise<boolean> {
  try {
    await askMount(mount, 'commit', { limitMs: COMMIT_MILLISECONDS });
    return true;
  } catch (thrown) {
    if (!(thrown instanceof NoAnswerError)) throw thrown;
    say(terminal, `what is shown may be older than what was written last: ${thrown.message}`);
    return false;
  }
}
