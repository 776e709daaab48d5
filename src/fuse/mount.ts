/**
 * Mounting and unmounting: how an open /dev/fuse becomes a directory of files, and ends to be one.
 *
 * Root mounts by mount(2): as `fuseblk` on a block device, so that umount(2) waits until the volume
 * is clean, and as `fuse` on an image file. Anybody else asks fusermount3, the set-user-id helper
 * of libfuse, which mounts and passes the descriptor back over a socket.
 *
 * From the moment of the mount until the session answers, whoever touches the directory waits. So
 * this file never looks at the mountpoint afterwards: the kernel's mountinfo tells what there is to
 * know. And umount(2), which waits for the server's answers, is called by a child: see errand.ts.
 *
 * Every error is one line that says what to do.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, constants, openSync, statSync, writeFileSync } from 'node:fs';
import { isRoot } from '../common/permissions.ts';
import { codeOf, messageOf } from '../common/thrown.ts';
import { native } from '../native.ts';
import { isUtf8, realPathOf, systemPath } from '../path-bytes.ts';
import { runErrand, SilenceError } from './errand.ts';
import { LEAST_PREFERRED_BYTES, MAX_READAHEAD_BYTES } from './limits.ts';
import { deviceOf, findMount, type MountRecord } from './mount-table.ts';
import { MountFlag, type MountOptions } from './options.ts';

/** A mount that could not be made or ended; the message is one line for the user. */
export class MountError extends Error {
  override readonly name = 'MountError';
}

export interface MountRequest {
  /** The block device or image file that is shown as the source of the mount. */
  readonly source: string;
  readonly blockDevice: boolean;
  /** As `checkMountpoint` gave it. */
  readonly directory: string;
  readonly options: MountOptions;
  /**
   * Gives up an exclusive hold (O_EXCL) on the block device: the kernel takes its own at the mount.
   */
  releaseClaim?(): void;
}

/**
 * A block of the page cache, and the least that every block device can do: see
 * LEAST_PREFERRED_BYTES in encoding.ts.
 */
const UMOUNT_LAZILY = 2;
const NEVER: AbortSignal = new AbortController().signal;

function advised(thrown: unknown, advice: Readonly<Record<string, string>>, otherwise: string): MountError {
  const known = advice[codeOf(thrown)];
  return new MountError(known ?? `${otherwise}: ${messageOf(thrown)}`, { cause: thrown });
}

/**
 * The absolute path of a directory that can be mounted on.
 *
 * @throws MountError if there is none.
 */
export function checkMountpoint(directory: string): string {
  try {
    if (!statSync(systemPath(directory)).isDirectory())
      throw new MountError(`${directory} is not a directory`);
    return realPathOf(directory);
  } catch (thrown) {
    if (thrown instanceof MountError) throw thrown;
    const advice = {
      ENOENT: `${directory} does not exist: make it with 'mkdir -p ${directory}'`,
      ENOTDIR: `${directory} is not a directory`,
      EACCES: `${directory} cannot be reached: permission denied`,
      ENOTCONN: `${directory} is the mountpoint of a filesystem that died: 'umount -l ${directory}' first`,
    };
    throw advised(thrown, advice, `${directory} cannot be mounted on`);
  }
}

const NO_FUSE_DEVICE =
  "there is no /dev/fuse: load the module with 'modprobe fuse', or start the container with --device /dev/fuse --cap-add SYS_ADMIN";

function openFuseDevice(): number {
  try {
    return openSync('/dev/fuse', constants.O_RDWR | constants.O_NONBLOCK);
  } catch (thrown) {
    const advice = {
      ENOENT: NO_FUSE_DEVICE,
      ENODEV: NO_FUSE_DEVICE,
      ENXIO: NO_FUSE_DEVICE,
      EACCES: 'no permission to open /dev/fuse: run as root',
      EPERM: 'no permission to open /dev/fuse: run as root, or start the container with --device /dev/fuse',
    };
    throw advised(thrown, advice, '/dev/fuse cannot be opened');
  }
}

