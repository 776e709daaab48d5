/**
 * The words of a command line as they were given: Node replaces what is not UTF-8, and
 * /proc/self/cmdline has the bytes.
 */
import { readFileSync } from 'node:fs';
import { pathText } from '../path-bytes.ts';

const REPLACEMENT = '\ufffd';

function argumentsOfProcess(): Buffer[] {
  try {
    const bytes = readFileSync('/proc/self/cmdline');
    const words: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = bytes.indexOf(0, at);
      words.push(bytes.subarray(at, end < 0 ? bytes.length : end));
      at = end < 0 ? bytes.length : end + 1;
    }
    return words;
  } catch {
    return [];
  }
}

/**
 * Puts the exact texts (path-bytes.ts) in the place of words in which something was replaced.
 * @param given the arguments of the process, as bytes
 */
export function exactWords(
  words: readonly string[],
  given: () => readonly Buffer[] = argumentsOfProcess,
): string[] {
  if (!words.some((word) => word.includes(REPLACEMENT))) return [...words];
  const exact = given().map((bytes) => ({ lossy: bytes.toString(), text: pathText(bytes) }));
  return words.map((word) => {
    const index = exact.findIndex(({ lossy }) => lossy === word);
    // Two words may have become the same: they are taken in their order.
    return index < 0 ? word : (exact.splice(index, 1)[0]?.text ?? word);
  });
}
