/**
 * Carries out an experiment: threads take one run after the other; what is done is written at once,
 * and whoever begins again goes on from there.
 *
 *   OUT/runs/POLICY-WORKLOAD-SEED.json   one run, with the hash of its configuration
 *   OUT/results.json, samples.csv, ranking.csv   all of them
 *   OUT/details/POLICY-WORKLOAD-SEED.json   what its figures are drawn from
 *   OUT/costs.csv                        what took how long on this machine
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Configuration, type FinishedRun, hashOf, type RunKey, runsOf } from './experiment.ts';
import { Scratch } from './mounts/scratch.ts';
import { type Ranking, rankingsOf } from './ranking.ts';
import { removeReport } from './report/old-report.ts';
import { costsCsv, rankingCsv, samplesCsv } from './report/tables.ts';
import { json, ResultsDirectory } from './results-directory.ts';
import { contentOfRun, type RunContent } from './run-content.ts';
import { type RunEnding, RunThread } from './run-thread.ts';
import type { Mounting, RunOrder } from './run-worker.ts';
import type { RunResult } from './runners/ageing-run.ts';

/** A run that could not be carried out. */
export interface FailedRun extends RunKey {
  readonly reason: string;
}

export interface LabOptions {
  readonly configuration: Configuration;
  readonly outDirectory: string;
  /** Runs of the same configuration that are there already are not carried out again. */
  readonly resume: boolean;
  readonly threads: number;
  /** What mounts need; not of the configuration, since it decides nothing. */
  readonly mounting: Mounting;
  /** @param share of all the work, 0 to 1 */
  progress(share: number, finished: number, all: number): void;
}

export interface LabResults {
  readonly runs: readonly FinishedRun[];
  readonly failed: readonly FailedRun[];
  readonly rankings: readonly Ranking[];
  readonly isComplete: boolean;
}

export class Laboratory {
  readonly #options: LabOptions;
  readonly #directory: ResultsDirectory;
  readonly #all: RunKey[];
  readonly #finished: (FinishedRun | undefined)[];
  readonly #failed: (FailedRun | undefined)[];
  readonly #shares: number[];
  #next = 0;
  #stopped = false;
  #mounting: Mounting;
  readonly #threads = new Set<RunThread>();
  /** Not 0: runs end by themselves, as soon as they look. */
  readonly #stopFlag = new Int32Array(new SharedArrayBuffer(4));

  constructor(options: LabOptions) {
    this.#options = options;
    this.#mounting = options.mounting;
    this.#directory = new ResultsDirectory(options.outDirectory, hashOf(options.configuration));
    this.#all = runsOf(options.configuration);
    this.#finished = this.#all.map(() => undefined);
    this.#failed = this.#all.map(() => undefined);
    this.#shares = this.#all.map(() => 0);
  }

