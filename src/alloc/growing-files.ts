/**
 * Files that are being appended to, each with a window: the stretch of the space where it will go
 * on.
 *
 * Files written at once, each a piece at a time, would take turns along the disk and end up as many
 * fragments. A window keeps the way ahead of one clear: others look elsewhere while there is an
 * elsewhere. It takes no blocks out of the free space, and costs nothing when it is dropped.
 *
 * What grew much will grow more: a window is as long as what its file was given so far. The second
 * piece makes one, since most files get no third. A file that was given nothing while others got
 * many times its longest piece has ended. There are at most `MOST_FILES`; the least recently grown
 * goes first. Windows never overlap.
 */
import type { Run } from './allocator.ts';

/** More writers at once cannot be told from random writes; each check is a walk over them. */
const MOST_FILES = 64;
/** Pieces of the file's longest that may go to others while it gets none. */
const PATIENCE_PIECES = 256;
const LEAST_PIECE = 4;
const LEAST_WINDOW = 16;

interface GrowingFile {
  /** The window; empty if both are the same. */
  readonly start: number;
  readonly end: number;
  /** Blocks given to it. */
  readonly blocks: number;
  readonly longestPiece: number;
  /** What the clock showed then. */
  readonly grownAt: number;
}

export class GrowingFiles {
  /** By inode, in the order in which they grew last. */
  readonly #files = new Map<number, GrowingFile>();
  /** Blocks given to any file. */
  #clock = 0;

  get size(): number {
    return this.#files.size;
  }

  /** Six numbers a file. */
  get memoryBytes(): number {
    return this.#files.size * 6 * 8;
  }

  /** Blocks that the file was given since it began to grow. */
  blocksOf(inode: number): number {
    return this.#files.get(inode)?.blocks ?? 0;
  }

  /** The first part of the hole, at least that long, that is in no other file's window. */
  clearPart(hole: Run, least: number, inode: number): Run | undefined {
    const end = hole.start + hole.length;
    let start = hole.start;
    while (end - start >= least) {
      const window = this.#firstWithin(start, end, inode);
      const clearEnd = window === undefined ? end : window.start;
      if (clearEnd - start >= least) return { start, length: clearEnd - start };
      start = window === undefined ? end : window.end;
    }
    return undefined;
  }

  /** Blocks were given to somebody. */
  passed(blocks: number): void {
    this.#clock += blocks;
    for (const [inode, { grownAt, longestPiece }] of this.#files) {
      if (this.#clock - grownAt > PATIENCE_PIECES * longestPiece) this.#files.delete(inode);
    }
  }

  /**
   * The file was given the run, where it ended or elsewhere.
   * @param most blocks of a window
   */
  grew(inode: number, run: Run, most: number): void {
    const before = this.#files.get(inode);
    this.#files.delete(inode);
    const blocks = (before?.blocks ?? 0) + run.length;
    const start = run.start + run.length;
    const wanted = before === undefined ? 0 : Math.min(most, Math.max(blocks, LEAST_WINDOW));
    const other = this.#firstWithin(start, start + wanted, inode);
    this.#files.set(inode, {
      start,
      end: other === undefined ? start + wanted : Math.max(start, other.start),
      blocks,
      longestPiece: Math.max(LEAST_PIECE, run.length, before?.longestPiece ?? 0),
      grownAt: this.#clock,
    });
    if (this.#files.size > MOST_FILES) this.#dropOldest();
  }

  drop(inode: number): void {
    this.#files.delete(inode);
  }

  #dropOldest(): void {
    for (const inode of this.#files.keys()) {
      this.#files.delete(inode);
      return;
    }
  }

  #firstWithin(start: number, end: number, inode: number): GrowingFile | undefined {
    let first: GrowingFile | undefined;
    for (const [owner, file] of this.#files) {
      if (owner === inode || file.end <= start || file.start >= end || file.end === file.start) continue;
      if (first === undefined || file.start < first.start) first = file;
    }
    return first;
  }
}
