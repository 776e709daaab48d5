/**
 * How far long work is, on one line of a terminal, redrawn at most ten times a second.
 *
 * The line is log-update's: it counts columns as a terminal does, hides the cursor while the line
 * is there, and shows it again whatever ends the process. It is loaded with the first line, which
 * most commands never draw. Nothing is coloured.
 */
import type { createLogUpdate } from 'log-update';
import type { Terminal } from './command.ts';

const WIDTH = 30;
/** The longest label, `9/9 volume root`, and a space. */
const LABEL_WIDTH = 16;
const INTERVAL_MILLISECONDS = 100;
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

/** The bar as text: `inodes  [=====     ]  50 %`. */
export function progressText(label: string, done: number, total: number): string {
  const share = total > 0 ? Math.min(1, done / total) : 1;
  const filled = Math.round(share * WIDTH);
  const bar = '='.repeat(filled) + ' '.repeat(WIDTH - filled);
  return `${label.padEnd(LABEL_WIDTH)} [${bar}] ${String(Math.floor(share * 100)).padStart(3)} %`;
}

/** Standard error as log-update wants it: what is written goes through the command's terminal. */
function streamOf(terminal: Terminal): NodeJS.WritableStream {
  const stream = {
    isTTY: true,
    // A terminal that was given no size says 0.
    columns: process.stderr.columns || DEFAULT_COLUMNS,
    rows: process.stderr.rows || DEFAULT_ROWS,
    write(text: string): boolean {
      terminal.err(text);
      return true;
    },
  };
  return stream as unknown as NodeJS.WritableStream;
}

export class ProgressBar {
  readonly #terminal: Terminal;
  #line: ReturnType<typeof createLogUpdate> | undefined;
  #isLoading = false;
  /** What is to be shown when the library is there. */
  #waiting: (() => string) | undefined;
  #drawnAt = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Of a whole that is known. */
  update(label: string, done: number, total: number): void {
    this.#draw(() => progressText(label, done, total));
  }

  /** Of one that is not: `1,234 files`. */
  count(text: string): void {
    this.#draw(() => text);
  }

  /** Takes the line away, and shows the cursor. The next update draws it again. */
  clear(): void {
    this.#waiting = undefined;
    if (this.#drawnAt === 0) return;
    this.#line?.clear();
    this.#line?.done();
    this.#drawnAt = 0;
  }

  #draw(text: () => string): void {
    if (this.#line === undefined) {
      this.#waiting = text;
      this.#load();
      return;
    }
    const now = performance.now();
    if (now - this.#drawnAt < INTERVAL_MILLISECONDS) return;
    this.#drawnAt = now;
    this.#line(text());
  }

  /** From then on each update is drawn. For whoever asked for the line, however short the work. */
  async ready(): Promise<void> {
    try {
      const library = await import('log-update');
      this.#line ??= library.createLogUpdate(streamOf(this.#terminal));
    } catch {
      // Work goes on without a picture of it.
    }
  }

  #load(): void {
    if (this.#isLoading) return;
    this.#isLoading = true;
    void this.ready().then(() => {
      if (this.#waiting !== undefined && this.#line !== undefined) this.#draw(this.#waiting);
    });
  }
}
