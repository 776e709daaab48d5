/** Policies beside each other: by workload and measure, and over all. */
import type { FinishedRun } from './experiment.ts';
import { MEASURES, type Measure } from './measures.ts';
import { type Comparison, compare, type Estimate, estimate } from './statistics.ts';

export interface RankedPolicy {
  readonly policy: string;
  readonly estimate: Estimate;
  /** 1 + how many are better, over the seeds that all have; 1 is best. */
  readonly rank: number;
  /** Beside the best; of several that came out alike, each is the best. */
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

/** Is it the best, or may it be, for all that the seeds can tell? */
export function isAmongBest({ toBest }: RankedPolicy): boolean {
  return toBest === 'best' || toBest === 'cannot be told';
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

/** What one policy came to, seed by seed. */
interface Contender {
  readonly policy: string;
  readonly values: ReadonlyMap<number, number>;
  /** Over the seeds that all have. */
  readonly mean: number;
}

/** In the order of `policies`; all of those that have values. */
function contendersOf(measure: Measure, runs: readonly FinishedRun[]): Contender[] {
  const policies = [...new Set(runs.map(({ policy }) => policy))];
  const found = policies
    .map((policy) => {
      const own = runs.filter((run) => run.policy === policy);
      return { policy, values: valuesOf(own, measure) };
    })
    .filter(({ values }) => values.size > 0);
  const seeds = [...(found[0]?.values.keys() ?? [])];
  const common = seeds.filter((seed) => found.every(({ values }) => values.has(seed)));
  return found.map(({ policy, values }) => {
    // Where no seed is common to all, each has to stand for itself.
    const counted = common.length === 0 ? [...values.values()] : valuesAt(values, common);
    return { policy, values, mean: estimate(counted).mean };
  });
}

function valuesAt(values: ReadonlyMap<number, number>, seeds: readonly number[]): number[] {
  return seeds.flatMap((seed) => values.get(seed) ?? []);
}

function rankBy(workload: string, measure: Measure, runs: readonly FinishedRun[]): Ranking {
  const sign = measure.prefers === 'more' ? -1 : 1;
  const found = contendersOf(measure, runs).sort((one, other) => sign * (one.mean - other.mean));
  const best = found[0];
  const policies = found.map(({ policy, values, mean }): RankedPolicy => {
    // Those that are alike share the better rank.
    const rank = 1 + found.filter((other) => sign * (other.mean - mean) < 0).length;
    const own = estimate([...values.values()]);
    if (best === undefined || rank === 1) return { policy, estimate: own, rank, toBest: 'best' };
    const seeds = [...values.keys()].filter((seed) => best.values.has(seed));
    const toBest = compare(valuesAt(values, seeds), valuesAt(best.values, seeds), measure.prefers);
    return { policy, estimate: own, rank, toBest };
  });
  return { workload, measure: measure.name, policies };
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
      bestOn: places.filter(isAmongBest).length,
      workloads: places.length,
    };
  });
  return overall.sort((one, other) => other.bestOn - one.bestOn || one.meanRank - other.meanRank);
}
