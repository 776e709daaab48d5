/** Hilbert maps: of the first sample and the last, as a figure; of many, for the page's slider. */

import { cellsByPlace, hilbertGrid } from '../../../pictures/cell-grid.ts';
import { decodedMap, MAP_CLASSES } from '../../measures/layout-map.ts';
import { fileName } from '../../results-directory.ts';
import type { SampleDetail } from '../../run-detail.ts';
import type { Figure, LegendItem, Panel } from '../figure.ts';
import { MAP_COLORS } from '../palette.ts';
import { type ReportData, spreadIndices } from '../report-data.ts';
import { patch } from './series.ts';

/** How much of its colour a cell has, by its level. */
export const LEVEL_STRENGTHS = [0, 0.45, 0.72, 1] as const;
const PANEL_PIXELS = 216;
/** The page keeps at most so many maps of a run. */
const MOST_FRAMES = 24;

export interface MapFrames {
  readonly policy: string;
  /** Of each map, times the capacity written. */
  readonly churns: readonly number[];
  /** See measures/layout-map.ts. */
  readonly maps: readonly string[];
  readonly isFreeTold: boolean;
}

/** Of each policy that has maps, those of its first seed. */
export function mapFramesOf(data: ReportData, workload: string): MapFrames[] {
  return data.policies.flatMap((policy) => {
    const run = data.runsOf(workload, policy)[0];
    const samples = run === undefined ? [] : (data.detailOf(run)?.samples ?? []);
    if (run === undefined || samples.length === 0) return [];
    const chosen = spreadIndices(Math.min(samples.length, run.samples.length), MOST_FRAMES);
    const maps = chosen.map((index) => samples[index]?.map ?? '');
    const churns = chosen.map((index) => run.samples[index]?.churn ?? 0);
    return [{ policy, churns, maps, isFreeTold: samples.every((sample: SampleDetail) => sample.isFreeTold) }];
  });
}

export function mapLegend(frames: readonly MapFrames[]): LegendItem[] {
  const isTold = frames.every(({ isFreeTold }) => isFreeTold);
  return MAP_CLASSES.map((name, index) => ({
    label: index === 0 && !isTold ? 'free (or metadata, where nobody tells)' : name,
    sample: patch(MAP_COLORS[index]?.light ?? '#777777'),
  }));
}

export function mapReading(data: ReportData): string {
  return `How to read it: the volume is wound along a Hilbert curve from the upper left to the upper right, so that what is near on the disk is near here and a run of blocks is a patch. A cell shows what most of its blocks in use are, by the extents of the whole file, and is paler where some are free. Large patches of the colour of one extent are good; specks of the colours of many are files in pieces. Seed ${data.configuration.seeds[0]}.`;
}

/** @returns undefined if nobody kept maps */
export function layoutMapsFigure(data: ReportData, workload: string): Figure | undefined {
  const frames = mapFramesOf(data, workload);
  if (frames.length === 0) return undefined;
  return {
    name: `maps-${fileName(workload)}`,
    title: `Maps of the volume, full and at the end: ${workload}`,
    reading: mapReading(data),
    legend: mapLegend(frames),
    panels: frames.flatMap(({ policy, churns, maps }): Panel[] => {
      const ends = maps.length === 1 ? [0] : [0, maps.length - 1];
      return ends.map((index) => ({
        title: `${policy}: ${Number((churns[index] ?? 0).toFixed(2))} × written`,
        drawing: drawMap(maps[index] ?? ''),
      }));
    }),
    columns: 4,
    width: PANEL_PIXELS,
    height: PANEL_PIXELS,
  };
}

/** A path for each colour and level: rows of cells that are alike, as rectangles. */
function drawMap(text: string): string {
  const { classes, levels } = decodedMap(text);
  const grid = hilbertGrid(classes.length);
  const places = cellsByPlace(grid, classes.length);
  const codeAt = (at: number): number => {
    const cell = places[at] ?? -1;
    return cell < 0 ? -1 : (classes[cell] ?? 0) * LEVEL_STRENGTHS.length + (levels[cell] ?? 0);
  };
  const paths = new Map<number, string>();
  for (let at = 0; at < places.length; ) {
    const code = codeAt(at);
    const rowEnd = at - (at % grid.columns) + grid.columns;
    let end = at + 1;
    while (end < rowEnd && codeAt(end) === code) end++;
    const rectangle = `M${at % grid.columns} ${Math.floor(at / grid.columns)}h${end - at}v1h${at - end}z`;
    paths.set(code, (paths.get(code) ?? '') + rectangle);
    at = end;
  }
  const scale = PANEL_PIXELS / Math.max(grid.columns, grid.rows);
  const drawn = [...paths].filter(([code]) => code >= LEVEL_STRENGTHS.length);
  const free = `<rect width="${grid.columns}" height="${grid.rows}" fill="${MAP_COLORS[0]?.light}"/>`;
  return `<g transform="scale(${Number(scale.toFixed(4))})" shape-rendering="crispEdges">${free}${drawn.map(pathOf).join('')}</g>`;
}

function pathOf([code, path]: readonly [code: number, path: string]): string {
  const color = MAP_COLORS[Math.floor(code / LEVEL_STRENGTHS.length)]?.light;
  const strength = LEVEL_STRENGTHS[code % LEVEL_STRENGTHS.length];
  return `<path fill="${color}" fill-opacity="${strength}" d="${path}"/>`;
}
