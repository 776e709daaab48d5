/** Where the policies ended: a mean and its interval for each, by three measures. */
import type { Charts } from '../charts.ts';
import type { Figure, Panel } from '../figure.ts';
import { shortLabel } from '../figure.ts';
import type { ReportData } from '../report-data.ts';
import { MEASURES_OVER_CHURN } from './over-churn.ts';
import { around, SMALL_PANEL, styleOf } from './series.ts';

const ROW_PIXELS = 20;
const LABEL_LETTERS = 18;

export function intervalsFigure(charts: Charts, data: ReportData): Figure {
  const height = 60 + ROW_PIXELS * data.policies.length;
  const panels = data.workloads.flatMap((workload) =>
    MEASURES_OVER_CHURN.map(({ name, axis }): Panel => {
      const ranking = data.rankings.find((one) => one.workload === workload && one.measure === name);
      const rows = (ranking?.policies ?? []).map(({ policy, estimate }) => ({
        policy,
        label: `${shortLabel(policy, LABEL_LETTERS)}${'\u200b'.repeat(data.policies.indexOf(policy))}`,
        ...estimate,
      }));
      return { title: workload, drawing: drawRows(charts, data, rows, { axis, height }) };
    }),
  );
  return {
    name: 'ranking',
    title: 'Where the policies ended',
    reading: `How to read it: a row of panels is a workload, a column a measure with a scale of its own; the policies stand in the order of their rank, the best on top. The symbol is the mean at the end over ${data.configuration.seeds.length} seeds, the line Student's 95 % interval of it. A higher layout score is better; of extents and of the time of a cold read less is.`,
    legend: [],
    panels,
    columns: MEASURES_OVER_CHURN.length,
    width: SMALL_PANEL.width,
    height,
  };
}

interface IntervalRow {
  readonly policy: string;
  /** Different for each policy. */
  readonly label: string;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

function drawRows(
  { plot, draw }: Charts,
  data: ReportData,
  rows: readonly IntervalRow[],
  { axis, height }: { readonly axis: string; readonly height: number },
): string {
  const marks = rows.flatMap((row) => {
    const { color, symbol } = styleOf(data, row.policy);
    return [
      plot.ruleY([row], { y: 'label', x1: 'low', x2: 'high', stroke: color, strokeWidth: 3 }),
      plot.dot([row], { y: 'label', x: 'mean', stroke: color, strokeWidth: 2, symbol, r: 4 }),
    ];
  });
  return draw({
    width: SMALL_PANEL.width,
    height,
    marginLeft: 118,
    marginBottom: 36,
    x: {
      label: `${axis} →`,
      domain: around(rows.flatMap(({ low, high }) => [low, high])),
      ticks: 3,
      grid: true,
    },
    y: { label: null, domain: rows.map(({ label }) => label) },
    marks: [plot.frame({ strokeOpacity: 0.3 }), ...marks],
  });
}
