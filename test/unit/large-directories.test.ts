/** Directories of more names than a call can have arguments. */
import { expect, test } from 'vitest';
import { longLines } from '../../src/cli/file-lines.ts';
import { walkedNames } from '../../src/cli/volume-walk.ts';
import type { ProgramVolume, VolumeStats } from '../../src/quarryfs.ts';

const MANY = 300_000;

function statsOf(isDirectory: boolean): VolumeStats {
  const no = () => false;
  const kinds = { isSymbolicLink: no, isFIFO: no, isSocket: no, isCharacterDevice: no, isBlockDevice: no };
  const numbers = { mode: 0o644, nlink: 1, uid: 0, gid: 0, size: 0, mtime: new Date(0) };
  return {
    ...kinds,
    ...numbers,
    isDirectory: () => isDirectory,
    isFile: () => !isDirectory,
  } as unknown as VolumeStats;
}

test('they are walked', async () => {
  const names = Array.from({ length: MANY }, (_, index) => Buffer.from(String(index)));
  const volume = {
    stat: async () => statsOf(true),
    lstat: async () => statsOf(false),
    readdir: async () => names,
  } as unknown as ProgramVolume;
  let found = 0;
  for await (const _ of walkedNames(volume, Buffer.from('/'))) found++;
  expect(found).toBe(MANY + 1);
});

test('they are shown', () => {
  const stats = statsOf(false);
  const text = longLines(Array.from({ length: MANY }, () => ({ name: 'n', stats })));
  expect(text.startsWith('-rw-r--r-- 1 0 0 0 1970-01-01T00:00:00Z n\n')).toBe(true);
});
