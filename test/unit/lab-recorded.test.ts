/** Records as workloads of `quarry lab run`: what size they ask for, where they end, whose results they are. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { LabOperation } from '../../src/lab/operation.ts';
import { RecordReplay } from '../../src/lab/workloads/replay.ts';
import { RecordWriter } from '../../src/record/record-writer.ts';
import {
  emptyOperation,
  type RecordedOperation,
  RecordedType,
  RecordKind,
} from '../../src/record/recorded-operation.ts';

const QUARRY = join(fileURLToPath(new URL('../..', import.meta.url)), 'dist/cli/main.js');
const MIB = 2 ** 20;
const folder = mkdtempSync(join(tmpdir(), 'quarry-lab-recorded-'));
afterAll(() => rmSync(folder, { recursive: true }));

type Said = Partial<RecordedOperation> & Pick<RecordedOperation, 'kind'>;

async function record(name: string, operations: readonly Said[]): Promise<void> {
  const parts: Uint8Array[] = [];
  const target = { write: async (bytes: Uint8Array) => void parts.push(bytes), close: async () => {} };
  const description = {
    blockBytes: 4096,
    volumeBytes: 48 * MIB,
    usedBytes: 0,
    names: 'hashed' as const,
    began: '2026-01-01T00:00:00.000Z',
  };
  let now = 0;
  const writer = new RecordWriter(target, { description, now: () => now, failed: () => {} });
  for (const operation of operations) {
    now += 10_000;
    writer.add({ ...emptyOperation(), ...operation });
  }
  await writer.end();
  writeFileSync(join(folder, name), Buffer.concat(parts));
}

const { file: FILE, directory: DIRECTORY } = RecordedType;

/** Ten files exist; `count` others come, and every third goes. */
function* story(count: number): Generator<Said> {
  yield { kind: RecordKind.existing, inode: 2, parent: 1, type: DIRECTORY, links: 2 };
  for (let inode = 3; inode < 13; inode++)
    yield {
      kind: RecordKind.existing,
      inode,
      parent: 2,
      type: FILE,
      links: 1,
      sizeBytes: MIB,
      lengthBytes: MIB,
    };
  yield { kind: RecordKind.begun };
  for (let inode = 100; inode < 100 + count; inode++) {
    yield { kind: RecordKind.create, inode, parent: 2, type: FILE };
    for (let piece = 0; piece < 4; piece++)
      yield { kind: RecordKind.write, inode, offsetBytes: piece * 20_000, lengthBytes: 20_000 };
    if (inode % 3 === 0) yield { kind: RecordKind.unlink, inode: inode - 1, parent: 2 };
  }
}