/**
 * Holds the mount namespace of this process, so that its end can never wait for itself.
 *
 * The last process of a namespace ends its mounts when it exits, and for a `fuseblk` mount the
 * kernel then waits for the server's answer to DESTROY. A server that was killed there would wait
 * for its own answer for ever, since the kernel gives up the namespace before the files. With this
 * file open it is the files that give the namespace up, the one opened last first: /dev/fuse is
 * closed, which ends the connection, and then the namespace.
 *
 * To be called just before /dev/fuse is opened, since the order of the numbers counts.
 */
function holdNamespace(): number | undefined {
  try {
    return openSync('/proc/self/ns/mnt', constants.O_RDONLY);
  } catch {
    // Without /proc there is no container either.
    return undefined;
  }
}

/** The data of mount(2) for fuse: fuse_fs_parameters in the kernel. */
function mountData(descriptor: number, request: MountRequest): string {
  const { options, blockDevice } = request;
  const parts = [
    `fd=${descriptor}`,
    'rootmode=40000',
    `user_id=${process.geteuid?.() ?? 0}`,
    `group_id=${process.getegid?.() ?? 0}`,
    'default_permissions',
    `max_read=${options.maxReadBytes}`,
  ];
  if (options.allowOther) parts.push('allow_other');
  if (blockDevice) parts.push(`blksize=${LEAST_PREFERRED_BYTES}`);
  return parts.join(',');
}

function mountAsRoot(request: MountRequest): number {
  const { source, directory, options, blockDevice } = request;
  const namespace = holdNamespace();
  const descriptor = openFuseDevice();
  const type = `${blockDevice ? 'fuseblk' : 'fuse'}.${options.subtype}`;
  const shown = blockDevice ? source : (options.fsname ?? source);
  try {
    if (blockDevice) request.releaseClaim?.();
    native.mountFuse(shown, directory, type, options.flags, mountData(descriptor, request));
  } catch (thrown) {
    closeSync(descriptor);
    if (namespace !== undefined) closeSync(namespace);
    const advice = {
      EPERM: `not allowed to mount on ${directory}: this needs CAP_SYS_ADMIN (docker run --cap-add SYS_ADMIN --device /dev/fuse)`,
      EBUSY: `${source} is in use: unmount it, or stop the program that holds it`,
      ENODEV: "this kernel has no FUSE: load it with 'modprobe fuse'",
      EACCES: `${source} is write-protected: mount it with -o ro`,
      EROFS: `${source} is write-protected: mount it with -o ro`,
    };
    throw advised(thrown, advice, `cannot mount ${source} on ${directory}`);
  }
  return descriptor;
}

const helperFlags: readonly (readonly [flag: number, option: string])[] = [
  [MountFlag.readOnly, 'ro'],
  [MountFlag.noSuid, 'nosuid'],
  [MountFlag.noDevices, 'nodev'],
  [MountFlag.noExecute, 'noexec'],
  [MountFlag.synchronous, 'sync'],
  [MountFlag.directorySynchronous, 'dirsync'],
  [MountFlag.noAccessTime, 'noatime'],
];

/** The -o text for fusermount3, which splits at commas and takes `\` as an escape. */
export function helperOptions(request: Pick<MountRequest, 'source' | 'options'>): string {
  const { source, options } = request;
  const name = (options.fsname ?? source).replace(/[\\,]/g, '\\$&');
  const parts = [
    `fsname=${name}`,
    `subtype=${options.subtype}`,
    'default_permissions',
    `max_read=${options.maxReadBytes}`,
  ];
  if (options.allowOther) parts.push('allow_other');
  for (const [flag, option] of helperFlags) if ((options.flags & flag) !== 0) parts.push(option);
  return parts.join(',');
}

interface HelperEnd {
  readonly status: number;
  readonly complaint: string;
}

/** Waits for a child; its complaint is what it wrote to stderr, in one line. */
function ended(child: ChildProcess): Promise<HelperEnd> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ status: code ?? 1, complaint: text.trim().replace(/\s*\n\s*/g, '; ') });
    });
  });
}

const NO_HELPER =
  "fusermount3 was not found: install fuse3 ('apt install fuse3', 'dnf install fuse3'), or mount as root";

