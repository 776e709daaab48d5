/**
 * Files that are being appended to, each with a window: the stretch of the space where it will go
 * on.
 *
 * Files written at once, each a piece at a time, would take turns along the disk and end up as many
 * fragments. A window keeps the way ahead of one clear: others look elsewhere while there is an
 * elsewhere. It takes no blocks out of the free space, and costs nothing when it is dropped.
 *
 * A file grows from the second piece on that it is seen to get; its first one is remembered for a
 * while. A window of a few pieces saves next to nothing, and stands in the way of others as any
 * does: there is none where not many more of such pieces go into it. A file that was given nothing
 * while others got many times its longest piece has ended. There are at most `MOST_FILES`; the
 * least recently grown goes first. Windows never overlap.
 */
import type { Run } from './allocator.ts';

/** More writers at once cannot be told from random writes; each check is a walk over them. */
const MOST_FILES = 64;
/** Files whose first piece is remembered. */
const MOST_BEGUN = 64;
/** Pieces of the file's longest that may go to others while it gets none. */
const PATIENCE_PIECES = 256;
const LEAST_PIECE = 4;
/**
 * More pieces than that have to go into a window; like the longer of the last two, for the end of a
 * file is a short piece as well.
 */
const WORTHWHILE_PIECES = 8;
/** From so many pieces on, the first among them if it is remembered, a file grows. */
const PIECES_OF_GROWING = 2;

interface Window {
  readonly start: number;
  readonly end: number;
}

interface AppendedFile {
  readonly pieces: number;
  readonly longestPiece: number;
  readonly lastPiece: number;
  /** What the clock may show before the file gets more; beyond that it has ended. */
  readonly endsAt: number;
}

export class GrowingFiles {
  /** By inode, in the order in which they grew last. */
  readonly #files = new Map<number, AppendedFile>();
  /** Of those that have one. */
  readonly #windows = new Map<number, Window>();
  /** In the order in which they began. */
  readonly #begun = new Set<number>();
  /** Blocks given to any file. */
  #clock = 0;
  /** No file ends before that. */
  #noneEndsBefore = Number.POSITIVE_INFINITY;

  /** Files that were appended to. */
  get size(): number {
    return this.#files.size;
  }

  /** With the number of its inode each: four numbers for a file, two for a window. */
  get memoryBytes(): number {
    return (5 * this.#files.size + 3 * this.#windows.size + this.#begun.size) * 8;
  }

  get windowCount(): number {
    return this.#windows.size;
  }

  isGrowing(inode: number): boolean {
    return this.#piecesOf(inode) >= PIECES_OF_GROWING;
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
    if (this.#clock <= this.#noneEndsBefore) return;
    this.#noneEndsBefore = Number.POSITIVE_INFINITY;
    for (const [inode, { endsAt }] of this.#files) {
      if (this.#clock > endsAt) this.drop(inode);
      else this.#noneEndsBefore = Math.min(this.#noneEndsBefore, endsAt);
    }
  }

  /** The file was given its first piece. */
  began(inode: number): void {
    this.#begun.add(inode);
    const oldest = this.#begun.size > MOST_BEGUN ? firstOf(this.#begun) : undefined;
    if (oldest !== undefined) this.#begun.delete(oldest);
  }

  /**
   * The file was given the run, where it ended or elsewhere.
   * @param windowBlocks of its window, at most
   */
  grew(inode: number, run: Run, windowBlocks: number): void {
    const before = this.#files.get(inode);
    const pieces = this.#piecesOf(inode) + 1;
    this.drop(inode);
    const longestPiece = Math.max(LEAST_PIECE, run.length, before?.longestPiece ?? 0);
    const endsAt = this.#clock + PATIENCE_PIECES * longestPiece;
    this.#noneEndsBefore = Math.min(this.#noneEndsBefore, endsAt);
    this.#files.set(inode, { pieces, longestPiece, lastPiece: run.length, endsAt });
    const piece = Math.max(run.length, before?.lastPiece ?? 0);
    if (pieces >= PIECES_OF_GROWING && windowBlocks > WORTHWHILE_PIECES * piece) {
      this.#openWindow(inode, run.start + run.length, windowBlocks);
    }
    const oldest = this.#files.size > MOST_FILES ? firstOf(this.#files) : undefined;
    if (oldest !== undefined) this.drop(oldest);
  }

  drop(inode: number): void {
    this.#files.delete(inode);
    this.#windows.delete(inode);
    this.#begun.delete(inode);
  }

  #piecesOf(inode: number): number {
    return this.#files.get(inode)?.pieces ?? (this.#begun.has(inode) ? 1 : 0);
  }

  /** As far as no other window stands there. */
  #openWindow(inode: number, start: number, length: number): void {
    const end = this.#firstWithin(start, start + length, inode)?.start ?? start + length;
    if (end > start) this.#windows.set(inode, { start, end });
  }

  #firstWithin(start: number, end: number, inode: number): Window | undefined {
    let first: Window | undefined;
    for (const [owner, window] of this.#windows) {
      if (owner === inode || window.end <= start || window.start >= end) continue;
      if (first === undefined || window.start < first.start) first = window;
    }
    return first;
  }
}

/** The one that was put in first. */
function firstOf(collection: ReadonlyMap<number, unknown> | ReadonlySet<number>): number | undefined {
  for (const key of collection.keys()) return key;
  return undefined;
}
