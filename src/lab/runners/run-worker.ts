/**
 * A thread that carries out runs, one after the other: `{ run, … }` comes in, `progress` and then
 * `done` or `failed` go out.
 */
import { parentPort } from 'node:worker_threads';
import { messageOf } from '../../common/thrown.ts';
import { loadPolicy } from '../policy-spec.ts';
import { loadWorkload } from '../workloads/registry.ts';
import { type RunPlan, type RunResult, runModel } from './model-runner.ts';

/** What a run is, as it goes to a thread: names in the place of code. */
export interface RunOrder extends Omit<RunPlan, 'allocator' | 'allocatorOptions' | 'workload'> {
  readonly id: number;
  readonly policy: string;
  readonly workloadName: string;
}

export type RunReport =
  | { readonly kind: 'progress'; readonly id: number; readonly share: number }
  | { readonly kind: 'done'; readonly id: number; readonly result: RunResult }
  | { readonly kind: 'failed'; readonly id: number; readonly reason: string };

async function carryOut(order: RunOrder): Promise<RunReport> {
  const { id } = order;
  try {
    const { definition, options } = await loadPolicy(order.policy);
    const plan: RunPlan = {
      ...order,
      allocator: definition,
      allocatorOptions: options,
      workload: await loadWorkload(order.workloadName),
    };
    const result = await runModel(plan, {
      progress: (share) => report({ kind: 'progress', id, share }),
      isStopped: () => false,
    });
    return { kind: 'done', id, result };
  } catch (thrown) {
    return { kind: 'failed', id, reason: messageOf(thrown) };
  }
}

function report(message: RunReport): void {
  parentPort?.postMessage(message);
}

parentPort?.on('message', (order: RunOrder) => {
  void carryOut(order).then(report);
});
