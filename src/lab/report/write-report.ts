/**
 * Makes the report of the results in a directory: `report.html`, and each figure as
 * `figures/NAME.svg` and `.png`. Only `figures/allocation-latency.*` and the section `costs` of the
 * page are not the same twice.
 */
import { pngOfSvg, RENDERER } from '../../pictures/png.ts';
import { ResultsDirectory } from '../results-directory.ts';
import { CHART_LIBRARIES, type Charts, loadCharts } from './charts.ts';
import { type Figure, standaloneSvg } from './figure.ts';
import { allocationLatencyFigure, latencyRows } from './figures/allocation-latency.ts';
import { extentDistributionFigure } from './figures/extent-distribution.ts';
import { freeRunsFigure } from './figures/free-runs.ts';
import { intervalsFigure } from './figures/intervals.ts';
import { layoutMapsFigure } from './figures/layout-maps.ts';
import { MEASURES_OVER_CHURN, measureOverChurn } from './figures/over-churn.ts';
import { writeScatterFigure } from './figures/write-scatter.ts';
import { removeReport } from './old-report.ts';
import { type ReportFigures, reportPage } from './page.ts';
import { ReportData } from './report-data.ts';

/** Pixels of a PNG for each of the SVG. */
const PNG_SCALE = 2;

/**
 * @param path directory of results
 * @param load loads the libraries that draw
 * @returns names of what has to be installed for what could not be made; none if all was made
 * @throws the error of a file; Error with a sentence if the results are none
 */
export async function writeReport(
  path: string,
  load: () => Promise<Charts | undefined> = loadCharts,
): Promise<readonly string[]> {
  const data = new ReportData(path);
  const charts = await load();
  if (charts === undefined) return CHART_LIBRARIES;
  const figures = figuresOf(charts, data);
  const directory = new ResultsDirectory(path, data.hash);
  removeReport(path);
  directory.write('report.html', reportPage(data, figures));
  let isMissing = false;
  for (const figure of allFigures(figures)) {
    const svg = standaloneSvg(figure);
    directory.write(`figures/${figure.name}.svg`, svg);
    const png: Uint8Array | undefined = isMissing ? undefined : await pngOfSvg(svg, PNG_SCALE);
    isMissing = png === undefined;
    if (png !== undefined) directory.write(`figures/${figure.name}.png`, png);
  }
  return isMissing ? [RENDERER] : [];
}

function allFigures({ overall, workloads, latency }: ReportFigures): Figure[] {
  const own = workloads.flatMap(({ figures, maps }) => [maps, ...figures]);
  return [...overall, ...own, latency].flatMap((figure) => (typeof figure === 'string' ? [] : figure));
}

function figuresOf(charts: Charts, data: ReportData): ReportFigures {
  const rows = latencyRows(data);
  return {
    overall: [
      intervalsFigure(charts, data),
      ...MEASURES_OVER_CHURN.map((words) => measureOverChurn(charts, data, words)),
      extentDistributionFigure(charts, data) ??
        'No distribution of extents: these results do not have what it is drawn from.',
    ],
    workloads: data.workloads.map((workload) => ({
      workload,
      maps:
        layoutMapsFigure(data, workload) ?? 'No maps: these results do not have what they are drawn from.',
      figures: [
        freeRunsFigure(charts, data, workload) ?? 'No free runs: nobody tells of them on these volumes.',
        writeScatterFigure(charts, data, workload) ??
          'No picture of writes: only volumes in memory see their device.',
      ],
    })),
    latency:
      allocationLatencyFigure(charts, data, rows) ??
      'No times of allocations: they are measured only where the policy runs in the laboratory itself.',
    latencyRows: rows,
  };
}
