/**
 * Values of options: whole numbers, sizes, times, and the bounds that they have to keep.
 *
 * Every refusal is one line that says how the value is written, or what it may be.
 */
import { DEFAULT_SPIN_NANOSECONDS, LONGEST_SPIN_NANOSECONDS } from '../common/limits.ts';
import {
  DEFAULT_CACHE_BYTES,
  DEFAULT_COMMIT_SECONDS,
  MAX_CACHE_BYTES,
  MAX_COMMIT_SECONDS,
  MIN_CACHE_BYTES,
} from '../fs/base/limits.ts';
import { LEAST_READ_BYTES, MAX_TRANSFER_BYTES } from './limits.ts';
import { MountOptionError } from './mount-option-error.ts';

/** Bounds of what an option may say, and what it is if nobody says. */
export interface OptionLimits {
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
  reservedBytes: { least: 0, most: Number.MAX_SAFE_INTEGER, otherwise: 0 },
  maxReadBytes: { least: LEAST_READ_BYTES, most: MAX_TRANSFER_BYTES, otherwise: MAX_TRANSFER_BYTES },
} as const satisfies Record<string, OptionLimits>;

/** @throws MountOptionError */
export function parseWhole(name: string, value: string): number {
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

/** Nanoseconds. @throws MountOptionError */
const spinUnits: Readonly<Record<string, number>> = { ns: 1, us: 1000, ms: 1_000_000 };

export function parseSpin(value: string): number {
  if (value === '0') return 0;
  const match = /^(\d{1,9})(ns|us|ms)$/.exec(value);
  const unit = spinUnits[match?.[2] ?? ''];
  if (match === null || unit === undefined) {
    throw new MountOptionError(
      `spin=${value} is not a time: write it as 50us, 50000ns, 1ms, or 0 to never spin`,
    );
  }
  const nanoseconds = Number(match[1]) * unit;
  const given = { name: 'spin', text: value };
  return within(given, nanoseconds, OPTION_LIMITS.spinNanoseconds, (bound) => `${bound / 1e6}ms`);
}

/** An option as the user wrote it: `name=text`. */
interface GivenOption {
  readonly name: string;
  readonly text: string;
}

/** The number, if it is in bounds; `show` makes text of a bound as the user would write it. */
export function within(
  { name, text }: GivenOption,
  value: number,
  { least, most }: OptionLimits,
  show: (bound: number) => string,
): number {
  if (value >= least && value <= most) return value;
  throw new MountOptionError(`${name}=${text} is out of bounds: from ${show(least)} to ${show(most)}`);
}

export function bytesIn(name: string, text: string, limits: OptionLimits): number {
  return within({ name, text }, parseBytes(name, text), limits, showBytes);
}

/** In the largest unit that leaves a whole number. */
function showBytes(bytes: number): string {
  const unit = Object.entries(byteUnits).findLast(([, unitBytes]) => bytes % unitBytes === 0);
  return unit === undefined || bytes === 0 ? String(bytes) : `${bytes / unit[1]}${unit[0]}`;
}
