/**
 * The open descriptors of one file and the queues they use: what must be given back when the file
 * is closed, or forgotten.
 *
 * It knows nothing of the AsyncFile above it, so that a file which nobody reaches any more can be
 * collected, and its storage closed after it.
 */
import { close, closeSync, open } from 'node:fs';
import { constants } from 'node:os';
import { MAX_SECTOR_BYTES } from '../../common/limits.ts';
import {
  type DescriptorHandle,
  type MappedFileHandle,
  type NumberedMemory,
  native,
  QueueOperation,
} from '../../native.ts';
import type { Lane, LaneOptions } from '../lane.ts';
import type { SubmissionQueue } from '../submission-queue.ts';
import type { Alignment, EngineName, ResolvedOptions } from './async-file.ts';
import type { FileGroup } from './file-group.ts';
import type { QueueKind, QueueLease } from './file-queues.ts';
import type { FileRequest } from './file-request.ts';
import type { InodeTail } from './inode-tails.ts';

const { ENOTSUP } = constants.errno;

/** How each engine reaches its file. */
interface EngineTraits {
  readonly queue: QueueKind;
  readonly direct: boolean;
  readonly mapped: boolean;
}

const TRAITS: Readonly<Record<EngineName, EngineTraits>> = {
  buffered: { queue: 'threads', direct: false, mapped: false },
  direct: { queue: 'threads', direct: true, mapped: false },
  mmap: { queue: 'threads', direct: false, mapped: true },
  aio: { queue: 'aio', direct: true, mapped: false },
  uring: { queue: 'uring', direct: true, mapped: false },
};

/** What an open file is, before an engine takes it. */
export interface OpenedFile {
  readonly path: string;
  readonly descriptor: DescriptorHandle;
  readonly isBlockDevice: boolean;
  readonly readable: boolean;
  readonly writable: boolean;
  /** STATX_DIOALIGN; 0 where the kernel does not say. */
  readonly memoryAlignBytes: number;
  readonly offsetAlignBytes: number;
  readonly logicalSectorBytes: number;
  /** Device and inode. */
  readonly inodeKey: string;
}

/** A line of requests to one descriptor, and the queue it is in. */
export interface Route {
  readonly queue: SubmissionQueue<FileRequest>;
  readonly lane: Lane<FileRequest>;
}

/** An engine that the system refuses for this file; with engine 'auto' the next one is tried. */
export class EngineRefused extends Error {
  readonly errno: number;
  readonly syscall: string;

  /** @param errno positive */
  constructor(errno: number, syscall: string, message: string) {
    super(message);
    this.errno = errno;
    this.syscall = syscall;
  }
}

export class FileStorage {
  readonly opened: OpenedFile;
  readonly alignment: Alignment;
  readonly direct: boolean;
  readonly tail: InodeTail;
  /** The kernel's number for reads by this engine. */
  readonly readOperation: number;
  readonly group: FileGroup;
  readonly #lease: QueueLease;
  readonly #mapped: MappedFileHandle | undefined;
  readonly #depth: number;
  readonly route: Route;
  #cachedRoute: Promise<Route> | undefined;
  #cached: { lease: QueueLease; descriptor: DescriptorHandle } | undefined;
  #released = false;

