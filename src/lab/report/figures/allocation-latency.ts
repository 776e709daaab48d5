/** How long policies took for their answers, on this machine: never the same twice. */
import type { Charts } from '../charts.ts';
import { type Figure, type Panel, shortLabel } from '../figure.ts';
import type { ReportData } from '../report-data.ts';
import { SMALL_PANEL, styleOf } from './series.ts';

const ROW_PIXELS = 20;
const LABEL_LETTERS = 18;

export interface LatencyRow {
  readonly policy: string;
  readonly workload: string;
  /** In microseconds: medians over the seeds, and the longest of all. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly operationsPerSecond: number;
}

/** Of each policy whose answers somebody timed. */
export function latencyRows(data: ReportData): LatencyRow[] {
  return data.workloads.flatMap((workload) =>
    data.policies.flatMap((policy) => {
      const costs = data.runsOf(workload, policy).flatMap((run) => data.costOf(run) ?? []);
      const known = (values: readonly (number | undefined)[]) => values.flatMap((value) => value ?? []);
      const p50s = known(costs.map(({ p50Microseconds }) => p50Microseconds));
      const p99s = known(costs.map(({ p99Microseconds }) => p99Microseconds));
      const most = known(costs.map(({ maxMicroseconds }) => maxMicroseconds));
      if (p50s.length === 0 || most.length === 0) return [];
      const operationsPerSecond = medianOf(costs.map((cost) => cost.operationsPerSecond));
      const [p50, p99] = [medianOf(p50s), medianOf(p99s)];
      return [{ policy, workload, p50, p99, max: Math.max(...most), operationsPerSecond }];
    }),
  );
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** @returns undefined if nobody timed answers, as on mounts */
export function allocationLatencyFigure(
  charts: Charts,
  data: ReportData,
  rows: readonly LatencyRow[],
): Figure | undefined {
  if (rows.length === 0) return undefined;
  const height = 60 + ROW_PIXELS * data.policies.length;
  const most = 10 ** Math.ceil(Math.log10(Math.max(1, ...rows.map(({ max }) => max))));
  const least = 10 ** Math.floor(Math.log10(Math.max(0.01, Math.min(...rows.map(({ p50 }) => p50)))));
  return {
    name: 'allocation-latency',
    title: 'How long an allocation took',
    reading:
      'How to read it: the symbol is the median time of an answer of the policy, the thick line goes on to what 99 of 100 stay below, the thin one to the longest of all; to the right each mark is ten times the one before. Measured on this machine while other runs were under way: not the same twice, and no more than a hint.',
    legend: [],
    panels: data.workloads.map((workload): Panel => {
      const own = rows.filter((row) => row.workload === workload);
      return { title: workload, drawing: drawSpans(charts, data, own, { height, domain: [least, most] }) };
    }),
    columns: SMALL_PANEL.columns,
    width: SMALL_PANEL.width,
    height,
  };
}

function drawSpans(
  { plot, draw }: Charts,
  data: ReportData,
  rows: readonly LatencyRow[],
  { height, domain }: { readonly height: number; readonly domain: [number, number] },
): string {
  const labelled = rows.map((row) => ({
    ...row,
    label: `${shortLabel(row.policy, LABEL_LETTERS)}${'\u200b'.repeat(data.policies.indexOf(row.policy))}`,
  }));
  const marks = labelled.flatMap((row) => {
    const { color, symbol } = styleOf(data, row.policy);
    return [
      plot.ruleY([row], { y: 'label', x1: 'p99', x2: 'max', stroke: color, strokeWidth: 1 }),
      plot.ruleY([row], {
        y: 'label',
        x1: 'p50',
        x2: 'p99',
        stroke: color,
        strokeWidth: 4,
        strokeOpacity: 0.6,
      }),
      plot.dot([row], { y: 'label', x: 'p50', stroke: color, strokeWidth: 2, symbol, r: 4 }),
    ];
  });
  return draw({
    width: SMALL_PANEL.width,
    height,
    marginLeft: 118,
    marginBottom: 36,
    x: { label: 'time of an answer (µs) →', type: 'log', domain, grid: true, ticks: 4, tickFormat: '~s' },
    y: { label: null, domain: labelled.map(({ label }) => label) },
    marks: [plot.frame({ strokeOpacity: 0.3 }), ...marks],
  });
}
