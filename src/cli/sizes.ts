/**
 * Sizes in bytes as people write and read them: `4096`, `512K`, `1G`, `1.5T`. Units are powers of
 * 1024.
 */
import { UsageError } from './failure.ts';

const UNITS = ['', 'K', 'M', 'G', 'T', 'P', 'E'] as const;

/**
 * Reads a size. `K`, `KB` and `KiB` are the same, in either case.
 * @param what names the size in the message, such as '--size'
 * @throws UsageError
 */
export function parseSize(text: string, what: string): number {
  const match = /^(\d{1,16}(?:\.\d{1,6})?)([KMGTPE]?)(?:I?B)?$/i.exec(text.trim());
  const unit = match ? UNITS.indexOf((match[2] ?? '').toUpperCase() as (typeof UNITS)[number]) : -1;
  const bytes = Number(match?.[1]) * 1024 ** unit;
  if (match && bytes > Number.MAX_SAFE_INTEGER)
    throw new UsageError(`${what} ${text} is too large: it has to be less than 8P`);
  if (!match || !Number.isSafeInteger(bytes)) {
    throw new UsageError(`${what} ${text} is not a size: write it as 4096, 512K, 64M, 1G or 1.5T`);
  }
  return bytes;
}

/** Prints a size with three digits or so: `64 MiB`, `1.5 GiB`, `100 bytes`. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  if (unit === 0) return `${bytes} bytes`;
  const digits = value >= 100 || Number.isInteger(value) ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}iB`;
}
