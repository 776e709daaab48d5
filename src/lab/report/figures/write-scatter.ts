/** Where on the volume writes went, over time. */
import { fileName } from '../../results-directory.ts';
import type { Charts } from '../charts.ts';
import type { Figure, Panel } from '../figure.ts';
import { METADATA_COLOR, SHARE_COLOR } from '../palette.ts';
import type { ReportData } from '../report-data.ts';
import { binaryUnit } from '../units.ts';
import { SMALL_PANEL } from './series.ts';

interface WritePoint {
  /** Written before, in volumes. */
  readonly written: number;
  /** In the unit of the axis. */
  readonly offset: number;
}

/** @returns undefined if nobody saw the device */
export function writeScatterFigure(charts: Charts, data: ReportData, workload: string): Figure | undefined {
  const panels = data.policies.flatMap((policy): Panel[] => {
    const trace = data.firstDetailOf(workload, policy)?.trace;
    if (trace === undefined) return [];
    const metadata = pointsOf(data, trace.metadata);
    return [{ title: policy, drawing: drawPoints(charts, data, pointsOf(data, trace.data), metadata) }];
  });
  if (panels.length === 0) return undefined;
  return {
    name: `writes-${fileName(workload)}`,
    title: `Where writes went: ${workload}`,
    reading: `How to read it: a dot is a write, at its place on the volume (upwards) and by how much was written before it (to the right; the volume is filled first); of many writes an even selection is shown, of data and of metadata each. Level stripes are places that are written again and again; rising lines are a policy that goes on from where it was; a cloud is one that scatters. Seed ${data.configuration.seeds[0]}.`,
    legend: [
      { label: 'data', sample: dotSample(SHARE_COLOR.light) },
      { label: 'metadata and journal', sample: dotSample(METADATA_COLOR.light) },
    ],
    panels,
    ...SMALL_PANEL,
  };
}

function dotSample(color: string): string {
  return `<path d="M6 7h0M13 4h0M20 9h0" stroke="${color}" stroke-width="4" stroke-linecap="round"/>`;
}

function pointsOf({ configuration }: ReportData, pairs: readonly number[]): WritePoint[] {
  const { sizeBytes, blockBytes } = configuration;
  const { power } = binaryUnit(sizeBytes);
  const points: WritePoint[] = [];
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    points.push({
      written: ((pairs[at] ?? 0) * blockBytes) / sizeBytes,
      offset: ((pairs[at + 1] ?? 0) * blockBytes) / power,
    });
  }
  return points;
}

function drawPoints(
  charts: Charts,
  { configuration: { sizeBytes } }: ReportData,
  data: readonly WritePoint[],
  metadata: readonly WritePoint[],
): string {
  const { power, unit } = binaryUnit(sizeBytes);
  const { plot, draw } = charts;
  return draw({
    width: SMALL_PANEL.width,
    height: SMALL_PANEL.height,
    marginLeft: 48,
    marginBottom: 36,
    x: { label: 'written (times the size of the volume) →', ticks: 5 },
    y: { label: `↑ offset (${unit})`, domain: [0, sizeBytes / power], ticks: 5 },
    marks: [
      plot.frame({ strokeOpacity: 0.3 }),
      dots(charts, data, SHARE_COLOR.light),
      dots(charts, metadata, METADATA_COLOR.light),
    ],
  });
}

/** All dots as one path: an element for each would make the page ten times as long. */
function dots({ plot }: Charts, points: readonly WritePoint[], color: string) {
  return plot.dot([...points], {
    x: 'written',
    y: 'offset',
    // biome-ignore lint/complexity/useMaxParams: Plot calls it so.
    render: (index, _scales, values, _dimensions, { document }) => {
      const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
      const [xs, ys] = [values.x ?? [], values.y ?? []];
      const tenth = (value: number | undefined) => Math.round((value ?? 0) * 10) / 10;
      path.setAttribute('d', [...index].map((at) => `M${tenth(xs[at])} ${tenth(ys[at])}h0`).join(''));
      path.setAttribute('stroke', color);
      path.setAttribute('stroke-width', '1.8');
      path.setAttribute('stroke-opacity', '0.6');
      path.setAttribute('stroke-linecap', 'round');
      return path;
    },
  });
}