  /** Ends the runs under way; `run` resolves with what is done. */
  stop(): void {
    this.#stopped = true;
    Atomics.store(this.#stopFlag, 0, 1);
    // Whoever has mounts takes them away before it ends.
    if (this.#options.configuration.runner === 'mount') return;
    for (const thread of this.#threads) void thread.close();
  }

  /** @throws the error of the directory for the results, when all runs have ended */
  async run(): Promise<LabResults> {
    mkdirSync(join(this.#options.outDirectory, 'runs'), { recursive: true });
    if (this.#options.resume) for (const [index, key] of this.#all.entries()) this.#recall(key, index);
    await (this.#options.configuration.runner === 'mount' ? this.#workWithMounts() : this.#workAll());
    const runs = this.#finished.filter((run): run is FinishedRun => run !== undefined);
    const failed = this.#failed.filter((run): run is FailedRun => run !== undefined);
    const rankings = rankingsOf(runs);
    const results = { runs, failed, rankings, isComplete: runs.length === this.#all.length };
    this.#write(results);
    return results;
  }

  async #workWithMounts(): Promise<void> {
    const scratch = new Scratch(this.#mounting.scratchDirectory);
    this.#mounting = { ...this.#mounting, scratchDirectory: scratch.path };
    try {
      await this.#workAll();
    } finally {
      scratch.remove();
    }
  }

  /** What goes wrong with the results stops all threads, and is thrown when they have ended. */
  async #workAll(): Promise<void> {
    const count = Math.min(this.#options.threads, this.#all.length);
    const ends = await Promise.allSettled(Array.from({ length: count }, () => this.#work()));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** One thread, until nothing is left to do. */
  async #work(): Promise<void> {
    const thread = new RunThread();
    this.#threads.add(thread);
    try {
      for (let index = this.#take(); index !== undefined; index = this.#take()) {
        await this.#carryOut(thread, index);
      }
    } catch (thrown) {
      this.stop();
      throw thrown;
    } finally {
      this.#threads.delete(thread);
      await thread.close();
    }
  }

  #take(): number | undefined {
    while (this.#finished[this.#next] !== undefined) this.#next++;
    return this.#stopped || this.#next >= this.#all.length ? undefined : this.#next++;
  }

  async #carryOut(thread: RunThread, id: number): Promise<void> {
    const key = this.#all[id];
    if (key === undefined) return;
    const ending = await thread.carryOut(this.#orderOf(key, id), (share) => this.#progress(id, share));
    this.#end(key, id, ending);
  }

  #orderOf({ policy, workload, seed }: RunKey, id: number): RunOrder {
    const { configuration } = this.#options;
    const { runner, sizeBytes, blockBytes, fullness, churn, samples } = configuration;
    const plan = { sizeBytes, blockBytes, fullness, churn, samples, seed };
    const names = { policy, workloadName: workload, content: this.#contentOf({ policy, workload }) };
    return { id, runner, mounting: this.#mounting, stopFlag: this.#stopFlag, ...names, ...plan };
  }

  #contentOf(key: Pick<RunKey, 'policy' | 'workload'>): RunContent {
    return contentOfRun(this.#options.configuration.contents, key);
  }

  #end(key: RunKey, id: number, ending: RunEnding): void {
    if (ending.kind === 'done') this.#keep(key, id, ending.result);
    else if (ending.kind === 'failed') this.#failed[id] = { ...key, reason: ending.reason };
  }

  #progress(id: number, share: number): void {
    this.#shares[id] = share;
    const sum = this.#shares.reduce((all, one) => all + one, 0);
    const finished = this.#finished.filter((run) => run !== undefined).length;
    this.#options.progress(sum / this.#all.length, finished, this.#all.length);
  }

  #keep(key: RunKey, id: number, { detail, ...result }: RunResult): void {
    const whole = detail === undefined ? result : { ...result, detail };
    this.#directory.keep({ ...key, result: whole }, this.#contentOf(key));
    // What is drawn is large, and read again when it is.
    this.#finished[id] = { ...key, result };
    this.#progress(id, 1);
  }

  #recall(key: RunKey, id: number): void {
    const kept = this.#directory.recall(key, this.#contentOf(key));
    if (kept === undefined) return;
    this.#finished[id] = kept;
    this.#shares[id] = 1;
  }

  #write({ runs, failed, rankings }: LabResults): void {
    const { configuration } = this.#options;
    const directory = this.#directory;
    const { hash } = directory;
    const measured = runs.map(({ result: { samples }, ...key }) => ({ ...key, samples }));
    // The page that is there is of other results; a new one may not come, as after a stop.
    removeReport(directory.path);
    const results = { hash, configuration, rankings, failed, runs: measured };
    directory.write('results.json', json(results));
    directory.write('samples.csv', samplesCsv(runs, hash));
    directory.write('ranking.csv', rankingCsv(rankings, hash));
    directory.write('costs.csv', costsCsv(runs, hash));
  }
}
