/**
 * Text from elsewhere, made safe to show: nothing in it may steer a terminal or pretend to be
 * another line.
 */

/** Control characters, and the marks that turn the direction of writing. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/** The text with `?` for each character that is none. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, '?');
}

/**
 * The text of a value as JSON that spells such characters, and means the same.
 * @param indent spaces for each level; 0 for one line
 */
export function printableJson(value: unknown, indent = 2): string {
  const text = JSON.stringify(value, undefined, indent) ?? 'null';
  return text.replace(UNPRINTABLE, (character) =>
    character === '\n' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
