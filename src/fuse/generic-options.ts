/**
 * The options that every filesystem has, as mount(8) knows them: those that become flags of
 * mount(2), and those that mount(8), systemd and fstab keep for themselves, which are accepted and
 * do nothing.
 */
import { ACCESS_FLAGS, MountFlag } from './mount-flags.ts';
import { ignored, type OptionRule, type OptionRules, refuses, turns } from './option-rule.ts';

export interface GenericOptions {
  /** `MountFlag` bits for mount(2). */
  flags: number;
}

function sets(flag: number): OptionRule<GenericOptions> {
  return turns((options) => {
    options.flags |= flag;
  });
}

function clears(flag: number): OptionRule<GenericOptions> {
  return turns((options) => {
    options.flags &= ~flag;
  });
}

/** One of three: mount(2) takes no two of them, and the last that is said counts. */
function moves(flag: number): OptionRule<GenericOptions> {
  return turns((options) => {
    options.flags = (options.flags & ~ACCESS_FLAGS) | flag;
  });
}

export const genericRules: OptionRules<GenericOptions> = {
  // Become flags of mount(2).
  ro: sets(MountFlag.readOnly),
  rw: clears(MountFlag.readOnly),
  nosuid: sets(MountFlag.noSuid),
  suid: clears(MountFlag.noSuid),
  nodev: sets(MountFlag.noDevices),
  dev: clears(MountFlag.noDevices),
  noexec: sets(MountFlag.noExecute),
  exec: clears(MountFlag.noExecute),
  nosymfollow: sets(MountFlag.noSymlinks),
  symfollow: clears(MountFlag.noSymlinks),
  sync: sets(MountFlag.synchronous),
  async: clears(MountFlag.synchronous),
  dirsync: sets(MountFlag.directorySynchronous),
  noatime: moves(MountFlag.noAccessTime),
  atime: clears(MountFlag.noAccessTime),
  nodiratime: sets(MountFlag.noDirectoryAccessTime),
  diratime: clears(MountFlag.noDirectoryAccessTime),
  relatime: moves(MountFlag.relativeAccessTime),
  norelatime: clears(MountFlag.relativeAccessTime),
  strictatime: moves(MountFlag.strictAccessTime),
  nostrictatime: clears(MountFlag.strictAccessTime),
  lazytime: sets(MountFlag.lazyTime),
  nolazytime: clears(MountFlag.lazyTime),

  // The business of mount(8), systemd and fstab.
  defaults: ignored,
  auto: ignored,
  noauto: ignored,
  nofail: ignored,
  user: ignored,
  nouser: ignored,
  users: ignored,
  nousers: ignored,
  owner: ignored,
  noowner: ignored,
  group: ignored,
  nogroup: ignored,
  _netdev: ignored,
  comment: ignored,
  silent: ignored,
  loud: ignored,
  nomand: ignored,

  remount: refuses('remount is for a mount that there is: quarry mount -o remount,… DIR'),
};
