/**
 * A figure of the report: panels side by side, a legend above them, and a sentence that says how to
 * read it. As SVG by itself it has everything in it; in the page, the words are the page's.
 */
import { escaped } from '../../pictures/svg-map.ts';
import { wrapped } from '../../pictures/wrapped-text.ts';
import { INK, themed } from './palette.ts';

/** A small chart with a line above it. */
export interface Panel {
  readonly title: string;
  /** The inside of an SVG of the size of the figure's panels. */
  readonly drawing: string;
}

export interface LegendItem {
  readonly label: string;
  /** SVG in a box of 26 × 14 pixels. */
  readonly sample: string;
}

export interface Figure {
  /** Of its files, and its anchor in the page. */
  readonly name: string;
  readonly title: string;
  /** How to read it. */
  readonly reading: string;
  readonly legend: readonly LegendItem[];
  readonly panels: readonly Panel[];
  readonly columns: number;
  /** Of a panel, in pixels. */
  readonly width: number;
  readonly height: number;
}

const FONT = "'DejaVu Sans', Verdana, Helvetica, sans-serif";
const GAP = 16;
const PANEL_TITLE = 18;
const LEGEND_ROW = 20;
const SAMPLE_WIDTH = 26;
/** Of a letter, in the font of 11 pixels that labels have. */
const LETTER_WIDTH = 6.6;
const MARGIN = 20;
const TEXT_ROW = 17;
const LONGEST_LABEL = 34;

/** Long names of modules are cut in the middle; what no SVG shows becomes a question mark. */
export function shortLabel(name: string, letters = LONGEST_LABEL): string {
  const text = name.replace(/\p{C}/gu, '?');
  if (text.length <= letters) return text;
  const half = Math.floor((letters - 1) / 2);
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}

interface Drawn {
  readonly content: string;
  readonly width: number;
  readonly height: number;
}

/** For the page: colours follow its theme. */
export function inlineSvg(figure: Figure): string {
  const { content, width, height } = drawn(figure);
  const { name, title, reading } = figure;
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="${name}-title ${name}-desc" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="${FONT}" font-size="11" fill="currentColor"><title id="${name}-title">${escaped(title)}</title><desc id="${name}-desc">${escaped(reading)}</desc>${themed(content)}</svg>`;
}

/** A document of its own, for light paper. */
export function standaloneSvg(figure: Figure): string {
  const { content, width, height } = drawn(figure);
  const total = width + 2 * MARGIN;
  const lines = wrapped(figure.reading, width / LETTER_WIDTH);
  const top = MARGIN + 28;
  const textTop = top + height + 24;
  const whole = textTop + lines.length * TEXT_ROW + MARGIN - 8;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${total}" height="${whole}" viewBox="0 0 ${total} ${whole}" font-family="${FONT}" font-size="11" fill="${INK.light}" color="${INK.light}">`,
    `<title>${escaped(figure.title)}</title>`,
    `<desc>${escaped(figure.reading)}</desc>`,
    `<rect width="${total}" height="${whole}" fill="#ffffff"/>`,
    `<text x="${MARGIN}" y="${MARGIN + 12}" font-size="16" font-weight="bold">${escaped(figure.title)}</text>`,
    `<g transform="translate(${MARGIN} ${top})">${content}</g>`,
    ...lines.map((line, i) => `<text x="${MARGIN}" y="${textTop + i * TEXT_ROW}">${escaped(line)}</text>`),
    '</svg>',
    '',
  ].join('\n');
}

function drawn({ legend, panels, columns, width, height }: Figure): Drawn {
  const across = Math.max(1, Math.min(columns, panels.length));
  const total = Math.max(columns * (width + GAP) - GAP, width);
  const above = legendRows(legend, total);
  const step = PANEL_TITLE + height + GAP;
  const parts = panels.map(({ title, drawing }, index) => {
    const x = (index % across) * (width + GAP);
    const y = above.height + Math.floor(index / across) * step;
    const name = escaped(shortLabel(title, Math.floor(width / LETTER_WIDTH)));
    return `<g transform="translate(${x} ${y})"><text y="12" font-weight="bold">${name}</text><g transform="translate(0 ${PANEL_TITLE})" text-anchor="middle" font-size="10">${drawing}</g></g>`;
  });
  const rows = Math.ceil(panels.length / across);
  return { content: above.content + parts.join(''), width: total, height: above.height + rows * step - GAP };
}

function legendRows(legend: readonly LegendItem[], width: number): { content: string; height: number } {
  let x = 0;
  let row = 0;
  const parts = legend.map(({ label, sample }) => {
    const short = shortLabel(label);
    const taken = SAMPLE_WIDTH + 6 + short.length * LETTER_WIDTH + 18;
    if (x > 0 && x + taken > width) [x, row] = [0, row + 1];
    const part = `<g transform="translate(${Math.round(x)} ${row * LEGEND_ROW})">${sample}<text x="${SAMPLE_WIDTH + 6}" y="11">${escaped(short)}</text></g>`;
    x += taken;
    return part;
  });
  return { content: parts.join(''), height: legend.length === 0 ? 0 : (row + 1) * LEGEND_ROW + 8 };
}
