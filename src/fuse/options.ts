/**
 * The `-o` options of a mount: what `mount.quarry` and `quarry mount` accept, as a table.
 *
 * `parseMountOptions` takes the texts as they stand on the command line and in fstab, and gives a typed
 * object. What mount(8) keeps for itself (nofail, noauto, user, x-…) is accepted and does nothing; what
 * nobody knows is one clear error, so that a misspelt option never mounts with less than was asked for.
 */

import type { AccessRule, AccessRules } from '../fs/filesystem.ts';

/** Flags of mount(2), linux/mount.h. */
export const MountFlag = {
  readOnly: 1,
  noSuid: 2,
  noDevices: 4,
  noExecute: 8,
  synchronous: 16,
  directorySynchronous: 128,
  noAccessTime: 1024,
  noDirectoryAccessTime: 2048,
  relativeAccessTime: 1 << 21,
  strictAccessTime: 1 << 24,
  lazyTime: 1 << 25,
} as const;

/** Which reads move access times under these flags, as path_mount in the kernel has it: relatime unless told otherwise. */
export function accessRules(flags: number): AccessRules {
  const strict = (flags & MountFlag.strictAccessTime) !== 0;
  const none = (flags & MountFlag.noAccessTime) !== 0;
  const files: AccessRule = strict ? 'always' : none ? 'never' : 'relative';
  return { files, directories: (flags & MountFlag.noDirectoryAccessTime) !== 0 ? 'never' : files };
}

/** Which code speaks to the kernel: Quarry's own, or libfuse 2 through the fuse-native package. */
export type FuseLayer = 'native' | 'fuse-native';

/** Which of the kernel's interfaces carries the I/O of the volume: io_submit, or io_uring. */
export type IoEngine = 'aio' | 'uring';

export interface MountOptions {
  /** `MountFlag` bits for mount(2). */
  flags: number;
  readOnly: boolean;
  allowOther: boolean;
  /** Shown as the source of the mount instead of the target's path. */
  fsname: string | undefined;
  subtype: string;
  /** Longest READ, in bytes. */
  maxReadBytes: number;
  /** Longest spin before sleeping, in nanoseconds; 0 = never. */
  spinNanoseconds: number;
  /** Budget of the metadata cache, in bytes. */
  cacheBytes: number;
  layer: FuseLayer;
  engine: IoEngine;
  /** Name of a built-in allocator, or path of a module; undefined = the volume's own choice. */
  allocator: string | undefined;
  /** Longest time between commits, in seconds. */
  commitSeconds: number;
  /** Is the journal replayed if the volume was not unmounted in order? */
  recovery: boolean;
}

/** An option that cannot be had; the message is one line that says what to do. */
export class MountOptionError extends Error {
  override readonly name = 'MountOptionError';
}

const DEFAULT_SPIN_NANOSECONDS = 50_000;
const MAX_SPIN_NANOSECONDS = 10_000_000;
const DEFAULT_CACHE_BYTES = 64 << 20;
const LEAST_CACHE_BYTES = 1 << 20;
const DEFAULT_COMMIT_SECONDS = 5;
const MAX_COMMIT_SECONDS = 3600;
const LEAST_READ_BYTES = 4096;
const DEFAULT_READ_BYTES = 1 << 20;

interface OptionRule {
  /** 'none': `name`; 'needed': `name=value`; 'either'. */
  readonly value: 'none' | 'needed' | 'either';
  apply(options: MountOptions, value: string): void;
}

const ignored: OptionRule = { value: 'either', apply: () => {} };

function sets(flag: number): OptionRule {
  return {
    value: 'none',
    apply: (options) => {
      options.flags |= flag;
    },
  };
}

function clears(flag: number): OptionRule {
  return {
    value: 'none',
    apply: (options) => {
      options.flags &= ~flag;
    },
  };
}

function takes(apply: (options: MountOptions, value: string) => void): OptionRule {
  return { value: 'needed', apply };
}

