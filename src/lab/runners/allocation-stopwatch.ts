/** How long a policy takes for its answers, on this machine. */
import { performance } from 'node:perf_hooks';
import type { Allocator } from '../../alloc/allocator.ts';
import { LatencyHistogram } from '../../common/latency-histogram.ts';

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

export class AllocationStopwatch {
  readonly #answers = new LatencyHistogram();

  /** Puts itself before the policy's `allocate`. */
  constructor(policy: Allocator | undefined) {
    if (policy === undefined) return;
    const allocate = policy.allocate.bind(policy);
    policy.allocate = (want) => {
      const began = performance.now();
      try {
        return allocate(want);
      } finally {
        this.#answers.record((performance.now() - began) * 1e6);
      }
    };
  }

  figures(operations: number, seconds: number): CostFigures & AllocationCosts {
    const { count, meanNanoseconds, maxNanoseconds } = this.#answers;
    return {
      operationsPerSecond: seconds === 0 ? 0 : operations / seconds,
      seconds,
      allocations: count,
      p50Microseconds: this.#answers.percentile(0.5) / 1000,
      p99Microseconds: this.#answers.percentile(0.99) / 1000,
      maxMicroseconds: maxNanoseconds / 1000,
      allocationSeconds: (count * meanNanoseconds) / 1e9,
    };
  }
}
