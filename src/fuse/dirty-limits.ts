/**
 * How much of a mount may be dirty in the page cache: no more than half of what there is room for.
 *
 * A write(2) ends when its pages are dirty. That they find no room on the disk shows when they are
 * written back, so whoever writes is told too late by as much as the kernel lets be dirty: with
 * FUSE's own limit hardly anything, which is slow, and without one a fifth of the memory, which may
 * be a hundred times the volume. So the limit follows the free space, in steps; by half, so that
 * what is dirty when space becomes scarce still fits (scarce-space.ts). While that is more than the
 * kernel would let be dirty anyway, there is none.
 *
 * The limits are those of the mount's backing device in sysfs. Who may not set them keeps the
 * kernel's.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { PAGE_BYTES } from '../common/limits.ts';

/** With less than this a single writer waits for each of its WRITEs. */
const LEAST_BYTES = 8 << 20;
/**
 * Under a limit the kernel gives a device that was idle a small share of it at first, and slows its
 * writer down; this much is always granted.
 */
const GRANTED_BYTES = 256 << 20;
const SHARE_OF_FREE = 0.5;
/** The limit is set anew when the free space is so much less or more than when it was set. */
const TIGHTEN_AT = 0.75;
const WIDEN_AT = 1.5;
/** How soon space that was freed is noticed. */
const WIDEN_MILLISECONDS = 500;

/** What the kernel lets be dirty in all, in bytes. @throws where /proc does not tell */
export function dirtyThresholdBytes(): number {
  const pages = /^nr_dirty_threshold (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1];
  return pages === undefined ? Number.POSITIVE_INFINITY : Number(pages) * PAGE_BYTES;
}

export class DirtyLimits {
  readonly #directory: string;
  readonly #freeBytes: () => number;
  /** What the free space was when the limit was set; infinite without a limit. */
  #setAt = Number.POSITIVE_INFINITY;
  #tightenBelow = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /** @param directory of the backing device, below /sys/class/bdi */
  constructor(directory: string, freeBytes: () => number) {
    this.#directory = directory;
    this.#freeBytes = freeBytes;
    this.#set(freeBytes());
  }

  /** After each write. */
  written(): void {
    const freeBytes = this.#freeBytes();
    if (freeBytes < this.#tightenBelow) this.#set(freeBytes);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#tightenBelow = 0;
  }

  #set(freeBytes: number): void {
    try {
      const allowedBytes = Math.max(freeBytes * SHARE_OF_FREE, LEAST_BYTES);
      const thresholdBytes = dirtyThresholdBytes();
      if (allowedBytes >= thresholdBytes) this.#open(thresholdBytes);
      else this.#limit(allowedBytes);
    } catch {
      // Not ours to set, or the mount is going away.
      this.close();
    }
  }

  #limit(allowedBytes: number): void {
    this.#tryWrite('min_bytes', 0);
    this.#write('max_bytes', allowedBytes);
    this.#tryWrite('min_bytes', Math.min(allowedBytes, GRANTED_BYTES));
    this.#write('strict_limit', 1);
    this.#setAt = allowedBytes / SHARE_OF_FREE;
    this.#tightenBelow = allowedBytes > LEAST_BYTES ? this.#setAt * TIGHTEN_AT : 0;
    this.#timer ??= setInterval(() => this.#widen(), WIDEN_MILLISECONDS).unref();
  }

  #open(thresholdBytes: number): void {
    this.#tryWrite('min_bytes', 0);
    this.#write('max_ratio', 100);
    this.#write('strict_limit', 0);
    this.#setAt = Number.POSITIVE_INFINITY;
    this.#tightenBelow = thresholdBytes / SHARE_OF_FREE;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #widen(): void {
    const freeBytes = this.#freeBytes();
    if (freeBytes > this.#setAt * WIDEN_AT) this.#set(freeBytes);
  }

  /** What other mounts have been granted may leave nothing. */
  #tryWrite(file: string, value: number): void {
    try {
      this.#write(file, value);
    } catch {
      // Slower, but it works.
    }
  }

  #write(file: string, value: number): void {
    writeFileSync(`${this.#directory}/${file}`, String(value));
  }
}
