/** Block traces and the history of a repository as workloads. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabOperation } from '../../src/lab/operation.ts';
import { contentOf, readGitHistory } from '../../src/lab/workloads/git-history.ts';
import { loadWorkload } from '../../src/lab/workloads/registry.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { isMissing } from '../missing.ts';

const QUARRY = join(fileURLToPath(new URL('../..', import.meta.url)), 'dist/cli/main.js');
const MIB = 2 ** 20;
const folder = mkdtempSync(join(tmpdir(), 'quarry-lab-traces-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

async function operationsOf(name: string, capacityBytes = 1024 * MIB): Promise<(LabOperation | 'filled')[]> {
  const place = { random: new SeededRandom(1), capacityBytes, fullness: 0.8, blockBytes: 4096 };
  return [...(await loadWorkload(name)).operations(place)];
}

/** What follows the filling, without what only makes writes go out. */
async function tracedBy(name: string): Promise<(LabOperation | 'filled')[]> {
  const operations = await operationsOf(name);
  const rest = operations.slice(operations.indexOf('filled') + 1);
  return rest.filter((operation) => operation === 'filled' || operation.kind !== 'close');
}

const BLKPARSE = `  8,0    3       11     0.009507758   697  Q   W 223490 + 8 [kjournald]
  8,0    3       12     0.010000000   697  C   W 223490 + 8 [0]
  8,0    1       13     0.500000000   697  C   R 999999 + 8 [0]
  8,0    1       14     0.750000000   697  C  WS 4194304 + 16 [0]
  8,16   1        1     1.000000000     9  C FWS 2048 + 1 [0]
  8,0    1       15     1.100000000   697  C  DW 1 + 2048 [0]
  8,0    1       15     1.100000000   697  C   N 0 [0]
CPU0 (8,0):
 Reads Queued:           1,        4KiB\t Writes Queued:           3,       12KiB
`;

describe('a text of blkparse', () => {
  test('is writes to a file for each disk, in parts that the trace writes', async () => {
    const file = write('one.blkparse', BLKPARSE);
    const filling = (await operationsOf(file)).filter((operation) => operation !== 'filled');
    expect(filling.filter(({ kind }) => kind === 'create')).toHaveLength(2);
    expect(await tracedBy(file)).toEqual([
      { kind: 'write', file: 1, offsetBytes: (223_490 * 512) % MIB, lengthBytes: 4096 },
      { kind: 'wait', seconds: 0.49 },
      { kind: 'wait', seconds: 0.25 },
      { kind: 'write', file: 1, offsetBytes: MIB, lengthBytes: 8192 },
      { kind: 'wait', seconds: 0.25 },
      { kind: 'write', file: 2, offsetBytes: 0, lengthBytes: 512 },
      { kind: 'sync', file: 2 },
      { kind: 'wait', seconds: expect.closeTo(0.1, 9) },
    ]);
    const { sizeBytes, churnBytes, content } = await loadWorkload(file);
    expect([sizeBytes, churnBytes]).toEqual([Math.ceil((3 * MIB) / 0.8), 4096 + 8192 + 512]);
    expect(content).toMatch(/^[0-9a-f]{64}$/);
  });

  test('without completions is taken as it was queued', async () => {
    const file = write('queued.blkparse', '8,0 0 1 0.5 7 Q W 8 + 8 [x]\n8,0 0 1 0.5 7 G W 8 + 8 [x]\n');
    expect(await tracedBy(file)).toEqual([{ kind: 'write', file: 1, offsetBytes: 4096, lengthBytes: 4096 }]);
  });
});

describe('a trace of MSR Cambridge', () => {
  const CSV = `128166372003061629,usr,0,Write,10659131392,512,331
128166372013061629,usr,0,Read,1,512,331
128166372023061629,usr,0,Write,${10 * MIB - 4096},8192,331
128166372023061629,usr,1,Write,0,${3 * MIB},331
`;

  test('is writes in its order and at its times', async () => {
    const file = write('usr.csv', CSV);
    expect(await tracedBy(file)).toEqual([
      { kind: 'write', file: 1, offsetBytes: 2 * MIB + (10_659_131_392 % MIB), lengthBytes: 512 },
      { kind: 'wait', seconds: expect.closeTo(1, 4) },
      { kind: 'wait', seconds: expect.closeTo(1, 4) },
      { kind: 'write', file: 1, offsetBytes: MIB - 4096, lengthBytes: 8192 },
      ...[0, 1, 2].map((at) => ({ kind: 'write', file: 2, offsetBytes: at * MIB, lengthBytes: MIB })),
    ]);
  });

  test('that does not fit says which size it needs', async () => {
    const file = write('small.csv', CSV);
    await expect(operationsOf(file, 5 * MIB)).rejects.toThrow('takes 6 MiB: give a larger --size');
  });

  test.each([
    ['another table', 'a,b,c\n1,2,3\n', /line 1 is none of an MSR/],
    ['a line cut off', `${CSV}12816637`, /line 5 is none of an MSR/],
    ['nothing written', '128166372013061629,usr,0,Read,1,512,331\n', /there is no write/],
    ['bytes', `${'\0'.repeat(100_000)}`, /no text of a block trace/],
  ])('%s is refused in one line', async (_, text, message) => {
    const file = write('bad.csv', text);
    await expect(loadWorkload(file)).rejects.toThrow(message);
    await expect(loadWorkload(join(folder, 'none.csv'))).rejects.toThrow(/cannot be read: ENOENT/);
  });
});

