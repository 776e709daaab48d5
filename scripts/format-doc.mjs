// @ts-check
/**
 * `npm run format-doc`: writes docs/FORMAT.md anew, from its template and src/fs/format/format.ts.
 *
 *   npm run format-doc [-- --check]      with --check nothing is written; fails if the file is not up to date
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, ROOT } from './build.mjs';
import { makeFormatDocument } from './format-doc/document.mjs';

const DOCUMENT = join(ROOT, 'docs/FORMAT.md');

/** Modules of the document and where they are compiled to. */
const MODULES = {
  format: 'fs/format/format.js',
  layout: 'fs/format/layout.js',
  nameHash: 'fs/format/name-hash.js',
  crc32c: 'crc32c.js',
  mkfs: 'fs/mkfs.js',
  volume: 'fs/volume.js',
  memory: 'sim/memory-device.js',
  firstFit: 'alloc/first-fit.js',
  blockParts: 'inspect/block-parts.js',
  partsText: 'cli/parts-text.js',
};

async function compiledModules() {
  /** @type {Record<string, any>} */
  const modules = {};
  for (const [name, path] of Object.entries(MODULES)) modules[name] = await import(join(ROOT, 'dist', path));
  return /** @type {import('./format-doc/document').FormatModules} */ (modules);
}

if (!(await build())) process.exit(1);
const source = readFileSync(join(ROOT, 'src/fs/format/format.ts'), 'utf8');
const template = readFileSync(join(ROOT, 'scripts/format-doc/template.md'), 'utf8');
const text = await makeFormatDocument(await compiledModules(), source, template);
if (!process.argv.includes('--check')) {
  writeFileSync(DOCUMENT, text);
  console.log(`docs/FORMAT.md: ${text.split('\n').length} lines`);
} else if (readFileSync(DOCUMENT, 'utf8') !== text) {
  console.error("docs/FORMAT.md is not up to date: run 'npm run format-doc'");
  process.exitCode = 1;
}
