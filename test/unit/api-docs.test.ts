/**
 * docs/api: a page for each entry point, which begins with an example that another test runs, and
 * names all that can be imported. Where one is missing, `npm run docs:api` writes it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ENTRIES: Record<string, string> = {
  quarryfs: 'src/quarryfs.ts',
  aio: 'src/aio/file/open-file.ts',
  alloc: 'src/alloc/allocator.ts',
  lab: 'src/lab/lab.ts',
};

/** Of classes and interfaces that are declared in the source itself, too. */
function exportedNames(source: string): string[] {
  // What others of the project use, and no program.
  const text = readFileSync(join(ROOT, source), 'utf8').replace(
    /\/\*\*(?:(?!\*\/)[\s\S])*@internal(?:(?!\*\/)[\s\S])*\*\/\nexport [^\n]*/g,
    '',
  );
  const declared = text.matchAll(
    /^export (?:async )?(?:abstract )?(?:function|class|interface|type|const) (\w+)/gm,
  );
  const lists = text.matchAll(/^export (?:type )?\{([^}]*)\}/gm);
  const listed = [...lists].flatMap(([, names = '']) =>
    names
      .split(',')
      .map((name) => name.replace(/^\s*type\s/, '').trim())
      .filter(Boolean),
  );
  return [...new Set([...[...declared].map(([, name = '']) => name), ...listed])];
}

test('there is a page for each entry point, and no other', () => {
  expect(readdirSync(join(ROOT, 'docs/api')).sort()).toEqual(
    Object.keys(ENTRIES)
      .map((name) => `${name}.md`)
      .sort(),
  );
});

test('the site has every document, and no page that is none', () => {
  const config = readFileSync(join(ROOT, 'site/.vitepress/config.mjs'), 'utf8');
  const linked = [...config.matchAll(/\['[^']+', '([\w/]+)'\]/g)].map(([, link]) => `${link}.md`);
  const names = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' });
  expect(linked.sort()).toEqual(names.filter((name) => name.endsWith('.md')).sort());
});

describe.each(Object.entries(ENTRIES))('%s', (name, source) => {
  const page = readFileSync(join(ROOT, `docs/api/${name}.md`), 'utf8');

  test('begins with an example of the repository, as it is', () => {
    const [, file = '', code] = /^# \S+\n\n```js\n\/\/ (examples\/\S+)\n([\s\S]*?)^```$/m.exec(page) ?? [];
    expect(code).toBe(readFileSync(join(ROOT, file), 'utf8'));
    // A policy imports nothing: it is imported.
    const imports = `from '${name === 'quarryfs' ? name : `quarryfs/${name}`}'`;
    expect(code).toContain(name === 'alloc' ? 'export default {' : imports);
  });

  test('tells of all that can be imported', () => {
    const names = exportedNames(source);
    expect(names.length).toBeGreaterThan(5);
    expect(names.filter((one) => !new RegExp(`^#+ ${one}(\\(\\)|\\\\?<.*)?$`, 'm').test(page))).toEqual([]);
  });
});
