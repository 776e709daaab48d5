/**
 * `quarry mount -o remount,…`: the daemon is asked whether it can be, the kernel is told, then the
 * daemon, which answers when a volume that became read-only is clean on disk. mount(8) comes here
 * too, where a helper of ours is installed.
 */

import { MountFlag } from '../fuse/mount-flags.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import { flagsOf, remount, remountFlags, remountWords } from '../fuse/remount.ts';
import { askMount } from './ask-mount.ts';
import { CommandError } from './failure.ts';
import { requireMount } from './mountpoint.ts';
import type { RemountQuestion } from './remounting.ts';

/** Everything dirty may have to go home. */
const REST_MILLISECONDS = 600_000;

async function tell(mount: MountRecord, question: RemountQuestion): Promise<void> {
  const limit = question.apply ? { limitMs: REST_MILLISECONDS } : {};
  await askMount(mount, 'remount', { payload: JSON.stringify(question), ...limit });
}

/** @throws CommandError and its kin, each one line for the user */
export async function remountVolume(name: string, texts: readonly string[]): Promise<void> {
  const mount = await requireMount(name);
  const words = remountWords(texts, mount);
  const flags = remountFlags(mount, words);
  await tell(mount, { words, apply: false });
  const before = flagsOf(mount);
  const makesWritable = (before & ~flags & MountFlag.readOnly) !== 0;
  if (makesWritable && (await isReadOnlyForGood(mount))) {
    throw new CommandError(
      `${mount.directory} stays read-only: its volume was not closed in order before the mount, or is damaged, or its device takes no changes: unmount and mount again to write to it`,
    );
  }
  if (flags !== before) remount(mount, flags);
  await tell(mount, { words, apply: true });
}

/** A volume at rest wakes, as after a mount with `ro`; others do not. */
async function isReadOnlyForGood(mount: MountRecord): Promise<boolean> {
  const { volume }: Record<string, unknown> = Object(await askMount(mount, 'stat'));
  const { readOnly, resting }: Record<string, unknown> = Object(volume);
  return readOnly === true && resting !== true;
}
