/**
 * A block device or image file, through O_DIRECT and the kernel's asynchronous I/O: io_submit, or
 * io_uring.
 *
 *   const device = openKernelDevice('/dev/loop0', {});
 *   device.read(memory, 0, 4096, 0, completion);
 *   device.submit();
 *
 * Up to `queueDepth` requests are with the kernel; the others wait in line and follow as those end:
 * all that is the business of a SubmissionQueue of its own. A flush is an FDSYNC; while it is under
 * way other requests go on.
 *
 * An idle device does not keep the process alive; an unfinished request does.
 */
import { ftruncateSync } from 'node:fs';
import { constants } from 'node:os';
import {
  type NumberedMemory,
  native,
  type OpenedDevice,
  QueueOperation,
  type UringQueueHandle,
} from '../native.ts';
import type { Device, IoCompletion, Memory } from './device.ts';
import { discardGranularity } from './discard-granularity.ts';
import { GatheredWrites } from './gathered-writes.ts';
import type { Lane } from './lane.ts';
import { DEFAULT_DEVICE_DEPTH, LEAST_PINNED_BYTES } from './limits.ts';
import { LocalCompletions, tell } from './local-completions.ts';
import { type OpenQueue, SubmissionQueue } from './submission-queue.ts';
import { discardError, transferError } from './transfer-rules.ts';

const { EBADF, EINVAL, EIO } = constants.errno;

interface QueuedDiscard {
  readonly deviceOffset: number;
  readonly lengthBytes: number;
  readonly completion: IoCompletion;
}

/** Which of the kernel's interfaces carries the requests. */
export type DeviceEngine = 'aio' | 'uring';

export interface KernelDeviceOptions {
  /** Default 'aio'. */
  readonly engine?: DeviceEngine;
  /** Default false. */
  readonly readOnly?: boolean;
  /**
   * Refuse with EBUSY what is mounted or open elsewhere. Default true; false when the kernel itself
   * holds it for us (fuseblk).
   */
  readonly exclusive?: boolean;
  /** Most requests with the kernel at once, 1 to 16384. Default 256. */
  readonly queueDepth?: number;
  /**
   * Longest look for a completion before the event loop sleeps, in nanoseconds, up to a
   * millisecond. Default 0: none. A device below a mount needs none: the mount's channel looks for
   * both.
   */
  readonly spinNanoseconds?: number;
  /** Use only the first `sizeBytes`, a multiple of the sector. Default: everything. */
  readonly sizeBytes?: number;
  /**
   * Accept an image whose host filesystem refuses O_DIRECT: I/O then goes through the host's page
   * cache. Default false.
   */
  readonly allowBuffered?: boolean;
  /** Called when the device is closed: whatever else was held for its sake can be let go. */
  readonly onClosed?: () => void;
}

/**
 * Opens a block device or an image file.
 * @throws Error with `code`: what open(2) says; EBUSY when it is in use; ENOTBLK when it is
 * neither; EINVAL when O_DIRECT is refused and buffered I/O not allowed; EAGAIN when fs.aio-max-nr
 * is used up; ENOSYS or EPERM when the engine is 'uring' and the system has no io_uring or forbids
 * it.
 */
export function openKernelDevice(path: string, options: KernelDeviceOptions = {}): KernelDevice {
  const { readOnly = false, exclusive = true } = options;
  const opened = native.openDevice(path, { readOnly, exclusive, direct: true });
  try {
    if (!opened.direct && !options.allowBuffered) throw directRefused(path);
    return new KernelDevice(path, opened, options);
  } catch (error) {
    native.closeDevice(opened.descriptor);
    throw error;
  }
}

export class KernelDevice implements Device {
  readonly path: string;
  readonly sectorBytes: number;
  readonly readOnly: boolean;
  readonly queueDepth: number;
  /** False when I/O goes through the host's page cache. */
  readonly direct: boolean;
  readonly isBlockDevice: boolean;
  /** What the device writes without reading around it; a hint for block sizes. */
  readonly physicalSectorBytes: number;

  /** The kernel's interface at work. */
  readonly engine: DeviceEngine;

  /** The open file, to be looked at while the device is open. */
  readonly descriptor: number;

  readonly #queue: SubmissionQueue<IoCompletion>;
  readonly #lane: Lane<IoCompletion>;
  readonly #gathered: GatheredWrites;
  readonly #onClosed: () => void;
  readonly #refused = new LocalCompletions(() => this.#closeIfIdle());
  #sizeBytes: number;
  #discardBytes: number | undefined;
  #discards: QueuedDiscard[] = [];
  /** Discards with the kernel. */
  #discarding = 0;
  #closing: Promise<void> | undefined;
  #closed: (() => void) | undefined;

