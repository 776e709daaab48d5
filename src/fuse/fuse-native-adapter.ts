/**
 * The second FUSE layer, `-o layer=fuse-native`: libfuse 2 through the fuse-native package.
 *
 * fuse-native calls with paths; each call walks its path by lookups and does its work in one
 * transaction of the same filesystem (fuse-native-calls.ts). It is for those who want libfuse 2,
 * and to compare with. It is an optional dependency, loaded when asked for.
 *
 * What fuse-native 2.2 cannot carry, and so is not to be had on this layer:
 *   the caller: files are made as the user who runs the daemon, and their group. So others are let
 *     in only with an explicit allow_other, and then a file is never made with set-user-id or
 *     set-group-id bits: they would be the daemon's
 *   nanoseconds: times are rounded to milliseconds, and end before 1970 and after 2^32 seconds
 *   inode numbers above 2^32, and sizes of statfs above 2^32 blocks
 *   names that are not UTF-8
 *   rename flags (NOREPLACE, EXCHANGE), readdirplus, fallocate, lseek, statx, syncfs, fuseblk
 *   set-user-id bits cleared by the write itself: libfuse 2 never learns of them
 *   which writes come from a mapping: when one of these fails, the kernel alone tells, at one fsync
 *   long kernel caching: names and attributes are asked for again after a second, and as paths are
 *     all that libfuse 2 knows, a change by one name of a hard link shows at its other names as
 *     late
 */
import type { FileSystem } from '../fs/base/filesystem.ts';
import { PathCalls } from './fuse-native-calls.ts';
import { MAX_LIBFUSE_BYTES } from './fuse-native-files.ts';
import { MountError } from './mount-error.ts';
import { findMount } from './mount-table.ts';
import type { MountOptions } from './options.ts';
import { synchronousRequests } from './synchronous.ts';

interface FuseNative {
  mount(done: (error: Error | null) => void): void;
}
type FuseNativeClass = new (
  directory: string,
  operations: Record<string, unknown>,
  options: Record<string, unknown>,
) => FuseNative;

/** How often to see whether the mount is still there: fuse-native does not tell. */
const WATCH_MILLISECONDS = 250;

async function loadFuseNative(): Promise<FuseNativeClass> {
  // A name that the compiler does not resolve: the package may be absent.
  const name: string = 'fuse-native';
  try {
    const loaded: { default: FuseNativeClass } = await import(name);
    return loaded.default;
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message.split('\n')[0] : String(thrown);
    throw new MountError(
      `layer=fuse-native needs the fuse-native package and libfuse 2 ('npm install fuse-native', 'apt install libfuse2'), or leave the option out: ${why}`,
      { cause: thrown },
    );
  }
}

export interface FuseNativeRequest {
  readonly filesystem: FileSystem;
  readonly source: string;
  /** As `checkMountpoint` gave it. */
  readonly directory: string;
  readonly options: MountOptions;
  readonly log: (message: string) => void;
}

/** What whoever mounts with these options has to know; undefined if there is nothing. */
export function fuseNativeWarning({ layer, allowOther }: MountOptions): string | undefined {
  if (layer !== 'fuse-native' || !allowOther) return undefined;
  return (
    `layer=fuse-native with allow_other: libfuse 2 does not say who calls, so what others make belongs to ` +
    `user ${process.geteuid?.() ?? 0}, without set-user-id and set-group-id bits`
  );
}

export interface FuseNativeMount {
  /** Resolves when the mount is gone and the filesystem is unmounted. */
  readonly closed: Promise<void>;
}

/**
 * fuse-native knows few of libfuse's options. The rest is passed behind the name: its options are
 * one text, split at commas.
 */
function libfuseOptions({ source, options }: FuseNativeRequest): Record<string, unknown> {
  const name = (options.fsname ?? source).replace(/[\\,]/g, '\\$&');
  const more = ['big_writes', `max_read=${Math.min(options.maxReadBytes, MAX_LIBFUSE_BYTES)}`, 'use_ino'];
  if (options.readOnly) more.push('ro');
  return {
    fsname: [name, ...more].join(','),
    subtype: options.subtype,
    allowOther: options.allowOther,
    defaultPermissions: true,
    timeout: false,
  };
}

/**
 * Mounts by fuse-native, and serves until the mount is gone.
 *
 * @throws MountError if the package or libfuse 2 is missing, or refuses.
 */
export async function serveByFuseNative(request: FuseNativeRequest): Promise<FuseNativeMount> {
  const { directory, filesystem } = request;
  const Fuse = await loadFuseNative();
  const calls = new PathCalls(filesystem, request.options.allowOther, request.log);
  const table = calls.table(synchronousRequests(request.options.flags));
  const fuse = new Fuse(directory, table, libfuseOptions(request));
  await new Promise<void>((resolve, reject) => {
    fuse.mount((error) => {
      if (error === null || error === undefined) resolve();
      else reject(new MountError(`fuse-native cannot mount on ${directory}: ${error.message}`));
    });
  });
  return { closed: untilGone(directory).then(() => filesystem.unmount()) };
}

async function untilGone(directory: string): Promise<void> {
  while (findMount(directory) !== undefined) {
    await new Promise((resolve) => setTimeout(resolve, WATCH_MILLISECONDS));
  }
}
