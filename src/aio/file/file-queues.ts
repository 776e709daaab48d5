/**
 * Kernel queues, shared by the open files of one owner.
 *
 * An AIO context takes from a limit of the whole system and tens of milliseconds to give back, so
 * there is one for all files, one io_uring, and one queue of threads. A queue is made with the
 * first file that needs it and closed a moment after the last one is gone. A file that wants a
 * deeper queue than the shared one gets its own.
 *
 * A queue looks for completions before the event loop sleeps for as long as the most patient of its
 * files wishes.
 */
import { type IoQueueHandle, type NumberedMemory, native, type UringQueueHandle } from '../../native.ts';
import { DEFAULT_THREADS, MOST_THREADS, SHARED_QUEUE_DEPTH } from '../limits.ts';
import { SubmissionQueue } from '../submission-queue.ts';
import type { FileRequest } from './file-request.ts';

/** Kinds of queues below. */
export type QueueKind = 'aio' | 'uring' | 'threads';

/** Files opened one after the other share one queue. */
const LINGER_MILLISECONDS = 100;

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

/** What a file asks of its queue. */
export interface QueueWish {
  readonly kind: QueueKind;
  readonly descriptor: number;
  /** At least so deep, where the kind has that. */
  readonly depth: number;
  /** Longest look for completions before the event loop sleeps; 0 = none. */
  readonly spinNanoseconds: number;
}

/**
 * Where files get their queues: `FileQueues.lease`, or in a test one that fails on purpose.
 * @throws Error as the constructors of `native` do
 */
export type LeaseQueue = (wish: QueueWish) => QueueLease;

/** How many files have memory pinned in a ring, by memory. */
type Pinners = Map<NumberedMemory, number>;

/** A queue with its users. */
class SharedQueue {
  readonly queue: SubmissionQueue<FileRequest>;
  readonly pinners: Pinners = new Map();
  closing: NodeJS.Timeout | undefined;
  /** What each user wishes, in nanoseconds. */
  readonly #spins: number[] = [];

  constructor(kind: QueueKind, depth: number) {
    this.queue = openQueue(kind, depth);
  }

  get isUsed(): boolean {
    return this.#spins.length > 0;
  }

  join(spinNanoseconds: number): void {
    this.#spins.push(spinNanoseconds);
    this.#applySpin();
  }

  leave(spinNanoseconds: number): void {
    this.#spins.splice(this.#spins.indexOf(spinNanoseconds), 1);
    this.#applySpin();
  }

  #applySpin(): void {
    this.queue.kernel.setSpin(Math.max(0, ...this.#spins));
  }
}

export class FileQueues {
  readonly #shared = new Map<QueueKind, SharedQueue>();

  readonly lease: LeaseQueue = (wish) => {
    const { kind, depth, descriptor, spinNanoseconds } = wish;
    const isPrivate = kind !== 'threads' && depth > SHARED_QUEUE_DEPTH;
    const shared = isPrivate ? new SharedQueue(kind, depth) : this.#sharedOf(kind);
    shared.join(spinNanoseconds);
    const release = () => {
      shared.leave(spinNanoseconds);
      if (isPrivate) shared.queue.close();
      else this.#closeUnused(kind, shared);
    };
    const { queue, pinners } = shared;
    const lease = { queue, release, registerMemory: () => false, unregisterMemory: () => {} };
    return kind === 'uring' ? new UringLease(lease, descriptor, pinners) : lease;
  };

  #sharedOf(kind: QueueKind): SharedQueue {
    const found = this.#shared.get(kind) ?? new SharedQueue(kind, depthOf(kind));
    this.#shared.set(kind, found);
    clearTimeout(found.closing);
    return found;
  }

  #closeUnused(kind: QueueKind, shared: SharedQueue): void {
    if (shared.isUsed) return;
    shared.closing = setTimeout(() => {
      this.#shared.delete(kind);
      shared.queue.close();
    }, LINGER_MILLISECONDS);
    shared.closing.unref();
  }
}

/** A lease of an io_uring, in which the file and perhaps some memory are registered. */
class UringLease implements QueueLease {
  readonly queue: SubmissionQueue<FileRequest>;
  readonly #lease: QueueLease;
  readonly #ring: UringQueueHandle;
  readonly #descriptor: number;
  readonly #pinned = new Set<NumberedMemory>();
  readonly #pinners: Pinners;

  constructor(lease: QueueLease, descriptor: number, pinners: Pinners) {
    const ring = lease.queue.kernel;
    if (!(ring instanceof native.UringQueue)) throw new Error('the queue that was leased is no io_uring');
    this.queue = lease.queue;
    this.#lease = lease;
    this.#ring = ring;
    this.#descriptor = descriptor;
    this.#pinners = pinners;
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

function openQueue(kind: QueueKind, depth: number): SubmissionQueue<FileRequest> {
  const open = (onCompletions: (count: number) => void): IoQueueHandle => {
    if (kind === 'aio') return new native.AioQueue(depth, onCompletions);
    if (kind === 'uring') return new native.UringQueue(depth, onCompletions);
    return new native.ThreadQueue(depth, onCompletions);
  };
  return new SubmissionQueue(open, depth);
}

function depthOf(kind: QueueKind): number {
  if (kind !== 'threads') return SHARED_QUEUE_DEPTH;
  const wished = Number(process.env.UV_THREADPOOL_SIZE);
  return Number.isInteger(wished) && wished >= 1 && wished <= MOST_THREADS ? wished : DEFAULT_THREADS;
}
