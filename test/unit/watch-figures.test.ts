/**
 * `quarry watch`: what follows from two samples, what a foreign server may say, and how figures
 * become text.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { figuresBetween } from '../../src/cli/watch-figures.ts';
import { decodeSample, type MountSample } from '../../src/cli/watch-sample.ts';
import { barText, intervalLine, screenLines, sparkline } from '../../src/cli/watch-text.ts';
import { LatencyHistogram } from '../../src/common/latency-histogram.ts';
import { durationText, numberText, percentText } from '../../src/common/number-text.ts';
import { METER_SUB_BITS } from '../../src/fuse/request-meter.ts';
import { ratePoint } from '../../src/page/messages.ts';

const NOW = new Date('2026-11-27T12:00:00Z');

function latencies(...nanoseconds: number[]): number[] {
  const histogram = new LatencyHistogram(METER_SUB_BITS);
  for (const one of nanoseconds) histogram.record(one);
  return [...histogram.buckets()].flat();
}

function sampleOf(changes: object = {}): MountSample {
  const sample = decodeSample({
    epoch: 7,
    milliseconds: 1000,
    blockBytes: 4096,
    blockCount: 10_000,
    requests: { bytesRead: 0, bytesWritten: 0, kinds: {} },
    allocations: {},
    commits: {},
    readOnly: false,
    failure: '',
    allocator: { name: 'first-fit', fault: '', passedOver: 0, figures: { windows: 3 } },
    survey: {
      revision: 5,
      blocksPerCell: 16,
      cellCount: 625,
      groupCount: 4,
      unknownGroups: 1,
      freeRuns: { runs: [2, 0, 1], blocks: [2, 0, 6], largestRunBlocks: 6 },
    },
    ...changes,
  });
  if (sample === undefined) throw new Error('no sample');
  return sample;
}

describe('figures of an interval', () => {
  const before = sampleOf({
    requests: {
      bytesRead: 1000,
      bytesWritten: 0,
      kinds: { read: { requests: 2, errors: 1, latencies: latencies(5000, 5000) } },
    },
    allocations: { runs: 1, blocks: 5, dataRuns: 1, dataBlocks: 5 },
    commits: { commits: 3 },
  });
  const after = sampleOf({
    milliseconds: 3000,
    requests: {
      bytesRead: 5000,
      bytesWritten: 8192,
      kinds: {
        read: { requests: 6, errors: 1, latencies: latencies(5000, 5000, 1e6, 1e6, 1e6, 1e6) },
        write: { requests: 1, errors: 1, latencies: latencies(20_000) },
      },
    },
    allocations: { runs: 5, blocks: 35, dataRuns: 4, dataBlocks: 33, dataGoals: 2, dataGoalHits: 1 },
    commits: { commits: 4, flushes: 2 },
    allocator: { name: 'first-fit', figures: { windows: 1, other: 4 } },
  });
  const figures = figuresBetween(before, after, NOW);

  test('rates are differences by the time between', () => {
    const { requests } = figures;
    expect(figures.seconds).toBe(2);
    expect(requests).toMatchObject({
      requests: 5,
      perSecond: 2.5,
      bytesRead: 4000,
      bytesReadPerSecond: 2000,
    });
    expect(requests).toMatchObject({ bytesWritten: 8192, bytesWrittenPerSecond: 4096 });
    expect(requests?.kinds.map(({ name, requests: count, errors }) => [name, count, errors])).toEqual([
      ['read', 4, 0],
      ['write', 1, 1],
    ]);
    expect(figures.commits).toMatchObject({ commits: 1, flushes: 2, checkpoints: 0 });
  });

  test('latencies are of the interval, not of what was before', () => {
    const [read] = figures.requests?.kinds ?? [];
    expect(read?.p50Microseconds).toBeGreaterThanOrEqual(1000);
    expect(read?.p50Microseconds).toBeLessThan(1130);
  });

  test('the layout score is the share of blocks that follow the one before', () => {
    // Three runs of 28 blocks in all, of which one begins a file, one hits its goal, one does not:
    // 25 blocks follow within their run, 1 across runs, and 27 could.
    expect(figures.allocations.layoutScore).toBeCloseTo(26 / 27);
    expect(figures.allocations.goalHitShare).toBe(0.5);
    const none = figuresBetween(before, before, NOW).allocations;
    expect([none.layoutScore, none.goalHitShare, none.meanDataRunBlocks]).toEqual([null, null, null]);
  });

  test('free runs by powers of two, and how much of the volume is known', () => {
    expect(figures.space).toMatchObject({
      freeBlocks: 8,
      freeRuns: 3,
      largestRunBlocks: 6,
      knownShare: 0.75,
    });
    expect(figures.space?.histogram.map(({ fromBlocks, share }) => [fromBlocks, share])).toEqual([
      [1, 0.25],
      [2, 0],
      [4, 0.75],
    ]);
  });

  test("the policy's counters with what they changed by", () => {
    expect(figures.policy.figures).toEqual([
      { name: 'windows', value: 1, change: -2 },
      { name: 'other', value: 4, change: 0 },
    ]);
  });

  test('what is not counted is null, there and in the charts', () => {
    const bare = sampleOf({ requests: null, survey: null });
    const found = figuresBetween(bare, bare, NOW);
    expect([found.requests, found.space]).toEqual([null, null]);
    expect(ratePoint(found)).toMatchObject({ requests: null, p99Microseconds: null, freeRuns: null });
    expect(intervalLine(found)).toMatch(/allocated 0 blocks\/s/);
  });
});

describe('a sample of somebody', () => {
  test('what is none', () => {
    for (const answer of [undefined, null, 1, 'text', [], {}, { epoch: -1 }, { epoch: 1 }])
      expect(decodeSample(answer)).toBeUndefined();
  });

  test('texts steer no terminal, numbers are counts, cells are in the map', () => {
    const sample = sampleOf({
      failure: 'a\x1b[2Jb',
      blockCount: 'many',
      allocator: { name: '\u202ename', figures: { 'a\nb': 1, text: 'no', nan: Number.NaN } },
      survey: { cellCount: 10, cells: [1, 5, 10, 5, -1, 5, 2, 1e300, 3] },
    });
    expect(sample.failure).toBe('a?[2Jb');
    expect(sample.blockCount).toBe(0);
    expect(sample.allocator).toMatchObject({ name: '?name', figures: { 'a?b': 1, nan: 0 } });
    expect(sample.survey?.cells).toEqual([1, 5, 0, 5, 2, 0]);
  });

  test('names that every object has are names like others', () => {
    const said = JSON.parse(
      '{"requests":{"kinds":{"constructor":{"requests":2},"__proto__":{"requests":1}}},' +
        '"allocator":{"figures":{"constructor":5,"__proto__":6}}}',
    );
    const { requests, policy } = figuresBetween(sampleOf({ requests: { kinds: {} } }), sampleOf(said), NOW);
    expect(requests?.kinds.map(({ name, requests: count }) => [name, count])).toEqual([
      ['constructor', 2],
      ['__proto__', 1],
    ]);
    expect(policy.figures).toEqual([
      { name: 'constructor', value: 5, change: 0 },
      { name: '__proto__', value: 6, change: 0 },
    ]);
  });

  test('whatever it says, figures can be made of it, and shown', () => {
    const fields = ['requests', 'allocations', 'commits', 'allocator', 'survey', 'milliseconds', 'failure'];
    const anything = fc.record(Object.fromEntries(fields.map((name) => [name, fc.jsonValue()])));
    fc.assert(
      fc.property(anything, anything, (first, second) => {
        const figures = figuresBetween(sampleOf(first), sampleOf(second), NOW);
        const lines = screenLines('title', figures, [1], { columns: 50, rows: 20 });
        return lines.length <= 20 && lines.every((line) => [...line].length <= 50);
      }),
      { numRuns: 300 },
    );
  });
});

describe('text', () => {
  test.each([
    [0, '0'],
    [0.25, '0.3'],
    [9.96, '10.0'],
    [12.5, '13'],
    [1234.4, '1,234'],
  ])('the number %d', (value, text) => expect(numberText(value)).toBe(text));

  test.each([
    [12, '12 µs'],
    [1500, '1.5 ms'],
    [2e6, '2 s'],
  ])('%d microseconds', (value, text) => expect(durationText(value)).toBe(text));

  test.each([
    [null, '–'],
    [0, '0 %'],
    [0.004, '<1 %'],
    [0.996, '100 %'],
  ])('a share of %s', (share, text) => expect(percentText(share)).toBe(text));

  test('bars and lines of bars', () => {
    expect(barText(0.5, 4)).toBe('██');
    expect(barText(0.28, 4)).toBe('█▏');
    expect([barText(0, 4), barText(7, 4)]).toEqual(['', '████']);
    expect(sparkline([9, 0, 1, 2], 3)).toBe('▁▅█');
    expect(sparkline([0, 0], 5)).toBe('▁▁');
  });

  test('a screen has what there is room for, the head first', () => {
    const kinds = Object.fromEntries(
      Array.from({ length: 30 }, (_, i) => [`kind${i}`, { requests: 30 - i, errors: 0, latencies: [] }]),
    );
    const busy = sampleOf({ milliseconds: 2000, requests: { bytesRead: 0, bytesWritten: 0, kinds } });
    const figures = figuresBetween(sampleOf(), busy, NOW);
    const tall = screenLines('title', figures, [1, 2], { columns: 120, rows: 60 });
    expect(tall[0]).toBe('title');
    expect(tall.join('\n')).toMatch(/ kind0 .*30 .* kind10 /s);
    expect(tall.join('\n')).toMatch(/score/);
    expect(tall.join('\n')).toMatch(/16\.0 KiB\+|16 KiB\+/);
    expect(tall.join('\n')).toMatch(/windows/);
    const small = screenLines('title', figures, [1, 2], { columns: 40, rows: 10 });
    expect(small).toHaveLength(10);
    expect(small[2]).toMatch(/^requests/);
  });
});
