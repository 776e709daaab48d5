/** What programs of the system say of filesystems, as the laboratory reads it. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { copyAll, runsOfData } from '../../src/lab/mounts/cold-read-clock.ts';
import { filesBelow, parseFileMaps, parseFreeSpace } from '../../src/lab/mounts/kernel-maps.ts';
import { findProgram, runProgram } from '../../src/lab/mounts/programs.ts';

test('a copy has holes where there were zeros, and the same bytes and lengths', () => {
  const folder = mkdtempSync(join(tmpdir(), 'quarry-copy-'));
  try {
    const [from, to] = [join(folder, 'from'), join(folder, 'to')];
    mkdirSync(join(from, 'below'), { recursive: true });
    mkdirSync(to);
    const mixed = Buffer.alloc(3 * 2 ** 20 + 100);
    mixed.fill('data', 2 ** 20 - 5000, 2 ** 20 + 5000);
    mixed.write('last', mixed.length - 4);
    const files: Record<string, Buffer> = {
      'below/mixed': mixed,
      'below/zeros': Buffer.alloc(5 * 2 ** 20 + 1),
      whole: Buffer.alloc(10_000, 'x'),
      empty: Buffer.alloc(0),
    };
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(from, name), bytes);
    copyAll(from, to);
    for (const [name, bytes] of Object.entries(files))
      expect(readFileSync(join(to, name)).equals(bytes), name).toBe(true);
    expect(statSync(join(to, 'below/zeros')).blocks).toBe(0);
    expect(statSync(join(to, 'below/mixed')).blocks * 512).toBeLessThan(100_000);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('data between zeros is found block by block', () => {
  const bytes = Buffer.alloc(5 * 4096 + 10);
  expect([...runsOfData(bytes)]).toEqual([]);
  bytes[4096] = 1;
  bytes[3 * 4096 - 1] = 1;
  bytes[bytes.length - 1] = 1;
  expect([...runsOfData(bytes)]).toEqual([
    [4096, 3 * 4096],
    [5 * 4096, bytes.length],
  ]);
});

test('filefrag: a list of extents for each file, without what is not in blocks', () => {
  const said = `Filesystem type is: ef53
File size of /m/f1 is 300000 (74 blocks of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..       9:      32833..     32842:     10:
   1:       20..      73:      40000..     40053:     54:      32843: last,eof
/m/f1: 2 extents found
File size of /m/f2 is 0 (0 blocks of 4096 bytes)
/m/f2: 0 extents found
File size of /m/f3 is 100 (1 block of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..       0:          0..         0:      1:             last,not_aligned,inline,eof
/m/f3: 1 extent found
`;
  expect(parseFileMaps(said)).toEqual([
    [
      { fileBlock: 0, block: 32833, length: 10 },
      { fileBlock: 20, block: 40000, length: 54 },
    ],
    [],
    [],
  ]);
});

test('xfs_io: free space in whole blocks', () => {
  const said = `	0: 7:0 [0..79]: unknown 80
	1: 7:0 [80..127]: free space 48
	2: 7:0 [128..1967]: inode btree 1840
	3: 7:0 [1970..1990]: free space 21
	4: 7:0 [1992..1998]: free space 7
`;
  expect(parseFreeSpace(said, 4096)).toEqual([
    { start: 10, length: 6 },
    { start: 247, length: 1 },
  ]);
  expect(parseFreeSpace('', 4096)).toEqual([]);
});

test('files come directory by directory, and nothing that is no file', () => {
  const directory = mkdtempSync(join(tmpdir(), 'quarry-below-'));
  try {
    runProgram('sh', [
      '-c',
      'cd "$1" && mkdir -p b/c && touch a b/d b/c/e && ln -s a s && mkfifo p',
      'sh',
      directory,
    ]);
    const found = [...filesBelow(directory)].map((path) => path.slice(directory.length + 1));
    expect(found).toEqual(['a', 'b/d', 'b/c/e']);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a program that fails says why in one line; one that is missing is named', () => {
  expect(() => runProgram('sh', ['-c', 'echo " first"; echo " second" >&2; echo third >&2; exit 1'])).toThrow(
    /^second$/,
  );
  expect(() => runProgram('sh', ['-c', 'exit 3'])).toThrow("'sh -c exit 3' failed");
  expect(() => runProgram('mkfs.quarry-has-no-such', [])).toThrow('mkfs.quarry-has-no-such is not installed');
  expect(findProgram('sh')).toMatch(/\/sh$/);
  expect(findProgram('quarry-has-no-such')).toBeUndefined();
});

test('what is no program is not found as one', () => {
  const directory = mkdtempSync(join(tmpdir(), 'quarry-path-'));
  const before = process.env.PATH;
  try {
    writeFileSync(join(directory, 'quarry-plain-file'), '', { mode: 0o644 });
    process.env.PATH = `${directory}:${before}`;
    expect(findProgram('quarry-plain-file')).toBeUndefined();
  } finally {
    process.env.PATH = before;
    rmSync(directory, { recursive: true });
  }
});
