/**
 * An experiment: policies × workloads × seeds, each of them a run of its own.
 *
 * What is measured follows from the configuration, whose hash stands in every file: the same
 * configuration gives the same figures, byte by byte. What only this machine can tell, how long it
 * took, is kept apart.
 */
import { createHash } from 'node:crypto';
import type { Contents } from './run-content.ts';
import type { RunResult } from './runners/ageing-run.ts';

export interface Configuration {
  /** Of Quarry, and of the results' own format. */
  readonly version: string;
  /** Volumes in memory, or mounts on loop devices. */
  readonly runner: 'model' | 'mount';
  readonly policies: readonly string[];
  readonly workloads: readonly string[];
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly fullness: number;
  readonly churn: number;
  readonly samples: number;
  readonly seeds: readonly number[];
  /** Of the policies and workloads that are made from something; of each run its own counts. */
  readonly contents?: Contents;
}

/** One of the runs. */
export interface RunKey {
  readonly policy: string;
  readonly workload: string;
  readonly seed: number;
}

export interface FinishedRun extends RunKey {
  readonly result: RunResult;
}

/** Of the samples: another number for each change of what is in them. */
const SAMPLES_FORMAT = 2;

/**
 * What tells two configurations apart, but for which runs they have and what those are made from:
 * 16 hex digits.
 */
export function hashOf(configuration: Configuration): string {
  const { policies: _p, workloads: _w, seeds: _s, contents: _c, ...same } = configuration;
  const entries = Object.entries(same).sort(([one], [other]) => (one < other ? -1 : 1));
  const text = JSON.stringify([SAMPLES_FORMAT, ...entries]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Seed by seed, so that what is stopped halfway has something of every policy and workload. */
export function runsOf({ policies, workloads, seeds }: Configuration): RunKey[] {
  return seeds.flatMap((seed) =>
    workloads.flatMap((workload) => policies.map((policy) => ({ policy, workload, seed }))),
  );
}
