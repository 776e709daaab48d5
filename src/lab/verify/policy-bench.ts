/**
 * Where a policy is tried: a process of its own (policy-process.ts), which can be ended whatever
 * the policy does.
 *
 * It is started when it is needed, and again after it was ended. A hook that does not return, and a
 * process that ends, come back as broken rules, with the place that the process had reached.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AllocatorLoadError } from '../../alloc/registry.ts';
import type { BrokenRule } from './performer.ts';
import type { Order } from './policy-process.ts';
import { decodeProgress, encodeProgress, HOOK_NAMES, PROGRESS_BYTES, type Progress } from './progress.ts';
import type { Task, TaskResult } from './tasks.ts';

/** How long the module may take to load, and a hook to return. */
const LOAD_MILLISECONDS = 5000;
export const HOOK_MILLISECONDS = 3000;
/** A hook that is known not to return is not waited for as long. */
const KNOWN_HOOK_MILLISECONDS = 400;
/** Outside of its hooks a policy may do as much as this times a hook. */
const OUTSIDE_SHARE = 3;
/** Between two looks at how far the process is. */
const LOOK_MILLISECONDS = 100;

/** Tasks are done one at a time. */
export interface Bench {
  /** @throws what `signal` was given, if it was */
  perform(task: Task): Promise<TaskResult>;
  /** A hook is waited for as long as at first again: once one did not return, it is less. */
  takeTime(): void;
}

type Reply = Record<string, unknown>;

/** How a process came to its end, or what it is stuck in. */
interface Ended {
  readonly rule: 'returns' | 'outside';
  readonly answered: string;
  readonly why: string;
  /** It had to be ended. */
  readonly isStuck: boolean;
}

const IN_ITS_PLACE = 'a mount would refuse that, and go on with the built-in policy in its place';
const processFile = () => fileURLToPath(new URL('./policy-process.js', import.meta.url));

export class PolicyBench implements Bench {
  readonly #policy: string;
  readonly #signal: AbortSignal;
  readonly #progressFile: number;
  #child: ChildProcess | undefined;
  #hookMilliseconds = HOOK_MILLISECONDS;
  /** The policy's name, as soon as it was loaded. */
  name = '';

