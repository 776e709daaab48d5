/**
 * A thread that carries out runs, one after the other: an order comes in, `progress` and then
 * `done`, `stopped` or `failed` go out.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import { messageOf } from '../common/thrown.ts';
import {
  type Filesystem,
  KERNEL_FILESYSTEMS,
  kernelFilesystem,
  quarryFilesystem,
} from './mounts/filesystems.ts';
import { runMounted } from './mounts/mount-runner.ts';
import { loadPolicy, policyParts } from './policy-spec.ts';
import { policyContent, type RunContent, workloadContent } from './run-content.ts';
import type { AgeingPlan, RunResult, RunWatcher } from './runners/ageing-run.ts';
import { runModel } from './runners/model-runner.ts';
import { loadWorkload } from './workloads/registry.ts';
import type { Workload } from './workloads/workload.ts';

/** What mounts need. */
export interface Mounting {
  /** The command `quarry`: a program and its first words. */
  readonly command: readonly string[];
  /** Where the files behind the disks may lie. */
  readonly scratchDirectory: string;
}

/** What a run is, as it goes to a thread: names in the place of code. */
export interface RunOrder extends Omit<AgeingPlan, 'workload'> {
  readonly id: number;
  readonly runner: 'model' | 'mount';
  readonly policy: string;
  readonly workloadName: string;
  /** What the policy and the workload have to be made from. */
  readonly content: RunContent;
  readonly mounting: Mounting;
  /** Shared; not 0 when the run is to end. */
  readonly stopFlag: Int32Array;
}

export type RunReport =
  | { readonly kind: 'progress'; readonly id: number; readonly share: number }
  | { readonly kind: 'done'; readonly id: number; readonly result: RunResult }
  | { readonly kind: 'stopped'; readonly id: number }
  | { readonly kind: 'failed'; readonly id: number; readonly reason: string };

async function carryOut(order: RunOrder): Promise<RunReport> {
  const { id, stopFlag } = order;
  const isStopped = () => Atomics.load(stopFlag, 0) !== 0;
  try {
    const watcher = { isStopped, progress: (share: number) => report({ kind: 'progress', id, share }) };
    const result = await (order.runner === 'mount' ? mounted(order, watcher) : modelled(order, watcher));
    // What timers throw by now is the fault of this run, not of the next one.
    await wait(1);
    return isStopped() ? { kind: 'stopped', id } : { kind: 'done', id, result };
  } catch (thrown) {
    return { kind: 'failed', id, reason: messageOf(thrown) };
  }
}

/** @throws WorkloadLoadError; Error if it is made from something else by now */
async function workloadOf({ workloadName, content }: RunOrder): Promise<Workload> {
  const workload = await loadWorkload(workloadName);
  expectSame(workloadName, await workloadContent(workloadName, workload), content.workload);
  return workload;
}

function expectSame(name: string, found: string | undefined, asked: string | undefined): void {
  if (found !== asked) throw new Error(`${name} has changed since the beginning`);
}

async function modelled(order: RunOrder, watcher: RunWatcher): Promise<RunResult> {
  const { definition, options } = await loadPolicy(order.policy);
  expectSame(order.policy, await policyContent(order.policy), order.content.policy);
  const workload = await workloadOf(order);
  return runModel({ ...order, workload, allocator: definition, allocatorOptions: options }, watcher);
}

async function mounted(order: RunOrder, watcher: RunWatcher): Promise<RunResult> {
  const { mounting, policy } = order;
  const workload = await workloadOf(order);
  const filesystem = filesystemOf(policy, mounting.command);
  expectSame(policy, await policyContent(policy), order.content.policy);
  return runMounted({ ...order, ...mounting, workload, filesystem }, watcher);
}

function filesystemOf(policy: string, command: readonly string[]): Filesystem {
  if (KERNEL_FILESYSTEMS.includes(policy)) return kernelFilesystem(policy);
  const { name, options } = policyParts(policy);
  return quarryFilesystem({ command, allocator: name, allocatorOptions: options });
}

function report(message: RunReport): void {
  parentPort?.postMessage(message);
}

parentPort?.on('message', (order: RunOrder) => {
  void carryOut(order).then(report);
});
