/** The backing device of a mount in sysfs: what the kernel reads ahead, and lets be dirty. */
import { writeFileSync } from 'node:fs';
import { MAX_READAHEAD_BYTES } from './limits.ts';
import { findMount } from './mount-table.ts';

/**
 * What a mount gets above the kernel's defaults for FUSE, which are for servers that are not
 * trusted: 128 KiB of read-ahead, and 1 % of the dirty memory; for the latter see dirty-limits.ts.
 */
const bdiSettings: readonly (readonly [file: string, value: string])[] = [
  ['read_ahead_kb', `${MAX_READAHEAD_BYTES / 1024}`],
  ['strict_limit', '0'],
  ['max_ratio', '100'],
];

/**
 * Raises the limits of the mount's backing device, where that is permitted; after INIT, which sets
 * them. Never fails.
 * @returns the device's directory in sysfs, which stays right wherever the mount is moved to
 */
export function tuneBacking(directory: string): string | undefined {
  const record = findMount(directory);
  if (record === undefined) return undefined;
  const backing = `/sys/class/bdi/${record.deviceNumbers}${record.type.startsWith('fuseblk') ? '-fuseblk' : ''}`;
  for (const [file, value] of bdiSettings) {
    try {
      writeFileSync(`${backing}/${file}`, value);
    } catch {
      // Slower, but it works.
    }
  }
  return backing;
}
