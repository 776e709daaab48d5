/**
 * `quarry umount`: ends a mount, and returns when the volume is consistent on disk.
 *
 * umount(2) returns before the daemon of an image file has finished. So the daemon is asked first to say when it has, then the
 * mount is ended, then its word and its end are awaited. A mount whose daemon was killed is taken away, used or
 * not: nobody can read or write there any more.
 */
import { abandonMount, type MountRecord, unmount } from '../fuse/mount.ts';
import {
  argumentAt,
  type CommandDefinition,
  type OptionValues,
  optionGiven,
  type Terminal,
} from './command.ts';
import { askDaemon, type WaitAnswer } from './control-socket.ts';
import { clearDeadMount, isDead, waitForRelease } from './dead-mount.ts';
import { CommandError } from './failure.ts';
import { requireMount } from './mountpoint.ts';
import { ended, findRecord, type RuntimeRecord } from './runtime-records.ts';

/** For a daemon without a record: how long it may hold its target after the mount is gone. */
const RELEASE_MILLISECONDS = 60_000;

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
    answer instanceof Error ? { clean: false, error: daemonFailure(answer, target) } : (answer as WaitAnswer);
  if (!clean) throw new CommandError(`${target} is unmounted, but ${error}`);
}

function daemonFailure({ message }: Error, target: string): string {
  return `its daemon did not say how that went (${message}): 'quarry fsck -n ${target}' tells whether it is sound`;
}

/** Takes the mount of a killed daemon away, and says what that means. */
async function removeDeadMount(mount: MountRecord, terminal: Terminal): Promise<void> {
  const { directory, source } = mount;
  const { users } = await clearDeadMount(mount);
  terminal.err(
    `quarry: the daemon of ${directory} had died; the mount is taken away, and ${source} recovers when it is mounted next\n`,
  );
  if (users.length > 0) terminal.err(`quarry: still in the dead mount: ${users.join(', ')}\n`);
  else await waitForRelease(source, RELEASE_MILLISECONDS, notReleased(source));
}

function notReleased(target: string): string {
  return `${target} is unmounted, but its daemon has not let go of it`;
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const mount = requireMount(argumentAt(args, 0), (directory) => findRecord(directory) !== undefined);
  if (await isDead(mount)) {
    await removeDeadMount(mount, terminal);
    return 0;
  }
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
  // Without a record, who holds the target is all there is to go by.
  await waitForRelease(mount.source, RELEASE_MILLISECONDS, notReleased(mount.source));
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
