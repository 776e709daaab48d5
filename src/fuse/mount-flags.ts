/** The flags of mount(2), and which access times they mean. */
import type { AccessRule, AccessRules } from '../fs/base/filesystem.ts';

/** Flags of mount(2), linux/mount.h. */
export const MountFlag = {
  readOnly: 1,
  noSuid: 2,
  noDevices: 4,
  noExecute: 8,
  synchronous: 16,
  directorySynchronous: 128,
  noSymlinks: 256,
  noAccessTime: 1024,
  noDirectoryAccessTime: 2048,
  relativeAccessTime: 1 << 21,
  strictAccessTime: 1 << 24,
  lazyTime: 1 << 25,
} as const;

/** Of which one counts. */
export const ACCESS_FLAGS =
  MountFlag.noAccessTime | MountFlag.relativeAccessTime | MountFlag.strictAccessTime;

/**
 * Which reads move access times under these flags, as path_mount in the kernel has it: relatime
 * unless told otherwise.
 */
export function accessRules(flags: number): AccessRules {
  const strict = (flags & MountFlag.strictAccessTime) !== 0;
  const none = (flags & MountFlag.noAccessTime) !== 0;
  const files: AccessRule = strict ? 'always' : none ? 'never' : 'relative';
  return { files, directories: (flags & MountFlag.noDirectoryAccessTime) !== 0 ? 'never' : files };
}
