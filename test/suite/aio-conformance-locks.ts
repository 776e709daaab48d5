/** Conformance: locks between opens of one process, and between processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { LockKind } from '../../src/aio/file/async-file.ts';
import { AbortError, TimeoutError } from '../../src/aio/file/io-error.ts';
import type { Cases } from './aio-conformance.ts';
import { expectRefused, rejectionOf } from './aio-conformance-refusals.ts';

const AT_ONCE = { wait: false } as const;

/**
 * Another program that locks by fcntl(2): answers 'held' or 'refused', and holds until it is told
 * to end.
 */
async function lockInChild(path: string, kind: LockKind): Promise<{ child: ChildProcess; answer: string }> {
  const program = `
import fcntl, sys
file = open(sys.argv[1], 'r+b', buffering=0)
try:
    fcntl.lockf(file, (fcntl.LOCK_EX if sys.argv[2] == 'exclusive' else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    print('held', flush=True)
except OSError:
    print('refused', flush=True)
sys.stdin.read()`;
  const child = spawn('python3', ['-S', '-E', '-c', program, path, kind], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [answer] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, answer: answer.toString().trim() };
}

async function end(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

export const lockCases: Cases = {
  'exclusive keeps others out until unlock': async (place) => {
    const [first, second] = [await place.open(), await place.open()];
    await first.lock();
    await expectRefused(second.lock('exclusive', AT_ONCE), 'EBUSY');
    const error = await expectRefused(second.lock('shared', AT_ONCE), 'EBUSY');
    expect(error.path).toBe(place.path);
    await first.unlock();
    await second.lock('exclusive', AT_ONCE);
    await expectRefused(first.lock('shared', AT_ONCE), 'EBUSY');
  },

  'shared is for any number, and keeps exclusive out': async (place) => {
    const [first, second, third] = [await place.open(), await place.open({ flags: 'r' }), await place.open()];
    await first.lock('shared', AT_ONCE);
    await second.lock('shared', AT_ONCE);
    await expectRefused(third.lock('exclusive', AT_ONCE), 'EBUSY');
    await first.unlock();
    await expectRefused(third.lock('exclusive', AT_ONCE), 'EBUSY');
    await second.unlock();
    await third.lock('exclusive', AT_ONCE);
  },

  'a second call changes the kind': async (place) => {
    const [first, second] = [await place.open(), await place.open()];
    await first.lock('exclusive');
    await first.lock('shared');
    await second.lock('shared', AT_ONCE);
    await expectRefused(first.lock('exclusive', AT_ONCE), 'EBUSY');
    await second.unlock();
    await first.lock('exclusive', AT_ONCE);
  },

  'waiting gets it when the holder lets go, by unlock or by close': async (place) => {
    const [first, second, third] = [await place.open(), await place.open(), await place.open()];
    await first.lock('exclusive');
    let gotIt = false;
    const waiting = second.lock('exclusive').then(() => {
      gotIt = true;
    });
    await sleep(15);
    expect(gotIt).toBe(false);
    await first.unlock();
    await waiting;
    const waitingForClose = third.lock('shared');
    await second.close();
    await waitingForClose;
  },

  'waiting ends by its deadline and by its signal': async (place) => {
    const [first, second] = [await place.open(), await place.open()];
    await first.lock('exclusive');
    expect(await rejectionOf(second.lock('shared', { timeoutMs: 15 }))).toBeInstanceOf(TimeoutError);
    const controller = new AbortController();
    const waiting = second.lock('shared', { signal: controller.signal });
    setTimeout(() => controller.abort(new Error('enough')), 5);
    expect(await rejectionOf(waiting)).toBeInstanceOf(AbortError);
    await first.unlock();
    // Whoever gave up must not get it behind the caller's back.
    await sleep(15);
    await first.lock('exclusive', AT_ONCE);
  },

  'closing ends the wait of the file itself': async (place) => {
    const [first, second] = [await place.open(), await place.open()];
    await first.lock('exclusive');
    const waiting = rejectionOf(second.lock('exclusive'));
    await sleep(5);
    await second.close();
    expect(await waiting).toBeInstanceOf(Error);
  },

  'taken at opening, or the opening fails': async (place) => {
    const first = await place.open({ lock: 'exclusive' });
    await expectRefused(place.open({ lock: 'exclusive' }), 'EBUSY');
    await expectRefused(place.open({ lock: 'shared' }), 'EBUSY');
    await place.open();
    await first.close();
    await place.open({ lock: 'shared' });
    await place.open({ lock: 'shared', flags: 'r' });
  },

  'needs a file open for what it is about': async (place) => {
    const reader = await place.open({ flags: 'r' });
    await expectRefused(reader.lock('exclusive', AT_ONCE), 'EBADF');
    await reader.unlock();
    await reader.lock('shared', AT_ONCE);
    await reader.unlock();
    const writer = await place.open({ flags: constants.O_WRONLY });
    await expectRefused(writer.lock('shared', AT_ONCE), 'EBADF');
    await writer.lock('exclusive', AT_ONCE);
    await writer.unlock();
  },

  'really locks against another process, and its death lets go': async (place) => {
    const file = await place.open();
    await file.lock('exclusive');
    const refused = await lockInChild(place.path, 'shared');
    await end(refused.child);
    expect(refused.answer).toBe('refused');
    await file.unlock();
    const holder = await lockInChild(place.path, 'exclusive');
    try {
      expect(holder.answer).toBe('held');
      await expectRefused(file.lock('shared', AT_ONCE), 'EBUSY');
      const waiting = file.lock('exclusive', { timeoutMs: 10_000 });
      await end(holder.child);
      await waiting;
    } finally {
      holder.child.kill('SIGKILL');
    }
  },
};
