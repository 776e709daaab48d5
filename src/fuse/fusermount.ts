/**
 * fusermount3, the set-user-id helper of libfuse, by which whoever is not root mounts and unmounts.
 *
 * It mounts, and passes the open /dev/fuse back over a socket (_FUSE_COMMFD). What it complains of
 * becomes a MountError with what to do.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { native } from '../native.ts';
import { isUtf8 } from '../path-bytes.ts';
import { advised, BusyMountError, MountError, NO_FUSE_DEVICE } from './mount-error.ts';
import { MountFlag } from './mount-flags.ts';
import type { FuseMountRequest } from './mount-request.ts';

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
export function helperOptions(request: Pick<FuseMountRequest, 'source' | 'options'>): string {
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

/**
 * Mounts, and returns the open /dev/fuse.
 * @throws MountError
 */
export async function mountByHelper(request: FuseMountRequest): Promise<number> {
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

/** @throws BusyMountError, MountError */
export async function unmountByHelper(directory: string, ...flags: string[]): Promise<void> {
  const end = await runHelper(['-u', ...flags, '--', directory], 'ignore', {});
  if (end.status === 0) return;
  if (/busy/i.test(end.complaint)) throw new BusyMountError(directory);
  throw new MountError(end.complaint || `fusermount3 could not unmount ${directory}`);
}
