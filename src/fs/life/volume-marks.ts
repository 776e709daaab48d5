/**
 * What the superblock says of a volume's use: that it is mounted, and may need its journal, or that
 * it is clean. Each is durable when it resolves.
 */
import type { Device } from '../../aio/device.ts';
import type { Clock } from '../base/clock.ts';
import type { SuperblockImage } from '../format/superblock.ts';
import { flushDevice } from '../journal/block-transfers.ts';

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

  async #write(): Promise<void> {
    const { blockBytes } = this.#superblock.layout();
    await this.#superblock.write(this.#device, 0, blockBytes, this.#superblock.sequence + 1);
    await flushDevice(this.#device);
  }
}
