/**
 * The page: one file that needs no other. What it says of policies and workloads may be anybody's
 * text, so everything goes through `escaped`; and a policy of content lets nothing in but the
 * page's own style and its one script, by its hash.
 */
import { createHash } from 'node:crypto';
import { hilbertGrid } from '../../pictures/cell-grid.ts';
import { escaped } from '../../pictures/svg-map.ts';
import type { Configuration } from '../experiment.ts';
import { decodedMap } from '../measures/layout-map.ts';
import { MEASURES } from '../measures.ts';
import { isAmongBest } from '../ranking.ts';
import { type Figure, inlineSvg } from './figure.ts';
import type { LatencyRow } from './figures/allocation-latency.ts';
import {
  LEVEL_STRENGTHS,
  type MapFrames,
  mapFramesOf,
  mapLegend,
  mapReading,
} from './figures/layout-maps.ts';
import { PAGE_SCRIPT, PAGE_STYLE } from './page-text.ts';
import { MAP_COLORS, themed } from './palette.ts';
import type { ReportData } from './report-data.ts';
import { shortNumber } from './tables.ts';
import { binarySize } from './units.ts';
import { verdictsOf } from './verdicts.ts';

/** A figure, or a sentence that says why there is none. */
export type FigureOrReason = Figure | string;

export interface WorkloadFigures {
  readonly workload: string;
  readonly figures: readonly FigureOrReason[];
  /** Stands in the page in the place of the slider's maps where there are none. */
  readonly maps: FigureOrReason;
}

export interface ReportFigures {
  readonly overall: readonly FigureOrReason[];
  readonly workloads: readonly WorkloadFigures[];
  /** Of this machine. */
  readonly latency: FigureOrReason;
  readonly latencyRows: readonly LatencyRow[];
}

export function reportPage(data: ReportData, figures: ReportFigures): string {
  const hash = createHash('sha256').update(PAGE_SCRIPT).digest('base64');
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'">`,
    '<meta name="viewport" content="width=device-width">',
    `<title>Allocators compared: ${escaped(data.policies.join(', '))}</title>`,
    `<style>${PAGE_STYLE}</style></head><body>`,
    ...summary(data),
    '<h2>Ranking</h2>',
    ...data.workloads.map((workload) => ranking(data, workload)),
    ...figures.overall.map(figureHtml),
    ...figures.workloads.flatMap(({ workload, figures: own, maps }) => [
      `<h2>${escaped(workload)}</h2>`,
      typeof maps === 'string' ? figureHtml(maps) : mapBox(data, workload),
      ...own.map(figureHtml),
    ]),
    `<section id="costs"><h2>What it took on this machine</h2><p>This section is not the same twice; the rest of the page is, for volumes in memory.</p>${figureHtml(figures.latency)}${latencyTable(figures.latencyRows)}</section>`,
    `<script>${PAGE_SCRIPT}</script>`,
    '</body></html>',
    '',
  ].join('\n');
}

function summary({ configuration, hash, runs, failed, policies, workloads }: ReportData): string[] {
  const { version, runner, sizeBytes, blockBytes, fullness, churn, samples, seeds } = configuration;
  const rows: [string, string][] = [
    ['Quarry', version],
    ['volumes', runner === 'model' ? 'in memory' : 'mounted, on loop devices'],
    ['policies', policies.join(', ')],
    ['workloads', workloads.join(', ')],
    ['size', `${binarySize(sizeBytes)} in blocks of ${binarySize(blockBytes)}`],
    ['fullness', `${Math.round(fullness * 100)} %, where the workload does not say`],
    ['churn', `${churn} times the capacity, ${samples} samples after the first`],
    ['seeds', `${seeds[0]} to ${seeds.at(-1)}`],
    ['configuration', hash],
    ['runs', `${runs.length} done, ${failed.length} failed`],
  ];
  const cells = rows.map(([name, value]) => `<tr><th>${name}</th><td>${escaped(value)}</td></tr>`);
  return [
    '<h1>Allocators compared</h1>',
    `<table>${cells.join('')}</table><pre>${escaped(commandOf(configuration))}</pre>`,
  ];
}

/** What a shell has to be given for the same results. */
export function commandOf(configuration: Configuration): string {
  const { runner, policies, workloads, sizeBytes, fullness, churn, samples, seeds } = configuration;
  const words = {
    ...{ policies: policies.join(','), workloads: workloads.join(','), runner },
    ...{ size: sizeBytes, fullness, churn, samples, seeds: seeds.length, seed: seeds[0] ?? 1 },
  };
  const options = Object.entries(words).map(([name, value]) => `--${name} ${shellWord(String(value))}`);
  return `quarry lab run ${options.join(' ')}`;
}

