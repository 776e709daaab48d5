/** A pool of device memory for the edges of writes: small, taken rarely, given back always. */
import type { Device, Memory } from '../../aio/device.ts';

export class ScratchPool {
  readonly #device: Device;
  readonly #free: Memory[] = [];

  constructor(
    device: Device,
    readonly lengthBytes: number,
  ) {
    this.#device = device;
  }

  take(): Memory {
    return this.#free.pop() ?? this.#device.allocateMemory(this.lengthBytes);
  }

  give(memory: Memory): void {
    if (this.#free.length < 16) this.#free.push(memory);
  }
}