function refuses(advice: string): OptionRule {
  return {
    value: 'either',
    apply: () => {
      throw new MountOptionError(advice);
    },
  };
}

const skipsRecovery: OptionRule = {
  value: 'none',
  apply: (options) => {
    options.recovery = false;
  },
};

const rules: Readonly<Record<string, OptionRule>> = {
  // Generic options that become flags of mount(2).
  ro: sets(MountFlag.readOnly),
  rw: clears(MountFlag.readOnly),
  nosuid: sets(MountFlag.noSuid),
  suid: clears(MountFlag.noSuid),
  nodev: sets(MountFlag.noDevices),
  dev: clears(MountFlag.noDevices),
  noexec: sets(MountFlag.noExecute),
  exec: clears(MountFlag.noExecute),
  sync: sets(MountFlag.synchronous),
  async: clears(MountFlag.synchronous),
  dirsync: sets(MountFlag.directorySynchronous),
  noatime: sets(MountFlag.noAccessTime),
  atime: clears(MountFlag.noAccessTime),
  nodiratime: sets(MountFlag.noDirectoryAccessTime),
  diratime: clears(MountFlag.noDirectoryAccessTime),
  relatime: sets(MountFlag.relativeAccessTime),
  norelatime: clears(MountFlag.relativeAccessTime),
  strictatime: sets(MountFlag.strictAccessTime),
  nostrictatime: clears(MountFlag.strictAccessTime),
  lazytime: sets(MountFlag.lazyTime),
  nolazytime: clears(MountFlag.lazyTime),

  // Generic options that are the business of mount(8), systemd and fstab.
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

  remount: refuses('remount is not supported: unmount and mount again with the new options'),
  loop: refuses('loop is not needed: give the image file itself as the target'),

  // FUSE.
  allow_other: {
    value: 'none',
    apply: (options) => {
      options.allowOther = true;
    },
  },
  allow_root: refuses('allow_root is not supported: use allow_other'),
  default_permissions: { value: 'none', apply: () => {} },
  fsname: takes((options, value) => {
    options.fsname = value;
  }),
  subtype: takes((options, value) => {
    if (!/^[A-Za-z0-9_-]+$/.test(value)) throw new MountOptionError(`subtype=${value} is not a plain word`);
    options.subtype = value;
  }),
  max_read: takes((options, value) => {
    options.maxReadBytes = numberIn(
      'max_read',
      parseBytes('max_read', value),
      LEAST_READ_BYTES,
      DEFAULT_READ_BYTES,
    );
  }),

  // Quarry's own.
  spin: takes((options, value) => {
    options.spinNanoseconds = parseSpin(value);
  }),
  cache: takes((options, value) => {
    const bytes = parseBytes('cache', value);
    options.cacheBytes = numberIn('cache', bytes, LEAST_CACHE_BYTES, Number.MAX_SAFE_INTEGER);
  }),
  layer: takes((options, value) => {
    options.layer = parseLayer(value);
  }),
  engine: takes((options, value) => {
    options.engine = parseEngine(value);
  }),
  allocator: takes((options, value) => {
    options.allocator = value;
  }),
  // Both names are known from other filesystems: xfs and ext4.
  norecovery: skipsRecovery,
  noload: skipsRecovery,
  // 0 is the default, as for ext4: fstab lines mean the same.
  commit: takes((options, value) => {
    const seconds = numberIn('commit', parseWhole('commit', value), 0, MAX_COMMIT_SECONDS);
    options.commitSeconds = seconds === 0 ? DEFAULT_COMMIT_SECONDS : seconds;
  }),
};

function parseWhole(name: string, value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw new MountOptionError(`${name}=${value} is not a whole number`);
  return Number(value);
}

const byteUnits: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

function parseBytes(name: string, value: string): number {
  const match = /^(\d{1,15})([KMGT]?)$/i.exec(value);
  const unit = byteUnits[match?.[2]?.toUpperCase() ?? ''];
  if (match === null || unit === undefined) {
    throw new MountOptionError(`${name}=${value} is not a size: write it as 65536, 512K, 64M or 1G`);
  }
  return Number(match[1]) * unit;
}

