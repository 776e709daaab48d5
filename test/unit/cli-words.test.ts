/** What every command line has in common: help, version, suggestions, errors for programs. */
import { expect, test } from 'vitest';
import { runCommandLine } from '../../src/cli/program.ts';
import { packageVersion } from '../../src/common/package-version.ts';

async function quarry(...words: string[]) {
  const said = { status: 0, out: '', err: '' };
  said.status = await runCommandLine(words, {
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    interactive: false,
  });
  return said;
}

test('help and version are what --help and --version are', async () => {
  expect(await quarry('help')).toEqual(await quarry('--help'));
  expect(await quarry('help', 'lab', 'run')).toEqual(await quarry('lab', 'run', '--help'));
  expect((await quarry('help', 'fsck')).out).toMatch(/^Usage: quarry fsck/);
  expect(await quarry('version')).toEqual({ status: 0, out: `${packageVersion()}\n`, err: '' });
});

test.each([
  [['mout'], "unknown command 'mout' (did you mean 'mount'?); see 'quarry --help'"],
  [['mkfs', '--labl'], "unknown option '--labl' (did you mean '--label'?); see 'quarry mkfs --help'"],
  [['lab', 'ru'], "unknown command 'ru' (did you mean 'run'?); see 'quarry lab --help'"],
  [['zzz'], "unknown command 'zzz'; see 'quarry --help'"],
])('%j gets a suggestion if there is one near', async (words, line) => {
  expect(await quarry(...words)).toEqual({ status: 2, out: '', err: `quarry: ${line}\n` });
});

test('with --json an error is JSON, in one line on standard error', async () => {
  const { status, out, err } = await quarry('info', '--json', '/not/"here"');
  expect({ status, out }).toEqual({ status: 1, out: '' });
  expect(JSON.parse(err)).toEqual({ error: '/not/"here" does not exist' });
  expect((await quarry('info', '--', '--json')).err).toBe('quarry: --json does not exist\n');
});
