/**
 * The `-o` options of a mount: what `mount.quarry` and `quarry mount` accept, as a table.
 *
 * `parseMountOptions` takes the texts as they stand on the command line and in fstab, and gives a
 * typed object. What mount(8) keeps for itself (nofail, noauto, user, x-…) is accepted and does
 * nothing; what nobody knows is one clear error, so that a misspelt option never mounts with less
 * than was asked for.
 */

import { DEFAULT_SPIN_NANOSECONDS, LONGEST_SPIN_NANOSECONDS } from '../common/limits.ts';
import type { AccessRule, AccessRules } from '../fs/base/filesystem.ts';
import {
  DEFAULT_CACHE_BYTES,
  DEFAULT_COMMIT_SECONDS,
  MAX_CACHE_BYTES,
  MAX_COMMIT_SECONDS,
  MIN_CACHE_BYTES,
} from '../fs/base/limits.ts';
import { LEAST_READ_BYTES, MAX_TRANSFER_BYTES } from './limits.ts';

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
  /** `alloc.KEY=VALUE`, for the allocator. */
  allocatorOptions: Readonly<Record<string, string>>;
  /** Longest time between commits, in seconds. */
  commitSeconds: number;
  /** Is the journal replayed if the volume was not unmounted in order? */
  recovery: boolean;
}

/** An option that cannot be had; the message is one line that says what to do. */
export class MountOptionError extends Error {
  override readonly name = 'MountOptionError';
}

/** What comes before the name of an option of the allocator. */
const ALLOCATOR_PREFIX = 'alloc.';

/** Bounds of what an option may say, and what it is if nobody says. */
interface Limits {
  readonly least: number;
  readonly most: number;
  readonly otherwise: number;
}

/**
 * The one table of them. A value that passes here is one that whoever uses it takes as it is: the
 * addon, the cache, mount(2).
 */
export const OPTION_LIMITS = {
  spinNanoseconds: { least: 0, most: LONGEST_SPIN_NANOSECONDS, otherwise: DEFAULT_SPIN_NANOSECONDS },
  cacheBytes: { least: MIN_CACHE_BYTES, most: MAX_CACHE_BYTES, otherwise: DEFAULT_CACHE_BYTES },
  commitSeconds: { least: 0, most: MAX_COMMIT_SECONDS, otherwise: DEFAULT_COMMIT_SECONDS },
  maxReadBytes: { least: LEAST_READ_BYTES, most: MAX_TRANSFER_BYTES, otherwise: MAX_TRANSFER_BYTES },
} as const satisfies Record<string, Limits>;

