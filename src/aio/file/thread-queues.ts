/**
 * The kernel queues of this thread, shared by its open files.
 *
 * An AIO context takes from a limit of the whole system and tens of milliseconds to give back, so there is one for
 * all files, one io_uring, and one queue of threads. A queue is made with the first file that needs it and closed
 * a moment after the last one is gone. A file that wants a deeper queue than the shared one gets its own.
 */
import { type IoQueueHandle, native, type UringQueueHandle } from '../../native.ts';
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
  if (kind !== 'uring') return lease;
  const ring = lease.queue.kernel as UringQueueHandle;
  ring.registerFile(descriptor);
  return {
    queue: lease.queue,
    release() {
      ring.unregisterFile(descriptor); // the ring must not hold open what the file is about to close
      lease.release();
    },
  };
}

function leasePrivate(kind: QueueKind, depth: number): QueueLease {
  const queue = openQueue(kind, depth);
  return { queue, release: () => queue.close() };
}

function leaseShared(kind: QueueKind): QueueLease {
  const found = shared.get(kind) ?? { queue: openQueue(kind, depthOf(kind)), users: 0, closing: undefined };
  shared.set(kind, found);
  clearTimeout(found.closing);
  found.users++;
  return { queue: found.queue, release: () => leave(kind, found) };
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

/** How long this thread looks for completions before it sleeps: the longest wish of its open files. */
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
