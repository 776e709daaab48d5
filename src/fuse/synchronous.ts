/**
 * Which requests are answered only when what they changed is on disk.
 *
 *   -o sync      every one that changes something
 *   -o dirsync   those that change names
 *   otherwise    a WRITE of a file opened with O_DSYNC or O_SYNC that comes past the page cache:
 *                the kernel follows cached ones by an FSYNC of its own, but leaves these to the
 *                server; with O_DSYNC times need not be there
 *
 * What a request changes stands in its row (operations.ts). The session waits for the filesystem's
 * sync between the operation and its answer. Nobody has seen the change by then: names in it are
 * locked in the kernel until the answer. With -o sync there is no writeback cache, so each write(2)
 * is a WRITE, and none is answered early.
 */
import { MountFlag } from './mount-flags.ts';
import type { Changes } from './request.ts';

/**
 * What waits for the disk: no request by itself, those that change names, or all that change
 * something.
 */
export type SynchronousRequests = 'none' | 'names' | 'all';

/** Open flags O_DSYNC and O_SYNC of Linux on x86 and ARM; the second contains the first. */
export const OPEN_DSYNC = 0o10000;
export const OPEN_SYNC = 0o4010000;

/** From the flags of mount(2). */
export function synchronousRequests(mountFlags: number): SynchronousRequests {
  if ((mountFlags & MountFlag.synchronous) !== 0) return 'all';
  return (mountFlags & MountFlag.directorySynchronous) !== 0 ? 'names' : 'none';
}

/** Whether what changes this is answered only when its change is on disk. */
export function waitsForDisk(synchronous: SynchronousRequests, changes: Changes): boolean {
  if (synchronous === 'none' || changes === 'nothing') return false;
  return synchronous === 'all' || changes === 'names';
}
