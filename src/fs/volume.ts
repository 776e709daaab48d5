/**
 * A mounted volume: what may be asked of it, and its life from the opening to the unmount.
 *
 * Before the mount of a volume that was not unmounted in order comes recovery (recovery.ts).
 * Nothing of what is on disk is kept here a second time. What lives outside the blocks: the lookup
 * counts of the kernel, which orphans wait for their last holder, access times that were not
 * written yet, and what is in flight.
 */

import type { Device } from '../aio/device.ts';
import { assemble } from './assemble.ts';
import { emptyStatistics } from './base/empty-attributes.ts';
import type { FileSystem, SpaceStatistics } from './base/filesystem.ts';
import type { Turns } from './base/turns.ts';
import type { DefragmentedRange, DefragmentRequest } from './data/defragmentation.ts';
import { onlyReadable, unknownFeatures } from './format/features.ts';
import { readSuperblock } from './format/superblock.ts';
import { recover } from './journal/recovery.ts';
import { failureInWords } from './life/health.ts';
import { surveyRound } from './life/survey-round.ts';
import type { VolumeAdjustment, VolumeCounters, VolumeOptions } from './life/volume-options.ts';
import type { VolumeQuotas } from './life/volume-quotas.ts';
import { MountedWhole } from './life/whole-volume.ts';
import type { SpaceSurvey } from './transaction/space-survey.ts';
import type { Transaction } from './transaction/transaction.ts';
import { countersOf } from './volume-counters.ts';
import { VolumeOperations } from './volume-operations.ts';

/** A change that this process makes for itself. */
const OWN_CHANGE = { keepSize: false, updateTimes: true, killPrivileges: false } as const;

export class Volume extends VolumeOperations implements FileSystem<Transaction> {
  /** How long work on this volume held the event loop, as far as it chose its turns itself. */
  get turns(): Turns {
    return this.parts.turns;
  }

  /** Whether it takes no change as long as it is mounted, as it was asked for at the mount. */
  get readOnlyForGood(): boolean {
    return this.parts.health.state === 'readOnly';
  }

  /** What made the volume read-only if it was not damage; empty if nothing did. */
  get failureInWords(): string {
    return failureInWords(this.parts.committer.failure);
  }

  readonly whole: MountedWhole = new MountedWhole(this.parts);

  get label(): string {
    return this.parts.superblock.label;
  }

  /**
   * @throws the device's error; LostDataError when all else is done, if files lack data that could
   * not be written
   */
  unmount(): Promise<void> {
    return this.parts.lifecycle.unmount();
  }

  /**
   * Clean on disk and read-only until the first change: see rest.ts.
   * @throws the error of the device
   */
  rest(): Promise<void> {
    return this.parts.rest.rest();
  }

  /** Ends the rest, if there is one, as the first change does. @throws FsError EROFS */
  wake(): Promise<void> {
    return this.parts.rest.wake();
  }

  /** Changes what a mount may change while it lasts. */
  adjust(changes: VolumeAdjustment): void {
    const { commitSeconds, accessRules, directoryGroups, discard, quota, reserved } = changes;
    const { quotas } = this.parts;
    if (reserved !== undefined) this.parts.space.reserved = reserved;
    if (quota !== undefined && quotas !== undefined) quotas.isEnforced = quota;
    if (directoryGroups !== undefined) this.parts.names.directoryGroups = directoryGroups;
    if (discard !== undefined) this.parts.discards.turn(discard);
    if (accessRules !== undefined) this.parts.access.rules = accessRules;
    if (commitSeconds !== undefined) this.parts.schedule.setSeconds(commitSeconds);
  }

  /** Limits of users, groups and projects, and what they have. */
  get quotas(): VolumeQuotas {
    return this.parts.volumeQuotas;
  }

  /** The built-in policy decides from now on; `fault` is what somebody's policy did. */
  dismissAllocator(fault: string): void {
    this.parts.space.fence?.dismiss(fault);
  }

  /**
   * Makes the volume as large as `sizeBytes` allow, which the device must have. It is durable when
   * it resolves.
   * @throws FsError EROFS; EINVAL where that is less than it has; ENOSPC where the device ends
   * before; RangeError with a sentence for the user
   */
  grow(sizeBytes: number): Promise<void> {
    return this.parts.growth.grow(sizeBytes);
  }

  /**
   * Makes the volume as small as `sizeBytes`, rounded down to blocks; what lies behind moves.
   * Nothing else may go on meanwhile, and an unmount should follow. It is durable when it resolves.
   * @param progress told how many inodes were gone through, of how many
   * @throws FsError EROFS; EINVAL where that is more than it has; ENOSPC where its data has no room
   * then; RangeError with a sentence for the user
   */
  shrink(sizeBytes: number, progress?: (done: number, total: number) => void): Promise<void> {
    return this.parts.shrinking.shrink(Math.floor(sizeBytes / this.blockBytes), progress);
  }

