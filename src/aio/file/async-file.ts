/**
 * The interface of an asynchronous file: what `openFile` takes and gives, without a word on how.
 *
 *   import { AlignedBuffer, openFile } from 'quarryfs/aio';
 *   await using file = await openFile('/dev/loop0', { engine: 'uring', flags: 'r' });
 *   const block = AlignedBuffer.allocate(4096);
 *   const count = await file.readAt(block, 8192);
 *
 * Five engines stand behind the one interface, and every rule below holds for all of them:
 *
 *   buffered  ordinary I/O through the page cache, on threads; what is cached is read without one
 *   direct    O_DIRECT on threads: one system call per request
 *   mmap      copies from and to a shared mapping of the file, on threads
 *   aio       O_DIRECT through the kernel's asynchronous I/O (io_submit)
 *   uring     O_DIRECT through io_uring
 *
 * A call begins when it is made, and calls run beside each other: nothing but `sync`, `datasync`,
 * `truncate`, `close` and the calls on the file's position (`read`, `write`, `seek`) waits for an
 * earlier one. What is submitted within one turn of the event loop goes to the kernel in one system
 * call.
 *
 * Offsets and lengths are in bytes, times in milliseconds unless the name says otherwise. A buffer
 * belongs to the call until its promise settles; after a timeout or an abort, until
 * `IoRequest.whenReleased` resolves.
 */
import type { Stats } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import type { Buffers } from './buffers.ts';

/** Names of the engines. */
export type EngineName = 'buffered' | 'direct' | 'mmap' | 'aio' | 'uring';

/** An advisory lock on the whole file: one 'exclusive' holder, or any number of 'shared' ones. */
export type LockKind = 'exclusive' | 'shared';

/**
 * Bytes to read into or write from: one piece. Any `Buffer`, typed array or `DataView`; best from
 * `AlignedBuffer.allocate`.
 */
export type Bytes = ArrayBufferView;

/** Several pieces in order, as for readv(2): a `Buffers` or a plain array. Neither is changed. */
export type Vector = Buffers | readonly ArrayBufferView[];

/** A place or a length in bytes, up to 2 ** 53. */
export type ByteCount = number | bigint;

/** Where a file is. A `Buffer` has the bytes of a name that is no text; a URL is one of `file:`. */
export type PathLike = string | Uint8Array | URL;

/** How to open a file. Every option has a default. */
export interface OpenFileOptions {
  /**
   * Default 'auto': the first of uring, aio, direct, buffered that works for this file on this
   * system. With a name the engine is that one or the opening fails.
   */
  readonly engine?: EngineName | 'auto';
  /**
   * As for `fs.open`: 'r', 'r+', 'w', 'w+', 'wx', 'wx+', 'a', 'a+', 'ax', 'ax+', or a number of O_…
   * bits. Default 'r'. With 'a', `write` goes to the end of the file as `append` does; `writeAt`
   * writes where it is told.
   */
  readonly flags?: string | number;
  /** Permission bits of a file that is created, less the umask. Default 0o666. */
  readonly mode?: number;
  /**
   * Lock the file as it is opened; fails with EBUSY at once when somebody holds it. Default: no
   * lock. See `AsyncFile.lock`.
   */
  readonly lock?: LockKind;
  /**
   * Most requests of this file with the kernel at once, 1 to 4096; others wait their turn. Default
   * 128. The engines on threads never run more at once than libuv has threads (UV_THREADPOOL_SIZE,
   * 4).
   */
  readonly queueDepth?: number;
  /** Deadline of each request that does not bring its own, in milliseconds; 0 = none. Default 0. */
  readonly timeoutMs?: number;
  /**
   * What to do with offsets, lengths or memory that O_DIRECT cannot take. 'auto': go through a
   * buffer of our own, at the price of a copy. 'strict': refuse with AlignmentError. Default
   * 'auto'. Engines buffered and mmap take anything.
   */
  readonly align?: 'auto' | 'strict';
  /**
   * Longest time to look for a completion before sleeping, in microseconds, 0 to 1000; 0 = sleep at
   * once. It adapts: waits that a look cannot shorten stop it, and an idle file never costs
   * processor time. The looking is one for the thread: the longest wish of its open files and
   * mounts. Default 50.
   */
  readonly spinUs?: number;
}

/** What a file was opened with, defaults filled in. */
export interface ResolvedOptions {
  /** The engine at work, never 'auto'. */
  readonly engine: EngineName;
  /** O_… bits as asked for; O_DIRECT is the engine's business and not among them unless given. */
  readonly flags: number;
  readonly mode: number;
  readonly lock: LockKind | undefined;
  readonly queueDepth: number;
  readonly timeoutMs: number;
  readonly align: 'auto' | 'strict';
  readonly spinUs: number;
}

