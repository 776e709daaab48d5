/**
 * What a daemon says: in the foreground on standard error, or where that is systemd's journal,
 * there; in the background to the log of the system, and where that takes nothing, to a file, which
 * its standard error is; and in memory for whoever asks the mount.
 *
 * A daemon may speak for months, so all of it is bounded, and the latest lines are always there:
 * memory keeps the last 64 KiB; a file that has grown to 1 MiB becomes the earlier one, in the
 * place of that before, and a new one begins. A line that comes again is counted, and told at 10,
 * 100, ….
 */
import { fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import { printable } from '../common/printable.ts';
import { linesOf, logLine, originLine, originOf } from './log-origin.ts';
import { type LogOrigin, SystemLog } from './system-log.ts';

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
  readonly #write: (text: string, line: string) => void;
  readonly #firstLines: string[] = [];
  #recent: string[] = [];
  #recentBytes = 0;
  #last = '';
  #repeats = 0;

  /** @param write writes one whole line; `line` is it without time, process and end */
  constructor(write: (text: string, line: string) => void) {
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
    const text = logLine(line);
    this.#recent.push(text);
    this.#recentBytes += Buffer.byteLength(text);
    while (this.#recentBytes > MOST_RECENT_BYTES && this.#recent.length > 1) {
      this.#recentBytes -= Buffer.byteLength(this.#recent.shift() ?? '');
    }
    this.#write(text, line);
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

/**
 * A log for people at a terminal: without times. Of a service, it goes to the journal that keeps
 * its standard error.
 */
export function foregroundLog(origin?: LogOrigin): MountLog {
  const system = origin && SystemLog.behind(STANDARD_ERROR, origin);
  return new MountLog((_text, line) => {
    if (!system?.send(line)) write(`quarry: ${line}\n`);
  });
}

/**
 * A log of the system, or in the file that standard error is. What ends the process is told by
 * Node.js, and to that file; so it says whose it is whoever takes the log.
 * @param earlier descriptor of the file for what was before; undefined if there is none
 * @param descriptor of the file itself
 */
export function backgroundLog(
  origin: LogOrigin,
  earlier: number | undefined,
  system = SystemLog.open(origin),
  descriptor = STANDARD_ERROR,
): MountLog {
  const first = logLine(originLine(origin));
  const bound = () => {
    if (boundFile(descriptor, earlier, first)) write(logLine(originLine(origin)), descriptor);
  };
  write(first, descriptor);
  bound();
  return new MountLog((text, line) => {
    if (system?.send(line)) return;
    write(text, descriptor);
    bound();
  });
}

function write(text: string, descriptor = STANDARD_ERROR): void {
  try {
    writeSync(descriptor, text);
  } catch {
    // Whoever listened is gone.
  }
}

/**
 * Begins a log file anew that has grown too long; what was in it becomes the earlier file, or where
 * there is none, its last half stays. Both were opened to be appended to. What is kept goes on to
 * tell whose it is.
 * @param origin the line that tells so, with its end, where none is found in what is not kept
 * @returns whether the file is empty now
 */
export function boundFile(descriptor: number, earlier?: number, origin = ''): boolean {
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile() || status.size <= MOST_LOG_BYTES) return false;
    const keptBytes = earlier === undefined ? MOST_LOG_BYTES / 2 : MOST_LOG_BYTES;
    const bytes = Buffer.alloc(Math.min(2 * MOST_LOG_BYTES, status.size));
    const count = readSync(descriptor, bytes, 0, bytes.length, status.size - bytes.length);
    const least = Math.max(count - keptBytes, 1);
    const lineEnd = bytes.indexOf('\n', least - 1);
    const from = lineEnd < 0 ? least : lineEnd + 1;
    const whose = lastOrigin(bytes.toString('utf8', 0, from)) ?? origin;
    if (earlier !== undefined) ftruncateSync(earlier, 0);
    else ftruncateSync(descriptor, 0);
    writeSync(earlier ?? descriptor, Buffer.concat([Buffer.from(whose), bytes.subarray(from, count)]));
    if (earlier === undefined) return false;
    ftruncateSync(descriptor, 0);
    return true;
  } catch {
    // It stays as long as it is.
    return false;
  }
}

/** The last line of a text that tells whose those behind it are, with its end. */
function lastOrigin(text: string): string | undefined {
  const line = linesOf(text).findLast((each) => originOf(each) !== undefined);
  return line === undefined ? undefined : `${line}\n`;
}
