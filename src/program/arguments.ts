/**
 * What a program may pass, and what becomes of it: the rules of node:fs, with its codes
 * (ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE) for what is none of it.
 */
import { constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { types } from 'node:util';
import { argumentType, argumentValue, integerIn } from '../common/argument-errors.ts';
import { PERMISSION_BITS } from '../common/permissions.ts';

/** A path in the volume, whose root is '/'; relative ones begin there too. */
export type VolumePath = string | Uint8Array | URL;

/** Seconds since 1970, a text of such a number, or a date; nanoseconds since 1970 as a bigint. */
export type TimeLike = number | string | bigint | Date;

export type Encoding = BufferEncoding | 'buffer';

export const O = {
  WRONLY: constants.O_WRONLY,
  RDWR: constants.O_RDWR,
  CREAT: constants.O_CREAT,
  EXCL: constants.O_EXCL,
  TRUNC: constants.O_TRUNC,
  APPEND: constants.O_APPEND,
  // What not every system has.
  SYNC: constants.O_SYNC ?? 0,
  DSYNC: constants.O_DSYNC ?? 0,
  DIRECTORY: constants.O_DIRECTORY ?? 0,
  NOFOLLOW: constants.O_NOFOLLOW ?? 0,
  NOATIME: constants.O_NOATIME ?? 0,
} as const;

const SECOND = 1_000_000_000n;

const NEW = O.TRUNC | O.CREAT | O.WRONLY;
const MORE = O.APPEND | O.CREAT | O.WRONLY;
const FLAGS: Readonly<Record<string, number>> = {
  r: 0,
  rs: O.SYNC,
  'r+': O.RDWR,
  'rs+': O.RDWR | O.SYNC,
  w: NEW,
  wx: NEW | O.EXCL,
  'w+': O.TRUNC | O.CREAT | O.RDWR,
  'wx+': O.TRUNC | O.CREAT | O.RDWR | O.EXCL,
  a: MORE,
  ax: MORE | O.EXCL,
  as: MORE | O.SYNC,
  'a+': O.APPEND | O.CREAT | O.RDWR,
  'ax+': O.APPEND | O.CREAT | O.RDWR | O.EXCL,
  'as+': O.APPEND | O.CREAT | O.RDWR | O.SYNC,
};

/** The bytes of a path. @throws TypeError as node:fs does */
export function bytesOfPath(path: unknown, name = 'path'): Buffer {
  const given = path instanceof URL ? fileURLToPath(path) : path;
  if (typeof given !== 'string' && !(given instanceof Uint8Array))
    throw argumentType(name, 'of type string or an instance of Buffer or URL', path);
  const bytes = typeof given === 'string' ? Buffer.from(given) : Buffer.from(given);
  if (bytes.includes(0)) throw argumentValue(name, 'must be without null bytes', path);
  return bytes;
}

/** The path for people, as an error has it. */
export function textOfPath(path: unknown): string {
  if (path instanceof URL) return fileURLToPath(path);
  return path instanceof Uint8Array ? Buffer.from(path).toString() : String(path);
}

/** @throws TypeError, RangeError */
export function openFlags(flags: unknown): number {
  if (flags === undefined || flags === null) return 0;
  if (typeof flags === 'number') return integerIn('flags', flags, 0, 0x7fffffff);
  const letters = typeof flags === 'string' ? sortedFlags(flags) : '';
  const found = Object.hasOwn(FLAGS, letters) ? FLAGS[letters] : undefined;
  if (found === undefined) throw argumentValue('flags', 'is invalid', flags);
  return found;
}

/** 'xw' is 'wx', and 'sr+' is 'rs+'. */
function sortedFlags(flags: string): string {
  return flags.replace(/^([sx])([rwa])/, '$2$1');
}

/** A mode as a number or octal text. @throws TypeError, RangeError */
export function modeOf(mode: unknown, fallback?: number): number {
  if ((mode === undefined || mode === null) && fallback !== undefined) return fallback;
  if (typeof mode === 'string') {
    if (/^[0-7]+$/.test(mode)) return Number.parseInt(mode, 8) & PERMISSION_BITS;
    throw argumentValue('mode', 'must be a 32-bit unsigned integer or an octal string', mode);
  }
  return integerIn('mode', mode, 0, 0xffffffff) & PERMISSION_BITS;
}

/** A user or group; undefined for −1, which leaves what is. */
export function idOf(name: string, value: unknown): number | undefined {
  const id = integerIn(name, value, -1, 0xffffffff);
  return id === -1 || id === 0xffffffff ? undefined : id;
}

export interface Moment {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** @throws TypeError */
export function momentOf(name: string, time: unknown): Moment {
  if (typeof time === 'bigint') return exactMoment(time);
  const seconds = secondsOf(name, time);
  const whole = Math.floor(seconds);
  // A number of seconds of today is exact to some hundred nanoseconds.
  const microseconds = Math.min(999_999, Math.round((seconds - whole) * 1e6));
  return { seconds: whole, nanoseconds: microseconds * 1000 };
}

function exactMoment(nanoseconds: bigint): Moment {
  const rest = nanoseconds % SECOND;
  const inSecond = rest < 0n ? rest + SECOND : rest;
  return { seconds: Number((nanoseconds - inSecond) / SECOND), nanoseconds: Number(inSecond) };
}

function secondsOf(name: string, time: unknown): number {
  if (typeof time === 'string' && time.trim() !== '' && Number.isFinite(Number(time))) return Number(time);
  if (typeof time === 'number' && Number.isFinite(time)) return time;
  if (types.isDate(time) && Number.isFinite(time.getTime())) return time.getTime() / 1000;
  throw argumentType(name, 'an instance of Date or a time in seconds', time);
}

/** Options that may be given as the name of an encoding alone. @throws TypeError */
export function optionsOf<T extends object>(
  options: T | Encoding | null | undefined,
): Partial<T> & {
  encoding?: unknown;
} {
  if (options === undefined || options === null) return {};
  if (typeof options === 'string') return { encoding: options } as Partial<T> & { encoding?: unknown };
  if (typeof options !== 'object') throw argumentType('options', 'of type string or an object', options);
  return options as Partial<T> & { encoding?: unknown };
}

/** @throws TypeError for a name that is none */
export function encodingOf(encoding: unknown): Encoding | undefined {
  if (encoding === undefined || encoding === null) return undefined;
  if (encoding === 'buffer') return 'buffer';
  if (typeof encoding === 'string' && Buffer.isEncoding(encoding)) return encoding;
  throw argumentValue('encoding', 'is invalid encoding', encoding);
}

/** A name or path of the volume's as it was asked for. */
export function named(bytes: Uint8Array, encoding: Encoding | undefined): string | Buffer {
  const buffer = Buffer.from(bytes);
  return encoding === 'buffer' ? buffer : buffer.toString(encoding ?? 'utf8');
}

/** @throws AbortError, as Node makes it */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  const error = new Error('The operation was aborted', { cause: signal.reason });
  throw Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' });
}

/** @throws TypeError unless it is a signal or nothing */
export function signalOf(signal: unknown): AbortSignal | undefined {
  if (signal === undefined) return undefined;
  if (signal instanceof AbortSignal) return signal;
  throw argumentType('options.signal', 'an instance of AbortSignal', signal);
}