  /** Takes over an opened device. Use `openKernelDevice`. */
  constructor(path: string, opened: OpenedDevice, options: KernelDeviceOptions) {
    this.path = path;
    this.readOnly = options.readOnly ?? false;
    this.queueDepth = options.queueDepth ?? DEFAULT_DEVICE_DEPTH;
    this.direct = opened.direct;
    this.isBlockDevice = opened.isBlockDevice;
    this.physicalSectorBytes = opened.physicalSectorBytes;
    this.sectorBytes = sectorOf(opened);
    this.#sizeBytes = usableSize(opened.sizeBytes, this.sectorBytes, options.sizeBytes);
    this.descriptor = opened.descriptor;
    this.#onClosed = options.onClosed ?? (() => {});
    this.engine = options.engine ?? 'aio';
    const spinNanoseconds = options.spinNanoseconds ?? 0;
    const open = queueOf(this.engine, this.queueDepth, spinNanoseconds);
    this.#queue = new SubmissionQueue(open, this.queueDepth);
    this.#uring()?.registerFile(opened.descriptor);
    this.#lane = this.#queue.openLane(
      {
        file: opened.descriptor,
        descriptor: opened.descriptor,
        depth: this.queueDepth,
        alignBytes: this.sectorBytes,
      },
      (completion, _, errno, whole) => this.#finish(completion, errno, whole),
    );
    this.#gathered = new GatheredWrites(this.#lane, () => this.#queue.submit());
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /**
   * Looks anew how long the device is, which may have become longer since it was opened.
   * @throws Error with `code`: what open(2) says
   */
  remeasure(): void {
    const path = `/proc/self/fd/${this.descriptor}`;
    const opened = native.openDevice(path, { readOnly: true, exclusive: false, direct: false });
    native.closeDevice(opened.descriptor);
    // No shorter: what was promised is relied on, and its end tells itself.
    this.#sizeBytes = Math.max(this.#sizeBytes, usableSize(opened.sizeBytes, this.sectorBytes, undefined));
  }

  /**
   * Gives an image file another length, sparse where it becomes longer. Nobody may rely on what it
   * had and has no more.
   * @throws Error with `code`: what ftruncate(2) says
   */
  resizeFile(lengthBytes: number): void {
    ftruncateSync(this.descriptor, lengthBytes);
    this.#sizeBytes = usableSize(lengthBytes, this.sectorBytes, undefined);
  }

