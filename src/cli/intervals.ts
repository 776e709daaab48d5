/** Commands that look again and again: how often, how many times, and what ends them. */
import { UsageError } from './failure.ts';
import { parseSeconds } from './seconds.ts';

const LEAST_INTERVAL_SECONDS = 0.1;
const MOST_INTERVAL_SECONDS = 3600;
const MOST_COUNT = 1_000_000_000;
const END_SIGNALS = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP'] as const;

/** Infinite where it was not given. @throws UsageError */
export function parseCount(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  const count = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= MOST_COUNT) return count;
  throw new UsageError(`--count ${text} is not a number of intervals: write one from 1 on`);
}

/** In seconds; 1 where it was not given. @throws UsageError */
export function parseInterval(text: string | undefined): number {
  if (text === undefined) return 1;
  const seconds = parseSeconds('--interval', text);
  if (seconds >= LEAST_INTERVAL_SECONDS && seconds <= MOST_INTERVAL_SECONDS) return seconds;
  throw new UsageError(
    `--interval ${text} is out of bounds: write from ${LEAST_INTERVAL_SECONDS} to ${MOST_INTERVAL_SECONDS} seconds`,
  );
}

/** Aborted by what ends a program, which then ends in order: a signal, or that nobody reads it. */
export function endOnSignals(): { readonly signal: AbortSignal; release(): void } {
  const end = new AbortController();
  const abort = () => end.abort();
  for (const name of END_SIGNALS) process.on(name, abort);
  process.stdout.on('error', abort);
  return {
    signal: end.signal,
    release: () => {
      for (const name of END_SIGNALS) process.off(name, abort);
      process.stdout.off('error', abort);
    },
  };
}
