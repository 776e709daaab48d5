/**
 * What programs ask of `fs.promises`, as a table: each case works in an empty directory of its own and
 * answers with something that can be compared. What it throws is an answer too.
 */

import { once } from 'node:events';
import { constants } from 'node:fs';
import { Readable } from 'node:stream';
import type { ProgramVolume, VolumeFileHandle } from '../../src/quarryfs.ts';

/** The calls under test: those of a volume, or of Node itself. */
export type Calls = Omit<ProgramVolume, 'label' | 'uuid'>;

/** @param at the path of a name in the directory of the case */
export type ProgramCase = (fs: Calls, at: (name: string) => string) => Promise<unknown>;

export interface Failure {
  readonly failed: string;
}

/** An error, as far as it says the same everywhere. */
export function failureOf(thrown: unknown): Failure {
  const { name, code, syscall, path, dest, errno } = Object(thrown);
  const isSystem = typeof errno === 'number' && errno < 0;
  return { failed: [isSystem ? `${errno}` : name, code, syscall, path, dest].filter(Boolean).join(' ') };
}

/** What the work answers, or how it fails. */
async function tried(work: Promise<unknown> | (() => Promise<unknown>)): Promise<unknown> {
  try {
    const answer = await (typeof work === 'function' ? work() : work);
    return answer === undefined ? 'done' : answer;
  } catch (thrown) {
    return failureOf(thrown);
  }
}

async function inTurn(...works: (() => Promise<unknown>)[]): Promise<unknown[]> {
  const answers: unknown[] = [];
  for (const work of works) answers.push(await tried(work));
  return answers;
}

async function opened<T>(
  fs: Calls,
  path: string,
  flags: string | number,
  use: (handle: VolumeFileHandle) => Promise<T>,
): Promise<T> {
  const handle = await fs.open(path, flags);
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}

async function shapeOf(fs: Calls, path: string): Promise<unknown> {
  const found = await fs.lstat(path);
  const kinds = ['isFile', 'isDirectory', 'isSymbolicLink', 'isFIFO', 'isSocket', 'isBlockDevice'] as const;
  const { mode, uid, gid, nlink } = found;
  const size = found.isDirectory() ? 0 : found.size;
  return {
    mode,
    uid,
    gid,
    nlink: found.isDirectory() ? 0 : nlink,
    size,
    is: kinds.filter((kind) => found[kind]()),
  };
}

