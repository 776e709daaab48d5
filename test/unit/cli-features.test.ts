/** `mkfs -O`: what is asked for is what the volume has, and `info` and `dump` show it. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { runHere } from '../suite/command-line.ts';

const directory = mkdtempSync(join(tmpdir(), 'quarry-features-'));
const image = join(directory, 'volume.img');

afterAll(() => rmSync(directory, { recursive: true }));

function mkfs(...words: string[]) {
  return runHere('mkfs', '--force', '--size', '2M', ...words, image);
}

async function shown(...words: string[]): Promise<Record<string, unknown>> {
  const { status, out } = await runHere(...words, '--json');
  expect(status).toBe(0);
  return JSON.parse(out) as Record<string, unknown>;
}

const BOTH = ['attributes', 'unwritten'];

describe.each([
  { given: [], has: BOTH },
  { given: ['-O', 'attributes'], has: BOTH },
  { given: ['-O', 'unwritten,attributes'], has: BOTH },
  { given: ['-O', '^unwritten'], has: ['attributes'] },
  { given: ['-O', '^attributes'], has: ['unwritten'] },
  { given: ['-O', '^attributes,^unwritten'], has: [] },
  { given: ['--features', '^unwritten'], has: ['attributes'] },
  { given: ['-O', '^unwritten', '-O', '^attributes'], has: [] },
  // What is said last counts.
  { given: ['-O', '^unwritten,unwritten'], has: BOTH },
  { given: ['-O', 'unwritten,^unwritten'], has: ['attributes'] },
  { given: ['-O', '^unwritten', '-O', 'unwritten'], has: BOTH },
])('mkfs $given', ({ given, has }) => {
  test('makes it, and all say so', async () => {
    const made = await mkfs(...given, '--json');
    expect(made).toMatchObject({ status: 0, err: '' });
    expect([...JSON.parse(made.out).features].sort()).toEqual(has);
    expect(await shown('info', image)).toMatchObject({ features: has });
    expect((await runHere('info', image)).out).toMatch(
      new RegExp(`^features: +${has.join(', ') || '\\(none\\)'}$`, 'm'),
    );
    const { out } = await runHere('dump', image, 'superblock');
    const line = /^.*incompatibleFeatures.*$/m.exec(out)?.[0] ?? '';
    expect(BOTH.filter((name) => line.includes(name))).toEqual(has);
    expect(await runHere('fsck', '-n', image)).toMatchObject({ status: 0, err: '' });
  });
});

test.each([
  ['bogus', 'bogus'],
  ['^bogus', 'bogus'],
  ['Attributes', 'Attributes'],
  ['attributes,', ''],
  ['attributes, unwritten', ' unwritten'],
  ['^', ''],
  ['^^unwritten', '^unwritten'],
  ['unwritten^', 'unwritten^'],
])('mkfs -O %j is refused, and nothing is made', async (list, name) => {
  rmSync(image, { force: true });
  const refusal = `quarry: --features: there is no feature '${name}': known are attributes, unwritten, quota\n`;
  expect(await mkfs('-O', list)).toEqual({ status: 2, out: '', err: refusal });
  expect(await mkfs('-O', '^unwritten', '-O', list)).toEqual({ status: 2, out: '', err: refusal });
  expect(existsSync(image)).toBe(false);
});
