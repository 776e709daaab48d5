/** The directory that is to be mounted on, looked at before anything is mounted. */
import { statSync } from 'node:fs';
import { realPathOf, systemPath } from '../path-bytes.ts';
import { advised, MountError } from './mount-error.ts';

/**
 * The absolute path of a directory that can be mounted on.
 *
 * @throws MountError if there is none.
 */
export function checkMountpoint(directory: string): string {
  try {
    if (!statSync(systemPath(directory)).isDirectory())
      throw new MountError(`${directory} is not a directory`);
    return realPathOf(directory);
  } catch (thrown) {
    if (thrown instanceof MountError) throw thrown;
    const advice = {
      ENOENT: `${directory} does not exist: make it with 'mkdir -p ${directory}'`,
      ENOTDIR: `${directory} is not a directory`,
      EACCES: `${directory} cannot be reached: permission denied`,
      ENOTCONN: `${directory} is the mountpoint of a filesystem that died: 'umount -l ${directory}' first`,
    };
    throw advised(thrown, advice, `${directory} cannot be mounted on`);
  }
}
