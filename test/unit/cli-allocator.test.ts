/**
 * The command and a user's allocator module, as far as no mount is needed: `mount --fake` loads it
 * and judges its options.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isErrorOf } from '../../src/cli/policy-host.ts';
import { fsError } from '../../src/fs/base/errors.ts';

const QUARRY = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'quarry-cli-allocator-'));
const image = join(folder, 'volume.img');
const directory = join(folder, 'mnt');
const BODY =
  'create: (space) => ({ allocate: (want) => space.findRun(0, space.blockCount, want.minimum, want.length) })';

interface Result {
  status: number | null;
  stdout: string;
  stderr: string;
}

function quarry(...args: string[]): Promise<Result> {
  return run(QUARRY, ...args);
}

function run(...args: string[]): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { timeout: 60_000 });
    const result: Result = { status: null, stdout: '', stderr: '' };
    child.stdout.on('data', (text) => {
      result.stdout += text;
    });
    child.stderr.on('data', (text) => {
      result.stderr += text;
    });
    child.on('error', reject);
    child.on('close', (status) => resolve({ ...result, status }));
  });
}

function fake(...args: string[]) {
  return quarry('mount', '--fake', ...args, image, directory);
}

function moduleOf(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

beforeAll(async () => {
  mkdirSync(directory);
  expect((await quarry('mkfs', '--size', '8M', image)).status).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.concurrent('options of an allocator', () => {
  const declaring = moduleOf(
    'declaring.mjs',
    `export default { name: 'mine', options: { stride: 'blocks between files' }, ${BODY} };`,
  );
  const silent = moduleOf('silent.mjs', `export default { name: 'mine', ${BODY} };`);

  test.each([
    [
      ['--allocator-options', 'windo=3'],
      "allocator 'goal-and-window' knows no option 'windo': there is window",
    ],
    [['-o', 'alloc.windo=3'], "allocator 'goal-and-window' knows no option 'windo'"],
    [
      ['--allocator', 'first-fit', '-o', 'alloc.window=3'],
      "'first-fit' knows no option 'window': it has none",
    ],
    [['-o', 'allocator=next-fit,alloc.x=3'], "'next-fit' knows no option 'x': it has none"],
    [['--allocator', declaring, '-o', 'alloc.strid=3'], 'there is stride (blocks between files)'],
    [['--allocator', declaring, '--allocator-options', '__proto__=3'], "knows no option '__proto__'"],
    [['-o', 'alloc.=3'], "mount option 'alloc.' needs a key and a value"],
    [['-o', 'alloc.window'], "mount option 'alloc.window' needs a key and a value"],
  ])('%j is refused in one line', async (words, says) => {
    const { status, stdout, stderr } = await fake(...words);
    expect(stderr).toContain(says);
    expect(stderr).toMatch(/^quarry: [^\n]+\n$/);
    expect(stdout).toBe('');
    expect(status).toBeGreaterThan(0);
  });

  test.each([
    [['--allocator-options', 'window=3']],
    [['-o', 'ro,alloc.window=3,nodev']],
    [['--allocator', declaring, '-o', 'alloc.stride=3']],
    [['--allocator', silent, '-o', 'alloc.anything=3']],
  ])('%j is taken', async (words) => {
    expect(await fake(...words)).toMatchObject({ status: 0, stderr: '' });
  });
});

describe.concurrent('a module', () => {
  test('of TypeScript loads, and what it imports', async () => {
    moduleOf('part.ts', `export const name: string = 'typed' as const;`);
    const file = moduleOf('typed.ts', `import { name } from './part.ts'; export default { name, ${BODY} };`);
    expect(await fake('--allocator', file)).toMatchObject({ status: 0, stderr: '' });
  });

  test('of TypeScript is refused with advice where nothing strips its types', async () => {
    const file = moduleOf('types.ts', `const name: string = 'types'; export default { name, ${BODY} };`);
    // The program without what is installed beside it.
    const alone = join(folder, 'alone');
    cpSync(fileURLToPath(new URL('../../dist/alloc', import.meta.url)), join(alone, 'alloc'), {
      recursive: true,
    });
    writeFileSync(join(alone, 'package.json'), '{ "type": "module" }');
    const program = `import { loadAllocator } from '${join(alone, 'alloc/registry.js')}';
      console.log(await loadAllocator('${file}').then(({ name }) => name, ({ message }) => message));`;
    const { stdout } = await run('--input-type=module', '-e', program);
    if (Reflect.get(process.features, 'typescript')) expect(stdout).toBe('types\n');
    else
      expect(stdout).toMatch(
        /types\.ts cannot be loaded: Node \S+ does not [^\n]*'npm install @swc[^\n]*\n$/,
      );
  });

  test('outside of every project finds quarryfs', async () => {
    const file = moduleOf(
      'outside.mjs',
      `import { defineAllocator } from 'quarryfs/alloc'; export default defineAllocator({ name: 'outside', ${BODY} });`,
    );
    expect(await fake('--allocator', file)).toMatchObject({ status: 0, stderr: '' });
  });

  test.each([
    ['exits.mjs', 'process.exit(0);', 'process.exit() is not for an allocator to call'],
    ['aborts.mjs', 'process.abort();', 'process.abort() is not for an allocator to call'],
    ['kills.mjs', 'process.kill(process.pid);', 'process.kill() of the daemon is not for an allocator'],
    ['leaves.mjs', "process.chdir('/tmp');", 'process.chdir() is not for an allocator'],
    ['waits.mjs', 'await new Promise(() => {});', 'does not finish loading'],
    ['throws.mjs', "throw 'nothing of an error';", 'cannot be loaded: nothing of an error'],
    ['late.mjs', "\n\nthrow new Error('too late');", 'too late (FOLDER/late.mjs:3)'],
    ['halved.mjs', 'const one = 1;\nexport default {', 'Unexpected end of input (FOLDER/halved.mjs:2)'],
    ['halved.ts', 'const one: number = 1;\nexport default {\n  one,', '(FOLDER/halved.ts:3)'],
    [
      'enum.ts',
      'const one: number = 1;\nenum Two { Three }\n',
      'enum is not supported in strip-only mode (FOLDER/enum.ts:2)',
    ],
    [
      'getter.mjs',
      "export default { create() {}, get name() { throw new Error('no'); } };",
      'cannot be read: no',
    ],
    ['escapes.mjs', "export default { name: '\\u001b[2J', create() {} };", 'printable characters'],
  ])('%s is refused in one line', async (name, text, says) => {
    const file = moduleOf(name, text);
    const { status, stdout, stderr } = await fake('--allocator', file);
    expect(stderr).toContain(says.replace('FOLDER', folder));
    expect(stderr).toContain(file);
    expect(stderr).toMatch(/^quarry: [^\n]+\n$/);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  });

  test('that computes on while it is loaded is given up', async () => {
    const file = moduleOf('spins.mjs', 'for (;;) {}');
    const { status, stderr } = await fake('--allocator', file);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^quarry: [^\n]*spins\.mjs computes without end while it is loaded[^\n]*\n$/);
  });
});

describe('an error that nobody caught', () => {
  const file = join(folder, 'mine.mjs');
  const own = fileURLToPath(new URL('../../src/fs/volume.ts', import.meta.url));

  function withStack(...frames: string[]): Error {
    return Object.assign(new Error('x'), {
      stack: ['Error: x', ...frames.map((at) => `    at ${at}`)].join('\n'),
    });
  }

  test.each([
    ['from its file', withStack(`f (file://${file}:1:2)`)],
    ['from a file beside it', withStack(`f (${folder}/lib/other.cjs:1:2)`)],
    ['from the program, called by it', withStack(`g (file://${own}:1:2)`, `f (file://${file}:1:2)`)],
    ['from nothing but Node', withStack('emit (node:events:1:2)')],
    ['that is no Error', 'text'],
    ['that is undefined', undefined],
    [
      'that bites',
      new Proxy(
        {},
        {
          getPrototypeOf: () => {
            throw new Error('bite');
          },
        },
      ),
    ],
  ])("%s is the module's", (_, thrown) => {
    expect(isErrorOf(file, thrown)).toBe(true);
  });

  test.each([
    ['from the program', withStack(`g (file://${own}:1:2)`, 'h (node:internal/timers:1:2)')],
    ['that is an errno', fsError('EIO')],
  ])('%s is ours', (_, thrown) => {
    expect(isErrorOf(file, thrown)).toBe(false);
  });
});
