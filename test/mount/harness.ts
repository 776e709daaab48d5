/**
 * Real mounts for tests: a volume on a loop device or in an image file, mounted by the command in a
 * child process.
 *
 * Nothing here, and nothing in a test, touches a mount from this process: a system call into a
 * mount whose daemon is slow or hung would stop the event loop that has to notice. Everything goes
 * through `shell` and `python`, which start children, give them a limit, and kill their whole
 * process group when it is over.
 *
 * `QUARRY_TEST_SYSTEM=ext4` or `fuse2fs` puts another filesystem in Quarry's place: a test that
 * fails there is wrong itself. `QUARRY_FULL=1` asks for full sizes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe } from 'vitest';
import { collected } from '../suite/collected.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The command under test; another checkout's may be named. */
export const QUARRY = process.env.QUARRY_COMMAND ?? join(ROOT, 'dist/cli/main.js');
export const SYSTEM = process.env.QUARRY_TEST_SYSTEM ?? 'quarry';
/** Full sizes, as the acceptance run has them. */
export const FULL = process.env.QUARRY_FULL === '1';
export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

const SHELL_LIMIT_MS = FULL ? 900_000 : 90_000;
const MOUNT_LIMIT_MS = 20_000;
const SCRATCH_BYTES = 3 * GIB;

export type TargetKind = 'loop' | 'image';

export interface CommandResult {
  /** 128 + signal number stands for a signal, as in a shell. */
  status: number;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  cwd?: string;
  limitMs?: number;
  env?: Record<string, string>;
}

/** What keeps mount tests from running here, or '' if nothing does. */
function obstacle(): string {
  if (process.getuid?.() !== 0) return 'mount tests make loop devices and change owners: run them as root';
  if (!existsSync('/dev/fuse')) return 'there is no /dev/fuse: load the fuse module';
  return '';
}

export const OBSTACLE = obstacle();

/** `describe`, skipped where mounts are impossible; with CI set it runs, and fails. */
export const describeMount = describe.skipIf(OBSTACLE !== '' && !process.env.CI);
/** `describeMount` for what only Quarry has, not its stand-ins. */
export const describeQuarry = describe.skipIf((OBSTACLE !== '' && !process.env.CI) || SYSTEM !== 'quarry');

/** Waits for the child to end, and kills its process group at the limit. */
export function run(command: string, args: string[], options: CommandOptions = {}): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, LC_ALL: 'C', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    const limitMs = options.limitMs ?? SHELL_LIMIT_MS;
    const timer = setTimeout(() => {
      if (child.pid) process.kill(-child.pid, 'SIGKILL');
      reject(new Error(`no end after ${limitMs / 1000} s: ${command} ${args.join(' ')}\n${stdout}${stderr}`));
    }, limitMs);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ status: code ?? 137, stdout, stderr });
    });
  });
}

function mustSucceed(what: string, result: CommandResult): string {
  if (result.status === 0) return result.stdout;
  throw new Error(
    `exit status ${result.status} of: ${what}\n${(result.stdout + result.stderr).slice(-3000)}`,
  );
}

/** Runs a bash script that must succeed; pipes fail as a whole. @returns its standard output */
export async function shell(script: string, options: CommandOptions = {}): Promise<string> {
  return mustSucceed(script, await run('bash', ['-euo', 'pipefail', '-c', script], options));
}

/** Runs a bash script and says how it ended. */
export function shellResult(script: string, options: CommandOptions = {}): Promise<CommandResult> {
  return run('bash', ['-c', script], options);
}

/**
 * Runs a Python program that must succeed; `sys.argv[1:]` are the arguments.
 * @returns its standard output
 */
export async function python(
  program: string,
  args: string[] = [],
  options: CommandOptions = {},
): Promise<string> {
  return mustSucceed(program, await run('python3', ['-c', program, ...args], options));
}

/**
 * Lets go of the mounts of other tests: a namespace of its own has a copy of each, and holds its
 * volume as long as it lives.
 */
function leaveOthers(kept: string): string {
  return `{ grep -E ' - fuse(blk)?[.]quarry ' /proc/self/mountinfo || true; } | cut -d ' ' -f 5 | while read -r other; do
    [ "$other" = '${kept}' ] || umount --lazy "$other" || true
  done`;
}

/**
 * A bash script for a mount namespace of its own, as arguments of unshare(1).
 * @param kept the only mount that it holds too
 */
export function namespaceArguments(script: string, kept = ''): string[] {
  return ['--mount', 'bash', '-euo', 'pipefail', '-c', `${leaveOthers(kept)}\n${script}`];
}

