/**
 * `quarry lab` as somebody uses it: in an empty directory, without a project. What no process can
 * try on itself is here too: policies that never return, or end their process.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const QUARRY = join(ROOT, 'dist/cli/main.js');
const folder = mkdtempSync(join(tmpdir(), 'quarry-cli-lab-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Result {
  status: number | null;
  stdout: string;
  stderr: string;
}

function start(directory: string, ...args: string[]): { child: ChildProcess; ended: Promise<Result> } {
  const child = spawn(process.execPath, [QUARRY, 'lab', ...args], { cwd: directory, timeout: 100_000 });
  const result: Result = { status: null, stdout: '', stderr: '' };
  child.stdout.on('data', (text) => {
    result.stdout += text;
  });
  child.stderr.on('data', (text) => {
    result.stderr += text;
  });
  const ended = new Promise<Result>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ ...result, status }));
  });
  return { child, ended };
}

function lab(directory: string, ...args: string[]): Promise<Result> {
  return start(directory, ...args).ended;
}

function emptyDirectory(name: string): string {
  const directory = join(folder, name);
  mkdirSync(directory);
  return directory;
}

/** A module with a policy that is right but for what stands in `allocate` before the answer. */
function moduleOf(name: string, misdeed: string): string {
  const file = join(folder, name);
  writeFileSync(
    file,
    `export default { name: 'wrong', create(space) {
      let asked = 0;
      const kept = new Map();
      return { allocate({ inode, minimum, length }) {
        asked++;
        ${misdeed}
        return space.findRun(0, space.blockCount, minimum, length);
      } };
    } };`,
  );
  return file;
}

describe('lab new', () => {
  test.each([
    [[], 'mine.ts'],
    [['--js'], 'mine.js'],
  ])('%j writes %s, which verify finds right', async (options, file) => {
    const directory = emptyDirectory(`new${options.length}`);
    const made = await lab(directory, 'new', 'mine', ...options);
    expect(made).toEqual({
      status: 0,
      stdout: `${file}: an allocator that works; try it with 'quarry lab verify ./${file}'\n`,
      stderr: '',
    });
    expect(readdirSync(directory)).toEqual([file]);
    const { status, stdout, stderr } = await lab(
      directory,
      'verify',
      `./${file}`,
      '--seed',
      '7',
      '--rounds',
      '20',
    );
    expect(stdout).toMatch(/^\.\/mine\.[jt]s: 14 rules, \d+ operations, seed 7: every rule holds\n$/);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });

    const text = readFileSync(join(directory, file), 'utf8');
    const again = await lab(directory, 'new', 'mine', ...options);
    expect(again).toMatchObject({ status: 1, stdout: '' });
    expect(again.stderr).toMatch(
      new RegExp(`^quarry: ${file} is there already, and is not overwritten[^\\n]*\\n$`),
    );
    expect(readFileSync(join(directory, file), 'utf8')).toBe(text);
  });

  test('JavaScript loads below the package.json of npm init', async () => {
    const directory = emptyDirectory('initialized');
    writeFileSync(join(directory, 'package.json'), '{ "name": "x", "version": "1.0.0", "type": "commonjs" }');
    for (const [options, file] of [
      [[], 'mine.ts'],
      [['--js'], 'mine.js'],
    ] as const) {
      await lab(directory, 'new', 'mine', ...options);
      expect(await lab(directory, 'verify', file, '--rounds', '1')).toMatchObject({ status: 0, stderr: '' });
    }
  });

  test('the module compiles under the strictest TypeScript, where quarryfs is installed', async () => {
    const directory = emptyDirectory('typed');
    mkdirSync(join(directory, 'node_modules'));
    symlinkSync(ROOT, join(directory, 'node_modules/quarryfs'));
    writeFileSync(join(directory, 'package.json'), '{ "type": "module" }');
    await lab(directory, 'new', 'mine');
    const options = ['strict', 'noUncheckedIndexedAccess', 'exactOptionalPropertyTypes', 'noUnusedLocals'];
    options.push('noUnusedParameters', 'noPropertyAccessFromIndexSignature', 'verbatimModuleSyntax');
    options.push('erasableSyntaxOnly', 'noEmit');
    const words = [...options.map((option) => `--${option}`), '--module', 'nodenext', '--target', 'es2022'];
    execFileSync(join(ROOT, 'node_modules/.bin/tsc'), [...words, 'mine.ts'], {
      cwd: directory,
      stdio: 'inherit',
    });
  });

  test.each([
    [['new'], 2, "missing required argument 'name'"],
    [['new', 'no/where/mine'], 1, 'its folder does not exist'],
    [['new', 'a b'], 2, "'a b' is no name for an allocator"],
    [['new', ''], 2, "'' is no name"],
    [['new', 'mine.ts', '--js'], 2, 'a name of TypeScript'],
    [['nonsense'], 2, "unknown command 'nonsense'; see 'quarry lab --help'"],
    [['verify'], 2, "see 'quarry lab verify --help'"],
    [['verify', './nowhere.ts'], 2, 'allocator module ./nowhere.ts does not exist'],
    [['verify', 'perfect-fit'], 2, "unknown allocator 'perfect-fit': use goal-and-window"],
    [['verify', 'first-fit', '--seed', '-1'], 2, '--seed takes a whole number from 0'],
    [['verify', 'first-fit', '--rounds', '0'], 2, '--rounds takes a whole number from 1'],
    [['verify', 'first-fit', '--minutes', 'x'], 2, '--minutes takes a number above 0'],
    [['verify', 'first-fit', '--rounds', '1', '--minutes', '1'], 2, 'give one of them'],
  ])('%j is refused in one line', async (words, status, says) => {
    const result = await lab(folder, ...words);
    expect(result.stderr).toContain(says);
    expect(result.stderr).toMatch(/^quarry: [^\n]+\n$/);
    expect(result).toMatchObject({ status, stdout: '' });
  });
});

