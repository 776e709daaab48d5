/**
 * The socket of a daemon: one word comes in, one line of JSON goes out, and the connection ends.
 *
 *   stat   the counters of the mount
 *   wait   answered when the mount is gone: whether the volume is consistent on disk
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Answers to the words that a daemon knows. */
export type ControlAnswers = Readonly<Record<string, () => Promise<unknown>>>;

/** What `wait` answers. */
export interface WaitAnswer {
  readonly clean: boolean;
  /** What went wrong and what to do, as the end of a sentence about the volume. */
  readonly error?: string;
}

/** No word is longer; who sends more is hung up on. */
const MOST_REQUEST_BYTES = 64;

export class ControlServer {
  readonly #server: Server;
  readonly #answers: ControlAnswers;
  readonly #open = new Set<Socket>();

  constructor(answers: ControlAnswers) {
    this.#answers = answers;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** Begins to answer on a Unix socket of this path. */
  async listen(path: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, () => resolve());
    });
    this.#server.unref();
  }

  #serve(socket: Socket): void {
    this.#open.add(socket);
    let word = '';
    socket.on('close', () => this.#open.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      word += chunk.toString();
      if (word.length > MOST_REQUEST_BYTES) socket.destroy();
      else if (word.endsWith('\n')) void this.#answer(socket, word.trim());
    });
  }

  async #answer(socket: Socket, word: string): Promise<void> {
    const make = Object.hasOwn(this.#answers, word) ? this.#answers[word] : undefined;
    let answer: unknown;
    try {
      answer = make ? await make() : { error: `unknown request ${word}` };
    } catch (thrown) {
      answer = { error: thrown instanceof Error ? thrown.message : String(thrown) };
    }
    socket.end(`${JSON.stringify(answer)}\n`);
  }

  /** Takes no more connections, and waits until those there are have ended. */
  async close(): Promise<void> {
    this.#server.close();
    await Promise.all(
      [...this.#open].map((socket) => new Promise((resolve) => socket.once('close', resolve))),
    );
  }
}

/**
 * Asks a daemon.
 * @returns its answer
 * @throws Error if it cannot be reached, or ends before it has answered
 */
export function askDaemon(path: string, word: string, signal?: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, ...(signal ? { signal } : {}) });
    let text = '';
    socket.on('connect', () => socket.write(`${word}\n`));
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('error', reject);
    socket.on('close', () => {
      if (!text.endsWith('\n')) reject(new Error('the daemon ended without an answer'));
      else resolve(JSON.parse(text));
    });
  });
}
