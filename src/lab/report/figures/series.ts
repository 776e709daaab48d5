/** What figures with a line or a symbol for each policy have in common. */
import type { LegendItem } from '../figure.ts';
import { type SeriesStyle, seriesStyle } from '../palette.ts';
import type { ReportData } from '../report-data.ts';

export const SMALL_PANEL = { columns: 3, width: 300, height: 210 } as const;
export const CHURN_LABEL = 'churn (times the capacity written) →';

/** Symbols as paths around the middle of a legend's sample. */
const SYMBOL_PATHS: Readonly<Record<SeriesStyle['symbol'], string>> = {
  circle: 'M9.5 7a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0',
  square: 'M10 4h6v6h-6z',
  triangle: 'M13 2.5l4 7h-8z',
  diamond: 'M13 2.5l4 4.5l-4 4.5l-4 -4.5z',
  star: 'M13 2.5l1.2 3h3.3l-2.6 2l1 3.2l-2.9 -2l-2.9 2l1 -3.2l-2.6 -2h3.3z',
  cross: 'M11.5 3h3v2.5h2.5v3h-2.5v2.5h-3v-2.5h-2.5v-3h2.5z',
  wye: 'M13 7v4.5M13 7l-4 -3M13 7l4 -3',
};

/** The looks of a policy: the same in all figures of a report. */
export function styleOf({ configuration }: ReportData, policy: string): SeriesStyle {
  return seriesStyle(Math.max(0, configuration.policies.indexOf(policy)));
}

/** A line with the symbol on it, for each policy. */
export function seriesLegend(data: ReportData): LegendItem[] {
  return data.policies.map((policy) => {
    const { color, dash, symbol } = styleOf(data, policy);
    const dashes = dash === '' ? '' : ` stroke-dasharray="${dash}"`;
    return {
      label: policy,
      sample: `<path d="M0 7h26" fill="none" stroke="${color}" stroke-width="2"${dashes}/><path d="${SYMBOL_PATHS[symbol]}" fill="none" stroke="${color}" stroke-width="1.5"/>`,
    };
  });
}

/** A patch of colour. */
export function patch(color: string, opacity = 1): string {
  return `<rect x="4" y="1" width="18" height="13" fill="${color}" fill-opacity="${opacity}" stroke="#777777" stroke-width="0.5"/>`;
}

/** Bounds around values, a little wider, so that nothing lies on the frame. */
export function around(values: readonly number[]): [low: number, high: number] {
  const low = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const high = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const margin = (high - low) * 0.06 || Math.abs(high) * 0.02 || 1;
  return [low - margin, high + margin];
}
