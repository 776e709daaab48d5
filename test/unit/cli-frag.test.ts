/** `quarry frag` and `quarry map` on image files: text, JSON, pictures, and wrong command lines. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import firstFit from '../../src/alloc/first-fit.ts';
import type { TerminalScreen } from '../../src/cli/command.ts';
import { worstCount } from '../../src/cli/frag-command.ts';
import { mapChoice } from '../../src/cli/map-command.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import { spanText } from '../../src/cli/time-span.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';

const BLOCK_BYTES = 4096;
const SIZE_BYTES = 8 * 1024 * 1024;
let folder = '';
let image = '';
/** The same volume before it was unmounted: what is in its journal is not at home. */
let crashed = '';

interface Ran {
  status: number;
  out: string;
  err: string;
}

async function command(words: string[], screen?: TerminalScreen): Promise<Ran> {
  const ran: Ran = { status: 0, out: '', err: '' };
  const terminal = {
    out: (text: string) => {
      ran.out += text;
    },
    err: (text: string) => {
      ran.err += text;
    },
    interactive: false,
    ...(screen ? { screen } : {}),
  };
  ran.status = await runCommandLine(words, terminal);
  return ran;
}

async function succeeded(words: string[], screen?: TerminalScreen): Promise<string> {
  const { status, out, err } = await command(words, screen);
  expect([status, err]).toEqual([0, '']);
  return out;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'quarry-frag-'));
  image = join(folder, 'volume.img');
  crashed = join(folder, 'crashed.img');
  const device = new MemoryDevice(SIZE_BYTES);
  await formatted(device, BLOCK_BYTES);
  const volume = await TestVolume.open(device, { allocator: firstFit });
  await volume.mkdir('/d');
  const a = await volume.create('/d/a');
  const b = await volume.create('/d/b');
  for (let i = 0; i < 50; i++) {
    await volume.write(a, i * BLOCK_BYTES, new Uint8Array(BLOCK_BYTES).fill(1));
    await volume.write(b, i * BLOCK_BYTES, new Uint8Array(BLOCK_BYTES).fill(2));
  }
  await volume.volume.sync();
  writeFileSync(crashed, device.clone().peek(0, SIZE_BYTES));
  await volume.volume.unmount();
  writeFileSync(image, device.clone().peek(0, SIZE_BYTES));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('quarry frag', () => {
  test('of an image, for people', async () => {
    const text = await succeeded(['frag', image]);
    expect(text).toContain('state:   not mounted');
    expect(text).toContain('files:             2: 2 with blocks, 0 with their data in the inode, 0 empty');
    expect(text).toContain('extents per file:  mean ');
    expect(text).toMatch(/layout score: +0\.\d{4} by bytes/);
    expect(text).toContain('in aligned 2 MiB:');
    expect(text).toMatch(/ {2}\/d\/a\n/);
  });

  test('and for programs', async () => {
    const found = JSON.parse(await succeeded(['frag', image, '--json', '--worst', '1']));
    expect(found).toMatchObject({
      name: image,
      target: image,
      blockBytes: BLOCK_BYTES,
      blockCount: SIZE_BYTES / BLOCK_BYTES,
      inodes: { regular: 2, directories: 2 },
      layout: { files: 2, blocks: 100 },
      faults: { count: 0, first: [] },
    });
    expect(found.worst).toEqual([
      { path: '/d/a', inode: 3, blocks: 50, layoutScore: expect.any(Number), extents: expect.any(Number) },
    ]);
    expect(found.layout.extents).toBeGreaterThan(2);
  });

  test('the journal of a volume that was not unmounted is replayed in memory', async () => {
    const figures = async (path: string) => {
      const found = JSON.parse(await succeeded(['frag', path, '--json']));
      return { ...found, name: '', target: '', isClean: true };
    };
    expect(JSON.parse(await succeeded(['frag', crashed, '--json'])).isClean).toBe(false);
    expect(await figures(crashed)).toEqual(await figures(image));
    const map = (await succeeded(['map', crashed])).split('\n').slice(1);
    expect(map).toEqual((await succeeded(['map', image])).split('\n').slice(1));
  });

  test('what it cannot look at, in one line', async () => {
    const notOne = join(folder, 'not-one');
    writeFileSync(notOne, 'x'.repeat(8192));
    const missing = join(folder, 'missing');
    const cases: [string[], number, RegExp][] = [
      [[missing], 1, /missing does not exist$/],
      [[notOne], 1, /not-one is not a Quarry volume/],
      [[folder], 1, /is not in a mount of Quarry: name a directory or file in one, /],
      [['/dev/null'], 1, /\/dev\/null is neither a block device nor an image file$/],
      [[image, '--worst', 'x'], 2, /--worst x is not a number of files/],
      [[], 2, /missing required argument/],
    ];
    for (const [words, status, line] of cases) {
      const ran = await command(['frag', ...words]);
      expect([ran.status, ran.out]).toEqual([status, '']);
      expect(ran.err.trimEnd()).toMatch(line);
      expect(ran.err.trimEnd().split('\n')).toHaveLength(1);
    }
  });

  test('damage is said, and the rest is shown', async () => {
    const damaged = join(folder, 'damaged.img');
    const { block } = JSON.parse(await succeeded(['dump', image, 'inode', '3', '--json']));
    const bytes = readFileSync(image);
    bytes.fill(0xaa, block * BLOCK_BYTES, block * BLOCK_BYTES + 100);
    writeFileSync(damaged, bytes);
    const text = await succeeded(['frag', damaged]);
    expect(text).toMatch(/1 part could not be read and is left out:\n {2}inodes: block \d+ is damaged/);
    expect(JSON.parse(await succeeded(['frag', damaged, '--json'])).faults.count).toBeGreaterThan(0);
    const map = await command(['map', damaged]);
    expect([map.status, map.err]).toEqual([0, expect.stringContaining(`block ${block} is damaged`)]);
    expect(map.out).toContain('in use for nothing known');
  });

  test('how many of the worst', () => {
    expect([worstCount(undefined), worstCount('0'), worstCount('250')]).toEqual([10, 0, 250]);
    for (const text of ['', '-1', '1.5', '999999999']) expect(() => worstCount(text)).toThrow('--worst');
  });
});

