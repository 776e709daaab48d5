/**
 * What an experiment names, loaded once before anything begins: whoever names something that is not
 * there learns it at once. The threads of the runs load it again, each for itself.
 */
import type { Configuration } from './experiment.ts';
import { loadPolicy } from './policy-spec.ts';
import { type Contents, policyContent, workloadContent } from './run-content.ts';
import { loadWorkload } from './workloads/registry.ts';
import type { Workload } from './workloads/workload.ts';

/** What an experiment may be; sizes in bytes, shares from 0 to 1. */
export const EXPERIMENT_LIMITS = {
  leastBytes: 32 * 1024 * 1024,
  mostBytes: 2 ** 44,
  leastFullness: 0.05,
  mostFullness: 0.98,
  mostChurn: 10_000,
  mostSamples: 1000,
  mostSeeds: 1000,
  mostThreads: 256,
} as const;

const SIZE_STEP_BYTES = 1024 * 1024;

export interface LoadedExperiment {
  readonly workloads: ReadonlyMap<string, Workload>;
  readonly contents: Contents;
}

/** @throws AllocatorLoadError, WorkloadLoadError, and the error of a file */
export async function loadExperiment(
  policies: readonly string[],
  workloads: readonly string[],
): Promise<LoadedExperiment> {
  const contents: [name: string, content: string | undefined][] = [];
  for (const policy of policies) {
    await loadPolicy(policy);
    contents.push([policy, await policyContent(policy)]);
  }
  const loaded = new Map<string, Workload>();
  for (const name of workloads) {
    const workload = await loadWorkload(name);
    loaded.set(name, workload);
    contents.push([name, await workloadContent(name, workload)]);
  }
  const made = contents.filter((one): one is [string, string] => one[1] !== undefined);
  return { workloads: loaded, contents: Object.fromEntries(made) };
}

/**
 * What only the workloads know: what they are made from, and the size of volume that they are about
 * where no other was asked for.
 */
export function completedConfiguration(
  configuration: Configuration,
  { workloads, contents }: LoadedExperiment,
  isSizeAsked: boolean,
): Configuration {
  const { leastBytes, mostBytes } = EXPERIMENT_LIMITS;
  const about = Math.max(0, ...[...workloads.values()].map(({ sizeBytes }) => sizeBytes ?? 0));
  const wholeBytes = Math.ceil(about / SIZE_STEP_BYTES) * SIZE_STEP_BYTES;
  return {
    ...configuration,
    ...(isSizeAsked || about === 0
      ? {}
      : { sizeBytes: Math.min(mostBytes, Math.max(leastBytes, wholeBytes)) }),
    ...(Object.keys(contents).length === 0 ? {} : { contents }),
  };
}
