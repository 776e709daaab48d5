/** Facts as aligned lines: a name, a colon, and what it is. */

export type Fact = readonly [name: string, value: string | number | undefined];

/** The most characters that a row has in this column; rows may be as many as files. */
export function widest(rows: readonly (readonly string[])[], column: number): number {
  return rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0);
}

/** One line each; facts without a value are left out. */
export function factLines(facts: readonly Fact[]): string {
  const known = facts.filter(([, value]) => value !== undefined);
  const width = known.reduce((widest, [name]) => Math.max(widest, name.length + 1), 0);
  return known.map(([name, value]) => `${`${name}:`.padEnd(width)}  ${value}\n`).join('');
}
