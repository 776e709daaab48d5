/**
 * Errors as those of node:fs are: `code`, `errno` (negative), `syscall`, `path`, `dest`, and the
 * message that libuv has for the code.
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import { codeOf } from '../common/thrown.ts';
import { CorruptionError, Errno, type ErrnoName, FsError, LostDataError } from '../fs/base/errors.ts';

/** What was asked for, for the error that may come of it. */
export interface CallSite {
  readonly syscall: string;
  readonly path?: string;
  readonly dest?: string;
}

/** What libuv has no words for. */
const OTHER_WORDS: Readonly<Record<string, string>> = {
  EUCLEAN: 'the volume is damaged',
  ESTALE: 'the file is gone',
  ENODATA: 'no data available',
  EDQUOT: 'disk quota exceeded',
  EOPNOTSUPP: 'operation not supported',
};

/** By its own number where the system has one: they differ from system to system. */
function numberOf(code: ErrnoName): number {
  const known: Readonly<Record<string, number>> = constants.errno;
  return -(known[code] ?? Errno[code]);
}

/** Libuv's name of the code: of two that are one number it knows one. */
function nameAndWords(code: ErrnoName): [name: string, words: string] {
  const [name, words] = getSystemErrorMap().get(numberOf(code)) ?? [];
  if (name === undefined || words === undefined || name.startsWith('Unknown'))
    return [code, OTHER_WORDS[code] ?? 'failed'];
  return [name, words];
}

const ofVolumes = new WeakSet<Error>();

function placeText({ path, dest }: CallSite): string {
  if (path === undefined) return '';
  return dest === undefined ? ` '${path}'` : ` '${path}' -> '${dest}'`;
}

/** The error of this code. @param what goes before the call in the message, in place of libuv's */
export function systemErrorOf(code: ErrnoName, site: CallSite, what?: string): NodeJS.ErrnoException {
  const [name, words] = nameAndWords(code);
  const error = new Error(`${name}: ${what ?? words}, ${site.syscall}${placeText(site)}`);
  ofVolumes.add(error);
  return Object.assign(error, { errno: numberOf(code), code: name, ...site });
}

/** Whether a volume said it, and not the system. */
export function isOfVolume(thrown: unknown): boolean {
  return thrown instanceof Error && ofVolumes.has(thrown);
}

/** What an error of a system call says, without code, call and path; undefined for any other. */
export function systemWords(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('syscall' in thrown)) return undefined;
  return /^\w+: (.*), \w+( '.*)?$/s.exec(thrown.message)?.[1];
}

/** What the volume threw, as a program expects it; what is no answer of a volume's stays. */
export function systemError(thrown: unknown, site: CallSite): unknown {
  if (thrown instanceof LostDataError) return systemErrorOf(thrown.code, site, thrown.message);
  if (thrown instanceof FsError) return systemErrorOf(thrown.code, site);
  if (thrown instanceof CorruptionError) return systemErrorOf('EUCLEAN', site, thrown.message);
  return thrown;
}

/** An errno number for what somebody's device threw: EIO where it names none. */
export function errnoOfThrown(thrown: unknown): number {
  const known: Readonly<Record<string, number>> = constants.errno;
  return known[codeOf(thrown)] ?? constants.errno.EIO;
}
