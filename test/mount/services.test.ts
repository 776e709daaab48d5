/**
 * What the kernel does with files beyond names and bytes, on one mount: the cases of `services.py`,
 * each in a directory of its own. Names, errnos, times and modes are asked by posix.test.ts.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, MIB, run, Volume } from './harness.ts';

const PROGRAM = fileURLToPath(new URL('services.py', import.meta.url));

describeMount('mappings, locks, pipes and programs', () => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    await volume.shell('chmod 755 .');
  });
  afterAll(() => volume?.destroy());

  test('every case goes well', async () => {
    const result = await run('python3', [PROGRAM, volume.directory]);
    expect(result.stderr).toBe('');
    expect(JSON.parse(result.stdout)).toEqual({
      fifo: true,
      socket: true,
      run_program: true,
      mmap: true,
      locks: true,
      sync: true,
    });
  });

  test('the volume is sound afterwards', () => volume.unmountAndCheck());
});
