/**
 * The measures that policies are ranked by: where each stands in a sample, and which way is good.
 */
import type { RunSample } from './runners/ageing-run.ts';

export interface Measure {
  readonly name: string;
  readonly title: string;
  readonly prefers: 'more' | 'less';
  /** Undefined where nobody measured it. */
  of(sample: RunSample): number | undefined;
}

export const MEASURES: readonly Measure[] = [
  {
    name: 'layoutScore',
    title: 'layout score',
    prefers: 'more',
    of: ({ layout }) => layout.layoutScore,
  },
  {
    name: 'extentsPerFile',
    title: 'extents per file',
    prefers: 'less',
    of: ({ layout }) => layout.meanExtents,
  },
  { name: 'inOnePiece', title: 'files in one piece', prefers: 'more', of: ({ layout }) => layout.inOnePiece },
  {
    name: 'diskSlowdown',
    title: 'cold read, disk',
    prefers: 'less',
    of: ({ coldRead }) => coldRead.diskSlowdown,
  },
  {
    name: 'sataSlowdown',
    title: 'cold read, SATA SSD',
    prefers: 'less',
    of: ({ coldRead }) => coldRead.sataSlowdown,
  },
  {
    name: 'nvmeSlowdown',
    title: 'cold read, NVMe SSD',
    prefers: 'less',
    of: ({ coldRead }) => coldRead.nvmeSlowdown,
  },
  {
    name: 'diskBesideCopy',
    title: 'cold read, disk, beside a copy',
    prefers: 'less',
    of: ({ besideCopy }) => besideCopy?.diskSlowdown,
  },
  {
    name: 'measuredBesideCopy',
    title: 'cold read, measured, beside a copy',
    prefers: 'less',
    of: ({ besideCopy }) => besideCopy?.measuredSlowdown,
  },
  {
    name: 'inChunksOf2MiB',
    title: 'free space in whole 2 MiB chunks',
    prefers: 'more',
    of: ({ free }) => free?.inChunksOf2MiB,
  },
];
