/** Policies beside each other: by workload and measure, and over all. */
import type { FinishedRun } from './experiment.ts';
import { MEASURES, type Measure } from './measures.ts';
import { type Comparison, compare, type Estimate, estimate } from './statistics.ts';

export interface RankedPolicy {
  readonly policy: string;
  readonly estimate: Estimate;
  /** 1 is best. */
  readonly rank: number;
  /** Beside the best. */
  readonly toBest: Comparison | 'best';
}

/** The policies on one workload by one measure, the best first. */
export interface Ranking {
  readonly workload: string;
  readonly measure: string;
  readonly policies: readonly RankedPolicy[];
}

export interface OverallRank {
  readonly policy: string;
  readonly measure: string;
  readonly meanRank: number;
  /** Workloads on which it is the best, or cannot be told from it. */
  readonly bestOn: number;
  readonly workloads: number;
}

/** The measure at the end of each run, by the run's seed. */
function valuesOf(runs: readonly FinishedRun[], measure: Measure): Map<number, number> {
  const values = new Map<number, number>();
  for (const { seed, result } of runs) {
    const last = result.samples.at(-1);
    const value = last === undefined ? undefined : measure.of(last);
    if (value !== undefined) values.set(seed, value);
  }
  return values;
}

function rankBy(workload: string, measure: Measure, runs: readonly FinishedRun[]): Ranking {
  const policies = [...new Set(runs.map(({ policy }) => policy))];
  const found = policies
    .map((policy) => {
      const values = valuesOf(
        runs.filter((run) => run.policy === policy),
        measure,
      );
      return { policy, values, estimate: estimate([...values.values()]) };
    })
    .filter(({ values }) => values.size > 0);
  const sign = measure.prefers === 'more' ? -1 : 1;
  found.sort((one, other) => sign * (one.estimate.mean - other.estimate.mean));
  const best = found[0];
  return {
    workload,
    measure: measure.name,
    policies: found.map(({ policy, values, estimate: own }, index) => {
      if (best === undefined || index === 0) return { policy, estimate: own, rank: 1, toBest: 'best' };
      const seeds = [...values.keys()].filter((seed) => best.values.has(seed));
      const pairs = (of: ReadonlyMap<number, number>) => seeds.map((seed) => of.get(seed) ?? 0);
      const toBest = compare(pairs(values), pairs(best.values), measure.prefers);
      return { policy, estimate: own, rank: index + 1, toBest };
    }),
  };
}

export function rankingsOf(runs: readonly FinishedRun[]): Ranking[] {
  const workloads = [...new Set(runs.map(({ workload }) => workload))];
  return workloads.flatMap((workload) => {
    const own = runs.filter((run) => run.workload === workload);
    return MEASURES.map((measure) => rankBy(workload, measure, own));
  });
}

/** Over all workloads, the best first. */
export function overallOf(rankings: readonly Ranking[], measure: string): OverallRank[] {
  const own = rankings.filter((ranking) => ranking.measure === measure);
  const policies = [...new Set(own.flatMap((ranking) => ranking.policies.map(({ policy }) => policy)))];
  const overall = policies.map((policy) => {
    const places = own.flatMap((ranking) => ranking.policies.filter((one) => one.policy === policy));
    return {
      policy,
      measure,
      meanRank: places.reduce((sum, { rank }) => sum + rank, 0) / Math.max(1, places.length),
      bestOn: places.filter(({ toBest }) => toBest === 'best' || toBest === 'cannot be told').length,
      workloads: places.length,
    };
  });
  return overall.sort((one, other) => other.bestOn - one.bestOn || one.meanRank - other.meanRank);
}