/**
 * What the file's storage needs of direct I/O, in bytes; both are 1 for engines buffered and mmap.
 */
export interface Alignment {
  /** Offsets and lengths must be multiples of this (STATX_DIOALIGN, or BLKSSZGET). */
  readonly offsetBytes: number;
  /** Memory addresses must be multiples of this. */
  readonly memoryBytes: number;
}

/** Options of a single call. */
export interface RequestOptions {
  /**
   * Deadline of this request in milliseconds from now, and for calls on the position from their
   * turn; 0 = none. Default: that of the file.
   */
  readonly timeoutMs?: number;
  /**
   * Gives the request up: its promise rejects with an AbortError at once. See `IoRequest.cancel`
   * for what the kernel does.
   */
  readonly signal?: AbortSignal;
}

/** Options of a call of the request level. */
export interface SubmitOptions extends RequestOptions {
  /**
   * Called once when the request has ended, instead of a promise: the cheapest way to hear of many
   * requests. What it throws becomes an uncaught exception. Requests that it submits go to the
   * kernel together.
   */
  readonly onDone?: (request: IoRequest) => void;
}

/** Where a request is. 'queued' and 'running' are unfinished; the others are final. */
export type RequestState =
  /** With us: for want of room in the queue, or behind a truncation. */
  | 'queued'
  /** With the kernel, or with one of the engine's threads. */
  | 'running'
  /** All bytes moved, or for a read all up to the end of the file. */
  | 'done'
  /** Ended by an error; see `error`. */
  | 'failed'
  /** Ended by `cancel` or an AbortSignal. */
  | 'cancelled'
  /** Given up at its deadline. */
  | 'timed-out';

export type RequestOperation = 'read' | 'write' | 'sync' | 'datasync';

/** What became of a wish to cancel. */
export type CancelOutcome =
  /**
   * It did not happen, or not wholly (`transferredBytes`); `wait()` rejects with CancelledError,
   * and the buffer is free.
   */
  | 'cancelled'
  /** The kernel does not let go of it. It goes on, and `wait()` tells its true end. */
  | 'running'
  /** It had ended before. */
  | 'finished';

/** One request, from its submission to its end. */
export interface IoRequest {
  /** Unique in this thread, rising from 1. */
  readonly id: number;
  readonly operation: RequestOperation;
  /** Where in the file; 0 for sync and datasync. */
  readonly offset: number;
  /** Bytes asked for; 0 for sync and datasync. */
  readonly lengthBytes: number;
  readonly state: RequestState;
  /** Whether `state` is final. */
  readonly isDone: boolean;
  /**
   * Whether the kernel is done with the buffer. Later than `isDone` only after a timeout or an
   * abort.
   */
  readonly isReleased: boolean;
  /** Bytes moved, once the request is released; 0 before. */
  readonly transferredBytes: number;
  /** Why it failed; undefined while it has not. */
  readonly error: Error | undefined;
  /** Milliseconds from the submission to the end, or to now while it is unfinished. */
  readonly latency: number;
  /**
   * The end of the request: the bytes moved. The same promise however often it is asked for. A
   * failure that nobody waits for is no unhandled rejection; it stays in `error`.
   */
  wait(): Promise<number>;
  /**
   * Asks for the request to be given up. A request that is still queued is cancelled for certain.
   * Kernel AIO cannot cancel transfers of files and disks, nor can a thread inside a system call:
   * 'running'. io_uring is asked, and mostly too late.
   */
  cancel(): Promise<CancelOutcome>;
  /** Resolves when the kernel is done with the buffer; never rejects. */
  whenReleased(): Promise<void>;
}

/** One of several operations for `submitAll`. */
export type IoOperation =
  | { readonly operation: 'read' | 'write'; readonly bytes: Bytes | Vector; readonly offset: ByteCount }
  | { readonly operation: 'sync' | 'datasync' };

/** Where an append landed. */
export interface Appended {
  /** Offset of its first byte. */
  readonly offset: number;
  readonly bytesWritten: number;
}

/** Options of `lock`. */
export interface LockOptions extends RequestOptions {
  /**
   * Wait for the present holder; false: fail at once with EBUSY. Default true. `timeoutMs` and
   * `signal` end the wait.
   */
  readonly wait?: boolean;
}

