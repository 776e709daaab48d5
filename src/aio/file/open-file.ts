/**
 * `openFile`: asynchronous direct I/O for Node. This is what `quarryfs/aio` exports.
 *
 *   await using file = await openFile('/dev/loop0', { engine: 'uring' });
 *   for await (const chunk of file) …
 *
 * The file is opened once; then an engine takes it, or says why it cannot. With engine 'auto' the
 * next one is tried: io_uring is often forbidden, the system's AIO slots may be used up, a
 * filesystem may know no O_DIRECT.
 */
import { close, constants, fstat, ftruncate, type Stats } from 'node:fs';
import { constants as system } from 'node:os';
import { DEFAULT_SPIN_NANOSECONDS, LONGEST_SPIN_NANOSECONDS } from '../../common/limits.ts';
import { PERMISSION_BITS } from '../../common/permissions.ts';
import { native } from '../../native.ts';
import { DEFAULT_FILE_DEPTH, MOST_FILE_DEPTH } from '../limits.ts';
import { type FilePath, outOfRange, pathOf, requireOptions, wrongValue } from './arguments.ts';
import type {
  AsyncFile,
  EngineName,
  OpenFile,
  OpenFileOptions,
  PathLike,
  ResolvedOptions,
} from './async-file.ts';
import { FileGroup } from './file-group.ts';
import { lockNow } from './file-lock.ts';
import { FileQueues } from './file-queues.ts';
import { AioError, asAioError } from './io-error.ts';
import { APPEND, QueuedFile } from './queued-file.ts';
import { requireTimeout } from './request-router.ts';
import { EngineRefused, FileStorage, type OpenedFile, openDescriptor, takeDescriptor } from './storage.ts';

export { AlignedBuffer } from './aligned-buffer.ts';
export type {
  Alignment,
  Appended,
  AsyncFile,
  ByteCount,
  Bytes,
  CancelOutcome,
  ChunkOptions,
  EngineName,
  FileStatistics,
  IoOperation,
  IoRequest,
  LockKind,
  LockOptions,
  OpenFile,
  OpenFileOptions,
  PathLike,
  RequestOperation,
  RequestOptions,
  RequestState,
  ResolvedOptions,
  SubmitOptions,
  Vector,
  WriteStreamOptions,
} from './async-file.ts';
export { type BlockDevice, getBlockDevice } from './block-device.ts';
export { BufferPool, type BufferPoolOptions } from './buffer-pool.ts';
export { Buffers } from './buffers.ts';
export {
  AbortError,
  AioError,
  AlignmentError,
  CancelledError,
  type ErrorPlace,
  TimeoutError,
} from './io-error.ts';

const ENGINES: readonly EngineName[] = ['uring', 'aio', 'direct', 'buffered', 'mmap'];
/** In the order in which 'auto' tries them. */
const AUTO_ENGINES: readonly EngineName[] = ['uring', 'aio', 'direct', 'buffered'];
const OPEN_OPTIONS = new Set([
  ...['engine', 'flags', 'mode', 'lock', 'queueDepth', 'timeoutMs', 'align', 'spinUs'],
]);
const LONGEST_SPIN_MICROSECONDS = LONGEST_SPIN_NANOSECONDS / 1000;
const DEFAULT_SPIN_MICROSECONDS = DEFAULT_SPIN_NANOSECONDS / 1000;

