/**
 * `quarry umount`: ends a mount, and returns when the volume is consistent on disk.
 *
 *   is it served? ─▶ hold its daemon ─▶ umount(2) ─▶ wait for the daemon's end ─▶ its exit status
 *   tells how that went
 *
 * umount(2) returns before the daemon of an image file has finished, and at once if the filesystem
 * is mounted elsewhere too. The daemon is held before (mount-server.ts), so that its end is seen
 * whatever comes later. Who waits for more than a second is told for what. A bind mount goes by
 * itself: nothing is waited for while the volume stays mounted where it was before. A mount whose
 * daemon was killed is taken away, used or not: nobody can read or write there any more.
 */
import { SilenceError } from '../fuse/errand.ts';
import { findMount, type MountRecord } from '../fuse/mount-table.ts';
import { abandonMount, unmount } from '../fuse/unmount.ts';
import { ANSWER_SECONDS, identify, type MountIdentity, NoAnswerError } from './ask-mount.ts';
import {
  argumentAt,
  type CommandDefinition,
  type OptionValues,
  optionGiven,
  optionText,
  say,
  type Terminal,
} from './command.ts';
import { DaemonStatus } from './daemon-status.ts';
import { clearDeadMount, waitForSource } from './dead-mount.ts';
import { CommandError } from './failure.ts';
import { releaseByForce, unmountByForce } from './forced-unmount.ts';
import { isSecondMount, programsOn } from './mount-holders.ts';
import { type MountServer, serverOf } from './mount-server.ts';
import { isOwn, mountNamed, requireMount } from './mountpoint.ts';
import { parseSeconds } from './seconds.ts';
import { inspectTarget } from './target.ts';
import { readVolumeHead } from './volume-head.ts';

/** For a daemon that cannot be held: how long it may hold its target after the mount is gone. */
const RELEASE_MILLISECONDS = 60_000;
/** For another user's daemon: it may be anything. */
const STRANGER_SECONDS = 60;
const LOOK_MILLISECONDS = 1000;
const PATIENCE_MILLISECONDS = 10_000;
/** Before a daemon is ended by force it may answer, and then end by itself. */
const FORCE_ANSWER_SECONDS = 2;
const FORCE_SECONDS = 10;

