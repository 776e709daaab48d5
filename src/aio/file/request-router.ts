/**
 * Brings the requests of one file into order, and each by the right way into memory and kernel.
 *
 *   what is asked for                        way
 *   sync                                     the engine's queue, when all before has ended
 *   aligned range, in memory that
 *   direct I/O can use                       the engine's queue, as it is
 *   aligned range, in other memory           the engine's queue, through memory of ours
 *   read of an unaligned range               the engine's queue, the sectors around it, through
 *                                            memory of ours
 *   write of an unaligned range              the page cache, through memory of ours
 *
 * For engines that are not direct every range is aligned. An unaligned write could be a read, a
 * change and a write of whole sectors as well; but at the end of the file it would have to write
 * past it and cut the file again, and what another process writes to the same sectors meanwhile
 * would be lost. The page cache does that right. It and direct writes to the same page do not mix,
 * so they are kept apart (operation-order.ts).
 */

import { constants } from 'node:os';
import { type NumberedMemory, QueueOperation } from '../../native.ts';
import type { MemoryPiece } from '../request-table.ts';
import { memoryUnder } from './aligned-buffer.ts';
import { byteCountOf, bytesOf, outOfRange, requireOptions, wrongType, wrongValue } from './arguments.ts';
import type { FileStatistics, RequestOperation, ResolvedOptions, SubmitOptions } from './async-file.ts';
import { FileRequest, gather, type Payload, type RequestHost } from './file-request.ts';
import { AbortError, AioError, AlignmentError } from './io-error.ts';
import { OperationOrder } from './operation-order.ts';
import type { FileStorage, Route } from './storage.ts';

const { EBADF, EFAULT, EIO, EOVERFLOW } = constants.errno;

const REQUEST_OPTIONS = new Set(['timeoutMs', 'signal', 'onDone']);

const NOTHING: Payload = {
  bytes: undefined,
  vector: undefined,
  lengthBytes: 0,
  memory: undefined,
  memoryOffset: 0,
  pieces: undefined,
};

export class RequestRouter implements RequestHost {
  readonly path: string;
  readonly storage: FileStorage;
  readonly order = new OperationOrder();
  readonly #options: ResolvedOptions;
  readonly #route: Route;
  readonly #offsetAlign: number;
  readonly #memoryAlign: number;
  #submitted = 0;
  #completed = 0;
  #bounced = 0;

  constructor(storage: FileStorage, options: ResolvedOptions) {
    this.path = storage.opened.path;
    this.storage = storage;
    this.#options = options;
    this.#route = storage.route;
    this.#offsetAlign = storage.alignment.offsetBytes;
    this.#memoryAlign = storage.alignment.memoryBytes;
  }

  /** A transfer of one piece. @throws TypeError, RangeError, AlignmentError */
  transfer(
    operation: 'read' | 'write',
    view: ArrayBufferView,
    offset: number | bigint,
    options: SubmitOptions,
  ): FileRequest {
    const bytes = bytesOf(view);
    const memory = memoryUnder(bytes);
    const usable = memory !== undefined && bytes.byteOffset % this.#memoryAlign === 0;
    const payload: Payload = {
      bytes,
      vector: undefined,
      lengthBytes: bytes.length,
      memory: usable ? memory : undefined,
      memoryOffset: bytes.byteOffset,
      pieces: undefined,
    };
    return this.#transfer(operation, payload, offset, options);
  }

  /** A transfer of several pieces. @throws TypeError, RangeError, AlignmentError */
  transferVector(
    operation: 'read' | 'write',
    pieces: Iterable<ArrayBufferView>,
    offset: number | bigint,
    options: SubmitOptions,
  ): FileRequest {
    return this.#transfer(operation, this.#payloadOf(pieces), offset, options);
  }

