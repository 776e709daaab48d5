/**
 * Writes blocks for the repair: bytes are copied into memory of the device, a bounded number of
 * writes is in flight.
 */
import { type Device, type Memory, PromisedCompletion } from '../aio/device.ts';
import { MAX_BLOCK_BYTES } from '../fs/format/format.ts';

const BUFFERS = 16;

/** The device failed a write or a flush: the repair stops, and can be begun again. */
export class RepairWriteError extends Error {
  override readonly name = 'RepairWriteError';

  constructor(
    readonly errno: number,
    what: string,
  ) {
    super(`${what} failed with error ${errno}: the repair is not finished`);
  }
}

export class BlockTarget {
  readonly #device: Device;
  readonly #free: Memory[] = [];
  readonly #waiting: ((memory: Memory) => void)[] = [];
  #made = 0;
  #unflushed = false;

  constructor(device: Device) {
    this.#device = device;
  }

  /** Writes whole sectors, at most 64 KiB. @throws RepairWriteError */
  async write(offsetBytes: number, bytes: Uint8Array): Promise<void> {
    const memory = await this.#take();
    memory.bytes.set(bytes);
    const completion = new PromisedCompletion();
    this.#unflushed = true;
    this.#device.write(memory, 0, bytes.length, offsetBytes, completion);
    this.#device.submit();
    const errno = await completion.promise;
    this.#give(memory);
    if (errno !== 0) throw new RepairWriteError(errno, `a write at byte ${offsetBytes}`);
  }

  /** Everything written before survives power loss when this resolves. @throws RepairWriteError */
  async flush(): Promise<void> {
    if (!this.#unflushed) return;
    this.#unflushed = false;
    const completion = new PromisedCompletion();
    this.#device.flush(completion);
    this.#device.submit();
    const errno = await completion.promise;
    if (errno !== 0) throw new RepairWriteError(errno, 'a flush');
  }

  async #take(): Promise<Memory> {
    const memory = this.#free.pop();
    if (memory) return memory;
    if (this.#made < BUFFERS) {
      this.#made++;
      return this.#device.allocateMemory(MAX_BLOCK_BYTES);
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #give(memory: Memory): void {
    const next = this.#waiting.shift();
    if (next) next(memory);
    else this.#free.push(memory);
  }
}