describe.concurrent('lab verify', () => {
  test('gives the policy its options, and repeats them', async () => {
    const directory = emptyDirectory('options');
    const text = `export default {
      name: 'opted',
      options: { refuse: 'refuses everything' },
      create: (space, { refuse }) => ({
        allocate: ({ minimum, length }) =>
          refuse === 'yes' ? undefined : space.findRun(0, space.blockCount, minimum, length),
      }),
    };`;
    writeFileSync(join(directory, 'opted.mjs'), text);
    const kept = await lab(directory, 'verify', './opted.mjs?refuse=no', '--rounds', '1', '--seed', '3');
    expect(kept).toMatchObject({ status: 0, stderr: '' });
    const broken = await lab(directory, 'verify', './opted.mjs?refuse=yes', '--rounds', '1');
    expect(broken.status).toBe(1);
    expect(broken.stdout).toContain("breaks the rule 'finds-room'");
    expect(broken.stdout).toContain("repeat with: quarry lab verify './opted.mjs?refuse=yes'");
    const unknown = await lab(directory, 'verify', './opted.mjs?retry=1', '--rounds', '1');
    expect(unknown).toMatchObject({ status: 2, stdout: '' });
    expect(unknown.stderr).toContain("knows no option 'retry': there is refuse (refuses everything)");
    const formless = await lab(directory, 'verify', 'first-fit?window', '--rounds', '1');
    expect(formless).toMatchObject({ status: 2, stdout: '' });
    expect(formless.stderr).toContain("'window' is not of the form key=value");
  });

  test('tells a rule that is broken, the shortest way to it, and how to repeat it', async () => {
    const directory = emptyDirectory('short');
    const text = `import { defineAllocator } from 'quarryfs/alloc';
      export default defineAllocator({
        name: 'short',
        create: (space) => ({ allocate: ({ length }) => space.findRun(0, space.blockCount, length, length) }),
      });`;
    writeFileSync(join(directory, 'short.ts'), text);
    const { status, stdout, stderr } = await lab(
      directory,
      'verify',
      './short.ts',
      '--seed',
      '3',
      '--rounds',
      '5',
    );
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
    expect(stdout).toContain("allocator 'short' breaks the rule 'finds-room'");
    expect(stdout).toMatch(/ {2}asked: .*\n {2}answered: .*undefined.*\n {2}wrong: .*are free.*\n/);
    expect(stdout.match(/^ +\d+\. .*$/gm)).toHaveLength(1);
    const [, repeat = ''] = /^repeat with: quarry lab (.*)$/m.exec(stdout) ?? [];
    expect(await lab(directory, ...repeat.split(' '))).toMatchObject({ status: 1, stderr: '' });

    const { stdout: json } = await lab(directory, 'verify', './short.ts', '--rounds', '5', '--json');
    expect(JSON.parse(json)).toMatchObject({
      allocator: 'short',
      holds: false,
      broken: { rule: 'finds-room', steps: [{ does: expect.stringContaining('block') }] },
    });
  });

  test.each([
    ['spins.mjs', 'if (asked > 3) for (;;);', 'returns', 'allocate() did not return within 3 s'],
    [
      'waits.mjs',
      'if (asked > 3) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);',
      'returns',
      'allocate() did not return within 3 s',
    ],
    [
      'later.mjs',
      'if (asked === 3) Promise.resolve().then(() => { for (;;); });',
      'outside',
      'what it left for later does not end',
    ],
    ['exits.mjs', 'if (asked > 3) process.exit(3);', 'outside', 'it ended its process with status 3'],
    [
      'aborts.mjs',
      "if (asked > 3) process.kill(process.pid, 'SIGKILL');",
      'outside',
      'ended its process by SIGKILL',
    ],
    [
      'rejects.mjs',
      "if (asked > 3) Promise.reject(new Error('unheard'));",
      'outside',
      'an error that nobody caught: unheard',
    ],
  ])('%s cannot hold it up', async (name, misdeed, rule, says) => {
    const { status, stdout } = await lab(
      folder,
      'verify',
      moduleOf(name, misdeed),
      '--seed',
      '1',
      '--rounds',
      '1',
    );
    expect(stdout).toContain(`breaks the rule '${rule}'`);
    expect(stdout).toContain(says);
    expect(stdout.match(/^ +\d+\. .*$/gm)?.length).toBeLessThanOrEqual(6);
    expect(status).toBe(1);
  });

  test('a module that never finishes loading is given up', async () => {
    writeFileSync(join(folder, 'loads.mjs'), 'for (;;) {}');
    const { status, stdout, stderr } = await lab(folder, 'verify', './loads.mjs');
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toBe('quarry: allocator module ./loads.mjs: does not finish loading\n');
  });

  test('what is kept for files that are gone is a warning', async () => {
    const file = moduleOf('keeps.mjs', 'kept.set(inode, asked);');
    const { status, stdout } = await lab(folder, 'verify', file, '--rounds', '1');
    expect(stdout).toMatch(/warning: it keeps about \d+ bytes for every file that is gone/);
    expect(status).toBe(0);
  });

  test('Ctrl-C ends it, and what it started', async () => {
    const file = moduleOf('right.mjs', "if (asked === 1) console.error('begun', process.pid);");
    const { child, ended } = start(folder, 'verify', file, '--minutes', '5');
    const begun = await new Promise<string>((resolve) =>
      child.stderr?.once('data', (text) => resolve(String(text))),
    );
    child.kill('SIGINT');
    const { status, stdout } = await ended;
    expect(status).toBe(130);
    expect(stdout).toMatch(
      /interrupted after \d+ operations? in \d+ histories, seed \d+: no rule was broken/,
    );
    expect(() => process.kill(Number(/begun (\d+)/.exec(begun)?.[1]), 0)).toThrow('ESRCH');
  });
});