/** Tree of a directory: names with types and contents. */
async function treeOf(fs: Calls, path: string): Promise<unknown> {
  const found: Record<string, unknown> = {};
  for (const entry of await fs.readdir(path, { withFileTypes: true })) {
    const below = `${path}/${entry.name}`;
    if (entry.isDirectory()) found[entry.name] = await treeOf(fs, below);
    else if (entry.isSymbolicLink()) found[entry.name] = `-> ${await fs.readlink(below)}`;
    else found[entry.name] = await fs.readFile(below, 'utf8');
  }
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function smallTree(fs: Calls, at: (name: string) => string): Promise<void> {
  await fs.mkdir(at('t/d/e'), { recursive: true });
  await fs.writeFile(at('t/a'), 'in a');
  await fs.writeFile(at('t/d/b'), 'in b');
  await fs.symlink('../a', at('t/d/up'));
  await fs.symlink('nowhere', at('t/gone'));
}

const FLAGS = [
  'r',
  'r+',
  'rs',
  'rs+',
  'sr',
  'w',
  'wx',
  'xw',
  'w+',
  'wx+',
  'a',
  'ax',
  'xa',
  'as',
  'a+',
  'ax+',
  'as+',
];
const WRONG_FLAGS = ['', 'z', 'rw', 'r++', 'wa', '__proto__'];
const WRONG_PATHS: readonly unknown[] = [
  '',
  'a\0b',
  undefined,
  null,
  7,
  {},
  [],
  'x'.repeat(256),
  'y/'.repeat(2100),
];

/** Is a path opened by these flags, there or not, what does it hold then? */
function flagCase(flag: string): ProgramCase {
  return (fs, at) =>
    inTurn(
      () => fs.open(at('new'), flag).then((handle) => handle.close()),
      () => fs.writeFile(at('old'), 'before'),
      () =>
        opened(fs, at('old'), flag, (handle) =>
          inTurn(
            () => handle.write('xy'),
            () => handle.readFile('utf8'),
            () => handle.truncate(1),
          ),
        ),
      () => fs.readFile(at('old'), 'utf8'),
      () => fs.readdir(at('.')).then((names) => names.sort()),
      () => fs.open(at('nodir/new'), flag),
      () => fs.mkdir(at('dir')),
      () => fs.open(at('dir'), flag).then((handle) => handle.close()),
      () => fs.symlink('dangling', at('link')),
      () => fs.open(at('link'), flag).then((handle) => handle.close()),
      () => fs.readdir(at('.')).then((names) => names.sort()),
    );
}

/** What a name of the cases below stands for. */
const PLANTS: Readonly<Record<string, (fs: Calls, path: string) => Promise<unknown>>> = {
  file: (fs, path) => fs.writeFile(path, 'content', { mode: 0o640 }),
  other: (fs, path) => fs.writeFile(path, 'other content'),
  dir: (fs, path) => fs.mkdir(path),
  full: (fs, path) => fs.mkdir(`${path}/inner`, { recursive: true }),
  tofile: (fs, path) => fs.symlink('file', path),
  todir: (fs, path) => fs.symlink('dir', path),
  dangling: (fs, path) => fs.symlink('nowhere', path),
  loop: (fs, path) => fs.symlink('loop', path),
};

/** Makes what paths name, and nothing else: there are many of them. */
async function plant(fs: Calls, root: string, paths: readonly string[]): Promise<void> {
  await fs.mkdir(root);
  const wanted = new Set(paths.flatMap((path) => path.split('/')));
  if (wanted.has('tofile')) wanted.add('file');
  if (wanted.has('todir')) wanted.add('dir');
  for (const name of wanted) await PLANTS[name]?.(fs, `${root}/${name}`);
}

/** A call of one path on everything that a path can lead to. */
function everywhere(call: (fs: Calls, path: string) => Promise<unknown>): ProgramCase {
  const names = ['missing', 'missing/x', 'file', 'file/', 'file/x', 'dir', 'dir/', 'dir/.', 'dir/..', 'full'];
  const links = [
    'tofile',
    'tofile/',
    'todir',
    'todir/',
    'dangling',
    'dangling/',
    'loop',
    'loop/x',
    'todir/../file',
  ];
  return async (fs, at) => {
    const answers: Record<string, unknown> = {};
    for (const [place, name] of [...names, ...links].entries()) {
      await plant(fs, at(`${place}`), [name]);
      answers[name] = await tried(() => call(fs, at(`${place}/${name}`)));
      answers[`${name}: after`] = await tried(() => treeOf(fs, at(`${place}`)));
    }
    return answers;
  };
}

/** A call of two paths, from and to everything. */
function betweenAll(
  call: (fs: Calls, from: string, to: string) => Promise<unknown>,
  sources?: readonly string[],
): ProgramCase {
  const names = [
    'missing',
    'file',
    'file/',
    'other',
    'dir',
    'dir/',
    'full',
    'tofile',
    'todir',
    'dangling',
    'loop',
  ];
  return async (fs, at) => {
    const answers: Record<string, unknown> = {};
    for (const from of sources ?? names) {
      for (const to of [...names, 'new', 'new/', 'nodir/new', 'file/new', 'dir/new', 'dir/.']) {
        const place = `${from}-${to}`.replaceAll('/', '_');
        await plant(fs, at(place), [from, to]);
        answers[`${from} ${to}`] = await tried(() => call(fs, at(`${place}/${from}`), at(`${place}/${to}`)));
        answers[`${from} ${to}: after`] = await tried(() => treeOf(fs, at(place)));
      }
    }
    return answers;
  };
}

async function* yielding(...parts: string[]): AsyncGenerator<string> {
  yield* parts;
}

function without(found: object, ...names: string[]): unknown {
  return Object.fromEntries(Object.entries(found).filter(([name]) => !names.includes(name)));
}

export const CASES: Readonly<Record<string, ProgramCase>> = {
  ...Object.fromEntries(FLAGS.map((flag) => [`open ${flag}`, flagCase(flag)])),
  'open with a flag that is none': (fs, at) =>
    inTurn(...WRONG_FLAGS.map((flag) => () => fs.open(at('x'), flag))),
  'open with numbers': async (fs, at) => {
    const { O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY, O_NOFOLLOW, O_WRONLY } = constants;
    await fs.mkdir(at('dir'));
    await fs.symlink('file', at('link'));
    const wishes: [string, number][] = [
      ['file', O_RDWR],
      ['file', O_RDWR | O_CREAT],
      ['file', O_RDWR | O_CREAT | O_EXCL],
      ['file', O_DIRECTORY],
      ['dir', O_DIRECTORY],
      ['dir', O_RDWR],
      ['dir', O_CREAT],
      ['dir', O_TRUNC],
      ['link', O_NOFOLLOW],
      ['link', O_WRONLY | O_APPEND],
      ['link', O_CREAT | O_EXCL],
      ['new/', O_CREAT],
      ['dir/new/', O_CREAT | O_WRONLY],
    ];
    return inTurn(
      ...wishes.map(
        ([name, flags]) =>
          () =>
            fs.open(at(name), flags).then((h) => h.close()),
      ),
    );
  },
  'modes by the umask': async (fs, at) => {
    await fs.writeFile(at('usual'), '');
    await fs.writeFile(at('set'), '', { mode: 0o600 });
    await fs.writeFile(at('text'), '', { mode: '755' });
    await fs.mkdir(at('d'));
    await fs.mkdir(at('d700'), 0o700);
    await fs.mkdir(at('dtext'), { mode: '0711' });
    await fs.mkdir(at('p/q'), { recursive: true, mode: 0o750 });
    await fs.symlink('usual', at('l'));
    const names = ['usual', 'set', 'text', 'd', 'd700', 'dtext', 'p', 'p/q', 'l'];
    return Promise.all(names.map((name) => shapeOf(fs, at(name))));
  },
  'modes that are none': (fs, at) =>
    inTurn(
      ...[-1, 1.5, 2 ** 32, '8', 'x', '', {}, true].map(
        (mode) => () => fs.mkdir(at(`m${String(mode)}`), { mode: mode as number }),
      ),
      ...[-1, 1.5, 2 ** 32, '9', null, undefined].map((mode) => () => fs.chmod(at('.'), mode as number)),
    ),
  'paths that are none': async (fs) => {
    const calls: ((path: string) => Promise<unknown>)[] = [
      (path) => fs.readFile(path),
      (path) => fs.writeFile(path, ''),
      (path) => fs.stat(path),
      (path) => fs.lstat(path),
      (path) => fs.mkdir(path),
      (path) => fs.rmdir(path),
      (path) => fs.unlink(path),
      (path) => fs.readdir(path),
      (path) => fs.readlink(path),
      (path) => fs.access(path),
      (path) => fs.truncate(path),
      (path) => fs.utimes(path, 1, 1),
    ];
    const answers: unknown[] = [];
    for (const call of calls)
      for (const path of WRONG_PATHS.filter((wrong) => wrong !== 7 || call !== calls[0]))
        answers.push(await tried(() => call(path as string)));
    return answers;
  },
  'paths as buffers and URLs': async (fs, at) => {
    await fs.writeFile(Buffer.from(at('ü')), 'by bytes');
    const url = new URL(`file://${at('%C3%BC')}`);
    return inTurn(
      () => fs.readFile(url, 'utf8'),
      () => fs.readFile(at('ü'), 'latin1'),
      () => fs.readdir(at('.'), 'buffer'),
      () => fs.readdir(at('.'), { encoding: 'hex' }),
      () => fs.readdir(at('.'), { encoding: 'nonsense' as 'hex' }),
      () => fs.readFile(at('ü'), 'nonsense' as 'utf8'),
    );
  },
  'names that are no text': async (fs, at) => {
    const path = Buffer.concat([Buffer.from(at('')), Buffer.from([0xff, 0x61, 0xfe])]);
    await fs.writeFile(path, 'odd');
    return inTurn(
      () => fs.readdir(at('.'), 'buffer'),
      () => fs.readdir(at('.')),
      () => fs.readFile(path, 'utf8'),
    );
  },
  'readFile everywhere': everywhere((fs, path) => fs.readFile(path, 'utf8')),
  'writeFile everywhere': everywhere((fs, path) => fs.writeFile(path, 'new')),
  'appendFile everywhere': everywhere((fs, path) => fs.appendFile(path, '+')),
  'stat everywhere': everywhere(async (fs, path) => (await fs.stat(path)).isDirectory()),
  'lstat everywhere': everywhere(async (fs, path) => (await fs.lstat(path)).isSymbolicLink()),
  'readdir everywhere': everywhere(async (fs, path) => (await fs.readdir(path)).sort()),
  'opendir everywhere': everywhere(async (fs, path) => {
    const directory = await fs.opendir(path);
    const names: string[] = [];
    for await (const entry of directory) names.push(entry.name);
    return names.sort();
  }),
  'mkdir everywhere': everywhere((fs, path) => fs.mkdir(path)),
  'mkdir recursive everywhere': everywhere((fs, path) => fs.mkdir(path, { recursive: true })),
  'rmdir everywhere': everywhere((fs, path) => fs.rmdir(path)),
  'unlink everywhere': everywhere((fs, path) => fs.unlink(path)),
  'rm everywhere': everywhere((fs, path) => fs.rm(path)),
  'rm force everywhere': everywhere((fs, path) => fs.rm(path, { force: true })),
  'readlink everywhere': everywhere((fs, path) => fs.readlink(path)),
  'realpath everywhere': everywhere((fs, path) => fs.realpath(path)),
  'access everywhere': everywhere((fs, path) => fs.access(path)),
  'truncate everywhere': everywhere((fs, path) => fs.truncate(path, 3)),
  'chmod everywhere': everywhere((fs, path) => fs.chmod(path, 0o600)),
  'chown everywhere': everywhere((fs, path) => fs.chown(path, -1, -1)),
  'lchown everywhere': everywhere((fs, path) => fs.lchown(path, -1, -1)),
  'utimes everywhere': everywhere((fs, path) => fs.utimes(path, 1, 2)),
  'lutimes everywhere': everywhere((fs, path) => fs.lutimes(path, 1, 2)),
  'symlink everywhere': everywhere((fs, path) => fs.symlink('target', path)),
  'mkdtemp everywhere': everywhere(async (fs, path) => {
    const made = await fs.mkdtemp(`${path}/pre-`);
    await fs.rmdir(made);
    return made.length - path.length;
  }),
  'rename between all': betweenAll((fs, from, to) => fs.rename(from, to)),
  'link between all': betweenAll((fs, from, to) => fs.link(from, to)),
  // Of a directory, Node removes the target; a volume leaves it alone.
  'copyFile between all': betweenAll(
    (fs, from, to) => fs.copyFile(from, to),
    ['missing', 'file', 'file/', 'tofile', 'dangling', 'loop'],
  ),
  'copyFile of what is there': async (fs, at) => {
    await fs.writeFile(at('a'), 'a', { mode: 0o751 });
    await fs.writeFile(at('b'), 'longer');
    return inTurn(
      () => fs.copyFile(at('a'), at('b'), constants.COPYFILE_EXCL),
      () => fs.copyFile(at('a'), at('c'), constants.COPYFILE_EXCL),
      () => fs.copyFile(at('a'), at('b')),
      () => shapeOf(fs, at('b')),
      () => shapeOf(fs, at('c')),
      () => fs.copyFile(at('a'), at('d'), 8),
      () => fs.copyFile(at('a'), at('d'), 'x' as unknown as number),
      () => treeOf(fs, at('.')),
    );
  },
  'rm of trees': async (fs, at) => {
    await smallTree(fs, at);
    await fs.symlink('t', at('tolink'));
    return inTurn(
      () => fs.rm(at('t')),
      () => fs.rm(at('tolink'), { recursive: true }),
      () => fs.rm(at('t/d'), { recursive: true }),
      () => treeOf(fs, at('.')),
      () => fs.rm(at('t'), { recursive: true, force: true }),
      () => fs.rm(at('t'), { recursive: true }),
      () => treeOf(fs, at('.')),
    );
  },
  'mkdir recursive says what it made': async (fs, at) =>
    inTurn(
      () => fs.mkdir(at('a/b/c'), { recursive: true }),
      () => fs.mkdir(at('a/b/c'), { recursive: true }),
      () => fs.mkdir(at('a/b/d/e/'), { recursive: true }),
      () => fs.mkdir(at('a//x/../y'), { recursive: true }),
      () => treeOf(fs, at('.')),
    ),
  'readdir with types and recursive': async (fs, at) => {
    await smallTree(fs, at);
    const types = await fs.readdir(at('t'), { withFileTypes: true });
    const deep = await fs.readdir(at('t'), { withFileTypes: true, recursive: true });
    return {
      names: (await fs.readdir(at('t'))).sort(),
      recursive: (await fs.readdir(at('t'), { recursive: true })).sort(),
      types: types
        .map((one) => [one.name, one.isFile(), one.isDirectory(), one.isSymbolicLink()].join())
        .sort(),
      deep: deep.map((one) => `${one.parentPath} ${one.name} ${one.isDirectory()}`).sort(),
    };
  },
  'opendir and its ends': async (fs, at) => {
    await smallTree(fs, at);
    const directory = await fs.opendir(at('t'));
    const names: string[] = [];
    for (let entry = await directory.read(); entry !== null; entry = await directory.read())
      names.push(entry.name);
    return [
      names.sort(),
      await tried(directory.read()),
      await tried(directory.close()),
      await tried(() => directory.close()),
      await tried(() => directory.read()),
      directory.path,
    ];
  },
  'cp of files': async (fs, at) => {
    await fs.writeFile(at('a'), 'a');
    await fs.writeFile(at('b'), 'b');
    await fs.mkdir(at('dir'));
    return inTurn(
      () => fs.cp(at('a'), at('new')),
      () => fs.cp(at('a'), at('deep/er/new')),
      () => fs.cp(at('a'), at('b'), { force: false }),
      () => fs.cp(at('a'), at('b'), { force: false, errorOnExist: true }),
      () => fs.readFile(at('b'), 'utf8'),
      () => fs.cp(at('a'), at('b')),
      () => fs.cp(at('a'), at('a')),
      () => fs.cp(at('a'), at('dir')),
      () => fs.cp(at('dir'), at('a'), { recursive: true }),
      () => fs.cp(at('dir'), at('dir2')),
      () => fs.cp(at('missing'), at('x')),
      () => treeOf(fs, at('.')),
    );
  },
  'cp of trees': async (fs, at) => {
    await smallTree(fs, at);
    await fs.chmod(at('t/a'), 0o640);
    return inTurn(
      () => fs.cp(at('t'), at('u'), { recursive: true, verbatimSymlinks: true }),
      () => shapeOf(fs, at('u/a')),
      () => fs.cp(at('t/d'), at('v'), { recursive: true }),
      () => fs.cp(at('t'), at('t/d/below'), { recursive: true }),
      () =>
        fs.cp(at('t'), at('w'), {
          recursive: true,
          filter: (from) => !/(b|gone)$/.test(from),
          verbatimSymlinks: true,
        }),
      () => treeOf(fs, at('.')),
    );
  },
  'cp keeps times': async (fs, at) => {
    await fs.writeFile(at('a'), 'a');
    await fs.utimes(at('a'), 1000, 2000);
    await fs.cp(at('a'), at('b'), { preserveTimestamps: true });
    return (await fs.stat(at('b'))).mtimeMs;
  },
  'cp through links': async (fs, at) => {
    await smallTree(fs, at);
    await fs.unlink(at('t/gone'));
    await fs.cp(at('t'), at('u'), { recursive: true, dereference: true });
    return treeOf(fs, at('u'));
  },
  'stats as bigints': async (fs, at) => {
    await fs.writeFile(at('f'), 'four');
    await fs.utimes(at('f'), 1.5, 1234567890.25);
    const found = await fs.stat(at('f'), { bigint: true });
    const { size, mode, nlink, uid, gid, rdev, atimeNs, mtimeNs, atimeMs, mtimeMs, mtime } = found;
    // Node 22 and later make dates only when they are asked for.
    const isNumber = (name: string) => !/time$/.test(name);
    const names = Object.keys(await fs.stat(at('f')))
      .filter(isNumber)
      .sort();
    const bigNames = Object.keys(found).filter(isNumber).sort();
    return { size, mode, nlink, uid, gid, rdev, atimeNs, mtimeNs, atimeMs, mtimeMs, mtime, names, bigNames };
  },
  'statfs has what it has': async (fs, at) => {
    const numbers = await fs.statfs(at('.'));
    const bigints = await fs.statfs(at('.'), { bigint: true });
    // Node 24 has the size of a fragment as well.
    const kinds = (found: object) =>
      Object.entries(found)
        .filter(([name]) => name !== 'frsize')
        .map(([name, value]) => `${name} ${typeof value}`)
        .sort();
    return [kinds(numbers), kinds(bigints), await tried(fs.statfs(at('missing')))];
  },
  'times of all kinds': async (fs, at) => {
    await fs.writeFile(at('f'), '');
    const answers: unknown[] = [];
    for (const time of [0, 1, 1.25, 2 ** 31 + 1, '5', '7.5', new Date(99_000), 1e9 + 0.125]) {
      await fs.utimes(at('f'), time, time);
      const { atimeMs, mtimeMs } = await fs.stat(at('f'));
      answers.push([atimeMs, mtimeMs]);
    }
    for (const wrong of ['x', {}, null, undefined, Number.NaN, Number.POSITIVE_INFINITY, true])
      answers.push(await tried(() => fs.utimes(at('f'), wrong as number, 1)));
    return answers;
  },
  'times of a link itself': async (fs, at) => {
    await fs.writeFile(at('f'), '');
    await fs.symlink('f', at('l'));
    await fs.lutimes(at('l'), 10, 20);
    await fs.utimes(at('l'), 30, 40);
    return [
      (await fs.lstat(at('l'))).mtimeMs,
      (await fs.stat(at('l'))).mtimeMs,
      (await fs.stat(at('f'))).atimeMs,
    ];
  },
  owners: async (fs, at) => {
    await fs.writeFile(at('f'), '', { mode: 0o755 });
    const wrong = ['x', 1.5, -2, 2 ** 32, undefined];
    return [
      await tried(fs.chown(at('f'), process.getuid?.() ?? 0, process.getgid?.() ?? 0)),
      ...(await inTurn(...wrong.map((id) => () => fs.chown(at('f'), id as number, 0)))),
      await shapeOf(fs, at('f')),
    ];
  },
  'access asks the mode': async (fs, at) => {
    await fs.writeFile(at('f'), '', { mode: 0o600 });
    await fs.writeFile(at('x'), '', { mode: 0o700 });
    const { F_OK, R_OK, W_OK, X_OK } = constants;
    return inTurn(
      ...[F_OK, R_OK, W_OK, R_OK | W_OK].map((mode) => () => fs.access(at('f'), mode)),
      () => fs.access(at('f'), X_OK),
      () => fs.access(at('x'), X_OK),
      () => fs.access(at('.'), X_OK),
      () => fs.access(at('f'), 8),
      () => fs.access(at('f'), 'r' as unknown as number),
    );
  },
  'positions of a handle': async (fs, at) => {
    await fs.writeFile(at('f'), '0123456789');
    return opened(fs, at('f'), 'r+', async (handle) => {
      const read = async (length: number, position?: number | null) => {
        const { bytesRead, buffer } = await handle.read(Buffer.alloc(length), 0, length, position);
        return buffer.subarray(0, bytesRead).toString();
      };
      return inTurn(
        () => read(3),
        () => read(2, 8),
        () => read(2, null),
        () => read(2, -1),
        () => handle.write('AB'),
        () => handle.write('CD', 0),
        () => handle.write(Buffer.from('xEFx'), 1, 2, 4),
        () => read(9),
        () => read(9),
        () => read(1, 100),
        () => handle.readFile('utf8'),
        () => fs.readFile(at('f'), 'utf8'),
      );
    });
  },
  'arguments of read': async (fs, at) => {
    await fs.writeFile(at('f'), '0123456789');
    return opened(fs, at('f'), 'r', (handle) =>
      inTurn(
        async () => without(await handle.read(), 'buffer'),
        () => handle.read(Buffer.alloc(4), 2, 2, 0),
        () => handle.read(Buffer.alloc(4), { offset: 1, length: 2, position: 5 }),
        () => handle.read({ buffer: Buffer.alloc(3), position: 7 }),
        () => handle.read(new Uint16Array(3), 0, 6, 0).then(({ buffer }) => Array.from(buffer)),
        () => handle.read(Buffer.alloc(4), 5, 1, 0),
        () => handle.read(Buffer.alloc(4), 0, 5, 0),
        () => handle.read(Buffer.alloc(4), 0, -1, 0),
        () => handle.read(Buffer.alloc(4), -1, 1, 0),
        () => handle.read(Buffer.alloc(0), 0, 0, 0),
        () => handle.read(Buffer.alloc(4), 0, 0, 0),
        () => handle.read('x' as unknown as Buffer),
        () => handle.readv([Buffer.alloc(3), Buffer.alloc(20)], 2),
        () => handle.readv([Buffer.alloc(3)]),
        () => handle.readv('x' as unknown as Buffer[]),
      ),
    );
  },
  'arguments of write': (fs, at) =>
    opened(fs, at('f'), 'w+', (handle) =>
      inTurn(
        () => handle.write(Buffer.from('abc')),
        () => handle.write(Buffer.from('abc'), 1),
        () => handle.write(Buffer.from('abc'), 1, 1),
        () => handle.write(Buffer.from('abc'), { offset: 2, position: 0 }),
        () => handle.write('é', null, 'latin1'),
        () => handle.write('zz', 20),
        () => handle.write(Buffer.from('abc'), 4),
        () => handle.write(Buffer.from('abc'), 0, 4),
        () => handle.write(7 as unknown as string),
        () => handle.write(new Uint16Array([0x4142, 0x4344])),
        () => handle.writev([Buffer.from('12'), Buffer.from('34')]),
        () => handle.writev([Buffer.from('56')], 0),
        () => fs.readFile(at('f')),
      ),
    ),
  'appending handles': async (fs, at) => {
    await fs.writeFile(at('f'), 'start.');
    await opened(fs, at('f'), 'a+', async (handle) => {
      await handle.write('one.', 0);
      await handle.writeFile('two.');
      await handle.appendFile('three.');
    });
    await Promise.all(Array.from({ length: 20 }, () => fs.appendFile(at('g'), 'x')));
    return [await fs.readFile(at('f'), 'utf8'), await fs.readFile(at('g'), 'utf8')];
  },
  'handles write from where they are': async (fs, at) => {
    await fs.writeFile(at('f'), '0123456789');
    await opened(fs, at('f'), 'r+', async (handle) => {
      await handle.read(Buffer.alloc(2));
      await handle.writeFile('AB');
      await handle.writeFile('CD');
    });
    return fs.readFile(at('f'), 'utf8');
  },
  'attributes by handle': (fs, at) =>
    opened(fs, at('f'), 'w+', async (handle) => {
      await handle.write('0123456789');
      await handle.chmod(0o604);
      await handle.truncate(4);
      await handle.utimes(5, 6);
      await handle.chown(process.getuid?.() ?? 0, process.getgid?.() ?? 0);
      await handle.sync();
      await handle.datasync();
      const { size, mode, mtimeMs, atimeMs } = await handle.stat();
      const big = await handle.stat({ bigint: true });
      return [
        size,
        mode,
        mtimeMs,
        atimeMs,
        big.size,
        await tried(handle.truncate(-5)),
        (await handle.stat()).size,
      ];
    }),
  'a handle that is closed': async (fs, at) => {
    const handle = await fs.open(at('f'), 'w+');
    let heard = 0;
    handle.on('close', () => heard++);
    await handle.close();
    return [
      handle.fd,
      heard,
      ...(await inTurn(
        () => handle.stat(),
        () => handle.read(Buffer.alloc(1)),
        () => handle.write('x'),
        () => handle.sync(),
        () => handle.truncate(),
        () => handle.readFile(),
      )),
    ];
  },
  'a handle lives on without a name': async (fs, at) => {
    await fs.writeFile(at('f'), 'still here');
    return opened(fs, at('f'), 'r+', async (handle) => {
      await fs.unlink(at('f'));
      await handle.write('more', 20);
      const { size, nlink } = await handle.stat();
      return [size, nlink, await handle.readFile('latin1'), await tried(fs.stat(at('f')))];
    });
  },
  'a handle of a directory': async (fs, at) => {
    await fs.mkdir(at('d'));
    return opened(fs, at('d'), 'r', (handle) =>
      inTurn(
        async () => (await handle.stat()).isDirectory(),
        () => handle.read(Buffer.alloc(4)),
        () => handle.readFile(),
        () => handle.chmod(0o711),
        () => handle.sync(),
        () => handle.truncate(),
      ),
    );
  },
  'writeFile of all kinds': async (fs, at) => {
    const contents: unknown[] = [
      'text',
      Buffer.from('bytes'),
      new Uint16Array([0x4141, 0x4242]),
      new DataView(Uint8Array.of(67, 68).buffer),
      ['one', 'two', Buffer.from('three')],
      yielding('a', 'b', 'c'),
      Readable.from(['from ', 'a ', 'stream']),
      '',
      [],
      7,
      null,
      undefined,
      {},
      [7],
      true,
    ];
    const answers: unknown[] = [];
    for (const content of contents) {
      answers.push(
        await tried(() => fs.writeFile(at('f'), content as string)),
        await tried(() => fs.readFile(at('f'))),
      );
    }
    return answers;
  },
  encodings: async (fs, at) => {
    const answers: unknown[] = [];
    for (const encoding of ['utf8', 'latin1', 'hex', 'base64', 'base64url', 'utf16le', 'ascii'] as const) {
      await fs.writeFile(at(encoding), 'abcdef12', encoding);
      answers.push(await fs.readFile(at(encoding)), await fs.readFile(at(encoding), { encoding }));
    }
    return answers;
  },
  'flags of whole files': (fs, at) =>
    inTurn(
      () => fs.writeFile(at('f'), 'one', { flag: 'wx' }),
      () => fs.writeFile(at('f'), 'two', { flag: 'wx' }),
      () => fs.writeFile(at('f'), 'three', { flag: 'a' }),
      () => fs.readFile(at('f'), { encoding: 'utf8', flag: 'r+' }),
      () => fs.readFile(at('new'), { encoding: 'utf8', flag: 'a+' }),
      () => fs.readFile(at('f'), { flag: 'w' }),
      () => fs.appendFile(at('f'), 'four', { mode: 0o600 }),
      () => fs.writeFile(at('g'), 'five', { flush: true }),
      () => treeOf(fs, at('.')),
    ),
  signals: async (fs, at) => {
    await fs.writeFile(at('f'), 'x'.repeat(3_000_000));
    const late = new AbortController();
    const reading = tried(fs.readFile(at('f'), { signal: late.signal }));
    late.abort();
    return [
      ...(await inTurn(
        () => fs.readFile(at('f'), { signal: AbortSignal.abort() }),
        () => fs.writeFile(at('g'), 'x', { signal: AbortSignal.abort() }),
        () => fs.readFile(at('f'), { signal: 'x' as unknown as AbortSignal }),
      )),
      await reading,
      (await fs.exists?.(at('g'))) ??
        (await fs.access(at('g')).then(
          () => true,
          () => false,
        )),
    ];
  },
  'streams of a handle': async (fs, at) => {
    const stream = (await fs.open(at('f'), 'w')).createWriteStream();
    stream.write('first,');
    stream.end('second');
    await once(stream, 'close');
    const collect = async (options?: object) => {
      const handle = await fs.open(at('f'));
      const parts: string[] = [];
      for await (const part of handle.createReadStream(options)) parts.push(part.toString());
      return [parts.join(''), handle.fd];
    };
    return inTurn(
      () => collect(),
      () => collect({ start: 3 }),
      () => collect({ start: 3, end: 5 }),
      () => collect({ end: 2 }),
      () => collect({ encoding: 'hex' }),
      () => collect({ start: 5, end: 3 }),
      () => collect({ start: -1 }),
      async () => {
        const handle = await fs.open(at('f'));
        await handle.read(Buffer.alloc(3), 0, 3);
        const parts: string[] = [];
        for await (const part of handle.createReadStream({ end: 5 })) parts.push(part.toString());
        return parts.join('');
      },
    );
  },
  'lines of a handle': async (fs, at) => {
    await fs.writeFile(at('f'), 'one\ntwo\r\nthree');
    const lines: string[] = [];
    for await (const line of (await fs.open(at('f'))).readLines()) lines.push(line);
    return lines;
  },
  holes: async (fs, at) => {
    await opened(fs, at('f'), 'w', (handle) => handle.write('end', 300_000));
    await fs.truncate(at('f'), 400_000);
    const whole = await fs.readFile(at('f'));
    return [
      whole.length,
      whole.indexOf('end'),
      whole.every((byte, index) => byte === 0 || Math.abs(index - 300_001) < 3),
    ];
  },
  'large files': async (fs, at) => {
    const content = Buffer.from(Uint8Array.from({ length: 5_300_001 }, (_, index) => (index * 31) >> 3));
    await fs.writeFile(at('f'), content);
    const part = await opened(fs, at('f'), 'r', (handle) =>
      handle.read(Buffer.alloc(2_500_000), 0, 2_500_000, 2_000_003),
    );
    return [
      content.equals(await fs.readFile(at('f'))),
      part.bytesRead,
      content.subarray(2_000_003, 4_500_003).equals(part.buffer),
    ];
  },
  'links count': async (fs, at) => {
    await fs.writeFile(at('a'), 'shared');
    await fs.link(at('a'), at('b'));
    await fs.appendFile(at('b'), '!');
    const [one, other] = [await fs.stat(at('a')), await fs.stat(at('b'))];
    await fs.unlink(at('a'));
    return [
      one.ino === other.ino,
      one.nlink,
      (await fs.stat(at('b'))).nlink,
      await fs.readFile(at('b'), 'utf8'),
    ];
  },
  'links into links': async (fs, at) => {
    await fs.mkdir(at('d/e'), { recursive: true });
    await fs.writeFile(at('d/e/f'), 'deep');
    await fs.symlink('d', at('1'));
    await fs.symlink('1/e', at('2'));
    await fs.symlink(at('2'), at('3'));
    await fs.symlink('3/f', at('4'));
    for (let step = 0; step < 45; step++) await fs.symlink(step === 0 ? 'd' : `c${step - 1}`, at(`c${step}`));
    return inTurn(
      () => fs.readFile(at('4'), 'utf8'),
      () => fs.realpath(at('4')),
      () => fs.realpath(at('3/../e/f')),
      () => fs.readFile(at('3/../../1/e/./f'), 'utf8'),
      () => fs.stat(at('c39')).then((found) => found.isDirectory()),
      () => fs.stat(at('c44')),
      () => fs.readlink(at('3')),
      () => fs.readlink(at('4'), 'buffer'),
      () => fs.symlink('', at('empty')),
      () => fs.writeFile(at('3/g'), 'made through links'),
      () => treeOf(fs, at('d')),
    );
  },
};