  /**
   * By io_uring, large memory stays pinned for the life of the device as far as the system allows:
   * transfers then cost less.
   */
  allocateMemory(lengthBytes: number): Memory {
    const memory = new native.AlignedMemory(lengthBytes);
    if (lengthBytes >= LEAST_PINNED_BYTES) this.#uring()?.registerMemory(memory);
    return memory;
  }

  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  read(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    const error = transferError(this, memory, memoryOffset, lengthBytes, deviceOffset, false);
    if (error !== 0 || lengthBytes === 0 || this.#closing) this.#refuse(completion, error);
    else this.#enqueue(QueueOperation.read, memory, memoryOffset, lengthBytes, deviceOffset, completion);
  }

  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  write(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    const error = transferError(this, memory, memoryOffset, lengthBytes, deviceOffset, true);
    if (error !== 0 || lengthBytes === 0 || this.#closing) this.#refuse(completion, error);
    else this.#enqueue(QueueOperation.write, memory, memoryOffset, lengthBytes, deviceOffset, completion);
  }

  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  writeLater(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    const error = transferError(this, memory, memoryOffset, lengthBytes, deviceOffset, true);
    if (error !== 0 || lengthBytes === 0 || this.#closing) this.#refuse(completion, error);
    else if (!this.#gathered.takes(lengthBytes))
      this.#enqueue(QueueOperation.write, memory, memoryOffset, lengthBytes, deviceOffset, completion);
    else this.#gathered.hold(memory, idOf(memory), memoryOffset, lengthBytes, deviceOffset, completion);
  }

  hurry(): void {
    this.#gathered.hurry();
  }

  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  writeThrough(
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    if (!this.isBlockDevice) {
      const flushed = new WriteThenFlush(this.#lane, completion);
      this.write(memory, memoryOffset, lengthBytes, deviceOffset, flushed);
      return;
    }
    const error = transferError(this, memory, memoryOffset, lengthBytes, deviceOffset, true);
    if (error !== 0 || lengthBytes === 0 || this.#closing) this.#refuse(completion, error);
    else
      this.#enqueue(QueueOperation.writeThrough, memory, memoryOffset, lengthBytes, deviceOffset, completion);
  }

  flush(completion: IoCompletion): void {
    if (this.#closing) {
      this.#refuse(completion, EBADF);
      return;
    }
    this.#lane.sync(QueueOperation.dataSync, completion);
  }

  /** Looked up when it is asked for the first time: few mounts do. */
  get discardBytes(): number {
    this.#discardBytes ??= this.readOnly ? 0 : discardGranularity(this.descriptor, this.isBlockDevice);
    return this.#discardBytes;
  }

  discard(deviceOffset: number, lengthBytes: number, completion: IoCompletion): void {
    const error = discardError(this, deviceOffset, lengthBytes);
    if (error !== 0 || lengthBytes === 0 || this.#closing) this.#refuse(completion, error);
    else this.#discards.push({ deviceOffset, lengthBytes, completion });
  }

  submit(): void {
    if (this.#discards.length > 0) this.#startDiscards();
    this.#queue.submit();
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = new Promise((resolve) => {
        this.#closed = resolve;
      });
      this.hurry();
      this.submit();
      this.#closeIfIdle();
    }
    return this.#closing;
  }

  /** Counters since the device was opened. */
  statistics(): { submitted: number; submitCalls: number; completed: number; batches: number } {
    return this.#queue.statistics();
  }

  // biome-ignore lint/complexity/useMaxParams: a transfer of a Device makes no object.
  #enqueue(
    operation: number,
    memory: Memory,
    memoryOffset: number,
    lengthBytes: number,
    deviceOffset: number,
    completion: IoCompletion,
  ): void {
    this.#lane.transfer(operation, idOf(memory), memoryOffset, lengthBytes, deviceOffset, completion);
  }

  /** On threads: neither of the kernel's queues takes them. */
  #startDiscards(): void {
    for (const { deviceOffset, lengthBytes, completion } of this.#discards.splice(0)) {
      this.#discarding++;
      native.discardRange(this.descriptor, this.isBlockDevice, deviceOffset, lengthBytes, (errno) => {
        this.#discarding--;
        tell(completion, errno);
        if (this.#closed) this.#closeIfIdle();
        else this.submit();
      });
    }
  }

  /** Ends a request that breaks the rules, moves nothing, or comes after the close. */
  #refuse(completion: IoCompletion, error: number): void {
    this.#refused.end(completion, this.#closing ? EBADF : error);
  }

  /** What ends before all bytes moved is a device shorter than it said. */
  #finish(completion: IoCompletion, errno: number, whole: boolean): void {
    tell(completion, errno === 0 && !whole ? EIO : errno);
    if (this.#closed) this.#closeIfIdle();
  }

  #uring(): UringQueueHandle | undefined {
    const { kernel } = this.#queue;
    return kernel instanceof native.UringQueue ? kernel : undefined;
  }

  #closeIfIdle(): void {
    if (!this.#closed || this.#lane.unfinished > 0 || this.#refused.pending > 0 || this.#discarding > 0)
      return;
    // What the ring holds would stay locked for a while.
    this.#uring()?.unregisterFile(this.descriptor);
    this.#queue.close();
    native.closeDevice(this.descriptor);
    this.#onClosed();
    this.#closed();
    this.#closed = undefined;
  }
}

/** @throws TypeError for memory of another device */
function idOf(memory: Memory): number {
  const { id } = memory as NumberedMemory;
  if (typeof id !== 'number') throw new TypeError('the memory was not allocated by a kernel device');
  return id;
}

/**
 * A write-through to a file. RWF_DSYNC would do, but not on every filesystem: FUSE leaves what is
 * asynchronous to its server, and not all servers look at the flag.
 */
class WriteThenFlush implements IoCompletion {
  constructor(
    private readonly lane: Lane<IoCompletion>,
    private readonly completion: IoCompletion,
  ) {}

  ioDone(errno: number): void {
    if (errno === 0) this.lane.sync(QueueOperation.dataSync, this.completion);
    else this.completion.ioDone(errno);
  }
}

/** @throws RangeError for a spin that the addon does not take */
function queueOf(engine: DeviceEngine, depth: number, spinNanoseconds: number): OpenQueue {
  const Queue = engine === 'uring' ? native.UringQueue : native.AioQueue;
  return (onCompletions) => {
    const queue = new Queue(depth, onCompletions);
    try {
      queue.setSpin(spinNanoseconds);
    } catch (thrown) {
      queue.close();
      throw thrown;
    }
    return queue;
  };
}

function directRefused(path: string): NodeJS.ErrnoException {
  const error: NodeJS.ErrnoException = new Error(
    `EINVAL: the host filesystem refuses O_DIRECT, open '${path}'`,
  );
  return Object.assign(error, { code: 'EINVAL', errno: -EINVAL, syscall: 'open', path });
}

/**
 * Smallest unit that the device takes: no less than the 512 bytes that the contract of Device
 * starts at.
 */
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