async function runHelper(
  args: readonly string[],
  socket: number | 'ignore',
  environment: Readonly<Record<string, string>>,
): Promise<HelperEnd> {
  if (!args.every(isUtf8))
    throw new MountError(
      'fusermount3 cannot be given a path that is not UTF-8: use another, or mount as root',
    );
  try {
    const child = spawn('fusermount3', args, {
      stdio: ['ignore', 'ignore', 'pipe', socket],
      env: { ...process.env, ...environment },
    });
    return await ended(child);
  } catch (thrown) {
    throw advised(thrown, { ENOENT: NO_HELPER }, 'fusermount3 could not be run');
  }
}

/** Complaints of fusermount3 that do not say what to do; the others do. */
const helperAdvice: readonly (readonly [complaint: RegExp, advice: string])[] = [
  [
    /\/dev\/fuse.*permission denied/i,
    "no permission to open /dev/fuse: let everybody use it with 'chmod 666 /dev/fuse' as root, or mount as root",
  ],
  [/\/dev\/fuse.*no such|modprobe/i, NO_FUSE_DEVICE],
  [
    /operation not permitted/i,
    "fusermount3 may not mount: it has to be set-user-id root ('chmod u+s' of it), or mount as root",
  ],
];

function helperError(complaint: string, otherwise: string): MountError {
  const known = helperAdvice.find(([pattern]) => pattern.test(complaint));
  return new MountError(known?.[1] ?? (complaint || otherwise));
}

/** Number of the helper's end of the socket within the helper. */
const HELPER_SOCKET = 3;

async function mountByHelper(request: MountRequest): Promise<number> {
  const { directory } = request;
  const [ours, theirs] = native.socketPair();
  let end: HelperEnd;
  try {
    const args = ['-o', helperOptions(request), '--', directory];
    end = await runHelper(args, theirs, { _FUSE_COMMFD: String(HELPER_SOCKET) });
  } catch (thrown) {
    closeSync(ours);
    throw thrown;
  } finally {
    closeSync(theirs);
  }
  // Our copy of their end is closed, so this does not wait for a helper that failed.
  const descriptor = native.receiveDescriptor(ours);
  closeSync(ours);
  if (end.status === 0 && descriptor >= 0) return descriptor;
  if (descriptor >= 0) closeSync(descriptor);
  throw helperError(end.complaint, `fusermount3 could not mount on ${directory}`);
}

/**
 * Mounts, and returns the open /dev/fuse that serves the mount. The kernel's INIT waits in it.
 *
 * @throws MountError
 */
export async function mount(request: MountRequest): Promise<number> {
  return isRoot() ? mountAsRoot(request) : await mountByHelper(request);
}

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

async function unmountByHelper(directory: string, ...flags: string[]): Promise<void> {
  const end = await runHelper(['-u', ...flags, '--', directory], 'ignore', {});
  if (end.status === 0) return;
  if (/busy/i.test(end.complaint)) {
    throw new MountError(
      `${directory} is busy: end what uses it ('fuser -vm ${directory}' shows it) and try again`,
    );
  }
  throw new MountError(end.complaint || `fusermount3 could not unmount ${directory}`);
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

/**
 * What a mount gets above the kernel's defaults for FUSE, which are for servers that are not
 * trusted: 128 KiB of read-ahead, and 1 % of the dirty memory; for the latter see dirty-limits.ts.
 */
const bdiSettings: readonly (readonly [file: string, value: string])[] = [
  ['read_ahead_kb', `${MAX_READAHEAD_BYTES / 1024}`],
  ['strict_limit', '0'],
  ['max_ratio', '100'],
];

/**
 * Raises the limits of the mount's backing device, where that is permitted; after INIT, which sets
 * them. Never fails.
 * @returns the device's directory in sysfs, which stays right wherever the mount is moved to
 */
export function tuneBacking(directory: string): string | undefined {
  const record = findMount(directory);
  if (record === undefined) return undefined;
  const backing = `/sys/class/bdi/${record.deviceNumbers}${record.type.startsWith('fuseblk') ? '-fuseblk' : ''}`;
  for (const [file, value] of bdiSettings) {
    try {
      writeFileSync(`${backing}/${file}`, value);
    } catch {
      // Slower, but it works.
    }
  }
  return backing;
}