function shellWord(text: string): string {
  return /^[A-Za-z0-9._/,=+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Sentences, and a row for each measure. */
function ranking(data: ReportData, workload: string): string {
  const own = data.rankings.filter((one) => one.workload === workload && one.policies.length > 0);
  const rows = MEASURES.flatMap(({ name, title, prefers }) => {
    const found = own.find(({ measure }) => measure === name);
    if (found === undefined) return [];
    const cells = data.policies.map((policy) => {
      const place = found.policies.find((one) => one.policy === policy);
      if (place === undefined) return '<td>–</td>';
      const { mean, low, high } = place.estimate;
      const span =
        low === high ? '' : `<br><span class="pale">${shortNumber(low)}–${shortNumber(high)}</span>`;
      return `<td>${isAmongBest(place) ? `<b>${shortNumber(mean)}*</b>` : shortNumber(mean)}${span}</td>`;
    });
    return `<tr><th scope="row">${escaped(title)} (${prefers === 'more' ? 'more' : 'less'} is better)</th>${cells.join('')}</tr>`;
  });
  const head = data.policies.map((policy) => `<th scope="col">${escaped(policy)}</th>`).join('');
  const sentences = verdictsOf(own).map((sentence) => `<li>${escaped(sentence)}</li>`);
  return `<h3>${escaped(workload)}</h3><ul>${sentences.join('')}</ul><div class="scroll"><table><caption>At the end: means over seeds with Student's 95 % intervals; * the best, or cannot be told from it</caption><thead><tr><th>measure</th>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function figureHtml(figure: FigureOrReason): string {
  if (typeof figure === 'string') return `<p class="pale">${escaped(figure)}</p>`;
  return `<figure id="${figure.name}"><h3>${escaped(figure.title)}</h3>${inlineSvg(figure)}<figcaption>${escaped(figure.reading)}</figcaption></figure>`;
}

/** Maps of all policies, with one slider through time. */
function mapBox(data: ReportData, workload: string): string {
  const frames = mapFramesOf(data, workload);
  const most = Math.max(...frames.map(({ maps }) => maps.length)) - 1;
  const cellCount = decodedMap(frames[0]?.maps[0] ?? '').classes.length;
  const grid = hilbertGrid(cellCount);
  const places = Array.from({ length: cellCount }, (_, cell) => grid.place(cell)).flatMap(({ x, y }) => [
    x,
    y,
  ]);
  const json = JSON.stringify({
    ...{ places, strengths: LEVEL_STRENGTHS, colors: MAP_COLORS.map(({ name }) => name) },
    frames: frames.map(({ churns, maps }: MapFrames) => ({ churns, maps })),
  });
  const canvases = frames.map(
    ({ policy }) =>
      `<div><span>${escaped(policy)}</span><canvas role="img" aria-label="map of the volume under ${escaped(policy)}" width="${grid.columns * 3}" height="${grid.rows * 3}"></canvas><output class="pale"></output></div>`,
  );
  // A `<` would end the element.
  return `<figure class="mapbox"><h3>Maps of the volume through time</h3><p>${mapKeys(frames)}</p><label>time <input class="slider" type="range" min="0" max="${most}" value="${most}"></label><div class="maps">${canvases.join('')}</div><figcaption>${escaped(mapReading(data))} The slider goes from the full volume to the end. Without scripts, see the pictures in figures/.</figcaption><script type="application/json">${json.replaceAll('<', '\\u003c')}</script></figure>`;
}

function mapKeys(frames: readonly MapFrames[]): string {
  return mapLegend(frames)
    .map(
      ({ label, sample }) =>
        `<svg width="26" height="14" aria-hidden="true">${themed(sample)}</svg> ${escaped(label)}`,
    )
    .join(' &nbsp; ');
}

function latencyTable(rows: readonly LatencyRow[]): string {
  if (rows.length === 0) return '';
  const head = ['workload', 'policy', 'median µs', 'p99 µs', 'longest µs', 'operations/s'];
  const cells = rows.map(({ workload, policy, p50, p99, max, operationsPerSecond }) =>
    [escaped(workload), escaped(policy), ...[p50, p99, max, operationsPerSecond].map(shortNumber)]
      .map((cell) => `<td>${cell}</td>`)
      .join(''),
  );
  return `<div class="scroll"><table><thead><tr>${head.map((cell) => `<th>${cell}</th>`).join('')}</tr></thead><tbody>${cells.map((row) => `<tr>${row}</tr>`).join('')}</tbody></table></div>`;
}
