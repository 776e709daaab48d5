/**
 * `quarry defrag` without a mount: questions and answers, batches, sums, and a volume that is opened
 * for it.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import firstFit from '../../src/alloc/first-fit.ts';
import { DefragRun, defragAnswerOf } from '../../src/cli/defrag-run.ts';
import { type DefragmentedFile, DefragTally, fileLine } from '../../src/cli/defrag-tally.ts';
import {
  type DefragAnswer,
  type DefragmentedPart,
  type DefragQuestion,
  defragmentFiles,
  MOST_FILES_ASKED,
  type MovableFiles,
  readDefragQuestion,
  worthTelling,
} from '../../src/cli/defragmenting.ts';
import { filesOfMount, filesOfVolume, type WalkedFile } from '../../src/cli/file-walk.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import { fsError } from '../../src/fs/base/errors.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';

const BLOCK_BYTES = 4096;
const SIZE_BYTES = 8 * 1024 * 1024;
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'quarry-defrag-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Two files in pieces, one of them with two names, and one that is fine. */
async function wovenVolume(): Promise<TestVolume> {
  const device = new MemoryDevice(SIZE_BYTES);
  await formatted(device, BLOCK_BYTES);
  const volume = await TestVolume.open(device, { allocator: firstFit });
  await volume.mkdir('/d');
  const files = [await volume.create('/d/a'), await volume.create('/b')];
  for (let i = 0; i < 50; i++)
    for (const file of files)
      await volume.write(file, i * BLOCK_BYTES, new Uint8Array(BLOCK_BYTES).fill(i + 1));
  await volume.link('/b', '/d/c');
  const fine = await volume.create('/fine');
  await volume.write(fine, 0, new Uint8Array(3 * BLOCK_BYTES).fill(1));
  return volume;
}

async function imageOf(volume: TestVolume, name: string): Promise<string> {
  await volume.volume.unmount();
  const image = join(folder, name);
  writeFileSync(image, (volume.device as MemoryDevice).peek(0, SIZE_BYTES));
  return image;
}

async function command(...words: string[]): Promise<{ status: number; out: string; err: string }> {
  const ran = { status: 0, out: '', err: '' };
  const out = (text: string) => {
    ran.out += text;
  };
  const err = (text: string) => {
    ran.err += text;
  };
  ran.status = await runCommandLine(words, { out, err, interactive: false });
  return ran;
}

describe('a volume that is not mounted', () => {
  test('for people, and for programs', async () => {
    const image = await imageOf(await wovenVolume(), 'people.img');
    const ran = await command('defrag', '-v', image);
    expect(ran).toMatchObject({ status: 0, err: '' });
    expect(ran.out).toBe(
      '/b: 50 pieces, now 1\n/d/a: 50 pieces, now 1\n' +
        'files:   3, 2 in more than one piece\nbetter:  2\npieces:  100, now 2\nmoved:   400 KiB\n',
    );
    expect((await command('defrag', image)).out).toBe('files:  3, none in more than one piece\n');
    expect((await command('frag', image, '--json')).out).toContain('"extents": 3');
    expect((await command('fsck', '-n', image)).status).toBe(0);
    const other = await imageOf(await wovenVolume(), 'programs.img');
    const found = JSON.parse((await command('defrag', '-v', '--json', other)).out);
    expect(found).toMatchObject({ names: [other], files: 3, fragmented: 2, better: 2, pieces: 100 });
    expect(found.each[0]).toEqual({
      path: '/b',
      inode: expect.any(Number),
      outcome: 'better',
      pieces: 50,
      piecesAfter: 1,
      movedBytes: 50 * BLOCK_BYTES,
    });
  });

  test('what it cannot do, in one line, and nothing is written', async () => {
    const image = await imageOf(await wovenVolume(), 'refused.img');
    const notOne = join(folder, 'not-one');
    writeFileSync(notOne, 'x'.repeat(8192));
    const before = readFileSync(image);
    const cases: [string[], number, RegExp][] = [
      [['-n', image], 2, /--dry-run: .*refused.img is not mounted; 'quarry frag' shows how it lies$/],
      [[notOne], 1, /not-one is not a Quarry volume/],
      [[image, join(folder, 'missing')], 1, /missing does not exist$/],
      [[folder], 1, /is not in a mount of Quarry/],
      [[], 2, /missing required argument 'place'/],
    ];
    for (const [words, status, line] of cases) {
      const ran = await command('defrag', ...words);
      expect([ran.status, ran.out]).toEqual([status, '']);
      expect(ran.err.trimEnd()).toMatch(line);
      expect(ran.err.trimEnd().split('\n')).toHaveLength(1);
    }
    expect(readFileSync(image).equals(before)).toBe(true);
  });
});

