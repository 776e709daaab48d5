/**
 * Three kinds of error, never mixed:
 *   FsError          what the caller did, or the volume cannot do: an errno for the user
 *   CorruptionError  what the disk says is impossible: which block, and what is wrong with it
 *   AssertionError   our own bug
 *
 * FsErrors are made once per errno and thrown without a stack: they are answers, not accidents.
 */
import { strict as assert } from 'node:assert';
import type { BlockNumber } from './numbers.ts';

/** Errno values of Linux (asm-generic/errno.h). */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  ESTALE: 116,
  EUCLEAN: 117,
  EDQUOT: 122,
} as const;
export type ErrnoName = keyof typeof Errno;

export class FsError extends Error {
  readonly errno: number;
  readonly code: ErrnoName;

  constructor(code: ErrnoName) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(code);
    Error.stackTraceLimit = limit;
    this.name = 'FsError';
    this.code = code;
    this.errno = Errno[code];
  }
}

const made = new Map<ErrnoName, FsError>();
for (const code of Object.keys(Errno) as ErrnoName[]) made.set(code, new FsError(code));

/** The one FsError of this errno, to be thrown: `throw fsError('ENOENT')`. */
export function fsError(code: ErrnoName): FsError {
  const error = made.get(code);
  assert(error);
  return error;
}

const byNumber = new Map<number, ErrnoName>(
  (Object.entries(Errno) as [ErrnoName, number][]).map(([name, value]) => [value, name]),
);

/** The FsError for an errno number from below; anything unknown becomes EIO. */
export function fsErrorFromNumber(errno: number): FsError {
  return fsError(byNumber.get(errno) ?? 'EIO');
}

/**
 * Data that was accepted could not be written, and files still lack it: said at the end of a mount.
 * `code` is the first one's.
 */
export class LostDataError extends FsError {
  constructor(code: ErrnoName, what: string) {
    super(code);
    this.message = what;
  }
}

/**
 * The superblock says what was to be changed, and is durable; a backup of it could not be written,
 * for the reason that `code` is.
 */
export class StaleBackupsError extends FsError {
  constructor(code: ErrnoName) {
    super(code);
    this.message = `a backup of the superblock could not be written (${code})`;
  }
}

/** The volume contradicts itself. The user sees EUCLEAN. */
export class CorruptionError extends Error {
  readonly block: BlockNumber;

  constructor(block: BlockNumber, what: string) {
    super(`block ${block}: ${what}`);
    this.name = 'CorruptionError';
    this.block = block;
  }
}

/** What was thrown, as an Error: whatever else it is becomes the message of one. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/**
 * The errno that a thrown value means to the user: EUCLEAN for corruption, EIO for a bug of ours.
 */
export function errnoOf(thrown: unknown): number {
  if (thrown instanceof FsError) return thrown.errno;
  if (thrown instanceof CorruptionError) return Errno.EUCLEAN;
  return Errno.EIO;
}
