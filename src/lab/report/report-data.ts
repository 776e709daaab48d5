/** What a report is made of: the results as they were written, sorted by workload and policy. */
import type { Configuration, RunKey } from '../experiment.ts';
import type { Measure } from '../measures.ts';
import { type Ranking, rankingsOf } from '../ranking.ts';
import { ResultsDirectory, readResults, type WrittenResults } from '../results-directory.ts';
import type { RunDetail } from '../run-detail.ts';
import type { RunSample } from '../runners/ageing-run.ts';
import type { CostFigures } from '../runners/allocation-stopwatch.ts';
import { type Estimate, estimate } from '../statistics.ts';

/** Of a line; more are no other picture. */
const MOST_POINTS = 100;

export interface ReportRun extends RunKey {
  readonly samples: readonly RunSample[];
}

/** What one policy came to at one sample, over all seeds. */
export interface ChurnPoint extends Estimate {
  readonly policy: string;
  readonly churn: number;
}

export class ReportData {
  readonly configuration: Configuration;
  readonly hash: string;
  readonly runs: readonly ReportRun[];
  readonly failed: WrittenResults['failed'];
  readonly rankings: readonly Ranking[];
  /** Those that have runs, in the order of the configuration. */
  readonly policies: readonly string[];
  readonly workloads: readonly string[];
  readonly #directory: ResultsDirectory;

  /** @throws the error of results.json; Error with a sentence if it is none */
  constructor(path: string) {
    const { hash, configuration, runs, failed } = readResults(path);
    this.hash = hash;
    this.configuration = configuration;
    this.runs = runs.filter(({ samples }) => samples.length > 0);
    this.failed = failed;
    const finished = runs.map(({ samples, ...key }) => ({
      ...key,
      result: { samples, cost: { operationsPerSecond: 0, seconds: 0 } },
    }));
    this.rankings = rankingsOf(finished);
    const has = (name: 'policy' | 'workload', value: string) => this.runs.some((run) => run[name] === value);
    this.policies = configuration.policies.filter((policy) => has('policy', policy));
    this.workloads = configuration.workloads.filter((workload) => has('workload', workload));
    this.#directory = new ResultsDirectory(path, hash);
  }

  /** Of all seeds. */
  runsOf(workload: string, policy: string): ReportRun[] {
    return this.runs.filter((run) => run.workload === workload && run.policy === policy);
  }

  /** Read anew each time; undefined if nobody kept it. */
  detailOf(run: RunKey): RunDetail | undefined {
    return this.#directory.detailOf(run);
  }

  /** Of the run of the first seed. */
  firstDetailOf(workload: string, policy: string): RunDetail | undefined {
    const run = this.runsOf(workload, policy)[0];
    return run === undefined ? undefined : this.detailOf(run);
  }

  /** What a run took on this machine; undefined if nobody kept it. */
  costOf(run: RunKey): CostFigures | undefined {
    return this.#directory.recall(run)?.result.cost;
  }

  /** Of each sample; the mean over seeds. */
  churnsOf(workload: string, policy: string): number[] {
    const runs = this.runsOf(workload, policy);
    const most = Math.max(0, ...runs.map(({ samples }) => samples.length));
    return Array.from({ length: most }, (_, index) => {
      const churns = runs.flatMap(({ samples }) => samples[index]?.churn ?? []);
      return churns.reduce((sum, churn) => sum + churn, 0) / churns.length;
    });
  }

  /** Sample after sample, as many as a line needs; none where the measure has no value. */
  overChurn(workload: string, policy: string, of: Measure['of']): ChurnPoint[] {
    const runs = this.runsOf(workload, policy);
    const churns = this.churnsOf(workload, policy);
    const points = spreadIndices(churns.length, MOST_POINTS).map((index) => {
      const samples = runs.flatMap(({ samples: all }) => all[index] ?? []);
      const values = samples.flatMap((sample) => of(sample) ?? []).filter(Number.isFinite);
      return { policy, churn: churns[index] ?? 0, ...estimate(values) };
    });
    return points.filter(({ count }) => count > 0);
  }
}

/** At most so many indices of a list, evenly spread, with the first and the last. */
export function spreadIndices(length: number, most: number): number[] {
  if (length <= most) return Array.from({ length }, (_, index) => index);
  return Array.from({ length: most }, (_, index) => Math.round((index * (length - 1)) / (most - 1)));
}
