/**
 * Aligned memory of our own, for requests whose memory or range direct I/O cannot take.
 *
 * Pieces come in powers of two and are kept for the next request, up to a bound; above the largest
 * kept size each is made for its request. Their content is whatever the last request left.
 */
import { type NumberedMemory, native } from '../../native.ts';

const LEAST_BYTES = 4096;
const LARGEST_KEPT_BYTES = 1 << 20;
/** Kept in all, for the requests of one thread. */
const MOST_KEPT_BYTES = 16 << 20;

const kept = new Map<number, NumberedMemory[]>();
let keptBytes = 0;

/** Memory of at least `lengthBytes`. @throws Error ENOMEM */
export function takeScratch(lengthBytes: number): NumberedMemory {
  const size = sizeFor(lengthBytes);
  const memory = kept.get(size)?.pop();
  if (!memory) return new native.AlignedMemory(size);
  keptBytes -= size;
  return memory;
}

/** Gives memory back that no request uses any more. */
export function giveScratch(memory: NumberedMemory): void {
  const size = memory.bytes.length;
  if (size > LARGEST_KEPT_BYTES || keptBytes + size > MOST_KEPT_BYTES) return;
  const line = kept.get(size);
  if (line) line.push(memory);
  else kept.set(size, [memory]);
  keptBytes += size;
}

function sizeFor(lengthBytes: number): number {
  if (lengthBytes > LARGEST_KEPT_BYTES) return Math.ceil(lengthBytes / LEAST_BYTES) * LEAST_BYTES;
  let size = LEAST_BYTES;
  while (size < lengthBytes) size *= 2;
  return size;
}
