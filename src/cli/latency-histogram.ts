/**
 * How long many things took, in fixed memory: counts in buckets that grow with the time, so that
 * each is off by 3 % at most.
 *
 * Bucket of a time: its power of two, and the five bits after the first (as HdrHistogram does).
 * Recording is a few integer operations, for it stands in the hot path of a measurement.
 */

const SUB_BITS = 5;
const SUB_COUNT = 1 << SUB_BITS;
const LONGEST_NANOSECONDS = 2 ** 31 - 1;

export class LatencyHistogram {
  readonly #counts = new Float64Array((32 - SUB_BITS + 1) * SUB_COUNT);
  #count = 0;
  #sumNanoseconds = 0;
  #longest = 0;

  get count(): number {
    return this.#count;
  }

  /** The longest one, exactly. */
  get maxNanoseconds(): number {
    return this.#longest;
  }

  get meanNanoseconds(): number {
    return this.#count === 0 ? 0 : this.#sumNanoseconds / this.#count;
  }

  /** Times above 2 s count as 2 s among the percentiles. */
  record(nanoseconds: number): void {
    const bucket = bucketOf(Math.min(nanoseconds, LONGEST_NANOSECONDS) | 0);
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#count++;
    this.#sumNanoseconds += nanoseconds;
    if (nanoseconds > this.#longest) this.#longest = nanoseconds;
  }

  /** The time that `share` (0 to 1) of all did not exceed; 0 when there are none. */
  percentile(share: number): number {
    let left = Math.ceil(share * this.#count);
    for (const [bucket, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return this.#count === 0 ? 0 : Math.min(topOf(bucket), this.#longest);
    }
    return this.#longest;
  }
}

/** Times below 64 ns have a bucket each. */
function bucketOf(nanoseconds: number): number {
  const shift = Math.max(0, 31 - Math.clz32(nanoseconds) - SUB_BITS);
  return (shift << SUB_BITS) + (nanoseconds >>> shift);
}

/** The longest time of a bucket. */
function topOf(bucket: number): number {
  if (bucket < 2 * SUB_COUNT) return bucket;
  const shift = (bucket >> SUB_BITS) - 1;
  return (bucket - (shift << SUB_BITS) + 1) * 2 ** shift - 1;
}
