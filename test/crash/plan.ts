/**
 * Which workloads a run takes, in which order, and how closely it looks at each.
 *
 * In turn: the sequences of one operation; those of two, scattered over all of them and none twice; random workloads, without
 * end. A run is cut off by time or by the number of states; the list is the same for the same seed.
 */
import { SeededRandom } from '../../src/aio/seeded-random.ts';
import type { ExploreOptions } from './explore.ts';
import { oneOperation, TWO_OPERATIONS, twoOperations } from './workloads.ts';

export const FAMILIES = ['ace1', 'ace2', 'random'] as const;
export type Family = (typeof FAMILIES)[number];

export interface PlanOptions {
  readonly seed: number;
  /** This worker takes every `workers`th workload, beginning with its own number. */
  readonly worker: number;
  readonly workers: number;
  /** One family only, or one workload by its name. */
  readonly workload?: string | undefined;
}

export function* plannedWorkloads(options: PlanOptions): Generator<string> {
  const { worker, workers } = options;
  let number = 0;
  for (const name of allWorkloads(options)) if (number++ % workers === worker) yield name;
}

function* allWorkloads({ seed, workload, worker }: PlanOptions): Generator<string> {
  if (workload !== undefined && !FAMILIES.some((family) => family === workload)) {
    // A single workload is for the first worker; the others have nothing to do.
    if (worker === 0) yield workload;
    return;
  }
  const takes = (family: Family) => workload === undefined || workload === family;
  const ones = takes('ace1') ? oneOperation() : [];
  const order = new SeededRandom(seed).below(TWO_OPERATIONS);
  for (let i = 0; ; i++) {
    const one = ones[i];
    if (one !== undefined) yield one;
    if (takes('ace2') && i < TWO_OPERATIONS) {
      yield twoOperations((order + i * coprimeStep()) % TWO_OPERATIONS);
    }
    if (takes('random')) yield `random-${seed * 1_000_000 + i}`;
    if (!takes('random') && i >= (takes('ace2') ? TWO_OPERATIONS : ones.length)) return;
  }
}

/** A step that visits every number below TWO_OPERATIONS once, and soon all parts of the range. */
function coprimeStep(): number {
  let step = Math.floor(TWO_OPERATIONS * 0.618);
  while (greatestCommonDivisor(step, TWO_OPERATIONS) !== 1) step++;
  return step;
}

function greatestCommonDivisor(left: number, right: number): number {
  return right === 0 ? left : greatestCommonDivisor(right, left % right);
}

/** How closely: short workloads nearly wholly, long ones in samples. */
export function closeness(name: string, seed: number): ExploreOptions {
  const isLong = name.startsWith('random');
  return {
    seed,
    depth: 2,
    recoveryEvery: isLong ? 32 : 12,
    budget: isLong ? { exhaustive: 32, samples: 8, singles: 3 } : { exhaustive: 64, samples: 12, singles: 6 },
    recoveryBudget: { exhaustive: 16, samples: 3, singles: 2 },
  };
}
