/**
 * Aligned memory of our own, for requests whose memory or range direct I/O cannot take.
 *
 * Pieces come in powers of two and are kept for the next request, up to a bound; above the largest
 * kept size each is made for its request. Their content is whatever the last request left.
 *
 *   const memory = scratch.take(6000);
 *   … // a request uses it
 *   scratch.give(memory);
 */

import { type NumberedMemory, native } from '../../native.ts';
import { LARGEST_KEPT_SCRATCH_BYTES, LEAST_SCRATCH_BYTES, MOST_KEPT_SCRATCH_BYTES } from '../limits.ts';

export class ScratchMemory {
  readonly #kept = new Map<number, NumberedMemory[]>();
  #keptBytes = 0;

  /** Memory of at least `lengthBytes`. @throws Error ENOMEM */
  take(lengthBytes: number): NumberedMemory {
    const size = sizeFor(lengthBytes);
    const memory = this.#kept.get(size)?.pop();
    if (!memory) return new native.AlignedMemory(size);
    this.#keptBytes -= size;
    return memory;
  }

  /** Gives memory back that no request uses any more. */
  give(memory: NumberedMemory): void {
    const size = memory.bytes.length;
    if (size > LARGEST_KEPT_SCRATCH_BYTES || this.#keptBytes + size > MOST_KEPT_SCRATCH_BYTES) return;
    const line = this.#kept.get(size);
    if (line) line.push(memory);
    else this.#kept.set(size, [memory]);
    this.#keptBytes += size;
  }
}

function sizeFor(lengthBytes: number): number {
  if (lengthBytes > LARGEST_KEPT_SCRATCH_BYTES)
    return Math.ceil(lengthBytes / LEAST_SCRATCH_BYTES) * LEAST_SCRATCH_BYTES;
  let size = LEAST_SCRATCH_BYTES;
  while (size < lengthBytes) size *= 2;
  return size;
}
