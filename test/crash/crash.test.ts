/**
 * The crash simulator in `npm test`: at least 20,000 distinct states without a violation; and every
 * mutation of the journal and of the order of writes is found. `npm run crash` does the same for as
 * long as you like.
 */
import { availableParallelism } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MUTATIONS, type Mutation, mutatedCopy } from './mutations.ts';
import { type Build, build, describeViolation, type RunSummary, runCrashes } from './run.ts';

const SEED = 1;
const LEAST_STATES = 20_000;
/** Enough on a machine that does much else meanwhile. */
const MOST_SECONDS = 240;
const MOST_SECONDS_PER_MUTATION = 120;

let compiled: Build;
beforeAll(async () => {
  compiled = await build();
});
afterAll(() => compiled.remove());

test(
  `${LEAST_STATES} states, none violates a promise: npm run crash -- --seed ${SEED} --states ${LEAST_STATES}`,
  async () => {
    const summary = await runCrashes(compiled.folder, {
      seed: SEED,
      seconds: MOST_SECONDS,
      states: LEAST_STATES,
      workers: availableParallelism(),
    });
    expect(summary.violations.map((violation) => describeViolation(violation, SEED))).toEqual([]);
    expect(summary.failures).toEqual([]);
    expect(summary.distinct).toBeGreaterThanOrEqual(LEAST_STATES);
  },
  MOST_SECONDS * 1000 + 30_000,
);

function search(folder: string, workload: string): Promise<RunSummary> {
  return runCrashes(folder, {
    seed: SEED,
    seconds: MOST_SECONDS_PER_MUTATION,
    workers: 1,
    first: workload,
    inPassing: true,
  });
}

async function searchMutated(mutation: Mutation): Promise<RunSummary> {
  const copy = mutatedCopy(compiled.folder, mutation);
  try {
    return await search(copy.folder, mutation.shownBy);
  } finally {
    copy.remove();
  }
}

describe('mutations are found', () => {
  const rows: string[] = [];

  test.concurrent.each(MUTATIONS.map((mutation) => ({ ...mutation })))(
    '$name: $breaks',
    async (mutation) => {
      const { violations } = await searchMutated(mutation);
      const [violation] = violations;
      expect(violation, `npm run crash -- --seed ${SEED} --mutation ${mutation.name}`).toBeDefined();
      const what = violation?.what.split('\n', 1)[0]?.replace(/^threw /, '') ?? '';
      rows.push(
        `| ${mutation.name} | ${mutation.breaks} | ${violation?.examined} | ${violation?.workload} ${violation?.state} | ${what} |`,
      );
    },
    MOST_SECONDS_PER_MUTATION * 1000 + 30_000,
  );

  test(
    'and there is nothing to find where they are without them',
    async () => {
      for (const workload of new Set(MUTATIONS.map(({ shownBy }) => shownBy))) {
        const { violations, failures } = await runCrashes(compiled.folder, {
          seed: SEED,
          seconds: MOST_SECONDS,
          workers: 1,
          workload,
          inPassing: true,
        });
        expect(violations.map((violation) => describeViolation(violation, SEED))).toEqual([]);
        expect(failures).toEqual([]);
      }
    },
    MOST_SECONDS * 1000,
  );

  afterAll(() => {
    if (rows.length > 0) console.log(['mutations found:', ...rows.sort()].join('\n'));
  });
});