/** mount(2) takes a page for the source, with its end, and for the type of the filesystem. */
const MOST_NAME_BYTES = 4095;
const MOST_SUBTYPE_BYTES = 255;

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

  remount: refuses('remount is for a mount that there is: quarry mount -o remount,… DIR'),
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
    if (Buffer.byteLength(value) > MOST_NAME_BYTES) {
      throw new MountOptionError(`fsname is longer than ${MOST_NAME_BYTES} bytes`);
    }
    options.fsname = value;
  }),
  subtype: takes((options, value) => {
    if (!/^[A-Za-z0-9_-]+$/.test(value)) throw new MountOptionError(`subtype=${value} is not a plain word`);
    if (value.length > MOST_SUBTYPE_BYTES) {
      throw new MountOptionError(`subtype is longer than ${MOST_SUBTYPE_BYTES} bytes`);
    }
    options.subtype = value;
  }),
  max_read: takes((options, value) => {
    options.maxReadBytes = bytesIn('max_read', value, OPTION_LIMITS.maxReadBytes);
  }),

  // Quarry's own.
  spin: takes((options, value) => {
    options.spinNanoseconds = parseSpin(value);
  }),
  cache: takes((options, value) => {
    options.cacheBytes = bytesIn('cache', value, OPTION_LIMITS.cacheBytes);
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
    const limits = OPTION_LIMITS.commitSeconds;
    const seconds = within('commit', value, parseWhole('commit', value), limits, String);
    options.commitSeconds = seconds === 0 ? limits.otherwise : seconds;
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
  return within('spin', value, nanoseconds, OPTION_LIMITS.spinNanoseconds, (bound) => `${bound / 1e6}ms`);
}

function parseLayer(value: string): FuseLayer {
  if (value === 'native' || value === 'fuse-native') return value;
  throw new MountOptionError(`layer=${value} is not known: native or fuse-native`);
}

function parseEngine(value: string): IoEngine {
  if (value === 'aio' || value === 'uring') return value;
  throw new MountOptionError(`engine=${value} is not known: aio or uring`);
}

/** The number, if it is in bounds; `show` makes text of a bound as the user would write it. */
function within(
  name: string,
  text: string,
  value: number,
  { least, most }: Limits,
  show: (bound: number) => string,
): number {
  if (value >= least && value <= most) return value;
  throw new MountOptionError(`${name}=${text} is out of bounds: from ${show(least)} to ${show(most)}`);
}

function bytesIn(name: string, text: string, limits: Limits): number {
  return within(name, text, parseBytes(name, text), limits, showBytes);
}

/** In the largest unit that leaves a whole number. */
function showBytes(bytes: number): string {
  const unit = Object.entries(byteUnits).findLast(([, unitBytes]) => bytes % unitBytes === 0);
  return unit === undefined || bytes === 0 ? String(bytes) : `${bytes / unit[1]}${unit[0]}`;
}

/**
 * Options in a text, split at commas; `\,` and `\\` stand for themselves, as in mount(8) and
 * libfuse.
 */
export function splitOptions(text: string): string[] {
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

/** The allocator judges what it is given. */
function applyAllocatorOption(options: MountOptions, key: string, value: string | undefined): void {
  if (key === '' || value === undefined) {
    throw new MountOptionError(
      `mount option '${ALLOCATOR_PREFIX}${key}' needs a key and a value: alloc.window=64`,
    );
  }
  options.allocatorOptions = Object.fromEntries([...Object.entries(options.allocatorOptions), [key, value]]);
}

function applyOption(options: MountOptions, option: string): void {
  const equals = option.indexOf('=');
  const name = equals < 0 ? option : option.slice(0, equals);
  const value = equals < 0 ? undefined : option.slice(equals + 1);
  if (/^x-/i.test(name)) return;
  if (name.startsWith(ALLOCATOR_PREFIX)) {
    applyAllocatorOption(options, name.slice(ALLOCATOR_PREFIX.length), value);
    return;
  }
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
 * Applies the texts of `-o` options, in order.
 * @throws MountOptionError with one line for the user
 */
export function applyMountOptions(options: MountOptions, texts: readonly string[]): void {
  for (const text of texts) {
    for (const option of splitOptions(text)) applyOption(options, option);
  }
}

/**
 * Reads the texts of all `-o` options, in order; later ones win.
 *
 * @param texts each a comma-separated list.
 * @param asRoot whether the mount is made by root, whose mounts are open to everybody, as ext4's
 * are, but not those of fuse-native.
 * @throws MountOptionError with one line for the user.
 */
export function parseMountOptions(texts: readonly string[], asRoot: boolean): MountOptions {
  const options: MountOptions = {
    flags: 0,
    readOnly: false,
    allowOther: false,
    fsname: undefined,
    subtype: 'quarry',
    maxReadBytes: OPTION_LIMITS.maxReadBytes.otherwise,
    spinNanoseconds: OPTION_LIMITS.spinNanoseconds.otherwise,
    cacheBytes: OPTION_LIMITS.cacheBytes.otherwise,
    layer: 'native',
    engine: 'aio',
    allocator: undefined,
    allocatorOptions: {},
    commitSeconds: OPTION_LIMITS.commitSeconds.otherwise,
    recovery: true,
  };
  applyMountOptions(options, texts);
  options.readOnly = (options.flags & MountFlag.readOnly) !== 0;
  // libfuse 2 does not say who calls: what others make would belong to root.
  if (asRoot && options.layer === 'native') options.allowOther = true;
  if (!options.recovery && !options.readOnly) {
    throw new MountOptionError(
      'norecovery needs ro: a volume whose journal is left out can only be looked at',
    );
  }
  return options;
}