describe('quarry map', () => {
  test('as text, as wide as it is told', async () => {
    const plain = await succeeded(['map', image]);
    expect(plain).toContain('what blocks are used for:');
    expect(plain.includes('\x1b')).toBe(false);
    expect(plain).toMatch(/ J {4}journal +256 KiB/);
    const rows = await succeeded(['map', image, '--layout', 'rows'], { columns: 40, colors: undefined });
    const lines = rows.split('\n').slice(3);
    expect(lines.slice(0, lines.indexOf('')).every((line) => line.length <= 40)).toBe(true);
    const colored = await succeeded(['map', image], { columns: 40, colors: 'true' });
    expect(colored).toContain('\x1b[38;2;');
  });

  test.each(['kind', 'age', 'extents'])('by %s as SVG', async (by) => {
    const file = join(folder, `${by}.svg`);
    expect(await succeeded(['map', image, '--svg', file, '--by', by])).toBe('');
    const svg = readFileSync(file, 'utf8');
    expect(svg).toMatch(/^<svg /);
    expect([...svg.matchAll(/<path /g)].length).toBeLessThan(30);
    expect(svg).toContain('How to read it');
  });

  test('as PNG', async () => {
    const file = join(folder, 'map.png');
    await succeeded(['map', image, '--png', file, '--layout', 'rows']);
    expect(readFileSync(file).subarray(1, 4).toString()).toBe('PNG');
  });

  test('as data: what each cell has of each class', async () => {
    const text = await succeeded(['map', image, '--json']);
    expect(text.trimEnd().split('\n')).toHaveLength(1);
    const found = JSON.parse(text);
    const { blocksPerCell, cellCount, classes, cells } = found;
    expect(found).toMatchObject({
      target: image,
      isClean: true,
      committed: false,
      blockBytes: BLOCK_BYTES,
      blockCount: SIZE_BYTES / BLOCK_BYTES,
      by: 'kind',
      blocksPerCell: 1,
      cellCount: SIZE_BYTES / BLOCK_BYTES,
      faults: { count: 0, first: [] },
    });
    expect(cells).toHaveLength(cellCount);
    const sums = (cells as number[][]).map((counts) => counts.reduce((sum, count) => sum + count, 0));
    expect(new Set(sums)).toEqual(new Set([blocksPerCell]));
    for (const [number, { name, blocks }] of classes.entries()) {
      const total = (cells as number[][]).reduce((sum, counts) => sum + (counts[number] ?? 0), 0);
      expect([name, total]).toEqual([name, blocks]);
    }
    const blocksOf = (name: string) =>
      classes.find((one: { name: string }) => one.name === name)?.blocks as number;
    const { layout, freeSpace } = JSON.parse(await succeeded(['frag', image, '--json']));
    expect([blocksOf('data'), blocksOf('free')]).toEqual([layout.blocks, freeSpace.freeBlocks]);
    expect(blocksOf('in use for nothing known')).toBe(0);
    const byAge = JSON.parse(await succeeded(['map', image, '--json', '--by', 'age', '--time', 'modified']));
    expect(byAge).toMatchObject({ by: 'age', time: 'modified' });
  });

  test('wrong command lines', async () => {
    const cases: [string[], number, string][] = [
      [[image, '--by', 'size'], 2, '--by size is unknown: say one of kind, age, extents'],
      [[image, '--layout', 'spiral'], 2, '--layout spiral is unknown: say one of hilbert, rows'],
      [[image, '--png', 'a', '--svg', 'b'], 2, 'give only one of --png, --svg, --txt and --json'],
      [[image, '--txt', '--json'], 2, 'give only one of --png, --svg, --txt and --json'],
      [[image, '--json', '--layout', 'rows'], 2, '--layout is for pictures'],
      [[image, '--svg', join(folder, 'no', 'where.svg')], 1, 'does not exist'],
    ];
    for (const [words, status, line] of cases) {
      const ran = await command(['map', ...words]);
      expect([ran.status, ran.out]).toEqual([status, '']);
      expect(ran.err).toContain(line);
    }
  });

  test('what is chosen without options', () => {
    expect(mapChoice({})).toEqual({
      form: 'txt',
      file: undefined,
      layout: 'hilbert',
      by: 'kind',
      time: 'birth',
    });
  });
});

test('lengths of time', () => {
  const spans: [number, string][] = [
    [0, '0 seconds'],
    [1, '1 second'],
    [119, '119 seconds'],
    [120, '2 minutes'],
    [5400, '90 minutes'],
    [3 * 86_400, '3 days'],
    [400 * 86_400, '13 months'],
    [3 * 365 * 86_400, '3 years'],
  ];
  for (const [seconds, text] of spans) expect(spanText(seconds)).toBe(text);
});
