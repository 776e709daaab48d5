/**
 * A volume in a program against Node's own `fs.promises`: the same cases on both, and the same
 * answers, errors included. What differs on purpose is said below.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import * as nodeFs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { check, format, openVolume, type ProgramVolume } from '../../src/quarryfs.ts';
import { CASES, type Calls, failureOf, type ProgramCase } from './program-cases.ts';

const SIZE = 64 * 2 ** 20;
const bytes = new Uint8Array(SIZE);
const folder = mkdtempSync(join(tmpdir(), 'quarry-like-node-'));
let volume: ProgramVolume;

beforeAll(async () => {
  await format(bytes);
  volume = await openVolume(bytes);
});

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await volume.close();
  expect(await check(bytes)).toMatchObject({ clean: true, state: 'clean' });
});

/** The same for any directory, and with bytes that can be read. */
function comparable(value: unknown, root: string): unknown {
  if (typeof value === 'string') return value.replaceAll(root, '<root>').replace(/pre-\w{6}/, 'pre-XXXXXX');
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('latin1')}`;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map((one) => comparable(one, root));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, comparable(one, root)]));
}

async function outcome(fs: Calls, root: string, run: ProgramCase): Promise<unknown> {
  await fs.mkdir(root, { recursive: true });
  try {
    return comparable(await run(fs, (name) => (name === '.' ? root : `${root}/${name}`)), root);
  } catch (thrown) {
    return comparable(failureOf(thrown), root);
  }
}

describe('as fs.promises', () => {
  test.each(Object.entries(CASES).map(([name, run], place) => ({ name, run, place })))(
    '$name',
    { timeout: 20_000 },
    async ({ run, place }) => {
      const expected = await outcome(nodeFs as unknown as Calls, join(folder, `${place}`), run);
      expect(await outcome(volume, `/case/${place}`, run)).toEqual(expected);
    },
  );
});