const spinUnits: Readonly<Record<string, number>> = { ns: 1, us: 1000, ms: 1_000_000 };

function parseSpin(value: string): number {
  if (value === '0') return 0;
  const match = /^(\d{1,9})(ns|us|ms)$/.exec(value);
  const unit = spinUnits[match?.[2] ?? ''];
  if (match === null || unit === undefined) {
    throw new MountOptionError(
      `spin=${value} is not a time: write it as 50us, 50000ns, 1ms, or 0 to never spin`,
    );
  }
  const nanoseconds = Number(match[1]) * unit;
  if (nanoseconds > MAX_SPIN_NANOSECONDS)
    throw new MountOptionError(`spin=${value} is too long: 10ms at most`);
  return nanoseconds;
}

function parseLayer(value: string): FuseLayer {
  if (value === 'native' || value === 'fuse-native') return value;
  throw new MountOptionError(`layer=${value} is not known: native or fuse-native`);
}

function parseEngine(value: string): IoEngine {
  if (value === 'aio' || value === 'uring') return value;
  throw new MountOptionError(`engine=${value} is not known: aio or uring`);
}

function numberIn(name: string, value: number, least: number, most: number): number {
  if (value >= least && value <= most) return value;
  throw new MountOptionError(`${name} must be from ${least} to ${most}`);
}

/** Options in a text, split at commas; `\,` and `\\` stand for themselves, as in mount(8) and libfuse. */
function splitOptions(text: string): string[] {
  const options: string[] = [];
  let option = '';
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '\\' && at + 1 < text.length) option += text.charAt(++at);
    else if (character === ',') {
      options.push(option);
      option = '';
    } else option += character;
  }
  options.push(option);
  return options.filter((found) => found !== '');
}

function applyOption(options: MountOptions, option: string): void {
  const equals = option.indexOf('=');
  const name = equals < 0 ? option : option.slice(0, equals);
  const value = equals < 0 ? undefined : option.slice(equals + 1);
  if (/^x-/i.test(name)) return;
  const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
  if (rule === undefined) {
    throw new MountOptionError(
      `unknown mount option '${option}': 'quarry mount --help' lists those there are`,
    );
  }
  if (rule.value === 'needed' && (value === undefined || value === '')) {
    throw new MountOptionError(`mount option '${name}' needs a value: ${name}=…`);
  }
  if (rule.value === 'none' && value !== undefined) {
    throw new MountOptionError(`mount option '${name}' takes no value`);
  }
  rule.apply(options, value ?? '');
}

/**
 * Reads the texts of all `-o` options, in order; later ones win.
 *
 * @param texts each a comma-separated list.
 * @param asRoot whether the mount is made by root, whose mounts are open to everybody, as ext4's are.
 * @throws MountOptionError with one line for the user.
 */
export function parseMountOptions(texts: readonly string[], asRoot: boolean): MountOptions {
  const options: MountOptions = {
    flags: 0,
    readOnly: false,
    allowOther: asRoot,
    fsname: undefined,
    subtype: 'quarry',
    maxReadBytes: DEFAULT_READ_BYTES,
    spinNanoseconds: DEFAULT_SPIN_NANOSECONDS,
    cacheBytes: DEFAULT_CACHE_BYTES,
    layer: 'native',
    engine: 'aio',
    allocator: undefined,
    commitSeconds: DEFAULT_COMMIT_SECONDS,
    recovery: true,
  };
  for (const text of texts) {
    for (const option of splitOptions(text)) applyOption(options, option);
  }
  options.readOnly = (options.flags & MountFlag.readOnly) !== 0;
  if (!options.recovery && !options.readOnly) {
    throw new MountOptionError(
      'norecovery needs ro: a volume whose journal is left out can only be looked at',
    );
  }
  return options;
}
