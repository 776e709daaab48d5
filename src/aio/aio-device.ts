/**
 * A block device or image file, through O_DIRECT and the kernel's asynchronous I/O.
 *
 *   const device = openAioDevice('/dev/loop0', {});
 *   device.read(memory, 0, 4096, 0, completion);
 *   device.submit();
 *
 * Up to `queueDepth` requests are with the kernel; the others wait in a ring and follow as those end. A
 * request is a token in a RequestTable: no promise, closure or object is made per I/O. Short transfers go
 * on where they stopped. A flush is an FDSYNC; while it is under way other requests go on.
 *
 * An idle device does not keep the process alive; an unfinished request does.
 */
import { fdatasync } from 'node:fs';
import { constants } from 'node:os';
import {
  AIO_ENTRY_NUMBERS,
  type AioContextHandle,
  AioOpcode,
  type NumberedMemory,
  native,
  type OpenedDevice,
} from '../native.ts';
import type { Device, IoCompletion, Memory } from './device.ts';
import { LocalCompletions, tell } from './local-completions.ts';
import { RequestTable } from './request-table.ts';
import { transferError } from './transfer-rules.ts';

const { EAGAIN, EBADF, EINTR, EINVAL, EIO } = constants.errno;

/** What the system grants (fs.aio-max-nr) is shared by all; more than this gains nothing on any device we know. */
const DEFAULT_QUEUE_DEPTH = 256;
/** Pause before asking again a kernel that had no room although nothing of ours was in flight. */
const RETRY_MILLISECONDS = 1;

export interface AioDeviceOptions {
  /** Default false. */
  readonly readOnly?: boolean;
  /** Refuse with EBUSY what is mounted or open elsewhere. Default true; false when the kernel itself holds it for us (fuseblk). */
  readonly exclusive?: boolean;
  /** Most requests with the kernel at once, 1 to 16384. Default 256. */
  readonly queueDepth?: number;
  /** Use only the first `sizeBytes`, a multiple of the sector. Default: everything. */
  readonly sizeBytes?: number;
  /** Accept an image whose host filesystem refuses O_DIRECT: I/O then goes through the host's page cache. Default false. */
  readonly allowBuffered?: boolean;
}

/**
 * Opens a block device or an image file.
 * @throws Error with `code`: what open(2) says; EBUSY when it is in use; ENOTBLK when it is neither; EINVAL when
 * O_DIRECT is refused and buffered I/O not allowed; EAGAIN when fs.aio-max-nr is used up.
 */
export function openAioDevice(path: string, options: AioDeviceOptions = {}): AioDevice {
  const { readOnly = false, exclusive = true } = options;
  const opened = native.openDevice(path, { readOnly, exclusive, direct: true });
  try {
    if (!opened.direct && !options.allowBuffered) throw directRefused(path);
    return new AioDevice(path, opened, options);
  } catch (error) {
    native.closeDevice(opened.descriptor);
    throw error;
  }
}

export class AioDevice implements Device {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly readOnly: boolean;
  readonly queueDepth: number;
  /** False when I/O goes through the host's page cache. */
  readonly direct: boolean;
  readonly isBlockDevice: boolean;
  /** What the device writes without reading around it; a hint for block sizes. */
  readonly physicalSectorBytes: number;

  readonly #descriptor: number;
  readonly #context: AioContextHandle;
  readonly #entries: Float64Array;
  readonly #completions: Float64Array;
  readonly #requests = new RequestTable();
  readonly #refused = new LocalCompletions(() => this.#closeIfIdle());
  #inKernel = 0;
  #completing = false;
  #retrying = false;
  #asynchronousFlush = true;
  #closing: Promise<void> | undefined;
  #closed: (() => void) | undefined;

  /** Takes over an opened device. Use `openAioDevice`. */
  constructor(path: string, opened: OpenedDevice, options: AioDeviceOptions) {
    this.path = path;
    this.readOnly = options.readOnly ?? false;
    this.queueDepth = options.queueDepth ?? DEFAULT_QUEUE_DEPTH;
    this.direct = opened.direct;
    this.isBlockDevice = opened.isBlockDevice;
    this.physicalSectorBytes = opened.physicalSectorBytes;
    this.sectorBytes = sectorOf(opened);
    this.sizeBytes = usableSize(opened.sizeBytes, this.sectorBytes, options.sizeBytes);
    this.#descriptor = opened.descriptor;
    this.#context = new native.AioContext(opened.descriptor, this.queueDepth, (count) => this.#finish(count));
    this.#entries = this.#context.entries;
    this.#completions = this.#context.completions;
  }

  allocateMemory(lengthBytes: number): Memory {
    return new native.AlignedMemory(lengthBytes);
  }

