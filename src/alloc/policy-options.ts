/** Values of a policy's options: words from a command line, which may be anything. */
import type { AllocatorOptions } from './allocator.ts';

/**
 * The number of blocks that an option says.
 * @throws RangeError if it is no whole number ≥ 1
 */
export function blocksOption(options: AllocatorOptions, key: string, fallback: number): number {
  const text = options[key];
  const blocks = text === undefined ? fallback : Number(text);
  if (Number.isSafeInteger(blocks) && blocks >= 1) return blocks;
  throw new RangeError(`allocator option ${key}=${text} is not a number of blocks`);
}
