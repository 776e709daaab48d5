/**
 * Mount options that a volume brings along, in its superblock (`quarry tune -o`).
 *
 * A volume may come from anybody, so it may say what it wants to be spared (times, caches, programs
 * that run) and nothing else: no file that is written, no module that is loaded, no right that is
 * given.
 */

import { MountOptionError } from '../fuse/mount-option-error.ts';
import { parseMountOptions } from '../fuse/options.ts';
import { CommandError } from './failure.ts';
import { inspectTarget } from './target.ts';
import { readVolumeHead } from './volume-head.ts';

/** Names of options that a volume may say; `commit` has a value. */
export const STORABLE: ReadonlySet<string> = new Set([
  ...['ro', 'nosuid', 'nodev', 'noexec', 'nosymfollow'],
  ...['noatime', 'nodiratime', 'relatime', 'strictatime', 'lazytime'],
  ...[
    'sync',
    'dirsync',
    'commit',
    'discard',
    'noacl',
    'nouser_xattr',
    'grpid',
    'bsdgroups',
    'noquota',
    'reserved',
  ],
]);

export function optionName(option: string): string {
  return option.split('=', 1)[0] ?? '';
}

/** Those of a list that hold. What is not known here, or nobody may store, is passed over. */
export function holdingOptions(list: string, asRoot: boolean): string[] {
  return list.split(',').filter((option) => {
    if (!STORABLE.has(optionName(option))) return false;
    try {
      parseMountOptions([option], asRoot);
      return true;
    } catch (thrown) {
      if (thrown instanceof MountOptionError) return false;
      throw thrown;
    }
  });
}

/** Of a target that cannot be read there are none: that is told when it is to be mounted. */
export function storedOptions(target: string, asRoot: boolean): string[] {
  try {
    return holdingOptions(readVolumeHead(inspectTarget(target)).mountOptions, asRoot);
  } catch (thrown) {
    if (thrown instanceof CommandError) return [];
    throw thrown;
  }
}
