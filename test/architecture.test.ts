/**
 * Who may know whom, as a test: the layering `cli → fuse, inspect, lab → check, fs → alloc`, read from the
 * import statements, those of types included: a reader has to follow them like any other.
 *
 * The tables below are the architecture; a new edge is added here on purpose or not at all.
 * Besides, a few rules about the text of the repository that a linter does not have.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const LINES_AT_MOST = 600;
const COMMENT_COLUMNS = 100;
/** A line of a comment, or code with a comment behind it. */
const IS_COMMENT = /^\s*(\*|\/[/*])|[;{,)] \/\/ /;

/**
 * What files of a room may import, besides the room itself: paths from the root, or names of
 * modules.
 */
const MAY_IMPORT: Record<string, RegExp[]> = {
  'src/native.ts': [/^src\/aio\/device\.ts$/, /^node:(module|path|url)$/],
  'src/crc32c.ts': [/^src\/native\.ts$/, /^src\/common\/crc32c-script\.ts$/],
  'src/path-bytes.ts': [/^node:(fs|path)$/],
  'src/common': [/^node:/],
  'src/alloc': [],
  // Finds a user's policy by its file name; the policies themselves know nothing of files.
  'src/alloc/registry.ts': [/^src\/alloc\//, /^node:(child_process|fs|module|path|url)$/],
  // Runs in the thread of Node's loader.
  'src/alloc/module-hooks.ts': [/^node:(fs|module|url)$/, /^@swc\/wasm-typescript$/],
  'src/fs': [
    /^src\/common\//,
    /^src\/alloc\//,
    /^src\/aio\/device\.ts$/,
    /^src\/crc32c\.ts$/,
    /^node:(assert|crypto)$/,
  ],
  // Devices that no kernel is behind, for the laboratories and the tests.
  'src/sim': [/^src\/aio\/(device|local-completions|transfer-rules)\.ts$/, /^node:(assert|os)$/],
  'src/aio': [/^src\/common\//, /^src\/native\.ts$/, /^src\/crc32c\.ts$/, /^node:/],
  'src/fuse': [
    /^src\/common\//,
    /^src\/fs\/base\/(filesystem|errors|limits|empty-attributes)\.ts$/,
    // What it tells whoever records; of files it knows nothing.
    /^src\/record\/recorded-operation\.ts$/,
    /^src\/(native|path-bytes)\.ts$/,
    /^src\/aio\/device\.ts$/,
    /^node:/,
    /^fuse-native$/,
  ],
  'src/check': [
    /^src\/common\//,
    /^src\/fs\/format\/(format|layout|name-hash|node-blocks|features|backup-places)\.ts$/,
    /^src\/fs\/base\/errors\.ts$/,
    /^src\/aio\/device\.ts$/,
    /^src\/crc32c\.ts$/,
    /^bitset$/,
  ],
  // A volume read for people; opens nothing, and knows nothing of what a mount is.
  'src/inspect': [
    /^src\/fs\/format\//,
    /^src\/check\/(block-source|metadata-block|number-ranges|tree-node|inode-places|superblock-pass)\.ts$/,
    /^src\/aio\/device\.ts$/,
    /^src\/common\//,
  ],
  // Operations of a mount as a file: a mount writes it, the laboratory reads it.
  'src/record': [
    /^src\/common\//,
    /^src\/crc32c\.ts$/,
    // Names are hashed as the volume hashes them.
    /^src\/fs\/format\/name-hash\.ts$/,
    /^node:(crypto|fs|util|zlib)$/,
  ],
  // Texts of files for a system, made of the commands, and putting them into their places.
  'src/install': [/^src\/common\//, /^src\/fs\/format\/format\.ts$/, /^node:(fs|path)$/],
  // Archives as bytes; of volumes it knows nothing.
  'src/tar': [],
  // Numbers to pictures; of what, others know. Its renderer of PNG is loaded where it is wanted.
  'src/pictures': [/^src\/common\//],
  'src/lab': [
    /^src\/(alloc|fs|aio|sim|common|pictures|record)\//,
    /^src\/inspect\/(layout|free)-figures\.ts$/,
    // What is mounted where.
    /^src\/fuse\/mount-table\.ts$/,
    /^node:/,
  ],
  // Runs in a browser: of the rest it has pictures and texts of numbers, and of Node nothing.
  'src/page': [/^src\/pictures\/(cell-grid|colors|hilbert)\.ts$/, /^src\/common\/number-text\.ts$/],
  // A volume in a program, on any device; of mounts, commands and the addon it knows nothing.
  'src/program': [
    /^src\/(common|fs|alloc|sim)\//,
    /^src\/aio\/(device|local-completions)\.ts$/,
    // An id as text.
    /^src\/inspect\/value-text\.ts$/,
    /^node:/,
  ],
  // The package: joins a volume in a program with the way that commands open a path.
  'src/quarryfs.ts': [
    /^src\/(program|fs|common|check)\//,
    /^src\/aio\/device\.ts$/,
    /^src\/inspect\/value-text\.ts$/,
    /^src\/path-bytes\.ts$/,
    /^src\/cli\/(failure|making|storage-hold|target|uuids|volume-(failure|head|storage))\.ts$/,
    /^node:url$/,
  ],
  'src/cli': [
    /^src\/common\//,
    // What is said to the page.
    /^src\/page\/messages\.ts$/,
    /^src\/(alloc|fs|aio|sim|fuse|check|inspect|install|lab|pictures|program|record|tar)\//,
    /^src\/(crc32c|native|path-bytes|quarryfs)\.ts$/,
    /^node:/,
    /^(commander|log-update)$/,
  ],
};

/**
 * The rooms of src/fs from the ground up: a file imports from its own room and from those before
 * it.
 */
const FLOORS = ['base', 'format', 'transaction', 'tree', 'inodes', 'data', 'journal', 'life', ''];

/**
 * Programs: files that import someone's module, or one that need not be installed, at run time, and
 * so may use `import()`.
 */
const MAY_IMPORT_AT_RUN_TIME = /^src\/((cli|lab|fuse)\/|alloc\/registry\.ts$|pictures\/png\.ts$)/;

interface Source {
  path: string;
  /** Without comments. */
  code: string;
  lines: number;
  imports: { target: string }[];
}

function filesUnder(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
    .sort();
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}

function readSource(path: string): Source {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const code = withoutComments(text);
  const statements = code.matchAll(/^(?:import|export)\s(?:[^'";]*?\sfrom\s)?'([^']+)'/gm);
  const imports = [...statements].map(([, specifier = '']) => ({
    target: specifier.startsWith('.') ? relative(ROOT, join(ROOT, dirname(path), specifier)) : specifier,
  }));
  return { path, code, lines: text.split('\n').length - 1, imports };
}

const sources = filesUnder('src').map(readSource);

function roomOf(path: string): string {
  if (path in MAY_IMPORT) return path;
  return path.split('/').slice(0, 2).join('/');
}

describe('layering', () => {
  test('every file of src is in a room that the table knows', () => {
    expect(
      [...new Set(sources.map(({ path }) => roomOf(path)))].filter((room) => !(room in MAY_IMPORT)),
    ).toEqual([]);
  });

  test.each(Object.entries(MAY_IMPORT))('%s imports only what it may know', (room, allowed) => {
    const forbidden = sources
      .filter(({ path }) => roomOf(path) === room)
      .flatMap(({ path, imports }) =>
        imports
          .filter(({ target }) => roomOf(target) !== room && !allowed.some((pattern) => pattern.test(target)))
          .map(({ target }) => `${path} → ${target}`),
      );
    expect(forbidden).toEqual([]);
  });

  test('only src/native.ts loads the addon', () => {
    const loaders = sources.filter(({ code }) => /createRequire|\.node['"]|process\.dlopen/.test(code));
    // The hooks of the module loader look for a type stripper, the page for a library of charts.
    const others = ['src/fuse/fuse-native.ts', 'src/alloc/module-hooks.ts', 'src/cli/watch-web.ts'];
    expect(loaders.map(({ path }) => path).filter((path) => !others.includes(path))).toEqual([
      'src/native.ts',
    ]);
  });

  test('modules are imported at run time only where a user names them', () => {
    const dynamic = sources.filter(({ code }) => /\bimport\(/.test(code)).map(({ path }) => path);
    expect(dynamic.filter((path) => !MAY_IMPORT_AT_RUN_TIME.test(path))).toEqual([]);
  });

  test('no command but quarry lab loads the laboratory', () => {
    const loaders = sources.filter(
      ({ path, imports }) =>
        !path.startsWith('src/lab/') &&
        imports.some(({ target }) => /^src\/(lab|cli\/lab-[^/]*)\b/.test(target)),
    );
    expect(loaders.map(({ path }) => path).filter((path) => !/^src\/cli\/lab-/.test(path))).toEqual([]);
  });

  test('each room of src/fs stands on those before it', () => {
    const floorOf = (path: string) => FLOORS.indexOf(/^src\/fs\/(?:(.*)\/)?[^/]*$/.exec(path)?.[1] ?? '');
    const inside = sources.filter(({ path }) => path.startsWith('src/fs/'));
    expect(inside.filter(({ path }) => floorOf(path) < 0).map(({ path }) => path)).toEqual([]);
    const upwards = inside.flatMap(({ path, imports }) =>
      imports
        .filter(({ target }) => target.startsWith('src/fs/') && floorOf(target) > floorOf(path))
        .map(({ target }) => `${path} → ${target}`),
    );
    expect(upwards).toEqual([]);
  });

  test('no module needs itself, not even its types', () => {
    const graph = new Map(sources.map(({ path, imports }) => [path, imports.map(({ target }) => target)]));
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: string[]): void => {
      if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
      if (done.has(path) || trail.includes(path)) return;
      for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
      done.add(path);
    };
    for (const path of graph.keys()) visit(path, []);
    expect(cycles).toEqual([]);
  });
});

describe('docs/ERRORS.md', () => {
  /** Names and files of the classes that are errors, by what they extend. */
  function errorClasses(): { name: string; path: string }[] {
    const declared = sources.flatMap(({ path, code }) =>
      [...code.matchAll(/\bclass (\w+) extends (\w+)/g)].map(([, name = '', base = '']) => ({
        name,
        base,
        path,
      })),
    );
    const known = new Set(['Error', 'TypeError', 'RangeError', 'AggregateError', 'AssertionError']);
    for (let before = 0; before !== known.size; ) {
      before = known.size;
      for (const { name, base } of declared) if (known.has(base)) known.add(name);
    }
    return declared.filter(({ base }) => known.has(base));
  }

  test('has a row for every class of errors, and no other', () => {
    const text = readFileSync(join(ROOT, 'docs/ERRORS.md'), 'utf8');
    const rows = [...text.matchAll(/^\| `(\w+)`(?: \(`([^`]+)`\))? /gm)].map(
      ([, name = '', path = '']) => `${name} ${path}`,
    );
    const found = errorClasses();
    const isTwice = (name: string) => found.filter((other) => other.name === name).length > 1;
    const expected = found.map(({ name, path }) => `${name} ${isTwice(name) ? path : ''}`);
    expect(rows.sort()).toEqual(expected.sort());
  });
});

test('what scripts and benchmarks import of the build is built of a source', () => {
  const places = ['bench', 'scripts', 'examples'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.m?js$/.test(name))
      .map((name) => join(folder, name)),
  );
  const imports = places.flatMap((place) => {
    const text = readFileSync(join(ROOT, place), 'utf8');
    return [...text.matchAll(/(?:from |import\()'[./]*\/dist\/([\w./-]+)\.js'/g)].map(
      ([, name]) => `${name}.ts`,
    );
  });
  expect(imports.length).toBeGreaterThan(10);
  const paths = new Set(sources.map(({ path }) => path));
  expect(imports.filter((name) => !paths.has(`src/${name}`))).toEqual([]);
});

describe('the text', () => {
  test('nothing in src has the type any', () => {
    const files = sources.filter(({ code }) => /[:<|&(,]\s*any\b(?!\s*\()|\bas any\b/.test(code));
    expect(files.map(({ path }) => path)).toEqual([]);
  });

  test('no class or type has the name of another, nor one that shadows a global', () => {
    const placesOf = new Map<string, string[]>();
    for (const { path, code } of sources) {
      for (const [, name = ''] of code.matchAll(/^export (?:abstract )?(?:class|interface|type) (\w+)/gm))
        placesOf.set(name, [...(placesOf.get(name) ?? []), path]);
    }
    // `Bytes` is a public type of quarryfs/aio, and a field of the format.
    const twins = [...placesOf].filter(([name, places]) => new Set(places).size > 1 && name !== 'Bytes');
    expect(twins).toEqual([]);
    const shadows = [
      'Request',
      'Response',
      'Storage',
      'Node',
      'Event',
      'File',
      'Blob',
      'Map',
      'Set',
      'Error',
    ];
    expect(shadows.filter((name) => placesOf.has(name))).toEqual([]);
  });

  test('only policies of allocation have a default export', () => {
    const files = sources.filter(({ code }) => /^export default\b/m.test(code)).map(({ path }) => path);
    expect(files.filter((path) => !path.startsWith('src/alloc/'))).toEqual([]);
  });

  test(`no file of src is longer than ${LINES_AT_MOST} lines`, () => {
    expect(sources.filter(({ lines }) => lines > LINES_AT_MOST).map(({ path }) => path)).toEqual([]);
  });

  test('every file of src opens with what it is', () => {
    const silent = sources.filter(
      ({ path }) => !/^(#!.*\n)?\/\*\*/.test(readFileSync(join(ROOT, path), 'utf8')),
    );
    expect(silent.map(({ path }) => path)).toEqual([]);
  });

  test(`no comment of src or native is wider than ${COMMENT_COLUMNS} columns`, () => {
    const native = readdirSync(join(ROOT, 'native')).map((name) => join('native', name));
    const wide = [...sources.map(({ path }) => path), ...native].flatMap((path) =>
      readFileSync(join(ROOT, path), 'utf8')
        .split('\n')
        .map((line, index) => ({ line, place: `${path}:${index + 1}` }))
        .filter(({ line }) => [...line].length > COMMENT_COLUMNS && IS_COMMENT.test(line)),
    );
    expect(wide.map(({ place }) => place)).toEqual([]);
  });

  test('no test is switched off or singled out', () => {
    const marked = filesUnder('test').filter((path) =>
      /\b(test|it|describe)\.(only|skip|todo)\(/.test(
        withoutComments(readFileSync(join(ROOT, path), 'utf8')),
      ),
    );
    expect(marked).toEqual([]);
  });

  test('no test calls sync(2), which commits on the volumes of every other test', () => {
    const global = filesUnder('test/mount').filter((path) =>
      /\bos\.sync\(|(&&|;|`|shell\(['"])\s*sync\s*(&&|;|`|['"]\))/.test(
        readFileSync(join(ROOT, path), 'utf8'),
      ),
    );
    expect(global).toEqual([]);
  });
});
