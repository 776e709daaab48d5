/**
 * Operations as bytes, within one chunk of a record.
 *
 *   operation = | kind | microseconds since the one before | numbers … | length of a name | name |
 *
 * Numbers are in groups of seven bits, the lowest first, the eighth saying that more follow
 * (LEB128). A write that goes on where the last one of its file ended has a kind of its own and
 * only a length. What is left out so is known from the same chunk: each is read by itself.
 */
import { RecordError } from './record-error.ts';
import {
  emptyOperation,
  isRecordKind,
  RECORDED_SHAPES,
  type RecordedOperation,
  RecordKind,
} from './recorded-operation.ts';

/** A write behind the write before. */
const WRITE_ON = 128;
/** An operation with the longest numbers and the longest name. */
export const MOST_OPERATION_BYTES = 400;
const MOST_NAME_BYTES = 255;

/** Where the last write ended. */
class LastWrite {
  inode = 0;
  endBytes = 0;

  goesOn({ kind, inode, offsetBytes }: RecordedOperation): boolean {
    return kind === RecordKind.write && inode === this.inode && offsetBytes === this.endBytes;
  }

  note(operation: RecordedOperation): void {
    this.inode = operation.inode;
    this.endBytes = operation.offsetBytes + operation.lengthBytes;
  }

  reset(): void {
    this.inode = 0;
    this.endBytes = 0;
  }
}

export class ChunkEncoder {
  readonly #bytes: Uint8Array;
  readonly #last = new LastWrite();
  #at = 0;
  #microseconds = 0;
  /** Operations in the chunk. */
  count = 0;
  /** When the chunk began, in microseconds of the record. */
  beganMicroseconds = 0;

  /** @param capacityBytes a chunk that has so much is full, to within an operation */
  constructor(capacityBytes: number) {
    this.#bytes = new Uint8Array(capacityBytes);
  }

  get isFull(): boolean {
    return this.#bytes.length - this.#at < MOST_OPERATION_BYTES;
  }

  /** There has to be room. */
  add(operation: RecordedOperation): void {
    if (this.count++ === 0) {
      this.beganMicroseconds = operation.microseconds;
      this.#microseconds = operation.microseconds;
    }
    const goesOn = this.#last.goesOn(operation);
    this.#bytes[this.#at++] = goesOn ? WRITE_ON : operation.kind;
    this.#number(Math.max(0, operation.microseconds - this.#microseconds));
    this.#microseconds = Math.max(this.#microseconds, operation.microseconds);
    if (goesOn) this.#number(operation.lengthBytes);
    else this.#fields(operation);
    if (operation.kind === RecordKind.write) this.#last.note(operation);
  }

  #fields(operation: RecordedOperation): void {
    const { numbers, hasName } = RECORDED_SHAPES[operation.kind];
    for (const field of numbers) this.#number(operation[field]);
    if (!hasName) return;
    const { name } = operation;
    this.#number(name.length);
    this.#bytes.set(name, this.#at);
    this.#at += name.length;
  }

  #number(value: number): void {
    const bytes = this.#bytes;
    let left = value;
    while (left >= 2 ** 31) {
      bytes[this.#at++] = 128 | (left % 128);
      left = Math.floor(left / 128);
    }
    while (left >= 128) {
      bytes[this.#at++] = 128 | (left & 127);
      left >>>= 7;
    }
    bytes[this.#at++] = left;
  }

  /** A copy of what is in the chunk, which is empty then. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#at);
    this.#at = 0;
    this.count = 0;
    this.#last.reset();
    return taken;
  }
}

/** Reads the operations of one chunk, each into the same object. */
export class ChunkDecoder {
  readonly #operation = emptyOperation();
  readonly #last = new LastWrite();
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  /**
   * @param beganMicroseconds when the chunk began
   * @throws RecordError for bytes that no writer makes
   */
  *read(bytes: Uint8Array, beganMicroseconds: number): Generator<RecordedOperation> {
    const operation = this.#operation;
    this.#bytes = bytes;
    this.#at = 0;
    this.#last.reset();
    operation.microseconds = beganMicroseconds;
    while (this.#at < bytes.length) {
      this.#next();
      yield operation;
    }
  }

  #next(): void {
    const operation = this.#operation;
    const kind = this.#bytes[this.#at++] ?? 0;
    operation.microseconds += this.#number();
    if (kind === WRITE_ON) {
      operation.kind = RecordKind.write;
      operation.inode = this.#last.inode;
      operation.offsetBytes = this.#last.endBytes;
      operation.lengthBytes = this.#number();
    } else if (isRecordKind(kind)) {
      operation.kind = kind;
      this.#fields();
    } else throw new RecordError(`an operation of kind ${kind}, which this version does not know`);
    if (operation.kind === RecordKind.write) this.#last.note(operation);
  }

  #fields(): void {
    const operation = this.#operation;
    const { numbers, hasName } = RECORDED_SHAPES[operation.kind];
    for (const field of numbers) operation[field] = this.#number();
    if (!hasName) return;
    const length = this.#number();
    if (length > MOST_NAME_BYTES || this.#at + length > this.#bytes.length)
      throw new RecordError('a name that is longer than names are');
    operation.name = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
  }

  #number(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new RecordError('an operation that is cut off');
      value += (byte & 127) * scale;
      if (byte < 128) break;
      if (scale > 2 ** 53) break;
    }
    if (value > Number.MAX_SAFE_INTEGER) throw new RecordError('a number that is too large');
    return value;
  }
}
