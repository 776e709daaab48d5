/**
 * Commands whose reader goes away: no word about it, the work is done, and the exit status is the
 * command's own. What a reader who is there does not get is told.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const QUARRY = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'quarry-pipes-'));
const image = join(directory, 'volume.img');

/**
 * Runs `quarry WORDS` into a reader that ends at once.
 * @returns exit status and what was said on standard error
 */
function intoNothing(words: string, redirection = ''): Promise<{ status: number; said: string }> {
  const script = `'${process.execPath}' '${QUARRY}' ${words} ${redirection} | true; exit \${PIPESTATUS[0]}`;
  return new Promise((resolve) => {
    const child = execFile('bash', ['-c', script], (_error, _stdout, stderr) => {
      resolve({ status: child.exitCode ?? -1, said: stderr });
    });
  });
}

beforeAll(() => intoNothing(`mkfs --size 8M '${image}'`));
afterAll(() => rmSync(directory, { recursive: true }));

test.concurrent.each([
  ['--help', 0],
  ['mkfs --help', 0],
  ['mount -h', 0],
  [`info '${image}'`, 0],
  [`info --json '${image}'`, 0],
  [`fsck -y '${image}'`, 0],
  [`dump '${image}' space`, 0],
  [`dump '${image}' block 0`, 0],
  [`mkfs --size 8M '${image}.new'`, 0],
])('quarry %s | true', async (words, status) => {
  expect(await intoNothing(words)).toEqual({ status, said: '' });
});

test.concurrent.each([
  ['', 2],
  ['explode', 2],
  [`fsck '${directory}/none'`, 8],
  [`umount '${directory}'`, 1],
  [`fsck --progress '${image}'`, 0],
])('quarry %s 2>&1 | true', async (words, status) => {
  expect(await intoNothing(words, '2>&1')).toEqual({ status, said: '' });
});

test.concurrent.each([
  ['--help', 1],
  [`info '${image}'`, 1],
  [`fsck -n '${image}'`, 8],
  [`tar -c '${image}'`, 1],
])('quarry %s > /dev/full is an error of one line', async (words, status) => {
  const said = 'quarry: standard output: no space left on device\n';
  expect(await intoNothing(words, '> /dev/full')).toEqual({ status, said });
});

test('what was to be made is made', async () => {
  const made = join(directory, 'made.img');
  await intoNothing(`mkfs --size 8M --label 'in a pipe' '${made}'`);
  const said = await new Promise((resolve) => {
    execFile(process.execPath, [QUARRY, 'fsck', '-n', made], (_error, stdout) => resolve(stdout));
  });
  expect(said).toContain('clean');
});
