/**
 * Ages a volume by a workload, and looks at it now and then.
 *
 *   fill ──'filled'──▶ sample 0 ── churn ──▶ sample 1 ── … ──▶ sample n
 *
 * A sample is taken when so many times the capacity has been written since the volume was full.
 */
import { SeededRandom } from '../../sim/seeded-random.ts';
import { type ColdReadFigures, ColdReadGatherer } from '../measures/cold-read.ts';
import { ExtentCounter } from '../measures/extent-counts.ts';
import { FreeSpaceGatherer, type FreeSpaceSample } from '../measures/free-space.ts';
import { LayoutGatherer, type LayoutSample, pieceCountOf } from '../measures/layout.ts';
import { LayoutMapGatherer } from '../measures/layout-map.ts';
import type { RunDetail, SampleDetail } from '../run-detail.ts';
import type { Workload } from '../workloads/workload.ts';
import type { AgedVolume } from './aged-volume.ts';
import type { CostFigures } from './allocation-stopwatch.ts';
import type { ModelSample } from './model-figures.ts';

/** Of a volume's size: what files may take at most, behind the journal and the metadata. */
const CAPACITY_SHARE = 0.95;
/** A filling that takes more than so many times the capacity never ends. */
const MOST_FILLING = 8;

/** What is done to a volume, whoever it belongs to. */
export interface AgeingPlan {
  readonly workload: Workload;
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

/** The aged volume beside a copy of its files on a fresh one of the same kind. */
export interface BesideCopy {
  /** All files read from a cold cache, by the clock of this machine. */
  readonly agedSeconds: number;
  readonly freshSeconds: number;
  readonly measuredSlowdown: number;
  /** By the model of a disk. */
  readonly diskSlowdown: number;
}

export interface RunSample {
  /** Times the capacity was written since the volume was full. */
  readonly churn: number;
  readonly operations: number;
  readonly simulatedSeconds: number;
  /** Share of the space in use. */
  readonly fullness: number;
  readonly layout: LayoutSample;
  /** Where somebody tells of free runs. */
  readonly free?: FreeSpaceSample;
  readonly coldRead: ColdReadFigures;
  readonly refusedOperations: number;
  /** What was free, of the volume, when something found no room first; −1 if nothing did. */
  readonly freeAtFirstRefusal: number;
  readonly metadataBlocksWritten?: number;
  /** What only the model can tell. */
  readonly model?: ModelSample;
  /** Of mounted volumes, at the end. */
  readonly besideCopy?: BesideCopy;
  /** What the policy tells of itself. */
  readonly policy: Readonly<Record<string, number>>;
}

export interface RunResult {
  readonly samples: readonly RunSample[];
  /** What figures are drawn from. */
  readonly detail?: RunDetail;
  /** What is missing of it, and why. */
  readonly remark?: string;
  /** Of this machine, and not the same twice. */
  readonly cost: CostFigures;
}

/** What is told of the files. */
type FilesSample = Pick<RunSample, 'layout' | 'coldRead'> & Pick<SampleDetail, 'extents'>;

export interface RunWatcher {
  /** Part of the work that is done, 0 to 1. */
  progress(share: number): void;
  /** Asked now and then: true ends the run with what it has. */
  isStopped(): boolean;
}

const OPERATIONS_PER_LOOK = 4096;

/** One run of a workload over one volume. */
export class AgeingRun {
  readonly #capacityBytes: number;
  readonly #samples: RunSample[] = [];
  /** Of each sample, what figures are drawn from. */
  readonly details: SampleDetail[] = [];
  /** Bytes written when the volume was full. */
  #filledAt = -1;
  #nextSample = Number.POSITIVE_INFINITY;
  /** Times the capacity is written when the volume is full, by the plan or the workload. */
  readonly #churn: number;

  constructor(
    readonly plan: AgeingPlan,
    readonly volume: AgedVolume,
    readonly watcher: RunWatcher,
  ) {
    this.#capacityBytes = plan.sizeBytes * CAPACITY_SHARE;
    const { churnBytes } = plan.workload;
    this.#churn = churnBytes === undefined ? plan.churn : churnBytes / this.#capacityBytes;
  }

