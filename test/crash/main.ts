/**
 * One worker of a crash run, a process of its own: takes workloads off the plan until time is up or
 * it is told to stop, and tells its parent what it found. `process.argv[2]` holds its orders as
 * JSON.
 */
import { explore } from './explore.ts';
import { closeness, plannedWorkloads } from './plan.ts';
import { describeWorkload, record } from './workloads.ts';

export interface WorkerOrders {
  readonly seed: number;
  readonly worker: number;
  readonly workers: number;
  readonly seconds: number;
  readonly workload?: string;
  readonly state?: string;
  /** Begin with this workload. */
  readonly first?: string;
  /** Look at many workloads rather than closely at each. */
  readonly inPassing?: boolean;
  /** Stop after so many violations. */
  readonly violations: number;
}

export type WorkerReport =
  | { kind: 'states'; keys: Float64Array; workloads: number; workload: string }
  | {
      kind: 'violation';
      workload: string;
      description: string;
      state: string;
      where: string;
      what: string;
      /** States examined by this worker until then. */
      examined: number;
    }
  | { kind: 'done' };

const REPORT_EVERY_MS = 250;

function letMessagesIn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

class Worker {
  readonly #orders: WorkerOrders;
  readonly #end: number;
  #stopped = false;
  #keys: number[] = [];
  #examined = 0;
  #workloads = 0;
  #violations = 0;
  #workload = '';
  #lastReport = Date.now();

  constructor(orders: WorkerOrders) {
    this.#orders = orders;
    this.#end = Date.now() + orders.seconds * 1000;
    process.on('message', () => {
      this.#stopped = true;
    });
    // The parent is gone: nobody listens any more.
    process.on('disconnect', () => process.exit(1));
  }

  async run(): Promise<void> {
    for (const name of plannedWorkloads(this.#orders)) {
      this.#workload = name;
      await this.#runOne(name);
      this.#workloads++;
      await letMessagesIn();
      if (this.#isOver()) break;
    }
    this.#report();
    this.#send({ kind: 'done' });
  }

  #isOver(): boolean {
    return this.#stopped || this.#violations >= this.#orders.violations || Date.now() > this.#end;
  }

  async #runOne(workload: string): Promise<void> {
    const { seed, state: only, inPassing } = this.#orders;
    try {
      const options = { ...closeness(workload, seed, inPassing), only };
      const violation = await explore(await record(workload), options, (key) => this.#progress(key));
      if (violation) this.#violation(workload, violation.state, violation.where, violation.what);
    } catch (thrown) {
      const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
      this.#violation(workload, '', 'before any crash', text);
    }
  }

  #violation(workload: string, state: string, where: string, what: string): void {
    const description = describeWorkload(workload);
    this.#violations++;
    this.#send({ kind: 'violation', workload, description, state, where, what, examined: this.#examined });
  }

  async #progress(key: number): Promise<boolean> {
    this.#examined++;
    this.#keys.push(key);
    if (this.#keys.length % 16 === 0 && Date.now() - this.#lastReport > REPORT_EVERY_MS) {
      this.#report();
      await letMessagesIn();
    }
    return !this.#isOver();
  }

  #report(): void {
    this.#lastReport = Date.now();
    const keys = Float64Array.from(this.#keys);
    this.#keys = [];
    this.#send({ kind: 'states', keys, workloads: this.#workloads, workload: this.#workload });
  }

  #send(report: WorkerReport): void {
    process.send?.(report);
  }
}

await new Worker(JSON.parse(process.argv[2] ?? '{}') as WorkerOrders).run();
process.removeAllListeners('disconnect');
process.disconnect?.();
