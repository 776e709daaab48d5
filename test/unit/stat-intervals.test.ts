/** `quarry stat --interval`: what follows from two answers of a daemon, whatever they say. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { intervalFigures, intervalText, statSample } from '../../src/cli/stat-intervals.ts';
import { LatencyHistogram } from '../../src/common/latency-histogram.ts';
import { METER_SUB_BITS } from '../../src/fuse/request-meter.ts';

function answer(lookups: number, latencies: readonly number[], more: object = {}): unknown {
  return {
    pid: 7,
    session: {
      bytesRead: 1024 * lookups,
      bytesWritten: 0,
      operations: { lookup: { requests: lookups, errors: lookups / 2, p50Microseconds: 3 } },
      latencies: { lookup: latencies },
    },
    device: { submitted: 3 * lookups },
    volume: { commits: lookups / 10 },
    ...more,
  };
}

function buckets(...nanoseconds: number[]): number[] {
  const histogram = new LatencyHistogram(METER_SUB_BITS);
  for (const one of nanoseconds) histogram.record(one);
  return [...histogram.buckets()].flat();
}

test('an interval has the rates and times of what came in it', () => {
  const slow = Array.from({ length: 10 }, () => 1e9);
  const fast = Array.from({ length: 20 }, () => 5000);
  const before = statSample(answer(10, buckets(...slow)), 1000);
  const after = statSample(answer(30, buckets(...slow, ...fast)), 3000);
  if (before === undefined || after === undefined) throw new Error('no samples');
  const figures = intervalFigures(before, after, new Date('2026-11-27T12:00:00Z'));
  expect(figures).toMatchObject({ seconds: 2, transfersPerSecond: 30, commitsPerSecond: 1 });
  expect(figures.requests).toMatchObject({ requests: 20, perSecond: 10, bytesReadPerSecond: 10240 });
  const [lookup] = figures.requests.kinds;
  expect(lookup).toMatchObject({ name: 'lookup', requests: 20, errors: 10 });
  // The slow ones were before.
  expect(lookup?.p99Microseconds).toBeGreaterThanOrEqual(5);
  expect(lookup?.p99Microseconds).toBeLessThan(5.7);
  const text = intervalText(figures);
  expect(text.split('\n')[0]).toMatch(/^2026-11-27T12:00:00Z {2}10 requests\/s {2}read 10 KiB\/s /);
  expect(text).toMatch(/^ {2}lookup +10 +5 +5\.\d µs +5\.\d µs$/m);
});

test('a layer that counts nothing gives no sample, and nonsense does no harm', () => {
  expect(statSample({ pid: 7, session: {} }, 0)).toBeUndefined();
  expect(statSample(null, 0)).toBeUndefined();
  const value = fc.anything();
  fc.assert(
    fc.property(value, value, value, (operations, latencies, rest) => {
      const sample = statSample(
        answer(4, [], { session: { operations, latencies: latencies ?? 0, rest } }),
        5,
      );
      if (sample === undefined) throw new Error('no sample');
      const figures = intervalFigures(sample, sample, new Date(0));
      expect(figures.requests.requests).toBe(0);
      expect(intervalText(figures)).toMatch(/^1970-01-01T00:00:00Z/);
    }),
    { numRuns: 300 },
  );
});