interface Result {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function lab(...words: string[]): Result {
  const { status, stdout, stderr } = spawnSync(process.execPath, [QUARRY, 'lab', 'run', ...words], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { status: status ?? 137, stdout, stderr };
}

function resultsIn(out: string) {
  return JSON.parse(readFileSync(join(folder, out, 'results.json'), 'utf8'));
}

const WORDS = ['--policies', 'first-fit,next-fit', '--seeds', '1', '--samples', '3'];

describe('a record as a workload', () => {
  test('has the size of its volume, and is looked at from its beginning to its end', async () => {
    await record('story.quarry-record', [...story(90)]);
    const { status, stdout, stderr } = lab(...WORDS, '--workloads', './story.quarry-record', '--out', 'one');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/story\.quarry-record/);
    const { configuration, runs } = resultsIn('one');
    expect(configuration.sizeBytes).toBe(48 * MIB);
    expect(configuration.contents['./story.quarry-record']).toMatch(/^[0-9a-f]{64}$/);
    expect(runs).toHaveLength(2);
    for (const { samples } of runs) {
      expect(samples).toHaveLength(4);
      expect(samples.map(({ layout }: { layout: { files: number } }) => layout.files)).toEqual([
        10, 31, 51, 70,
      ]);
      expect(samples[3].simulatedSeconds).toBeGreaterThan(4.9);
      expect(samples[3].refusedOperations).toBe(0);
    }
  }, 60_000);

  test('of other content has other results, also with --resume', async () => {
    const words = [...WORDS, '--workloads', './other.quarry-record', '--out', 'two', '--resume'];
    await record('other.quarry-record', [...story(30)]);
    expect(lab(...words).status).toBe(0);
    const before = resultsIn('two');
    await record('other.quarry-record', [...story(60)]);
    expect(lab(...words).status).toBe(0);
    const after = resultsIn('two');
    expect(after.hash).toBe(before.hash);
    expect(after.configuration.contents).not.toEqual(before.configuration.contents);
    expect(after.runs[0].samples.at(-1).layout.files).toBe(50);
  }, 60_000);

  test('that was torn is replayed as far as it goes', async () => {
    await record('torn.quarry-record', [...story(3000)]);
    const { length } = readFileSync(join(folder, 'torn.quarry-record'));
    truncateSync(join(folder, 'torn.quarry-record'), length - 10);
    const words = [...WORDS, '--size', '256M', '--workloads', './torn.quarry-record', '--out', 'three'];
    const remark = 'quarry: ./torn.quarry-record was not ended in order: what is whole of it counts\n';
    expect(lab(...words)).toMatchObject({ status: 0, stderr: remark });
    const { configuration, runs } = resultsIn('three');
    expect(configuration.sizeBytes).toBe(256 * MIB);
    const { files } = runs[0].samples.at(-1).layout;
    expect(files).toBeGreaterThan(1000);
    expect(files).toBeLessThan(2010);
  }, 60_000);

  test('may have any name', async () => {
    await record('year', [...story(3)]);
    expect(lab(...WORDS, '--workloads', './year', '--out', 'named')).toMatchObject({ status: 0, stderr: '' });
  }, 60_000);

  test('that is none is refused in one line, and nothing is written', async () => {
    writeFileSync(join(folder, 'text.quarry-record'), 'a text\n');
    for (const [name, message] of [
      ['./text.quarry-record', 'no record of a mount'],
      ['./none.quarry-record', 'cannot be read'],
    ] as const) {
      const { status, stdout, stderr } = lab(...WORDS, '--workloads', name, '--out', 'none');
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(/^quarry: [^\n]+\n$/);
      expect(stderr).toContain(message);
    }
    expect(existsSync(join(folder, 'none'))).toBe(false);
  });

  test('with more in it than the volume takes says which size it needs', async () => {
    await record('large.quarry-record', [
      {
        kind: RecordKind.existing,
        inode: 9,
        parent: 1,
        type: FILE,
        links: 1,
        sizeBytes: 2 ** 30,
        lengthBytes: 2 ** 30,
      },
      { kind: RecordKind.begun },
    ]);
    const { status, stderr } = lab(...WORDS, '--workloads', './large.quarry-record', '--out', 'four');
    expect(status).toBe(1);
    expect(stderr).toMatch(/takes 1024 MiB: give a larger --size/);
  });
});

describe('quarry lab show', () => {
  const show = (...words: string[]): Result => {
    const result = spawnSync(process.execPath, [QUARRY, 'lab', 'show', ...words], {
      cwd: folder,
      encoding: 'utf8',
    });
    return { status: result.status ?? 137, stdout: result.stdout, stderr: result.stderr };
  };

  test('tells a record an operation a line, whatever its names are', async () => {
    const name = Buffer.from('two\nlines \x1b[31m \xff', 'latin1');
    await record('shown', [{ kind: RecordKind.create, inode: 70, parent: 1, type: FILE, name }, ...story(1)]);
    const { status, stdout, stderr } = show('./shown');
    expect([status, stderr]).toEqual([0, '']);
    const [head, first, second, ...rest] = stdout.trimEnd().split('\n');
    expect(head).toBe(
      '# from 2026-01-01T00:00:00.000Z on; 48 MiB in blocks of 4 KiB, 0 bytes used; names hashed',
    );
    expect(first).toMatch(/^0\.010000 create inode=70 in=1 type=file size=0 two\S*lines /);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there is none
    expect(first).not.toMatch(/[\x00-\x1f]/);
    expect(second).toMatch(/^0\.020000 existing inode=2 in=1 type=directory links=2 size=0 bytes=0/);
    expect(rest).toHaveLength(16);
    expect(rest.at(-1)).toBe('0.180000 write inode=100 at=60000 bytes=20000');
  });

  test('as JSON too, a line for each', async () => {
    await record('shown', [...story(1)]);
    const [head, ...operations] = show('./shown', '--json')
      .stdout.trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(head).toMatchObject({ volumeBytes: 48 * MIB, names: 'hashed' });
    expect(operations).toHaveLength(17);
    expect(operations.at(-1)).toEqual({
      kind: 'write',
      microseconds: 170_000,
      inode: 100,
      offsetBytes: 60_000,
      lengthBytes: 20_000,
    });
  });

  test('says what is no record, or torn', async () => {
    writeFileSync(join(folder, 'text'), 'a text\n');
    expect(show('./text')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'quarry: ./text: it is no record of a mount\n',
    });
    await record('torn', [...story(1)]);
    truncateSync(join(folder, 'torn'), readFileSync(join(folder, 'torn')).length - 1);
    expect(show('./torn').stderr).toBe(
      'quarry: ./torn was not ended in order: this is what is whole of it\n',
    );
  });
});

