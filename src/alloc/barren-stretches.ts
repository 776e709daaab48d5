/**
 * What earlier searches learnt: stretches of the space in which no free run of some length starts.
 *
 * A search for a long run on a full or fragmented volume may have to pass over everything there is.
 * It notes what it has passed, and the next one jumps over it; blocks that come back cut the note
 * where it stops being true. So a volume is not searched twice unless it changed, and a search that
 * a missing block interrupted goes on where it was.
 *
 * A note {low, high, bound} says: for each block in [low, high), the free run that begins there has
 * fewer than `bound` blocks. Taking blocks never makes a note false. There are at most `MAX_NOTES`;
 * the oldest goes first: a lost note costs time only.
 */

const MAX_NOTES = 32;

interface Note {
  low: number;
  high: number;
  readonly bound: number;
}

export class BarrenStretches {
  /** A new note must be worth its place. */
  readonly #leastBlocks: number;
  #notes: Note[] = [];

  constructor(leastBlocks: number) {
    this.#leastBlocks = leastBlocks;
  }

  /** Three numbers a note. */
  get memoryBytes(): number {
    return this.#notes.length * 3 * 8;
  }

  /** The first block ≥ `at` where a run of `minimum` might start. */
  skip(at: number, minimum: number): number {
    let here = at;
    let before: number;
    do {
      before = here;
      for (const note of this.#notes) {
        if (note.bound <= minimum && here >= note.low && here < note.high) here = note.high;
      }
    } while (here !== before);
    return here;
  }

  /** No run of `bound` blocks or more starts in [low, high). */
  note(low: number, high: number, bound: number): void {
    if (low >= high) return;
    const known = this.#notes.find((note) => note.bound === bound && low <= note.high && note.low <= high);
    if (known !== undefined) {
      known.low = Math.min(known.low, low);
      known.high = Math.max(known.high, high);
    } else if (high - low >= this.#leastBlocks) {
      this.#notes.push({ low, high, bound });
      if (this.#notes.length > MAX_NOTES) this.#notes.shift();
    }
  }

  /** Blocks came back: the free run around them is now [start, end). */
  freed(start: number, end: number): void {
    const length = end - start;
    if (!this.#notes.some((note) => length >= note.bound && start < note.high && end > note.low)) return;
    const kept: Note[] = [];
    for (const note of this.#notes) this.#cut(note, start, end - note.bound + 1, kept);
    this.#notes = kept.slice(-MAX_NOTES);
  }

  /** Keeps of the note what lies outside [from, to). */
  #cut(note: Note, from: number, to: number, kept: Note[]): void {
    if (from >= to || from >= note.high || to <= note.low) {
      kept.push(note);
      return;
    }
    if (from - note.low >= this.#leastBlocks) kept.push({ ...note, high: from });
    if (note.high - to >= this.#leastBlocks) kept.push({ ...note, low: to });
  }
}
