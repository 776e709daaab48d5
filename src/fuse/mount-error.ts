/**
 * What is told of a mount that could not be made, changed or ended: one line that says what to do.
 */
import { codeOf, messageOf } from '../common/thrown.ts';

/** A mount that could not be made or ended; the message is one line for the user. */
export class MountError extends Error {
  override readonly name = 'MountError';
}

/** Somebody uses the mount that was to end. */
export class BusyMountError extends MountError {
  constructor(directory: string, options?: ErrorOptions) {
    super(
      `${directory} is busy: end what uses it ('fuser -vm ${directory}' shows it) and try again`,
      options,
    );
  }
}

/** The error of a step: what its code means here, or what the system said. */
export function advised(
  thrown: unknown,
  advice: Readonly<Record<string, string>>,
  otherwise: string,
): MountError {
  const known = advice[codeOf(thrown)];
  return new MountError(known ?? `${otherwise}: ${messageOf(thrown)}`, { cause: thrown });
}

/** For both ways of mounting. */
export const NO_FUSE_DEVICE =
  "there is no /dev/fuse: load the module with 'modprobe fuse', or start the container with --device /dev/fuse --cap-add SYS_ADMIN";
