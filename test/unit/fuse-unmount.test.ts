/** What is busy for a moment is tried again, and which errors are told apart. */
import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { ErrandError } from '../../src/fuse/errand.ts';
import { BusyMountError, MountError } from '../../src/fuse/mount-error.ts';
import { untilNotBusy } from '../../src/fuse/unmount.ts';

const NEVER = new AbortController().signal;

/** Fails so many times, then no more. */
function failing(times: number, error: Error) {
  const attempt = {
    count: 0,
    async once(): Promise<void> {
      if (attempt.count++ < times) throw error;
    },
  };
  return attempt;
}

const BUSY = new BusyMountError('/mnt');

test('a mount that is busy for a moment is unmounted', async () => {
  const attempt = failing(3, BUSY);
  await untilNotBusy(attempt.once, NEVER);
  expect(attempt.count).toBe(4);
});

test('one that stays busy is said to be, with what to do', async () => {
  const attempt = failing(100, BUSY);
  await expect(untilNotBusy(attempt.once, NEVER)).rejects.toThrow(/^\/mnt is busy: .*fuser -vm \/mnt/);
  expect(attempt.count).toBe(5);
});

test('nothing else is tried again, nor anything when the time is over', async () => {
  const refused = failing(1, new MountError('not allowed'));
  await expect(untilNotBusy(refused.once, NEVER)).rejects.toThrow(/not allowed/);
  const late = failing(100, BUSY);
  await expect(untilNotBusy(late.once, AbortSignal.abort())).rejects.toThrow(BUSY);
  expect([refused.count, late.count]).toEqual([1, 1]);
});

test('errors of an errand have their names', () => {
  const names = [constants.errno.EBUSY, constants.errno.ESTALE].map(
    (errno) => new ErrandError(errno, 0).code,
  );
  expect(names).toEqual(['EBUSY', 'ESTALE']);
});
