/**
 * The process that a policy is tried in: whatever it does there, it does to this process only.
 *
 * The parent (policy-bench.ts) starts it, sends one task after the other, and kills it when a hook
 * does not return. Where the policy is, stands in a small file that both have open: a hook that
 * never returns leaves no moment for a message. A parent that is gone kills nobody, so a thread
 * looks whether it is there.
 */
import { writeSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { AllocatorDefinition } from '../../alloc/allocator.ts';
import { describeThrown } from '../../alloc/foreign-values.ts';
import { loadPolicy } from '../policy-spec.ts';
import { encodeProgress, HOOK_NAMES, PROGRESS_BYTES, PROGRESS_DESCRIPTOR } from './progress.ts';
import { performTask, type Task, type TaskObserver } from './tasks.ts';

export type Order = { readonly does: 'load'; readonly policy: string } | Task;

let definition: AllocatorDefinition | undefined;
/** What nobody caught while the module was at work, the first time. */
let uncaught: string | undefined;

class ProgressWriter implements TaskObserver {
  #calls = 0;
  #round = 0;
  #operation = 0;
  #request = 0;

  round(round: number): void {
    this.#round = round;
  }

  at(operation: number, request: number): void {
    this.#operation = operation;
    this.#request = request;
  }

  enter(hook: (typeof HOOK_NAMES)[number]): void {
    this.#calls = (this.#calls + 1) % 2 ** 30;
    this.#write(HOOK_NAMES.indexOf(hook));
  }

  leave(): void {
    this.#write(-1);
  }

  #write(hook: number): void {
    const bytes = encodeProgress({
      call: this.#calls,
      hook,
      round: this.#round,
      operation: this.#operation,
      request: this.#request,
    });
    writeSync(PROGRESS_DESCRIPTOR, bytes, 0, PROGRESS_BYTES, 0);
  }
}

const progress = new ProgressWriter();

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

async function carryOut(order: Order): Promise<Record<string, unknown>> {
  if (order.does === 'load') {
    const { definition: loaded, options } = await loadPolicy(order.policy);
    definition = { ...loaded, create: (space) => loaded.create(space, options) };
    return { name: loaded.name };
  }
  if (definition === undefined) throw new Error('no policy is loaded');
  const result = performTask(definition, order, progress, heapBytes);
  // What the policy has left for later shows now.
  await nextTurn();
  return { result };
}

/** Text, since the thread is to load nothing. */
const PARENT_WATCH = `
const parent = process.ppid;
setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), 1000);`;
new Worker(PARENT_WATCH, { eval: true }).unref();

process.on('uncaughtException', (thrown) => {
  uncaught ??= describeThrown(thrown);
});
process.on('unhandledRejection', (reason) => {
  uncaught ??= describeThrown(reason);
});
process.on('disconnect', () => process.exit());
process.on('message', async (order: Order) => {
  let reply: Record<string, unknown>;
  try {
    reply = await carryOut(order);
  } catch (thrown) {
    const stack = thrown instanceof Error ? thrown.stack : undefined;
    reply = { refusal: describeThrown(thrown), stack };
  }
  process.send?.({ ...reply, uncaught });
});
