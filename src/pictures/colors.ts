/**
 * Colours that also those can tell apart who see red and green alike: for kinds of things those of
 * M. Okabe and K. Ito ("Color Universal Design", 2008), for more and less a scale whose lightness
 * falls with every step (after viridis, S. van der Walt and N. Smith, 2015).
 */

export const OkabeIto = {
  black: '#000000',
  orange: '#e69f00',
  skyBlue: '#56b4e9',
  green: '#009e73',
  yellow: '#f0e442',
  blue: '#0072b2',
  vermilion: '#d55e00',
  purple: '#cc79a7',
} as const;

/** From least to most, or from young to old. */
export const SCALE_COLORS = ['#c2df23', '#51c56a', '#1f958b', '#2c718e', '#472f7d', '#2b0040'] as const;

/** What is nobody's, or not what the picture is about. */
export const NEUTRAL_COLOR = '#9a9a9a';
/** Free blocks. */
export const FREE_COLOR = '#ededed';
/** Behind everything. */
export const PAGE_COLOR = '#ffffff';

type Channels = readonly [red: number, green: number, blue: number];

/** @param color as `#rrggbb` */
export function channelsOf(color: string): Channels {
  const number = Number.parseInt(color.slice(1), 16);
  return [(number >>> 16) & 255, (number >>> 8) & 255, number & 255];
}

/** `share` of a colour over another one. */
export function mixed(color: string, over: string, share: number): string {
  const below = channelsOf(over);
  const parts = channelsOf(color).map((channel, i) =>
    Math.round(share * channel + (1 - share) * (below[i] ?? 0)),
  );
  return `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}
