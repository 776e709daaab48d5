/**
 * Streams over a file of a volume, as `fs.createReadStream` and `fs.createWriteStream` make them.
 */
import { Readable, Writable } from 'node:stream';
import { integerIn, outOfRange } from '../common/argument-errors.ts';
import { encodingOf } from './arguments.ts';
import type { OpenNode } from './open-node.ts';

const READ_MARK_BYTES = 64 * 1024;
const WRITE_MARK_BYTES = 64 * 1024;

export interface ReadStreamOptions {
  encoding?: BufferEncoding | undefined;
  /** Close the file when it ends. Default: true. */
  autoClose?: boolean | undefined;
  emitClose?: boolean | undefined;
  /** First byte; default: where the file goes on. */
  start?: number | undefined;
  /** Last byte, inclusive. */
  end?: number | undefined;
  /** In bytes. */
  highWaterMark?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface WriteStreamOptionsOfVolume {
  encoding?: BufferEncoding | undefined;
  autoClose?: boolean | undefined;
  emitClose?: boolean | undefined;
  start?: number | undefined;
  highWaterMark?: number | undefined;
  /** All is on the device before the file is closed. Default: false. */
  flush?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** A file that is open, or will be. */
export type NodeSource = () => Promise<OpenNode>;

function placeOption(name: string, value: number | undefined): number | undefined {
  return value === undefined || value === Number.POSITIVE_INFINITY
    ? undefined
    : integerIn(name, value, 0, Number.MAX_SAFE_INTEGER);
}

export class VolumeReadStream extends Readable {
  readonly path: string | undefined;
  bytesRead = 0;
  readonly #source: NodeSource;
  readonly #autoClose: boolean;
  #node: OpenNode | undefined;
  #at: number | undefined;
  #left: number;

  constructor(source: NodeSource, options: ReadStreamOptions, path?: string) {
    const { highWaterMark = READ_MARK_BYTES, encoding, emitClose = true, signal } = options;
    // Whatever is wrong is said before there is a stream, which would go on to open its file.
    encodingOf(encoding);
    const start = placeOption('start', options.start);
    const end = placeOption('end', options.end);
    if (end !== undefined && start !== undefined && start > end)
      throw outOfRange('start', `<= "end" (here: ${end})`, start);
    super({ highWaterMark, emitClose, ...(encoding && { encoding }), ...(signal && { signal }) });
    this.path = path;
    this.#source = source;
    this.#autoClose = options.autoClose ?? true;
    this.#at = start;
    this.#left = end === undefined ? Number.POSITIVE_INFINITY : end - (start ?? 0) + 1;
  }

  override _construct(callback: (error?: Error | null) => void): void {
    this.#source().then((node) => {
      this.#node = node;
      this.emit('open');
      this.emit('ready');
      callback();
    }, callback);
  }

  override _read(sizeBytes: number): void {
    this.#readSome(sizeBytes).catch((thrown) => this.destroy(thrown));
  }

  async #readSome(sizeBytes: number): Promise<void> {
    const node = this.#node;
    const wanted = Math.min(sizeBytes, this.#left);
    if (node === undefined || wanted === 0) {
      this.push(null);
      return;
    }
    const chunk = Buffer.allocUnsafeSlow(wanted);
    const read = await node.read(chunk, this.#at);
    if (this.#at !== undefined) this.#at += read;
    this.#left -= read;
    this.bytesRead += read;
    this.push(read === 0 ? null : chunk.subarray(0, read));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    closeAfter(this.#autoClose ? this.#node : undefined, error, callback);
  }
}

export class VolumeWriteStream extends Writable {
  readonly path: string | undefined;
  bytesWritten = 0;
  readonly #source: NodeSource;
  readonly #autoClose: boolean;
  readonly #flush: boolean;
  #node: OpenNode | undefined;
  #at: number | undefined;

  constructor(source: NodeSource, options: WriteStreamOptionsOfVolume, path?: string) {
    const { highWaterMark = WRITE_MARK_BYTES, encoding, emitClose = true, signal } = options;
    encodingOf(encoding);
    const start = placeOption('start', options.start);
    super({
      highWaterMark,
      emitClose,
      ...(encoding && { defaultEncoding: encoding }),
      ...(signal && { signal }),
    });
    this.path = path;
    this.#source = source;
    this.#autoClose = options.autoClose ?? true;
    this.#flush = options.flush ?? false;
    this.#at = start;
  }

  override _construct(callback: (error?: Error | null) => void): void {
    this.#source().then((node) => {
      this.#node = node;
      this.emit('open');
      this.emit('ready');
      callback();
    }, callback);
  }

  override _write(
    chunk: Uint8Array,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    this.#put(chunk).then(() => callback(), callback);
  }

  override _writev(chunks: { chunk: Uint8Array }[], callback: (error?: Error | null) => void): void {
    this.#put(Buffer.concat(chunks.map(({ chunk }) => chunk))).then(() => callback(), callback);
  }

  async #put(chunk: Uint8Array): Promise<void> {
    await this.#node?.write(chunk, this.#at);
    if (this.#at !== undefined) this.#at += chunk.length;
    this.bytesWritten += chunk.length;
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (!this.#flush || this.#node === undefined) callback();
    else this.#node.sync('fsync').then(() => callback(), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    closeAfter(this.#autoClose ? this.#node : undefined, error, callback);
  }
}

function closeAfter(
  node: OpenNode | undefined,
  error: Error | null,
  callback: (error?: Error | null) => void,
): void {
  if (node === undefined) callback(error);
  else
    node.close().then(
      () => callback(error),
      (thrown) => callback(error ?? thrown),
    );
}
