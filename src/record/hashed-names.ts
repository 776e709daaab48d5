/**
 * Names as keyed hashes: the same name has the same hash throughout a record, and nobody can try
 * names on it, since the key is random and never leaves the process that recorded.
 */
import { randomBytes } from 'node:crypto';
import { COLLISIONS_PER_HASH, NAME_SECRET_BYTES, NameSecret, nameKey } from '../fs/format/name-hash.ts';
import type { OperationSink, RecordedOperation } from './recorded-operation.ts';

/** Hexadecimal digits of 44 bits. */
const DIGITS = 11;

export class NameHasher implements OperationSink {
  readonly #sink: OperationSink;
  readonly #secret = new NameSecret(randomBytes(NAME_SECRET_BYTES));

  constructor(sink: OperationSink) {
    this.#sink = sink;
  }

  add(operation: RecordedOperation): void {
    const { name } = operation;
    if (name.length > 0) {
      const hash = nameKey(name, this.#secret) / COLLISIONS_PER_HASH;
      operation.name = Buffer.from(hash.toString(16).padStart(DIGITS, '0'));
    }
    this.#sink.add(operation);
  }

  async room(): Promise<void> {
    await this.#sink.room?.();
  }
}
