/**
 * Failures as the user sees them: one line that says what to do.
 *
 * A `CommandError` is such a line already. What comes from the system is put into words by its
 * code.
 */

import { codeOf, messageOf } from '../common/thrown.ts';
import { MissingAddonError } from '../native.ts';

export class CommandError extends Error {
  override readonly name: string = 'CommandError';
}

/** The command line makes no sense. */
export class UsageError extends CommandError {
  override readonly name = 'UsageError';
}

/** What system calls say about a target, in words. */
const TARGET_ADVICE: Readonly<Record<string, (target: string) => string>> = {
  ENOENT: (target) => `${target} does not exist`,
  ENOTDIR: (target) => `${target} does not exist: a part of its path is not a directory`,
  EACCES: (target) => `no permission to open ${target}: run as its owner or as root`,
  EPERM: (target) => `not allowed to open ${target}: run as its owner or as root`,
  EROFS: (target) => `${target} is write-protected`,
  EBUSY: (target) => `${target} is in use: unmount it, or stop the program that holds it`,
  ENOTBLK: (target) => `${target} is neither a block device nor an image file`,
  EISDIR: (target) => `${target} is a directory: name a block device or an image file`,
  EINVAL: (target) => `${target} cannot be opened for direct I/O: keep the image on another filesystem`,
  ENXIO: (target) => `${target} has no device behind it`,
  ENOMEDIUM: (target) => `${target} has no medium in it`,
  EAGAIN: () =>
    "the system's limit of asynchronous I/O is used up: raise it with 'sysctl fs.aio-max-nr=1048576'",
  ENOSPC: (target) => `no space left for ${target}`,
  EFBIG: (target) => `${target} cannot become that large on its filesystem`,
};

/** What an operation on a target threw, as an error for the user. */
export function targetError(thrown: unknown, target: string): Error {
  if (thrown instanceof CommandError || thrown instanceof MissingAddonError) return thrown;
  const advice = TARGET_ADVICE[codeOf(thrown)];
  if (advice) return new CommandError(advice(target), { cause: thrown });
  return new CommandError(`${target}: ${failureLine(thrown)}`, { cause: thrown });
}

/** Anything thrown as one line, without the program's name. */
export function failureLine(thrown: unknown): string {
  const message = messageOf(thrown).trim();
  return message.replace(/\s*\n\s*/g, ' ') || 'failed for no known reason';
}
