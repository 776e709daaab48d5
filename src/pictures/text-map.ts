/**
 * A map of blocks for a terminal. With colours a character shows two cells, one above the other, as
 * the upper half block in two colours; without, a letter stands for a cell.
 */
import { type BlockMap, cellColor, legendClasses } from './block-map.ts';
import { CellLevel, FREE_CLASS } from './cell-counts.ts';
import { cellsByPlace } from './cell-grid.ts';
import { channelsOf, PAGE_COLOR } from './colors.ts';
import { wrapped } from './wrapped-text.ts';

/** What colours a terminal has; undefined: none. */
export type TerminalColors = 'true' | '256' | undefined;

/** Sentences are not wrapped to less. */
const LEAST_TEXT_COLUMNS = 60;
const RESET = '\x1b[0m';
const UPPER_HALF = '▀';

/** The map as lines. */
export function textOfMap(map: BlockMap, colors: TerminalColors): string {
  const rows = colors === undefined ? letterRows(map) : coloredRows(map, colors);
  const [first, last] = map.ends;
  return [
    map.title,
    map.subtitle,
    '',
    ...rows,
    '',
    `from ${first} to ${last}`,
    `${map.legend}:`,
    ...legendRows(map, colors),
    '',
    ...wrapped(map.reading, Math.max(map.grid.columns, LEAST_TEXT_COLUMNS)),
    '',
  ].join('\n');
}

function letterRows(map: BlockMap): string[] {
  const { columns, rows } = map.grid;
  const places = cellsByPlace(map.grid, map.cells.classes.length);
  return Array.from({ length: rows }, (_, y) =>
    Array.from({ length: columns }, (_, x) => letterOf(map, places[y * columns + x] ?? -1))
      .join('')
      .trimEnd(),
  );
}

function letterOf({ cells, classes }: BlockMap, cell: number): string {
  if (cell < 0) return ' ';
  const letters = [...(classes[cells.classes[cell] ?? 0]?.letters ?? '?')];
  const level = cells.levels[cell] ?? CellLevel.full;
  return letters.length === 1 ? (letters[0] ?? '?') : (letters[Math.max(0, level - 1)] ?? '?');
}

function coloredRows({ grid, cells, classes }: BlockMap, colors: '256' | 'true'): string[] {
  const { columns, rows } = grid;
  const places = cellsByPlace(grid, cells.classes.length);
  /** Undefined where there is no cell. */
  const colorAt = (x: number, y: number): string | undefined => {
    const cell = y < rows ? (places[y * columns + x] ?? -1) : -1;
    return cell < 0 ? undefined : cellColor(classes[cells.classes[cell] ?? 0], cells.levels[cell] ?? 0);
  };
  const lines: string[] = [];
  for (let y = 0; y < rows; y += 2) {
    const pairs = Array.from({ length: columns }, (_, x) => [colorAt(x, y), colorAt(x, y + 1)] as const);
    lines.push(coloredLine(pairs, colors));
  }
  return lines;
}

/** A line of text from two rows of cells. */
function coloredLine(
  pairs: readonly (readonly [upper: string | undefined, lower: string | undefined])[],
  colors: '256' | 'true',
): string {
  let line = '';
  let before = '';
  for (const [upper, lower] of pairs) {
    const isBlank = upper === undefined && lower === undefined;
    const [above, below] = [upper ?? PAGE_COLOR, lower ?? PAGE_COLOR];
    const code = isBlank ? RESET : `\x1b[${colorCode(38, above, colors)};${colorCode(48, below, colors)}m`;
    line += (code === before ? '' : code) + (isBlank ? ' ' : UPPER_HALF);
    before = code;
  }
  return line + RESET;
}

/** The parameters of SGR that choose a colour: ECMA-48, and ISO 8613-6 for its extension. */
function colorCode(ground: 38 | 48, color: string, colors: TerminalColors): string {
  const channels = channelsOf(color);
  if (colors === 'true') return `${ground};2;${channels.join(';')}`;
  const [red = 0, green = 0, blue = 0] = channels.map((channel) => Math.round((channel / 255) * 5));
  return `${ground};5;${16 + 36 * red + 6 * green + blue}`;
}

function legendRows(map: BlockMap, colors: TerminalColors): string[] {
  const shown = legendClasses(map);
  const width = Math.max(...shown.map(({ name }) => name.length));
  return shown.map((found) => {
    const isFree = found === map.classes[FREE_CLASS];
    const color = cellColor(found, isFree ? CellLevel.empty : CellLevel.full);
    const sign =
      colors === undefined ? found.letters.padEnd(3) : `\x1b[${colorCode(48, color, colors)}m   ${RESET}`;
    return `  ${sign}  ${found.name.padEnd(width)}  ${found.amount ?? ''}`.trimEnd();
  });
}
