/**
 * `quarry mount`: mounts a volume on a directory.
 *
 * In the background, which is the rule, this process starts the one that serves (the same command
 * with --foreground, its own session, working directory /), and waits on a pipe for one line:
 * ready, or what is wrong. So the exit status is 0 only when the mount is usable, and an error is
 * said here. Only the one that serves loads the filesystem.
 */
import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { isModulePath } from '../alloc/registry.ts';
import { isRoot } from '../common/permissions.ts';
import { codeOf } from '../common/thrown.ts';
import { isRemount } from '../fuse/remount.ts';
import { absolutePath, realPathOf, systemPath } from '../path-bytes.ts';
import {
  argumentAt,
  type CommandDefinition,
  type OptionValues,
  optionGiven,
  optionList,
  optionText,
  say,
  type Terminal,
} from './command.ts';
import { clearDeadMounts, waitForRelease } from './dead-mount.ts';
import { CommandError, failureLine, UsageError } from './failure.ts';
import { findProgram } from './find-program.ts';
import { closeInherited } from './inherited-descriptors.ts';
import { openEarlierLog, openLogFile, removeEmptyEarlierLog, removeEmptyLog } from './log-file.ts';
import { backgroundLog, foregroundLog, type MountLog } from './mount-log.ts';
import { type MountRequest, mountRequest, planMount } from './mount-request.ts';
import { mountpointPath } from './mountpoint.ts';
import { programPath } from './program-path.ts';
import { remountVolume } from './remount-command.ts';
import { isTag, noneHas } from './tagged-target.ts';

/**
 * Names the descriptor on which a serving process tells the one that started it how the mount went.
 */
const NOTIFY_VARIABLE = 'QUARRY_NOTIFY_FD';
/** Target and directory for the serving process. */
const PATHS_VARIABLE = 'QUARRY_PATHS';
const NOTIFY_DESCRIPTOR = 3;
const STANDARD_ERROR = 2;
/** What open(2) says of a device that is not there now. */
const MISSING: ReadonlySet<string> = new Set(['ENOENT', 'ENXIO', 'ENOMEDIUM', 'ENODEV']);
/** How long a dead mount, and programs in it, may keep the target from being mounted again. */
const RELEASE_MILLISECONDS = 3000;

/**
 * Options of Node that open its debugger, with dashes or underscores. A daemon has none, whatever
 * the shell that mounted had; one in the foreground may.
 */
const DEBUGGER_OPTION = /^--(inspect|debug)([-_=]|$)/;

