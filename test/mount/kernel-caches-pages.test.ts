/**
 * Who reads a file through the page cache while another writes past it finds what was written, with
 * every engine.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, FULL, MIB, shell, Volume } from './harness.ts';

const DIRECT_WRITER = fileURLToPath(new URL('direct-writer.c', import.meta.url));
const SECONDS = FULL ? 60 : 1;

describeMount('cached readers and a writer past the cache', () => {
  let volume: Volume;
  let program: string;

  beforeAll(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    program = volume.scratch.file('direct-writer');
    await shell(`cc -O2 -o '${program}' '${DIRECT_WRITER}' -lpthread`);
  });
  afterAll(() => volume?.destroy());

  test.each(['aio', 'uring', 'sync'])('%s', async (engine) => {
    const result = await volume.shellResult(`'${program}' ${engine} cycle ${engine} ${SECONDS}`);
    expect(result.stderr + result.stdout).toMatch(/^[1-9]\d* rounds\n$/);
    expect(result.status).toBe(0);
  });

  test('the volume is sound', () => volume.unmountAndCheck());
});
