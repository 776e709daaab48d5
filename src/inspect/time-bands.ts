/**
 * Times in bands of equally many blocks, for a map by age: whatever lies on a volume, each colour
 * has its share of the picture.
 *
 * Blocks are counted by second; when there are too many different ones, by two seconds, by four,
 * and so on. So memory is bounded, and the same volume gives the same bands.
 */

const MOST_TIMES = 65536;

export class TimeBands {
  #unitSeconds = 1;
  #blocksByTime = new Map<number, number>();

  add(seconds: number, blocks: number): void {
    this.#count(Math.floor(seconds / this.#unitSeconds), blocks);
    while (this.#blocksByTime.size > MOST_TIMES) {
      const before = this.#blocksByTime;
      this.#unitSeconds *= 2;
      this.#blocksByTime = new Map();
      for (const [time, count] of before) this.#count(Math.floor(time / 2), count);
    }
  }

  #count(time: number, blocks: number): void {
    this.#blocksByTime.set(time, (this.#blocksByTime.get(time) ?? 0) + blocks);
  }

  /**
   * Where bands begin, in seconds, the youngest first: at most `most`, fewer where times do not
   * differ. What is older than the last bound belongs to the last band.
   */
  bounds(most: number): number[] {
    const times = [...this.#blocksByTime].sort(([a], [b]) => b - a);
    const total = times.reduce((sum, [, blocks]) => sum + blocks, 0);
    const bounds: number[] = [];
    let seen = 0;
    for (const [time, blocks] of times) {
      seen += blocks;
      // One moment that has more blocks than a band takes the share of the next as well.
      while (bounds.length < most && seen >= ((bounds.length + 1) * total) / most)
        bounds.push(time * this.#unitSeconds);
    }
    return [...new Set(bounds)];
  }
}

/** The band of a time. @param bounds as `TimeBands.bounds` gives them */
export function bandOf(seconds: number, bounds: readonly number[]): number {
  const found = bounds.findIndex((bound) => seconds >= bound);
  return found < 0 ? Math.max(0, bounds.length - 1) : found;
}