  read(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    const error = transferError(this, memory, memoryOffset, lengthBytes, deviceOffset, false);
    if (error !== 0 || lengthBytes === 0 || this.#closing) this.#refuse(completion, error);
    else this.#enqueue(AioOpcode.read, memory, memoryOffset, lengthBytes, deviceOffset, completion);
  }

  write(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    const error = transferError(this, memory, memoryOffset, lengthBytes, deviceOffset, true);
    if (error !== 0 || lengthBytes === 0 || this.#closing) this.#refuse(completion, error);
    else this.#enqueue(AioOpcode.write, memory, memoryOffset, lengthBytes, deviceOffset, completion);
  }

  flush(completion: IoCompletion): void {
    if (this.#closing) {
      this.#refuse(completion, EBADF);
      return;
    }
    const requests = this.#requests;
    const token = requests.add(completion);
    requests.opcode[token] = AioOpcode.dataSync;
    requests.lengthBytes[token] = 0;
    if (this.#asynchronousFlush) requests.enqueue(token);
    else this.#flushInThread(token);
  }

  submit(): void {
    // Inside a batch of completions the end of the batch submits, for all of it at once.
    if (!this.#completing) this.#handOver();
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = new Promise((resolve) => {
        this.#closed = resolve;
      });
      this.#handOver();
      this.#closeIfIdle();
    }
    return this.#closing;
  }

  /** Counters since the device was opened. */
  statistics(): { submitted: number; submitCalls: number; completed: number; batches: number } {
    return this.#context.statistics();
  }

  #enqueue(
    opcode: number,
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    const id = (memory as NumberedMemory).id;
    if (typeof id !== 'number') throw new TypeError('the memory was not allocated by an AIO device');
    const requests = this.#requests;
    const token = requests.add(completion);
    requests.opcode[token] = opcode;
    requests.memoryId[token] = id;
    requests.memoryOffset[token] = memoryOffset;
    requests.lengthBytes[token] = lengthBytes;
    requests.deviceOffset[token] = deviceOffset;
    requests.enqueue(token);
  }

  /** Ends a request that breaks the rules, moves nothing, or comes after the close. */
  #refuse(completion: IoCompletion, error: number): void {
    this.#refused.end(completion, this.#closing ? EBADF : error);
  }

  #handOver(): void {
    const requests = this.#requests;
    const entries = this.#entries;
    const count = Math.min(requests.waiting, this.queueDepth - this.#inKernel);
    if (count <= 0 || this.#retrying) return;
    for (let at = 0; at < count * AIO_ENTRY_NUMBERS; at += AIO_ENTRY_NUMBERS) {
      const token = requests.dequeue();
      entries[at] = requests.opcode[token] as number;
      entries[at + 1] = requests.memoryId[token] as number;
      entries[at + 2] = requests.memoryOffset[token] as number;
      entries[at + 3] = requests.lengthBytes[token] as number;
      entries[at + 4] = requests.deviceOffset[token] as number;
      entries[at + 5] = token;
    }
    this.#inKernel += count;
    this.#context.submit(count);
  }

  /** The kernel ended `count` requests. */
  #finish(count: number): void {
    const completions = this.#completions;
    this.#inKernel -= count;
    this.#completing = true;
    try {
      for (let at = 0; at < count * 2; at += 2) {
        this.#finishOne(completions[at] as number, completions[at + 1] as number);
      }
    } finally {
      this.#completing = false;
    }
    this.#handOver();
    this.#closeIfIdle();
  }

  #finishOne(token: number, result: number): void {
    const requests = this.#requests;
    if (result === requests.lengthBytes[token]) tell(requests.end(token), 0);
    else if (result < 0) this.#finishFailed(token, -result);
    else this.#goOn(token, result);
  }

  #finishFailed(token: number, errno: number): void {
    if (errno === EINTR) this.#requests.enqueue(token);
    else if (errno === EAGAIN) this.#retryLater(token);
    else if (errno === EINVAL && this.#requests.opcode[token] === AioOpcode.dataSync) {
      this.#asynchronousFlush = false;
      this.#flushInThread(token);
    } else tell(this.#requests.end(token), errno);
  }

  /** A transfer stopped early: queues what is missing. Nothing moved, or half a sector, is a device shorter than it said. */
  #goOn(token: number, doneBytes: number): void {
    const requests = this.#requests;
    if (doneBytes === 0 || doneBytes % this.sectorBytes !== 0) {
      tell(requests.end(token), EIO);
      return;
    }
    requests.memoryOffset[token] = (requests.memoryOffset[token] as number) + doneBytes;
    requests.deviceOffset[token] = (requests.deviceOffset[token] as number) + doneBytes;
    requests.lengthBytes[token] = (requests.lengthBytes[token] as number) - doneBytes;
    requests.enqueue(token);
  }

  #retryLater(token: number): void {
    this.#requests.enqueue(token);
    if (this.#retrying) return;
    this.#retrying = true;
    setTimeout(() => {
      this.#retrying = false;
      this.#handOver();
    }, RETRY_MILLISECONDS);
  }

  /** For files whose filesystem knows no asynchronous fsync. */
  #flushInThread(token: number): void {
    fdatasync(this.#descriptor, (error) => {
      tell(this.#requests.end(token), error ? -(error.errno ?? -EIO) : 0);
      this.#closeIfIdle();
    });
  }

  #closeIfIdle(): void {
    if (!this.#closed || this.#requests.unfinished > 0 || this.#refused.pending > 0) return;
    this.#context.close();
    native.closeDevice(this.#descriptor);
    this.#closed();
    this.#closed = undefined;
  }
}

function directRefused(path: string): NodeJS.ErrnoException {
  const error: NodeJS.ErrnoException = new Error(
    `EINVAL: the host filesystem refuses O_DIRECT, open '${path}'`,
  );
  return Object.assign(error, { code: 'EINVAL', errno: -EINVAL, syscall: 'open', path });
}

/** Smallest unit that the device takes: no less than the 512 bytes that the contract of Device starts at. */
function sectorOf(opened: OpenedDevice): number {
  return Math.max(512, opened.logicalSectorBytes, opened.direct ? opened.offsetAlignBytes : 0);
}

function usableSize(actual: number, sectorBytes: number, wished: number | undefined): number {
  if (wished === undefined) return actual - (actual % sectorBytes);
  if (wished > actual || wished < 0 || wished % sectorBytes !== 0) {
    throw new RangeError(`sizeBytes ${wished} must be a multiple of ${sectorBytes} up to ${actual}`);
  }
  return wished;
}
