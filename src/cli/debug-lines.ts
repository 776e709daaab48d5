/**
 * `--debug` of a mount: which requests are told, and how the lines get out.
 *
 * They are written behind the requests, never before them: whoever reads the lines may himself use
 * the mount (`quarry mount -d … | tee mnt/log`), and would be waited for in vain. What nobody takes
 * for long is left out, and counted.
 */
import { write } from 'node:fs';
import { plural } from '../common/words.ts';
import { OPCODE_LIMIT } from '../fuse/abi.ts';
import { handlerOf } from '../fuse/operations.ts';
import type { TraceOptions } from '../fuse/request-trace.ts';
import { UsageError } from './failure.ts';

const STANDARD_ERROR = 2;
const MOST_WAITING_CHARACTERS = 1024 * 1024;
/** How long lines may take to get out when the mount has ended. */
const LAST_MILLISECONDS = 500;

type Write = (text: string, done: () => void) => void;

function writeError(text: string, done: () => void): void {
  const bytes = Buffer.from(text);
  write(STANDARD_ERROR, bytes, 0, bytes.length, null, (error, count) => {
    // Who listened is gone, or takes the rest later.
    if (error !== null || count >= bytes.length) done();
    else writeError(bytes.subarray(count).toString(), done);
  });
}

/** Lines on their way out; the first are out first, and those that find no room are counted. */
export class DebugLines {
  readonly #write: Write;
  #waiting = '';
  #leftOut = 0;
  #isWriting = false;
  #drained: () => void = () => {};

  constructor(writeText: Write = writeError) {
    this.#write = writeText;
  }

  readonly line = (text: string): void => {
    if (this.#waiting.length + text.length > MOST_WAITING_CHARACTERS) {
      this.#leftOut++;
      return;
    }
    this.#waiting += `${text}\n`;
    if (!this.#isWriting) this.#writeNext();
  };

  /** Resolves when all lines are out, or nobody takes them. */
  async end(): Promise<void> {
    if (!this.#isWriting) return;
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
      setTimeout(resolve, LAST_MILLISECONDS).unref();
    });
  }

  #writeNext(): void {
    const leftOut = this.#leftOut === 0 ? '' : `… ${plural(this.#leftOut, 'line')} left out\n`;
    const text = this.#waiting + leftOut;
    this.#waiting = '';
    this.#leftOut = 0;
    this.#isWriting = text !== '';
    if (this.#isWriting) this.#write(text, () => this.#writeNext());
    else this.#drained();
  }
}

/** Names of operations, as they are told and counted. */
export function operationNames(): string[] {
  const names = Array.from({ length: OPCODE_LIMIT }, (_, opcode) => handlerOf(opcode).name);
  return [...new Set(names)].sort();
}

/**
 * What `--debug=WHAT` asks for: nothing for all, or names of operations and `errors`, with commas.
 * @throws UsageError
 */
export function traceChoice(what: string): Omit<TraceOptions, 'line'> {
  const words = what.split(',').filter((word) => word !== '');
  const known = operationNames();
  for (const word of words) {
    if (word !== 'errors' && !known.includes(word))
      throw new UsageError(`--debug=${word} is not known: errors, ${known.join(', ')}`);
  }
  const operations = new Set(words.filter((word) => word !== 'errors'));
  return { operations, onlyErrors: words.includes('errors') };
}