  /**
   * A write at the end of the file, whose place is taken now, or after the truncation that is still
   * to come.
   */
  append(pieces: Iterable<ArrayBufferView>, options: SubmitOptions): FileRequest {
    const payload = this.#payloadOf(pieces);
    const { tail, opened } = this.storage;
    if (!this.order.lonely)
      return this.#transfer('write', payload, tail.next(opened.descriptor.number), options);
    const request = this.#newRequest('write', payload, 0, options);
    if (request.isDone) return request;
    const kind = this.storage.direct ? 'cached' : 'direct'; // which goes anywhere
    const phase = this.order.enter(kind);
    request.phase = phase;
    phase.waiting.push(() => {
      request.offset = tail.next(opened.descriptor.number);
      tail.begin(request.offset + request.lengthBytes);
      this.#startWrite(request, kind);
    });
    return request;
  }

  sync(operation: 'sync' | 'datasync', options: SubmitOptions): FileRequest {
    const request = this.#newRequest(operation, NOTHING, 0, options);
    if (request.isDone) return request;
    this.order.afterAll(() => this.#startSync(request));
    request.phase = this.order.enter('read');
    return request;
  }

  /** Hands over now what was submitted so far. */
  flush(): void {
    this.#route.queue.submit();
  }

  /** Resolves when everything submitted so far is over. */
  drained(): Promise<void> {
    return new Promise((resolve) => this.order.afterAll(resolve));
  }

  /** Runs something after everything submitted before, and before everything submitted later. */
  alone(run: (done: () => void) => void): void {
    const phase = this.order.enter('alone');
    const start = () => run(() => this.order.leave(phase));
    if (phase.open) start();
    else phase.waiting.push(start);
  }

  giveScratch(memory: NumberedMemory): void {
    this.storage.group.scratch.give(memory);
  }

  released(request: FileRequest): void {
    this.#completed++;
    if (request.operation === 'write') this.storage.tail.finish();
    if (request.phase) this.order.leave(request.phase);
  }

  statistics(): FileStatistics {
    return {
      submitted: this.#submitted,
      completed: this.#completed,
      bounced: this.#bounced,
      continued: this.#route.lane.continued,
    };
  }

  #transfer(
    operation: 'read' | 'write',
    payload: Payload,
    place: number | bigint,
    options: SubmitOptions,
  ): FileRequest {
    const usable = payload.memory !== undefined || payload.pieces !== undefined;
    const offset = offsetOf(place, payload.lengthBytes);
    const align = this.#offsetAlign;
    const inSectors = offset % align === 0 && payload.lengthBytes % align === 0;
    if (this.#options.align === 'strict' && this.storage.direct && !(inSectors && usable)) {
      throw this.#misaligned(operation, payload, offset);
    }
    const request = this.#newRequest(operation, payload, offset, options);
    if (request.isDone) return request;
    if (operation === 'write') this.storage.tail.begin(offset + payload.lengthBytes);
    const kind = operation === 'read' ? 'read' : inSectors ? 'direct' : 'cached';
    const phase = this.order.enter(kind);
    request.phase = phase;
    if (phase.open) this.#start(request, kind, inSectors && usable);
    else phase.waiting.push(() => this.#start(request, kind, inSectors && usable));
    return request;
  }

  #start(request: FileRequest, kind: 'read' | 'direct' | 'cached', usable: boolean): void {
    if (kind === 'read') this.#startRead(request, usable);
    else this.#startWrite(request, kind);
  }

