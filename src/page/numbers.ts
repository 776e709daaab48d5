/** Numbers as the page writes them. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** At most one digit behind the point. */
export function numberText(value: number): string {
  const digits = Math.abs(value) < 10 && !Number.isInteger(value) ? 1 : 0;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** `64 MiB`, `1.5 GiB`. */
export function sizeText(bytes: number): string {
  const unit = bytes < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** unit;
  const digits = value >= 100 || Number.isInteger(value) || unit === 0 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit] ?? ''}`;
}

/** `45 µs`, `1.2 ms`, `3 s`. */
export function durationText(microseconds: number): string {
  if (microseconds < 1000) return `${numberText(microseconds)} µs`;
  if (microseconds < 1e6) return `${numberText(microseconds / 1000)} ms`;
  return `${numberText(microseconds / 1e6)} s`;
}

export function percentText(share: number | null): string {
  if (share === null) return '–';
  const percent = 100 * share;
  return `${percent > 0 && percent < 1 ? '<1' : Math.round(percent)} %`;
}
