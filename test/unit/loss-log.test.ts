/** The log of what was lost, when paths are found late or never. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fsError } from '../../src/fs/base/errors.ts';
import { LossLog } from '../../src/fs/data/loss-log.ts';

let lines: string[] = [];
const note = (log: LossLog, inode: number) =>
  log.note({ inode, from: 0, to: 10, error: fsError('EIO'), kept: false });

beforeEach(() => {
  lines = [];
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a path that is not found in time is left out, and the search is told', async () => {
  const signals: AbortSignal[] = [];
  const log = new LossLog(
    (line) => lines.push(line),
    async (inode, signal) => {
      signals.push(signal);
      return inode === 7 ? await new Promise<string>(() => {}) : '/found';
    },
  );
  note(log, 7);
  note(log, 8);
  await vi.advanceTimersByTimeAsync(4000);
  expect(lines).toEqual([]);
  await vi.advanceTimersByTimeAsync(2000);
  expect(lines).toEqual([
    'lost data of inode 7: bytes 0 to 9 could not be written (EIO)',
    'lost data of inode 8, "/found": bytes 0 to 9 could not be written (EIO)',
  ]);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
});

test('at the end all searches together have two seconds, and every loss is told', async () => {
  let searches = 0;
  const log = new LossLog(
    (line) => lines.push(line),
    () => {
      searches++;
      return new Promise(() => {});
    },
  );
  for (let inode = 1; inode <= 12; inode++) note(log, inode);
  let isOver = false;
  const ended = log.end().then(() => {
    isOver = true;
  });
  await vi.advanceTimersByTimeAsync(1900);
  expect(isOver).toBe(false);
  await vi.advanceTimersByTimeAsync(200);
  await ended;
  expect(searches).toBe(1);
  expect(lines.length).toBe(11);
  expect(lines.at(-1)).toBe('lost data: 2 more ranges, 20 bytes in 2 files');
});
