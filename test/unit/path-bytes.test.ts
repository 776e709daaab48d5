/** Paths of any bytes as texts, and back. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { exactWords } from '../../src/cli/exact-words.ts';
import { parseMountinfo } from '../../src/fuse/mount-table.ts';
import { native } from '../../src/native.ts';
import { absolutePath, isUtf8, pathBytes, pathText, realPathOf, systemPath } from '../../src/path-bytes.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';

const directory = mkdtempSync(join(tmpdir(), 'quarry-paths-'));
afterAll(() => rmSync(directory, { recursive: true }));

const latin1 = (text: string) => Buffer.from(text, 'latin1');

describe('texts of paths', () => {
  test.each([
    ['plain', latin1('/a/b'), '/a/b'],
    ['UTF-8 of all lengths', Buffer.from('é€𝄞'), 'é€𝄞'],
    ['a byte that is none', latin1('a\xffb'), 'a\udcffb'],
    ['a sequence cut off', latin1('\xe2\x82'), '\udce2\udc82'],
    ['one that is longer than it must be', latin1('\xc0\xaf'), '\udcc0\udcaf'],
    ['a surrogate in UTF-8', latin1('\xed\xb2\x80'), '\udced\udcb2\udc80'],
    ['a mark of byte order', Buffer.from('\ufeffa'), '\ufeffa'],
    [
      'good and bad together',
      Buffer.concat([Buffer.from('é'), latin1('\x80'), Buffer.from('𝄞')]),
      'é\udc80𝄞',
    ],
  ])('%s', (_, bytes, text) => {
    expect(pathText(bytes)).toBe(text);
    expect(pathBytes(text)).toEqual(bytes);
    expect(isUtf8(text)).toBe(!/^(a byte|a seq|one|a surr|good)/.test(_));
  });

  test('any bytes come back', () => {
    const random = new SeededRandom(3);
    for (let round = 0; round < 3000; round++) {
      const bytes = Buffer.from(Array.from({ length: 1 + random.below(12) }, () => 1 + random.below(255)));
      expect(pathBytes(pathText(bytes))).toEqual(bytes);
    }
  });
});

test('the addon and node:fs reach the same file, also through a link', () => {
  const name = join(directory, 'f\udcff\udcc3é𝄞');
  mkdirSync(systemPath(name));
  symlinkSync(systemPath(name), join(directory, 'link'));
  expect(realPathOf(join(directory, 'link'))).toBe(realPathOf(name));
  const refusal = () => native.openDevice(name, { readOnly: true, exclusive: false, direct: false });
  // It is found, and is a directory.
  expect(refusal).toThrow(expect.objectContaining({ code: 'ENOTBLK' }));
  expect(() => native.openDevice(`${name}.`, { readOnly: true })).toThrow(
    expect.objectContaining({ code: 'ENOENT' }),
  );
});

test('an absolute path', () => {
  expect(absolutePath('/a/../b/\udcff/')).toBe('/b/\udcff');
  expect(absolutePath('x/../\udcff')).toBe(join(process.cwd(), '\udcff'));
  expect(absolutePath('.')).toBe(process.cwd());
});

test('the mount table', () => {
  const line = Buffer.concat([
    latin1('40 30 0:50 / /mnt/a\\040\xff rw - fuse.quarry /img\xfe\\134 rw,user_id=0\n'),
  ]);
  expect(parseMountinfo(pathText(line))).toMatchObject([
    { directory: '/mnt/a \udcff', source: '/img\udcfe\\' },
  ]);
});

test('words of the command line', () => {
  const given = [latin1('node'), latin1('\xff'), latin1('a\xfe'), latin1('\xfd'), Buffer.from('ü')];
  const lossy = given.map((bytes) => bytes.toString());
  expect(exactWords(lossy, () => given)).toEqual(['node', '\udcff', 'a\udcfe', '\udcfd', 'ü']);
  expect(exactWords(['mount', lossy[3] ?? '', '\ufffd?'], () => given)).toEqual([
    'mount',
    '\udcff',
    '\ufffd?',
  ]);
  expect(exactWords(['a', 'ü'], () => [])).toEqual(['a', 'ü']);
});
