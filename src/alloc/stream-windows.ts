/**
 * Soft windows: for each file that is being appended to, the stretch of the space where it will go
 * on.
 *
 * Several files written at once, each a piece at a time, would take turns along the disk and end up
 * as many fragments. A window keeps the way ahead of each clear: others look elsewhere while there
 * is an elsewhere. It takes no blocks out of the free space, promises nothing, and costs nothing
 * when it is dropped.
 *
 * Windows never overlap. There are at most `MAX_WINDOWS`; the least recently used goes first.
 */
import type { Run } from './allocator.ts';

/**
 * More writers at once than this cannot be told from random writes; each check is a walk over them.
 */
const MAX_WINDOWS = 64;

export interface Window {
  readonly start: number;
  readonly end: number;
}

export class StreamWindows {
  /** By inode, in the order of last use. */
  readonly #windows = new Map<number, Window>();

  get size(): number {
    return this.#windows.size;
  }

  /** Three numbers a window. */
  get memoryBytes(): number {
    return this.#windows.size * 3 * 8;
  }

  /** The first window of another inode that the run touches. */
  inTheWay(run: Run, inode: number): Window | undefined {
    const end = run.start + run.length;
    let first: Window | undefined;
    for (const [owner, window] of this.#windows) {
      if (owner === inode || window.end <= run.start || window.start >= end) continue;
      if (first === undefined || window.start < first.start) first = window;
    }
    return first;
  }

  /**
   * The file goes on at `start`: keep up to `length` blocks from there clear, as far as no other
   * window stands there.
   */
  move(inode: number, start: number, length: number): void {
    this.#windows.delete(inode);
    const other = this.inTheWay({ start, length }, inode);
    const end = other === undefined ? start + length : other.start;
    if (end <= start) return;
    this.#windows.set(inode, { start, end });
    if (this.#windows.size <= MAX_WINDOWS) return;
    for (const oldest of this.#windows.keys()) {
      this.#windows.delete(oldest);
      return;
    }
  }

  drop(inode: number): void {
    this.#windows.delete(inode);
  }
}
