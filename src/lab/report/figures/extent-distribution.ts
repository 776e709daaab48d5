/** How many of the files have at most so many extents, at the end. */
import { type ExtentCount, summedCounts } from '../../measures/extent-counts.ts';
import type { Charts } from '../charts.ts';
import type { Figure, Panel } from '../figure.ts';
import type { ReportData } from '../report-data.ts';
import { SMALL_PANEL, seriesLegend, styleOf } from './series.ts';

/** @returns undefined if nobody kept how many extents files have */
export function extentDistributionFigure(charts: Charts, data: ReportData): Figure | undefined {
  let isKnown = false;
  const panels = data.workloads.map((workload): Panel => {
    const series = data.policies.map((policy) => ({ policy, counts: countsOf(data, workload, policy) }));
    isKnown ||= series.some(({ counts }) => counts.length > 0);
    return { title: workload, drawing: drawSteps(charts, data, series) };
  });
  if (!isKnown) return undefined;
  return {
    name: 'extent-distribution',
    title: 'Extents per file at the end',
    reading:
      'How to read it: a point of a line says which share of the files (upwards) has at most so many extents (to the right, each mark twice the one before or more). The higher a line begins, the more files lie in one piece; the further to the right it ends, the worse is the worst file. Files of all seeds together.',
    legend: seriesLegend(data),
    panels,
    ...SMALL_PANEL,
  };
}

function countsOf(data: ReportData, workload: string, policy: string): ExtentCount[] {
  const runs = data.runsOf(workload, policy);
  return summedCounts(runs.map((run) => data.detailOf(run)?.samples.at(-1)?.extents ?? []));
}

interface Distribution {
  readonly policy: string;
  readonly counts: readonly ExtentCount[];
}

function drawSteps({ plot, draw }: Charts, data: ReportData, all: readonly Distribution[]): string {
  const most = Math.max(2, ...all.flatMap(({ counts }) => counts.map(([extents]) => extents)));
  const marks = all
    .filter(({ counts }) => counts.length > 0)
    .map(({ policy, counts }) => {
      const { color, dash } = styleOf(data, policy);
      return plot.lineY(cumulative(counts, most), {
        ...{ x: 'extents', y: 'share', stroke: color, strokeWidth: 2, curve: 'step-after' as const },
        ...(dash === '' ? {} : { strokeDasharray: dash }),
      });
    });
  const least = Math.min(...all.flatMap(({ counts }) => cumulative(counts, most)[0]?.share ?? 1));
  return draw({
    width: SMALL_PANEL.width,
    height: SMALL_PANEL.height,
    marginLeft: 48,
    marginBottom: 36,
    x: {
      label: 'extents of a file, at most →',
      type: 'log',
      base: 2,
      domain: [1, most],
      ticks: 6,
      tickFormat: 'd',
    },
    y: {
      label: '↑ share of the files (%)',
      percent: true,
      domain: [100 * Math.min(0.9, least * 0.95), 100],
      grid: true,
      ticks: 5,
    },
    marks: [plot.frame({ strokeOpacity: 0.3 }), ...marks],
  });
}

function cumulative(counts: readonly ExtentCount[], most: number): { extents: number; share: number }[] {
  const total = counts.reduce((sum, [, files]) => sum + files, 0);
  let sum = 0;
  const points = counts.map(([extents, files]) => {
    sum += files;
    return { extents, share: sum / total };
  });
  // Every line begins at one extent and goes on to the end.
  const begin = points[0]?.extents === 1 ? [] : [{ extents: 1, share: 0 }];
  return [...begin, ...points, ...(points.length > 0 ? [{ extents: most, share: 1 }] : [])];
}
