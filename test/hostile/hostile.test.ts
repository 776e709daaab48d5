/**
 * Hostile images in `npm test`: a thousand of them from a fixed seed, and every image that found a
 * bug once. They are tried in child processes by the runner, as `npm run hostile` does, so that one
 * that hangs or dies is told with the command that repeats it.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { BASE_NAMES, baseNamed } from './bases.ts';
import { fingerprint } from './image.ts';
import { REGRESSIONS } from './regressions.ts';
import { makeImage, parseSpecification, specificationOf, textOf } from './specification.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SEED = 1;
const COUNT = 1000;

/** Runs `npm run hostile` with these arguments. */
function hostile(...args: string[]): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['scripts/hostile.mjs', ...args], { cwd: ROOT });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data: Buffer) => {
        output += data.toString();
      });
    }
    child.on('close', (status) => resolve({ status, output }));
  });
}

describe('hostile images', () => {
  test(`none of ${COUNT}, nor any that once did, brings the volume or the checker down`, async () => {
    const { status, output } = await hostile('--regressions', '--seed', `${SEED}`, '--count', `${COUNT}`);
    expect(status, output).toBe(0);
    expect(output).toMatch(new RegExp(`^hostile: ${COUNT + REGRESSIONS.length} images .* 0 failures$`, 'm'));
  }, 300_000);

  test('the runner tells of images that hang, end their process or are none, and goes on', async () => {
    const given = ['!hang', '!die', 'no-such-base', 'small-1k'];
    const images = given.flatMap((image) => ['--image', image]);
    const { status, output } = await hostile('--built', '--patience', '2', ...images);
    expect(status, output).toBe(1);
    for (const image of given.slice(0, -1))
      expect(output).toContain(`repeat: npm run hostile -- --image ${image}\n`);
    expect(output).toMatch(/^1 × hang$/m);
    expect(output).toMatch(/× the process died: SIGABRT$/m);
    expect(output).toMatch(/^1 × no image: no base 'no-such-base'/m);
    expect(output).toMatch(/^hostile: 4 images as given, .* 3 failures$/m);
  }, 120_000);

  test('the same text gives the same image, and the same seed the same text', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const text = textOf(specificationOf(seed));
      expect(textOf(parseSpecification(text))).toBe(text);
      const [one, two] = await Promise.all([
        makeImage(parseSpecification(text)),
        makeImage(specificationOf(seed)),
      ]);
      expect(fingerprint(one.bytes), text).toBe(fingerprint(two.bytes));
    }
  });

  test('the bases have what the mutations want to spoil', async () => {
    const bases = await Promise.all(BASE_NAMES.map(baseNamed));
    const all = bases.map(({ index }) => index);
    expect(Math.max(...all.flatMap(({ nodes }) => nodes.map(({ level }) => level)))).toBeGreaterThanOrEqual(
      2,
    );
    expect(all.every(({ inodes, entries }) => inodes.length > 3 && entries.length > 3)).toBe(true);
    expect(all.filter(({ journal }) => journal.length > 20).length).toBeGreaterThan(4);
    expect(bases.some(({ layout }) => layout.summaryLevels > 1)).toBe(true);
  });
});
