/**
 * Limits and their relations: who changes one number is told, when the program starts, which other
 * one it was in step with.
 */
import { afterEach, describe, expect, test, vi } from 'vitest';
import * as aio from '../../src/aio/limits.ts';
import { brokenRelations, type Relations, requireRelations } from '../../src/common/relations.ts';
import * as base from '../../src/fs/base/limits.ts';
import * as format from '../../src/fs/format/limits.ts';
import * as fuse from '../../src/fuse/limits.ts';

type Numbers = Readonly<Record<string, number>>;

interface Room {
  readonly limits: Numbers;
  readonly sentences: readonly string[];
  /** What does not hold of these numbers. */
  broken(limits: Numbers): string[];
}

function room<Of extends Numbers>(limits: Of, relations: Relations<Of>): Room {
  const broken = (other: Numbers) => brokenRelations<Of>({ ...limits, ...other }, relations);
  return { limits, sentences: Object.keys(relations), broken };
}

const ROOMS: Readonly<Record<string, Room>> = {
  aio: room(aio.LIMITS, aio.RELATIONS),
  base: room(base.LIMITS, base.RELATIONS),
  format: room(format.LIMITS, format.RELATIONS),
  fuse: room(fuse.LIMITS, fuse.RELATIONS),
};

/** What somebody might make of a number. */
const CHANGES: readonly ((value: number) => number)[] = [
  (value) => value + 1,
  (value) => value - 1,
  (value) => value * 3,
  (value) => value * 2 ** 12,
  (value) => Math.floor(value / 2),
  (value) => value / 2 ** 12,
  () => 0,
];

function changed(limits: Numbers, name: string): Numbers[] {
  return CHANGES.map((change) => ({ ...limits, [name]: change(limits[name] ?? 0) }));
}

describe.each(Object.entries(ROOMS))('limits of %s', (_, { limits, sentences, broken }) => {
  test('fit together', () => {
    expect(broken(limits)).toEqual([]);
  });

  test.each(Object.keys(limits))('%s cannot be changed at will', (name) => {
    expect(changed(limits, name).some((others) => broken(others).length > 0)).toBe(true);
  });

  test.each(sentences)('that %s can be broken', (sentence) => {
    const all = Object.keys(limits).flatMap((name) => changed(limits, name));
    expect(all.some((others) => broken(others).includes(sentence))).toBe(true);
  });
});

test('what does not hold is told in its own words', () => {
  const relations: Relations<{ LEAST: number; MOST: number }> = {
    'the least is below the most': (l) => l.LEAST < l.MOST,
    'both are even': (l) => l.LEAST % 2 === 0 && l.MOST % 2 === 0,
  };
  requireRelations({ LEAST: 2, MOST: 4 }, relations);
  expect(() => requireRelations({ LEAST: 5, MOST: 4 }, relations)).toThrow(
    'limits that do not fit together: it is not so that the least is below the most, nor that both are even',
  );
});

/** The files themselves, loaded with another number somewhere below them. */
describe('a file of limits is not loaded', () => {
  afterEach(() => {
    vi.doUnmock('../../src/common/limits.ts');
    vi.doUnmock('../../src/fuse/slot.ts');
    vi.doUnmock('../../src/fs/format/layout.ts');
    vi.resetModules();
  });

  /** Loads `file` anew, with `changes` in what `module` exports. */
  async function loadedWith(module: string, changes: Numbers, file: string): Promise<unknown> {
    vi.resetModules();
    vi.doMock(module, async (original) => ({ ...(await original<object>()), ...changes }));
    return import(file);
  }

  test('when the longest spin is not that of the addon', async () => {
    const changes = { LONGEST_SPIN_NANOSECONDS: 2_000_000 };
    await expect(
      loadedWith('../../src/common/limits.ts', changes, '../../src/aio/limits.ts'),
    ).rejects.toThrow('the longest spin is that of the addon');
  });

  test('when requests begin elsewhere than where the addon puts them', async () => {
    const changes = { REQUEST_LEAD_BYTES: 88 };
    await expect(loadedWith('../../src/fuse/slot.ts', changes, '../../src/fuse/limits.ts')).rejects.toThrow(
      'the head page is that of the addon',
    );
  });

  test('when the smallest log could not hold every transaction', async () => {
    const changes = { MIN_JOURNAL_BLOCKS: 32 };
    await expect(
      loadedWith('../../src/fs/format/layout.ts', changes, '../../src/fs/format/limits.ts'),
    ).rejects.toThrow('the smallest log holds one transaction of every kind (J8)');
  });
});
