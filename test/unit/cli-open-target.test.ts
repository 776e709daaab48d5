/**
 * A path that leads to something else than it did when it was looked at: nothing is written there.
 */
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openTarget } from '../../src/cli/open-target.ts';
import { inspectTarget } from '../../src/cli/target.ts';

const SIZE = 1024 * 1024;
let directory: string;
let image: string;
let other: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'quarry-open-'));
  image = join(directory, 'image');
  other = join(directory, 'other');
  mkdirSync(other);
  writeFileSync(image, Buffer.alloc(SIZE));
  writeFileSync(join(other, 'file'), 'of somebody else');
});
afterEach(() => rmSync(directory, { recursive: true }));

test('is as it was', async () => {
  const device = openTarget(inspectTarget(image), { exclusive: false, allowBuffered: true });
  expect(device.sizeBytes).toBe(SIZE);
  await device.close();
});

test.each(['a link', 'another file', 'nothing'])('is %s by now', (what) => {
  const target = inspectTarget(image);
  renameSync(image, `${image}.old`);
  if (what === 'a link') symlinkSync(join(other, 'file'), image);
  else if (what === 'another file') writeFileSync(image, 'of somebody else');
  const refused =
    what === 'nothing' ? { code: 'ENOENT' } : { message: expect.stringMatching(/is another by now/) };
  expect(() => openTarget(target, { exclusive: false, allowBuffered: true })).toThrow(
    expect.objectContaining(refused),
  );
  expect(readFileSync(join(other, 'file'), 'latin1')).toBe('of somebody else');
  expect(inspectTarget(`${image}.old`).sizeBytes).toBe(SIZE);
});
