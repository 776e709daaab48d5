/**
 * New options for a mount that exists: which there can be, and how the kernel is told.
 *
 * `ro`, `rw`, the access times, the restrictions of mount(8), `sync`, `dirsync`, `lazytime`,
 * `commit`, `grpid`, `discard` and `quota` can change; whatever else is named has to be as it is,
 * since mount(8) hands over what fstab and the mount table say as well. Who remounts works out the
 * kernel's flags by himself: what the server of a mount says about them is not to be trusted.
 */
import { codeOf, messageOf } from '../common/thrown.ts';
import { native } from '../native.ts';
import { MountError } from './mount-error.ts';
import { ACCESS_FLAGS, MountFlag } from './mount-flags.ts';
import { MountOptionError } from './mount-option-error.ts';
import type { MountRecord } from './mount-table.ts';
import { applyMountOptions, type MountOptions, parseMountOptions, splitOptions } from './options.ts';

const REMOUNT_FLAG = 32;

/** Flags that a remount may change. */
const CHANGEABLE =
  MountFlag.readOnly |
  MountFlag.noSuid |
  MountFlag.noDevices |
  MountFlag.noExecute |
  MountFlag.noSymlinks |
  MountFlag.synchronous |
  MountFlag.directorySynchronous |
  MountFlag.lazyTime |
  MountFlag.noAccessTime |
  MountFlag.noDirectoryAccessTime |
  MountFlag.relativeAccessTime |
  MountFlag.strictAccessTime;

/** What libfuse 2 is told once, when it mounts. */
const FIXED_IN_LIBFUSE = MountFlag.synchronous | MountFlag.directorySynchronous;

/** Names of the flags in the mount table; strictatime is the absence of the two others. */
const tableFlags: Readonly<Record<string, number>> = {
  ro: MountFlag.readOnly,
  nosuid: MountFlag.noSuid,
  nodev: MountFlag.noDevices,
  noexec: MountFlag.noExecute,
  nosymfollow: MountFlag.noSymlinks,
  sync: MountFlag.synchronous,
  dirsync: MountFlag.directorySynchronous,
  noatime: MountFlag.noAccessTime,
  nodiratime: MountFlag.noDirectoryAccessTime,
  relatime: MountFlag.relativeAccessTime,
  lazytime: MountFlag.lazyTime,
};

/** The flags of mount(2) that a mount has, as the mount table tells them. */
export function flagsOf({ flags, options }: MountRecord): number {
  const words = [...flags.split(','), ...options.split(',')];
  const found = words.reduce((sum, word) => sum | (tableFlags[word] ?? 0), 0);
  const isStrict = (found & ACCESS_FLAGS) === 0;
  return isStrict ? found | MountFlag.strictAccessTime : found;
}

/** Whether the filesystem of the mount is read-only, whichever of its mounts one looks at. */
export function isReadOnly({ options }: MountRecord): boolean {
  return options.split(',').includes('ro');
}

/**
 * The flags of a mount when those in the mount table have changed. What did not change there stays
 * as it is: the table need not show all of them.
 */
export function followedFlags(own: number, before: number, now: number): number {
  const changed = before ^ now;
  const followed = (changed & ACCESS_FLAGS) === 0 ? changed : changed | ACCESS_FLAGS;
  return (own & ~followed) | (now & followed);
}

/** What `-o remount,…` asks for, one option each, without those that the mount table has anyway. */
export function remountWords(texts: readonly string[], { options }: MountRecord): string[] {
  const present = options.split(',');
  const words = texts.flatMap(splitOptions);
  return words.filter((word) => word !== 'remount' && (isFlagWord(word) || !present.includes(word)));
}

export function isRemount(texts: readonly string[]): boolean {
  return texts.flatMap(splitOptions).includes('remount');
}

function isFlagWord(word: string): boolean {
  return word === 'rw' || Object.hasOwn(tableFlags, word);
}

/** An access time rule takes the place of the one there is, as the kernel has it for a remount. */
function withOneRule(before: number, after: number): number {
  const added = after & ACCESS_FLAGS & ~before;
  return added === 0 ? after : (after & ~ACCESS_FLAGS) | added;
}

/**
 * The options that a mount with these has after a remount.
 * @throws MountOptionError for one that is not known, or cannot be changed
 */
export function changedOptions(present: MountOptions, words: readonly string[]): MountOptions {
  const changed = { ...present };
  for (const word of words) {
    const before = { ...changed };
    applyMountOptions(changed, [word]);
    changed.flags = withOneRule(before.flags, changed.flags);
    if (!canChange(before, changed)) {
      throw new MountOptionError(`${word} cannot be had by a remount: unmount and mount again with it`);
    }
  }
  changed.readOnly = (changed.flags & MountFlag.readOnly) !== 0;
  return changed;
}

function canChange(before: MountOptions, after: MountOptions): boolean {
  const changeable = before.layer === 'native' ? CHANGEABLE : CHANGEABLE & ~FIXED_IN_LIBFUSE;
  if (((before.flags ^ after.flags) & ~changeable) !== 0) return false;
  const others = (options: MountOptions) =>
    JSON.stringify({
      ...options,
      flags: 0,
      readOnly: false,
      commitSeconds: 0,
      directoryGroups: false,
      discard: false,
      quota: false,
      reserved: undefined,
    });
  return others(before) === others(after);
}

/**
 * The flags that the mount has after a remount with these words, of which others than flags are
 * left out.
 */
export function remountFlags(mount: MountRecord, words: readonly string[]): number {
  const present: MountOptions = { ...parseMountOptions([], true), flags: flagsOf(mount) };
  const { flags } = changedOptions(present, words.filter(isFlagChange));
  // Without any rule the kernel would keep the one there is.
  return (flags & ACCESS_FLAGS) === 0 ? flags | MountFlag.relativeAccessTime : flags;
}

function isFlagChange(word: string): boolean {
  return (
    isFlagWord(word) ||
    /^((no)?(suid|dev|exec|atime|diratime|relatime|strictatime|lazytime)|symfollow|async)$/.test(word)
  );
}

/**
 * Gives a mount other flags. Waits until the kernel's cache is written where it becomes read-only.
 * @throws MountError
 */
export function remount({ directory, source }: MountRecord, flags: number): void {
  try {
    native.mountFuse(source, directory, '', (flags | REMOUNT_FLAG) >>> 0, '');
  } catch (thrown) {
    const code = codeOf(thrown);
    if (code === 'EPERM')
      throw new MountError(`not allowed to remount ${directory}: this needs CAP_SYS_ADMIN`);
    if (code === 'EBUSY') {
      throw new MountError(
        `${directory} is busy: files are open for writing there, or removed and still open ('fuser -vm ${directory}')`,
      );
    }
    if (code === 'EACCES' || code === 'EROFS')
      throw new MountError(`${directory} stays read-only: ${source} is write-protected`);
    throw new MountError(`cannot remount ${directory}: ${messageOf(thrown)}`, { cause: thrown });
  }
}