/** Which part of a file, in which pieces. */
export interface ChunkOptions {
  /** First byte. Default 0. */
  readonly start?: ByteCount;
  /** Byte after the last. Default: the end of the file. */
  readonly end?: ByteCount;
  /**
   * Bytes per chunk, a multiple of `alignment.offsetBytes`. Default 65536. The first may be
   * shorter, so that the others are aligned.
   */
  readonly chunkBytes?: number;
  /** Chunks read ahead, 1 to 64. Default 4. */
  readonly depth?: number;
  readonly signal?: AbortSignal;
}

/** Options of `createWriteStream`. */
export interface WriteStreamOptions {
  /** Where to begin. Default 0. */
  readonly start?: ByteCount;
  /**
   * Bytes per write, a multiple of `alignment.offsetBytes`; what is written is gathered up to it.
   * Default 65536.
   */
  readonly chunkBytes?: number;
  /** Writes under way at once, 1 to 64. Default 4. */
  readonly depth?: number;
  /** `datasync` before 'finish'. Default false. */
  readonly datasync?: boolean;
}

/** Counters of a file since it was opened. */
export interface FileStatistics {
  /** Requests submitted. */
  readonly submitted: number;
  /** Requests ended. */
  readonly completed: number;
  /** Requests that went through a buffer of our own for the sake of alignment. */
  readonly bounced: number;
  /** Transfers that stopped early and were continued. */
  readonly continued: number;
}

/**
 * Rejections of every method: AioError and its kin (io-error.ts); after `close`, an AioError with
 * code EBADF.
 */
export interface AsyncFile {
  /** The file descriptor. It belongs to the file: use it, but do not close it. */
  readonly fd: number;
  /** As it was opened, as text. */
  readonly path: string;
  readonly options: ResolvedOptions;
  readonly alignment: Alignment;
  readonly isBlockDevice: boolean;
  /** Whether `close` was called. */
  readonly isClosed: boolean;

  /** As fstat(2); `size` of a block device is its real size (BLKGETSIZE64). */
  stat(): Promise<Stats>;

  /**
   * Fills `bytes` from the file's position, and moves it by what was read. Resolves to the bytes
   * read: fewer than asked for only at the end of the file, then 0. Calls on the position run one
   * after the other, in the order they were made.
   */
  read(bytes: Bytes, options?: RequestOptions): Promise<number>;
  /**
   * Fills `bytes` from `offset`. Resolves to the bytes read: fewer than asked for only at the end
   * of the file, then
   * 0. A direct read that meets the end may clear what follows in `bytes`, up to a block of the
   *    filesystem.
   */
  readAt(bytes: Bytes, offset: ByteCount, options?: RequestOptions): Promise<number>;
  /**
   * Like `readAt` into several pieces, filled in order (scatter). Any number of pieces, not just
   * IOV_MAX.
   */
  readAtv(vector: Vector, offset: ByteCount, options?: RequestOptions): Promise<number>;

  /**
   * Writes all of `bytes` at the file's position, and moves it; for files opened with 'a', at the
   * end. Resolves to `bytes.length`.
   */
  write(bytes: Bytes, options?: RequestOptions): Promise<number>;
  /**
   * Writes all of `bytes` at `offset`. Resolves to `bytes.length`; what stopped halfway rejects,
   * with `transferredBytes` in the error.
   */
  writeAt(bytes: Bytes, offset: ByteCount, options?: RequestOptions): Promise<number>;
  /**
   * Like `writeAt` from several pieces (gather). Any number of pieces; more than IOV_MAX are
   * several system calls.
   */
  writeAtv(vector: Vector, offset: ByteCount, options?: RequestOptions): Promise<number>;

  /**
   * Writes at the end of the file. Each append gets its own range when it is called, so concurrent
   * ones never overlap, and lie in the order of the calls; also those of other files opened on the
   * same inode by this thread. Other processes must be kept out by `lock`. EINVAL on a block
   * device, which has no end to move.
   */
  append(data: Bytes | Vector, options?: RequestOptions): Promise<Appended>;

  /**
   * Moves the position: `whence` 0 from the start, 1 from the position, 2 from the end. Resolves to
   * the new one. EINVAL for any other `whence`, and for a position that would be negative or no
   * integer.
   */
  seek(offset: ByteCount, whence?: 0 | 1 | 2): Promise<number>;

  /**
   * Sets the length. Runs alone: after everything submitted before, and before everything submitted
   * later. EINVAL on a block device.
   */
  truncate(lengthBytes: ByteCount): Promise<void>;