describe('for whom', () => {
  const ask = (inodes: number[], fromBytes = 0): DefragQuestion => ({ inodes, fromBytes, dryRun: false });

  test('files of others are left alone; what is gone, or no file, is nothing to tell', async () => {
    const { volume } = await wovenVolume();
    const own = await volume.run((tx) => volume.lookup(tx, 1, Buffer.from('b')));
    await volume.run((tx) => volume.changeAttributes(tx, own, { uid: 77 }));
    const all: number[] = [];
    for await (const { inode } of filesOfVolume(volume)) all.push(inode);
    const { parts, done } = await defragmentFiles(volume, ask([1, 999, ...all]), (uid) => uid === 77);
    expect(done).toBe(5);
    expect(parts.map(({ inode, outcome }) => [inode === own, outcome])).toEqual([
      // The root directory, as any that is not one's own.
      [false, 'refused'],
      [true, 'better'],
      [false, 'refused'],
      [false, 'refused'],
    ]);
    expect(await volume.countPieces(own)).toBe(1);
    expect(await defragmentFiles(volume, ask([1, 999]), () => true)).toEqual({
      parts: [],
      done: 2,
      resumeBytes: 0,
    });
    await volume.unmount();
  });

  test('an error is told of its file, and the next ones go on', async () => {
    const { volume } = await wovenVolume();
    let calls = 0;
    const failing: MovableFiles = {
      blockBytes: BLOCK_BYTES,
      run: volume.run.bind(volume),
      readAttributes: volume.readAttributes.bind(volume),
      countPieces: volume.countPieces.bind(volume),
      defragment: (request) => (calls++ === 0 ? Promise.reject(fsError('EIO')) : volume.defragment(request)),
    };
    const all: number[] = [];
    for await (const { inode } of filesOfVolume(volume)) all.push(inode);
    const { parts } = await defragmentFiles(failing, ask(all), () => true);
    expect(parts).toMatchObject([
      { outcome: 'failed', reason: 'EIO', pieces: 50, piecesAfter: null },
      { outcome: 'better', pieces: 50, piecesAfter: 1 },
    ]);
    // What concerns all of them ends it.
    const resting: MovableFiles = {
      ...failing,
      countPieces: () => Promise.resolve(2),
      defragment: () => Promise.reject(fsError('EROFS')),
    };
    await expect(defragmentFiles(resting, ask(all), () => true)).rejects.toMatchObject({ code: 'EROFS' });
    await volume.unmount();
  });

  test('questions that are none', () => {
    expect(readDefragQuestion('{"inodes":[3,4],"fromBytes":0}')).toEqual({
      inodes: [3, 4],
      fromBytes: 0,
      dryRun: false,
    });
    for (const payload of [
      '{}',
      '{"inodes":[3.5],"fromBytes":0}',
      '{"inodes":[-1],"fromBytes":0}',
      '{"inodes":[1],"fromBytes":-1}',
      '{"inodes":"1","fromBytes":0}',
      JSON.stringify({ inodes: new Array(MOST_FILES_ASKED + 1).fill(1), fromBytes: 0 }),
    ])
      expect(() => readDefragQuestion(payload), payload).toThrow('does not understand');
    expect(() => readDefragQuestion('nonsense')).toThrow();
  });

  test('answers that are none', () => {
    const part = {
      inode: 3,
      outcome: 'better',
      pieces: 2,
      piecesAfter: 1,
      saved: 1,
      movedBytes: 9,
      reason: '',
    };
    const answer = { parts: [part], done: 1, resumeBytes: 0 };
    expect(defragAnswerOf(answer)).toEqual(answer);
    for (const wrong of [
      undefined,
      'text',
      { ...answer, done: -1 },
      { ...answer, resumeBytes: 0.5 },
      { ...answer, parts: 7 },
      { ...answer, parts: [{ ...part, outcome: 'wonderful' }] },
      { ...answer, parts: [{ ...part, reason: 9 }] },
      { ...answer, parts: [{ ...part, movedBytes: '9' }] },
      { ...answer, parts: new Array(MOST_FILES_ASKED + 1).fill(part) },
    ])
      expect(() => defragAnswerOf(wrong)).toThrow('does not say what became of the files');
  });
});