  #newRequest(
    operation: RequestOperation,
    payload: Payload,
    offset: number,
    options: SubmitOptions,
  ): FileRequest {
    requireOptions(options, REQUEST_OPTIONS);
    const { timeoutMs = this.#options.timeoutMs } = options;
    requireTimeout(timeoutMs);
    const { signal } = options;
    this.#submitted++;
    const request = new FileRequest(this, operation, payload, options);
    request.offset = offset;
    if (!signal?.aborted) request.begin(timeoutMs);
    else {
      request.giveUpAtOnce(new AbortError(signal.reason));
      this.#completed++;
    }
    return request;
  }

  nextRequestId(): number {
    return this.storage.group.nextRequestId();
  }

  now(): number {
    return this.#route.queue.now();
  }

  /** Whether the request was given up before its turn came; its place in the order is then free. */
  #isOver(request: FileRequest): boolean {
    if (!request.isReleased) return false;
    this.released(request);
    return true;
  }

  #startRead(request: FileRequest, usable: boolean): void {
    if (this.#isOver(request)) return;
    const operation = this.storage.readOperation;
    if (!this.storage.opened.readable) {
      this.#fail(request, EBADF);
      return;
    }
    if (usable) {
      this.#send(this.#route, operation, request);
      return;
    }
    const align = this.#offsetAlign;
    const from = Math.floor(request.offset / align) * align;
    const to = Math.ceil((request.offset + request.lengthBytes) / align) * align;
    if (!this.#takeScratch(request, to - from)) return;
    request.scratchHeadBytes = request.offset - from;
    this.#sendScratch(this.#route, request, from, request.lengthBytes === 0 ? 0 : to - from);
  }

  #startWrite(request: FileRequest, kind: 'direct' | 'cached'): void {
    if (this.#isOver(request)) return;
    if (!this.storage.opened.writable) {
      this.#fail(request, EBADF);
    } else if (kind === 'cached') {
      this.storage.cachedRoute().then(
        (route) => this.#sendWrite(route, request),
        (error: NodeJS.ErrnoException) => this.#fail(request, Math.abs(error.errno ?? EIO)),
      );
    } else {
      this.#sendWrite(this.#route, request);
    }
  }

  #sendWrite(route: Route, request: FileRequest): void {
    if (this.#isOver(request)) return;
    const { payload } = request;
    if (payload.memory || payload.pieces) {
      this.#send(route, QueueOperation.write, request);
    } else if (this.#takeScratch(request, request.lengthBytes) && request.scratch) {
      if (!gather(payload, request.scratch.bytes)) this.#fail(request, EFAULT);
      else this.#sendScratch(route, request, request.offset, request.lengthBytes);
    }
  }

  #startSync(request: FileRequest): void {
    if (this.#isOver(request)) return;
    const { queue, lane } = this.#route;
    request.queue = queue;
    request.lane = lane;
    const dataOnly = request.operation === 'datasync';
    request.token = lane.sync(dataOnly ? QueueOperation.dataSync : QueueOperation.sync, request);
    queue.schedule();
  }

  /** Sends a request with the caller's memory. */
  #send({ queue, lane }: Route, operation: number, request: FileRequest): void {
    const { memory, memoryOffset, lengthBytes, pieces = [] } = request.payload;
    request.queue = queue;
    request.lane = lane;
    request.token =
      memory === undefined
        ? lane.transferPieces(operation, pieces, lengthBytes, request.offset, request)
        : lane.transfer(operation, memory.id, memoryOffset, lengthBytes, request.offset, request);
    queue.schedule();
  }

  /** Sends a request with our memory. */
  #sendScratch({ queue, lane }: Route, request: FileRequest, offset: number, lengthBytes: number): void {
    if (!request.scratch) throw new Error('the request has no memory of ours');
    const isWrite = request.operation === 'write';
    const operation = isWrite ? QueueOperation.write : this.storage.readOperation;
    this.#bounced++;
    request.queue = queue;
    request.lane = lane;
    request.token = lane.transfer(operation, request.scratch.id, 0, lengthBytes, offset, request);
    queue.schedule();
  }

  /** False when there is no memory; the request has then failed. */
  #takeScratch(request: FileRequest, lengthBytes: number): boolean {
    try {
      request.scratch = this.storage.group.scratch.take(Math.max(1, lengthBytes));
      return true;
    } catch (thrown) {
      this.#fail(request, Math.abs((thrown as NodeJS.ErrnoException).errno ?? EOVERFLOW));
      return false;
    }
  }

  /** Ends a request that no queue has, soon: never from inside the call that submitted it. */
  #fail(request: FileRequest, errno: number): void {
    queueMicrotask(() => {
      if (!this.#isOver(request)) request.ended(0, errno);
    });
  }

  #payloadOf(vector: Iterable<ArrayBufferView>): Payload {
    const { pieces, lengthBytes } = checkedPieces(vector);
    const usable = pieces.every((piece) => this.#pieceUsable(piece)) ? pieces.map(pieceOf) : undefined;
    return {
      bytes: undefined,
      vector: pieces,
      lengthBytes,
      memory: undefined,
      memoryOffset: 0,
      pieces: usable,
    };
  }

  #pieceUsable(piece: Uint8Array): boolean {
    return (
      memoryUnder(piece) !== undefined &&
      piece.byteOffset % this.#memoryAlign === 0 &&
      piece.length % this.#offsetAlign === 0
    );
  }

  #misaligned(operation: 'read' | 'write', payload: Payload, offset: number): AlignmentError {
    const pieces = payload.vector ?? (payload.bytes ? [payload.bytes] : []);
    const faults: string[] = [];
    for (const [name, value] of [
      ['offset', offset],
      ['length', payload.lengthBytes],
    ] as const) {
      if (value % this.#offsetAlign !== 0)
        faults.push(`${name} ${value} is no multiple of ${this.#offsetAlign}`);
    }
    for (const piece of pieces) {
      if (memoryUnder(piece) === undefined) faults.push('the memory is not from AlignedBuffer.allocate');
      else if (piece.byteOffset % this.#memoryAlign !== 0)
        faults.push(`the memory begins at ${piece.byteOffset}, no multiple of ${this.#memoryAlign}`);
      else if (payload.vector && piece.length % this.#offsetAlign !== 0)
        faults.push(`a piece of ${piece.length} bytes is no multiple of ${this.#offsetAlign}`);
    }
    const place = { syscall: operation, path: this.path, offset, length: payload.lengthBytes };
    return new AlignmentError([...new Set(faults)].join(', '), place, this.#offsetAlign, this.#memoryAlign);
  }
}

/** The error of a call after the close. */
export function closedError(syscall: string, path: string): AioError {
  return new AioError(EBADF, { syscall, path }, 'the file is closed');
}

/** @throws RangeError */
export function requireTimeout(timeoutMs: number): void {
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0 && timeoutMs <= 2 ** 31 - 1))
    throw outOfRange(`timeoutMs must be from 0 to ${2 ** 31 - 1}, not ${timeoutMs}`);
}

/** @throws TypeError, RangeError */
function offsetOf(place: number | bigint, lengthBytes: number): number {
  const offset = byteCountOf('offset', place);
  if (offset + lengthBytes > 2 ** 53)
    throw outOfRange(`offset must be an integer from 0 to 2 ** 53 less the length, not ${place}`);
  return offset;
}

/** Pieces without the empty ones. @throws TypeError */
function checkedPieces(vector: Iterable<ArrayBufferView>): { pieces: Uint8Array[]; lengthBytes: number } {
  if (ArrayBuffer.isView(vector) || typeof vector?.[Symbol.iterator] !== 'function')
    throw wrongType('vector must be a Buffers or an array of buffers');
  const pieces: Uint8Array[] = [];
  let lengthBytes = 0;
  for (const view of vector) {
    const piece = bytesOf(view, 'a piece of vector');
    if (piece.length > 0) pieces.push(piece);
    lengthBytes += piece.length;
  }
  return { pieces, lengthBytes };
}

function pieceOf(bytes: Uint8Array): MemoryPiece {
  const memory = memoryUnder(bytes);
  if (!memory) throw wrongValue('the memory is not aligned');
  return { memoryId: memory.id, memoryOffset: bytes.byteOffset, lengthBytes: bytes.length };
}
