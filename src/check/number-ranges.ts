/** Numbers for people: those that follow each other as one range. */

/** The ranges of numbers that come in order: `3-5`, `9`. */
export function rangeTexts(numbers: readonly number[]): string[] {
  const ranges: { readonly first: number; last: number }[] = [];
  for (const number of numbers) {
    const before = ranges.at(-1);
    if (before?.last === number - 1) before.last = number;
    else ranges.push({ first: number, last: number });
  }
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`));
}
