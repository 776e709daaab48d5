/**
 * lseek(2) for SEEK_DATA and SEEK_HOLE, true also for what only the kernel's page cache holds.
 *
 * The kernel asks without writing its dirty pages first, and keeps the end of the file by itself,
 * so where the volume has a hole there may be data. Pages of a place that has blocks do not matter:
 * it is data already. So before an answer that rests on a hole, a notice has the kernel write and
 * drop what it has of that hole, and the volume is asked again; what has become data meanwhile
 * moves the answer on. The kernel holds the inode until we answer, so no write(2) comes in between;
 * a store through a mapping does, and then it is as if it had come after the answer.
 *
 * The notice waits for the WRITEs that it causes, so a thread of its own writes it. Rejected: to
 * call all of a file data that may have been written through the cache since it was last synced,
 * which the kernel does not tell us either, so it would be every file; FUSE_NOTIFY_RETRIEVE, which
 * ends at the first page that is not there, and brings all bytes along; fsync of the file by
 * ourselves, for which the kernel wants the inode that it holds.
 */
import { fsError } from '../fs/base/errors.ts';
import type { FileSystem, SeekTarget } from '../fs/base/filesystem.ts';
import type { Notices } from './notices.ts';

/**
 * After so many answers that became wrong while they were made sure, all that follows is made so.
 */
const MOST_HOLES = 4;

/**
 * @returns the byte where it is
 * @throws FsError ENXIO where there is none before the end of the file; as `FileSystem.seek`
 */
export async function seekWithCaches(
  { filesystem, notices }: { readonly filesystem: FileSystem; readonly notices: Notices },
  inode: number,
  offsetBytes: number,
  target: SeekTarget,
): Promise<number> {
  let sureFrom = 0;
  let sureEnd = 0;
  for (let round = 0; ; round++) {
    const found = await filesystem.seek(inode, offsetBytes, target);
    const { holeFrom, holeEnd } = found;
    const isSure = holeFrom >= holeEnd || (sureFrom <= holeFrom && holeEnd <= sureEnd);
    if (isSure && found.offsetBytes < 0) throw fsError('ENXIO');
    if (isSure) return found.offsetBytes;
    const end = round < MOST_HOLES ? holeEnd : Number.POSITIVE_INFINITY;
    await notices.writeOut(inode, holeFrom, end);
    // What was made sure before ends where this begins, or the answer has moved on.
    if (holeFrom > sureEnd || holeFrom < sureFrom) sureFrom = holeFrom;
    sureEnd = end;
  }
}
