/**
 * A screen that is drawn again and again: the terminal's alternate one, so that what was there
 * before is there again when it is left.
 *
 * Lines are written over the ones before, never onto a cleared screen, which would flicker. Whoever
 * enters it has to leave it, whatever happens.
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

export class WatchScreen {
  readonly #terminal: Terminal;
  readonly #stream: ScreenStream;
  #lines: (size: ScreenSize) => readonly string[] = () => [];
  readonly #redraw = () => this.#draw();

  constructor(terminal: Terminal, stream: ScreenStream) {
    this.#terminal = terminal;
    this.#stream = stream;
  }

  enter(): void {
    this.#terminal.out(ENTER);
    this.#stream.on('resize', this.#redraw);
    // Stopped by Ctrl-Z and continued: a shell has written over it.
    process.on('SIGCONT', this.#redraw);
  }

  /** @param lines makes what is to be seen, now and when the size changes */
  show(lines: (size: ScreenSize) => readonly string[]): void {
    this.#lines = lines;
    this.#draw();
  }

  leave(): void {
    this.#stream.off('resize', this.#redraw);
    process.off('SIGCONT', this.#redraw);
    this.#terminal.out(LEAVE);
  }

  #draw(): void {
    // A terminal that does not know its size says 0.
    const columns = this.#stream.columns || DEFAULT_SIZE.columns;
    const rows = this.#stream.rows || DEFAULT_SIZE.rows;
    const lines = this.#lines({ columns, rows }).map((line) => line + CLEAR_LINE_END);
    this.#terminal.out(HOME + lines.join('\r\n') + CLEAR_BELOW);
  }
}
