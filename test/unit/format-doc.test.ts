/**
 * docs/FORMAT.md says what src/fs/format/format.ts declares, all of it, and shows what a real
 * volume holds.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { makeFormatDocument } from '../../scripts/format-doc/document.mjs';
import * as firstFit from '../../src/alloc/first-fit.ts';
import * as partsText from '../../src/cli/parts-text.ts';
import * as crc32c from '../../src/crc32c.ts';
import { FEATURES } from '../../src/fs/format/features.ts';
import * as format from '../../src/fs/format/format.ts';
import * as layout from '../../src/fs/format/layout.ts';
import * as nameHash from '../../src/fs/format/name-hash.ts';
import * as mkfs from '../../src/fs/mkfs.ts';
import * as volume from '../../src/fs/volume.ts';
import * as blockParts from '../../src/inspect/block-parts.ts';
import * as memory from '../../src/sim/memory-device.ts';

const MODULES = {
  format,
  layout,
  nameHash,
  crc32c,
  mkfs,
  volume,
  memory,
  firstFit,
  blockParts,
  partsText,
};

function textOf(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
}

const source = textOf('src/fs/format/format.ts');
const template = textOf('scripts/format-doc/template.md');
const committed = textOf('docs/FORMAT.md');

test("docs/FORMAT.md is what 'npm run format-doc' writes", async () => {
  expect(committed).toBe(await makeFormatDocument(MODULES, source, template));
});

test("'npm run format-doc' finds what it is made from", () => {
  const script = fileURLToPath(new URL('../../scripts/format-doc.mjs', import.meta.url));
  expect(spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' })).toMatchObject({ status: 0 });
});

describe('everything that format.ts exports is in the document', () => {
  test.each(Object.entries(format))('%s', (name, value) => {
    expect(committed).toContain(name);
    if (typeof value !== 'object' || !('recordName' in value)) return;
    for (const [field, { offset, lengthBytes, type }] of Object.entries(value.fields)) {
      const row = new RegExp(`^\\| +${offset} \\| +${lengthBytes} \\| ${type} +\\| ${field} +\\| \\S`, 'm');
      expect(committed).toMatch(row);
    }
  });
});

test.each(FEATURES)('feature $name stands in the document', ({ name, featureClass, bit }) => {
  expect(committed).toMatch(
    new RegExp(`^\\| \`${name}\` +\\| \`${featureClass}Features\` +\\| +${bit} \\|`, 'm'),
  );
});

test('a template that leaves a declaration out is refused', async () => {
  const without = template.replace('{{record JournalCommit}}', '');
  await expect(makeFormatDocument(MODULES, source, without)).rejects.toThrow(/leaves out JournalCommit/);
});

test('a declaration that the reader of format.ts overlooks is noticed', async () => {
  const hidden = source.replace('export const Inode = record(', 'export const Inode  = record(');
  const without = template.replace('{{record Inode}}', '');
  await expect(makeFormatDocument(MODULES, hidden, without)).rejects.toThrow(/did not find Inode/);
});
