/** What the daemon of a mount does when it is asked by `quarry defrag`. */
import type { KernelDevice } from '../aio/kernel-device.ts';
import { FsError } from '../fs/base/errors.ts';
import type { Volume } from '../fs/volume.ts';
import type { AnswerFunction } from '../fuse/mount-answers.ts';
import { defragmentFiles, readDefragQuestion } from './defragmenting.ts';
import { CommandError } from './failure.ts';
import { requireChangeable } from './growing.ts';

/**
 * Moves files for a moment: anybody's for root and for who serves the mount, else the asker's.
 * @param isReadOnly whether the mount is by now
 */
export function defragAnswer(
  volume: Volume,
  device: KernelDevice,
  isReadOnly: () => boolean,
): AnswerFunction {
  return async (payload, { uid }) => {
    if (isReadOnly()) throw new CommandError(`${device.path} is mounted read-only`);
    requireChangeable(volume, device);
    const question = readDefragQuestion(payload);
    const isOurs = uid === 0 || uid === process.geteuid?.();
    try {
      if (volume.resting) await volume.wake();
      return await defragmentFiles(volume, question, (owner) => isOurs || owner === uid);
    } catch (thrown) {
      if (!(thrown instanceof FsError && ['EINTR', 'EROFS'].includes(thrown.code))) throw thrown;
      requireChangeable(volume, device);
      throw new CommandError(`${device.path} is being unmounted, or made read-only`, { cause: thrown });
    }
  };
}
