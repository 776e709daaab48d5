// @ts-check
/**
 * `npm run docs:api`: docs/api, a page for each entry point of the package, from the comments in the
 * sources. Each begins with an example, which the tests run. The pages are kept with the sources, so
 * that they can be read anywhere; a test says when something is missing in them.
 *
 * TypeDoc needs a TypeScript that can be called, so it is in `site`, with packages of its own.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localProgram, ROOT, runHere } from './build.mjs';
import { SITE, siteProgram } from './site.mjs';

/** Of each: its name, its source, what TypeDoc calls it, and the example that it begins with. */
const ENTRIES = /** @type {const} */ ([
  ['quarryfs', 'src/quarryfs.ts', 'quarryfs.md', 'examples/program/first.js'],
  ['aio', 'src/aio/file/open-file.ts', 'aio/file/open-file.md', 'examples/aio/first.js'],
  ['alloc', 'src/alloc/allocator.ts', 'alloc/allocator.md', 'examples/allocators/emptiest-group.js'],
  ['lab', 'src/lab/lab.ts', 'lab/lab.md', 'examples/lab/first.js'],
]);

const importName = (/** @type {string} */ name) => (name === 'quarryfs' ? name : `quarryfs/${name}`);

/** @param {string} text of a page */
function withOwnLinks(text) {
  return text.replace(/\]\((?:\.\.\/)*([\w/-]+\.md)(#[^)]*)?\)/g, (whole, page, place = '') => {
    const entry = ENTRIES.find(([, , made]) => made === page || made.endsWith(`/${page}`));
    return entry ? `](${entry[0]}.md${place})` : whole;
  });
}

const made = mkdtempSync(join(tmpdir(), 'quarry-api-'));
try {
  const program = await siteProgram('typedoc');
  const words = [
    ...['--tsconfig', join(SITE, 'tsconfig.json'), '--plugin', 'typedoc-plugin-markdown', '--out', made],
    ...['--outputFileStrategy', 'modules', '--readme', 'none', '--disableSources', '--excludePrivate'],
    ...[
      '--excludeInternal',
      // What Node tells of its own classes is not ours to repeat.
      '--excludeExternals',
      '--hidePageHeader',
      '--hideBreadcrumbs',
      '--logLevel',
      'Error',
    ],
    ...ENTRIES.flatMap(([, source]) => ['--entryPoints', join(ROOT, source)]),
  ];
  if ((await runHere(program, words)) !== 0) process.exit(1);
  const target = join(ROOT, 'docs/api');
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const [name, , page, example] of ENTRIES) {
    const body = withOwnLinks(readFileSync(join(made, page), 'utf8')).replace(/^# .*\n+/, '');
    const code = readFileSync(join(ROOT, example), 'utf8');
    const head = `# ${importName(name)}\n\n\`\`\`js\n// ${example}\n${code}\`\`\`\n\n`;
    writeFileSync(join(target, `${name}.md`), `${head}${body.trimEnd()}\n`);
  }
  if ((await runHere(localProgram('biome'), ['format', '--write', target])) !== 0) process.exitCode = 1;
} finally {
  rmSync(made, { recursive: true, force: true });
}
