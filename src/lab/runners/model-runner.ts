/**
 * Runs a workload on a model volume. What is measured follows from the seed alone, but for `cost`,
 * which is of this machine.
 */
import { performance } from 'node:perf_hooks';
import type { AllocatorDefinition, AllocatorOptions } from '../../alloc/allocator.ts';
import { type AgeingPlan, AgeingRun, type RunResult, type RunWatcher } from './ageing-run.ts';
import { AllocationStopwatch } from './allocation-stopwatch.ts';
import { ModelVolume } from './model-volume.ts';

export interface RunPlan extends AgeingPlan {
  readonly allocator: AllocatorDefinition;
  readonly allocatorOptions?: AllocatorOptions;
}

/**
 * @throws Error if the workload does not fill the volume; RangeError with a sentence for the user
 * if no volume has such sizes
 */
export async function runModel(plan: RunPlan, watcher: RunWatcher): Promise<RunResult> {
  const model = await ModelVolume.make(plan);
  const stopwatch = new AllocationStopwatch(model.policy);
  const began = performance.now();
  try {
    const ageing = new AgeingRun(plan, model, watcher);
    const samples = await ageing.go();
    const seconds = (performance.now() - began) / 1000;
    const detail = { samples: ageing.details, trace: model.device.trace.points() };
    return { samples, detail, cost: stopwatch.figures(model.operations, seconds) };
  } finally {
    await model.close();
  }
}
