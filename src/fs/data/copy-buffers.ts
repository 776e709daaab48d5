/**
 * Memory for copies of data from file to file: two buffers each, for a few at once. Who finds none
 * waits in line; nobody holds a lock while he does.
 */
import type { Device, Memory } from '../../aio/device.ts';
import { MAX_SECTOR_BYTES } from '../../common/limits.ts';
import { COPY_STEP_BYTES, MOST_COPIES } from '../base/limits.ts';

type Pair = readonly [Memory, Memory];

export class CopyBuffers {
  /** Most bytes of data that a buffer holds; behind them is room for two blocks. */
  readonly stepBytes = COPY_STEP_BYTES;
  readonly #device: Device;
  readonly #bytes: number;
  readonly #free: Pair[] = [];
  readonly #waiting: ((pair: Pair) => void)[] = [];
  #made = 0;

  constructor(device: Device, blockBytes: number) {
    this.#device = device;
    this.#bytes = COPY_STEP_BYTES + 2 * Math.max(blockBytes, MAX_SECTOR_BYTES);
  }

  take(): Pair | Promise<Pair> {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#made >= MOST_COPIES) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#made++;
    return [this.#device.allocateMemory(this.#bytes), this.#device.allocateMemory(this.#bytes)];
  }

  give(pair: Pair): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(pair);
    else next(pair);
  }
}
