/**
 * Writes a record: operations are gathered in memory, and whole chunks go out behind the caller's
 * back, packed by another thread and appended in order.
 *
 * `add` never waits and never throws. What could not be written ends the record: `failure` says
 * why, and whatever comes then is passed over. A chunk goes out when it is full, and every few
 * seconds; what a kill takes away is what came since.
 */
import { promisify } from 'node:util';
import { deflateRaw } from 'node:zlib';
import { messageOf } from '../common/thrown.ts';
import { ChunkEncoder } from './chunk-codec.ts';
import { CHUNK_BYTES, encodeChunk, encodeDescription, type RecordDescription } from './record-format.ts';
import {
  emptyOperation,
  type OperationSink,
  type RecordedOperation,
  RecordKind,
} from './recorded-operation.ts';

const deflate = promisify(deflateRaw);

/** Where a record goes. */
export interface RecordTarget {
  /** Appends; resolves when all is written. */
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** The longest time that an operation stays in memory only. */
const FLUSH_MILLISECONDS = 2000;
/** Unwritten bytes after which the target is too slow. */
const MOST_WAITING_BYTES = 32 * 1024 * 1024;
/** Unwritten bytes from which on who need not hurry waits. */
const MANY_WAITING_BYTES = 4 * 1024 * 1024;
/** Of deflate: a chunk shrinks nearly as much as by slower levels. */
const LEVEL = 1;

export interface WriterOptions {
  readonly description: RecordDescription;
  /** In microseconds, from anywhere on. */
  now(): number;
  /** Told once, when the record ends because it cannot be written. */
  failed(reason: string): void;
}

export class RecordWriter implements OperationSink {
  readonly #target: RecordTarget;
  readonly #options: WriterOptions;
  readonly #encoder = new ChunkEncoder(CHUNK_BYTES);
  readonly #began: number;
  readonly #timer: NodeJS.Timeout;
  #writing: Promise<void>;
  #waitingBytes = 0;
  #chunks = 0;
  #ended = false;
  /** Why the record cannot go on; undefined if it can. */
  failure: string | undefined;
  operations = 0;
  writtenBytes = 0;

  constructor(target: RecordTarget, options: WriterOptions) {
    this.#target = target;
    this.#options = options;
    this.#began = options.now();
    this.#writing = this.#append(encodeDescription(options.description));
    this.#timer = setInterval(() => this.#flush(), FLUSH_MILLISECONDS).unref();
  }

  add(operation: RecordedOperation): void {
    if (this.#ended || this.failure !== undefined) return;
    operation.microseconds = Math.round(this.#options.now() - this.#began);
    if (this.#encoder.isFull) this.#flush();
    this.#encoder.add(operation);
    if (operation.kind !== RecordKind.end) this.operations++;
  }

  async room(): Promise<void> {
    if (this.#waitingBytes >= MANY_WAITING_BYTES) await this.#writing;
  }

  /** Writes what is left, and closes the target. */
  async end(): Promise<void> {
    if (!this.#ended) {
      this.add({ ...emptyOperation(), kind: RecordKind.end });
      this.#ended = true;
      clearInterval(this.#timer);
      this.#flush();
      this.#writing = this.#writing.then(() => this.#target.close().catch((thrown) => this.#fail(thrown)));
    }
    await this.#writing;
  }

  #flush(): void {
    const encoder = this.#encoder;
    if (encoder.count === 0) return;
    const { count: operations, beganMicroseconds } = encoder;
    const raw = encoder.take();
    this.#waitingBytes += raw.length;
    if (this.#waitingBytes > MOST_WAITING_BYTES) this.#fail(new Error('what it lies on is too slow'));
    if (this.failure !== undefined) return;
    const number = this.#chunks++;
    const rawBytes = raw.length;
    const packed = deflate(raw, { level: LEVEL });
    // It may have to wait for others before anybody hears of it.
    packed.catch(() => {});
    this.#writing = this.#writing.then(async () => {
      const parts = { rawBytes, operations, number, beganMicroseconds };
      await this.#append(packed.then((bytes) => encodeChunk({ packed: bytes, ...parts })));
      this.#waitingBytes -= rawBytes;
    });
  }

  /** Never rejects. */
  async #append(made: Uint8Array | Promise<Uint8Array>): Promise<void> {
    try {
      const bytes = await made;
      if (this.failure !== undefined) return;
      await this.#target.write(bytes);
      this.writtenBytes += bytes.length;
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #fail(thrown: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = messageOf(thrown);
    clearInterval(this.#timer);
    this.#options.failed(this.failure);
  }
}
