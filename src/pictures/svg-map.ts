/**
 * A map of blocks as SVG: one path for each colour, text, and nothing else, so that also maps of
 * many cells are small and open everywhere.
 *
 *   title
 *   subtitle
 *   first block … last block
 *   ┌──────────────┐  legend
 *   │     map      │  ■ class   amount
 *   └──────────────┘
 *   how to read it
 */
import { type BlockClass, type BlockMap, cellColor, legendClasses } from './block-map.ts';
import { CellLevel } from './cell-counts.ts';
import { cellsByPlace } from './cell-grid.ts';
import { FREE_COLOR, NEUTRAL_COLOR, PAGE_COLOR } from './colors.ts';
import { wrapped } from './wrapped-text.ts';

const MARGIN = 24;
/** The map is about as large as this, in pixels; a cell has a whole number of them. */
const MAP_PIXELS = 768;
const LEAST_CELL_PIXELS = 2;
const LEGEND_PIXELS = 270;
const LEGEND_ROW = 40;
const FONT = "'DejaVu Sans', Verdana, Helvetica, sans-serif";
const FONT_PIXELS = 13;
/** A letter is about as wide as this share of the size of its font. */
const LETTER_WIDTH = 0.56;
const INK = '#222222';
const PALE_INK = '#555555';

/** The SVG document. */
export function svgOfMap(map: BlockMap): string {
  const { columns, rows } = map.grid;
  const cell = Math.max(LEAST_CELL_PIXELS, Math.floor(MAP_PIXELS / columns));
  const width = cell * columns;
  const top = 92;
  const bottom = top + cell * rows;
  const total = MARGIN + width + MARGIN + LEGEND_PIXELS;
  const reading = wrapped(map.reading, (total - 2 * MARGIN) / (FONT_PIXELS * LETTER_WIDTH));
  const legend = legendLines(map, MARGIN + width + MARGIN, top);
  const textTop = Math.max(bottom, top + legend.height) + 40;
  const height = textTop + reading.length * 19;
  const [first, end] = map.ends;
  const isCurve = map.grid.layout === 'hilbert';
  const isFull = map.cells.classes.length === columns * rows;
  const last = isCurve && !isFull ? `blank: behind the end, ${end}` : end;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${total}" height="${height}" viewBox="0 0 ${total} ${height}" font-family="${FONT}" font-size="${FONT_PIXELS}" fill="${INK}">`,
    `<title>${escaped(map.title)}</title>`,
    `<rect width="${total}" height="${height}" fill="${PAGE_COLOR}"/>`,
    textAt(MARGIN, 36, map.title, 'font-size="20" font-weight="bold"'),
    textAt(MARGIN, 58, map.subtitle, `fill="${PALE_INK}"`),
    textAt(MARGIN, top - 8, `${isCurve ? '↓' : '→'} ${first}`, `font-size="11" fill="${PALE_INK}"`),
    textAt(
      MARGIN + width,
      isCurve ? top - 8 : bottom + 16,
      `${last} ↑`,
      `font-size="11" fill="${PALE_INK}" text-anchor="end"`,
    ),
    `<g transform="translate(${MARGIN} ${top}) scale(${cell})" shape-rendering="crispEdges">`,
    ...cellPaths(map),
    '</g>',
    ...legend.lines,
    ...reading.map((line, i) => textAt(MARGIN, textTop + i * 19, line)),
    '</svg>',
    '',
  ].join('\n');
}

/** A path for each colour: rows of cells that are alike, as rectangles. */
function cellPaths({ grid, cells, classes }: BlockMap): string[] {
  const paths = new Map<string, string[]>();
  const { columns } = grid;
  const places = cellsByPlace(grid, cells.classes.length);
  const colorAt = (at: number): string | undefined => {
    const cell = places[at] ?? -1;
    return cell < 0 ? undefined : cellColor(classes[cells.classes[cell] ?? 0], cells.levels[cell] ?? 0);
  };
  for (let at = 0; at < places.length; ) {
    const color = colorAt(at);
    const rowEnd = at - (at % columns) + columns;
    let end = at + 1;
    while (end < rowEnd && colorAt(end) === color) end++;
    if (color !== undefined) {
      const path = paths.get(color) ?? [];
      paths.set(color, path);
      path.push(`M${at % columns} ${Math.floor(at / columns)}h${end - at}v1h${at - end}z`);
    }
    at = end;
  }
  return [...paths].map(([color, parts]) => `<path fill="${color}" d="${parts.join('')}"/>`);
}

function legendLines(map: BlockMap, left: number, top: number): { lines: string[]; height: number } {
  const shown = legendClasses(map);
  const lines = [textAt(left, top + 12, map.legend, 'font-weight="bold"')];
  let y = top + 24;
  for (const found of shown) {
    const isFree = found === map.classes[0];
    const color = isFree ? FREE_COLOR : found.color;
    lines.push(
      `<rect x="${left}" y="${y}" width="22" height="22" fill="${color}" stroke="${NEUTRAL_COLOR}" stroke-width="0.5"/>`,
      textAt(left + 32, y + 10, found.name),
      ...(found.amount === undefined
        ? []
        : [textAt(left + 32, y + 24, found.amount, `font-size="11" fill="${PALE_INK}"`)]),
    );
    y += LEGEND_ROW;
  }
  const hasPale = map.cells.levels.some((level) => level !== CellLevel.empty && level !== CellLevel.full);
  if (!hasPale) return { lines, height: y - top };
  lines.push(...paleLines(shown, left, y));
  return { lines, height: y + LEGEND_ROW - top };
}

/** What it means that a cell is paler. */
function paleLines(shown: readonly BlockClass[], left: number, y: number): string[] {
  const sample = shown.find(({ color }) => color !== FREE_COLOR && color !== NEUTRAL_COLOR);
  const levels = [CellLevel.full, CellLevel.partlyFree, CellLevel.halfFull];
  return [
    ...levels.map(
      (level, i) =>
        `<rect x="${left + i * 24}" y="${y}" width="22" height="22" fill="${cellColor(sample, level)}"/>`,
    ),
    textAt(left + 80, y + 10, 'paler: partly free'),
    textAt(left + 80, y + 24, 'all in use; up to half free; more', `font-size="11" fill="${PALE_INK}"`),
  ];
}

function textAt(x: number, y: number, text: string, attributes = ''): string {
  return `<text x="${x}" y="${y}"${attributes === '' ? '' : ` ${attributes}`}>${escaped(text)}</text>`;
}

/** Text as XML has it; what XML has no character for becomes a question mark. */
export function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '?')
    .replace(/[&<>"]/g, (character) => names[character] ?? character);
}
