/** Words for people. */

/** '1 block', '2 blocks'. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
