/** A page in a headless Chromium, steered over pipes by its DevTools protocol. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

export function hasChromium(): boolean {
  try {
    execFileSync('chromium', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export class HeadlessPage {
  /** Methods of what the page complained of: errors thrown, and entries of its log. */
  readonly complaints: string[] = [];
  readonly #child: ChildProcess;
  readonly #profile = mkdtempSync(join(tmpdir(), 'quarry-chromium-'));
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #next = 1;
  #session = '';

  constructor() {
    const quiet = ['--disable-quic', '--no-first-run', '--disable-component-update', '--disable-sync'];
    const words = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      ...quiet,
    ];
    this.#child = spawn(
      'chromium',
      [...words, `--user-data-dir=${this.#profile}`, '--remote-debugging-pipe', 'about:blank'],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true },
    );
    let text = '';
    (this.#child.stdio[4] as Readable).setEncoding('utf8').on('data', (part: string) => {
      const lines = (text + part).split('\0');
      text = lines.pop() ?? '';
      for (const line of lines) this.#heard(JSON.parse(line));
    });
  }

  #heard(answer: Answer): void {
    if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer);
    else if (/^(Runtime\.exceptionThrown|Log\.entryAdded)$/.test(answer.method ?? ''))
      this.complaints.push(JSON.stringify(answer));
  }

  async #ask(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = this.#next++;
    const session = this.#session === '' ? {} : { sessionId: this.#session };
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    (this.#child.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    const { result, error } = await answered;
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  async open(url: string): Promise<void> {
    const { targetId } = await this.#ask('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.#ask('Target.attachToTarget', { targetId, flatten: true });
    this.#session = String(sessionId);
    await this.#ask('Runtime.enable');
    await this.#ask('Log.enable');
    await this.#ask('Page.navigate', { url });
    while ((await this.evaluate('location.href + document.readyState')) !== `${url}complete`)
      await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** @returns the value of an expression of the page */
  async evaluate(expression: string): Promise<unknown> {
    const { result } = await this.#ask('Runtime.evaluate', { expression, returnByValue: true });
    return (result as { value?: unknown }).value;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    // With the processes that it made, which write into the profile too.
    if (this.#child.pid !== undefined) process.kill(-this.#child.pid, 'SIGKILL');
    await ended;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
