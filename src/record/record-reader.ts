/**
 * Reads a record chunk by chunk, in bounded memory, up to its end or to its last whole chunk.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { messageOf } from '../common/thrown.ts';
import { ChunkDecoder } from './chunk-codec.ts';
import { RecordError } from './record-error.ts';
import {
  beginsLikeRecord,
  ChunkHead,
  type ChunkParts,
  decodeChunk,
  decodeDescription,
  descriptionBytes,
  packedBytesOf,
  type RecordDescription,
  RecordHead,
} from './record-format.ts';
import { type RecordedOperation, RecordKind } from './recorded-operation.ts';

export class RecordReader {
  readonly path: string;
  readonly description: RecordDescription;
  readonly #descriptor: number;
  readonly #firstChunkAt: number;
  /** Known when the operations were read: whether the record was ended in order. */
  isWhole = false;
  /** Known then too: bytes behind the last whole chunk. */
  tornBytes = 0;

  /** @throws RecordError with one line for the user */
  constructor(path: string) {
    this.path = path;
    this.#descriptor = openRecord(path);
    try {
      const head = this.#bytesAt(0, RecordHead.sizeBytes);
      const length = descriptionBytes(head);
      const json = this.#bytesAt(head.length, length);
      this.description = decodeDescription(head, json);
      this.#firstChunkAt = head.length + length;
    } catch (thrown) {
      this.close();
      throw new RecordError(`${path}: ${messageOf(thrown)}`, { cause: thrown });
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  /**
   * The operations, from the first on: each is good until the next is asked for. `end` is not among
   * them.
   * @throws RecordError for a whole chunk with something in it that no writer makes
   */
  *operations(): Generator<RecordedOperation> {
    const decoder = new ChunkDecoder();
    this.isWhole = false;
    let at = this.#firstChunkAt;
    for (let number = 0; ; number++) {
      const chunk = this.#chunkAt(at, number);
      if (chunk === undefined) break;
      at += ChunkHead.sizeBytes + chunk.packed.length;
      const operations = decoder.read(this.#unpack(chunk), chunk.beganMicroseconds);
      for (let next = this.#next(operations); next !== undefined; next = this.#next(operations)) {
        if (next.kind === RecordKind.end) this.isWhole = true;
        else yield next;
      }
    }
    this.tornBytes = fstatSync(this.#descriptor).size - at;
  }

  #next(operations: Iterator<RecordedOperation>): RecordedOperation | undefined {
    try {
      const { done, value } = operations.next();
      return done ? undefined : value;
    } catch (thrown) {
      throw new RecordError(`${this.path}: ${messageOf(thrown)}`, { cause: thrown });
    }
  }

  #chunkAt(at: number, number: number): ChunkParts | undefined {
    const packedBytes = packedBytesOf(this.#bytesAt(at, ChunkHead.sizeBytes), number);
    if (packedBytes === undefined) return undefined;
    const bytes = this.#bytesAt(at, ChunkHead.sizeBytes + packedBytes);
    return bytes.length === ChunkHead.sizeBytes + packedBytes ? decodeChunk(bytes) : undefined;
  }

  #unpack({ packed, rawBytes, number }: ChunkParts): Uint8Array {
    try {
      const raw = inflateRawSync(packed, { maxOutputLength: Math.max(1, rawBytes) });
      if (raw.length === rawBytes) return raw;
    } catch {
      // Said below.
    }
    throw new RecordError(`${this.path}: chunk ${number} cannot be unpacked`);
  }

  /** Fewer than `length` at the end of the file. */
  #bytesAt(at: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const count = readSync(this.#descriptor, bytes, done, length - done, at + done);
      if (count === 0) break;
      done += count;
    }
    return bytes.subarray(0, done);
  }
}

/** Whether a file begins as records do; false for what cannot be read. */
export function isRecordFile(path: string): boolean {
  try {
    const descriptor = openSync(path, 'r');
    try {
      const head = new Uint8Array(RecordHead.sizeBytes);
      const isFile = fstatSync(descriptor).isFile();
      return isFile && readSync(descriptor, head, 0, head.length, 0) > 0 && beginsLikeRecord(head);
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return false;
  }
}

function openRecord(path: string): number {
  try {
    const descriptor = openSync(path, 'r');
    if (fstatSync(descriptor).isFile()) return descriptor;
    closeSync(descriptor);
  } catch (thrown) {
    throw new RecordError(`${path} cannot be read: ${messageOf(thrown)}`, { cause: thrown });
  }
  throw new RecordError(`${path} is not a file`);
}
