/** The state of a mounted volume: which arrows there are, and what operations see of it. */
import { beforeEach, describe, expect, test } from 'vitest';
import { CorruptionError } from '../../src/fs/base/errors.ts';
import { BrokenTransactionError, Health, type HealthState } from '../../src/fs/life/health.ts';

let gate: { readOnly: boolean; resting: boolean; shutDown: boolean };
let lines: string[];

const ARROWS = {
  rest: (health: Health) => health.rest(),
  wake: (health: Health) => health.wake(),
  damage: (health: Health) => health.damage(new CorruptionError(7, 'is not what it should be')),
  fail: (health: Health) => health.fail(new Error('EIO')),
};

function healthIn(state: HealthState): Health {
  gate = { readOnly: state === 'readOnly', resting: false, shutDown: false };
  const health = new Health(gate, (line) => lines.push(line));
  if (state === 'resting') health.rest();
  if (state === 'damaged') ARROWS.damage(health);
  if (state === 'failed') ARROWS.fail(health);
  lines = [];
  return health;
}

beforeEach(() => {
  lines = [];
});

/** Where each arrow leads; undefined where there is none. */
const TABLE: Record<HealthState, Record<keyof typeof ARROWS, HealthState | undefined>> = {
  writable: { rest: 'resting', wake: undefined, damage: 'damaged', fail: 'failed' },
  resting: { rest: undefined, wake: 'writable', damage: 'damaged', fail: 'failed' },
  readOnly: { rest: undefined, wake: undefined, damage: 'damaged', fail: 'failed' },
  damaged: { rest: undefined, wake: undefined, damage: 'damaged', fail: 'failed' },
  failed: { rest: undefined, wake: undefined, damage: 'failed', fail: 'failed' },
};

const ROWS = Object.entries(TABLE).flatMap(([from, arrows]) =>
  Object.entries(arrows).map(([arrow, to]) => [from, arrow, to] as const),
);

test.each(ROWS)('%s, %s: %s', (from, arrow, to) => {
  const health = healthIn(from as HealthState);
  const go = () => ARROWS[arrow as keyof typeof ARROWS](health);
  if (to === undefined) {
    expect(go).toThrow(/cannot (rest|wake)/);
    expect(health.state).toBe(from);
    return;
  }
  go();
  expect(health.state).toBe(to);
});

describe('what operations see', () => {
  test.each([
    ['writable', false, false, true],
    ['resting', true, true, true],
    ['readOnly', true, false, true],
    ['damaged', true, false, false],
    ['failed', true, false, false],
  ] as const)('%s: read-only %s, resting %s, sound %s', (state, readOnly, resting, sound) => {
    const health = healthIn(state);
    expect([gate.readOnly, gate.resting, health.sound]).toEqual([readOnly, resting, sound]);
  });
});

describe('what is said', () => {
  test('of corruption once, and nothing of it after a failure', () => {
    const health = healthIn('writable');
    ARROWS.damage(health);
    ARROWS.damage(health);
    expect(lines.length).toBe(1);
    expect(lines[0]).toMatch(
      /^corruption: .*; the volume is read-only from now on; run 'quarry fsck' on it$/,
    );
    const failed = healthIn('failed');
    ARROWS.damage(failed);
    expect(lines).toEqual([]);
  });

  test('of a failure, whose it is', () => {
    healthIn('writable').fail(new Error('EIO'));
    healthIn('writable').fail(new BrokenTransactionError(new Error('a bug')));
    expect(lines).toEqual(['an operation could not be undone: a bug: the volume is read-only now']);
  });
});