/** Node takes quotes and backslashes out of the words of NODE_OPTIONS before it looks at them. */
function isDebuggerOption(word: string): boolean {
  return DEBUGGER_OPTION.test(word.replace(/["\\]/g, ''));
}

/** An environment in which NODE_OPTIONS opens no debugger. */
export function withoutDebugger(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: options, ...others } = environment;
  const kept = (options ?? '').split(/\s+/).filter((word) => word !== '' && !isDebuggerOption(word));
  return kept.length === 0 ? others : { ...others, NODE_OPTIONS: kept.join(' ') };
}

/** The line on the pipe. */
interface Notice {
  readonly ready: boolean;
  readonly error?: string;
  /** What the serving process had to say until then. */
  readonly said: readonly string[];
}

/** Paths mean the same in the serving process, whose working directory is another. */
function serverArguments(args: readonly string[], options: OptionValues): string[] {
  const allocator = optionText(options, 'allocator');
  const allocatorOptions = optionText(options, 'allocatorOptions');
  const words = ['mount', '--foreground'];
  for (const text of optionList(options, 'options')) words.push('-o', withAbsolutePaths(text));
  for (const [name, flag] of [
    ['readOnly', '--read-only'],
    ['sloppy', '--sloppy'],
  ] as const) {
    if (optionGiven(options, name)) words.push(flag);
  }
  if (allocator !== undefined) words.push('--allocator', absoluteModule(allocator));
  if (allocatorOptions !== undefined) words.push('--allocator-options', allocatorOptions);
  return [...words, '--', ...absolutePaths(args)];
}

/** Target and directory. */
function absolutePaths(args: readonly string[]): string[] {
  return [absolutePath(argumentAt(args, 0)), absolutePath(argumentAt(args, 1))];
}

/** A module by its absolute path; a name as it is. */
export function absoluteModule(nameOrFile: string): string {
  return isModulePath(nameOrFile) ? resolve(nameOrFile) : nameOrFile;
}

function withAbsolutePaths(text: string): string {
  return text
    .replace(/(^|,)allocator=([^,]+)/g, (_, before: string, name: string) => {
      return `${before}allocator=${absoluteModule(name)}`;
    })
    .replace(/(^|,)record=([^,]+)/g, (_, before: string, file: string) => {
      return `${before}record=${absolutePath(file)}`;
    });
}

/**
 * Where systemd waits for it (`Type=notify`). Node has no sockets of the kind that it listens on,
 * so the program that systemd has for this is asked.
 */
function tellServiceManager(notifier: string | undefined): void {
  if (notifier === undefined) return;
  const child = spawn(notifier, ['--ready', `--pid=${process.pid}`], { stdio: 'ignore' });
  child.on('error', () => {});
}

/**
 * Starts the serving process and waits for its word.
 *
 * Until then it is in our process group: where autofs(5) waits for the mount, that is the group it
 * lets pass, and whoever is in another waits until we have ended.
 */
async function mountInBackground(
  args: readonly string[],
  options: OptionValues,
  terminal: Terminal,
): Promise<number> {
  const log = openLogFile(mountpointPath(argumentAt(args, 1)));
  const output = log?.descriptor ?? 'ignore';
  const engineArguments = process.execArgv.filter((word) => !isDebuggerOption(word));
  const command = [...engineArguments, programPath(), ...serverArguments(args, options)];
  const child = spawn(process.execPath, command, {
    cwd: '/',
    stdio: ['ignore', output, output, 'pipe'],
    env: {
      ...withoutDebugger(process.env),
      [NOTIFY_VARIABLE]: String(NOTIFY_DESCRIPTOR),
      // As JSON, since what is not UTF-8 cannot be an argument.
      [PATHS_VARIABLE]: JSON.stringify(absolutePaths(args)),
    },
  });
  if (log) closeSync(log.descriptor);
  const ended = new Promise<string>((done) => {
    child.once('error', (error) => done(`it could not be started: ${error.message}`));
    child.once('exit', (code, signal) => done(signal === null ? `status ${code}` : `signal ${signal}`));
  });
  const pipe = child.stdio[NOTIFY_DESCRIPTOR];
  if (!(pipe instanceof Readable)) throw new Error('the serving process has no pipe to tell us by');
  const notice = await readNotice(pipe);
  child.unref();
  for (const line of notice?.said ?? []) say(terminal, line);
  if (notice?.ready) return 0;
  if (notice?.error !== undefined) throw new CommandError(notice.error);
  const where = log ? `: see ${log.path}` : '';
  throw new CommandError(`the process that should serve the mount ended (${await ended})${where}`);
}

async function readNotice(pipe: Readable): Promise<Notice | undefined> {
  let text = '';
  for await (const chunk of pipe) text += String(chunk);
  return text === '' ? undefined : (JSON.parse(text) as Notice);
}

/** Tells the starting process, once. */
function notify(descriptor: number, notice: Notice): void {
  try {
    writeSync(descriptor, JSON.stringify(notice));
    closeSync(descriptor);
  } catch {
    // It did not wait.
  }
}

/** As the mount table shows it; what is not there is named as it was given. */
function realTarget(target: string): string {
  try {
    return realPathOf(target);
  } catch {
    return target;
  }
}

/**
 * The code that serves, in an engine told that it will run over and over.
 *
 * V8 takes notes about a function, by which it compiles it, from its eighth call or so; here from
 * the first, which makes the first thousands of requests after a mount some 5 % faster, for a
 * megabyte or two of notes.
 */
function loadServer(): Promise<typeof import('./serve-mount.ts')> {
  setFlagsFromString('--no-lazy-feedback-allocation');
  return import('./serve-mount.ts');
}

/** The serving process of a mount in the background. */
async function serveForParent(
  descriptor: number,
  given: readonly string[],
  options: OptionValues,
): Promise<number> {
  closeInherited(descriptor);
  const paths = process.env[PATHS_VARIABLE];
  const args = paths === undefined ? given : (JSON.parse(paths) as string[]);
  delete process.env[PATHS_VARIABLE];
  delete process.env[NOTIFY_VARIABLE];
  const directory = mountpointPath(argumentAt(args, 1));
  const earlier = openEarlierLog(directory);
  const log: MountLog = backgroundLog({ target: realTarget(argumentAt(args, 0)), directory }, earlier);
  let ready = false;
  try {
    const plan = await planMount(mountRequest(args, options, isRoot()));
    const { serveMount } = await loadServer();
    const { native } = await import('../native.ts');
    return await serveMount(plan, log, () => {
      ready = true;
      native.leaveSession();
      notify(descriptor, { ready, said: log.firstLines() });
    });
  } catch (thrown) {
    if (ready) throw thrown;
    notify(descriptor, { ready, error: failureLine(thrown), said: log.firstLines() });
    return 1;
  } finally {
    removeEmptyLog(directory, STANDARD_ERROR);
    if (earlier !== undefined) removeEmptyEarlierLog(directory, earlier);
  }
}

/**
 * Takes away what a killed daemon left on the directory: mounting there again is all that has to be
 * done after a crash.
 */
async function clearMountpoint({ target, directory }: MountRequest, terminal: Terminal): Promise<void> {
  for (const { mount, users } of await clearDeadMounts(directory)) {
    say(terminal, `the daemon of ${mount.directory} had died; its mount is taken away`);
    // Without users too: the kernel takes a moment to end the filesystem that held the device.
    const holder = users.length > 0 ? `end ${users.join(', ')} and mount again` : 'try again';
    const held = `${target} is still held by the mount that died: ${holder}`;
    await waitForRelease(target, RELEASE_MILLISECONDS, held);
  }
}

/** mount(8) leaves it to us what becomes of a line of fstab whose device is not plugged in. */
function mayBeMissing(texts: readonly string[]): boolean {
  return texts.some((text) => text.split(',').includes('nofail'));
}

function isMissing(target: string): boolean {
  if (isTag(target)) return true;
  try {
    closeSync(openSync(systemPath(target), constants.O_RDONLY | constants.O_NONBLOCK));
    return false;
  } catch (thrown) {
    return MISSING.has(codeOf(thrown) ?? '');
  }
}

/** @throws UsageError */
async function traceOf(options: OptionValues, { options: { layer, debug } }: MountRequest) {
  const what = optionText(options, 'debug') ?? debug;
  if (what === undefined) return undefined;
  if (layer !== 'native') throw new UsageError('--debug shows the requests of layer=native alone');
  return (await import('./debug-lines.ts')).traceChoice(what);
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const descriptor = process.env[NOTIFY_VARIABLE];
  if (descriptor !== undefined) return serveForParent(Number(descriptor), args, options);
  const texts = [...optionList(options, 'options'), ...(optionGiven(options, 'readOnly') ? ['ro'] : [])];
  if (isRemount(texts)) {
    await remountVolume(args.at(-1) ?? '', texts);
    return 0;
  }
  if (args.length < 2) throw new UsageError('mount takes a target and a directory');
  const request = mountRequest(args, options, isRoot());
  const trace = await traceOf(options, request);
  if (mayBeMissing(texts) && isMissing(request.target)) return 0;
  if (isTag(request.target)) throw noneHas(request.target);
  if (request.fake) {
    const { remark } = await planMount(request);
    if (remark !== undefined) say(terminal, remark);
    return 0;
  }
  await clearMountpoint(request, terminal);
  if (!request.foreground && trace === undefined) return mountInBackground(args, options, terminal);
  const plan = await planMount(request);
  const { serveMount } = await loadServer();
  const notifier = process.env.NOTIFY_SOCKET === undefined ? undefined : findProgram('systemd-notify');
  const ready = () => {
    say(terminal, `${plan.target.path} is mounted on ${plan.directory}; Ctrl-C unmounts`);
    tellServiceManager(notifier);
  };
  const log = foregroundLog({ target: plan.target.path, directory: plan.directory });
  if (trace === undefined) return serveMount(plan, log, ready);
  const { DebugLines } = await import('./debug-lines.ts');
  const lines = new DebugLines();
  const status = await serveMount({ ...plan, trace: { ...trace, line: lines.line } }, log, ready);
  await lines.end();
  return status;
}

export const mountCommand: CommandDefinition = {
  name: 'mount',
  takesMissing: true,
  summary: 'mount a volume on a directory',
  arguments: [
    { name: 'target', text: 'block device or image file with a volume' },
    { name: 'dir', text: 'the directory; not needed for a remount', optional: true },
  ],
  options: [
    {
      flags: '-o, --options <list>',
      text: 'mount options, separated by commas; may be repeated',
      repeated: true,
    },
    { flags: '-r, --read-only', text: 'the same as -o ro' },
    { flags: '--foreground', text: 'serve the mount in this process; Ctrl-C unmounts' },
    {
      flags: '-d, --debug [what]',
      attached: true,
      text: 'in the foreground, with a line for each request: --debug=errors, --debug=lookup,mknod',
    },
    {
      flags: '--allocator <name|file>',
      text: 'which blocks to hand out: a name, or a module such as ./mine.js',
    },
    { flags: '--allocator-options <list>', text: 'options of the allocator: key=value,…' },
    { flags: '--fake', text: 'look at everything and mount nothing' },
    { flags: '--sloppy', text: 'pass over mount options that are not known', hidden: true },
  ],
  notes: `The command ends when the mount is usable. 'quarry log DIR' shows the daemon's log, which goes to the
journal or syslog where there is one, else to a file in /run/quarry for root, in $XDG_RUNTIME_DIR/quarry, or in
/tmp/quarry-UID, where that directory is only yours.

Mount options:
  ro, rw, nosuid, nodev, noexec, noatime, relatime, …                  as in mount(8)
  sync, dirsync          answer every change, or every change of a name, when it is on disk
  allow_other            others than the owner may use the mount; always so for root's mounts,
                         but for those of layer=fuse-native
  cache=64M              memory for metadata, 4M or more
  commit=5               longest time between commits, in seconds; 0 = the default
  discard                tell the device of blocks that are freed, when that is durable; fstrim(8) does it
                         for all that is free, without this option
  reserved=SIZE|N%       space that ordinary users leave to root, for a volume that must not stop when they fill
                         it; of cached writes the owner of the file counts. Default: none
  norecovery             with ro: leave the journal of a volume alone that was not unmounted in order
  grpid, bsdgroups       new files have the group of their directory; nogrpid, sysvgroups: the default
  noacl, nouser_xattr    without ACLs (ls -l then asks less), without attributes of the namespace user.; acl and
                         user_xattr are the default
  noxattr                no extended attributes at all: a request less for each file that is written for the first
                         time; a write still takes security.capability away
  usrquota, grpquota, prjquota   limits of users, groups, projects hold, which they do anyway; the volume has to count
                         them ('quarry quota on'). noquota: they do not hold, and usage is counted on
  spin=50us              how long to wait for the next request before sleeping, up to 1ms; 0 = never
  allocator=NAME|FILE    as --allocator
  alloc.KEY=VALUE        an option of the allocator, as --allocator-options KEY=VALUE
  max_read=1M            longest read request
  fsname=…, subtype=…    what the mount table shows
  layer=native           native, or fuse-native for libfuse 2
  loop                   an image file by a loop device, as root: sync(2) reaches it, and umount(2) waits for it
  debug[=WHAT]           as --debug: in the foreground
  engine=aio             aio (io_submit) or uring (io_uring) for the target
  record=FILE            record the operations of the mount into a new file, as 'quarry record' does
  record-hash-names      names in it as hashes; record-overwrite: an old record may be there
  remount                with ro, rw, noatime, relatime, strictatime, nodiratime, lazytime, nosuid, nodev, noexec,
                         nosymfollow, sync, dirsync, commit=N, grpid, discard, nodiscard, quota, noquota, reserved, for a
                         mount that there is: quarry mount -o remount,ro DIR
  errors=remount-ro, data=ordered, barrier                             what happens anyway; no other is to be had
  nofail                 no error where the target does not exist
  noauto, user, _netdev, x-…, …                                        accepted and passed over
docs/MOUNT.md has them all, with what is refused and why.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
