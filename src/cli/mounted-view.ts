/**
 * A volume as a mount would see it, for `quarry dump`: with the journal of one that was not
 * unmounted in order replayed in memory. Nothing is ever written.
 *
 * What a mount would do is asked of the mount's own code (fs/journal), so that the two cannot
 * disagree.
 */
import type { Device } from '../aio/device.ts';
import { CorruptionError } from '../fs/base/errors.ts';
import { NotAVolumeError, readSuperblock } from '../fs/format/superblock.ts';
import { recover } from '../fs/journal/recovery.ts';
import { VolumeSource } from '../inspect/volume-source.ts';
import { failureLine } from './failure.ts';

export interface MountedView {
  readonly source: VolumeSource;
  /**
   * Why the blocks are shown as they are on disk although the volume was not unmounted in order.
   */
  readonly journalFault: string | undefined;
}

/** @throws NotAVolumeError, FsError of the device */
export async function viewAsMounted(device: Device): Promise<MountedView> {
  const superblock = await readSuperblock(device);
  try {
    const { device: shown } = await recover(device, superblock, { readOnly: true, replay: true });
    return { source: new VolumeSource(device, superblock, shown), journalFault: undefined };
  } catch (thrown) {
    // With a damaged root or journal the rest can still be looked at.
    const isDamaged = thrown instanceof CorruptionError;
    if (!isDamaged && !(thrown instanceof NotAVolumeError)) throw thrown;
    const journalFault = isDamaged && superblock.isClean ? undefined : failureLine(thrown);
    return { source: new VolumeSource(device, superblock), journalFault };
  }
}
