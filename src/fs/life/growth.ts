/**
 * A volume becomes larger, while it is in use.
 *
 *   a backup in a   superblock: how far the   one transaction: the      all backups
 *   new place       journal may reach         space, the size that counts
 *            ──flush──                 ──flush──               ──commit──     ──flush──
 *
 * In every state that a crash leaves, the superblock's size is at least that in the volume root,
 * and the latter is the size of the volume: openVolume follows it, and brings the others to it.
 */
import type { Device } from '../../aio/device.ts';
import { fsError } from '../base/errors.ts';
import { Layout } from '../format/layout.ts';
import type { InodeTable } from '../inodes/inode-table.ts';
import type { OperationRunner } from '../transaction/operation-runner.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import type { Durability } from './durability.ts';
import type { Health } from './health.ts';
import type { Rest } from './rest.ts';
import { changeSize } from './size-change.ts';
import type { VolumeMarks } from './volume-marks.ts';

export interface GrowthParts {
  readonly device: Device;
  readonly layout: Layout;
  readonly space: SpaceMap;
  readonly table: InodeTable;
  readonly runner: OperationRunner;
  readonly durability: Durability;
  readonly marks: VolumeMarks;
  readonly health: Health;
  readonly rest: Rest;
}

export class Growth {
  readonly #parts: GrowthParts;
  #last: Promise<void> = Promise.resolve();

  constructor(parts: GrowthParts) {
    this.#parts = parts;
  }

  /**
   * Makes the volume as large as `sizeBytes` allow; one such call after the other. It is durable
   * when it resolves.
   * @throws FsError EROFS; EINVAL where that is less than it has; ENOSPC where the device ends
   * before; RangeError with a sentence for the user where no volume is so large
   */
  grow(sizeBytes: number): Promise<void> {
    const grown = this.#last.then(() => this.#grow(sizeBytes));
    this.#last = grown.catch(() => {});
    return grown;
  }

  async #grow(sizeBytes: number): Promise<void> {
    const { device, layout, health, rest } = this.#parts;
    const { blockBytes, journalBlocks } = layout;
    const blockCount = Math.floor(sizeBytes / blockBytes);
    if (blockCount < layout.blockCount) throw fsError('EINVAL');
    if (blockCount === layout.blockCount) return;
    const after = new Layout({ blockBytes, blockCount, journalBlocks });
    if (blockCount * blockBytes > device.sizeBytes) throw fsError('ENOSPC');
    const atRest = health.state === 'resting';
    if (atRest) await rest.wake();
    if (health.state !== 'writable') throw fsError('EROFS');
    try {
      await this.#enlarge(after);
    } finally {
      if (atRest) await rest.rest();
    }
  }

  async #enlarge(after: Layout): Promise<void> {
    const { layout, durability, marks } = this.#parts;
    await marks.markSize(
      after,
      after.backups.filter((block) => !layout.backups.includes(block)),
    );
    try {
      await changeSize(this.#parts, after.blockCount, 'grow');
    } catch (thrown) {
      await marks.markSize(layout, []).catch(() => {});
      throw thrown;
    }
    await durability.commit();
    await marks.writeBackups(layout);
  }
}
