/** Values of a policy's options: words from a command line, which may be anything. */
import type { AllocatorOptions, FreeSpace } from './allocator.ts';

/** 8 MiB of blocks of 4 KiB. */
const DEFAULT_WINDOW_BLOCKS = 2048;

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

/**
 * Option `window`: blocks that are kept clear ahead of a growing file, no more than a quarter of a
 * group.
 * @throws RangeError if it is no whole number ≥ 1
 */
export function windowOption(space: FreeSpace, options: AllocatorOptions): number {
  const blocks = blocksOption(options, 'window', DEFAULT_WINDOW_BLOCKS);
  return Math.max(1, Math.min(blocks, Math.floor(space.groupBlocks / 4)));
}
