/**
 * The POSIX cases of `cases.py` on one mount, each in a directory of its own; then the volume must
 * be sound.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, run, Volume } from './harness.ts';

const PROGRAM = fileURLToPath(new URL('cases.py', import.meta.url));
const NAMES = [...readFileSync(PROGRAM, 'utf8').matchAll(/^def case_(\w+)/gm)].map(([, name]) => name ?? '');

describeMount('POSIX on a mount', () => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make();
  });
  afterAll(() => volume?.destroy());

  test.each(NAMES)('%s', async (name) => {
    const directory = `${volume.directory}/${name}`;
    await volume.shell(`mkdir '${directory}' && chmod 755 . '${directory}'`);
    const result = await run('python3', [PROGRAM, name, directory]);
    expect(result.stderr + result.stdout).toBe('');
    expect(result.status).toBe(0);
  });

  test('the volume is sound afterwards, also when all is removed', async () => {
    await volume.unmountAndCheck();
    await volume.mount();
    await volume.shell('rm -rf ./* && test -z "$(ls -A | grep -v lost+found)"');
    await volume.unmountAndCheck();
  });
});
