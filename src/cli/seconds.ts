/** Lengths of time on the command line: seconds, with a fraction or without. */
import { UsageError } from './failure.ts';

const MOST_SECONDS = 1_000_000;

/** @throws UsageError unless the text is a number of seconds above 0 */
export function parseSeconds(what: string, text: string): number {
  const seconds = /^\d{1,9}(\.\d{1,6})?$/.test(text) ? Number(text) : 0;
  if (seconds > 0 && seconds <= MOST_SECONDS) return seconds;
  throw new UsageError(`${what} ${text} is not a time: write it in seconds, as 5 or 0.5`);
}