  /** How much of it is used, in a transaction of its own. */
  async space(): Promise<SpaceStatistics> {
    const into = emptyStatistics();
    await this.run((tx) => this.statistics(tx, into));
    return into;
  }

  /** The size to which it could be shrunk, in bytes, as far as can be told before it is tried. */
  async leastSizeBytes(): Promise<number> {
    return (await this.parts.shrinking.leastBlocks()) * this.blockBytes;
  }

  /**
   * Gives the file all blocks of the range, which read as zeros until they are written to, and
   * makes it as long. What is written there later finds room.
   * @throws as `fallocate`
   */
  preallocate(inode: number, offsetBytes: number, lengthBytes: number): Promise<void> {
    return this.fallocate({ ...OWN_CHANGE, action: 'allocate', inode, offsetBytes, lengthBytes });
  }

  /** Makes a hole of the range, where the file keeps its size. @throws as `fallocate` */
  punchHole(inode: number, offsetBytes: number, lengthBytes: number): Promise<void> {
    return this.fallocate({ ...OWN_CHANGE, action: 'punch', inode, offsetBytes, lengthBytes });
  }

  /**
   * Takes a range out of the file; what follows moves up to its place. In transactions of bounded
   * size, each of which leaves the file whole: a crash may leave the range as a hole somewhere
   * between where it was and the end.
   * @throws FsError as `fallocate`; EINVAL where it is not whole blocks, or reaches the end
   */
  collapseRange(inode: number, offsetBytes: number, lengthBytes: number): Promise<void> {
    return this.fallocate({ ...OWN_CHANGE, action: 'collapse', inode, offsetBytes, lengthBytes });
  }

  /**
   * Puts a hole into the file; what follows moves behind it. As `collapseRange` in a crash.
   * @throws FsError as `fallocate`; EINVAL where it is not whole blocks, or begins at the end
   */
  insertRange(inode: number, offsetBytes: number, lengthBytes: number): Promise<void> {
    return this.fallocate({ ...OWN_CHANGE, action: 'insert', inode, offsetBytes, lengthBytes });
  }

  /**
   * In how many pieces a regular file lies: stretches of blocks of which each stands directly
   * behind the one before, holes passed over.
   * @throws FsError ESTALE, EINVAL, EISDIR, EIO
   */
  countPieces(inode: number): Promise<number> {
    return this.parts.defragmentation.countPieces(inode);
  }

  /**
   * Moves the next range of a regular file to a place where it lies in fewer pieces, if there is
   * one. Anything else may go on meanwhile. A commit makes it durable; a crash leaves the file
   * whole.
   * @throws FsError EINTR where an unmount or a rest halted it; EROFS, ESTALE, EINVAL, EISDIR; the
   * error of the device
   */
  defragment(request: DefragmentRequest): Promise<DefragmentedRange> {
    return this.parts.defragmentation.range(request);
  }

  /**
   * Compares what is in memory of the space with the disk; costs a look at every group. For tests.
   * @throws Error
   */
  checkInvariants(): Promise<void> {
    return this.run(() => this.parts.space.index.checkInvariants());
  }

  /**
   * A survey of the free space that follows it until `endSurvey`; `surveyOn` fills it. A volume
   * whose size changes needs another one.
   * @param mostCells its map has at most as many
   * @returns undefined where the volume is too large for one
   */
  beginSurvey(mostCells: number): SpaceSurvey | undefined {
    return this.parts.space.beginSurvey(mostCells);
  }

  /**
   * Goes on with a survey, by a bounded piece.
   * @throws FsError, CorruptionError of a bitmap
   */
  surveyOn(survey: SpaceSurvey): Promise<void> {
    return surveyRound(this.parts, survey);
  }

  endSurvey(): void {
    this.parts.space.endSurvey();
  }

  counters(): VolumeCounters {
    return countersOf(this.parts);
  }
}

/**
 * Opens the volume on the device and marks it as mounted. Closes the device if that fails.
 * @throws NotAVolumeError, FsError (EIO), CorruptionError
 */
export async function openVolume(device: Device, options: VolumeOptions = {}): Promise<Volume> {
  try {
    const superblock = await readSuperblock(device);
    const unknown = unknownFeatures(superblock.view, 'readOnly');
    const readOnly = (options.readOnly ?? false) || device.readOnly || unknown !== undefined;
    if (unknown !== undefined && !options.readOnly) options.log?.(`read-only: ${onlyReadable(unknown)}`);
    const { isClean } = superblock;
    const replay = options.recovery ?? true;
    const mayRest =
      (options.mayRest ?? false) && isClean && replay && unknown === undefined && !device.readOnly;
    const recovery = await recover(device, superblock, { readOnly: readOnly && !mayRest, replay });
    const parts = assemble(recovery, superblock, { ...options, readOnly, mayRest });
    await parts.lifecycle.start();
    // The crash may have come while the size or the features changed.
    if (!isClean && !readOnly) await parts.marks.renewBackups(parts.layout);
    return new Volume(parts);
  } catch (thrown) {
    await device.close();
    throw thrown;
  }
}
