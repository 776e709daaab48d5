/**
 * What the superblock says of a volume's use: that it is mounted, and may need its journal, or that
 * it is clean. Each is durable when it resolves.
 */
import type { Device } from '../../aio/device.ts';
import type { Clock } from '../base/clock.ts';
import type { BlockNumber } from '../base/numbers.ts';
import { blockFault } from '../format/block-header.ts';
import { Superblock } from '../format/format.ts';
import type { Layout } from '../format/layout.ts';
import type { SuperblockImage } from '../format/superblock.ts';
import { flushDevice, readBlocks, Staging, writeBlocks } from '../journal/block-transfers.ts';

export class VolumeMarks {
  readonly #device: Device;
  readonly #superblock: SuperblockImage;
  readonly #clock: Clock;

  constructor(device: Device, superblock: SuperblockImage, clock: Clock) {
    this.#device = device;
    this.#superblock = superblock;
    this.#clock = clock;
  }

  /** @throws the error of the device, here and below */
  markInUse(): Promise<void> {
    this.#clock.read();
    this.#superblock.markMounted(this.#clock);
    return this.#write();
  }

  markClean(): Promise<void> {
    this.#clock.read();
    this.#superblock.markClean(this.#clock);
    return this.#write();
  }

  /**
   * How large the volume is about to be. Where that cannot be written, it has the size that it had.
   * @param fresh backups that it had no place for before: they are there first
   */
  async markSize(layout: Layout, fresh: readonly BlockNumber[]): Promise<void> {
    const before = this.#superblock.layout();
    this.#superblock.resized(layout);
    try {
      if (fresh.length > 0) await this.#write(fresh);
      await this.#write();
    } catch (thrown) {
      this.#superblock.resized(before);
      throw thrown;
    }
  }

  /** Copies what the superblock says of the volume to where its backups stand. */
  async writeBackups({ backups }: Layout): Promise<void> {
    await this.#write(backups);
  }

  /**
   * The same, where a sound one speaks of another size. One that is damaged is the business of
   * fsck.
   */
  async renewBackups(layout: Layout): Promise<void> {
    const { blockBytes, backups, blockCount } = layout;
    const staged = new Staging(this.#device).reserve(backups.length * blockBytes);
    await readBlocks(this.#device, staged.memory, backups, blockBytes);
    const isStale = backups.some((block, i) => {
      const at = i * blockBytes;
      const fault = blockFault({ ...staged, at }, blockBytes, block, this.#superblock.uuid);
      return fault === undefined && Superblock.blockCount.get(staged.view, at) !== blockCount;
    });
    if (isStale) await this.writeBackups(layout);
  }

  /** What was a backup is none any more. */
  async eraseBackups(blocks: readonly BlockNumber[]): Promise<void> {
    if (blocks.length === 0) return;
    const { blockBytes } = this.#superblock.layout();
    const { memory, bytes } = new Staging(this.#device).reserve(blocks.length * blockBytes);
    bytes.fill(0);
    await writeBlocks(this.#device, memory, 0, blocks, blockBytes);
    await flushDevice(this.#device);
  }

  async #write(blocks: readonly BlockNumber[] = [0]): Promise<void> {
    const { blockBytes } = this.#superblock.layout();
    const sequence = this.#superblock.sequence + 1;
    for (const block of blocks) await this.#superblock.write(this.#device, block, blockBytes, sequence);
    await flushDevice(this.#device);
  }
}
