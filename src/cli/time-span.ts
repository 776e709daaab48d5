/** Lengths of time in the unit that people would take. */

const UNITS: readonly (readonly [seconds: number, name: string])[] = [
  [365 * 86_400, 'year'],
  [30 * 86_400, 'month'],
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
];

/** `45 seconds`, `3 minutes`, `2 days`: rounded to a whole number of its unit. */
export function spanText(seconds: number): string {
  const [unit, name] = UNITS.find(([least]) => seconds >= 2 * least) ?? [1, 'second'];
  const count = Math.round(seconds / unit);
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}