  /**
   * Takes over an open file for one engine.
   * @throws EngineRefused
   */
  constructor(opened: OpenedFile, options: ResolvedOptions, group: FileGroup) {
    const traits = TRAITS[options.engine];
    const descriptor = opened.descriptor.number;
    this.opened = opened;
    this.group = group;
    this.direct = traits.direct;
    this.#depth = options.queueDepth;
    this.alignment = traits.direct ? alignmentOf(opened) : { offsetBytes: 1, memoryBytes: 1 };
    this.readOperation = options.engine === 'buffered' ? QueueOperation.readCached : QueueOperation.read;
    setDirect(opened, traits.direct);
    this.#mapped = traits.mapped ? mapFile(opened) : undefined;
    const spinNanoseconds = options.spinUs * 1000;
    const wish = { kind: traits.queue, descriptor, depth: options.queueDepth, spinNanoseconds };
    this.#lease = refusable(() => group.leaseQueue(wish));
    const file = this.#mapped ? -1 - this.#mapped.id : descriptor;
    this.route = openRoute(this.#lease, {
      file,
      descriptor,
      depth: options.queueDepth,
      alignBytes: this.alignment.offsetBytes,
    });
    this.tail = group.tails.share(opened.inodeKey);
  }

  /**
   * A second way to the file, through the page cache, for what direct I/O cannot take. Opened with
   * the first use.
   */
  cachedRoute(): Promise<Route> {
    this.#cachedRoute ??= this.#openCached();
    return this.#cachedRoute;
  }

  registerMemory(memory: NumberedMemory): boolean {
    return this.#lease.registerMemory(memory);
  }

  unregisterMemory(memory: NumberedMemory): void {
    if (!this.#released) this.#lease.unregisterMemory(memory);
  }

  /** Gives everything back. Requests must have ended. Idempotent. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#lease.release();
    this.#mapped?.close();
    this.#cached?.lease.release();
    this.#cached?.descriptor.close();
    this.group.tails.release(this.opened.inodeKey);
    this.opened.descriptor.close();
  }

  async #openCached(): Promise<Route> {
    // Not the path again, which may name something else by now.
    const same = `/proc/self/fd/${this.opened.descriptor.number}`;
    const number = await openDescriptor(same, 'r+', 0);
    if (this.#released) {
      close(number);
      throw new Error('the file was closed');
    }
    const descriptor = takeDescriptor(number);
    const file = descriptor.number;
    const wish = { kind: 'threads', descriptor: file, depth: this.#depth, spinNanoseconds: 0 } as const;
    const lease = this.group.leaseQueue(wish);
    this.#cached = { lease, descriptor };
    return openRoute(lease, { file, descriptor: file, depth: this.#depth, alignBytes: 1 });
  }
}

/**
 * Takes an open descriptor out of the hands of Node, which closes what a worker opened, by number,
 * when that ends: the number that we closed long ago may be somebody else's by then. Ours is a
 * duplicate that only we know.
 */
export function takeDescriptor(number: number): DescriptorHandle {
  const ours = new native.Descriptor(number);
  closeSync(number);
  return ours;
}

/** open(2), on a thread. */
export function openDescriptor(path: string | Buffer, flags: string | number, mode: number): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, flags, mode, (error, descriptor) => (error ? reject(error) : resolve(descriptor)));
  });
}

function openRoute({ queue }: QueueLease, options: LaneOptions): Route {
  const lane = queue.openLane(options, (request, doneBytes, errno) => request.ended(doneBytes, errno));
  return { queue, lane };
}

/** Where the kernel does not say, the sector of a device, and for a file what every disk can do. */
function alignmentOf(opened: OpenedFile): Alignment {
  const unsaid = opened.isBlockDevice ? opened.logicalSectorBytes : MAX_SECTOR_BYTES;
  return {
    offsetBytes: opened.offsetAlignBytes || unsaid,
    memoryBytes: opened.memoryAlignBytes || unsaid,
  };
}

function setDirect(opened: OpenedFile, direct: boolean): void {
  const errno = native.setDirect(opened.descriptor.number, direct);
  if (errno !== 0) throw new EngineRefused(errno, 'open', 'the filesystem does not support O_DIRECT');
}

function mapFile(opened: OpenedFile): MappedFileHandle {
  const { descriptor, writable, isBlockDevice } = opened;
  return refusable(() => new native.MappedFile(descriptor.number, writable, isBlockDevice));
}

/** An error of the addon becomes a refusal of the engine. */
function refusable<T>(make: () => T): T {
  try {
    return make();
  } catch (thrown) {
    const error = thrown as NodeJS.ErrnoException;
    const detail = /^[^:]*: (.*), [^,]*$/.exec(error.message)?.[1] ?? error.message;
    throw new EngineRefused(Math.abs(error.errno ?? ENOTSUP), error.syscall ?? 'open', detail);
  }
}
