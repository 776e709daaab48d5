/**
 * `quarry umount`: ends a mount, and returns when the volume is consistent on disk.
 *
 * umount(2) returns before the daemon of an image file has finished. So the daemon is asked first to say when it has, then the
 * mount is ended, then its word and its end are awaited.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { abandonMount, type MountRecord, unmount } from '../fuse/mount.ts';
import { native } from '../native.ts';
import { argumentAt, type CommandDefinition, type OptionValues, optionGiven } from './command.ts';
import { askDaemon, type WaitAnswer } from './control-socket.ts';
import { CommandError } from './failure.ts';
import { requireMount } from './mountpoint.ts';
import { ended, findRecord, type RuntimeRecord } from './runtime-records.ts';

/** For a daemon without a record: how long it may hold its target after the mount is gone. */
const RELEASE_MILLISECONDS = 60_000;
const POLL_MILLISECONDS = 20;

/** Ends the mount while the daemon's word is waited for. */
async function unmountAndWait(mount: MountRecord, record: RuntimeRecord): Promise<void> {
  const giveUp = new AbortController();
  const word = askDaemon(record.socket, 'wait', giveUp.signal).catch((thrown: unknown) => thrown);
  try {
    await unmount(mount.directory);
  } catch (thrown) {
    giveUp.abort();
    await word;
    throw thrown;
  }
  const answer = await word;
  await ended(record);
  requireClean(answer, record);
}

function requireClean(answer: unknown, { target }: RuntimeRecord): void {
  const { clean, error } =
    answer instanceof Error ? { clean: false, error: answer.message } : (answer as WaitAnswer);
  if (clean) return;
  throw new CommandError(
    `${target} is unmounted but may not be consistent (${error}): run 'quarry fsck -n ${target}'`,
  );
}

/** Waits until nobody holds the target: all there is to go by without a record. */
async function waitForRelease(target: string): Promise<void> {
  const end = Date.now() + RELEASE_MILLISECONDS;
  while (isHeld(target)) {
    if (Date.now() > end)
      throw new CommandError(`${target} is unmounted, but its daemon has not let go of it`);
    await sleep(POLL_MILLISECONDS);
  }
}

function isHeld(target: string): boolean {
  try {
    const { descriptor } = native.openDevice(target, { readOnly: true, exclusive: true, direct: false });
    native.closeDevice(descriptor);
    return false;
  } catch (thrown) {
    return thrown instanceof Error && 'code' in thrown && thrown.code === 'EBUSY';
  }
}

async function run(args: readonly string[], options: OptionValues): Promise<number> {
  const mount = requireMount(argumentAt(args, 0), (directory) => findRecord(directory) !== undefined);
  if (optionGiven(options, 'lazy')) {
    await abandonMount(mount.directory);
    return 0;
  }
  const record = findRecord(mount.directory);
  if (record) {
    await unmountAndWait(mount, record);
    return 0;
  }
  await unmount(mount.directory);
  await waitForRelease(mount.source);
  return 0;
}

export const umountCommand: CommandDefinition = {
  name: 'umount',
  summary: 'unmount; returns when the volume is consistent on disk',
  arguments: [{ name: 'dir', text: 'where it is mounted, or what is mounted' }],
  options: [
    {
      flags: '-l, --lazy',
      text: 'take a busy mount out of the directory tree; its daemon ends when the last user is gone',
    },
  ],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