  private constructor(policy: string, signal: AbortSignal) {
    this.#policy = policy;
    this.#signal = signal;
    this.#progressFile = openNamelessFile();
    signal.addEventListener('abort', () => this.#kill(), { once: true });
  }

  /**
   * @param signal ends the process, and what waits for it
   * @throws AllocatorLoadError
   */
  static async open(policy: string, signal: AbortSignal): Promise<PolicyBench> {
    const bench = new PolicyBench(policy, signal);
    try {
      await bench.#start();
      return bench;
    } catch (thrown) {
      bench.close();
      throw thrown;
    }
  }

  close(): void {
    this.#kill();
    closeSync(this.#progressFile);
  }

  async perform(task: Task): Promise<TaskResult> {
    this.#signal.throwIfAborted();
    const child = this.#child;
    if (child === undefined) await this.#start();
    else if (child.exitCode !== null || child.signalCode !== null) {
      // Between two tasks, by a timer perhaps.
      this.#child = undefined;
      return this.#endedResult(endedBy(child.exitCode, child.signalCode));
    }
    const outcome = await this.#order(task, this.#hookMilliseconds);
    this.#signal.throwIfAborted();
    if ('ended' in outcome) {
      this.#kill();
      if (outcome.ended.isStuck) this.#hookMilliseconds = KNOWN_HOOK_MILLISECONDS;
      return this.#endedResult(outcome.ended);
    }
    const { result, uncaught, refusal, stack } = outcome.reply;
    if (refusal !== undefined) throw new Error(String(stack ?? refusal));
    const done = result as TaskResult;
    if (uncaught === undefined) return done;
    // It knows of the first error only.
    this.#kill();
    return done.broken === undefined
      ? { ...done, broken: this.#brokenOutside(`an error that nobody caught: ${uncaught}`, IN_ITS_PLACE) }
      : done;
  }

  takeTime(): void {
    this.#hookMilliseconds = HOOK_MILLISECONDS;
  }

  async #start(): Promise<void> {
    const nowhere = encodeProgress({ call: 0, hook: -1, round: 0, operation: 0, request: 0 });
    writeSync(this.#progressFile, nowhere, 0, PROGRESS_BYTES, 0);
    this.#child = fork(processFile(), [], {
      stdio: ['ignore', 2, 2, this.#progressFile, 'ipc'],
      execArgv: ['--expose-gc'],
      // A process group of its own: Ctrl-C is for us to hear.
      detached: true,
      env: { ...process.env, NODE_NO_WARNINGS: '1' },
    });
    // One that cannot be started does not finish loading either.
    this.#child.on('error', () => {});
    const outcome = await this.#order({ does: 'load', policy: this.#policy }, LOAD_MILLISECONDS);
    this.#signal.throwIfAborted();
    if ('ended' in outcome) {
      this.#kill();
      const says = outcome.ended.isStuck ? 'does not finish loading' : outcome.ended.answered;
      throw new AllocatorLoadError(`allocator module ${this.#policy}: ${says}`);
    }
    const { refusal, name } = outcome.reply;
    if (refusal !== undefined) throw new AllocatorLoadError(String(refusal));
    this.name = String(name);
  }

  /** Sends an order, and waits for the reply or the end. */
  #order(order: Order, milliseconds: number): Promise<{ reply: Reply } | { ended: Ended }> {
    const child = this.#child;
    if (child === undefined) throw new Error('there is no process to order about');
    const isLoading = order.does === 'load';
    let seen: Progress | undefined;
    let since = Date.now();
    return new Promise((resolve) => {
      const look = setInterval(() => {
        const place = this.#progress();
        const limit = isLoading || place.hook >= 0 ? milliseconds : OUTSIDE_SHARE * milliseconds;
        if (place.call !== seen?.call || place.hook !== seen.hook) {
          seen = place;
          since = Date.now();
        } else if (Date.now() - since >= limit) {
          finish({ ended: stuckIn(HOOK_NAMES[place.hook], limit) });
        }
      }, LOOK_MILLISECONDS);
      const onMessage = (reply: unknown) => finish({ reply: reply as Reply });
      const onExit = (code: number | null, signal: string | null) => finish({ ended: endedBy(code, signal) });
      const finish = (outcome: { reply: Reply } | { ended: Ended }) => {
        clearInterval(look);
        child.off('message', onMessage).off('exit', onExit);
        resolve(outcome);
      };
      child.on('message', onMessage).on('exit', onExit);
      child.send(order, () => {});
    });
  }

  #progress(): Progress {
    const bytes = new Uint8Array(PROGRESS_BYTES);
    readSync(this.#progressFile, bytes, 0, PROGRESS_BYTES, 0);
    return decodeProgress(bytes);
  }

  #endedResult({ rule, answered, why }: Ended): TaskResult {
    const { round, operation, request } = this.#progress();
    const broken: BrokenRule = { rule, asked: '', answered, why, at: operation, request };
    return { calls: 0, rounds: round + 1, outcomes: [], varies: false, bytesOfAFile: 0, broken };
  }

  #brokenOutside(answered: string, why: string): BrokenRule {
    const { operation, request } = this.#progress();
    return { rule: 'outside', asked: '', answered, why, at: operation, request };
  }

  #kill(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }
}

/** @param hook undefined: it is in none */
function stuckIn(hook: string | undefined, milliseconds: number): Ended {
  const within = `within ${milliseconds / 1000} s`;
  return hook === undefined
    ? {
        rule: 'outside',
        answered: `what it left for later does not end ${within}`,
        why: 'nothing ends it in a mount',
        isStuck: true,
      }
    : {
        rule: 'returns',
        answered: `nothing: ${hook}() did not return ${within}`,
        why: 'a mount would end it after 5 s if it computes, and go on with the built-in policy; if it waits, nothing ends it',
        isStuck: true,
      };
}

function endedBy(code: number | null, signal: string | null): Ended {
  const how = signal === null ? `with status ${code}` : `by ${signal}`;
  const why = signal === null ? IN_ITS_PLACE : 'a mount would end so too';
  return { rule: 'outside', answered: `it ended its process ${how}`, why, isStuck: false };
}

/** A file that goes with the last who has it open. */
function openNamelessFile(): number {
  const folder = mkdtempSync(join(tmpdir(), 'quarry-lab-'));
  try {
    return openSync(join(folder, 'progress'), 'w+');
  } finally {
    rmSync(folder, { recursive: true });
  }
}
