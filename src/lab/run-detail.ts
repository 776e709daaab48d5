/**
 * What figures are drawn from, of one run; kept beside its samples in a file of its own, since it
 * is large and no number that anybody compares.
 */
import type { ExtentCount } from './measures/extent-counts.ts';
import type { WriteTracePoints } from './measures/write-trace.ts';

export interface SampleDetail {
  readonly extents: readonly ExtentCount[];
  /** See measures/layout-map.ts. */
  readonly map: string;
  /** False where nobody tells which blocks are free. */
  readonly isFreeTold: boolean;
}

export interface RunDetail {
  /** One for each sample. */
  readonly samples: readonly SampleDetail[];
  /** Where somebody sees the device. */
  readonly trace?: WriteTracePoints;
}
