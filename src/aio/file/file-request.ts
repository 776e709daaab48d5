/**
 * One request of a file, from its submission to the moment when the kernel is done with its memory.
 *
 *   submitted → (behind a truncation) → in line → with the kernel → released
 *
 * It settles once: when it is released, or before that by its deadline, its signal, or `cancel`.
 * What settles before it is released goes on in the kernel, and the file's order of operations
 * knows it until then. How its bytes move is its host's business; the host calls `ended`.
 */
import { constants } from 'node:os';
import type { NumberedMemory } from '../../native.ts';
import type { Lane } from '../lane.ts';
import type { MemoryPiece } from '../request-table.ts';
import type { SubmissionQueue } from '../submission-queue.ts';
import type {
  CancelOutcome,
  IoRequest,
  RequestOperation,
  RequestState,
  SubmitOptions,
} from './async-file.ts';
import { AbortError, AioError, CancelledError, type ErrorPlace, TimeoutError } from './io-error.ts';
import type { Phase } from './operation-order.ts';

const { ECANCELED, EFAULT } = constants.errno;

/** The file that a request belongs to, as the request sees it. */
export interface RequestHost {
  readonly path: string;
  nextRequestId(): number;
  /** Milliseconds on the clock of `performance.now`. */
  now(): number;
  /** Takes back memory that the request has from it. */
  giveScratch(memory: NumberedMemory): void;
  /** The request is over, in the kernel too. */
  released(request: FileRequest): void;
}

/**
 * What a request moves. For a sync, nothing.
 *
 * The caller's views may lose their memory while the request is under way: transferred to a worker,
 * or shrunk. So places and lengths are those of the submission, and the views are looked at only to
 * copy, with `isThere` before.
 */
export interface Payload {
  /** The only piece; undefined for a vector or a sync. */
  readonly bytes: Uint8Array | undefined;
  readonly vector: readonly Uint8Array[] | undefined;
  readonly lengthBytes: number;
  /** The native memory under `bytes`, where direct I/O can use that as it is. */
  readonly memory: NumberedMemory | undefined;
  /** Where `bytes` began in it. */
  readonly memoryOffset: number;
  /** The pieces of `vector`, where direct I/O can use all of them as they are. */
  readonly pieces: MemoryPiece[] | undefined;
}

export class FileRequest implements IoRequest {
  readonly id: number;
  readonly operation: RequestOperation;
  readonly lengthBytes: number;
  readonly payload: Payload;
  /**
   * Changes only for an append that waits for a truncation: its place is the end of the file then.
   */
  offset = 0;
  transferredBytes = 0;
  error: Error | undefined;
  isReleased = false;

  /**
   * Where it goes, set by its host: in which phase, in which line, under which token, through which
   * memory of ours.
   */
  phase: Phase | undefined;
  queue: SubmissionQueue<FileRequest> | undefined;
  lane: Lane<FileRequest> | undefined;
  token = -1;
  scratch: NumberedMemory | undefined;
  /** Bytes in `scratch` before those that were asked for. */
  scratchHeadBytes = 0;

  readonly #host: RequestHost;
  readonly #options: SubmitOptions;
  readonly #startedAt: number;
  #endedAt = 0;
  /** What was read found the caller's memory gone. */
  #lost = false;
  #settled: Exclude<RequestState, 'queued' | 'running'> | undefined;
  #promise: Promise<number> | undefined;
  #resolve: ((bytes: number) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #onAbort: (() => void) | undefined;
  #whenReleased: (() => void)[] | undefined;

  /** Its offset is 0 until the host says another; nothing ends it early before `begin`. */
  constructor(host: RequestHost, operation: RequestOperation, payload: Payload, options: SubmitOptions) {
    this.#host = host;
    this.id = host.nextRequestId();
    this.#startedAt = host.now();
    this.operation = operation;
    this.payload = payload;
    this.lengthBytes = payload.lengthBytes;
    this.#options = options;
  }

  /** From now on the signal of its options ends it, and so does a time that is not 0. */
  begin(timeoutMs: number): void {
    if (timeoutMs > 0) this.#timer = setTimeout(() => this.#timeOut(timeoutMs), timeoutMs);
    const { signal } = this.#options;
    if (signal) this.#listen(signal);
  }

