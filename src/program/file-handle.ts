/** An open file as `fs.promises.open` answers it. */
import { EventEmitter } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { argumentType, integerIn, outOfRange } from '../common/argument-errors.ts';
import { encodingOf, optionsOf, signalOf, type TimeLike } from './arguments.ts';
import { changeTimes, chmodInode, chownInode, type StatOptions, statInode } from './attributes.ts';
import { decoded, type FileContent, readToEnd, viewedBytes, writeAll } from './contents.ts';
import type { OpenNode } from './open-node.ts';
import type { BigIntVolumeStats, VolumeStats } from './stats.ts';
import {
  type ReadStreamOptions,
  VolumeReadStream,
  VolumeWriteStream,
  type WriteStreamOptionsOfVolume,
} from './streams.ts';

export interface ReadOptions<T extends NodeJS.ArrayBufferView = NodeJS.ArrayBufferView> {
  buffer?: T;
  /** First byte of the buffer to fill. Default: 0. */
  offset?: number | null;
  /** Default: to the end of the buffer. */
  length?: number | null;
  /** Default, null or −1: where the file goes on. */
  position?: number | bigint | null;
}

export interface ReadFileOptions {
  encoding?: BufferEncoding | 'buffer' | null | undefined;
  signal?: AbortSignal | undefined;
}

export interface WriteFileOptions extends ReadFileOptions {
  flush?: boolean | undefined;
}

/** What `read` uses without a buffer of the caller's. */
const OWN_BUFFER_BYTES = 16 * 1024;

/** Undefined: where the file goes on. */
function placeOf(position: unknown): number | undefined {
  if (position === null || position === undefined) return undefined;
  if (typeof position === 'bigint') return position < 0n ? undefined : Number(position);
  const place = integerIn('position', position, -1, Number.MAX_SAFE_INTEGER);
  return place < 0 ? undefined : place;
}

/** The part of the caller's buffer that is meant. @throws TypeError, RangeError */
function partOf(buffer: ArrayBufferView, offset: unknown, length: unknown): Uint8Array {
  const { byteLength } = buffer;
  const from =
    offset === null || offset === undefined ? 0 : integerIn('offset', offset, 0, Number.MAX_SAFE_INTEGER);
  if (from > byteLength) throw outOfRange('offset', `<= ${byteLength}`, from);
  const most = byteLength - from;
  const wanted =
    length === null || length === undefined ? most : integerIn('length', length, 0, Number.MAX_SAFE_INTEGER);
  if (wanted > most) throw outOfRange('length', `<= ${most}`, wanted);
  return viewedBytes(buffer).subarray(from, from + wanted);
}

function requireView<T>(name: string, value: T): T & ArrayBufferView {
  if (ArrayBuffer.isView(value)) return value;
  throw argumentType(name, 'an instance of Buffer, TypedArray, or DataView', value);
}

function requireViews<T extends readonly ArrayBufferView[]>(value: T): T {
  if (Array.isArray(value) && value.every((one) => ArrayBuffer.isView(one))) return value;
  throw argumentType('buffers', 'an array of ArrayBufferViews', value);
}

/** Handles have numbers, as descriptors do; they mean nothing to the system. */
let nextNumber = 3;

export class VolumeFileHandle extends EventEmitter {
  readonly #node: OpenNode;
  readonly #number = nextNumber++;

  constructor(node: OpenNode) {
    super();
    this.#node = node;
    node.whenClosed = () => this.emit('close');
  }

  /** A number of this handle's own; −1 once it is closed. No descriptor of the system. */
  get fd(): number {
    return this.#node.isClosed ? -1 : this.#number;
  }

