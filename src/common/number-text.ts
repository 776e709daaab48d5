/** Numbers as people read them, on the terminal and on the page of `quarry watch`. */

/** `0.3`, `12`, `1,234`: a rate or a count with at most one digit behind the point. */
export function numberText(value: number): string {
  const digits = Math.abs(value) < 10 && !Number.isInteger(value) ? 1 : 0;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** `45 µs`, `1.2 ms`, `3 s`. */
export function durationText(microseconds: number): string {
  if (microseconds < 1000) return `${numberText(microseconds)} µs`;
  if (microseconds < 1e6) return `${numberText(microseconds / 1000)} ms`;
  return `${numberText(microseconds / 1e6)} s`;
}

/** `12 %`; `–` for what is not known. */
export function percentText(share: number | null): string {
  if (share === null) return '–';
  return share > 0 && share < 0.01 ? '<1 %' : `${Math.round(100 * share)} %`;
}
