/**
 * What a stranger's code threw or answered, in words for a log.
 *
 * Nothing about such a value can be relied on: reading a property may throw, its text may be of any
 * length, or full of characters that a terminal obeys. So nothing here throws, and what comes out
 * is short, printable and one line.
 */

const MOST_CHARACTERS = 200;

/** `value instanceof kind`, which a proxy may answer with a throw. */
export function isInstance<T>(value: unknown, kind: abstract new (...values: never[]) => T): value is T {
  try {
    return value instanceof kind;
  } catch {
    return false;
  }
}

/** One printable line. */
export function printable(text: string): string {
  const line = text.replace(/[\p{C}\p{Z}]+/gu, ' ').trim();
  return line.length > MOST_CHARACTERS ? `${line.slice(0, MOST_CHARACTERS)}…` : line;
}

/** Something thrown: the message of an error, else the value itself. */
export function describeThrown(thrown: unknown): string {
  try {
    const text = thrown instanceof Error ? `${thrown.message}` || `${thrown.name}` : String(thrown);
    return printable(text) || 'nothing';
  } catch {
    return 'something that cannot be shown';
  }
}

/** A value that is not what was asked for. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  try {
    if (typeof value === 'function') return 'a function';
    if (typeof value === 'bigint') return printable(`${value}n`);
    if (typeof value !== 'object') return printable(String(value));
    return typeof Reflect.get(value, 'then') === 'function' ? 'a promise' : 'an object';
  } catch {
    return 'something that cannot be looked at';
  }
}
