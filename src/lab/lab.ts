/**
 * `quarryfs/lab`: allocators tried and compared, from a program. What `quarry lab` does on volumes
 * in memory, without the terminal; docs/LAB.md says what the figures mean.
 *
 *   import { runExperiment, verifyAllocator } from 'quarryfs/lab';
 *
 *   const { broken } = await verifyAllocator('./mine.js', { rounds: 20, seed: 1 });
 *   const { rankings } = await runExperiment({
 *     policies: ['./mine.js', 'first-fit'], workloads: ['files'], out: 'report',
 *   });
 *
 * Policies and workloads are named as on the command line: those that come with Quarry by name,
 * others by the path of their module, relative to the working directory. Their code runs in threads
 * and processes of its own. Needs no root, no FUSE and no addon.
 */
import { availableParallelism, tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { argumentType, integerIn, outOfRange, requireKnownOptions } from '../common/argument-errors.ts';
import { packageVersion } from '../common/package-version.ts';
import { Laboratory, type LabResults } from './laboratory.ts';
import { completedConfiguration, EXPERIMENT_LIMITS, loadExperiment } from './loaded-experiment.ts';
import { writeReport } from './report/write-report.ts';
import { PolicyBench } from './verify/policy-bench.ts';
import { type Verdict, verifyPolicy } from './verify/verify.ts';

export { defineAllocator } from '../alloc/allocator.ts';
export type { FinishedRun, RunKey } from './experiment.ts';
export type { FailedRun, LabResults } from './laboratory.ts';
export type { ColdReadFigures } from './measures/cold-read.ts';
export type { FreeSpaceSample } from './measures/free-space.ts';
export type { LayoutSample } from './measures/layout.ts';
export { MEASURES, type Measure } from './measures.ts';
export type { LabOperation } from './operation.ts';
export { isAmongBest, type OverallRank, overallOf, type RankedPolicy, type Ranking } from './ranking.ts';
export type { RunResult, RunSample } from './runners/ageing-run.ts';
export type { ModelSample } from './runners/model-figures.ts';
export { type Comparison, compare, type Estimate, estimate } from './statistics.ts';
export type { BrokenRule } from './verify/performer.ts';
export { RULES } from './verify/rules.ts';
export type { BrokenReport, Step, Verdict } from './verify/verify.ts';
export { WORKLOADS } from './workloads/catalogue.ts';
export type { Workload, WorkloadPlace } from './workloads/workload.ts';

/** An experiment: every policy ages a volume by every workload, once for each seed. */
export interface ExperimentOptions {
  /** Names or modules, with options behind a question mark: `./mine.js?key=value`. */
  readonly policies: readonly string[];
  /** Names of `WORKLOADS`, modules, records of mounts, block traces. */
  readonly workloads: readonly string[];
  /** The directory that results go into; it is made. */
  readonly out: string | URL;
  /** Size of each volume, 32 MiB to 16 TiB. Default 1 GiB; of a record, that of its volume. */
  readonly sizeBytes?: number | undefined;
  /** How full the volume becomes, 0.05 to 0.98, where the workload does not say. Default 0.8. */
  readonly fullness?: number | undefined;
  /** How often the capacity is written when the volume is full, 0 to 10000. Default 5. */
  readonly churn?: number | undefined;
  /** Looks at the volume after the first, 1 to 1000. Default 5. */
  readonly samples?: number | undefined;
  /** Runs of each, 1 to 1000. Default 5; with fewer than 3 nothing can be told apart. */
  readonly seeds?: number | undefined;
  /** The first seed; the others follow. Default 1. */
  readonly seed?: number | undefined;
  /** Keep runs of the same configuration that are in `out`. Default false. */
  readonly resume?: boolean | undefined;
  /** Runs at a time, 1 to 256. Default: one per processor. */
  readonly threads?: number | undefined;
  /** Ends it early: runs that are done are kept, and `isComplete` is false. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Told again and again how far it is.
   * @param share of all the work, 0 to 1
   */
  readonly onProgress?: ((share: number, finishedRuns: number, allRuns: number) => void) | undefined;
}

const EXPERIMENT_OPTIONS = [
  ...['policies', 'workloads', 'out', 'sizeBytes', 'fullness', 'churn', 'samples', 'seeds', 'seed'],
  ...['resume', 'threads', 'signal', 'onProgress'],
];
const BLOCK_BYTES = 4096;
const DEFAULT_BYTES = 2 ** 30;
const MOST_SEED = 2 ** 32 - EXPERIMENT_LIMITS.mostSeeds;

/**
 * Carries out an experiment. Results are in `out` as well: `results.json`, `samples.csv`,
 * `ranking.csv`, and a file of each run as it ends.
 * @throws TypeError, RangeError with `code` for options that make no sense; AllocatorLoadError and
 * WorkloadLoadError for what cannot be loaded; the error of the directory
 */
export async function runExperiment(options: ExperimentOptions): Promise<LabResults> {
  requireKnownOptions(options, EXPERIMENT_OPTIONS);
  const { signal, onProgress } = options;
  const policies = namesOf('policies', options.policies);
  const workloads = namesOf('workloads', options.workloads);
  const outDirectory = directoryOf('out', options.out);
  const { mostSeeds, mostSamples, mostThreads, mostChurn, leastFullness, mostFullness } = EXPERIMENT_LIMITS;
  const { leastBytes, mostBytes } = EXPERIMENT_LIMITS;
  const count = integerIn('seeds', options.seeds ?? 5, 1, mostSeeds);
  const first = integerIn('seed', options.seed ?? 1, 0, MOST_SEED);
  const threads = integerIn('threads', options.threads ?? availableParallelism(), 1, mostThreads);
  const asked = {
    version: packageVersion(),
    runner: 'model' as const,
    policies,
    workloads,
    sizeBytes: integerIn('sizeBytes', options.sizeBytes ?? DEFAULT_BYTES, leastBytes, mostBytes),
    blockBytes: BLOCK_BYTES,
    fullness: numberIn('fullness', options.fullness ?? 0.8, leastFullness, mostFullness),
    churn: numberIn('churn', options.churn ?? 5, 0, mostChurn),
    samples: integerIn('samples', options.samples ?? 5, 1, mostSamples),
    seeds: Array.from({ length: count }, (_, index) => first + index),
  };
  const loaded = await loadExperiment(policies, workloads);
  const laboratory = new Laboratory({
    configuration: completedConfiguration(asked, loaded, options.sizeBytes !== undefined),
    outDirectory,
    resume: options.resume ?? false,
    threads,
    // Nothing is mounted.
    mounting: { command: [], scratchDirectory: tmpdir() },
    progress: (share, finished, all) => onProgress?.(share, finished, all),
  });
  const stop = () => laboratory.stop();
  if (signal?.aborted) stop();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return await laboratory.run();
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/**
 * Draws the figures and the page of the results in a directory, `report.html`, as `quarry lab
 * report` does.
 * @returns names of packages to be installed for what could not be drawn; none if all was
 * @throws the error of a file; Error with a sentence if there are no results
 */
export function reportExperiment(out: string | URL): Promise<readonly string[]> {
  return writeReport(directoryOf('out', out));
}

/** How long an allocator is tried, and where it begins. */
export interface VerifyOptions {
  /** Of the first random history, 0 to 2^31; the next has the next. Default: another each time. */
  readonly seed?: number | undefined;
  /** So many random histories, 1 to 10^9, however long they take. */
  readonly rounds?: number | undefined;
  /** As many as this time allows, 1 ms to a day. Default 10 000; not with `rounds`. */
  readonly milliseconds?: number | undefined;
  /** Ends it early; the verdict is about what was done until then. */
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_MILLISECONDS = 10_000;
const MOST_MILLISECONDS = 24 * 60 * 60 * 1000;

/**
 * Tries whether an allocator keeps every rule of the interface, as `quarry lab verify` does: in a
 * process of its own, which is ended if a hook does not return.
 * @param policy a name or the path of a module, with options behind a question mark
 * @returns with `broken` if a rule is, and the shortest way to it that was found
 * @throws TypeError, RangeError with `code`; AllocatorLoadError
 */
export async function verifyAllocator(policy: string, options: VerifyOptions = {}): Promise<Verdict> {
  if (typeof policy !== 'string') throw argumentType('policy', 'of type string', policy);
  requireKnownOptions(options, ['seed', 'rounds', 'milliseconds', 'signal']);
  const { seed, rounds, milliseconds, signal = new AbortController().signal } = options;
  if (rounds !== undefined && milliseconds !== undefined)
    throw outOfRange('milliseconds', 'undefined where rounds are given', milliseconds);
  const request = {
    seed: integerIn('seed', seed ?? Date.now() % 1e6, 0, 2 ** 31),
    rounds: rounds === undefined ? undefined : integerIn('rounds', rounds, 1, 1e9),
    milliseconds: numberIn('milliseconds', milliseconds ?? DEFAULT_MILLISECONDS, 1, MOST_MILLISECONDS),
  };
  const bench = await PolicyBench.open(policy, signal);
  try {
    return await verifyPolicy(bench, request, signal);
  } finally {
    bench.close();
  }
}

/** @throws TypeError, RangeError */
function numberIn(name: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number') throw argumentType(name, 'of type number', value);
  if (!(value >= least && value <= most)) throw outOfRange(name, `>= ${least} && <= ${most}`, value);
  return value;
}

/** Names, each once. @throws TypeError */
function namesOf(name: string, value: unknown): string[] {
  const isList = Array.isArray(value) && value.length > 0;
  if (!isList || !value.every((one) => typeof one === 'string' && one !== ''))
    throw argumentType(name, 'an array of names, and not empty', value);
  return [...new Set<string>(value)];
}

/** @throws TypeError */
function directoryOf(name: string, value: unknown): string {
  const path = value instanceof URL ? fileURLToPath(value) : value;
  if (typeof path === 'string' && path !== '') return path;
  throw argumentType(name, 'the path of a directory, or its URL', value);
}
