/**
 * AsyncFile over a RequestRouter: the calls that users make, the file's position, and its end.
 *
 * Calls on the position form a chain of their own, since each begins where the one before ended.
 * Everything else goes to the router as it comes.
 */

import { fstat, ftruncate, type Stats } from 'node:fs';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { type NumberedMemory, native } from '../../native.ts';
import { memoryUnder } from './aligned-buffer.ts';
import { byteCountOf, bytesOf, wrongValue } from './arguments.ts';
import type {
  Alignment,
  Appended,
  AsyncFile,
  Bytes,
  ChunkOptions,
  FileStatistics,
  IoOperation,
  IoRequest,
  LockKind,
  LockOptions,
  RequestOptions,
  ResolvedOptions,
  SubmitOptions,
  Vector,
  WriteStreamOptions,
} from './async-file.ts';
import { readChunks } from './chunks.ts';
import { lockFile, unlockFile } from './file-lock.ts';
import type { FileRequest } from './file-request.ts';
import { AioError, asAioError } from './io-error.ts';
import { closedError, RequestRouter } from './request-router.ts';
import type { FileStorage } from './storage.ts';
import { chunkReadable, chunkWritable } from './streams.ts';

const { EBADF, EINVAL } = constants.errno;
const NO_OPTIONS: SubmitOptions = {};

/**
 * Closes the storage of a file that nobody reaches any more, when its requests, which may be in
 * line still, have ended.
 */
const forgotten = new FinalizationRegistry<RequestRouter>((router) => {
  void router.drained().then(() => router.storage.release());
});

export class QueuedFile implements AsyncFile {
  readonly fd: number;
  readonly path: string;
  readonly options: ResolvedOptions;
  readonly alignment: Alignment;
  readonly isBlockDevice: boolean;
  readonly #storage: FileStorage;
  readonly #router: RequestRouter;
  readonly #appending: boolean;
  readonly #closedSignal = new AbortController();
  #position = 0;
  /** The end of the chain of calls on the position. */
  #positional: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(storage: FileStorage, options: ResolvedOptions) {
    this.fd = storage.opened.descriptor.number;
    this.path = storage.opened.path;
    this.options = options;
    this.alignment = storage.alignment;
    this.isBlockDevice = storage.opened.isBlockDevice;
    this.#storage = storage;
    this.#router = new RequestRouter(storage, options);
    this.#appending = (options.flags & APPEND) !== 0;
    forgotten.register(this, this.#router, this);
  }

  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  async stat(): Promise<Stats> {
    this.#requireOpen('fstat');
    const stats = await new Promise<Stats>((resolve, reject) => {
      fstat(this.fd, (error, found) =>
        error ? reject(asAioError(error, 'fstat', this.path)) : resolve(found),
      );
    });
    if (this.isBlockDevice && !this.isClosed) stats.size = native.probeDescriptor(this.fd).sizeBytes;
    return stats;
  }

