/**
 * What `npm pack` would put into the package: all that is promised, and nothing that leads nowhere.
 * Whether it can be installed and used is tried by `npm run package-test`.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Manifest {
  readonly exports: Record<string, string | Record<string, string>>;
  readonly bin: Record<string, string>;
  readonly dependencies: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
  readonly peerDependencies: Record<string, string>;
  readonly peerDependenciesMeta: Record<string, { readonly optional: boolean }>;
}

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
let files: Set<string>;

beforeAll(() => {
  const words = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const said = execFileSync('npm', words, {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [packed] = JSON.parse(said) as { files: { path: string }[] }[];
  files = new Set(packed?.files.map(({ path }) => path));
  expect(files.size).toBeGreaterThan(500);
});

describe('the package', () => {
  test('has every file that it exports, with its types, and every program', () => {
    expect(Object.keys(manifest.exports)).toEqual(['.', './aio', './alloc', './lab', './package.json']);
    const targets = [...Object.values(manifest.exports), ...Object.values(manifest.bin)]
      .flatMap((target) => (typeof target === 'string' ? [target] : Object.values(target)))
      .map((target) => normalize(target));
    expect(targets.filter((path) => !files.has(path))).toEqual([]);
    for (const [name, target] of Object.entries(manifest.exports)) {
      if (typeof target === 'object') expect(Object.keys(target), name).toEqual(['types', 'default']);
    }
  });

  test('has what the addon is compiled from, and what sees to it', () => {
    const gyp = readFileSync(join(ROOT, 'binding.gyp'), 'utf8');
    const sources = [...gyp.matchAll(/"(native\/\w+\.cc)"/g)].map(([, path = '']) => path);
    expect(sources.length).toBeGreaterThan(20);
    const all = ['binding.gyp', 'scripts/addon.mjs', 'scripts/install.mjs', ...sources];
    expect(all.filter((path) => !files.has(path))).toEqual([]);
  });

  test('has no source maps, no state of the compiler, and no tests', () => {
    const unwanted = /\.map$|tsbuildinfo|^test\/(?!format\/reader\.py$)|^node_modules\/|\.img$/;
    expect([...files].filter((path) => unwanted.test(path))).toEqual([]);
    const mapped = [...files].filter(
      (path) =>
        path.endsWith('.js') && /^\/\/# sourceMappingURL=/m.test(readFileSync(join(ROOT, path), 'utf8')),
    );
    expect(mapped).toEqual([]);
  });

  test('has whatever its documents link to', () => {
    const documents = [...files].filter((path) => path.endsWith('.md'));
    expect(documents).toContain('README.md');
    const all = documents.flatMap((path) =>
      [...readFileSync(join(ROOT, path), 'utf8').matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)|src="([^"]+)"/g)]
        .map(([, link, picture]) => link ?? picture ?? '')
        .filter((link) => !link.includes('://'))
        .map((link) => ({ path, link, target: normalize(join(dirname(path), link)) })),
    );
    expect(all.length).toBeGreaterThan(40);
    const isThere = (target: string) =>
      files.has(target) || [...files].some((path) => path.startsWith(`${target.replace(/\/$/, '')}/`));
    const dead = all.filter(({ target }) => !isThere(target));
    expect(dead.map(({ path, link }) => `${path}: ${link}`)).toEqual([]);
  });

  test('installs nothing that only some want', () => {
    expect(manifest.optionalDependencies).toBeUndefined();
    const asked = Object.keys(manifest.peerDependencies);
    expect(asked).toContain('fuse-native');
    expect(asked.filter((name) => manifest.peerDependenciesMeta[name]?.optional !== true)).toEqual([]);
    expect(asked.filter((name) => name in manifest.dependencies)).toEqual([]);
  });
});
