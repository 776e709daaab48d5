/**
 * The shortest range that a device or image file can give back, as Linux tells it:
 * queue/discard_granularity of a block device (of the whole disk, for a partition), the block size
 * of the filesystem that an image file lies in.
 */
import { fstatSync, readFileSync } from 'node:fs';

/** @returns bytes; 0 where a block device discards nothing, or does not say */
export function discardGranularity(descriptor: number, isBlockDevice: boolean): number {
  const { rdev, blksize } = fstatSync(descriptor);
  if (!isBlockDevice) return blksize;
  const device = `/sys/dev/block/${majorOf(rdev)}:${minorOf(rdev)}`;
  for (const queue of ['queue', '../queue']) {
    const most = numberIn(`${device}/${queue}/discard_max_bytes`);
    if (most === undefined) continue;
    return most === 0 ? 0 : (numberIn(`${device}/${queue}/discard_granularity`) ?? 0);
  }
  return 0;
}

function numberIn(path: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(path, 'utf8'), 10);
  } catch {
    return undefined;
  }
}

/** As gnu_dev_major and gnu_dev_minor of glibc, for the numbers that Linux gives. */
function majorOf(device: number): number {
  return Math.floor(device / 256) % 4096;
}

function minorOf(device: number): number {
  return (device % 256) + Math.floor(device / 2 ** 20) * 256;
}
