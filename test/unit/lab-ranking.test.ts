/** Policies beside each other: ranks, ties, seeds that not all have, and the sentences of them. */
import { describe, expect, test } from 'vitest';
import type { FinishedRun } from '../../src/lab/experiment.ts';
import { ColdReadGatherer } from '../../src/lab/measures/cold-read.ts';
import { LayoutGatherer } from '../../src/lab/measures/layout.ts';
import { overallOf, rankingsOf } from '../../src/lab/ranking.ts';
import { verdictsOf } from '../../src/lab/report/verdicts.ts';
import type { RunSample } from '../../src/lab/runners/ageing-run.ts';

function sample(layoutScore: number): RunSample {
  return {
    ...{ churn: 1, operations: 1, simulatedSeconds: 1, fullness: 0.8, policy: {} },
    ...{ refusedOperations: 0, freeAtFirstRefusal: -1 },
    layout: { ...new LayoutGatherer(4096).figures(), layoutScore },
    coldRead: new ColdReadGatherer(4096, 2 ** 20).figures(),
  };
}

/** A run for each score, with the seeds 1, 2, …; none where there is no score. */
function runs(policy: string, ...scores: readonly (number | undefined)[]): FinishedRun[] {
  return scores.flatMap((score, index) =>
    score === undefined
      ? []
      : {
          ...{ policy, workload: 'web', seed: index + 1 },
          result: { samples: [sample(score)], cost: { operationsPerSecond: 1, seconds: 1 } },
        },
  );
}

const ranked = (...all: FinishedRun[][]) => rankingsOf(all.flat());
const scoreOf = (...all: FinishedRun[][]) =>
  ranked(...all).find(({ measure }) => measure === 'layoutScore') ?? expect.fail('no ranking');
const ranksOf = (...all: FinishedRun[][]) =>
  Object.fromEntries(scoreOf(...all).policies.map(({ policy, rank }) => [policy, rank]));
const verdict = (...all: FinishedRun[][]) => verdictsOf([scoreOf(...all)])[0];

describe('ranks', () => {
  const worse = runs('worse', 0.5, 0.51, 0.49);
  const one = runs('one', 0.9, 0.91, 0.92);
  const same = runs('same', 0.9, 0.91, 0.92);

  test('those that are alike share one, whatever their order', () => {
    expect(ranksOf(worse, one, same)).toEqual({ one: 1, same: 1, worse: 3 });
    expect(ranksOf(same, one, worse)).toEqual({ one: 1, same: 1, worse: 3 });
    const overall = overallOf(ranked(worse, same, one), 'layoutScore');
    expect(overall.map(({ policy, meanRank, bestOn }) => [policy, meanRank, bestOn])).toEqual([
      ['same', 1, 1],
      ['one', 1, 1],
      ['worse', 3, 0],
    ]);
  });

  test('count the seeds that all have: who lacks an easy one is not behind for it', () => {
    expect(ranksOf(runs('whole', 0.6, 0.61, 0.62, 0.99), runs('lacks', 0.7, 0.71, 0.72))).toEqual({
      lacks: 1,
      whole: 2,
    });
    // None is common: each stands for itself.
    expect(ranksOf(runs('first', 0.6), runs('second', undefined, 0.7))).toEqual({ second: 1, first: 2 });
  });
});

describe('verdicts', () => {
  test.each([
    [[runs('a', 0.9, 0.9, 0.9), runs('b', 0.9, 0.9, 0.9)], 'a and b came out alike (0.900).'],
    [[runs('a', 0.9), runs('b', 0.9)], 'a and b came out alike (0.900), but with fewer than 3 seeds'],
    [[runs('a', 0.8), runs('b', 0.9)], 'b came out first (0.900), but with fewer than 3 seeds'],
    [[runs('a', 0.9, 0.91, 0.92), runs('b', 0.5, 0.52, 0.51)], 'a is the best (0.910); b is worse.'],
    [[runs('a', 0.9, 0.8, 0.7), runs('b', 0.7, 0.79, 0.8)], 'a and b cannot be told apart.'],
    [
      [runs('a', 0.9, 0.8, 0.7), runs('b', 0.9, 0.8, 0.7), runs('c', 0.7, 0.79, 0.8)],
      'a and b came out alike (0.800); c cannot be told from them.',
    ],
  ])('%#', (all, says) => expect(verdict(...all)).toContain(`By layout score, ${says}`));
});
