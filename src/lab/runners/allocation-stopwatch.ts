/** How long a policy takes for its answers, on this machine. */
import { performance } from 'node:perf_hooks';
import type { Allocator } from '../../alloc/allocator.ts';

export interface AllocationCosts {
  readonly allocations: number;
  /** Of one answer, in microseconds. */
  readonly p50Microseconds: number;
  readonly p99Microseconds: number;
  readonly maxMicroseconds: number;
  /** All answers together. */
  readonly allocationSeconds: number;
}

/** Of a run; the policy's own only where it runs in this process. */
export interface CostFigures extends Partial<AllocationCosts> {
  readonly operationsPerSecond: number;
  readonly seconds: number;
}

/** Eighths of a power of two: an answer is told to a tenth. */
const BUCKETS_PER_POWER = 8;
const BUCKETS = 64 * BUCKETS_PER_POWER;

export class AllocationStopwatch {
  /** Answers by their length in nanoseconds. */
  readonly #buckets = new Float64Array(BUCKETS);
  #count = 0;
  #total = 0;
  #most = 0;

  /** Puts itself before the policy's `allocate`. */
  constructor(policy: Allocator | undefined) {
    if (policy === undefined) return;
    const allocate = policy.allocate.bind(policy);
    policy.allocate = (want) => {
      const began = performance.now();
      try {
        return allocate(want);
      } finally {
        this.#note((performance.now() - began) * 1e6);
      }
    };
  }

  #note(nanoseconds: number): void {
    const bucket = Math.floor(Math.log2(Math.max(1, nanoseconds)) * BUCKETS_PER_POWER);
    const at = Math.min(BUCKETS - 1, bucket);
    this.#buckets[at] = (this.#buckets[at] ?? 0) + 1;
    this.#count++;
    this.#total += nanoseconds;
    this.#most = Math.max(this.#most, nanoseconds);
  }

  figures(operations: number, seconds: number): CostFigures & AllocationCosts {
    return {
      operationsPerSecond: seconds === 0 ? 0 : operations / seconds,
      seconds,
      allocations: this.#count,
      p50Microseconds: this.#quantile(0.5),
      p99Microseconds: this.#quantile(0.99),
      maxMicroseconds: this.#most / 1000,
      allocationSeconds: this.#total / 1e9,
    };
  }

  #quantile(share: number): number {
    let seen = 0;
    for (let at = 0; at < BUCKETS; at++) {
      seen += this.#buckets[at] ?? 0;
      if (seen > 0 && seen >= share * this.#count) return 2 ** ((at + 0.5) / BUCKETS_PER_POWER) / 1000;
    }
    return 0;
  }
}