  read(bytes: Bytes, options: RequestOptions = NO_OPTIONS): Promise<number> {
    return this.#inTurn('read', async () => {
      const count = await this.#router.transfer('read', bytes, this.#position, options).wait();
      this.#position += count;
      return count;
    });
  }

  readAt(bytes: Bytes, offset: number | bigint, options: RequestOptions = NO_OPTIONS): Promise<number> {
    return waited(() => this.submitRead(bytes, offset, options));
  }

  readAtv(vector: Vector, offset: number | bigint, options: RequestOptions = NO_OPTIONS): Promise<number> {
    return waited(() => this.submitReadv(vector, offset, options));
  }

  write(bytes: Bytes, options: RequestOptions = NO_OPTIONS): Promise<number> {
    return this.#inTurn('write', async () => {
      const request = this.#appending
        ? this.#router.append(piecesOf(bytes), options)
        : this.#router.transfer('write', bytes, this.#position, options);
      const count = await request.wait();
      this.#position = request.offset + count;
      return count;
    });
  }

  writeAt(bytes: Bytes, offset: number | bigint, options: RequestOptions = NO_OPTIONS): Promise<number> {
    return waited(() => this.submitWrite(bytes, offset, options));
  }

  writeAtv(vector: Vector, offset: number | bigint, options: RequestOptions = NO_OPTIONS): Promise<number> {
    return waited(() => this.submitWritev(vector, offset, options));
  }

  async append(data: Bytes | Vector, options: RequestOptions = NO_OPTIONS): Promise<Appended> {
    this.#requireOpen('write');
    if (this.isBlockDevice) throw this.#invalid('write', 'a block device has no end to append to');
    const request = this.#router.append(piecesOf(data), options);
    const bytesWritten = await request.wait();
    return { offset: request.offset, bytesWritten };
  }

  seek(offset: number | bigint, whence: 0 | 1 | 2 = 0): Promise<number> {
    return this.#inTurn('lseek', async () => {
      if (whence !== 0 && whence !== 1 && whence !== 2)
        throw this.#invalid('lseek', `whence is ${whence}, not 0, 1 or 2`);
      let from = 0;
      if (whence === 1) from = this.#position;
      else if (whence === 2) from = (await this.stat()).size;
      const position = typeof offset === 'bigint' ? Number(BigInt(from) + offset) : from + offset;
      if (!Number.isSafeInteger(position) || position < 0) {
        throw this.#invalid('lseek', `the position would be ${position}`);
      }
      this.#position = position;
      return position;
    });
  }

  async truncate(length: number | bigint): Promise<void> {
    this.#requireOpen('ftruncate');
    const lengthBytes = byteCountOf('lengthBytes', length);
    if (this.isBlockDevice) throw this.#invalid('ftruncate', 'a block device keeps its size');
    await new Promise<void>((resolve, reject) => {
      this.#router.alone((done) =>
        ftruncate(this.fd, lengthBytes, (error) => {
          if (error) reject(asAioError(error, 'ftruncate', this.path));
          else resolve();
          done();
        }),
      );
    });
  }

  async discard(place: number | bigint, length: number | bigint): Promise<void> {
    this.#requireOpen('discard');
    const offset = byteCountOf('offset', place);
    const lengthBytes = byteCountOf('lengthBytes', length, 1);
    const { writable } = this.#storage.opened;
    const where = { syscall: 'discard', path: this.path, offset, length: lengthBytes };
    if (!writable) throw new AioError(EBADF, where, 'the file is not open for writing');
    await new Promise<void>((resolve, reject) => {
      this.#router.alone((done) =>
        native.discardRange(this.fd, this.isBlockDevice, offset, lengthBytes, (errno) => {
          if (errno === 0) resolve();
          else reject(new AioError(errno, where));
          done();
        }),
      );
    });
  }

  async sync(options: RequestOptions = NO_OPTIONS): Promise<void> {
    await this.submitSync(options).wait();
  }

  async datasync(options: RequestOptions = NO_OPTIONS): Promise<void> {
    await this.submitDatasync(options).wait();
  }

  async lock(kind: LockKind = 'exclusive', options: LockOptions = {}): Promise<void> {
    this.#requireOpen('fcntl');
    await lockFile(
      this.#storage.opened,
      kind,
      { timeoutMs: this.options.timeoutMs, ...options },
      this.#closedSignal.signal,
    );
  }

  async unlock(): Promise<void> {
    this.#requireOpen('fcntl');
    unlockFile(this.#storage.opened);
  }

  drain(): Promise<void> {
    return this.#router.drained();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  submitRead(bytes: Bytes, offset: number | bigint, options: SubmitOptions = NO_OPTIONS): FileRequest {
    this.#requireOpen('read');
    return this.#router.transfer('read', bytes, offset, options);
  }

  submitWrite(bytes: Bytes, offset: number | bigint, options: SubmitOptions = NO_OPTIONS): FileRequest {
    this.#requireOpen('write');
    return this.#router.transfer('write', bytes, offset, options);
  }

  submitReadv(vector: Vector, offset: number | bigint, options: SubmitOptions = NO_OPTIONS): FileRequest {
    this.#requireOpen('read');
    return this.#router.transferVector('read', vector, offset, options);
  }

  submitWritev(vector: Vector, offset: number | bigint, options: SubmitOptions = NO_OPTIONS): FileRequest {
    this.#requireOpen('write');
    return this.#router.transferVector('write', vector, offset, options);
  }

  submitSync(options: SubmitOptions = NO_OPTIONS): FileRequest {
    this.#requireOpen('fsync');
    return this.#router.sync('sync', options);
  }

  submitDatasync(options: SubmitOptions = NO_OPTIONS): FileRequest {
    this.#requireOpen('fdatasync');
    return this.#router.sync('datasync', options);
  }

  submitAll(operations: readonly IoOperation[], options: SubmitOptions = NO_OPTIONS): IoRequest[] {
    const requests = operations.map((one) => this.#submitOne(one, options));
    this.flushSubmissions();
    return requests;
  }

  flushSubmissions(): void {
    this.#router.flush();
  }

  registerMemory(bytes: Bytes): boolean {
    this.#requireOpen('io_uring_register');
    return this.#storage.registerMemory(alignedMemoryUnder(bytes));
  }

  unregisterMemory(bytes: Bytes): void {
    this.#storage.unregisterMemory(alignedMemoryUnder(bytes));
  }

  chunks(options: ChunkOptions = {}): AsyncGenerator<Buffer, void, undefined> {
    return readChunks(this, options);
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    return this.chunks();
  }

  createReadStream(options: ChunkOptions = {}): Readable {
    return chunkReadable(this, options);
  }

  createWriteStream(options: WriteStreamOptions = {}): Writable {
    return chunkWritable(this, options);
  }

  statistics(): FileStatistics {
    return this.#router.statistics();
  }

  #submitOne(one: IoOperation, options: SubmitOptions): FileRequest {
    switch (one.operation) {
      case 'sync':
        return this.submitSync(options);
      case 'datasync':
        return this.submitDatasync(options);
      case 'read':
      case 'write':
        this.#requireOpen(one.operation);
        return ArrayBuffer.isView(one.bytes)
          ? this.#router.transfer(one.operation, one.bytes, one.offset, options)
          : this.#router.transferVector(one.operation, one.bytes, one.offset, options);
      default:
        throw wrongValue(`operation must be read, write, sync or datasync, not ${Object(one).operation}`);
    }
  }

  /** Runs a call on the position after those before it, whether they succeeded or not. */
  #inTurn<T>(syscall: string, call: () => Promise<T>): Promise<T> {
    if (this.isClosed) return Promise.reject(closedError(syscall, this.path));
    const result = this.#positional.then(call);
    this.#positional = result.catch(() => {});
    return result;
  }

  async #close(): Promise<void> {
    this.#closedSignal.abort();
    await this.#positional;
    await this.#router.drained();
    forgotten.unregister(this);
    this.#storage.release();
  }

  #requireOpen(syscall: string): void {
    if (this.isClosed) throw closedError(syscall, this.path);
  }

  #invalid(syscall: string, detail: string): AioError {
    return new AioError(EINVAL, { syscall, path: this.path }, detail);
  }
}

/**
 * O_APPEND, which no descriptor of ours has: the kernel would let go of the offsets that we give
 * it.
 */
export const APPEND = 0o2000;

function waited(submit: () => FileRequest): Promise<number> {
  try {
    return submit().wait();
  } catch (thrown) {
    return Promise.reject(thrown);
  }
}

/** @throws TypeError */
function alignedMemoryUnder(bytes: Bytes): NumberedMemory {
  const memory = memoryUnder(bytesOf(bytes));
  if (!memory) throw wrongValue('the memory is not from AlignedBuffer.allocate');
  return memory;
}

function piecesOf(data: Bytes | Vector): Iterable<ArrayBufferView> {
  return ArrayBuffer.isView(data) ? [data] : data;
}
