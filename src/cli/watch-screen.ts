/**
 * A screen that is drawn again and again: the terminal's alternate one, so that what was there
 * before is there again when it is left.
 *
 * Lines are written over the ones before, never onto a cleared screen, which would flicker. Whoever
 * enters it has to leave it, whatever happens. While the process is stopped, as Ctrl-Z does, the
 * terminal is as it was before.
 */
import type { Terminal } from './command.ts';
import type { ScreenSize } from './watch-text.ts';

/** Control sequences of ECMA-48 and DEC terminals, as in console_codes(4). */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE_END = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';
/** Of a terminal that does not tell. */
const DEFAULT_SIZE: ScreenSize = { columns: 80, rows: 24 };

/** Standard output, as far as it is a terminal. */
export interface ScreenStream {
  readonly columns?: number;
  readonly rows?: number;
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
}

/** What SIGTSTP does where nobody takes it. */
function stopThisProcess(): void {
  process.kill(process.pid, 'SIGSTOP');
}

export class WatchScreen {
  readonly #terminal: Terminal;
  readonly #stream: ScreenStream;
  #lines: (size: ScreenSize) => readonly string[] = () => [];
  readonly #redraw = () => this.#draw();
  readonly #onStop: () => void;
  /** Whoever stopped it: a shell has written over it since. */
  readonly #onContinue = () => {
    this.#terminal.out(ENTER);
    this.#draw();
  };

  /** @param stop stops this process until it is continued */
  constructor(terminal: Terminal, stream: ScreenStream, stop = stopThisProcess) {
    this.#terminal = terminal;
    this.#stream = stream;
    this.#onStop = () => {
      terminal.out(LEAVE);
      stop();
    };
  }

  enter(): void {
    this.#terminal.out(ENTER);
    this.#stream.on('resize', this.#redraw);
    process.on('SIGTSTP', this.#onStop);
    process.on('SIGCONT', this.#onContinue);
  }

  /** @param lines makes what is to be seen, now and when the size changes */
  show(lines: (size: ScreenSize) => readonly string[]): void {
    this.#lines = lines;
    this.#draw();
  }

  leave(): void {
    this.#stream.off('resize', this.#redraw);
    process.off('SIGTSTP', this.#onStop);
    process.off('SIGCONT', this.#onContinue);
    this.#terminal.out(LEAVE);
  }

  #draw(): void {
    // A terminal that does not know its size says 0.
    const columns = this.#stream.columns || DEFAULT_SIZE.columns;
    const rows = this.#stream.rows || DEFAULT_SIZE.rows;
    // A character in the last column leaves the cursor there, and what clears behind it takes it.
    const lines = this.#lines({ columns: columns - 1, rows }).map((line) => line + CLEAR_LINE_END);
    this.#terminal.out(HOME + lines.join('\r\n') + CLEAR_BELOW);
  }
}
