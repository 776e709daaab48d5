/**
 * What a daemon says: on standard error, which in the background is its log file, and in memory for
 * whoever asks the mount.
 *
 * A daemon may speak for months, so all of it is bounded, and the latest lines are always there:
 * memory keeps the last 64 KiB, the file its last half when it has grown to 1 MiB. A line that
 * comes again is counted, and told at 10, 100, ….
 */
import { fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import { printable } from '../common/printable.ts';

export type LogLine = (line: string) => void;

const STANDARD_ERROR = 2;
export const MOST_LOG_BYTES = 1024 * 1024;
const MOST_RECENT_BYTES = 64 * 1024;
const LONGEST_LINE = 4096;
/** What a mount says before it is ready is shown by the command that waits for it. */
const MOST_FIRST_LINES = 50;

export class MountLog {
  /** Takes one line, without its end. */
  readonly line: LogLine;
  readonly #write: (text: string) => void;
  readonly #firstLines: string[] = [];
  #recent: string[] = [];
  #recentBytes = 0;
  #last = '';
  #repeats = 0;

  /** @param write writes one whole line */
  constructor(write: (text: string) => void) {
    this.#write = write;
    this.line = (line) => this.#take(printable(line.slice(0, LONGEST_LINE)));
  }

  #take(line: string): void {
    if (line !== this.#last) {
      if (this.#repeats > 0) this.#put(`the line before came ${this.#repeats} times more`);
      this.#repeats = 0;
      this.#last = line;
      this.#put(line);
    } else if (/^10+$/.test(String(++this.#repeats))) {
      this.#put(`the line before came ${this.#repeats} times more so far`);
    }
  }

  #put(line: string): void {
    if (this.#firstLines.length < MOST_FIRST_LINES) this.#firstLines.push(line);
    const text = `${new Date().toISOString()} [${process.pid}] ${line}\n`;
    this.#recent.push(text);
    this.#recentBytes += Buffer.byteLength(text);
    while (this.#recentBytes > MOST_RECENT_BYTES && this.#recent.length > 1) {
      this.#recentBytes -= Buffer.byteLength(this.#recent.shift() ?? '');
    }
    this.#write(text);
  }

  /** The last lines, with their times. */
  recent(): string {
    return this.#recent.join('');
  }

  /** The first lines, without. */
  firstLines(): readonly string[] {
    return this.#firstLines;
  }
}

/** A log for people at a terminal: without times. */
export function foregroundLog(): MountLog {
  return new MountLog((text) => {
    write(`quarry: ${text.replace(/^\S+ \[\d+\] /, '')}`);
  });
}

/** A log in the file that standard error is. */
export function backgroundLog(): MountLog {
  return new MountLog((text) => {
    write(text);
    boundFile(STANDARD_ERROR);
  });
}

function write(text: string): void {
  try {
    writeSync(STANDARD_ERROR, text);
  } catch {
    // Whoever listened is gone.
  }
}

/** Keeps the last half of a log file that has grown too long. It was opened to be appended to. */
export function boundFile(descriptor: number): void {
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile() || status.size <= MOST_LOG_BYTES) return;
    const kept = Buffer.alloc(MOST_LOG_BYTES / 2);
    const count = readSync(descriptor, kept, 0, kept.length, status.size - kept.length);
    const firstLine = kept.indexOf('\n') + 1;
    ftruncateSync(descriptor, 0);
    writeSync(descriptor, kept.subarray(firstLine, count));
  } catch {
    // It stays as long as it is.
  }
}
