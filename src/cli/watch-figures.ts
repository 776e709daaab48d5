/**
 * What happened between two samples of a mount: rates, latencies, and how the free space is now.
 * Pure arithmetic; everything that `quarry watch` shows comes from here.
 */
import { LatencyHistogram } from '../common/latency-histogram.ts';
import type { AllocationCounters } from '../fs/transaction/allocation-counts.ts';
import { METER_SUB_BITS, type MeteredKind, type MeterReading } from '../fuse/request-meter.ts';
import type {
  AllocationFigures,
  KindFigures,
  RequestFigures,
  SpaceFigures,
  WatchFigures,
} from '../page/messages.ts';
import type { MountSample, SurveySample } from './watch-sample.ts';

/** Each count less what it was. */
function difference<T extends { readonly [K in keyof T]: number }>(after: T, before: T): T {
  const names = Object.keys(after) as (keyof T)[];
  return Object.fromEntries(names.map((name) => [name, Math.max(0, after[name] - before[name])])) as T;
}

const NO_KIND: MeteredKind = { requests: 0, errors: 0, latencies: [] };

/** Adds to a histogram what came between two readings. */
function addLatencies(into: LatencyHistogram, after: readonly number[], before: readonly number[]): void {
  const counted = new Map<number, number>();
  for (let i = 0; i + 1 < before.length; i += 2) counted.set(before[i] ?? 0, before[i + 1] ?? 0);
  for (let i = 0; i + 1 < after.length; i += 2) {
    const bucket = after[i] ?? 0;
    into.add(bucket, (after[i + 1] ?? 0) - (counted.get(bucket) ?? 0));
  }
}

function percentiles(histogram: LatencyHistogram) {
  return {
    p50Microseconds: histogram.percentile(0.5) / 1000,
    p99Microseconds: histogram.percentile(0.99) / 1000,
  };
}

function kindFigures(name: string, after: MeteredKind, before: MeteredKind, seconds: number): KindFigures {
  const requests = Math.max(0, after.requests - before.requests);
  const latencies = new LatencyHistogram(METER_SUB_BITS);
  addLatencies(latencies, after.latencies, before.latencies);
  return {
    name,
    requests,
    errors: Math.max(0, after.errors - before.errors),
    perSecond: requests / seconds,
    ...percentiles(latencies),
  };
}

/** What requests took between two readings of a meter. */
export function requestFigures(after: MeterReading, before: MeterReading, seconds: number): RequestFigures {
  const all = new LatencyHistogram(METER_SUB_BITS);
  const kinds = Object.entries(after.kinds)
    .map(([name, kind]) => {
      const earlier = before.kinds[name] ?? NO_KIND;
      addLatencies(all, kind.latencies, earlier.latencies);
      return kindFigures(name, kind, earlier, seconds);
    })
    .filter(({ requests }) => requests > 0)
    .sort((a, b) => b.requests - a.requests || (a.name < b.name ? -1 : 1));
  const requests = kinds.reduce((sum, kind) => sum + kind.requests, 0);
  const bytesRead = Math.max(0, after.bytesRead - before.bytesRead);
  const bytesWritten = Math.max(0, after.bytesWritten - before.bytesWritten);
  return {
    requests,
    perSecond: requests / seconds,
    bytesRead,
    bytesWritten,
    bytesReadPerSecond: bytesRead / seconds,
    bytesWrittenPerSecond: bytesWritten / seconds,
    ...percentiles(all),
    kinds,
  };
}

function share(part: number, whole: number): number | null {
  return whole > 0 ? part / whole : null;
}

function allocationFigures(counts: AllocationCounters, seconds: number): AllocationFigures {
  const { runs, blocks, dataRuns, dataBlocks, dataGoals, dataGoalHits } = counts;
  // Within a run each block but the first follows the one before it.
  const following = dataBlocks - dataRuns + dataGoalHits;
  return {
    ...counts,
    runsPerSecond: runs / seconds,
    blocksPerSecond: blocks / seconds,
    goalHitShare: share(dataGoalHits, dataGoals),
    layoutScore: share(following, dataBlocks - dataRuns + dataGoals),
    meanDataRunBlocks: share(dataBlocks, dataRuns),
  };
}

function spaceFigures({ freeRuns, groupCount, unknownGroups }: SurveySample): SpaceFigures {
  const { runs, blocks, largestRunBlocks } = freeRuns;
  const sum = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0);
  const [freeBlocks, freeRunCount] = [sum(blocks), sum(runs)];
  const histogram = runs.map((count, i) => ({
    fromBlocks: 2 ** i,
    runs: count,
    blocks: blocks[i] ?? 0,
    share: (blocks[i] ?? 0) / Math.max(1, freeBlocks),
  }));
  return {
    freeBlocks,
    freeRuns: freeRunCount,
    largestRunBlocks,
    meanRunBlocks: share(freeBlocks, freeRunCount),
    histogram: histogram.slice(0, histogram.findLastIndex((found) => found.runs > 0) + 1),
    knownShare: groupCount === 0 ? 0 : 1 - unknownGroups / groupCount,
  };
}

/**
 * @param before a sample of the same epoch
 * @param now for the figures' time
 */
export function figuresBetween(before: MountSample, after: MountSample, now: Date): WatchFigures {
  const seconds = Math.max(0.001, (after.milliseconds - before.milliseconds) / 1000);
  const { name, fault, passedOver, figures } = after.allocator;
  const isMetered = after.requests !== undefined && before.requests !== undefined;
  return {
    time: now.toISOString(),
    seconds,
    blockBytes: after.blockBytes,
    blockCount: after.blockCount,
    requests: isMetered ? requestFigures(after.requests, before.requests, seconds) : null,
    allocations: allocationFigures(difference(after.allocations, before.allocations), seconds),
    commits: difference(after.commits, before.commits),
    space: after.survey ? spaceFigures(after.survey) : null,
    policy: {
      name,
      fault,
      passedOver,
      figures: Object.entries(figures).map(([figure, value]) => ({
        name: figure,
        value,
        change: value - (before.allocator.figures[figure] ?? value),
      })),
    },
    readOnly: after.readOnly,
    failure: after.failure,
  };
}
