/**
 * The beginning of every command, by each name that it has: limits are looked at, and no debugger
 * comes with the environment.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { withoutDebugger } from '../../src/cli/mount-command.ts';

const FOLDER = fileURLToPath(new URL('../../dist/cli/', import.meta.url));

/**
 * Runs one of the programs where no more than 20 files may be open, without the right to raise
 * that.
 */
function withFewFiles(program: string, ...words: string[]): Promise<{ status: number; said: string }> {
  const drop =
    process.geteuid?.() === 0 ? 'setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource' : '';
  const script = `ulimit -n 20; exec ${drop} "$0" "$@"`;
  return new Promise((resolve) => {
    const child = execFile(
      'bash',
      ['-c', script, process.execPath, `${FOLDER}${program}.js`, ...words],
      (_error, _stdout, stderr) => resolve({ status: child.exitCode ?? -1, said: stderr }),
    );
  });
}

test.concurrent.each([
  ['main', ['info', '/nowhere'], 1],
  ['mkfs-alias', ['/nowhere'], 1],
  ['fsck-alias', ['-n', '/nowhere'], 8],
  ['mount-alias', ['/nowhere', '/nowhere', '-o', 'ro'], 32],
  ['umount-alias', ['/nowhere', '-n'], 32],
])('%s looks at its limits before all else', async (program, words, status) => {
  expect(await withFewFiles(program, ...words)).toEqual({
    status,
    said: expect.stringMatching(/^quarry: no more than 20 files may be open at once here[^\n]*\n$/),
  });
});

describe('the environment of a daemon', () => {
  const kept = (options: string) => withoutDebugger({ NODE_OPTIONS: options, HOME: '/' });

  test.each([
    '--inspect',
    '--inspect=127.0.0.1:0',
    '--inspect-brk=0',
    '--inspect_brk=0',
    '--inspect_port=0',
    '--inspect-wait',
    '--debug-port=0',
    '"--inspect=0"',
    '--in"spect=0"',
    '"--in\\spect-brk"',
  ])('has no %s', (option) => {
    expect(kept(option)).toEqual({ HOME: '/' });
    expect(kept(`--no-warnings ${option} --max-old-space-size=99`)).toEqual({
      HOME: '/',
      NODE_OPTIONS: '--no-warnings --max-old-space-size=99',
    });
  });

  test('keeps what is no debugger', () => {
    expect(kept('--require ./inspect.js')).toEqual({ HOME: '/', NODE_OPTIONS: '--require ./inspect.js' });
    expect(withoutDebugger({ HOME: '/' })).toEqual({ HOME: '/' });
  });
});
