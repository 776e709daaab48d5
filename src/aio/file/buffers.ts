/** Several pieces of memory as one sequence of bytes. */
import { bytesOf, outOfRange } from './arguments.ts';

/**
 * Several pieces of memory as one sequence of bytes, as readv(2) and writev(2) know it.
 *
 *   const message = Buffers.of(header, body);
 *   message.length                 // bytes in all
 *   message.consume(100);          // drops the first 100, across pieces
 *
 * The pieces are views: their bytes are neither copied nor changed. Empty pieces are left out.
 */
export class Buffers {
  readonly #pieces: Uint8Array[] = [];
  #length = 0;

  /** @throws TypeError for a piece that is no memory */
  constructor(pieces: Iterable<ArrayBufferView> = []) {
    for (const piece of pieces) this.push(piece);
  }

  static of(...pieces: ArrayBufferView[]): Buffers {
    return new Buffers(pieces);
  }

  /** Bytes in all pieces. */
  get length(): number {
    return this.#length;
  }

  /** The pieces that are left, in order. */
  get vectors(): readonly Uint8Array[] {
    return this.#pieces;
  }

  /** Adds a piece at the end. */
  push(piece: ArrayBufferView): this {
    const bytes = bytesOf(piece, 'piece');
    if (bytes.length > 0) this.#pieces.push(bytes);
    this.#length += bytes.length;
    return this;
  }

  /**
   * Drops the first `count` bytes: whole pieces, and the head of the one it ends in.
   * @throws RangeError when there are not so many
   */
  consume(count: number): this {
    if (!Number.isInteger(count) || count < 0 || count > this.#length) {
      throw outOfRange(`consume(${count}): there are ${this.#length} bytes`);
    }
    let left = count;
    let whole = 0;
    for (const { length } of this.#pieces) {
      if (left < length) break;
      left -= length;
      whole++;
    }
    this.#pieces.splice(0, whole);
    const first = this.#pieces[0];
    if (first && left > 0) this.#pieces[0] = first.subarray(left);
    this.#length -= count;
    return this;
  }

  /** The same pieces in a sequence of its own. */
  clone(): Buffers {
    return new Buffers(this.#pieces);
  }

  /** All bytes in one new Buffer. */
  concat(): Buffer {
    return Buffer.concat(this.#pieces, this.#length);
  }

  [Symbol.iterator](): IterableIterator<Uint8Array> {
    return this.#pieces[Symbol.iterator]();
  }
}
