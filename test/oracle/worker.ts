/**
 * A process that does system calls on the mount, one at a time (worker.c), and its bytes.
 *
 * Bytes go through a file in memory that the process has mapped: `put` before a write, `take` after
 * a read.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Span } from './moment.ts';

/** Nothing that a worker does takes so long, unless something hangs. */
const CALL_LIMIT_MS = 60_000;

export interface Answer {
  /** From the call's begin, by the clock that the kernel stamps with, to its end. */
  readonly window: Span;
  /** 0 if it succeeded. */
  readonly errno: number;
  readonly words: string[];
}

export interface User {
  readonly uid: number;
  readonly gid: number;
}

interface Waiter {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

export class Worker {
  readonly index: number;
  #child: ChildProcessWithoutNullStreams;
  #exchange: number;
  #waiter: Waiter | undefined;
  #ended = '';
  #path: string;
  #isClosed = false;

  /**
   * @param program the compiled worker.c
   * @param folder outside of the mount, for the exchange file
   */
  constructor(index: number, program: string, mount: string, folder: string, exchangeBytes: number) {
    this.index = index;
    this.#path = join(folder, `exchange-${index}`);
    this.#exchange = openSync(this.#path, 'w+');
    ftruncateSync(this.#exchange, exchangeBytes);
    this.#child = spawn(program, [mount, this.#path, String(exchangeBytes)], { stdio: 'pipe' });
    this.#child.stdin.on('error', () => {});
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#hear(line));
    this.#child.on('close', (code, signal) =>
      this.#end(`worker ${index} ended: ${signal ?? `status ${code}`}`),
    );
    this.#child.on('error', (error) => this.#end(error.message));
  }

  #hear(line: string): void {
    const [before = '0', after = '0', result = '', ...words] = line.split(' ');
    const errno = result === 'ok' ? 0 : Number(words[0]);
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.resolve({ window: { from: BigInt(before), to: BigInt(after) }, errno, words });
  }

  #end(why: string): void {
    this.#ended = why;
    this.#waiter?.reject(new Error(why));
    this.#waiter = undefined;
  }

  /** One call at a time. @throws Error if the process has ended, or does not answer */
  call(user: User, verb: string, ...words: (string | number | bigint)[]): Promise<Answer> {
    if (this.#ended) return Promise.reject(new Error(this.#ended));
    if (this.#waiter) return Promise.reject(new Error(`worker ${this.index} is asked twice at once`));
    return new Promise((resolve, reject) => {
      const line = `${user.uid} ${user.gid} ${verb} ${words.join(' ')}`;
      const timer = setTimeout(
        () => this.#end(`no answer after ${CALL_LIMIT_MS / 1000} s: ${line}`),
        CALL_LIMIT_MS,
      );
      this.#waiter = {
        resolve: (answer) => {
          clearTimeout(timer);
          resolve(answer);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(new Error(`${error.message}, at: ${line}`));
        },
      };
      this.#child.stdin.write(`${line}\n`);
    });
  }

  put(bytes: Uint8Array): void {
    writeSync(this.#exchange, bytes, 0, bytes.length, 0);
  }

  take(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    readSync(this.#exchange, bytes, 0, length, 0);
    return bytes;
  }

  /** May be called again. */
  async end(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#child.exitCode === null && this.#child.signalCode === null && !this.#ended) {
      const closed = new Promise((resolve) => this.#child.once('close', resolve));
      this.#child.stdin.end();
      const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5000);
      await closed;
      clearTimeout(timer);
    }
    this.#child.kill('SIGKILL');
    closeSync(this.#exchange);
    rmSync(this.#path, { force: true });
  }
}