  get state(): RequestState {
    if (this.#settled) return this.#settled;
    return this.token >= 0 && this.lane?.isInKernel(this.token) ? 'running' : 'queued';
  }

  get isDone(): boolean {
    return this.#settled !== undefined;
  }

  get latency(): number {
    return (this.#settled ? this.#endedAt : performance.now()) - this.#startedAt;
  }

  wait(): Promise<number> {
    if (this.#promise) return this.#promise;
    if (this.#settled) {
      this.#promise = this.error ? Promise.reject(this.error) : Promise.resolve(this.transferredBytes);
    } else {
      this.#promise = new Promise((resolve, reject) => {
        this.#resolve = resolve;
        this.#reject = reject;
      });
    }
    return this.#promise;
  }

  whenReleased(): Promise<void> {
    if (this.isReleased) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenReleased ??= [];
      this.#whenReleased.push(resolve);
    });
  }

  async cancel(): Promise<CancelOutcome> {
    if (this.isReleased) return 'finished';
    if (this.token < 0) {
      this.#settle('cancelled', new CancelledError(this.place()));
      this.release();
      return 'cancelled';
    }
    const errno = await this.#askToCancel();
    if (errno === 0) await this.whenReleased();
    if (!this.isReleased) return 'running';
    return this.#settled === 'cancelled' ? 'cancelled' : 'finished';
  }

  /**
   * Nothing was or will be given to the kernel: the request is over. The host may still have to
   * leave its phase.
   */
  release(): void {
    if (this.isReleased) return;
    this.isReleased = true;
    this.#dropWatches();
    this.#tellReleased();
  }

  /** Ends the request before it went anywhere. */
  giveUpAtOnce(error: Error): void {
    this.isReleased = true;
    this.#settle('cancelled', error, true);
  }

  /** The queue ended the request: `doneBytes` moved in the kernel's terms, and 0 or an errno. */
  ended(doneBytes: number, errno: number): void {
    this.token = -1;
    this.transferredBytes = this.scratch ? this.#fromScratch(this.scratch, doneBytes) : doneBytes;
    const lost = this.#lost || (this.operation === 'read' && !isThere(this.payload));
    if (lost) this.transferredBytes = 0;
    this.isReleased = true;
    this.#dropWatches();
    if (this.#settled === undefined) {
      if (lost || errno === EFAULT) this.#settle('failed', new AioError(EFAULT, this.place(), LOST_MEMORY));
      else if (errno === 0) this.#settle('done', undefined);
      else if (errno === ECANCELED) this.#settle('cancelled', new CancelledError(this.place()));
      else this.#settle('failed', new AioError(errno, this.place()));
    }
    this.#host.released(this);
    this.#tellReleased();
  }

  /** What an error says about this request. */
  place(): ErrorPlace {
    return {
      syscall: SYSCALLS[this.operation],
      path: this.#host.path,
      offset: this.offset,
      length: this.lengthBytes,
      transferredBytes: this.transferredBytes,
    };
  }

  /**
   * Takes what was read out of our memory, and gives that back; returns the bytes of it that were
   * asked for.
   */
  #fromScratch(scratch: NumberedMemory, doneBytes: number): number {
    const count = Math.min(Math.max(0, doneBytes - this.scratchHeadBytes), this.lengthBytes);
    // Who gave up has perhaps reused the buffer.
    if (this.operation === 'read' && this.#settled === undefined) {
      const from = this.scratchHeadBytes;
      this.#lost = !scatter(scratch.bytes.subarray(from, from + count), this.payload);
    }
    this.scratch = undefined;
    this.#host.giveScratch(scratch);
    return count;
  }

  /** @param inSubmission the caller does not have the request yet: `onDone` must wait. */
  #settle(
    state: Exclude<RequestState, 'queued' | 'running'>,
    error: Error | undefined,
    inSubmission = false,
  ): void {
    this.#settled = state;
    this.error = error;
    this.#endedAt = this.queue?.now() ?? performance.now();
    if (error) this.#reject?.(error);
    else this.#resolve?.(this.transferredBytes);
    const { onDone } = this.#options;
    if (onDone && inSubmission) queueMicrotask(() => callBack(onDone, this));
    else if (onDone) callBack(onDone, this);
  }

  #timeOut(timeoutMs: number): void {
    this.#timer = undefined;
    this.#giveUp('timed-out', new TimeoutError(timeoutMs, this.place()));
  }

  #listen(signal: AbortSignal): void {
    this.#onAbort = () => this.#giveUp('cancelled', new AbortError(signal.reason));
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Settles now; what the kernel has goes on until it lets go. */
  #giveUp(state: 'cancelled' | 'timed-out', error: Error): void {
    if (this.#settled) return;
    this.#settle(state, error);
    if (this.token < 0) this.release();
    else void this.#askToCancel();
  }

  #askToCancel(): Promise<number> {
    return new Promise((resolve) => this.queue?.cancel(this.token, resolve));
  }

  #dropWatches(): void {
    clearTimeout(this.#timer);
    if (this.#onAbort) this.#options.signal?.removeEventListener('abort', this.#onAbort);
  }

  #tellReleased(): void {
    if (this.#whenReleased) for (const resolve of this.#whenReleased) resolve();
  }
}

const SYSCALLS: Readonly<Record<RequestOperation, string>> = {
  read: 'read',
  write: 'write',
  sync: 'fsync',
  datasync: 'fdatasync',
};

/** What a user's callback throws is nobody's but the user's. */
function callBack(onDone: (request: IoRequest) => void, request: IoRequest): void {
  try {
    onDone(request);
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}

const LOST_MEMORY = 'the memory was transferred or resized while the request was under way';

/** Whether the caller's views have all the bytes that they had at the submission. */
function isThere({ bytes, vector, lengthBytes }: Payload): boolean {
  if (bytes) return bytes.length >= lengthBytes;
  if (!vector) return true;
  let there = 0;
  for (const piece of vector) there += piece.length;
  return there === lengthBytes;
}

/**
 * Fills the pieces of a payload from `from`, as far as that goes; false when they are not there any
 * more.
 */
function scatter(from: Uint8Array, payload: Payload): boolean {
  if (!isThere(payload)) return false;
  // V8 may take the length of a view for what it was before its memory went: the copy is the proof.
  try {
    if (payload.bytes) payload.bytes.set(from);
    let at = 0;
    for (const piece of payload.vector ?? []) {
      const part = from.subarray(at, at + piece.length);
      piece.set(part);
      at += part.length;
    }
    return true;
  } catch {
    return false;
  }
}

/** Puts the pieces of a payload together in `into`; false when they are not there any more. */
export function gather(payload: Payload, into: Uint8Array): boolean {
  if (!isThere(payload)) return false;
  const { bytes, vector, lengthBytes } = payload;
  try {
    if (bytes) into.set(bytes.length === lengthBytes ? bytes : bytes.subarray(0, lengthBytes));
    let at = 0;
    for (const piece of vector ?? []) {
      into.set(piece, at);
      at += piece.length;
    }
    return true;
  } catch {
    return false;
  }
}
