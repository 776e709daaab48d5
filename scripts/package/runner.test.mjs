/** Run by vitest and by jest. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as quarryfs from 'quarryfs';
import * as aio from 'quarryfs/aio';
import * as alloc from 'quarryfs/alloc';
import * as lab from 'quarryfs/lab';
import { use } from './use.mjs';

test('all of it works', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'quarry-runner-'));
  try {
    expect(await use({ quarryfs, aio, alloc, lab }, folder, true)).toBe('works');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
