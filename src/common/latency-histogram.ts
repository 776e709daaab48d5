/**
 * How long many things took, in fixed memory: counts in buckets that grow with the time, so that
 * each is off by 3 % at most, or as said when it is made.
 *
 * Bucket of a time: its power of two, and the bits after the first, five or as many as asked for
 * (as HdrHistogram does). Recording is a few integer operations, for it stands in the hot path of a
 * measurement.
 */

const LONGEST_NANOSECONDS = 2 ** 31 - 1;

export class LatencyHistogram {
  readonly #subBits: number;
  readonly #counts: Float64Array;
  #count = 0;
  #sumNanoseconds = 0;
  #longest = 0;

  /** @param subBits bits of a time that count after its first; with 3 it is off by 12 % at most */
  constructor(subBits = 5) {
    this.#subBits = subBits;
    this.#counts = new Float64Array((32 - subBits + 1) << subBits);
  }

  get count(): number {
    return this.#count;
  }

  /** The longest one, exactly; of counts that were added, as exactly as buckets are. */
  get maxNanoseconds(): number {
    return this.#longest;
  }

  get meanNanoseconds(): number {
    return this.#count === 0 ? 0 : this.#sumNanoseconds / this.#count;
  }

  /** Times above 2 s count as 2 s among the percentiles. */
  record(nanoseconds: number): void {
    const bucket = this.#bucketOf(Math.min(nanoseconds, LONGEST_NANOSECONDS) | 0);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#count++;
    this.#sumNanoseconds += nanoseconds;
    if (nanoseconds > this.#longest) this.#longest = nanoseconds;
  }

  /** The buckets that are not empty, in order. */
  *buckets(): Generator<[bucket: number, count: number]> {
    for (const [bucket, count] of this.#counts.entries()) if (count > 0) yield [bucket, count];
  }

  /** Counts `count` more in a bucket; one that there is not is left out. */
  add(bucket: number, count: number): void {
    const before = this.#counts[bucket];
    if (before === undefined || !(count > 0)) return;
    const nanoseconds = this.#topOf(bucket);
    this.#counts[bucket] = before + count;
    this.#count += count;
    this.#sumNanoseconds += count * nanoseconds;
    if (nanoseconds > this.#longest) this.#longest = nanoseconds;
  }

  /** The time that `share` (0 to 1) of all did not exceed; 0 when there are none. */
  percentile(share: number): number {
    let left = Math.ceil(share * this.#count);
    for (const [bucket, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return this.#count === 0 ? 0 : Math.min(this.#topOf(bucket), this.#longest);
    }
    return this.#longest;
  }

  /** The shortest times have a bucket each: with five bits those below 64 ns. */
  #bucketOf(nanoseconds: number): number {
    const shift = Math.max(0, 31 - Math.clz32(nanoseconds) - this.#subBits);
    return (shift << this.#subBits) + (nanoseconds >>> shift);
  }

  /** The longest time of a bucket. */
  #topOf(bucket: number): number {
    if (bucket < 2 << this.#subBits) return bucket;
    const shift = (bucket >> this.#subBits) - 1;
    return (bucket - (shift << this.#subBits) + 1) * 2 ** shift - 1;
  }
}
