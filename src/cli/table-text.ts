/** Facts as aligned lines: a name, a colon, and what it is. */

export type Fact = readonly [name: string, value: string | number | undefined];

/** One line each; facts without a value are left out. */
export function factLines(facts: readonly Fact[]): string {
  const known = facts.filter(([, value]) => value !== undefined);
  const width = known.reduce((widest, [name]) => Math.max(widest, name.length + 1), 0);
  return known.map(([name, value]) => `${`${name}:`.padEnd(width)}  ${value}\n`).join('');
}
