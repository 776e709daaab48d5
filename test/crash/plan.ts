/**
 * Which workloads a run takes, in which order, and how closely it looks at each.
 *
 * In turn: the scenarios; the sequences of one operation; those of two, scattered over all of them
 * and none twice; random workloads, without end. A run is cut off by time or by the number of
 * states; the list is the same for the same seed.
 */
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import type { ExploreOptions } from './explore.ts';
import { oneOperation, scenarioWorkloads, TWO_OPERATIONS, twoOperations } from './workloads.ts';

export const FAMILIES = ['rule', 'ace1', 'ace2', 'random'] as const;
export type Family = (typeof FAMILIES)[number];

export interface PlanOptions {
  readonly seed: number;
  /** This worker takes every `workers`th workload, beginning with its own number. */
  readonly worker: number;
  readonly workers: number;
  /** One family only, or one workload by its name. */
  readonly workload?: string | undefined;
  /** A workload to begin with. */
  readonly first?: string | undefined;
}

export function* plannedWorkloads(options: PlanOptions): Generator<string> {
  const { worker, workers } = options;
  let number = 0;
  for (const name of allWorkloads(options)) if (number++ % workers === worker) yield name;
}

function* allWorkloads({ seed, workload, worker, first }: PlanOptions): Generator<string> {
  if (first !== undefined) yield first;
  if (workload !== undefined && !FAMILIES.some((family) => family === workload)) {
    // A single workload is for the first worker; the others have nothing to do.
    if (worker === 0) yield workload;
    return;
  }
  const takes = (family: Family) => workload === undefined || workload === family;
  const ones = takes('ace1') ? oneOperation() : [];
  const rules = takes('rule') ? scenarioWorkloads() : [];
  for (let i = 0; ; i++) {
    const rule = rules[scattered(i, seed, rules.length)];
    if (rule !== undefined && i < rules.length) yield rule;
    const one = ones[scattered(i, seed, ones.length)];
    if (one !== undefined && i < ones.length) yield one;
    if (takes('ace2') && i < TWO_OPERATIONS) yield twoOperations(scattered(i, seed, TWO_OPERATIONS));
    if (takes('random')) yield `random-${seed * 1_000_000 + i}`;
    if (!takes('random') && i >= (takes('ace2') ? TWO_OPERATIONS : ones.length + rules.length)) return;
  }
}

/** The numbers below `count`, each once, and soon from all parts of the range. */
function scattered(i: number, seed: number, count: number): number {
  if (count === 0) return 0;
  let step = Math.ceil(count * 0.618);
  while (greatestCommonDivisor(step, count) !== 1) step++;
  return (new SeededRandom(seed).below(count) + i * step) % count;
}

function greatestCommonDivisor(left: number, right: number): number {
  return right === 0 ? left : greatestCommonDivisor(right, left % right);
}

/**
 * How closely: short workloads nearly wholly; of four random ones, three in passing and one in more
 * detail; or all in passing.
 */
export function closeness(name: string, seed: number, inPassing = false): ExploreOptions {
  const [family, number] = name.split('-');
  if (inPassing) return { seed, ...PASSING };
  if (family !== 'random') return { seed, ...CLOSE };
  return { seed, ...(Number(number) % 4 === 0 ? DETAILED : PASSING) };
}

const CLOSE = {
  depth: 2,
  recoveryEvery: 16,
  budget: { exhaustive: 64, samples: 12, singles: 6, cuts: 15 },
  recoveryBudget: { exhaustive: 16, samples: 3, singles: 2, cuts: 3 },
};
const DETAILED = { ...CLOSE, recoveryEvery: 32, budget: { ...CLOSE.budget, samples: 8, singles: 3 } };
const PASSING = {
  ...CLOSE,
  recoveryEvery: 64,
  budget: { exhaustive: 4, samples: 2, singles: 1, cuts: 1 },
};