describe('the replay', () => {
  function replayed(...operations: Said[]): (LabOperation | 'filled')[] {
    const replay = new RecordReplay(4096);
    return operations.flatMap((operation) => [...replay.perform({ ...emptyOperation(), ...operation })]);
  }

  const made = (inode: number, parent = 1): Said => ({ kind: RecordKind.create, inode, parent, type: FILE });
  const directory = (inode: number, parent = 1): Said => ({
    kind: RecordKind.create,
    inode,
    parent,
    type: DIRECTORY,
  });

  test('moves a file over an empty one that it makes', () => {
    const rename: Said = { kind: RecordKind.rename, inode: 9, parent: 1, newParent: 5 };
    expect(replayed(directory(5), made(9), rename).slice(2)).toEqual([
      { kind: 'create', file: 2, directory: 1 },
      { kind: 'rename', file: 1, over: 2 },
    ]);
  });

  test('removes a file with its last name', () => {
    const unlink: Said = { kind: RecordKind.unlink, inode: 9, parent: 1 };
    const link: Said = { kind: RecordKind.link, inode: 9, parent: 1 };
    expect(replayed(made(9), link, unlink)).toHaveLength(1);
    expect(replayed(made(9), link, unlink, unlink).at(-1)).toEqual({ kind: 'remove', file: 1 });
  });

  test('keeps a directory for as long as something is in it here', () => {
    const moved: Said = { kind: RecordKind.rename, inode: 6, parent: 5, newParent: 1 };
    const removed = (inode: number): Said => ({ kind: RecordKind.removeDirectory, inode, parent: 1 });
    const inner = [directory(5), directory(6, 5), moved, removed(5)];
    expect(replayed(...inner)).toHaveLength(2);
    expect(replayed(...inner, removed(6)).slice(2)).toEqual([
      { kind: 'removeDirectory', directory: 2 },
      { kind: 'removeDirectory', directory: 1 },
    ]);
  });

  test('gives a sparse file the blocks that it had, and its length', () => {
    const sizes = { sizeBytes: 50 * MIB, lengthBytes: 8192 };
    const sparse: Said = { kind: RecordKind.existing, inode: 9, parent: 1, type: FILE, links: 1, ...sizes };
    expect(replayed(sparse).slice(1)).toEqual([
      { kind: 'write', file: 1, offsetBytes: 0, lengthBytes: 8192 },
      { kind: 'close', file: 1 },
      { kind: 'truncate', file: 1, sizeBytes: 50 * MIB },
    ]);
  });

  test('passes over what it does not know', () => {
    const kinds = [RecordKind.link, RecordKind.unlink, RecordKind.removeDirectory, RecordKind.rename];
    const others = [RecordKind.write, RecordKind.truncate, RecordKind.sync];
    for (const kind of [...kinds, ...others])
      expect(replayed({ kind, inode: 77, parent: 78, newParent: 79, replaced: 80, lengthBytes: 5 })).toEqual(
        [],
      );
    expect(replayed(made(9, 55))).toEqual([]);
  });

  test('waits as long as the mount did', () => {
    const later: Said = { ...made(8), microseconds: 2_500_000 };
    expect(replayed(made(9), later)[1]).toEqual({ kind: 'wait', seconds: 2.5 });
  });
});
