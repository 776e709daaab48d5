/**
 * Files as Node streams: read ahead by chunks, written in aligned chunks with several under way.
 */

import { Readable, Writable } from 'node:stream';
import { byteCountOf, requireOptions } from './arguments.ts';
import type { AsyncFile, ChunkOptions, WriteStreamOptions } from './async-file.ts';
import { CHUNK_OPTIONS, checkedChunk, checkedDepth, readChunks, Slab } from './chunks.ts';

/** The content as a stream of bytes. Does not close the file. @throws RangeError */
export function chunkReadable(file: AsyncFile, options: ChunkOptions): Readable {
  requireOptions(options, CHUNK_OPTIONS);
  const highWaterMark = checkedChunk(file, options.chunkBytes);
  checkedDepth(options.depth);
  return Readable.from(readChunks(file, options), { objectMode: false, highWaterMark });
}

/**
 * A stream that writes what it is given from `start` on. Does not close the file.
 * @throws RangeError
 */
export function chunkWritable(file: AsyncFile, options: WriteStreamOptions): Writable {
  return new ChunkWriter(file, options);
}

const WRITE_STREAM_OPTIONS = new Set(['start', 'chunkBytes', 'depth', 'datasync']);

type Callback = (error?: Error | null) => void;

class ChunkWriter extends Writable {
  readonly #file: AsyncFile;
  readonly #chunkBytes: number;
  readonly #depth: number;
  readonly #datasync: boolean;
  readonly #slab: Slab;
  /** Where the chunk at hand goes, and how much of it there is. */
  #offset: number;
  #chunk: Buffer;
  #filledBytes = 0;
  readonly #underWay = new Set<Promise<void>>();
  #failure: Error | undefined;

  constructor(file: AsyncFile, options: WriteStreamOptions) {
    const chunkBytes = checkedChunk(file, options.chunkBytes);
    requireOptions(options, WRITE_STREAM_OPTIONS);
    const start = byteCountOf('start', options.start ?? 0);
    super({ highWaterMark: chunkBytes, decodeStrings: true });
    this.#file = file;
    this.#chunkBytes = chunkBytes;
    this.#depth = checkedDepth(options.depth);
    this.#datasync = options.datasync ?? false;
    this.#slab = new Slab(chunkBytes);
    this.#offset = start;
    this.#chunk = this.#nextChunk();
  }

  override _write(data: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    this.#take(data).then(() => callback(this.#failure), callback);
  }

  override _final(callback: Callback): void {
    this.#finish().then(() => callback(this.#failure), callback);
  }

  override _destroy(error: Error | null, callback: Callback): void {
    void Promise.all(this.#underWay).then(() => callback(error));
  }

  async #take(data: Buffer): Promise<void> {
    for (let taken = 0; taken < data.length && !this.#failure; ) {
      const count = data.copy(this.#chunk, this.#filledBytes, taken);
      taken += count;
      this.#filledBytes += count;
      if (this.#filledBytes === this.#chunk.length) this.#send();
      while (this.#underWay.size >= this.#depth) await Promise.race(this.#underWay);
    }
  }

  async #finish(): Promise<void> {
    if (this.#filledBytes > 0) this.#send();
    await Promise.all(this.#underWay);
    if (this.#datasync && !this.#failure) await this.#file.datasync();
  }

  #send(): void {
    const bytes = this.#chunk.subarray(0, this.#filledBytes);
    const write = this.#file.writeAt(bytes, this.#offset).then(
      () => {},
      (error: Error) => {
        this.#failure ??= error;
      },
    );
    this.#underWay.add(write);
    void write.then(() => this.#underWay.delete(write));
    this.#offset += this.#filledBytes;
    this.#filledBytes = 0;
    this.#chunk = this.#nextChunk();
  }

  /** Up to the next multiple of the length, so that all later chunks are aligned. */
  #nextChunk(): Buffer {
    return this.#slab.take().subarray(0, this.#chunkBytes - (this.#offset % this.#chunkBytes));
  }
}
