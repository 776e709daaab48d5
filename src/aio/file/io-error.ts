/**
 * What goes wrong with a file, as Errors that say everything known: the system's code, the call,
 * the file, the range.
 *
 *   AioError            the system refused: `code` is 'ENOSPC', 'EIO', …
 *   AlignmentError      O_DIRECT cannot take this offset, length or memory, and `align` is 'strict'
 *   TimeoutError        the deadline passed; the kernel may still hold the buffer
 *   CancelledError      given up by `cancel`
 *   AbortError          given up by an AbortSignal, whose reason is the `cause`
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** The numbers that an error carries besides its code. */
export interface ErrorPlace {
  /** What was called: 'open', 'read', 'write', 'fdatasync', 'io_uring_setup', … */
  readonly syscall: string;
  readonly path?: string;
  /** Offset of the request in the file. */
  readonly offset?: number;
  /** Bytes that the request asked for. */
  readonly length?: number;
  /** Bytes that had been moved when it failed. */
  readonly transferredBytes?: number;
}

/**
 * An error of a system call, shaped as those of Node: `code`, negative `errno`, `syscall`, `path`.
 */
export class AioError extends Error implements NodeJS.ErrnoException {
  override name = 'AioError';
  readonly code: string;
  /** The negative number of the code. */
  readonly errno: number;
  readonly syscall: string;
  readonly path: string | undefined;
  readonly offset: number | undefined;
  readonly length: number | undefined;
  readonly transferredBytes: number;

  /** @param errno positive; @param detail replaces the system's wording. */
  constructor(errno: number, place: ErrorPlace, detail?: string, options?: ErrorOptions) {
    const code = nameOf(errno);
    super(`${code}: ${detail ?? wordingOf(errno)}, ${describe(place)}`, options);
    this.code = code;
    this.errno = -errno;
    this.syscall = place.syscall;
    this.path = place.path;
    this.offset = place.offset;
    this.length = place.length;
    this.transferredBytes = place.transferredBytes ?? 0;
  }
}

/** EINVAL: what was asked for is not aligned. */
export class AlignmentError extends AioError {
  override name = 'AlignmentError';
  /** What offsets and lengths must be multiples of. */
  readonly offsetAlignBytes: number;
  /** What memory addresses must be multiples of. */
  readonly memoryAlignBytes: number;

  constructor(detail: string, place: ErrorPlace, offsetAlignBytes: number, memoryAlignBytes: number) {
    super(constants.errno.EINVAL, place, detail);
    this.offsetAlignBytes = offsetAlignBytes;
    this.memoryAlignBytes = memoryAlignBytes;
  }
}

/** ETIMEDOUT: the deadline of the request passed. */
export class TimeoutError extends AioError {
  override name = 'TimeoutError';
  readonly timeoutMs: number;

  constructor(timeoutMs: number, place: ErrorPlace) {
    super(constants.errno.ETIMEDOUT, place, `not done within ${timeoutMs} ms`);
    this.timeoutMs = timeoutMs;
  }
}

/** ECANCELED: given up by `cancel`. */
export class CancelledError extends AioError {
  override name = 'CancelledError';

  constructor(place: ErrorPlace) {
    super(constants.errno.ECANCELED, place);
  }
}

/** Given up by an AbortSignal; named and coded as Node's own. */
export class AbortError extends Error {
  override name = 'AbortError';
  readonly code = 'ABORT_ERR';

  /** @param reason of the signal */
  constructor(reason: unknown) {
    super('The operation was aborted', { cause: reason });
  }
}

/** The error of a call of Node or of the addon, as an AioError. What is none, stays what it is. */
export function asAioError(thrown: unknown, syscall: string, path: string): unknown {
  if (thrown instanceof AioError || !(thrown instanceof Error)) return thrown;
  const { errno }: NodeJS.ErrnoException = thrown;
  if (typeof errno !== 'number') return thrown;
  return new AioError(Math.abs(errno), { syscall, path }, undefined, { cause: thrown });
}

function describe({ syscall, path, offset, length }: ErrorPlace): string {
  const file = path === undefined ? '' : ` '${path}'`;
  const range = offset === undefined || length === undefined ? '' : ` (${length} bytes at ${offset})`;
  return `${syscall}${file}${range}`;
}

/** What storage says and Node has no name for (asm-generic/errno.h). */
const STORAGE_ERRORS: Readonly<Record<number, readonly [name: string, wording: string]>> = {
  15: ['ENOTBLK', 'block device required'],
  52: ['EBADE', 'invalid exchange'],
  61: ['ENODATA', 'no data available'],
  67: ['ENOLINK', 'link has been severed'],
  117: ['EUCLEAN', 'structure needs cleaning'],
  121: ['EREMOTEIO', 'remote I/O error'],
  122: ['EDQUOT', 'disk quota exceeded'],
  123: ['ENOMEDIUM', 'no medium found'],
};

function nameOf(errno: number): string {
  const known = getSystemErrorMap().get(-errno)?.[0] ?? STORAGE_ERRORS[errno]?.[0];
  if (known) return known;
  const entry = Object.entries(constants.errno).find(([, value]) => value === errno);
  return entry ? entry[0] : `errno ${errno}`;
}

function wordingOf(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[1] ?? STORAGE_ERRORS[errno]?.[1] ?? 'the system refused';
}
