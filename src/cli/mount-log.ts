/** Where a daemon speaks: standard error, which in the background is its log file. Bounded, as it may speak for months. */
import { writeSync } from 'node:fs';

export type LogLine = (line: string) => void;

const STANDARD_ERROR = 2;
const MOST_LOG_BYTES = 1024 * 1024;

/** A log for people at a terminal. */
export function foregroundLog(): LogLine {
  return (line) => write(`quarry: ${line}\n`);
}

/** A log in a file: with the time, and no longer than 1 MiB a mount. */
export function backgroundLog(): LogLine {
  let written = 0;
  return (line) => {
    if (written > MOST_LOG_BYTES) return;
    const text = `${new Date().toISOString()} [${process.pid}] ${line}\n`;
    written += Buffer.byteLength(text);
    write(written > MOST_LOG_BYTES ? 'the log is full: nothing more is written\n' : text);
  };
}

function write(text: string): void {
  try {
    writeSync(STANDARD_ERROR, text);
  } catch {
    // Whoever listened is gone.
  }
}