  /**
   * Fills a buffer. @throws EBADF, EISDIR, EIO
   * @returns how much of it was filled, 0 at the end of the file
   */
  read<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset?: number | null,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<{ bytesRead: number; buffer: T }>;
  read<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    options?: ReadOptions<T>,
  ): Promise<{ bytesRead: number; buffer: T }>;
  read<T extends NodeJS.ArrayBufferView = Buffer>(
    options?: ReadOptions<T>,
  ): Promise<{ bytesRead: number; buffer: T }>;
  async read(
    first?: NodeJS.ArrayBufferView | ReadOptions,
    second?: number | null | ReadOptions,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<{ bytesRead: number; buffer: NodeJS.ArrayBufferView }> {
    const isView = ArrayBuffer.isView(first);
    if (!isView && first !== undefined && typeof first !== 'object')
      throw argumentType('buffer', 'an instance of Buffer, TypedArray, or DataView', first);
    const given: ReadOptions = isView ? readOptionsOf(second, length, position) : (first ?? {});
    const buffer = requireView('buffer', isView ? first : (given.buffer ?? Buffer.alloc(OWN_BUFFER_BYTES)));
    const place = placeOf(given.position);
    const part = partOf(buffer, given.offset, given.length);
    if (part.length === 0) return { bytesRead: 0, buffer };
    return { bytesRead: await this.#node.read(part, place), buffer };
  }

  /** Fills buffers one after the other. */
  async readv<T extends readonly NodeJS.ArrayBufferView[]>(
    buffers: T,
    position?: number | null,
  ): Promise<{ bytesRead: number; buffers: T }> {
    let place = placeOf(position);
    let bytesRead = 0;
    for (const view of requireViews(buffers)) {
      const read = await this.#node.read(viewedBytes(view), place);
      bytesRead += read;
      if (place !== undefined) place += read;
      if (read < view.byteLength) break;
    }
    return { bytesRead, buffers };
  }

  /**
   * Writes a part of a buffer, or a text. All of it, or it throws.
   * @throws EBADF, ENOSPC, EFBIG, EIO
   */
  write<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    offset?: number | null,
    length?: number | null,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffer: T }>;
  write<T extends NodeJS.ArrayBufferView>(
    buffer: T,
    options?: { offset?: number; length?: number; position?: number | null },
  ): Promise<{ bytesWritten: number; buffer: T }>;
  write(
    text: string,
    position?: number | null,
    encoding?: BufferEncoding | null,
  ): Promise<{ bytesWritten: number; buffer: string }>;
  async write(
    data: NodeJS.ArrayBufferView | string,
    second?: number | null | ReadOptions,
    third?: number | null | string,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffer: NodeJS.ArrayBufferView | string }> {
    if (typeof data === 'string') {
      const bytes = Buffer.from(data, textEncoding(third));
      await this.#node.write(bytes, placeOf(second));
      return { bytesWritten: bytes.length, buffer: data };
    }
    const given = readOptionsOf(second, third, position);
    const part = partOf(requireView('buffer', data), given.offset, given.length);
    await this.#node.write(part, placeOf(given.position));
    return { bytesWritten: part.length, buffer: data };
  }

  /** Writes buffers one after the other. */
  async writev<T extends readonly NodeJS.ArrayBufferView[]>(
    buffers: T,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffers: T }> {
    const whole = Buffer.concat(requireViews(buffers).map(viewedBytes));
    await this.#node.write(whole, placeOf(position));
    return { bytesWritten: whole.length, buffers };
  }

  /** All that follows the position. */
  readFile(
    options?: { encoding?: null | undefined; signal?: AbortSignal | undefined } | null,
  ): Promise<Buffer>;
  readFile(
    options: { encoding: BufferEncoding; signal?: AbortSignal | undefined } | BufferEncoding,
  ): Promise<string>;
  readFile(options?: ReadFileOptions | BufferEncoding | null): Promise<Buffer | string>;
  async readFile(options?: ReadFileOptions | BufferEncoding | null): Promise<Buffer | string> {
    const { encoding, signal } = optionsOf<ReadFileOptions>(options);
    const wanted = encodingOf(encoding);
    this.#node.requireOpen('readFile');
    return decoded(await readToEnd(this.#node, signalOf(signal)), wanted);
  }

  /** Writes from the position on; nothing is cut off behind it. */
  async writeFile(data: FileContent, options?: WriteFileOptions | BufferEncoding | null): Promise<void> {
    const { encoding, signal, flush } = optionsOf<WriteFileOptions>(options);
    this.#node.requireOpen('writeFile');
    await writeAll(this.#node, data, { encoding, signal: signalOf(signal), flush });
  }

  appendFile(data: FileContent, options?: WriteFileOptions | BufferEncoding | null): Promise<void> {
    return this.writeFile(data, options);
  }

  stat(options?: StatOptions & { bigint?: false | undefined }): Promise<VolumeStats>;
  stat(options: StatOptions & { bigint: true }): Promise<BigIntVolumeStats>;
  stat(options?: StatOptions): Promise<VolumeStats | BigIntVolumeStats> {
    const { session, inode } = this.#node;
    return this.#node.use('fstat', () => statInode(session, inode, options));
  }

  /** Cuts off, or extends by a hole. @throws EINVAL, EFBIG */
  async truncate(lengthBytes = 0): Promise<void> {
    const wanted = integerIn('len', lengthBytes, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    await this.#node.truncate(Math.max(0, wanted));
  }

  /** All that was written to it is durable when it resolves. @throws what a write met */
  sync(): Promise<void> {
    return this.#node.sync('fsync');
  }

  datasync(): Promise<void> {
    return this.#node.sync('fdatasync');
  }

  /**
   * lseek(2) for data or a hole.
   * @returns where the next one is, from this byte on; −1 where there is none before the end
   */
  async seek(offset: number, target: 'data' | 'hole'): Promise<number> {
    const from = integerIn('offset', offset, 0, Number.MAX_SAFE_INTEGER);
    const { session, inode } = this.#node;
    const found = await this.#node.use('lseek', () => session.volume.seek(inode, from, target));
    return found.offsetBytes;
  }

  async chmod(mode: number | string): Promise<void> {
    const { session, inode } = this.#node;
    await this.#node.use('fchmod', () => chmodInode(session, inode, mode));
  }

  async chown(uid: number, gid: number): Promise<void> {
    const { session, inode } = this.#node;
    await this.#node.use('fchown', () => chownInode(session, inode, uid, gid));
  }

  async utimes(atime: TimeLike, mtime: TimeLike): Promise<void> {
    const { session, inode } = this.#node;
    await this.#node.use('futime', () => changeTimes(session, inode, atime, mtime));
  }

  createReadStream(options: ReadStreamOptions = {}): VolumeReadStream {
    return new VolumeReadStream(() => Promise.resolve(this.#node), options);
  }

  createWriteStream(options: WriteStreamOptionsOfVolume = {}): VolumeWriteStream {
    return new VolumeWriteStream(() => Promise.resolve(this.#node), options);
  }

  /** Its lines, from the position on. */
  readLines(options: ReadStreamOptions = {}): Interface {
    return createInterface({ input: this.createReadStream(options), crlfDelay: Number.POSITIVE_INFINITY });
  }

  readableWebStream(): ReadableStream {
    return Readable.toWeb(this.createReadStream({ autoClose: false }));
  }

  /** Waits for what is under way. Idempotent. */
  close(): Promise<void> {
    return this.#node.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** What was given one by one, or as an object. */
function readOptionsOf(second: unknown, length: unknown, position: unknown): ReadOptions {
  const isObject = typeof second === 'object' && second !== null;
  return (isObject ? second : { offset: second, length, position }) as ReadOptions;
}

function textEncoding(encoding: unknown): BufferEncoding {
  const found = encodingOf(encoding);
  return found === undefined || found === 'buffer' ? 'utf8' : found;
}
