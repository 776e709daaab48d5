/** The options of the volume: its cache, its journal, its allocator, the engine of its I/O. */

import { MountOptionError } from './mount-option-error.ts';
import { type OptionRule, type OptionRules, takes, turns } from './option-rule.ts';
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
  /** Are ACLs heeded? */
  acl: boolean;
  /** Are there attributes of the namespace `user.`? */
  userAttributes: boolean;
  /** Is the journal replayed if the volume was not unmounted in order? */
  recovery: boolean;
}

/** What comes before the name of an option of the allocator. */
export const ALLOCATOR_PREFIX = 'alloc.';

function parseEngine(value: string): IoEngine {
  if (value === 'aio' || value === 'uring') return value;
  throw new MountOptionError(`engine=${value} is not known: aio or uring`);
}

const skipsRecovery: OptionRule<VolumeMountOptions> = turns((options) => {
  options.recovery = false;
});

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
  // 0 is the default, as for ext4: fstab lines mean the same.
  commit: takes((options, value) => {
    const limits = OPTION_LIMITS.commitSeconds;
    const seconds = within('commit', value, parseWhole('commit', value), limits, String);
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
