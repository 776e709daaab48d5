/** A measure over churn: a line for each policy, with a band over the seeds. */
import { MEASURES } from '../../measures.ts';
import { FEWEST_SEEDS } from '../../statistics.ts';
import type { Charts } from '../charts.ts';
import type { Figure, Panel } from '../figure.ts';
import type { ReportData } from '../report-data.ts';
import { around, CHURN_LABEL, SMALL_PANEL, seriesLegend, styleOf } from './series.ts';

interface MeasureWords {
  readonly name: string;
  readonly file: string;
  /** Of the axis, with the unit. */
  readonly axis: string;
  readonly title: string;
  readonly reading: string;
}

/** Measures that have such a figure. */
export const MEASURES_OVER_CHURN: readonly MeasureWords[] = [
  {
    name: 'layoutScore',
    file: 'layout-score-over-churn',
    axis: 'layout score (share of blocks)',
    title: 'Layout score over churn',
    reading: 'Higher is better: 1 says that every block lies directly behind the one before it in its file.',
  },
  {
    name: 'extentsPerFile',
    file: 'extents-over-churn',
    axis: 'extents per file (mean)',
    title: 'Extents per file over churn',
    reading: 'Lower is better: 1 says that every file lies in one piece.',
  },
  {
    name: 'diskSlowdown',
    file: 'cold-read-over-churn',
    axis: 'cold read (× a fresh copy)',
    title: 'Reading all files from a disk, by its model, over churn',
    reading: 'Lower is better: 2 says that reading all files takes twice as long as from a fresh copy.',
  },
];

export function measureOverChurn(
  charts: Charts,
  data: ReportData,
  { name, file, axis, title, reading }: MeasureWords,
): Figure {
  const of = MEASURES.find((measure) => measure.name === name)?.of ?? (() => undefined);
  const panels = data.workloads.map((workload): Panel => {
    const series = data.policies.map((policy) => data.overChurn(workload, policy, of));
    return { title: workload, drawing: drawLines(charts, data, series, axis) };
  });
  const seeds = data.configuration.seeds.length;
  const band =
    seeds < FEWEST_SEEDS
      ? `With fewer than ${FEWEST_SEEDS} seeds there is no interval to show.`
      : `The band is Student's 95 % interval of the mean over ${seeds} seeds; where bands overlap, the seeds at hand may not tell the policies apart.`;
  return {
    name: file,
    title,
    reading: `How to read it: each panel is a workload with a scale of its own, each line the mean of a policy from the full volume (churn 0) on. ${reading} ${band}`,
    legend: seriesLegend(data),
    panels,
    ...SMALL_PANEL,
  };
}

type Series = readonly ReturnType<ReportData['overChurn']>[];

function drawLines({ plot, draw }: Charts, data: ReportData, series: Series, axis: string): string {
  const values = series.flat().flatMap(({ low, high }) => [low, high]);
  const marks = series.flatMap((points) => {
    const policy = points[0]?.policy;
    if (policy === undefined) return [];
    const { color, dash, symbol } = styleOf(data, policy);
    const line = { x: 'churn', y: 'mean', stroke: color };
    return [
      plot.areaY([...points], { x: 'churn', y1: 'low', y2: 'high', fill: color, fillOpacity: 0.15 }),
      plot.lineY([...points], { ...line, strokeWidth: 2, ...(dash === '' ? {} : { strokeDasharray: dash }) }),
      plot.dot([...points], { ...line, symbol, r: 3 }),
    ];
  });
  return draw({
    width: SMALL_PANEL.width,
    height: SMALL_PANEL.height,
    marginLeft: 48,
    marginBottom: 36,
    x: { label: CHURN_LABEL, ticks: 5 },
    y: { label: `↑ ${axis}`, domain: around(values), ticks: 5, grid: true },
    marks: [plot.frame({ strokeOpacity: 0.3 }), ...marks],
  });
}
