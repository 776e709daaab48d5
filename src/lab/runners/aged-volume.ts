/**
 * A volume that a workload ages, whoever it belongs to: the model of one, or a mount of ours or of
 * another filesystem.
 */
import type { LaidExtent } from '../measures/layout.ts';
import type { LabOperation } from '../operation.ts';
import type { ModelSample } from './model-figures.ts';

/** What found no room. */
export interface Refusals {
  count: number;
  bytes: number;
  /** Of the first: how much was free, of all. */
  firstFreeShare: number | undefined;
}

/** What only some tell of themselves. */
export interface AgedFigures {
  /** Share of the space in use. */
  readonly fullness: number;
  /** Since it was mounted. */
  readonly metadataBlocksWritten?: number;
  readonly model?: ModelSample;
  /** What the policy tells of itself. */
  readonly policy: Readonly<Record<string, number>>;
}

export interface AgedVolume {
  /** Operations carried out, and bytes written by them. */
  readonly operations: number;
  readonly writtenBytes: number;
  /** Of the workload's time. */
  readonly simulatedSeconds: number;
  readonly refusals: Refusals;
  /** @returns undefined if it was done at once */
  apply(operation: LabOperation): Promise<void> | undefined;
  /** Everything is on the device, and what was freed is free. */
  settle(): Promise<void>;
  /** The extents of each file, directory by directory, in the order of each directory. */
  filesInOrder(): AsyncIterable<readonly LaidExtent[]>;
  /** Every free run; false if nobody tells of free runs here. */
  visitFreeRuns(visit: (start: number, length: number) => void): Promise<boolean>;
  figures(): Promise<AgedFigures>;
}
