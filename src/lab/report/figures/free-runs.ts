/** How long the runs are in which space is free, over churn: a heat map for each policy. */
import { fileName } from '../../results-directory.ts';
import type { RunSample } from '../../runners/ageing-run.ts';
import type { Charts } from '../charts.ts';
import type { Figure, Panel } from '../figure.ts';
import { SHARE_COLOR } from '../palette.ts';
import { type ReportData, spreadIndices } from '../report-data.ts';
import { binarySize } from '../units.ts';
import { CHURN_LABEL, patch, SMALL_PANEL } from './series.ts';

const MOST_COLUMNS = 48;

/** A rectangle of the heat map. */
interface HeatCell {
  readonly from: number;
  readonly to: number;
  /** Of two. */
  readonly power: number;
  /** Of the free space. */
  readonly share: number;
}

/** @returns undefined if nobody told of free runs */
export function freeRunsFigure(charts: Charts, data: ReportData, workload: string): Figure | undefined {
  const heat = data.policies
    .map((policy) => ({ policy, cells: heatOf(data, workload, policy) }))
    .filter(({ cells }) => cells.length > 0);
  const cells = heat.flatMap((one) => one.cells);
  if (cells.length === 0) return undefined;
  const most = Math.max(...cells.map(({ share }) => share));
  const powers = 1 + Math.max(...cells.map(({ power }) => power));
  const scale = { most, powers, blockBytes: data.configuration.blockBytes };
  const shares = [0.1, 0.5, 1];
  return {
    name: `free-runs-${fileName(workload)}`,
    title: `Free runs over churn: ${workload}`,
    reading:
      'How to read it: a column is a sample, a row the free runs of at least this length and less than twice it; the darker a field, the more of the free space is in such runs. Colour that sinks over time says that the free space falls to pieces; colour at the top says that long runs stay. Means over the seeds.',
    legend: shares.map((share) => ({
      label: `${Math.round(100 * share * most)} % of the free space`,
      sample: patch(SHARE_COLOR.light, share),
    })),
    panels: heat.map(
      ({ policy, cells: own }): Panel => ({ title: policy, drawing: drawHeat(charts, own, scale) }),
    ),
    ...SMALL_PANEL,
  };
}

function heatOf(data: ReportData, workload: string, policy: string): HeatCell[] {
  const runs = data.runsOf(workload, policy);
  const churns = data.churnsOf(workload, policy);
  const chosen = spreadIndices(churns.length, MOST_COLUMNS);
  return chosen.flatMap((index, column) => {
    const at = churns[index] ?? 0;
    const before = churns[chosen[column - 1] ?? -1];
    const behind = churns[chosen[column + 1] ?? -1];
    const half =
      ((behind ?? at) - (before ?? at)) / (before === undefined || behind === undefined ? 2 : 4) || 0.5;
    const samples = runs.flatMap(({ samples: all }) => all[index] ?? []);
    return sharesOf(samples).map((share, power) => ({ from: at - half, to: at + half, power, share }));
  });
}

/** Of the free space in runs of each power of two; the mean over samples. */
function sharesOf(samples: readonly RunSample[]): number[] {
  const told = samples.flatMap(({ free }) => (free === undefined || free.freeBlocks === 0 ? [] : free));
  const powers = Math.max(0, ...told.map(({ blocksByPower }) => blocksByPower.length));
  return Array.from({ length: powers }, (_, power) => {
    const sum = told.reduce((all, free) => all + (free.blocksByPower[power] ?? 0) / free.freeBlocks, 0);
    return sum / told.length;
  });
}

interface HeatScale {
  readonly most: number;
  readonly powers: number;
  readonly blockBytes: number;
}

function drawHeat(
  { plot, draw }: Charts,
  cells: readonly HeatCell[],
  { most, powers, blockBytes }: HeatScale,
): string {
  const step = Math.max(1, Math.ceil(powers / 7));
  return draw({
    width: SMALL_PANEL.width,
    height: SMALL_PANEL.height,
    marginLeft: 62,
    marginBottom: 36,
    x: { label: CHURN_LABEL, ticks: 5 },
    y: {
      label: '↑ length of free runs, from',
      domain: [0, powers],
      ticks: Array.from({ length: Math.ceil(powers / step) }, (_, index) => index * step),
      tickFormat: (power: number) => binarySize(2 ** power * blockBytes),
    },
    opacity: { domain: [0, most], range: [0, 1] },
    marks: [
      plot.rect(
        cells.filter(({ share }) => share > 0),
        {
          ...{ x1: 'from', x2: 'to', y1: 'power', y2: ({ power }: HeatCell) => power + 1 },
          ...{ fill: SHARE_COLOR.light, fillOpacity: 'share', insetTop: 0.5, insetLeft: 0.5 },
        },
      ),
      plot.frame({ strokeOpacity: 0.3 }),
    ],
  });
}