describe('a run', () => {
  const file = (inode: number, sizeBytes = 100): WalkedFile => ({ path: `/${inode}`, inode, sizeBytes });
  const part = (inode: number, more: Partial<DefragmentedPart> = {}): DefragmentedPart => ({
    inode,
    outcome: 'better',
    pieces: 5,
    piecesAfter: 1,
    saved: 4,
    movedBytes: 10,
    reason: '',
    ...more,
  });

  async function* each(files: readonly WalkedFile[]): AsyncGenerator<WalkedFile> {
    yield* files;
  }

  /** Runs over files with answers made beforehand. */
  async function through(
    files: readonly WalkedFile[],
    answers: DefragAnswer[],
    stopAfter = Number.POSITIVE_INFINITY,
  ) {
    const tally = new DefragTally(false, false);
    const asked: DefragQuestion[] = [];
    const told: DefragmentedFile[] = [];
    const progress: number[] = [];
    const run = new DefragRun({
      tally,
      ask: async (question) => {
        asked.push(question);
        return answers[asked.length - 1] ?? { parts: [], done: question.inodes.length, resumeBytes: 0 };
      },
      isStopped: () => asked.length >= stopAfter,
      told: (done) => told.push(done),
      progress: (done) => progress.push(done),
    });
    return { isWhole: await run.through(each(files)), asked, told, progress, tally };
  }

  test('goes on where an answer ended, in the midst of a file too', async () => {
    const { isWhole, asked, told, progress, tally } = await through(
      [file(1), file(2), file(3)],
      [
        { parts: [part(2, { piecesAfter: null, pieces: 9 })], done: 1, resumeBytes: 40 },
        { parts: [part(2, { piecesAfter: null, pieces: null })], done: 0, resumeBytes: 80 },
        { parts: [part(2, { pieces: null, piecesAfter: 2, outcome: 'nowhere' })], done: 1, resumeBytes: 0 },
      ],
    );
    expect(asked.map(({ inodes, fromBytes }) => [inodes, fromBytes])).toEqual([
      [[1, 2, 3], 0],
      [[2, 3], 40],
      [[2, 3], 80],
      [[3], 0],
    ]);
    expect(told).toMatchObject([{ inode: 2, outcome: 'better', pieces: 9, piecesAfter: 2, movedBytes: 30 }]);
    expect(progress).toEqual([1.4, 1.8, 2, 3]);
    expect([isWhole, tally.files]).toEqual([true, 3]);
  });

  test('in batches', async () => {
    const files = Array.from({ length: MOST_FILES_ASKED + 1 }, (_, i) => file(i + 1));
    const { asked, tally } = await through(files, []);
    expect(asked.map(({ inodes }) => inodes.length)).toEqual([MOST_FILES_ASKED, 1]);
    expect(tally.files).toBe(MOST_FILES_ASKED + 1);
  });

  test('stops between two questions, and tells of what was begun', async () => {
    const first = { parts: [part(2, { piecesAfter: null, pieces: 9 })], done: 1, resumeBytes: 40 };
    const { isWhole, told, tally } = await through([file(1), file(2), file(3)], [first], 1);
    expect(isWhole).toBe(false);
    expect(told).toMatchObject([{ inode: 2, pieces: 9, piecesAfter: 5 }]);
    expect(tally.files).toBe(2);
  });

  test('a server that gets nowhere is not asked for ever', async () => {
    const nothing = { parts: [], done: 0, resumeBytes: 0 };
    await expect(through([file(1)], [nothing])).rejects.toThrow('does not say');
  });

  test('what is shown of it', () => {
    const tally = new DefragTally(true, true);
    tally.files = 9;
    const done = { path: '/a\nb', inode: 3, pieces: 4, piecesAfter: 2, movedBytes: 0, reason: '' };
    tally.add({ ...done, outcome: 'better' });
    tally.add({ ...done, outcome: 'full', piecesAfter: 4 });
    tally.add({ ...done, outcome: 'failed', piecesAfter: 4, reason: 'EIO', path: '/\udc80' });
    expect(tally.text(true)).toBe(
      'files:       9, 3 in more than one piece; stopped\nbetter:      1\npieces:      12, would be 10 at best\n' +
        'left alone:  1 for want of free space, 1 because of an error\n',
    );
    expect(tally.isWhole).toBe(false);
    const { each: listed, left } = tally.json(['x'], true);
    expect(left).toEqual({ nowhere: 0, full: 1, refused: 0, failed: 1 });
    expect((listed as unknown[])[2]).toMatchObject({ pathHex: '2f80', reason: 'EIO' });
    const lines = (['better', 'nowhere', 'full', 'refused', 'failed', 'fine'] as const).map((outcome) =>
      fileLine({ ...done, outcome, reason: 'EIO' }, false),
    );
    expect(lines).toEqual([
      '/a?b: 4 pieces, now 2\n',
      '/a?b: 4 pieces, left alone for want of a better place\n',
      '/a?b: 4 pieces, left alone for want of free space\n',
      '/a?b: belongs to another user\n',
      '/a?b: EIO\n',
      '/a?b: 4 pieces, long enough\n',
    ]);
  });

  test('of the outcomes of its ranges, the one to tell', () => {
    expect(worthTelling('fine', 'nowhere')).toBe('nowhere');
    expect(worthTelling('better', 'nowhere')).toBe('better');
    expect(worthTelling('full', 'better')).toBe('better');
    expect(worthTelling('better', 'failed')).toBe('failed');
  });
});

test('the walk over a directory: files once, and no links', async () => {
  const script =
    'mkdir -p w/x/y && echo 1 > w/a && echo 12 > w/x/b && ln w/a w/x/y/again && ln -s a w/link && ln -s x w/dir && mkfifo w/pipe';
  execFileSync('sh', ['-c', script], { cwd: folder });
  const found: string[] = [];
  const top = join(folder, 'w');
  for await (const { path, sizeBytes } of filesOfMount(top, () => {}))
    found.push(`${path.slice(top.length)} ${sizeBytes}`);
  expect(found.sort()).toEqual(['/a 2', '/x/b 3']);
});
