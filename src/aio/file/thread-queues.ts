/**
 * The kernel queues of this thread, shared by its open files.
 *
 * An AIO context takes from a limit of the whole system and tens of milliseconds to give back, so
 * there is one for all files, one io_uring, and one queue of threads. A queue is made with the
 * first file that needs it and closed a moment after the last one is gone. A file that wants a
 * deeper queue than the shared one gets its own.
 */
import { type IoQueueHandle, type NumberedMemory, native, type UringQueueHandle } from '../../native.ts';
import { SubmissionQueue } from '../submission-queue.ts';
import type { FileRequest } from './file-request.ts';

/** Kinds of queues below. */
export type QueueKind = 'aio' | 'uring' | 'threads';

/** Deep enough that no device is idle, and small in fs.aio-max-nr (65536 by default). */
const SHARED_DEPTH = 256;
/** Files opened one after the other share one queue. */
const LINGER_MILLISECONDS = 100;
/** libuv's own default. */
const DEFAULT_THREADS = 4;

/** The use of a queue by one file. */
export interface QueueLease {
  readonly queue: SubmissionQueue<FileRequest>;
  /**
   * Pins memory for this queue, where its kind knows that; false when it does not, or has no room.
   */
  registerMemory(memory: NumberedMemory): boolean;
  /** Undoes as many calls of `registerMemory` as there were by this lease. */
  unregisterMemory(memory: NumberedMemory): void;
  /** Ends the use. What the file submitted must have ended. */
  release(): void;
}

/** Where files get their queues: `leaseQueue`, or in a test one that fails on purpose. */
export type LeaseQueue = (kind: QueueKind, descriptor: number, depth: number) => QueueLease;

interface SharedQueue {
  readonly queue: SubmissionQueue<FileRequest>;
  users: number;
  closing: NodeJS.Timeout | undefined;
}

const shared = new Map<QueueKind, SharedQueue>();

/**
 * A queue for `descriptor`, of at least `depth` where the kind has that.
 * @throws Error as the constructors of `native` do
 */
export function leaseQueue(kind: QueueKind, descriptor: number, depth: number): QueueLease {
  const lease = kind !== 'threads' && depth > SHARED_DEPTH ? leasePrivate(kind, depth) : leaseShared(kind);
  return kind === 'uring' ? new UringLease(lease, descriptor) : lease;
}

/** Files that have memory pinned in a ring, by memory. */
const pinners = new WeakMap<UringQueueHandle, Map<NumberedMemory, number>>();

/** A lease of an io_uring, in which the file and perhaps some memory are registered. */
class UringLease implements QueueLease {
  readonly queue: SubmissionQueue<FileRequest>;
  readonly #lease: QueueLease;
  readonly #ring: UringQueueHandle;
  readonly #descriptor: number;
  readonly #pinned = new Set<NumberedMemory>();
  readonly #pinners: Map<NumberedMemory, number>;

  constructor(lease: QueueLease, descriptor: number) {
    const ring = lease.queue.kernel;
    if (!(ring instanceof native.UringQueue)) throw new Error('the queue that was leased is no io_uring');
    this.queue = lease.queue;
    this.#lease = lease;
    this.#ring = ring;
    this.#descriptor = descriptor;
    this.#pinners = pinners.get(this.#ring) ?? new Map();
    pinners.set(this.#ring, this.#pinners);
    this.#ring.registerFile(descriptor);
  }

  registerMemory(memory: NumberedMemory): boolean {
    if (this.#pinned.has(memory)) return true;
    const others = this.#pinners.get(memory) ?? 0;
    if (others === 0 && this.#ring.registerMemory(memory) !== 0) return false;
    this.#pinned.add(memory);
    this.#pinners.set(memory, others + 1);
    return true;
  }

  unregisterMemory(memory: NumberedMemory): void {
    if (!this.#pinned.delete(memory)) return;
    const others = (this.#pinners.get(memory) ?? 1) - 1;
    this.#pinners.set(memory, others);
    if (others > 0) return;
    this.#pinners.delete(memory);
    this.#ring.unregisterMemory(memory);
  }

  release(): void {
    for (const memory of [...this.#pinned]) this.unregisterMemory(memory);
    // The ring must not hold open what the file is about to close.
    this.#ring.unregisterFile(this.#descriptor);
    this.#lease.release();
  }
}

function leasePrivate(kind: QueueKind, depth: number): QueueLease {
  const queue = openQueue(kind, depth);
  return plainLease(queue, () => queue.close());
}

function leaseShared(kind: QueueKind): QueueLease {
  const found = shared.get(kind) ?? { queue: openQueue(kind, depthOf(kind)), users: 0, closing: undefined };
  shared.set(kind, found);
  clearTimeout(found.closing);
  found.users++;
  return plainLease(found.queue, () => leave(kind, found));
}

function plainLease(queue: SubmissionQueue<FileRequest>, release: () => void): QueueLease {
  return { queue, release, registerMemory: () => false, unregisterMemory: () => {} };
}

function leave(kind: QueueKind, left: SharedQueue): void {
  if (--left.users > 0) return;
  left.closing = setTimeout(() => {
    shared.delete(kind);
    left.queue.close();
  }, LINGER_MILLISECONDS);
  left.closing.unref();
}

function openQueue(kind: QueueKind, depth: number): SubmissionQueue<FileRequest> {
  const open = (onCompletions: (count: number) => void): IoQueueHandle => {
    if (kind === 'aio') return new native.AioQueue(depth, onCompletions);
    if (kind === 'uring') return new native.UringQueue(depth, onCompletions);
    return new native.ThreadQueue(depth, onCompletions);
  };
  return new SubmissionQueue(open, depth);
}

function depthOf(kind: QueueKind): number {
  if (kind !== 'threads') return SHARED_DEPTH;
  const wished = Number(process.env.UV_THREADPOOL_SIZE);
  return Number.isInteger(wished) && wished >= 1 && wished <= 1024 ? wished : DEFAULT_THREADS;
}

/**
 * How long this thread looks for completions before it sleeps: the longest wish of its open files.
 */
const spinWishes: number[] = [];

/** Adds a wish, in microseconds; call the result to take it back. */
export function wishSpin(microseconds: number): () => void {
  spinWishes.push(microseconds);
  applySpin();
  return () => {
    spinWishes.splice(spinWishes.indexOf(microseconds), 1);
    applySpin();
  };
}

let appliedSpin = 0;

function applySpin(): void {
  const longest = Math.max(0, ...spinWishes);
  if (longest === appliedSpin) return;
  appliedSpin = longest;
  native.setSpin(longest * 1000);
}
