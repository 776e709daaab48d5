/**
 * The options of how the kernel is spoken to: those of FUSE, by the names that libfuse gave them,
 * and Quarry's own.
 */
import { PAGE_BYTES } from '../common/limits.ts';
import { MountOptionError } from './mount-option-error.ts';
import { type OptionRules, refuses, takes, turns } from './option-rule.ts';
import { bytesIn, OPTION_LIMITS, parseSpin } from './option-values.ts';

/** Which code speaks to the kernel: Quarry's own, or libfuse 2 through the fuse-native package. */
export type FuseLayer = 'native' | 'fuse-native';

export interface FuseOptions {
  allowOther: boolean;
  /** Shown as the source of the mount instead of the target's path. */
  fsname: string | undefined;
  subtype: string;
  /** Longest READ, in bytes. */
  maxReadBytes: number;
  /** Longest spin before sleeping, in nanoseconds; 0 = never. */
  spinNanoseconds: number;
  layer: FuseLayer;
  /** Is an image file mounted by a loop device? */
  loop: boolean;
  /** Which requests are told, in the foreground; empty is all, undefined none. */
  debug: string | undefined;
}

/** mount(2) takes a page for the source, with its end, and for the type of the filesystem. */
const MOST_NAME_BYTES = PAGE_BYTES - 1;
const MOST_SUBTYPE_BYTES = 255;

function parseLayer(value: string): FuseLayer {
  if (value === 'native' || value === 'fuse-native') return value;
  throw new MountOptionError(`layer=${value} is not known: native or fuse-native`);
}

export const fuseRules: OptionRules<FuseOptions> = {
  allow_other: turns((options) => {
    options.allowOther = true;
  }),
  allow_root: refuses('allow_root is not supported: use allow_other'),
  // Always so.
  default_permissions: turns(() => {}),
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
  spin: takes((options, value) => {
    options.spinNanoseconds = parseSpin(value);
  }),
  loop: {
    value: 'either',
    apply: (options, value) => {
      if (value !== '') throw new MountOptionError('loop takes no value: the device is found by itself');
      options.loop = true;
    },
  },
  debug: {
    value: 'either',
    apply: (options, value) => {
      options.debug = value;
    },
  },
  layer: takes((options, value) => {
    options.layer = parseLayer(value);
  }),
};
