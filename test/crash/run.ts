/**
 * A crash run: compiles this folder with all it imports to a folder of its own, starts workers
 * there, and puts together what they find. Compiled code runs several times faster here than in a
 * test runner, and a copy can be mutated (mutations.ts).
 */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KeySet } from '../../src/sim/crash-hash.ts';
import type { WorkerOrders, WorkerReport } from './main.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A compiled copy of the simulator and the product. */
export interface Build {
  readonly folder: string;
  remove(): void;
}

export async function build(): Promise<Build> {
  const folder = mkdtempSync(join(tmpdir(), 'quarry-crash-'));
  const args = ['-p', 'test/crash/tsconfig.json', '--outDir', folder];
  const status = await new Promise((resolve, reject) => {
    const compiler = spawn(join(ROOT, 'node_modules/.bin/tsc'), args, { cwd: ROOT, stdio: 'inherit' });
    compiler.on('error', reject).on('close', resolve);
  });
  if (status !== 0) throw new Error('the crash simulator does not compile');
  furnish(folder);
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** What compiled code expects beside it: the addon, the packages, and that it is ESM. */
export function furnish(folder: string): void {
  for (const name of ['build', 'node_modules']) symlinkSync(join(ROOT, name), join(folder, name));
  copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
}

export interface RunOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly workers: number;
  readonly workload?: string | undefined;
  readonly state?: string | undefined;
  /** Begin with this workload. */
  readonly first?: string | undefined;
  /** Look at many workloads rather than closely at each. */
  readonly inPassing?: boolean | undefined;
  /** Stop after so many different states; default: never. */
  readonly states?: number | undefined;
  /** Stop after so many violations; default 1. */
  readonly violations?: number | undefined;
  /** Told now and then. */
  readonly progress?: ((summary: RunSummary) => void) | undefined;
}

export type Violation = Extract<WorkerReport, { kind: 'violation' }>;

export interface RunSummary {
  readonly workloads: number;
  /** Different disks examined. */
  readonly distinct: number;
  /** All examinations: the same disk may come up in several workloads, under other promises. */
  readonly examined: number;
  readonly seconds: number;
  readonly violations: readonly Violation[];
  /** Workers that ended badly. */
  readonly failures: readonly string[];
}

class CrashRun {
  readonly #keys = new KeySet();
  readonly #start = Date.now();
  readonly #violations: Violation[] = [];
  readonly #failures: string[] = [];
  readonly #mostViolations: number;
  readonly #workers: ChildProcess[] = [];
  readonly #workloads: number[] = [];
  #examined = 0;

  constructor(
    readonly folder: string,
    readonly options: RunOptions,
  ) {
    this.#mostViolations = options.violations ?? 1;
  }

  async run(): Promise<RunSummary> {
    const { workers } = this.options;
    await Promise.all(Array.from({ length: workers }, (_, worker) => this.#runWorker(worker)));
    return this.#summary();
  }

  #summary(): RunSummary {
    return {
      workloads: this.#workloads.reduce((sum, count) => sum + count, 0),
      distinct: this.#keys.size,
      examined: this.#examined,
      seconds: (Date.now() - this.#start) / 1000,
      violations: this.#violations,
      failures: this.#failures,
    };
  }

  #runWorker(worker: number): Promise<void> {
    const { seed, seconds, workers, workload, state, first, inPassing } = this.options;
    const limits = { seconds, violations: this.#mostViolations };
    const what = { workload, state, first, inPassing };
    const orders = { seed, workers, worker, ...limits, ...what } as WorkerOrders;
    const child = fork(join(this.folder, 'test/crash/main.js'), [JSON.stringify(orders)], {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      execArgv: [],
    });
    this.#workers.push(child);
    let isDone = false;
    child.on('message', (report: WorkerReport) => {
      if (report.kind === 'done') isDone = true;
      else this.#take(worker, report);
    });
    return new Promise((resolve) => {
      child.on('error', (error) => this.#failures.push(error.message));
      child.on('close', (code, signal) => {
        if (!isDone) this.#failures.push(`worker ${worker} ended with ${signal ?? code}`);
        resolve();
      });
    });
  }

  #take(worker: number, report: Exclude<WorkerReport, { kind: 'done' }>): void {
    const { states, progress } = this.options;
    if (report.kind === 'violation') {
      this.#violations.push(report);
      if (this.#violations.length >= this.#mostViolations) this.#stop();
      return;
    }
    for (const key of report.keys) this.#keys.add(key);
    this.#examined += report.keys.length;
    this.#workloads[worker] = report.workloads;
    if (states !== undefined && this.#keys.size >= states) this.#stop();
    progress?.(this.#summary());
  }

  #stop(): void {
    // One that has just ended does not hear it, and need not.
    for (const child of this.#workers) if (child.connected) child.send('stop', () => {});
  }
}

export function runCrashes(folder: string, options: RunOptions): Promise<RunSummary> {
  return new CrashRun(folder, options).run();
}

/** What happened, and the one command that makes it happen again. */
export function describeViolation(violation: Violation, seed: number, mutation?: string): string {
  const { workload, description, state, where, what } = violation;
  const repeat = [
    `npm run crash -- --seed ${seed} --workload ${workload}`,
    ...(state ? [`--state ${state}`] : []),
    ...(mutation ? [`--mutation ${mutation}`] : []),
  ].join(' ');
  return [
    `VIOLATION in workload ${workload} (${description}), seed ${seed}`,
    `  ${where}`,
    `  ${what.replaceAll('\n', '\n  ')}`,
    `  repeat: ${repeat}`,
  ].join('\n');
}