/** One unmounting: what it works on, and until when. */
interface Unmounting {
  readonly mount: MountRecord;
  readonly identity: MountIdentity | undefined;
  readonly server: MountServer | undefined;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/**
 * Says after a second who else holds the volume, and after longer that it is being written.
 * @returns how to stop that
 */
function explainWaiting(work: Unmounting): () => void {
  const { mount, server, terminal } = work;
  const explain = (text: string) => {
    stop();
    say(terminal, `${mount.source} ${text}`);
  };
  const look = () => {
    const holders = programsOn(mount);
    if (holders.length > 0) explain(`is still in use: ${holders.join('; ')}`);
  };
  const patience = () => explain(`is being written${server ? ` by its daemon (${server.text})` : ''}`);
  const timers = [setInterval(look, LOOK_MILLISECONDS), setTimeout(patience, PATIENCE_MILLISECONDS)];
  const stop = () => timers.forEach(clearTimeout);
  return stop;
}

async function unmountAndWait(work: Unmounting): Promise<void> {
  const { mount, server, signal } = work;
  const isSecond = isSecondMount(mount);
  const stop = explainWaiting(work);
  try {
    await unmount(mount, signal);
    if (isSecond()) return;
    sayWhatIsBeneath(work);
    if (server === undefined) {
      // Who holds the target is all there is to go by.
      await waitForSource(mount, RELEASE_MILLISECONDS, notReleased(mount));
    } else if (!(await server.ended(signal))) throw new CommandError(stillServed(work));
  } catch (thrown) {
    throw thrown instanceof SilenceError ? new CommandError(stillServed(work)) : thrown;
  } finally {
    stop();
  }
  await requireClean(work);
}

function notReleased({ source }: MountRecord): string {
  return `${source} is unmounted, but its daemon has not let go of it`;
}

function stillServed({ mount, server }: Unmounting): string {
  const by = server ? ` by ${server.text}` : '';
  return `${mount.source} is still served${by}, and the time is over: it ends when its last mount and its last user have`;
}

function sayWhatIsBeneath({ mount, terminal }: Unmounting): void {
  const beneath = findMount(mount.directory);
  // Where autofs(5) mounts for whoever looks, there always is one.
  if (beneath === undefined || beneath.id === mount.id || beneath.type === 'autofs') return;
  say(
    terminal,
    `another mount was beneath and is on ${mount.directory} now: ${beneath.source} (${beneath.type})`,
  );
}

/** Why the volume is not in order, as the end of a sentence about it; undefined if it is. */
function flawOf({ mount, identity }: Unmounting, status: number | undefined): string | undefined {
  if (status === DaemonStatus.clean) return undefined;
  const failure = identity?.failure;
  if (failure !== undefined) return `the last changes could not be written (${failure})`;
  if (status === undefined) return flawOnDisk(mount, identity);
  if ((status & 0x7f) !== 0) return `its daemon was ended by signal ${status & 0x7f}`;
  return 'the last changes could not be written: its log tells why';
}

/** Where the end of the daemon tells nothing, as on kernels before 6.15, the superblock does. */
function flawOnDisk(mount: MountRecord, identity: MountIdentity | undefined): string | undefined {
  if (identity?.readOnly !== false || !isOwn(mount)) return undefined;
  try {
    const { state } = readVolumeHead(inspectTarget(mount.source));
    return state === 'clean' ? undefined : 'it was not closed in order';
  } catch {
    return undefined;
  }
}

async function requireClean(work: Unmounting): Promise<void> {
  const { source } = work.mount;
  // As wait(2) has it: 8 bits above those of a signal.
  const status = await work.server?.exitStatus();
  if (status === DaemonStatus.lostData << 8) {
    throw new CommandError(
      `${source} is unmounted, but data of files could not be written: its log names them`,
    );
  }
  const flaw = flawOf(work, status);
  if (flaw === undefined) return;
  throw new CommandError(
    `${source} is unmounted, but ${flaw}: 'quarry fsck -n ${source}' tells whether it is sound`,
  );
}

/** Takes the mount of a killed daemon away, and says what that means. */
async function removeDeadMount(mount: MountRecord, terminal: Terminal): Promise<void> {
  const { directory, source } = mount;
  const { users } = await clearDeadMount(mount);
  say(
    terminal,
    `the daemon of ${directory} had died; the mount is taken away, and ${source} recovers when it is mounted next`,
  );
  if (users.length > 0) say(terminal, `still in the dead mount: ${users.join(', ')}`);
  else await waitForSource(mount, RELEASE_MILLISECONDS, notReleased(mount));
}

/** What the server of a mount says about itself, or why it says nothing. */
async function look(
  mount: MountRecord,
  options: OptionValues,
  usualSeconds = ANSWER_SECONDS,
): Promise<MountIdentity | NoAnswerError> {
  const seconds = Math.min(usualSeconds, timeoutSeconds(options) ?? usualSeconds);
  try {
    return await identify(mount, seconds * 1000);
  } catch (thrown) {
    if (thrown instanceof NoAnswerError) return thrown;
    throw thrown;
  }
}

function silenceError({ directory }: MountRecord, server: MountServer | undefined): CommandError {
  const who = server ? ` (${server.text})` : '';
  return new CommandError(
    `the daemon of ${directory}${who} does not answer: 'quarry umount --force ${directory}' ends it, and what it had not written is lost`,
  );
}

function timeoutSeconds(options: OptionValues): number | undefined {
  const given = optionText(options, 'timeout');
  return given === undefined ? undefined : parseSeconds('--timeout', given);
}

/** How long to wait; undefined for as long as it takes. */
function limitSeconds(mount: MountRecord, options: OptionValues): number | undefined {
  const given = timeoutSeconds(options);
  if (given !== undefined) return given;
  if (optionGiven(options, 'force')) return FORCE_SECONDS;
  return isOwn(mount) ? undefined : STRANGER_SECONDS;
}

async function unmountServed(
  mount: MountRecord,
  identity: MountIdentity | undefined,
  options: OptionValues,
  terminal: Terminal,
): Promise<void> {
  const seconds = limitSeconds(mount, options);
  const signal = seconds === undefined ? new AbortController().signal : AbortSignal.timeout(seconds * 1000);
  const server = serverOf(mount, identity?.pid);
  try {
    await unmountAndWait({ mount, identity, server, terminal, signal });
  } finally {
    server?.close();
  }
}

/** An orderly end, if the daemon is able to; otherwise the other one. */
async function force(name: string, options: OptionValues, terminal: Terminal): Promise<void> {
  const named = mountNamed(name);
  if (named === undefined) {
    say(terminal, await releaseByForce(name));
    return;
  }
  const mount = await requireMount(name);
  const found = await look(mount, options, FORCE_ANSWER_SECONDS);
  if (found instanceof NoAnswerError) say(terminal, await unmountByForce(mount));
  else await unmountServed(mount, found, options, terminal);
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const name = argumentAt(args, 0);
  if (optionGiven(options, 'force')) {
    await force(name, options, terminal);
    return 0;
  }
  const mount = await requireMount(name);
  const found = await look(mount, options);
  const isSilent = found instanceof NoAnswerError && found.reason === 'silent';
  if (found instanceof NoAnswerError && found.reason === 'dead') await removeDeadMount(mount, terminal);
  else if (optionGiven(options, 'lazy')) await abandonMount(mount);
  else if (isSilent) {
    const server = serverOf(mount);
    server?.close();
    throw silenceError(mount, server);
  } else await unmountServed(mount, found instanceof NoAnswerError ? undefined : found, options, terminal);
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
    {
      flags: '-f, --force',
      text: 'end a daemon that does not answer; the volume recovers when it is mounted next',
    },
    {
      flags: '--timeout <seconds>',
      text: 'wait no longer than that; the volume may then still be served',
    },
  ],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
