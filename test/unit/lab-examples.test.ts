/**
 * `quarryfs/lab`: the example of docs/LAB.md does what it says, and what makes no sense is refused
 * before anything is written.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { type ExperimentOptions, runExperiment, verifyAllocator, type Workload } from '../../src/lab/lab.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = join(ROOT, 'examples/lab');
const POLICY = join(ROOT, 'examples/allocators/emptiest-group.js');
const folder = mkdtempSync(join(tmpdir(), 'quarry-lab-'));

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the document shows every program of the folder, and no other', () => {
  const document = readFileSync(join(ROOT, 'docs/LAB.md'), 'utf8');
  const shown = [...document.matchAll(/^```js\n\/\/ examples\/lab\/(\S+)\n([\s\S]*?)^```$/gm)];
  expect(shown.map(([, name]) => name).sort()).toEqual(readdirSync(FOLDER).sort());
  for (const [, name, text] of shown) expect(text, name).toBe(readFileSync(join(FOLDER, `${name}`), 'utf8'));
});

test('first.js tries a policy and ranks it', async () => {
  const out = join(folder, 'first');
  const words = [join(FOLDER, 'first.js'), POLICY, out];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, words);
  expect(stderr).toBe('');
  const [verdict, ...ranks] = stdout.trimEnd().split('\n');
  expect(verdict).toBe('thousands of operations, and every rule holds');
  expect(ranks.map((line) => /^\d\. (\S+): \d\.\d\d extents per file \(/.exec(line)?.[1]).sort()).toEqual(
    [POLICY, 'first-fit'].sort(),
  );
  expect(readdirSync(out)).toEqual(expect.arrayContaining(['results.json', 'samples.csv', 'ranking.csv']));
});

test('synced.js: an fsync ahead of every close', async () => {
  const module = pathToFileURL(join(FOLDER, 'synced.js')).href;
  const { default: workload } = (await import(/* @vite-ignore */ module)) as { default: Workload };
  const { name, fullness } = workload;
  expect({ name, fullness }).toEqual({ name: 'files-synced', fullness: undefined });
  const kinds: string[] = [];
  const random = new SeededRandom(1);
  const place = { random, capacityBytes: 2 ** 26, fullness: 0.5, blockBytes: 4096 };
  for (const operation of workload.operations(place)) {
    if (operation === 'filled') break;
    kinds.push(operation.kind);
  }
  const closes = kinds.flatMap((kind, at) => (kind === 'close' ? [kinds[at - 1]] : []));
  expect(closes.length).toBeGreaterThan(100);
  expect(new Set(closes)).toEqual(new Set(['sync']));
  expect(kinds.filter((kind) => kind === 'sync')).toHaveLength(closes.length);
});

describe('refused, with nothing written', () => {
  const out = join(folder, 'refused');
  const fine = { policies: ['first-fit'], workloads: ['files'], out };
  test.each<[string, object, string, RegExp]>([
    ['an unknown option', { fulness: 0.5 }, 'ERR_INVALID_ARG_VALUE', /has no 'fulness'/],
    ['no policies', { policies: [] }, 'ERR_INVALID_ARG_TYPE', /"policies"/],
    ['a name that is none', { workloads: [7] }, 'ERR_INVALID_ARG_TYPE', /"workloads"/],
    ['no directory', { out: undefined }, 'ERR_INVALID_ARG_TYPE', /"out"/],
    ['too small a volume', { sizeBytes: 1024 }, 'ERR_OUT_OF_RANGE', /"sizeBytes"/],
    ['half a seed', { seeds: 1.5 }, 'ERR_OUT_OF_RANGE', /"seeds"/],
    ['text for a number', { churn: '5' }, 'ERR_INVALID_ARG_TYPE', /"churn"/],
  ])('%s', async (_what, wrong, code, says) => {
    const options = { ...fine, ...wrong } as ExperimentOptions;
    await expect(runExperiment(options)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(says),
    });
    expect(existsSync(out)).toBe(false);
  });

  test('what cannot be loaded', async () => {
    await expect(runExperiment({ ...fine, policies: ['ext4'] })).rejects.toThrow(
      /unknown allocator 'ext4'|no allocator/,
    );
    await expect(runExperiment({ ...fine, workloads: ['nothing'] })).rejects.toThrow(
      "unknown workload 'nothing'",
    );
    expect(existsSync(out)).toBe(false);
  });

  test('a module that is not there', async () => {
    // A policy is tried in a process of its own, which is a file of what was built.
    const script = `import { verifyAllocator } from 'quarryfs/lab';
      await verifyAllocator('./nothing.js').catch(({ name, message }) => console.log(name, message));`;
    const words = ['--input-type=module', '-e', script];
    const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: ROOT });
    expect(stdout).toMatch(/^AllocatorLoadError .*nothing\.js/);
  });

  test('both ways to say how long', async () => {
    const both = verifyAllocator('first-fit', { rounds: 1, milliseconds: 1 });
    await expect(both).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
  });
});

test('a signal ends an experiment, which says that it is not complete', async () => {
  const { isComplete, runs, failed } = await runExperiment({
    policies: ['first-fit'],
    workloads: ['files'],
    out: pathToFileURL(join(folder, 'stopped')),
    signal: AbortSignal.abort(),
  });
  expect({ isComplete, runs, failed }).toEqual({ isComplete: false, runs: [], failed: [] });
});
