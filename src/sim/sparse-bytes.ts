/**
 * A long row of bytes of which only the touched parts take memory: chunks of 64 KiB in a map. What
 * was never written reads as zeros. A volume of 1 TiB is cheap as long as little of it is written.
 */
const CHUNK_BYTES = 65536;

export class SparseBytes {
  readonly #chunks = new Map<number, Uint8Array>();

  /** Memory in use, in bytes. */
  get usedBytes(): number {
    return this.#chunks.size * CHUNK_BYTES;
  }

  /** Copies the bytes from `offset` on into all of `into`. */
  read(offset: number, into: Uint8Array): void {
    for (const piece of piecesOf(offset, into.length)) {
      const target = into.subarray(piece.at, piece.at + piece.length);
      const chunk = this.#chunks.get(piece.chunk);
      if (chunk === undefined) target.fill(0);
      else target.set(chunk.subarray(piece.start, piece.start + piece.length));
    }
  }

  /** Copies all of `from` to `offset` and on. */
  write(offset: number, from: Uint8Array): void {
    for (const piece of piecesOf(offset, from.length)) {
      this.#touched(piece.chunk).set(from.subarray(piece.at, piece.at + piece.length), piece.start);
    }
  }

  /** An independent copy. */
  clone(): SparseBytes {
    const copy = new SparseBytes();
    for (const [number, chunk] of this.#chunks) copy.#chunks.set(number, chunk.slice());
    return copy;
  }

  #touched(number: number): Uint8Array {
    let chunk = this.#chunks.get(number);
    if (chunk === undefined) {
      chunk = new Uint8Array(CHUNK_BYTES);
      this.#chunks.set(number, chunk);
    }
    return chunk;
  }
}

/** A part of a transfer that lies in one chunk: from `start` in the chunk, `at` in the transfer. */
interface Piece {
  readonly chunk: number;
  readonly start: number;
  readonly at: number;
  readonly length: number;
}

function* piecesOf(offset: number, lengthBytes: number): Generator<Piece> {
  let at = 0;
  while (at < lengthBytes) {
    const chunk = Math.floor((offset + at) / CHUNK_BYTES);
    const start = offset + at - chunk * CHUNK_BYTES;
    const length = Math.min(CHUNK_BYTES - start, lengthBytes - at);
    yield { chunk, start, at, length };
    at += length;
  }
}
