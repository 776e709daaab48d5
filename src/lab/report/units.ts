/** Quantities in words, for axes and tables. */

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** 4096 → '4 KiB'. */
export function binarySize(bytes: number): string {
  const { power, unit } = binaryUnit(bytes);
  const value = bytes / power;
  return `${Number(value.toFixed(value < 10 ? 2 : 1))} ${unit}`;
}

/** The unit in which so many bytes are 1 or more. */
export function binaryUnit(bytes: number): { readonly power: number; readonly unit: string } {
  let index = 0;
  while (index < BINARY_UNITS.length - 1 && Math.abs(bytes) >= 1024 ** (index + 1)) index++;
  return { power: 1024 ** index, unit: BINARY_UNITS[index] ?? 'B' };
}

/** Words with commas, and 'and' before the last. */
export function listed(words: readonly string[]): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
