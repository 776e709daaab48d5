/**
 * The measures that policies are ranked by: where each stands in a sample, and which way is good.
 */
import type { RunSample } from './runners/ageing-run.ts';

export interface Measure {
  readonly name: string;
  readonly title: string;
  readonly prefers: 'more' | 'less';
  /** It has a column in the terminal; all others are in the files only. */
  readonly isShown?: boolean;
  /** Undefined where nobody measured it. */
  of(sample: RunSample): number | undefined;
}

export const MEASURES: readonly Measure[] = [
  {
    name: 'layoutScore',
    title: 'layout score',
    isShown: true,
    prefers: 'more',
    of: ({ layout }) => layout.layoutScore,
  },
  {
    name: 'extentsPerFile',
    title: 'extents per file',
    isShown: true,
    prefers: 'less',
    of: ({ layout }) => layout.meanExtents,
  },
  {
    name: 'inOnePiece',
    title: 'files in one piece',
    isShown: true,
    prefers: 'more',
    of: ({ layout }) => layout.inOnePiece,
  },
  {
    name: 'diskSlowdown',
    title: 'cold read, disk',
    isShown: true,
    prefers: 'less',
    of: ({ coldRead }) => coldRead.diskSlowdown,
  },
  {
    name: 'sataSlowdown',
    title: 'cold read, SATA SSD',
    isShown: true,
    prefers: 'less',
    of: ({ coldRead }) => coldRead.sataSlowdown,
  },
  {
    name: 'nvmeSlowdown',
    title: 'cold read, NVMe SSD',
    isShown: true,
    prefers: 'less',
    of: ({ coldRead }) => coldRead.nvmeSlowdown,
  },
  {
    name: 'diskBesideCopy',
    title: 'cold read, disk, beside a copy',
    isShown: true,
    prefers: 'less',
    of: ({ besideCopy }) => besideCopy?.diskSlowdown,
  },
  {
    name: 'measuredBesideCopy',
    title: 'cold read, measured, beside a copy',
    isShown: true,
    prefers: 'less',
    of: ({ besideCopy }) => besideCopy?.measuredSlowdown,
  },
  {
    name: 'inChunksOf2MiB',
    title: 'free space in whole 2 MiB chunks',
    isShown: true,
    prefers: 'more',
    of: ({ free }) => free?.inChunksOf2MiB,
  },
  {
    name: 'readScore',
    title: 'dynamic layout score of reads',
    prefers: 'more',
    of: ({ coldRead }) => coldRead.readScore,
  },
  {
    name: 'dataWriteScore',
    title: 'dynamic layout score of data written',
    prefers: 'more',
    of: ({ model }) => model?.dataWriteScore,
  },
  {
    name: 'full1MiB',
    title: 'full when 1 MiB finds no run',
    isShown: true,
    prefers: 'more',
    of: ({ model }) => model?.full1MiB,
  },
  {
    name: 'full16MiB',
    title: 'full when 16 MiB finds no run',
    prefers: 'more',
    of: ({ model }) => model?.full16MiB,
  },
  {
    name: 'metadataBlocksChanged',
    title: 'metadata blocks changed per operation',
    prefers: 'less',
    of: ({ model }) => model?.metadataBlocksChanged,
  },
  {
    name: 'mapLooks',
    title: 'looks into maps per run handed out',
    prefers: 'less',
    of: ({ model }) => model?.mapLooks,
  },
  {
    name: 'internalWaste',
    title: 'internal waste',
    prefers: 'less',
    of: ({ model }) => model?.internalWaste,
  },
];
