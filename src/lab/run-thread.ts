/**
 * A thread that carries out runs, for as long as they let it live.
 *
 * The code of a policy or a workload is somebody's: it may throw from a timer, call process.exit or
 * take all memory, and then the thread is gone. Its run has failed, and the next order begins a new
 * thread. Where a thread dies that had carried out other runs before, the timer may have been
 * theirs, so the run gets a thread of its own before it counts as failed.
 */
import { Worker } from 'node:worker_threads';
import { messageOf } from '../common/thrown.ts';
import type { RunOrder, RunReport } from './run-worker.ts';

export type RunEnding = Exclude<RunReport, { readonly kind: 'progress' }>;

/** What is under way. */
interface Waiting {
  readonly id: number;
  progress(share: number): void;
  /** Undefined if the thread died, and may have died of something else. */
  end(ending: RunEnding | undefined): void;
}

export class RunThread {
  #worker: Worker | undefined;
  #waiting: Waiting | undefined;
  /** Runs that the thread has ended. */
  #ended = 0;
  #isClosed = false;

  /** One at a time. Never rejects: what goes wrong is told as `failed`. */
  async carryOut(order: RunOrder, progress: (share: number) => void): Promise<RunEnding> {
    const stopped: RunEnding = { kind: 'stopped', id: order.id };
    for (;;) {
      if (this.#isClosed) return stopped;
      const ending = await this.#try(order, progress);
      if (ending !== undefined) return this.#isClosed ? stopped : ending;
    }
  }

  /** Ends the thread in the midst of its work; the run under way is `stopped`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#worker?.terminate();
  }

  #try(order: RunOrder, progress: (share: number) => void): Promise<RunEnding | undefined> {
    const worker = this.#worker ?? this.#begin();
    return new Promise((resolve) => {
      const end = (ending: RunEnding | undefined) => {
        this.#waiting = undefined;
        resolve(ending);
      };
      this.#waiting = { id: order.id, progress, end };
      worker.postMessage(order);
    });
  }

  #begin(): Worker {
    const worker = new Worker(new URL('./run-worker.js', import.meta.url));
    this.#worker = worker;
    this.#ended = 0;
    // Of a thread that throws, 'exit' tells as well, when it is somebody else's turn.
    const died = (reason: string) => {
      if (this.#worker === worker) this.#died(reason);
    };
    worker.on('message', (report: RunReport) => this.#heard(report));
    worker.on('error', (thrown) => died(`it ended its thread: ${messageOf(thrown)}`));
    worker.on('exit', (status) => died(`it ended its thread with status ${status}`));
    return worker;
  }

  #heard(report: RunReport): void {
    const waiting = this.#waiting;
    if (waiting?.id !== report.id) return;
    if (report.kind === 'progress') {
      waiting.progress(report.share);
      return;
    }
    this.#ended++;
    waiting.end(report);
  }

  #died(reason: string): void {
    this.#worker = undefined;
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    waiting.end(this.#ended > 0 ? undefined : { kind: 'failed', id: waiting.id, reason });
  }
}
