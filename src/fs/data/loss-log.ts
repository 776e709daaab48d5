/**
 * Says in the log what was lost: one line per range, and where there are many, the first few of
 * every ten seconds and then their sum.
 *
 * A line names the inode and, if one is found soon enough, a path. Looking for it holds up neither
 * who lost the data nor, on a disk that hardly answers any more, the end of the mount.
 */
import type { LostBytes } from './lost-writes.ts';

const MOST_LINES = 10;
const WINDOW_MILLISECONDS = 10_000;
/** For each path that is looked for, … */
const LOOK_MILLISECONDS = 5000;
/** … and for all that are not found when the volume ends. */
const LAST_MILLISECONDS = 2000;
/** Files counted apart in a sum; more are said to be "more than". */
const MOST_FILES = 100_000;

/** @param signal given when nobody waits for the path any more; it stops looking then */
type PathOf = (inode: number, signal: AbortSignal) => Promise<string | undefined>;

export class LossLog {
  readonly #log: (line: string) => void;
  readonly #pathOf: PathOf;
  /** Given when no path is looked for any more. */
  readonly #ended = new AbortController();
  #lines = 0;
  #ranges = 0;
  #bytes = 0;
  readonly #files = new Set<number>();
  #window: NodeJS.Timeout | undefined;
  /** Lines come in the order of the losses. */
  #written: Promise<void> = Promise.resolve();

  constructor(log: (line: string) => void, pathOf: PathOf) {
    this.#log = log;
    this.#pathOf = pathOf;
  }

  note({ inode, from, to, error, kept }: LostBytes): void {
    this.#window ??= setTimeout(() => this.#endWindow(), WINDOW_MILLISECONDS).unref();
    if (this.#lines++ < MOST_LINES) {
      const what = `bytes ${from} to ${to - 1} could not be written (${error.code})`;
      const then = kept
        ? '; the next sync of the file tries again, if there is memory for it until then'
        : '';
      this.#written = this.#written.then(() => this.#write(inode, `${what}${then}`));
      return;
    }
    this.#ranges++;
    this.#bytes += to - from;
    if (this.#files.size < MOST_FILES) this.#files.add(inode);
  }

  async #write(inode: number, what: string): Promise<void> {
    const path = await this.#find(inode);
    const name = path === undefined ? `inode ${inode}` : `inode ${inode}, ${JSON.stringify(path)}`;
    this.#log(`lost data of ${name}: ${what}`);
  }

  async #find(inode: number): Promise<string | undefined> {
    if (this.#ended.signal.aborted) return undefined;
    const done = new AbortController();
    const signal = AbortSignal.any([this.#ended.signal, done.signal]);
    const tooLate = new Promise<undefined>((resolve) => {
      signal.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    const timer = setTimeout(() => done.abort(), LOOK_MILLISECONDS).unref();
    try {
      return await Promise.race([this.#pathOf(inode, signal), tooLate]);
    } finally {
      clearTimeout(timer);
      done.abort();
    }
  }

  #endWindow(): void {
    this.#window = undefined;
    this.#lines = 0;
    if (this.#ranges === 0) return;
    const [ranges, bytes, files] = [this.#ranges, this.#bytes, this.#files.size];
    const least = files === MOST_FILES ? 'at least ' : '';
    const line = `lost data: ${ranges} more ranges, ${bytes} bytes in ${least}${files} files`;
    this.#written = this.#written.then(() => this.#log(line));
    this.#ranges = 0;
    this.#bytes = 0;
    this.#files.clear();
  }

  /** Says the sum so far; resolves when all is said. */
  async end(): Promise<void> {
    clearTimeout(this.#window);
    this.#endWindow();
    const last = setTimeout(() => this.#ended.abort(), LAST_MILLISECONDS);
    await this.#written;
    clearTimeout(last);
  }
}
