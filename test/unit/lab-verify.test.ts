/**
 * `quarry lab verify` from inside: wrong policies are found, with the rule and a short way to it;
 * right ones pass.
 */
import { describe, expect, test } from 'vitest';
import type { AllocatorDefinition, FreeSpace } from '../../src/alloc/allocator.ts';
import { UNOBSERVED } from '../../src/lab/verify/performer.ts';
import type { Bench } from '../../src/lab/verify/policy-bench.ts';
import { performTask, type Task } from '../../src/lab/verify/tasks.ts';
import { verdictData, verdictText } from '../../src/lab/verify/verdict-text.ts';
import { type Verdict, verifyPolicy } from '../../src/lab/verify/verify.ts';
import { WRONG_POLICIES } from '../suite/wrong-policies.ts';

/** Tries a policy in this process. */
class BenchHere implements Bench {
  readonly #definition: AllocatorDefinition;

  constructor(definition: AllocatorDefinition) {
    this.#definition = definition;
  }

  async perform(task: Task) {
    return performTask(this.#definition, task, { ...UNOBSERVED, round: () => {} }, () => 0);
  }

  takeTime(): void {}
}

function verify(create: (space: FreeSpace) => unknown, rounds = 30): Promise<Verdict> {
  const definition = { name: 'mine', create } as AllocatorDefinition;
  const request = { seed: 1, rounds, milliseconds: 1 };
  return verifyPolicy(new BenchHere(definition), request, new AbortController().signal);
}

describe('a wrong policy is found', () => {
  test.each(WRONG_POLICIES)('that $title', async ({ rule, steps, says, create }) => {
    const verdict = await verify(create);
    const text = verdictText({ nameOrFile: './mine.ts', name: 'mine' }, verdict);
    expect(text).toMatch(says);
    expect(verdict.broken).toMatchObject({ broken: { rule }, isRepeatable: true });
    expect(verdict.broken?.steps.length).toBeLessThanOrEqual(steps);
    expect(text).toContain(`breaks the rule '${rule}'`);
    expect(text).toMatch(/repeat with: quarry lab verify \.\/mine\.ts --seed \d+ --rounds 1\n/);
  });
});

test('one that is random is told so', async () => {
  const verdict = await verify((space) => ({
    allocate: ({ minimum, length }: { minimum: number; length: number }) =>
      space.findRun(
        Math.floor(Math.random() * space.groupCount) * space.groupBlocks,
        space.blockCount,
        minimum,
        length,
      ) ?? space.findRun(0, space.blockCount, minimum, length),
  }));
  expect(verdict.broken).toBeUndefined();
  expect(verdict.warnings.join()).toContain('the same history was answered in two ways');
});

test('a verdict as data has everything that the text has', async () => {
  const verdict = await verify(() => ({ allocate: () => ({ start: 0, length: 1 }) }));
  const tried = { nameOrFile: "./it's.ts", name: 'mine' };
  const data = verdictData(tried, verdict);
  expect(JSON.parse(JSON.stringify(data))).toMatchObject({
    holds: false,
    broken: { isRepeatable: true, repeat: `quarry lab verify './it'\\''s.ts' --seed 1 --rounds 1` },
  });
});