  /**
   * Tells the storage that what a range holds is of no use any more: BLKDISCARD on a device, whose
   * content there is undefined then; a hole in a file, which reads as zeros. Runs alone, as
   * `truncate` does. EBADF for a file that is not open for writing, EINVAL for a range that is not
   * in whole sectors of a device, EOPNOTSUPP where there is no such thing.
   */
  discard(offset: ByteCount, lengthBytes: ByteCount): Promise<void>;

  /**
   * fsync(2), after every write submitted before this call has ended: those that succeeded survive
   * power loss.
   */
  sync(options?: RequestOptions): Promise<void>;
  /**
   * fdatasync(2): like `sync`, without times and other things that reading the data does not need.
   */
  datasync(options?: RequestOptions): Promise<void>;

  /**
   * Locks the whole file against other processes and against other opens by this one (an open file
   * description lock, fcntl(2): advisory, released by `unlock`, by `close`, and by the death of the
   * process). A second call changes the kind. EBUSY when it is held elsewhere and `wait` is false.
   * 'exclusive' needs a file open for writing, 'shared' one open for reading: else EBADF.
   */
  lock(kind?: LockKind, options?: LockOptions): Promise<void>;
  /** Releases the lock; nothing happens when there is none. */
  unlock(): Promise<void>;

  /** Resolves when everything submitted before has ended, well or badly. */
  drain(): Promise<void>;
  /**
   * Lets everything submitted before end, then releases lock and descriptor. Idempotent: the same
   * promise each time. Later calls are refused.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;

  /**
   * The request level: returns at once; the request goes to the kernel at the end of this turn,
   * with all others. Arguments that make no sense throw.
   */
  submitRead(bytes: Bytes, offset: ByteCount, options?: SubmitOptions): IoRequest;
  submitWrite(bytes: Bytes, offset: ByteCount, options?: SubmitOptions): IoRequest;
  submitReadv(vector: Vector, offset: ByteCount, options?: SubmitOptions): IoRequest;
  submitWritev(vector: Vector, offset: ByteCount, options?: SubmitOptions): IoRequest;
  submitSync(options?: SubmitOptions): IoRequest;
  submitDatasync(options?: SubmitOptions): IoRequest;
  /**
   * Submits several operations, and hands them to the kernel now, in one system call as far as the
   * queue has room.
   */
  submitAll(operations: readonly IoOperation[], options?: SubmitOptions): IoRequest[];
  /** Hands to the kernel what was submitted so far, without waiting for the end of this turn. */
  flushSubmissions(): void;

  /**
   * Pins the whole aligned memory that `bytes` is part of for this file's engine, until
   * `unregisterMemory` or `close`: each transfer then spares the kernel looking up its pages
   * (uring: a tenth of the processor time of a 4 KiB read, half of that of 1 MiB). The memory is
   * not freed before. False when the engine has no such thing, or has no room: 64 memories per
   * thread, RLIMIT_MEMLOCK. A TypeError for memory that is not from `AlignedBuffer.allocate` or a
   * `BufferPool`.
   */
  registerMemory(bytes: Bytes): boolean;
  /** Undoes `registerMemory`; nothing happens when there is nothing to undo. */
  unregisterMemory(bytes: Bytes): void;

  /**
   * The content in pieces, read ahead. Each chunk is yours to keep. `for await (const chunk of
   * file)` is `chunks()`.
   */
  chunks(options?: ChunkOptions): AsyncGenerator<Buffer, void, undefined>;
  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined>;
  /** The content as a Node stream. It does not close the file. */
  createReadStream(options?: ChunkOptions): Readable;
  /**
   * A Node stream that writes in aligned chunks, several at once; only the last may be short. It
   * does not close the file.
   */
  createWriteStream(options?: WriteStreamOptions): Writable;

  statistics(): FileStatistics;
}

/**
 * Opens a regular file or a block device; `openFile` of open-file.ts, which is what `quarryfs/aio`
 * exports.
 *
 * Rejects with an AioError: what open(2) says; EINVAL when the engine needs O_DIRECT and the
 * filesystem refuses it; EAGAIN when fs.aio-max-nr is used up; ENOSYS or EPERM when io_uring is not
 * there or not allowed; EBUSY when the lock is held elsewhere; EISDIR or ENOTBLK for what is
 * neither file nor block device. With engine 'auto' the engines that the system refuses are passed
 * over. An argument or option that makes no sense, or that is not known, rejects with a TypeError
 * or RangeError that names it, with a `code`: ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE or
 * ERR_OUT_OF_RANGE.
 */
export type OpenFile = (path: PathLike, options?: OpenFileOptions) => Promise<AsyncFile>;
