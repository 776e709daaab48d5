/**
 * A few thousand of the writes that a device saw, evenly spread over all of them: which ones
 * follows from their order alone.
 *
 * Every write is kept until there are too many; then every second of those goes, and from then on
 * one in two is kept, one in four, and so on. Memory is bounded however long a run is.
 */

/** Writes one after the other, each as a pair: blocks written before it, and its first block. */
export interface WriteTracePoints {
  readonly data: readonly number[];
  readonly metadata: readonly number[];
}

const MOST_POINTS = 2000;

/** One kind of writes. */
class ThinnedPairs {
  readonly pairs: number[] = [];
  #every = 1;
  #seen = 0;

  add(before: number, block: number): void {
    if (this.#seen++ % this.#every !== 0) return;
    this.pairs.push(before, block);
    if (this.pairs.length >= 2 * MOST_POINTS) this.#halve();
  }

  #halve(): void {
    const { pairs } = this;
    let kept = 0;
    for (let at = 0; at < pairs.length; at += 4) {
      pairs[kept++] = pairs[at] ?? 0;
      pairs[kept++] = pairs[at + 1] ?? 0;
    }
    pairs.length = kept;
    this.#every *= 2;
  }
}

export class WriteTrace {
  readonly #data = new ThinnedPairs();
  readonly #metadata = new ThinnedPairs();
  #blocks = 0;

  /** A write of `length` blocks from `block` on. */
  add(block: number, length: number, isData: boolean): void {
    (isData ? this.#data : this.#metadata).add(this.#blocks, block);
    this.#blocks += length;
  }

  points(): WriteTracePoints {
    return { data: [...this.#data.pairs], metadata: [...this.#metadata.pairs] };
  }
}
