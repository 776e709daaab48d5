/** A progress bar on one line of a terminal, redrawn at most ten times a second. */
import type { Terminal } from './command.ts';

const WIDTH = 30;
/** The longest label, `9/9 volume root`, and a space. */
const LABEL_WIDTH = 16;
const INTERVAL_MILLISECONDS = 100;
const CLEAR_LINE = '\r\x1b[K';

/** The bar as text: `inodes  [=====     ]  50 %`. */
export function progressText(label: string, done: number, total: number): string {
  const share = total > 0 ? Math.min(1, done / total) : 1;
  const filled = Math.round(share * WIDTH);
  const bar = '='.repeat(filled) + ' '.repeat(WIDTH - filled);
  return `${label.padEnd(LABEL_WIDTH)} [${bar}] ${String(Math.floor(share * 100)).padStart(3)} %`;
}

export class ProgressBar {
  readonly #terminal: Terminal;
  #drawnAt = 0;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  update(label: string, done: number, total: number): void {
    const now = Date.now();
    if (now - this.#drawnAt < INTERVAL_MILLISECONDS) return;
    this.#drawnAt = now;
    this.#terminal.err(CLEAR_LINE + progressText(label, done, total));
  }

  /** Takes the bar away. */
  clear(): void {
    if (this.#drawnAt !== 0) this.#terminal.err(CLEAR_LINE);
  }
}
