/**
 * Memory for direct I/O: page-aligned Buffers outside the JavaScript heap.
 *
 * An aligned buffer is an ordinary Buffer, and so is each `subarray` of it. Its memory stays mapped
 * as long as a view is reachable or the kernel uses it, so garbage collection cannot pull it from
 * under a request; nor can a transfer to another thread, which gets a copy.
 */

import { type NumberedMemory, native } from '../../native.ts';
import { bytesOf, outOfRange } from './arguments.ts';

const MOST_BYTES = 2 ** 32;
/** The native memory under the ArrayBuffers that were made here. */
const memories = new WeakMap<ArrayBufferLike, NumberedMemory>();

export const AlignedBuffer = {
  /**
   * A new zeroed Buffer that starts at a page boundary (4096 bytes).
   * @throws RangeError unless `lengthBytes` is from 1 to 2 ** 32
   * @throws Error ENOMEM
   */
  allocate(lengthBytes: number): Buffer {
    if (!Number.isInteger(lengthBytes) || lengthBytes < 1 || lengthBytes > MOST_BYTES)
      throw outOfRange(`lengthBytes must be an integer from 1 to 2 ** 32, not ${lengthBytes}`);
    const memory = new native.AlignedMemory(lengthBytes);
    memories.set(memory.bytes.buffer, memory);
    return Buffer.from(memory.bytes.buffer, 0, lengthBytes);
  },

  /** A new aligned Buffer with a copy of the bytes of `view`. @throws TypeError */
  from(view: ArrayBufferView): Buffer {
    const bytes = bytesOf(view);
    const made = AlignedBuffer.allocate(Math.max(1, bytes.length)).subarray(0, bytes.length);
    made.set(bytes);
    return made;
  },

  /**
   * Whether direct I/O can use these bytes as they are, at an address that is a multiple of
   * `alignBytes`.
   */
  isAligned(bytes: ArrayBufferView, alignBytes = 4096): boolean {
    return memories.has(bytes.buffer) && bytes.byteOffset % alignBytes === 0;
  },
} as const;

/** The native memory under `bytes`; undefined for memory of another origin. */
export function memoryUnder(bytes: Uint8Array): NumberedMemory | undefined {
  return memories.get(bytes.buffer);
}
