/** The options of the volume: its cache, its journal, its allocator, the engine of its I/O. */

import type { ReservedSpace } from '../fs/base/filesystem.ts';
import { MountOptionError } from './mount-option-error.ts';
import { isAlways, type OptionRule, type OptionRules, refuses, takes, turns } from './option-rule.ts';
import { bytesIn, OPTION_LIMITS, parseWhole, within } from './option-values.ts';

/** Which of the kernel's interfaces carries the I/O of the volume: io_submit, or io_uring. */
export type IoEngine = 'aio' | 'uring';

export interface VolumeMountOptions {
  /** Budget of the metadata cache, in bytes. */
  cacheBytes: number;
  engine: IoEngine;
  /** Name of a built-in allocator, or path of a module; undefined = the volume's own choice. */
  allocator: string | undefined;
  /** `alloc.KEY=VALUE`, for the allocator. */
  allocatorOptions: Readonly<Record<string, string>>;
  /** Longest time between commits, in seconds. */
  commitSeconds: number;
  /** Is the device told of blocks that are freed? */
  discard: boolean;
  /** Are there extended attributes? If not, neither the two that follow. */
  attributes: boolean;
  /** Are ACLs heeded? */
  acl: boolean;
  /** Are there attributes of the namespace `user.`? */
  userAttributes: boolean;
  /** Do new files get the group of their directory, as BSD has it? */
  directoryGroups: boolean;
  /** Space that ordinary users leave to root. */
  reserved: ReservedSpace;
  /** Do the limits of quotas hold? */
  quota: boolean;
  /** Kinds of quota that the volume must count. */
  expectedQuotas: readonly QuotaOptionKind[];
  /** Is the journal replayed if the volume was not unmounted in order? */
  recovery: boolean;
}

export type QuotaOptionKind = 'user' | 'group' | 'project';

/** As for ext4: who reserves more has a smaller volume. */
const MOST_RESERVED_PERCENT = 50;

/** What comes before the name of an option of the allocator. */
export const ALLOCATOR_PREFIX = 'alloc.';

function parseEngine(value: string): IoEngine {
  if (value === 'aio' || value === 'uring') return value;
  throw new MountOptionError(`engine=${value} is not known: aio or uring`);
}

const skipsRecovery: OptionRule<VolumeMountOptions> = turns((options) => {
  options.recovery = false;
});

const directoryGroups: OptionRule<VolumeMountOptions> = turns((options) => {
  options.directoryGroups = true;
});

const callerGroups: OptionRule<VolumeMountOptions> = turns((options) => {
  options.directoryGroups = false;
});

function expectsQuotas(kind: QuotaOptionKind): OptionRule<VolumeMountOptions> {
  return turns((options) => {
    options.quota = true;
    options.expectedQuotas = [...new Set([...options.expectedQuotas, kind])];
  });
}

/** Bytes, or a share with a per cent sign. @throws MountOptionError */
function reservedIn(value: string): ReservedSpace {
  if (!value.endsWith('%'))
    return { bytes: bytesIn('reserved', value, OPTION_LIMITS.reservedBytes), share: 0 };
  const text = value.slice(0, -1);
  const percent = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(percent <= MOST_RESERVED_PERCENT))
    throw new MountOptionError(
      `reserved=${value} is not a share of the volume, at most ${MOST_RESERVED_PERCENT}%`,
    );
  return { bytes: 0, share: percent / 100 };
}

const NO_OWNERS = 'the volume keeps an owner and a group for each file: change them with chown';

const NO_BARRIERS =
  'a volume whose device is not flushed is lost in a power cut: where no cache can be lost, a flush costs nothing';

export const volumeRules: OptionRules<VolumeMountOptions> = {
  cache: takes((options, value) => {
    options.cacheBytes = bytesIn('cache', value, OPTION_LIMITS.cacheBytes);
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
  discard: turns((options) => {
    options.discard = true;
  }),
  nodiscard: turns((options) => {
    options.discard = false;
  }),
  xattr: turns((options) => {
    options.attributes = true;
  }),
  noxattr: turns((options) => {
    options.attributes = false;
  }),
  // As ext4 has them, and both by default.
  acl: turns((options) => {
    options.acl = true;
  }),
  noacl: turns((options) => {
    options.acl = false;
  }),
  user_xattr: turns((options) => {
    options.userAttributes = true;
  }),
  nouser_xattr: turns((options) => {
    options.userAttributes = false;
  }),
  // Both pairs of names are those of ext4 and xfs.
  grpid: directoryGroups,
  bsdgroups: directoryGroups,
  nogrpid: callerGroups,
  sysvgroups: callerGroups,
  // As ext4 and xfs have them: usage is counted in any case, where the volume says so.
  quota: turns((options) => {
    options.quota = true;
  }),
  noquota: turns((options) => {
    options.quota = false;
  }),
  usrquota: expectsQuotas('user'),
  grpquota: expectsQuotas('group'),
  prjquota: expectsQuotas('project'),
  uquota: expectsQuotas('user'),
  gquota: expectsQuotas('group'),
  pquota: expectsQuotas('project'),
  reserved: takes((options, value) => {
    options.reserved = reservedIn(value);
  }),
  // What ext4 can do otherwise, and Quarry does not.
  errors: isAlways(
    ['remount-ro'],
    (value) =>
      `errors=${value} cannot be had: a volume that is damaged, or whose device fails, takes no changes any more (errors=remount-ro)`,
  ),
  data: isAlways(
    ['ordered'],
    (value) =>
      `data=${value} cannot be had: data goes to its place before the commit that makes it visible (data=ordered)`,
  ),
  barrier: isAlways(['', '1'], (value) => `barrier=${value} cannot be had: ${NO_BARRIERS}`),
  nobarrier: refuses(`nobarrier cannot be had: ${NO_BARRIERS}`),
  uid: refuses(`uid= cannot be had: ${NO_OWNERS}`),
  gid: refuses(`gid= cannot be had: ${NO_OWNERS}`),
  // 0 is the default, as for ext4: fstab lines mean the same.
  commit: takes((options, value) => {
    const limits = OPTION_LIMITS.commitSeconds;
    const seconds = within({ name: 'commit', text: value }, parseWhole('commit', value), limits, String);
    options.commitSeconds = seconds === 0 ? limits.otherwise : seconds;
  }),
};

/** The allocator judges what it is given. */
export function applyAllocatorOption(
  options: VolumeMountOptions,
  key: string,
  value: string | undefined,
): void {
  if (key === '' || value === undefined) {
    throw new MountOptionError(
      `mount option '${ALLOCATOR_PREFIX}${key}' needs a key and a value: alloc.window=64`,
    );
  }
  options.allocatorOptions = Object.fromEntries([...Object.entries(options.allocatorOptions), [key, value]]);
}
