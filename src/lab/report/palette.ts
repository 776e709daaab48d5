/**
 * How policies look: a colour, a dash and a symbol each, so that no two are told apart by their
 * colour alone. The colours are those of Okabe and Ito, made darker where they are too pale for
 * white paper, and paler for a dark page; each pair is a variable of the page's style.
 */
import { OkabeIto } from '../../pictures/colors.ts';

export interface ThemedColor {
  /** Of the variable in CSS: `--blue`. */
  readonly name: string;
  readonly light: string;
  readonly dark: string;
}

export const INK: ThemedColor = { name: 'ink', light: '#222222', dark: '#e4e6e8' };

const SERIES_COLORS: readonly ThemedColor[] = [
  { name: 'blue', light: OkabeIto.blue, dark: OkabeIto.skyBlue },
  { name: 'vermilion', light: OkabeIto.vermilion, dark: '#ff9152' },
  { name: 'green', light: '#00825f', dark: '#3ddcab' },
  { name: 'purple', light: '#a8458a', dark: '#eba6d3' },
  { name: 'ochre', light: '#9a6a00', dark: '#f2c14e' },
  INK,
];

/** Of maps, by the class in the map; what is free shows the background. */
export const MAP_COLORS: readonly ThemedColor[] = [
  { name: 'map-free', light: '#ededed', dark: '#2c3136' },
  { name: 'map-metadata', light: '#777777', dark: '#9aa0a6' },
  { name: 'map-one', light: '#9ccfe8', dark: '#24618a' },
  { name: 'map-few', light: '#e6b800', dark: '#b58900' },
  { name: 'map-some', light: '#dd6a1f', dark: '#f0803c' },
  { name: 'map-many', light: '#7a1040', dark: '#ff5fa8' },
];

export const SHARE_COLOR: ThemedColor = SERIES_COLORS[0] ?? INK;
export const METADATA_COLOR: ThemedColor = SERIES_COLORS[1] ?? INK;

export const ALL_COLORS: readonly ThemedColor[] = [...SERIES_COLORS, ...MAP_COLORS];

const DASHES = ['', '7 3', '2 3'] as const;
const SYMBOLS = ['circle', 'square', 'triangle', 'diamond', 'star', 'cross', 'wye'] as const;

export interface SeriesStyle {
  readonly color: string;
  /** Of a line, as `stroke-dasharray`; empty for none. */
  readonly dash: string;
  readonly symbol: (typeof SYMBOLS)[number];
}

/** The looks of the policy at a place in the configuration. */
export function seriesStyle(index: number): SeriesStyle {
  const color = SERIES_COLORS[index % SERIES_COLORS.length] ?? INK;
  const dash = DASHES[Math.floor(index / SERIES_COLORS.length) % DASHES.length] ?? '';
  return { color: color.light, dash, symbol: SYMBOLS[index % SYMBOLS.length] ?? 'circle' };
}

/** Colours of a light picture as variables of a page. */
export function themed(svg: string): string {
  return svg.replace(/="(#[0-9a-f]{6})"/g, (whole, hex: string) => {
    const found = ALL_COLORS.find(({ light }) => light === hex);
    return found === undefined ? whole : `="var(--${found.name})"`;
  });
}
