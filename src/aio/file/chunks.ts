/**
 * A file in pieces, in order, with a few of them read ahead.
 *
 * Chunks lie at multiples of their length, so that direct I/O reads them without a detour. Several
 * share one piece of aligned memory, which lives as long as any of them.
 */

import { DEFAULT_CHUNK_BYTES, DEFAULT_CHUNKS, MOST_CHUNKS, SLAB_BYTES } from '../limits.ts';
import { AlignedBuffer } from './aligned-buffer.ts';
import { byteCountOf, outOfRange, requireOptions } from './arguments.ts';
import type { AsyncFile, ChunkOptions, IoRequest } from './async-file.ts';

export const CHUNK_OPTIONS = new Set(['start', 'end', 'chunkBytes', 'depth', 'signal']);

interface ReadAhead {
  readonly request: IoRequest;
  readonly memory: Buffer;
  /** Bytes at its head that were not asked for. */
  readonly skipBytes: number;
}

export async function* readChunks(
  file: AsyncFile,
  options: ChunkOptions,
): AsyncGenerator<Buffer, void, undefined> {
  requireOptions(options, CHUNK_OPTIONS);
  const { signal } = options;
  const start = byteCountOf('start', options.start ?? 0);
  const end = byteCountOf('end', options.end ?? Number.MAX_SAFE_INTEGER);
  const chunkBytes = checkedChunk(file, options.chunkBytes);
  const depth = checkedDepth(options.depth);
  if (end < start) throw outOfRange(`end must be an integer from start on, not ${end}`);
  const slab = new Slab(chunkBytes);
  const ahead: ReadAhead[] = [];
  let next = start;
  const readNext = (): void => {
    const stop = Math.min(end, (Math.floor(next / chunkBytes) + 1) * chunkBytes);
    const aligned = next - (next % file.alignment.offsetBytes);
    const length = Math.min(
      chunkBytes,
      Math.ceil((stop - aligned) / file.alignment.offsetBytes) * file.alignment.offsetBytes,
    );
    const memory = slab.take().subarray(0, length);
    const request = file.submitRead(memory, aligned, signal ? { signal } : {});
    ahead.push({ request, memory: memory.subarray(0, stop - aligned), skipBytes: next - aligned });
    next = stop;
  };
  try {
    for (;;) {
      while (ahead.length < depth && next < end) readNext();
      const first = ahead.shift();
      if (!first) return;
      const { memory, skipBytes } = first;
      const count = Math.min(await first.request.wait(), memory.length);
      if (count > skipBytes) yield memory.subarray(skipBytes, count);
      if (count < memory.length) return;
    }
  } finally {
    for (const { request } of ahead) void request.cancel();
  }
}

/** The length of chunks, or its default. @throws RangeError */
export function checkedChunk(file: AsyncFile, chunkBytes = DEFAULT_CHUNK_BYTES): number {
  const align = file.alignment.offsetBytes;
  if (!Number.isSafeInteger(chunkBytes) || chunkBytes < 1 || chunkBytes % align !== 0)
    throw outOfRange(`chunkBytes must be a multiple of ${align}, not ${chunkBytes}`);
  return chunkBytes;
}

/** How many at once, or its default. @throws RangeError */
export function checkedDepth(depth = DEFAULT_CHUNKS): number {
  if (!Number.isInteger(depth) || depth < 1 || depth > MOST_CHUNKS)
    throw outOfRange(`depth must be an integer from 1 to ${MOST_CHUNKS}, not ${depth}`);
  return depth;
}

/** Aligned memory for one chunk after the other. */
export class Slab {
  readonly #chunkBytes: number;
  readonly #stride: number;
  #memory: Buffer = Buffer.alloc(0);

  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
    this.#stride = Math.ceil(chunkBytes / 4096) * 4096;
  }

  take(): Buffer {
    if (this.#memory.length < this.#stride) {
      const chunks = Math.max(1, Math.floor(SLAB_BYTES / this.#stride));
      this.#memory = AlignedBuffer.allocate(chunks * this.#stride);
    }
    const chunk = this.#memory.subarray(0, this.#chunkBytes);
    this.#memory = this.#memory.subarray(this.#stride);
    return chunk;
  }
}
