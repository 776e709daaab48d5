/**
 * A volume becomes smaller. Nothing else may go on in it, and it is to be unmounted afterwards.
 *
 *   everything behind the   journal   one transaction: the     journal   superblock,   what was a
 *   new end moves           empty     space, the size that     empty     backups       backup goes
 *                                     counts
 *         ──commits──                    ──commit──                        ──flush──
 *
 * As while it grows, the superblock's size is never less than that in the volume root, which
 * counts.
 */
import type { Device } from '../../aio/device.ts';
import { fsError } from '../base/errors.ts';
import { Relocation } from '../data/relocation.ts';
import type { WriteContext } from '../data/write-plan.ts';
import { VolumeRoot } from '../format/format.ts';
import { Layout } from '../format/layout.ts';
import type { InodeTable } from '../inodes/inode-table.ts';
import type { Committer } from '../journal/commit.ts';
import { type OperationRunner, transact } from '../transaction/operation-runner.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import type { Directories } from '../tree/directory.ts';
import type { Durability } from './durability.ts';
import type { Health } from './health.ts';
import { changeSize } from './size-change.ts';
import type { VolumeMarks } from './volume-marks.ts';

/** Blocks that moving may take beside those that move: nodes of trees that are split. */
const SPARE_BLOCKS = 32;

export interface ShrinkingParts {
  readonly device: Device;
  readonly layout: Layout;
  readonly space: SpaceMap;
  readonly table: InodeTable;
  readonly directories: Directories;
  readonly files: WriteContext;
  readonly runner: OperationRunner;
  readonly committer: Committer;
  readonly durability: Durability;
  readonly marks: VolumeMarks;
  readonly health: Health;
}

export class Shrinking {
  readonly #parts: ShrinkingParts;

  constructor(parts: ShrinkingParts) {
    this.#parts = parts;
  }

  /**
   * The fewest blocks that the volume can have with what is in it, roughly: a few more may be
   * needed.
   */
  async leastBlocks(): Promise<number> {
    const { layout, space } = this.#parts;
    const total = layout.pristineFree(layout.summaryLevels, 0);
    const used = total - (await transact(this.#parts, () => space.index.freeBlocks)) + SPARE_BLOCKS;
    let low = 1;
    let high = layout.blockCount;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (roomIn(layout, middle) >= used) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /**
   * Makes the volume as small as `blockCount` blocks. It is durable when it resolves.
   * @param progress told now and then how many inodes were gone through, of how many
   * @throws FsError EROFS; EINVAL where that is more than it has; ENOSPC where its data has no room
   * then; RangeError with a sentence for the user where no volume is so small
   */
  async shrink(
    blockCount: number,
    progress: (done: number, total: number) => void = () => {},
  ): Promise<void> {
    const { layout, health, space, durability, committer } = this.#parts;
    const { blockBytes, journalBlocks } = layout;
    if (blockCount > layout.blockCount) throw fsError('EINVAL');
    const after = new Layout({ blockBytes, blockCount, journalBlocks });
    if (health.state !== 'writable') throw fsError('EROFS');
    if (blockCount < (await this.leastBlocks())) throw fsError('ENOSPC');
    const gone = layout.backups.filter((block) => !after.backups.includes(block));
    const end = after.spaceStart + after.spaceBlocks;
    space.confine(end);
    await this.#moveAll(end, progress);
    await durability.commit();
    await committer.makeFree();
    await committer.drain();
    await changeSize(this.#parts, blockCount, 'shrink');
    await durability.commit();
    await committer.drain();
    await this.#tell(gone);
  }

  async #moveAll(end: number, progress: (done: number, total: number) => void): Promise<void> {
    const { table, files, directories, layout } = this.#parts;
    const relocation = new Relocation({ files, directories, layout }, end);
    await relocation.move(0);
    await relocation.moveQuotas();
    const total = await transact(this.#parts, (tx) => VolumeRoot.inodeCount.get(table.root(tx).view, 0));
    let done = 0;
    for (let from = 1; ; ) {
      const start = from;
      const inode = await transact(this.#parts, (tx) => table.next(tx, start));
      if (!Number.isFinite(inode)) return;
      await relocation.move(inode);
      progress(++done, total);
      from = inode + 1;
    }
  }

  /** Superblock and backups say the new size, and nothing else looks like one of them. */
  async #tell(gone: readonly number[]): Promise<void> {
    const { layout, marks } = this.#parts;
    await marks.markSize(layout, layout.backups);
    await marks.eraseBackups(gone);
  }
}

/**
 * Blocks that a volume of so many blocks has for files; less than none where there is no such
 * volume.
 */
function roomIn({ blockBytes, journalBlocks }: Layout, blockCount: number): number {
  try {
    const layout = new Layout({ blockBytes, journalBlocks, blockCount });
    return layout.pristineFree(layout.summaryLevels, 0);
  } catch (thrown) {
    if (thrown instanceof RangeError) return -1;
    throw thrown;
  }
}
