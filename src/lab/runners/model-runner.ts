/**
 * Runs a workload on a model volume and looks at it now and then.
 *
 *   fill ──'filled'──▶ sample 0 ── churn ──▶ sample 1 ── … ──▶ sample n
 *
 * A sample is taken when so many times the capacity has been written since the volume was full.
 * What is measured follows from the seed alone, but for `cost`, which is of this machine.
 */
import { performance } from 'node:perf_hooks';
import type { AllocatorDefinition, AllocatorOptions } from '../../alloc/allocator.ts';
import { SeededRandom } from '../../sim/seeded-random.ts';
import { type ColdReadFigures, ColdReadGatherer } from '../measures/cold-read.ts';
import { FreeSpaceGatherer, type FreeSpaceSample } from '../measures/free-space.ts';
import { LayoutGatherer, type LayoutSample } from '../measures/layout.ts';
import type { Workload } from '../workloads/workload.ts';
import { AllocationStopwatch, type CostFigures } from './allocation-stopwatch.ts';
import { ModelVolume } from './model-volume.ts';

/** Of a volume's size: what files may take at most, behind the journal and the metadata. */
const CAPACITY_SHARE = 0.95;
/** A filling that takes more than so many times the capacity never ends. */
const MOST_FILLING = 8;

export interface RunPlan {
  readonly workload: Workload;
  readonly allocator: AllocatorDefinition;
  readonly allocatorOptions?: AllocatorOptions;
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly seed: number;
  /** Share of the capacity to fill, where the workload has none of its own. */
  readonly fullness: number;
  /** How many times the capacity is written when the volume is full. */
  readonly churn: number;
  /** Samples after the first. */
  readonly samples: number;
}

export interface RunSample {
  /** Times the capacity was written since the volume was full. */
  readonly churn: number;
  readonly operations: number;
  readonly simulatedSeconds: number;
  /** Share of the space in use. */
  readonly fullness: number;
  readonly layout: LayoutSample;
  readonly free: FreeSpaceSample;
  readonly coldRead: ColdReadFigures;
  readonly refusedOperations: number;
  /** What was free, of the volume, when something found no room first; −1 if nothing did. */
  readonly freeAtFirstRefusal: number;
  readonly metadataBlocksWritten: number;
  /** What the policy tells of itself. */
  readonly policy: Readonly<Record<string, number>>;
}

export interface RunResult {
  readonly samples: readonly RunSample[];
  /** Of this machine, and not the same twice. */
  readonly cost: CostFigures;
}

export interface RunWatcher {
  /** Part of the work that is done, 0 to 1. */
  progress(share: number): void;
  /** Asked now and then: true ends the run with what it has. */
  isStopped(): boolean;
}

const OPERATIONS_PER_LOOK = 4096;

/**
 * @throws Error if the workload does not fill the volume; RangeError with a sentence for the user
 * if no volume has such sizes
 */
export async function runModel(plan: RunPlan, watcher: RunWatcher): Promise<RunResult> {
  const model = await ModelVolume.make(plan);
  try {
    return await new ModelRun(plan, model, watcher).go();
  } finally {
    await model.close();
  }
}

class ModelRun {
  readonly #capacityBytes: number;
  readonly #samples: RunSample[] = [];
  /** Bytes written when the volume was full. */
  #filledAt = -1;
  #nextSample = Number.POSITIVE_INFINITY;

  constructor(
    readonly plan: RunPlan,
    readonly model: ModelVolume,
    readonly watcher: RunWatcher,
  ) {
    this.#capacityBytes = plan.sizeBytes * CAPACITY_SHARE;
  }

  async go(): Promise<RunResult> {
    const { plan, model } = this;
    const stopwatch = new AllocationStopwatch(model.policy);
    const began = performance.now();
    const place = {
      random: new SeededRandom(plan.seed),
      capacityBytes: this.#capacityBytes,
      fullness: plan.workload.fullness ?? plan.fullness,
      blockBytes: plan.blockBytes,
    };
    for (const operation of plan.workload.operations(place)) {
      if (operation === 'filled') {
        this.#filledAt = model.writtenBytes;
        this.#nextSample = model.writtenBytes;
      } else {
        const waits = model.apply(operation);
        if (waits !== undefined) await waits;
      }
      if (model.writtenBytes >= this.#nextSample) await this.#sample();
      if (this.#isOver()) break;
    }
    const seconds = (performance.now() - began) / 1000;
    return { samples: this.#samples, cost: stopwatch.figures(model.operations, seconds) };
  }

  #isOver(): boolean {
    if (this.#samples.length > this.plan.samples) return true;
    const { operations, writtenBytes } = this.model;
    if (operations % OPERATIONS_PER_LOOK !== 0) return false;
    if (this.#filledAt < 0 && writtenBytes > MOST_FILLING * this.#capacityBytes) {
      throw new Error(`workload ${this.plan.workload.name} does not fill the volume`);
    }
    const done = this.#filledAt < 0 ? 0 : (writtenBytes - this.#filledAt) / this.#capacityBytes;
    this.watcher.progress((Math.min(1, writtenBytes / this.#capacityBytes) + done) / (1 + this.plan.churn));
    return this.watcher.isStopped();
  }

  async #sample(): Promise<void> {
    const { plan, model } = this;
    const { blockBytes } = plan;
    await model.settle();
    const layout = new LayoutGatherer(blockBytes);
    const coldRead = new ColdReadGatherer(blockBytes, plan.sizeBytes);
    for await (const extents of model.filesInOrder()) {
      layout.add(extents);
      coldRead.add(extents);
    }
    const free = new FreeSpaceGatherer(blockBytes);
    await model.visitFreeRuns((start, length) => free.add(start, length));
    const space = await model.space();
    const churned = (model.writtenBytes - this.#filledAt) / this.#capacityBytes;
    this.#samples.push({
      churn: churned,
      operations: model.operations,
      simulatedSeconds: model.clock.now,
      fullness: 1 - space.freeBlocks / space.blocks,
      layout: layout.figures(),
      free: free.figures(),
      coldRead: coldRead.figures(),
      refusedOperations: model.refusals.count,
      freeAtFirstRefusal: model.refusals.firstFreeShare ?? -1,
      metadataBlocksWritten: model.volume.counters().metadataBlocksWritten,
      policy: model.policy?.stats?.() ?? {},
    });
    const step = (plan.churn * this.#capacityBytes) / Math.max(1, plan.samples);
    this.#nextSample = this.#filledAt + this.#samples.length * step;
    if (plan.samples === 0 || plan.churn === 0) this.#nextSample = Number.POSITIVE_INFINITY;
  }
}
