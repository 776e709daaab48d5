/**
 * The bytes of one image: shares the chunks of its base volume until they are written, so that
 * making an image costs next to nothing, whatever the size of the volume. What neither holds reads
 * as zeros.
 */
const CHUNK_BYTES = 65536;

export class ImageBytes {
  #sizeBytes: number;
  readonly #chunks: Map<number, Uint8Array>;
  readonly #own = new Set<number>();

  constructor(sizeBytes: number, base?: ImageBytes) {
    this.#sizeBytes = sizeBytes;
    this.#chunks = new Map(base?.chunks);
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get chunks(): ReadonlyMap<number, Uint8Array> {
    return this.#chunks;
  }

  /** An image with the same bytes, which later writes here or there do not touch. */
  fork(): ImageBytes {
    this.#own.clear();
    return new ImageBytes(this.#sizeBytes, this);
  }

  /** Cuts the image off. */
  truncate(sizeBytes: number): void {
    this.#sizeBytes = sizeBytes;
  }

  read(offset: number, into: Uint8Array): void {
    this.#eachPiece(offset, into.length, (chunk, start, at, length) => {
      const bytes = this.#chunks.get(chunk);
      const target = into.subarray(at, at + length);
      if (bytes === undefined) target.fill(0);
      else target.set(bytes.subarray(start, start + length));
    });
  }

  write(offset: number, from: Uint8Array): void {
    this.#eachPiece(offset, from.length, (chunk, start, at, length) => {
      this.#writable(chunk).set(from.subarray(at, at + length), start);
    });
  }

  #eachPiece(
    offset: number,
    lengthBytes: number,
    piece: (chunk: number, start: number, at: number, length: number) => void,
  ): void {
    for (let at = 0; at < lengthBytes; ) {
      const chunk = Math.floor((offset + at) / CHUNK_BYTES);
      const start = offset + at - chunk * CHUNK_BYTES;
      const length = Math.min(CHUNK_BYTES - start, lengthBytes - at);
      piece(chunk, start, at, length);
      at += length;
    }
  }

  #writable(chunk: number): Uint8Array {
    const bytes = this.#chunks.get(chunk);
    if (bytes !== undefined && this.#own.has(chunk)) return bytes;
    const own = bytes === undefined ? new Uint8Array(CHUNK_BYTES) : bytes.slice();
    this.#chunks.set(chunk, own);
    this.#own.add(chunk);
    return own;
  }
}
