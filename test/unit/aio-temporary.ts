/** Temporary image files for the tests of devices; removed when the test file ends. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const made: string[] = [];

/** Path of a new sparse file of `sizeBytes`, by default on a filesystem that knows O_DIRECT. */
export function temporaryImage(sizeBytes: number, parent = '/var/tmp'): string {
  const folder = mkdtempSync(join(parent, 'quarry-test-'));
  made.push(folder);
  const path = join(folder, 'image');
  const descriptor = openSync(path, 'w');
  ftruncateSync(descriptor, sizeBytes);
  closeSync(descriptor);
  return path;
}

export function removeTemporaryImagesAfterAll(): void {
  afterAll(() => {
    for (const folder of made.splice(0)) rmSync(folder, { recursive: true });
  });
}
