/**
 * A fixed number of aligned buffers, lent and given back.
 *
 *   const pool = new BufferPool({ bufferBytes: 4096, count: 32 });
 *   const buffer = await pool.acquire();
 *   try { await file.readAt(buffer, 0); } finally { pool.release(buffer); }
 *
 * The memory is one mapping, so that the kernel can use huge pages. When all are lent, `acquire`
 * waits, first come first served: this is what bounds the work of a program. Give a buffer back
 * only after its request is released.
 */

import { DEFAULT_CHUNK_BYTES } from '../limits.ts';
import { AlignedBuffer } from './aligned-buffer.ts';
import { outOfRange, requireOptions } from './arguments.ts';

export interface BufferPoolOptions {
  /** Bytes of each buffer; rounded up to a multiple of 512 in memory. Default 65536. */
  readonly bufferBytes?: number;
  /** Number of buffers. Default 32. */
  readonly count?: number;
}

const POOL_OPTIONS = new Set(['bufferBytes', 'count']);

export class BufferPool {
  readonly bufferBytes: number;
  readonly count: number;
  readonly #free: Buffer[] = [];
  readonly #lent = new Set<Buffer>();
  readonly #waiting: ((buffer: Buffer) => void)[] = [];

  /** @throws TypeError, RangeError for options that make no sense; Error ENOMEM */
  constructor(options: BufferPoolOptions = {}) {
    requireOptions(options, POOL_OPTIONS);
    const { bufferBytes = DEFAULT_CHUNK_BYTES, count = 32 } = options;
    if (!Number.isInteger(bufferBytes) || bufferBytes < 1)
      throw outOfRange(`bufferBytes must be a positive integer, not ${bufferBytes}`);
    if (!Number.isInteger(count) || count < 1)
      throw outOfRange(`count must be a positive integer, not ${count}`);
    this.bufferBytes = bufferBytes;
    this.count = count;
    const stride = Math.ceil(bufferBytes / 512) * 512;
    const all = AlignedBuffer.allocate(stride * count);
    for (let at = count - 1; at >= 0; at--)
      this.#free.push(all.subarray(at * stride, at * stride + bufferBytes));
  }

  /** Buffers that can be had now. */
  get available(): number {
    return this.#free.length;
  }

  /** A buffer, when there is one. Its content is what the last user left. */
  acquire(): Promise<Buffer> {
    const buffer = this.tryAcquire();
    if (buffer) return Promise.resolve(buffer);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** A buffer, or undefined when all are lent. */
  tryAcquire(): Buffer | undefined {
    const buffer = this.#free.pop();
    if (buffer) this.#lent.add(buffer);
    return buffer;
  }

  /**
   * Gives back a buffer, to the first who waits.
   * @throws Error when it is not lent by this pool, or was given back already
   */
  release(buffer: Buffer): void {
    if (!this.#lent.has(buffer)) throw new Error('the buffer is not lent by this pool');
    const next = this.#waiting.shift();
    if (next) {
      next(buffer);
      return;
    }
    this.#lent.delete(buffer);
    this.#free.push(buffer);
  }
}