  /** @throws Error if the workload does not fill the volume, or ends before it should */
  async go(): Promise<RunSample[]> {
    const { plan, volume } = this;
    const place = {
      random: new SeededRandom(plan.seed),
      capacityBytes: this.#capacityBytes,
      fullness: plan.workload.fullness ?? plan.fullness,
      blockBytes: plan.blockBytes,
    };
    for (const operation of plan.workload.operations(place)) {
      if (operation === 'filled') {
        this.#filledAt = volume.writtenBytes;
        this.#nextSample = volume.writtenBytes;
      } else {
        const waits = volume.apply(operation);
        if (waits !== undefined) await waits;
      }
      if (volume.writtenBytes >= this.#nextSample) await this.#sample();
      if (this.#isOver()) break;
    }
    await this.#sampleAtEnd();
    this.#expectWhole();
    return this.#samples;
  }

  #hasAllSamples(): boolean {
    const { samples, churn, workload } = this.plan;
    // Where nothing more is written, there is one look, at the full volume.
    const most = churn === 0 && workload.churnBytes === undefined ? 0 : samples;
    return this.#samples.length > most;
  }

  /** Endless workloads do not end, and all fill the volume. */
  #expectWhole(): void {
    const { name, churnBytes } = this.plan.workload;
    if (this.watcher.isStopped() || this.#hasAllSamples()) return;
    if (this.#filledAt < 0) throw new Error(`workload ${name} ended before it said 'filled'`);
    if (churnBytes === undefined) throw new Error(`workload ${name} ended before the churn was over`);
  }

  #isOver(): boolean {
    if (this.#hasAllSamples()) return true;
    const { operations, writtenBytes } = this.volume;
    if (operations % OPERATIONS_PER_LOOK !== 0) return false;
    if (this.#filledAt < 0 && writtenBytes > MOST_FILLING * this.#capacityBytes) {
      throw new Error(`workload ${this.plan.workload.name} does not fill the volume`);
    }
    const done = this.#filledAt < 0 ? 0 : (writtenBytes - this.#filledAt) / this.#capacityBytes;
    this.watcher.progress((Math.min(1, writtenBytes / this.#capacityBytes) + done) / (1 + this.#churn));
    return this.watcher.isStopped();
  }

  /** Of a workload that ends, the last sample is taken where it does. */
  async #sampleAtEnd(): Promise<void> {
    const isCut = this.#hasAllSamples() || this.watcher.isStopped();
    if (this.plan.workload.churnBytes === undefined || this.#filledAt < 0 || isCut) return;
    await this.#sample();
  }

  async #sample(): Promise<void> {
    const { plan, volume } = this;
    await volume.settle();
    const figures = await volume.figures();
    const map = new LayoutMapGatherer(Math.floor(plan.sizeBytes / plan.blockBytes));
    const { extents, ...files } = await this.#files(map);
    const space = await this.#freeSpace(map);
    const isFreeTold = space.free !== undefined;
    this.details.push({ extents, map: map.text(isFreeTold), isFreeTold });
    this.#samples.push({
      churn: (volume.writtenBytes - this.#filledAt) / this.#capacityBytes,
      operations: volume.operations,
      simulatedSeconds: volume.simulatedSeconds,
      ...files,
      ...space,
      refusedOperations: volume.refusals.count,
      freeAtFirstRefusal: volume.refusals.firstFreeShare ?? -1,
      ...figures,
    });
    const step = (this.#churn * this.#capacityBytes) / Math.max(1, plan.samples);
    this.#nextSample = this.#filledAt + this.#samples.length * step;
    const isAtEnd = plan.workload.churnBytes !== undefined && this.#samples.length >= plan.samples;
    if (plan.samples === 0 || this.#churn === 0 || isAtEnd) this.#nextSample = Number.POSITIVE_INFINITY;
  }

  async #files(map: LayoutMapGatherer): Promise<FilesSample> {
    const { blockBytes, sizeBytes } = this.plan;
    const layout = new LayoutGatherer(blockBytes);
    const coldRead = new ColdReadGatherer(blockBytes, sizeBytes);
    const counter = new ExtentCounter();
    for await (const extents of this.volume.filesInOrder()) {
      layout.add(extents);
      coldRead.add(extents);
      counter.add(pieceCountOf(extents));
      map.add(extents);
    }
    return { layout: layout.figures(), coldRead: coldRead.figures(), extents: counter.counts() };
  }

  async #freeSpace(map: LayoutMapGatherer): Promise<Pick<RunSample, 'free'>> {
    const free = new FreeSpaceGatherer(this.plan.blockBytes);
    const isTold = await this.volume.visitFreeRuns((start, length) => {
      free.add(start, length);
      map.addFree(start, length);
    });
    return isTold ? { free: free.figures() } : {};
  }
}