/** Runs a bash script in a mount namespace of its own, and says how it ended. */
export function runInNamespace(script: string): Promise<CommandResult> {
  return run('unshare', namespaceArguments(script));
}

/**
 * Ends the FUSE connection of a mount from outside, as nothing else does when its server waits for
 * itself in the kernel.
 * @param deviceNumbers `major:minor` of the mount
 */
export function abortConnection(deviceNumbers: string): Promise<CommandResult> {
  const [major = 0, minor = 0] = deviceNumbers.split(':').map(Number);
  const control = '/sys/fs/fuse/connections';
  const abort = `mount -t fusectl none ${control} && echo 1 > ${control}/${major * 2 ** 20 + minor}/abort`;
  return run('unshare', ['--mount', 'sh', '-c', abort]);
}

/**
 * The process goes on after the work, also when this one is killed in the midst of it: a server
 * that stands still hangs whoever calls sync(2).
 */
export async function whileStopped<T>(child: ChildProcess | undefined, work: () => Promise<T>): Promise<T> {
  const script = 'kill -STOP "$1" && echo stopped && read -r _; kill -CONT "$1"';
  const keeper = spawn('bash', ['-c', script, 'bash', String(child?.pid)], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  const ended = new Promise((resolve) => keeper.once('close', resolve));
  try {
    await Promise.race([ended, new Promise((resolve) => keeper.stdout.once('data', resolve))]);
    return await work();
  } finally {
    keeper.stdin.end();
    await ended;
  }
}

/** Runs the command. */
export function quarry(...args: string[]): Promise<CommandResult> {
  return run(process.execPath, [QUARRY, ...args]);
}

type CommandLine = typeof import('../../src/cli/program.ts');

/**
 * The command in this process, for what a test needs and is not about: to start one takes many
 * times as long as to make or check a small volume. Never for a mount.
 */
async function quarryHere(...args: string[]): Promise<CommandResult> {
  const file = new URL('program.js', pathToFileURL(QUARRY)).href;
  const { runCommandLine } = (await import(/* @vite-ignore */ file)) as CommandLine;
  const { status, out, err } = await collected(runCommandLine, args);
  return { status, stdout: out, stderr: err };
}

/** `major:minor` of the mount on a directory. */
function deviceNumbersOf(directory: string): string | undefined {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.map((line) => line.split(' ')).findLast((fields) => fields[4] === directory)?.[2];
}

export function isMountPoint(directory: string): boolean {
  return deviceNumbersOf(directory) !== undefined;
}

/** Waits until `condition` holds. @throws Error naming `what` after `limitMs` */
export async function until(
  what: string,
  limitMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${limitMs / 1000} s: ${what}`);
    await sleep(10);
  }
}

/** Whether a process has ended; its parent may not have asked for its status, and never do. */
export function hasEnded(pid: number): boolean {
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

/** Memory if it has room and takes direct I/O, otherwise the disk. */
function scratchRoot(): string {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    const probe = join('/dev/shm', `quarry-probe-${process.pid}`);
    const descriptor = openSync(probe, constants.O_CREAT | constants.O_RDWR | constants.O_DIRECT);
    closeSync(descriptor);
    rmSync(probe);
    accessSync('/dev/shm', constants.W_OK);
    if (bavail * bsize > SCRATCH_BYTES) return '/dev/shm';
  } catch {
    // Older kernels refuse O_DIRECT there, and containers have 64 MiB of it.
  }
  return tmpdir();
}

/** A folder outside of any mount, removed by `remove`. Anyone may pass through it. */
export class Scratch {
  readonly path = mkdtempSync(join(scratchRoot(), 'quarry-test-'));

  file(name: string): string {
    return join(this.path, name);
  }

  /**
   * A real tree of some thousand files that stands still: packages of this project.
   * @returns its path
   */
  async realTree(): Promise<string> {
    const tree = this.file('real-tree');
    await shell(`mkdir '${tree}' && tar -c --exclude=./.vite --exclude=./.cache . | tar -xp -C '${tree}'`, {
      cwd: join(ROOT, 'node_modules'),
    });
    return tree;
  }

  /** With the logs of daemons that had their mounts in it (cli/log-file.ts). */
  async remove(): Promise<void> {
    await shellResult(
      `rm -rf --one-file-system '${this.path}'; rm -f /run/quarry/*${basename(this.path)}* '${tmpdir()}'/quarry-[0-9]*/*${basename(this.path)}*`,
    );
  }
}

export interface VolumeOptions {
  kind?: TargetKind;
  sizeBytes?: number;
  blockBytes?: number;
}

interface System {
  format(target: string, options: Required<VolumeOptions>): Promise<CommandResult>;
  /** Starts what mounts; a child that ends by itself has mounted. */
  startMount(target: string, directory: string, mountArguments: string[]): ChildProcess;
  /** Of a mount whose server we see end. */
  unmount(directory: string): Promise<CommandResult>;
  /** Of a mount that somebody else serves; returns when the volume is clean. */
  unmountOther(directory: string): Promise<CommandResult>;
  check(target: string): Promise<CommandResult>;
}

function start(command: string, args: string[]): ChildProcess {
  return spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
}

/**
 * Always with blocks of 4 KiB: with 1 KiB ext4 has shorter symlinks. Attributes of a file may take
 * more than a block, as elsewhere.
 */
function formatExt4(target: string): Promise<CommandResult> {
  return run('mkfs.ext4', ['-q', '-F', '-b', '4096', '-I', '256', '-i', '8192', '-O', 'ea_inode', target]);
}

/** umount(2), without the program that a type may have for it. */
function unmountHere(directory: string): Promise<CommandResult> {
  return run('umount', ['--internal-only', directory]);
}

const SYSTEMS: Record<string, System> = {
  quarry: {
    format: (target, { blockBytes }) =>
      quarryHere('mkfs', '--force', '--block-size', String(blockBytes), target),
    startMount: (target, directory, mountArguments) =>
      start(process.execPath, [QUARRY, 'mount', '--foreground', ...mountArguments, target, directory]),
    unmount: unmountHere,
    unmountOther: (directory) => quarry('umount', directory),
    check: (target) => quarryHere('fsck', '-n', target),
  },
  ext4: {
    format: formatExt4,
    startMount: (target, directory, mountArguments) =>
      start('mount', [
        ...(target.startsWith('/dev/') ? [] : ['-o', 'loop']),
        ...mountArguments,
        target,
        directory,
      ]),
    unmount: unmountHere,
    unmountOther: unmountHere,
    check: (target) => run('e2fsck', ['-fn', target]),
  },
  fuse2fs: {
    format: formatExt4,
    startMount: (target, directory, mountArguments) =>
      start('fuse2fs', ['-f', ...mountArguments, target, directory]),
    unmount: unmountHere,
    unmountOther: unmountHere,
    check: (target) => run('e2fsck', ['-fn', target]),
  },
};

function system(): System {
  const found = SYSTEMS[SYSTEM];
  if (!found) throw new Error(`QUARRY_TEST_SYSTEM=${SYSTEM}: there are ${Object.keys(SYSTEMS).join(', ')}`);
  return found;
}

/**
 * A formatted target with a place to mount it; `destroy` takes everything back, whatever state it
 * is in.
 */
export class Volume {
  readonly scratch = new Scratch();
  readonly directory = join(this.scratch.path, 'mnt');
  /** The file behind the volume. */
  readonly image = join(this.scratch.path, 'volume.img');
  readonly options: Required<VolumeOptions>;
  /** What is formatted and mounted: a loop device or the file. */
  target = this.image;
  daemon: ChildProcess | undefined;
  #daemonSaid = '';
  #deviceNumbers: string | undefined;

  private constructor(options: VolumeOptions) {
    this.options = { kind: 'image', sizeBytes: GIB, blockBytes: 4 * KIB, ...options };
    mkdirSync(this.directory);
  }

  /** Makes and formats a volume; mounted unless asked otherwise. */
  static async make(options: VolumeOptions = {}, { mounted = true } = {}): Promise<Volume> {
    if (OBSTACLE) throw new Error(OBSTACLE);
    const volume = new Volume(options);
    try {
      await volume.#makeTarget();
      await volume.format();
      if (mounted) await volume.mount();
      return volume;
    } catch (error) {
      await volume.destroy();
      throw error;
    }
  }

  async #makeTarget(): Promise<void> {
    await shell(`chmod 755 '${this.scratch.path}'; truncate -s ${this.options.sizeBytes} '${this.image}'`);
    if (this.options.kind === 'image') return;
    this.target = (await shell(`losetup --find --show --direct-io=on '${this.image}'`)).trim();
    // A device that was made read-only stays so for whoever has it next.
    await shell(`blockdev --setrw '${this.target}'`);
  }

  async format(): Promise<void> {
    mustSucceed(`format ${this.target}`, await system().format(this.target, this.options));
  }

  /** @param mountArguments for the mount command, such as '-o', 'ro' */
  async mount(...mountArguments: string[]): Promise<void> {
    const child = system().startMount(this.target, this.directory, mountArguments);
    this.daemon = child;
    this.#daemonSaid = '';
    const hear = (chunk: Buffer) => {
      this.#daemonSaid = (this.#daemonSaid + chunk.toString()).slice(-3000);
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
    await until(`mount of ${this.target}`, MOUNT_LIMIT_MS, () => hasEnded() || isMountPoint(this.directory));
    this.#deviceNumbers = deviceNumbersOf(this.directory);
    if (this.#deviceNumbers === undefined) throw new Error(`not mounted: ${this.#daemonSaid}`);
  }

  #end(): Promise<CommandResult> {
    return this.#isServing ? system().unmount(this.directory) : system().unmountOther(this.directory);
  }

  async unmount(): Promise<void> {
    const isOurs = this.#isServing;
    const result = await this.#end();
    const said = this.#daemonSaid && `\nthe daemon said: ${this.#daemonSaid}`;
    mustSucceed(`unmount ${this.directory}${said}`, result);
    const status = await this.daemonEnd();
    if (isOurs && status !== 0)
      throw new Error(`the daemon ended with status ${status}: it said ${this.#daemonSaid}`);
  }

  async remount(...mountArguments: string[]): Promise<void> {
    await this.unmount();
    await this.mount(...mountArguments);
  }

  /** Whether the process that mounted serves the mount, and does so still. */
  get #isServing(): boolean {
    return this.daemon?.exitCode === null && this.daemon.signalCode === null;
  }

  /** @returns the exit status of the daemon, 128 + … for a signal */
  async daemonEnd(limitMs = 60_000): Promise<number> {
    const child = this.daemon;
    if (!child) return 0;
    await until('end of the daemon', limitMs, () => child.exitCode !== null || child.signalCode !== null);
    return child.exitCode ?? 137;
  }

  /** What the daemon wrote to its standard output and error, at most the last 3000 characters. */
  get daemonSaid(): string {
    return this.#daemonSaid;
  }

  /**
   * Unmounts, has the checker look at it read-only, and fails with its findings if there are any.
   */
  async unmountAndCheck(): Promise<void> {
    await this.unmount();
    mustSucceed(`check ${this.target}`, await system().check(this.target));
  }

  /** Runs a script with the mount as its working directory. */
  shell(script: string, options: CommandOptions = {}): Promise<string> {
    return shell(script, { cwd: this.directory, ...options });
  }

  /** Like `shell`, for scripts that may fail. */
  shellResult(script: string, options: CommandOptions = {}): Promise<CommandResult> {
    return shellResult(script, { cwd: this.directory, ...options });
  }

  python(program: string, args: string[] = []): Promise<string> {
    return python(program, args, { cwd: this.directory });
  }

  /** Unmounts if mounted, and removes everything. Never throws: it runs after failures. */
  async destroy(): Promise<void> {
    this.daemon?.kill('SIGCONT');
    if (isMountPoint(this.directory)) {
      const ended = await this.#end().catch(() => undefined);
      if (ended?.status !== 0) {
        this.daemon?.kill('SIGKILL');
        await shellResult(`umount -l '${this.directory}'`).catch(() => undefined);
      }
    }
    await this.daemonEnd(20_000).catch(() => this.#endHungDaemon());
    if (this.target !== this.image) await shellResult(`losetup --detach '${this.target}'`);
    await this.scratch.remove();
  }

  /** One that waits for itself in the kernel does not end by SIGKILL. */
  async #endHungDaemon(): Promise<void> {
    this.daemon?.kill('SIGKILL');
    await this.daemonEnd(2000).catch(async () => {
      await abortConnection(this.#deviceNumbers ?? '');
      await this.daemonEnd(5000).catch(() => undefined);
    });
  }
}

/**
 * One line per file below `directory`, sorted: type, mode, owner, group, links, size, mtime in
 * nanoseconds, link target. Sizes and link counts of directories are the filesystem's own affair
 * and left out unless `all`.
 */
export function listing(directory: string, all = false): Promise<string> {
  const owned = all ? '%n %s %C@ %i' : '-';
  return shell(
    String.raw`find . -type d -printf '%p %y %m %U %G ${owned} %T@\n' -o -printf '%p %y %m %U %G %n %s %T@ %l ${all ? '%C@ %i' : ''}\n' | sort`,
    { cwd: directory },
  );
}
