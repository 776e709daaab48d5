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
import { readJournal, readJournalHead } from '../fs/journal/journal-log.ts';
import { recover } from '../fs/journal/recovery.ts';
import type { Replay } from '../inspect/journal-report.ts';
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

/** What a mount would replay of the journal. @throws FsError of the device */
export async function readReplay({ device, superblock, layout }: VolumeSource): Promise<Replay> {
  const identity = { uuid: superblock.uuid, salt: superblock.journalSalt };
  let replay: Replay = { tail: undefined, from: 0, to: 0, fault: undefined };
  try {
    const { tail, sequence } = await readJournalHead(device, layout, identity);
    replay = { tail, from: sequence, to: sequence, fault: undefined };
    if (superblock.isClean) return replay;
    const { transactions } = await readJournal(device, layout, identity);
    return { ...replay, to: sequence + transactions };
  } catch (thrown) {
    if (!(thrown instanceof NotAVolumeError)) throw thrown;
    return { ...replay, fault: failureLine(thrown) };
  }
}
