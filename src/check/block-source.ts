/**
 * Reads blocks of a device for the checker: a bounded set of buffers, each read copied out into
 * bytes of the caller's own, nothing cached. Reads many at once; callers beyond the number of
 * buffers wait their turn.
 */
import { type Device, type Memory, PromisedCompletion } from '../aio/device.ts';
import { MAX_BLOCK_BYTES } from '../fs/format/format.ts';

/** Buffers, and so reads in flight. */
const BUFFERS = 32;
/** Errno of Linux for a read beyond the end of the device. */
const EIO = 5;

export interface ReadResult {
  readonly bytes: Uint8Array;
  /** 0, or the errno that the device gave. */
  readonly errno: number;
}

export class BlockSource {
  readonly #device: Device;
  readonly #free: Memory[] = [];
  readonly #waiting: ((memory: Memory) => void)[] = [];
  readonly #bufferBytes: number;
  #made = 0;

  constructor(device: Device) {
    this.#device = device;
    // A block may begin and end inside a sector.
    this.#bufferBytes = MAX_BLOCK_BYTES + 2 * device.sectorBytes;
  }

  get sizeBytes(): number {
    return this.#device.sizeBytes;
  }

  /** Reads `lengthBytes` (at most 64 KiB) at any byte offset. Never throws. */
  async read(offsetBytes: number, lengthBytes: number): Promise<ReadResult> {
    const sector = this.#device.sectorBytes;
    const from = Math.floor(offsetBytes / sector) * sector;
    const until = Math.ceil((offsetBytes + lengthBytes) / sector) * sector;
    const bytes = new Uint8Array(lengthBytes);
    if (offsetBytes < 0 || until > this.#device.sizeBytes) return { bytes, errno: EIO };
    const memory = await this.#take();
    const completion = new PromisedCompletion();
    this.#device.read(memory, 0, until - from, from, completion);
    this.#device.submit();
    const errno = await completion.promise;
    const start = offsetBytes - from;
    if (errno === 0) bytes.set(memory.bytes.subarray(start, start + lengthBytes));
    this.#give(memory);
    return { bytes, errno };
  }

  async #take(): Promise<Memory> {
    const memory = this.#free.pop();
    if (memory) return memory;
    if (this.#made < BUFFERS) {
      this.#made++;
      return this.#device.allocateMemory(this.#bufferBytes);
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #give(memory: Memory): void {
    const next = this.#waiting.shift();
    if (next) next(memory);
    else this.#free.push(memory);
  }
}
