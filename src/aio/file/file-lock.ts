/**
 * Locks between processes, and between opens of one process: open file description locks on the
 * whole file (fcntl(2)).
 *
 * Waiting is asking again, ever less often: a thread blocked in fcntl could neither be timed out
 * nor aborted.
 */

import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { native } from '../../native.ts';
import { requireOptions, wrongValue } from './arguments.ts';
import type { LockKind, LockOptions } from './async-file.ts';
import { AbortError, AioError, TimeoutError } from './io-error.ts';
import { closedError, requireTimeout } from './request-router.ts';
import type { OpenedFile } from './storage.ts';

const { EAGAIN, EBADF, EBUSY } = constants.errno;
const SYSCALL = 'fcntl(F_OFD_SETLK)';
const SHORTEST_PAUSE_MILLISECONDS = 1;
const LONGEST_PAUSE_MILLISECONDS = 50;

const LOCK_OPTIONS = new Set(['wait', 'timeoutMs', 'signal']);
const KINDS: Readonly<Record<LockKind, 1 | 2>> = { shared: 1, exclusive: 2 };

/**
 * Takes the lock, or waits for it.
 * @param closed aborted when the file is closed
 */
export async function lockFile(
  file: OpenedFile,
  kind: LockKind,
  options: LockOptions,
  closed: AbortSignal,
): Promise<void> {
  requireOptions(options, LOCK_OPTIONS);
  const { wait = true, timeoutMs = 0, signal } = options;
  if (!Object.hasOwn(KINDS, kind))
    throw wrongValue(`kind must be 'exclusive' or 'shared', not ${String(kind)}`);
  requireTimeout(timeoutMs);
  const deadline = timeoutMs > 0 ? performance.now() + timeoutMs : Number.POSITIVE_INFINITY;
  for (let pause = SHORTEST_PAUSE_MILLISECONDS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MILLISECONDS)) {
    if (signal?.aborted) throw new AbortError(signal.reason);
    if (closed.aborted) throw closedError(SYSCALL, file.path);
    if (tryLock(file, kind)) return;
    if (!wait) throw held(file);
    const left = deadline - performance.now();
    if (left <= 0) throw new TimeoutError(timeoutMs, { syscall: SYSCALL, path: file.path });
    await pauseFor(Math.min(pause, left), signal ? [signal, closed] : [closed]);
  }
}

/** Takes the lock now. @throws AioError EBUSY */
export function lockNow(file: OpenedFile, kind: LockKind): void {
  if (!tryLock(file, kind)) throw held(file);
}

export function unlockFile(file: OpenedFile): void {
  const errno = native.lockDescriptor(file.descriptor.number, 0);
  if (errno !== 0) throw new AioError(errno, { syscall: SYSCALL, path: file.path });
}

/** False when somebody holds it. */
function tryLock(file: OpenedFile, kind: LockKind): boolean {
  // A mapping needs a descriptor that can read, although the file was opened for writing.
  const mayLock = kind === 'shared' ? file.readable : file.writable;
  const errno = mayLock ? native.lockDescriptor(file.descriptor.number, KINDS[kind]) : EBADF;
  if (errno !== 0 && errno !== EAGAIN) throw new AioError(errno, { syscall: SYSCALL, path: file.path });
  return errno === 0;
}

function held(file: OpenedFile): AioError {
  return new AioError(EBUSY, { syscall: SYSCALL, path: file.path }, 'the file is locked by somebody else');
}

async function pauseFor(milliseconds: number, signals: AbortSignal[]): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal: AbortSignal.any(signals) });
  } catch {
    // Aborted: the caller looks at the signals.
  }
}
