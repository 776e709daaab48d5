/** What opening a volume threw, in words. */
import { CorruptionError, StaleBackupsError } from '../fs/base/errors.ts';
import { NotAVolumeError } from '../fs/format/superblock.ts';
import { CommandError, failureLine, targetError } from './failure.ts';

/** @param done what was to be done with the volume, such as 'mounted' */
export function volumeError(thrown: unknown, path: string, done: string): Error {
  if (thrown instanceof NotAVolumeError) {
    return new CommandError(`${path} cannot be ${done}: ${thrown.message}`, { cause: thrown });
  }
  if (thrown instanceof StaleBackupsError) {
    return new CommandError(`${path} is changed, but ${thrown.message}: 'quarry fsck -y ${path}' renews it`, {
      cause: thrown,
    });
  }
  if (thrown instanceof CorruptionError) {
    return new CommandError(`${path} is damaged (${thrown.message}): 'quarry fsck -n ${path}' tells more`, {
      cause: thrown,
    });
  }
  if (Object(thrown).syscall === 'io_uring_setup') {
    return new CommandError(`engine=uring cannot be had (${failureLine(thrown)}): mount with engine=aio`, {
      cause: thrown,
    });
  }
  return targetError(thrown, path);
}
