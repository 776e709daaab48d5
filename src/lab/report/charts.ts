/**
 * The library that draws charts, and a document for it to draw in: Observable Plot on linkedom.
 * Both are optional peers: who makes no reports need not have them.
 */
import { codeOf, rethrow } from '../../common/thrown.ts';

/** What to install for a report. */
export const CHART_LIBRARIES = ['@observablehq/plot', 'linkedom'] as const;

type PlotLibrary = typeof import('@observablehq/plot');
type DocumentLibrary = typeof import('linkedom');
type PlotOptions = NonNullable<Parameters<PlotLibrary['plot']>[0]>;

export interface Charts {
  readonly plot: PlotLibrary;
  /** The inside of the SVG of a chart. */
  draw(options: PlotOptions): string;
}

/**
 * @param load loads both libraries
 * @returns undefined if one of them is not installed
 */
export async function loadCharts(
  load: () => Promise<[PlotLibrary, DocumentLibrary]> = () =>
    Promise.all([import('@observablehq/plot').catch(rethrow), import('linkedom').catch(rethrow)]),
): Promise<Charts | undefined> {
  try {
    const [plot, { parseHTML }] = await load();
    const { document } = parseHTML('<!doctype html><html><body></body></html>');
    return { plot, draw: (options) => insideOf(plot.plot({ ...options, document }).outerHTML) };
  } catch (thrown) {
    if (/MODULE_NOT_FOUND$/.test(codeOf(thrown))) return undefined;
    throw thrown;
  }
}

/** Without the outermost element and its style sheet, and with numbers that no eye tells apart. */
function insideOf(svg: string): string {
  return svg
    .replace(/^<svg[^>]*>(<style>[^<]*<\/style>)?/, '')
    .replace(/<\/svg>$/, '')
    .replace(/ [a-z0-9-]+="[^"]*\d\.\d{3,}[^"]*"/g, (attribute) =>
      attribute.replace(/\d+\.\d{3,}/g, (number) => String(Number(Number(number).toFixed(2)))),
    );
}