describe.skipIf(isMissing('git'))('the history of a repository', () => {
  const repository = join(folder, 'repository');
  const git = (...words: string[]) =>
    execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@y', ...words], {
      cwd: repository,
      env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null' },
      encoding: 'utf8',
      stdio: 'pipe',
    });
  const put = (name: string, bytes: number) =>
    writeFileSync(join(repository, name), Buffer.alloc(bytes, name));
  const commit = (message: string) => git('commit', '-q', '--allow-empty', '-a', '-m', message);

  beforeAll(() => {
    mkdirSync(join(repository, 'deep/er'), { recursive: true });
    git('init', '-q', '-b', 'trunk');
    put('one', 5000);
    put('deep/er/two', 3_000_000);
    git('add', '.');
    commit('first');
    git('checkout', '-q', '-b', 'side');
    put('side', 77);
    git('add', '.');
    commit('side');
    put('side', 78);
    commit('again');
    git('checkout', '-q', 'trunk');
    put('one', 6000);
    commit('second');
    git('merge', '-q', '-m', 'merge', 'side');
    commit('nothing');
    git('rm', '-q', 'one');
    put('new\nline', 10);
    symlinkSync('one', join(repository, 'link'));
    git('add', '.');
    commit('last');
  });

  test('is pulled commit by commit, and ends with the tree of HEAD', async () => {
    const operations = await operationsOf(`git?repo=${repository}`);
    const sizes = new Map<number, number>();
    const directories = new Map<number, number>();
    let pulls = 0;
    for (const operation of operations) {
      if (operation === 'filled') expect(pulls).toBe(0);
      else if (operation.kind === 'create') {
        sizes.set(operation.file, 0);
        directories.set(operation.file, operation.directory);
      } else if (operation.kind === 'write')
        sizes.set(operation.file, operation.offsetBytes + operation.lengthBytes);
      else if (operation.kind === 'remove') expect(sizes.delete(operation.file)).toBe(true);
      else if (operation.kind === 'wait') pulls++;
    }
    expect(pulls).toBe(Number(git('rev-list', '--first-parent', '--count', 'HEAD')));
    const packs = [...sizes].filter(([file]) => directories.get(file) === 1);
    const files = [...sizes].filter(([file]) => directories.get(file) !== 1).map(([, size]) => size);
    expect(files.sort((one, other) => one - other)).toEqual([3, 10, 78, 3_000_000]);
    // One pull brought nothing.
    expect(packs).toHaveLength(4);
    const made = operations.filter(
      (operation) => operation !== 'filled' && operation.kind === 'makeDirectory',
    );
    expect(made).toEqual([
      { kind: 'makeDirectory', directory: 1, parent: 0 },
      { kind: 'makeDirectory', directory: 2, parent: 0 },
      { kind: 'makeDirectory', directory: 3, parent: 2 },
    ]);
  });

  test('is another with another HEAD', async () => {
    const before = await loadWorkload(`git?repo=${repository}`);
    expect(before.content).toMatch(/^[0-9a-f]{64}$/);
    expect((await loadWorkload(`git?repo=${repository}`)).content).toBe(before.content);
    put('one more', 5);
    git('add', '.');
    commit('more');
    const after = await loadWorkload(`git?repo=${repository}`);
    expect(after.content).not.toBe(before.content);
    expect(after.churnBytes).toBeGreaterThan(before.churnBytes ?? 0);
  });

  test('is another where its objects take other room', async () => {
    const before = await readGitHistory(repository);
    git('gc', '--quiet', '--aggressive', '--prune=now');
    const after = await readGitHistory(repository);
    expect(after.head).toBe(before.head);
    expect(contentOf(after)).not.toBe(contentOf(before));
    expect(contentOf(await readGitHistory(repository))).toBe(contentOf(after));
  });

  test('that there is not is refused in one line', async () => {
    await expect(loadWorkload('git?repo=/proc')).rejects.toThrow(
      /^\/proc is no repository that git can read: [^\n]+$/,
    );
    await expect(loadWorkload('git?repo=/nowhere')).rejects.toThrow(/^\/nowhere is no repository/);
  });

  test('is named by --repo', () => {
    const lab = (...words: string[]) =>
      execFileSync(process.execPath, [QUARRY, 'lab', 'run', '--seeds', '1', '--out', 'out', ...words], {
        cwd: folder,
        encoding: 'utf8',
        stdio: 'pipe',
      });
    const words = ['--repo', repository, '--policies', 'first-fit', '--samples', '2'];
    expect(lab('--workloads', 'git', ...words)).toContain(`git?repo=${repository}`);
    rmSync(join(folder, 'out'), { recursive: true });
    expect(() => lab('--workloads', 'mail', ...words)).toThrow('--repo is for the workload git');
    expect(existsSync(join(folder, 'out'))).toBe(false);
  });
});
