/** `quarry lab run` as somebody uses it: results in files, the same twice, stopped and gone on with. */
import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const QUARRY = join(ROOT, 'dist/cli/main.js');
const folder = mkdtempSync(join(tmpdir(), 'quarry-lab-run-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Result {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function lab(...words: string[]): Result {
  try {
    const stdout = execFileSync(process.execPath, [QUARRY, 'lab', 'run', ...words], {
      cwd: folder,
      encoding: 'utf8',
      stdio: 'pipe',
      timeout: 100_000,
    });
    return { status: 0, stdout, stderr: '' };
  } catch (thrown) {
    const { status, stdout, stderr } = thrown as Result;
    return { status, stdout, stderr };
  }
}

const SMALL = ['--size', '32M', '--workloads', 'web', '--churn', '0.2', '--samples', '1', '--seeds', '2'];

const read = (...parts: string[]) => readFileSync(join(folder, ...parts), 'utf8');

describe('a run', () => {
  test('ranks policies in a table and in files, the same twice', () => {
    const policies = ['--policies', 'goal-and-window,ffs-groups?realloc=on,first-fit'];
    const first = lab(...SMALL, ...policies, '--out', 'one');
    expect(first.stderr).toBe('');
    expect(first.status).toBe(0);
    expect(first.stdout).toMatch(/^web +layout score +extents per file/m);
    expect(first.stdout).toMatch(/^ffs-groups\?realloc=on +0\.\d+/m);
    expect(readdirSync(join(folder, 'one', 'runs'))).toHaveLength(6);
    lab(...SMALL, ...policies, '--out', 'two', '--threads', '1');
    for (const file of ['results.json', 'samples.csv', 'ranking.csv']) {
      expect(read('two', file)).toBe(read('one', file));
    }
    const { hash, configuration, rankings, runs } = JSON.parse(read('one', 'results.json'));
    expect(hash).toMatch(/^[0-9a-f]{16}$/);
    expect(configuration).toMatchObject({ sizeBytes: 32 * 2 ** 20, seeds: [1, 2], churn: 0.2 });
    expect(runs).toHaveLength(6);
    expect(rankings[0].policies).toHaveLength(3);
    const [head, ...rows] = read('one', 'samples.csv').trim().split('\n');
    expect(rows).toHaveLength(12);
    for (const row of rows) expect(row.split(',')).toHaveLength(head?.split(',').length ?? 0);
  });

  test('goes on with --resume, and not with what was measured otherwise', () => {
    const words = [...SMALL, '--policies', 'first-fit,next-fit', '--out', 'three'];
    expect(lab(...words).status).toBe(0);
    const file = join(folder, 'three', 'runs', 'next-fit-web-2.json');
    rmSync(file);
    const kept = join(folder, 'three', 'runs', 'first-fit-web-1.json');
    const marked = read('three', 'runs', 'first-fit-web-1.json').replace('"operations": ', '"operations": 7');
    writeFileSync(kept, marked);
    const before = read('three', 'results.json');
    expect(lab(...words, '--resume').status).toBe(0);
    expect(existsSync(file)).toBe(true);
    expect(readFileSync(kept, 'utf8')).toBe(marked);
    expect(lab(...words, '--resume', '--fullness', '0.7').status).toBe(0);
    expect(readFileSync(kept, 'utf8')).not.toBe(marked);
    expect(lab(...words).status).toBe(0);
    expect(read('three', 'results.json')).toBe(before);
  });

  test('goes on with --resume where modules are the same, and with more of them', () => {
    const policy = (from: number) =>
      `export default { name: 'own', create: (space) => ({
        allocate: ({ length, minimum }) => space.findRun(${from}, space.blockCount, minimum, length) }) };`;
    const job = (bytes: number) =>
      `export default { name: 'job', says: '', source: '', *operations() {
        yield { kind: 'create', file: 1, directory: 0 };
        yield 'filled';
        for (;;) yield { kind: 'write', file: 1, offsetBytes: 0, lengthBytes: ${bytes} };
      } };`;
    writeFileSync(join(folder, 'own.js'), policy(0));
    writeFileSync(join(folder, 'job.mjs'), job(40_000));
    writeFileSync(join(folder, 'other.mjs'), job(50_000));
    const words = ['--size', '32M', '--churn', '0.1', '--samples', '1', '--seeds', '1', '--resume'];
    const policies = ['--policies', 'first-fit,./own.js', '--out', 'modules', '--threads', '1'];
    const runs = join(folder, 'modules', 'runs');
    /** How many of the runs that were there are there still. */
    const kept = (workloads: string) => {
      const names = existsSync(runs) ? readdirSync(runs) : [];
      const marked = names.map((name) => {
        const text = readFileSync(join(runs, name), 'utf8').replace('"operations": ', '"operations": 7');
        writeFileSync(join(runs, name), text);
        return { name, text };
      });
      expect(lab(...words, ...policies, '--workloads', workloads)).toMatchObject({ status: 0, stderr: '' });
      return marked.filter(({ name, text }) => readFileSync(join(runs, name), 'utf8') === text).length;
    };
    expect(kept('./job.mjs')).toBe(0);
    // One workload more throws nothing away.
    expect(kept('./job.mjs,./other.mjs')).toBe(2);
    writeFileSync(join(folder, 'own.js'), policy(1));
    expect(kept('./other.mjs,./job.mjs')).toBe(2);
    writeFileSync(join(folder, 'job.mjs'), job(60_000));
    expect(kept('./job.mjs,./other.mjs')).toBe(2);
  });

  test('ends at Ctrl-C with what is done, and says how to go on', async () => {
    const words = ['--size', '64M', '--workloads', 'web', '--churn', '1', '--samples', '1'];
    const child = spawn(
      process.execPath,
      [QUARRY, 'lab', 'run', ...words, '--seeds', '500', '--out', 'four'],
      {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    const runs = join(folder, 'four', 'runs');
    while (!existsSync(runs) || readdirSync(runs).filter((name) => name.endsWith('.json')).length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    child.kill('SIGINT');
    const status = await new Promise((resolve) => child.on('exit', resolve));
    expect(status).toBe(1);
    expect(stderr).toMatch(/^quarry: stopped after \d+ runs: the same command with --resume goes on\n$/);
    expect(JSON.parse(read('four', 'results.json')).runs.length).toBeGreaterThan(0);
  });

  test("takes somebody's policy and somebody's workload", () => {
    writeFileSync(
      join(folder, 'mine.js'),
      `export default { name: 'mine', create: (space) => ({
        allocate: ({ length, minimum }) =>
          space.smallestRun(length, 0, 4) && { start: space.smallestRun(length, 0, 4).start, length } ||
          space.findRun(0, space.blockCount, minimum, length),
      }) };`,
    );
    writeFileSync(
      join(folder, 'work.mjs'),
      `export default { name: 'work', says: 'one file', source: 'nobody', *operations() {
        yield { kind: 'create', file: 1, directory: 0 };
        yield { kind: 'write', file: 1, offsetBytes: 0, lengthBytes: 100000 };
        yield 'filled';
        for (;;) yield { kind: 'write', file: 1, offsetBytes: 0, lengthBytes: 100000 };
      } };`,
    );
    const words = ['--size', '32M', '--churn', '0.1', '--samples', '1', '--seeds', '1', '--out', 'five'];
    const { status, stdout, stderr } = lab('--policies', './mine.js', '--workloads', './work.mjs', ...words);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^\.\/mine\.js +1\*/m);
  });

  test('a policy that ends its thread fails alone, with its reason', () => {
    const reasons = {
      './ends.js': 'it ended its thread with status 3',
      './late.js': 'it ended its thread: too late',
    };
    const late = `(space) => {
      setTimeout(() => { throw new Error('too late'); });
      return { allocate: ({ length, minimum }) => space.findRun(0, space.blockCount, minimum, length) };
    }`;
    for (const [name, create] of [
      ['ends', '() => ({ allocate: () => process.exit(3) })'],
      ['late', late],
    ])
      writeFileSync(join(folder, `${name}.js`), `export default { name: '${name}', create: ${create} };`);
    const words = ['--size', '32M', '--workloads', 'video', '--churn', '0.1', '--samples', '1'];
    const policies = ['--policies', 'first-fit,./ends.js,./late.js,next-fit', '--seeds', '1'];
    const { status, stderr } = lab(...words, ...policies, '--threads', '1', '--out', 'deadly');
    const lines = Object.entries(reasons).map(
      ([policy, reason]) => `quarry: ${policy} on video, seed 1: ${reason}\n`,
    );
    expect({ status, stderr }).toEqual({ status: 1, stderr: lines.join('') });
    const { runs, failed } = JSON.parse(read('deadly', 'results.json'));
    expect(runs.map(({ policy }: { policy: string }) => policy)).toEqual(['first-fit', 'next-fit']);
    expect(failed.map(({ policy }: { policy: string }) => policy)).toEqual(Object.keys(reasons));
  });

  test('a directory that takes no results ends all of it, in a line', () => {
    mkdirSync(join(folder, 'taken'));
    writeFileSync(join(folder, 'taken', 'details'), '');
    const words = ['--size', '32M', '--workloads', 'video', '--churn', '0.1', '--samples', '1'];
    const { status, stdout, stderr } = lab(...words, '--threads', '2', '--out', 'taken');
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^quarry: taken: [^\n]*details'\n$/);
    expect(existsSync(join(folder, 'taken', 'results.json'))).toBe(false);
  });

  test('keeps the runs of two modules of one name apart', () => {
    for (const [directory, question] of [
      ['front', 'findRun(0, space.blockCount, minimum, length)'],
      ['back', 'longestRun(0, 4)'],
    ] as const) {
      mkdirSync(join(folder, directory));
      writeFileSync(
        join(folder, directory, 'mine.js'),
        `export default { name: 'mine', create: (space) => ({ allocate: ({ length, minimum }) => {
          const { start, length: found } = space.${question};
          return { start, length: Math.min(found, length) };
        } }) };`,
      );
    }
    const words = ['--size', '32M', '--workloads', 'web', '--churn', '0.1', '--samples', '1', '--seeds', '1'];
    const policies = ['--policies', './front/mine.js,./back/mine.js', '--out', 'six'];
    expect(lab(...words, ...policies).status).toBe(0);
    expect(readdirSync(join(folder, 'six', 'runs'))).toHaveLength(2);
    const before = read('six', 'results.json');
    expect(lab(...words, ...policies, '--resume').status).toBe(0);
    expect(read('six', 'results.json')).toBe(before);
  });
});

test('the workloads are told with their sources', () => {
  const { status, stdout } = lab('--list');
  expect(status).toBe(0);
  expect(stdout).toContain('FAST 2007');
  expect(stdout.split('\n').length).toBeGreaterThan(36);
});

test.each([
  [['--policies', 'perfect-fit'], "unknown allocator 'perfect-fit'"],
  [['--policies', 'first-fit?size=3'], "knows no option 'size'"],
  [['--policies', 'ffs-groups?realloc'], "'realloc' is not of the form key=value"],
  [['--workloads', 'nothing'], "unknown workload 'nothing'"],
  [['--workloads', './none.js'], 'workload module ./none.js does not exist'],
  [['--workloads', ','], '--workloads names nothing'],
  [['--size', '1M'], '--size 1M is not from 32M to 16T'],
  [['--size', 'much'], '--size much is not a size'],
  [['--fullness', '1.5'], '--fullness 1.5 is not a number from 0.05 to 0.98'],
  [['--seeds', '0'], '--seeds 0 is not a number from 1 to 1000'],
  [['--seeds', '1.5'], '--seeds 1.5 is not a whole number'],
  [['--samples', 'x'], '--samples x is not a number'],
])('%j is refused in one line', (words, says) => {
  const { status, stdout, stderr } = lab(...words, '--out', 'never');
  expect(stderr).toContain(says);
  expect(stderr).toMatch(/^quarry: [^\n]+\n$/);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(existsSync(join(folder, 'never'))).toBe(false);
});

test('the workload in docs/LAB.md is one', () => {
  const [, code] = /```js\n(.*?)```/s.exec(readFileSync(join(ROOT, 'docs/LAB.md'), 'utf8')) ?? [];
  writeFileSync(join(folder, 'two-logs.mjs'), code ?? '');
  const words = ['--size', '32M', '--churn', '0.1', '--samples', '1', '--seeds', '1', '--out', 'logs'];
  const { status, stdout, stderr } = lab(
    ...words,
    ...['--policies', 'first-fit,goal-and-window', '--workloads', './two-logs.mjs'],
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout).toMatch(/^goal-and-window +0\.\d+\*.*\nfirst-fit +0/m);
});
