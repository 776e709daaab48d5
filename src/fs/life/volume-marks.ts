/**
 * What the superblock says of a volume's use: that it is mounted, and may need its journal, or that
 * it is clean. Each is durable when it resolves.
 */
import type { Device } from '../../aio/device.ts';
import { sameBytes } from '../../common/bytes.ts';
import type { Clock } from '../base/clock.ts';
import { FsError, StaleBackupsError } from '../base/errors.ts';
import type { BlockNumber } from '../base/numbers.ts';
import { blockFault } from '../format/block-header.ts';
import { hasFeature, setFeature } from '../format/features.ts';
import { Superblock } from '../format/format.ts';
import type { Layout } from '../format/layout.ts';
import type { SuperblockChanges, SuperblockImage } from '../format/superblock.ts';
import { flushDevice, readBlocks, Staging, writeBlocks } from '../journal/block-transfers.ts';

export class VolumeMarks {
  readonly #device: Device;
  readonly #superblock: SuperblockImage;
  readonly #clock: Clock;
  #last: Promise<void> = Promise.resolve();

  constructor(device: Device, superblock: SuperblockImage, clock: Clock) {
    this.#device = device;
    this.#superblock = superblock;
    this.#clock = clock;
  }

  /** @throws the error of the device, here and below */
  markInUse(): Promise<void> {
    return this.#change(() => {
      this.#clock.read();
      this.#superblock.markMounted(this.#clock);
    });
  }

  markClean(): Promise<void> {
    return this.#change(() => {
      this.#clock.read();
      this.#superblock.markClean(this.#clock);
    });
  }

  /** Gives the volume a name, on its backups too. */
  async markLabel(label: Uint8Array, layout: Layout): Promise<void> {
    await this.markTuned({ label }, layout);
  }

  /**
   * Changes what people see of the volume and what its features are, on its backups too. Where that
   * cannot be written, all is as it was.
   * @throws StaleBackupsError where it holds, and a backup could not be written
   */
  async markTuned(changes: SuperblockChanges, { backups }: Layout): Promise<void> {
    const image = this.#superblock;
    const before = image.tuning();
    try {
      await this.#change(() => image.tune(changes));
    } catch (thrown) {
      await this.#turn(async () => image.tune(before));
      throw thrown;
    }
    try {
      await this.#write(backups);
    } catch (thrown) {
      throw thrown instanceof FsError ? new StaleBackupsError(thrown.code) : thrown;
    }
  }

  /** The volume may have what the feature says, or not any more; on its backups too. */
  async markFeature(name: string, on: boolean, { backups }: Layout): Promise<void> {
    const { view } = this.#superblock;
    const before = hasFeature(view, name);
    try {
      await this.#change(() => setFeature(view, name, on));
    } catch (thrown) {
      await this.#turn(async () => setFeature(view, name, before));
      throw thrown;
    }
    await this.#write(backups);
  }

  /**
   * How large the volume is about to be. Where that cannot be written, it has the size that it had.
   * @param fresh backups that it had no place for before: they are there first
   */
  async markSize(layout: Layout, fresh: readonly BlockNumber[]): Promise<void> {
    const before = this.#superblock.layout();
    try {
      await this.#change(() => this.#superblock.resized(layout), fresh.length > 0 ? fresh : [0]);
      if (fresh.length > 0) await this.#write([0]);
    } catch (thrown) {
      await this.#turn(async () => this.#superblock.resized(before));
      throw thrown;
    }
  }

  /** Copies what the superblock says of the volume to where its backups stand. */
  async writeBackups({ backups }: Layout): Promise<void> {
    await this.#write(backups);
  }

  /**
   * The same, where a sound one says something else. One that is damaged is
   * the business of fsck.
   */
  async renewBackups(layout: Layout): Promise<void> {
    const { blockBytes, backups, blockCount } = layout;
    const staged = new Staging(this.#device).reserve(backups.length * blockBytes);
    await readBlocks(this.#device, staged.memory, backups, blockBytes);
    const isStale = backups.some((block, i) => {
      const at = i * blockBytes;
      const fault = blockFault({ ...staged, at }, blockBytes, block, this.#superblock.uuid);
      const isOther = Superblock.blockCount.get(staged.view, at) !== blockCount;
      return fault === undefined && (isOther || !this.#saysTheSame(staged.bytes, at));
    });
    if (isStale) await this.writeBackups(layout);
  }

  /** Of features, and of what `quarry tune` changes. */
  #saysTheSame(bytes: Uint8Array, at: number): boolean {
    const { compatibleFeatures, incompatibleFeatures, label, shownUuid, mountOptions } = Superblock;
    const parts = [[compatibleFeatures.offset, incompatibleFeatures.offset + 8] as const];
    for (const { offset, lengthBytes } of [label, shownUuid, mountOptions])
      parts.push([offset, offset + lengthBytes]);
    return parts.every(([from, to]) =>
      sameBytes(bytes.subarray(at + from, at + to), this.#superblock.bytes.subarray(from, to)),
    );
  }

  /** What was a backup is none any more. */
  async eraseBackups(blocks: readonly BlockNumber[]): Promise<void> {
    if (blocks.length === 0) return;
    const { blockBytes } = this.#superblock.layout();
    const { memory, bytes } = new Staging(this.#device).reserve(blocks.length * blockBytes);
    bytes.fill(0);
    await writeBlocks(this.#device, memory, blocks, blockBytes);
    await flushDevice(this.#device);
  }

  /** One at a time: an image that is being written does not change. */
  #turn(work: () => Promise<void>): Promise<void> {
    const turned = this.#last.then(work);
    this.#last = turned.catch(() => {});
    return turned;
  }

  #change(change: () => void, blocks: readonly BlockNumber[] = [0]): Promise<void> {
    return this.#turn(async () => {
      change();
      await this.#writeNow(blocks);
    });
  }

  #write(blocks: readonly BlockNumber[]): Promise<void> {
    return this.#turn(() => this.#writeNow(blocks));
  }

  async #writeNow(blocks: readonly BlockNumber[]): Promise<void> {
    const { blockBytes } = this.#superblock.layout();
    const sequence = this.#superblock.sequence + 1;
    for (const block of blocks) await this.#superblock.write(this.#device, block, blockBytes, sequence);
    await flushDevice(this.#device);
  }
}
