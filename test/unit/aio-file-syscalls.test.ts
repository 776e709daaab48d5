/**
 * Engines under a kernel that refuses: system calls fail by the hand of strace, below everything
 * that is ours.
 *
 * Without strace these tests cannot be; with CI set they are run all the same, and fail.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { removeTemporaryImagesAfterAll, temporaryImage } from './aio-temporary.ts';

const CHILD = fileURLToPath(new URL('aio-file-child.mjs', import.meta.url));
const NO_STRACE = !existsSync('/usr/bin/strace') && !process.env.CI;
const SIZE = 1 << 20;
const LIMIT_MS = 100_000;

removeTemporaryImagesAfterAll();

/** What the child says when the given system calls fail. */
function sayOf(engine: string, faults: string[]): string {
  const calls = faults.map((fault) => fault.split(':')[0]).join(',');
  const injections = faults.flatMap((fault) => ['-e', `inject=${fault}`]);
  const child = spawnSync(
    'strace',
    [
      '-f',
      '-o',
      '/dev/null',
      '-e',
      `trace=${calls}`,
      ...injections,
      process.execPath,
      CHILD,
      engine,
      temporaryImage(SIZE),
    ],
    { encoding: 'utf8', timeout: LIMIT_MS },
  );
  expect({ status: child.status, signal: child.signal, err: child.stderr }).toEqual({
    status: 0,
    signal: null,
    err: '',
  });
  return child.stdout.trim();
}

describe.skipIf(NO_STRACE)('a kernel that refuses', () => {
  test.each([
    ['auto', 'aio', ['io_uring_setup:error=EPERM']],
    ['auto', 'direct', ['io_uring_setup:error=ENOSYS', 'io_setup:error=EAGAIN']],
    ['uring', 'uring', ['io_uring_setup:error=EINVAL:when=1..2']],
  ])('engine %s becomes %s when %j', (engine, taken, faults) => {
    expect(sayOf(engine, faults)).toBe(taken);
  });

  test.each([
    ['uring', 'io_uring_setup:error=EPERM', /EPERM.*kernel\.io_uring_disabled/],
    ['uring', 'io_uring_setup:error=ENOSYS', /ENOSYS.*no io_uring/],
    ['aio', 'io_setup:error=EAGAIN', /EAGAIN.*fs\.aio-max-nr/],
  ])('engine %s says what to do about %s', (engine, fault, says) => {
    expect(sayOf(engine, [fault])).toMatch(says);
  });

  test.each([
    ['aio', 'io_submit:error=EAGAIN:when=1+2'],
    ['aio', 'io_submit:error=EINTR:when=2+2'],
    ['uring', 'io_uring_enter:error=EAGAIN:when=1+2'],
    ['uring', 'io_uring_enter:error=EBUSY:when=2+3'],
    ['uring', 'io_uring_enter:error=EINTR:when=2+3'],
    ['uring', 'io_uring_register:error=EINVAL:when=2+1'],
    ['mmap', 'process_vm_readv:error=EPERM'],
    ['mmap', 'process_vm_writev:error=ENOSYS'],
    ['buffered', 'preadv2:error=EOPNOTSUPP'],
  ])('engine %s does its work in spite of %s', (engine, fault) => {
    expect(sayOf(engine, [fault])).toBe(engine);
  });
});