const { O_ACCMODE, O_CREAT, O_DIRECT, O_EXCL, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = {
  ...constants,
  O_ACCMODE: 3,
};

/** Those of fs.open; APPEND is ours to keep. */
const FLAGS: Readonly<Record<string, number>> = {
  r: O_RDONLY,
  'r+': O_RDWR,
  w: O_WRONLY | O_CREAT | O_TRUNC,
  'w+': O_RDWR | O_CREAT | O_TRUNC,
  wx: O_WRONLY | O_CREAT | O_TRUNC | O_EXCL,
  'wx+': O_RDWR | O_CREAT | O_TRUNC | O_EXCL,
  a: O_WRONLY | O_CREAT | APPEND,
  'a+': O_RDWR | O_CREAT | APPEND,
  ax: O_WRONLY | O_CREAT | O_EXCL | APPEND,
  'ax+': O_RDWR | O_CREAT | O_EXCL | APPEND,
};

/** Of the files of this thread. */
const threadGroup = new FileGroup(new FileQueues().lease);

export const openFile: OpenFile = (path, options) => openFileIn(threadGroup, path, options);

/** `openFile`, with what the file shares with others. @internal */
export async function openFileIn(
  group: FileGroup,
  path: PathLike,
  options: OpenFileOptions = {},
): Promise<AsyncFile> {
  const place = pathOf(path);
  requireOptions(options, OPEN_OPTIONS);
  const { engine = 'auto' } = options;
  const resolved = resolve(options);
  const opened = await open(place, resolved);
  try {
    if (resolved.lock) {
      lockNow(opened, resolved.lock);
      if (resolved.flags & O_TRUNC) await empty(opened);
    }
    return takeOver(opened, engine === 'auto' ? AUTO_ENGINES : [engine], resolved, group);
  } catch (thrown) {
    opened.descriptor.close();
    throw thrown;
  }
}

/**
 * Gives the file to the first engine that can have it.
 * @throws AioError, with what the first engine said
 */
function takeOver(
  opened: OpenedFile,
  engines: readonly EngineName[],
  options: ResolvedOptions,
  group: FileGroup,
): AsyncFile {
  let first: AioError | undefined;
  for (const engine of engines) {
    const resolved = { ...options, engine };
    try {
      return new QueuedFile(new FileStorage(opened, resolved, group), resolved);
    } catch (thrown) {
      if (!(thrown instanceof EngineRefused)) throw thrown;
      const place = { syscall: thrown.syscall, path: opened.path };
      first ??= new AioError(thrown.errno, place, `engine ${engine}: ${thrown.message}`);
    }
  }
  throw first ?? new Error('there is no engine');
}

async function open(
  { path, text }: FilePath,
  { engine, flags, mode, lock }: ResolvedOptions,
): Promise<OpenedFile> {
  // O_NONBLOCK: opening a FIFO must not wait for its other end.
  let kernelFlags = (flags & ~(APPEND | O_DIRECT)) | O_NONBLOCK;
  // What somebody else has locked is not emptied: that comes after the lock.
  if (lock) kernelFlags &= ~O_TRUNC;
  // A page that is only written is read all the same: mmap(2) wants a descriptor that can.
  if (engine === 'mmap' && (flags & O_ACCMODE) === O_WRONLY)
    kernelFlags = (kernelFlags & ~O_ACCMODE) | O_RDWR;
  let number: number;
  try {
    number = await openDescriptor(path, kernelFlags, mode);
  } catch (thrown) {
    throw asAioError(thrown, 'open', text);
  }
  try {
    return await describe(text, number, flags);
  } catch (thrown) {
    close(number);
    throw asAioError(thrown, 'open', text);
  }
}

async function empty({ descriptor, path, isBlockDevice }: OpenedFile): Promise<void> {
  if (isBlockDevice) return;
  await new Promise<void>((resolve, reject) => {
    ftruncate(descriptor.number, 0, (error) =>
      error ? reject(asAioError(error, 'ftruncate', path)) : resolve(),
    );
  });
}

async function describe(path: string, number: number, flags: number): Promise<OpenedFile> {
  const stats = await new Promise<Stats>((resolve, reject) => {
    fstat(number, (error, found) => (error ? reject(error) : resolve(found)));
  });
  if (stats.isDirectory()) throw new AioError(system.errno.EISDIR, { syscall: 'open', path });
  if (!stats.isFile() && !stats.isBlockDevice()) {
    throw new AioError(ENOTBLK, { syscall: 'open', path }, 'neither a block device nor a regular file');
  }
  const { isBlockDevice, memoryAlignBytes, offsetAlignBytes, logicalSectorBytes } =
    native.probeDescriptor(number);
  const access = flags & O_ACCMODE;
  return {
    path,
    isBlockDevice,
    memoryAlignBytes,
    offsetAlignBytes,
    logicalSectorBytes,
    readable: access !== O_WRONLY,
    writable: access !== O_RDONLY,
    inodeKey: isBlockDevice ? `block ${stats.rdev}` : `${stats.dev}:${stats.ino}`,
    descriptor: takeDescriptor(number), // the last step: from here on it is closed with its owner
  };
}

/** errno.h; Node does not list it. */
const ENOTBLK = 15;

function resolve(options: OpenFileOptions): ResolvedOptions {
  const { engine = 'auto', mode = 0o666, lock, align = 'auto', timeoutMs = 0 } = options;
  const { queueDepth = DEFAULT_FILE_DEPTH, spinUs = DEFAULT_SPIN_MICROSECONDS } = options;
  requireOneOf('engine', engine, ['auto', ...ENGINES]);
  requireOneOf('align', align, ['auto', 'strict']);
  requireOneOf('lock', lock, [undefined, 'exclusive', 'shared']);
  requireInteger('mode', mode, 0, PERMISSION_BITS);
  requireInteger('queueDepth', queueDepth, 1, MOST_FILE_DEPTH);
  requireInteger('spinUs', spinUs, 0, LONGEST_SPIN_MICROSECONDS);
  requireTimeout(timeoutMs);
  const flags = flagsOf(options.flags ?? 'r');
  return {
    engine: engine === 'auto' ? 'uring' : engine,
    flags,
    mode,
    lock,
    queueDepth,
    timeoutMs,
    align,
    spinUs,
  };
}

function flagsOf(flags: string | number): number {
  if (typeof flags === 'number') {
    requireInteger('flags', flags, 0, 2 ** 31 - 1);
    return flags;
  }
  const known = Object.hasOwn(FLAGS, flags) ? FLAGS[flags] : undefined;
  if (known === undefined)
    throw wrongValue(`flags must be one of ${Object.keys(FLAGS).join(', ')}, not ${flags}`);
  return known;
}

function requireOneOf(name: string, value: unknown, allowed: readonly unknown[]): void {
  if (allowed.includes(value)) return;
  const words = allowed.filter((one) => one !== undefined).join(', ');
  throw wrongValue(`${name} must be one of ${words}, not ${String(value)}`);
}

function requireInteger(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw outOfRange(`${name} must be an integer from ${least} to ${most}, not ${value}`);
}
