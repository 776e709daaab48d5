/** The commands on volumes that are not mounted: ls, tree, find, du, cat, get, put, cp, mkdir, rm. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { chmod, link, open, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { LocalTree } from '../../src/cli/local-tree.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import { TreeCopy } from '../../src/cli/tree-copy.ts';
import { addon } from '../../src/native.ts';
import { check, openVolume } from '../../src/quarryfs.ts';

const folder = mkdtempSync(join(tmpdir(), 'quarry-commands-'));
const file = (name: string) => join(folder, name);
const image = file('v.img');
const isRoot = process.getuid?.() === 0;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line; what it writes and what was written to it are texts of bytes. */
async function quarry(words: readonly string[], input = ''): Promise<Ended> {
  let out = '';
  let err = '';
  const status = await runCommandLine(words, {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    interactive: false,
    bytes: async (chunk) => {
      out += Buffer.from(chunk).toString('latin1');
      return true;
    },
    input: (async function* () {
      yield Buffer.from(input, 'latin1');
    })(),
  });
  return { status, out, err };
}

/** What it says, when all goes well. */
async function said(...words: string[]): Promise<string> {
  const { status, out, err } = await quarry(words);
  expect({ status, err }).toEqual({ status: 0, err: '' });
  return out;
}

/** The line that it refuses with. */
async function refusal(...words: string[]): Promise<string> {
  const { status, out, err } = await quarry(words);
  expect({ out, failed: status > 0 }).toEqual({ out: '', failed: true });
  expect(err).toMatch(/^quarry: [^\n]*\n$/);
  return err.slice('quarry: '.length, -1).replaceAll(folder, '');
}

beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  writeFileSync(image, '');
  truncateSync(image, 32 * 2 ** 20);
});

async function fresh(): Promise<void> {
  await said('mkfs', '-q', image);
}

/** A tree of all kinds, as far as this user may make them. */
async function makeTree(top: string): Promise<void> {
  mkdirSync(join(top, 'd/inner'), { recursive: true });
  writeFileSync(join(top, 'd/a'), 'hello\n');
  await link(join(top, 'd/a'), join(top, 'd/z'));
  symlinkSync('../nowhere', join(top, 'd/inner/link'));
  writeFileSync(join(top, 'd/inner/holes'), 'begin');
  truncateSync(join(top, 'd/inner/holes'), 6_000_000);
  const holes = await open(join(top, 'd/inner/holes'), 'r+');
  await holes.write('middle', 3_000_000);
  await holes.close();
  writeFileSync(Buffer.concat([Buffer.from(`${top}/d/`), Buffer.from([0xff, 0x62])]), 'odd name');
  execFileSync('mkfifo', [join(top, 'd/fifo')]);
  if (isRoot) execFileSync('mknod', [join(top, 'd/null'), 'c', '1', '3']);
  if (isRoot) execFileSync('chown', ['12:34', join(top, 'd/inner')]);
  await chmod(join(top, 'd/inner'), 0o2750);
  await chmod(join(top, 'd/a'), 0o4751);
  addon?.setTimes(join(top, 'd/a'), -5, 123_456_789, 2 ** 32, 987_654_321);
  addon?.setTimes(join(top, 'd/inner/link'), 1, 2, 3, 4);
  addon?.setAttribute(join(top, 'd/a'), 'user.note', Buffer.from([0, 1, 255]));
  addon?.setTimes(join(top, 'd/inner'), 10, 20, 30, 40);
  addon?.setTimes(join(top, 'd'), 50, 60, 70, 80);
}

/** All that can be told of a tree. */
function described(top: string): string {
  const format = '%P %y %m %U %G %n %s %T@ %l';
  const found = execFileSync('find', [top, '-printf', `${format}\\n`], { encoding: 'latin1' }).split('\n');
  return found
    .filter((line) => line !== '')
    .map((line) => (/ d \d/.test(line) ? line.replace(/ \d+ (\S+ )$/, ' $1') : line))
    .sort()
    .join('\n');
}

describe('get and put', () => {
  test('keep all that files are, there and back', async () => {
    await fresh();
    await makeTree(file('from'));
    expect(await said('put', file('from/d'), `${image}:/`)).toBe('');
    expect(await said('get', `${image}:/d`, file('to'))).toBe('');
    expect(described(file('to'))).toBe(described(file('from/d')));
    const [one, other] = await Promise.all(
      ['to/inner/holes', 'from/d/inner/holes'].map((name) => stat(file(name))),
    );
    expect(one?.blocks).toBeLessThanOrEqual(Number(other?.blocks));
    expect(one?.blocks).toBeLessThan(200);
    expect(readFileSync(file('to/inner/holes')).equals(readFileSync(file('from/d/inner/holes')))).toBe(true);
    expect(lstatSync(file('to/a')).ino).toBe(lstatSync(file('to/z')).ino);
    if (addon) expect([...addon.getAttribute(file('to/a'), 'user.note')]).toEqual([0, 1, 255]);
    expect(await check(image)).toMatchObject({ clean: true, state: 'clean' });
  });

  test('into a directory, or to a name; over what is there', async () => {
    await fresh();
    writeFileSync(file('one'), '1');
    writeFileSync(file('two'), '2');
    await said('mkdir', `${image}:/dir`);
    await said('put', file('one'), file('two'), `${image}:/dir`);
    await said('put', file('one'), `${image}:/named`);
    await said('put', file('two'), `${image}:named`);
    expect(await said('cat', `${image}:/dir/one`, `${image}:/dir/two`, `${image}:/named`)).toBe('122');
    expect(await refusal('put', file('one'), file('two'), `${image}:/named`)).toBe('/named is no directory');
    expect(await refusal('put', file('one'), `${image}:/new/`)).toMatch(
      /^\/new\/ is no directory that is there$/,
    );
    expect(await refusal('put', file('one'), `${image}:/no/new`)).toBe(
      '/v.img:/no/new: no such file or directory',
    );
    expect(await refusal('put', file('none'), `${image}:/x`)).toBe('/none: no such file or directory');
    mkdirSync(file('local/dir'), { recursive: true });
    await said('get', `${image}:/dir`, file('local'));
    await said('get', `${image}:/dir/one`, `${file('local')}/`);
    expect([readFileSync(file('local/dir/two'), 'utf8'), readFileSync(file('local/one'), 'utf8')]).toEqual([
      '2',
      '1',
    ]);
    mkdirSync(file('other/one'), { recursive: true });
    expect(await refusal('get', `${image}:/dir/one`, file('other'))).toBe(
      '/other/one is there already, and is a directory',
    );
    expect(await refusal('get', `${image}:/none`, file('x'))).toBe('/v.img:/none: no such file or directory');
  });

  test('never the image itself', async () => {
    await fresh();
    writeFileSync(file('one'), '1');
    const passed = `quarry: ${image} is the image itself; not copied\n`;
    expect(await quarry(['put', folder, `${image}:/all`])).toEqual({ status: 0, out: '', err: passed });
    expect(await said('ls', `${image}:/all`)).toBe('one\n');
    await said('put', file('one'), `${image}:/v.img`);
    const size = lstatSync(image).size;
    for (const place of [image, folder])
      expect(await refusal('get', `${image}:/v.img`, place)).toBe(
        '/v.img is the image itself, and is not replaced',
      );
    expect(lstatSync(image).size).toBe(size);
    expect(await said('cat', `${image}:/v.img`)).toBe('1');
    const other = file('other.img');
    const word = `quarry: ${other} is the image itself; not copied\n`;
    const { status, err } = await quarry(['mkfs', '-q', '-s', '64M', other, '--from', folder]);
    expect({ status, err }).toEqual({ status: 0, err: word });
    expect(await said('ls', other)).toBe('one\nv.img\n');
  });

  test('what is wrong with one name is told, and the copy goes on', async () => {
    await fresh();
    mkdirSync(file('d/sub'), { recursive: true });
    for (const name of ['d/a', 'd/b', 'd/sub/c']) writeFileSync(file(name), name);
    await chmod(file('d'), 0o710);
    await said('mkdir', '-p', `${image}:/d/a`);
    const { status, err } = await quarry(['put', file('none'), file('d'), `${image}:/`]);
    expect({ status, err: err.replaceAll(folder, '') }).toEqual({
      status: 1,
      err: 'quarry: /none: no such file or directory\nquarry: /d/a is there already, and is a directory\n',
    });
    expect(await said('find', image)).toBe('/\n/d\n/d/a\n/d/b\n/d/sub\n/d/sub/c\n');
    expect(await said('ls', '-ld', `${image}:/d`)).toMatch(/^drwx--x--- /);
    writeFileSync(file('d/b'), Buffer.alloc(60_000_000, 1));
    await chmod(file('d'), 0o750);
    expect(await quarry(['put', file('d'), `${image}:/`])).toMatchObject({
      status: 1,
      err: expect.stringMatching(/v\.img:\/d\/b: no space left on device\n$/),
    });
    expect(await said('ls', '-ld', `${image}:/d`)).toMatch(/^drwxr-x--- /);
    expect(await said('cat', `${image}:/d/b`)).toBe('d/b');
  });

  test('links that a command line names: pipes are read, a slash follows', async () => {
    await fresh();
    mkdirSync(file('d'));
    writeFileSync(file('d/a'), 'a');
    symlinkSync('d', file('to-d'));
    execFileSync('mkfifo', [file('pipe')]);
    symlinkSync('pipe', file('to-pipe'));
    symlinkSync('/dev/null', file('to-null'));
    const writing = open(file('pipe'), 'w').then(async (pipe) => {
      await pipe.writeFile('x'.repeat(200_000));
      await pipe.close();
    });
    await said('put', file('to-pipe'), file('to-null'), file('to-d'), `${image}:/`);
    await writing;
    await said('put', file('pipe'), `${image}:/`);
    expect(await said('cat', `${image}:/to-pipe`)).toBe('x'.repeat(200_000));
    const kinds = (await said('ls', '-l', image)).replace(/^(.)\S+ 1 \d+ \d+ +(\d+) \S+ /gm, '$1 $2 ');
    expect(kinds).toBe('p 0 pipe\nl 1 to-d -> d\n- 0 to-null\n- 200000 to-pipe\n');
    await said('rm', `${image}:/to-d`);
    await said('put', `${file('to-d')}/`, `${image}:/`);
    expect(await said('find', `${image}:/to-d`)).toBe('/to-d\n/to-d/a\n');
  });

  test('what is there stays until the new one is whole', async () => {
    await fresh();
    const long = 'n'.repeat(255);
    await quarry(['put', '-', `${image}:/${long}`], 'old');
    await quarry(['put', '-', `${image}:/${long}`], 'new');
    expect(await said('cat', `${image}:/${long}`)).toBe('new');
    writeFileSync(file('large'), Buffer.alloc(60_000_000, 1));
    expect(await refusal('put', file('large'), `${image}:/${long}`)).toBe(
      `/v.img:/${long}: no space left on device`,
    );
    const input = 'x'.repeat(60_000_000);
    expect(await quarry(['put', '-', `${image}:/${long}`], input)).toMatchObject({ status: 1 });
    expect(await said('cat', `${image}:/${long}`)).toBe('new');
    expect(await said('ls', image)).toBe(`${long}\n`);
    writeFileSync(file('one'), 'small');
    await said('put', file('one'), `${image}:/${long}`);
    expect(await said('cat', `${image}:/${long}`)).toBe('small');
    await said('get', `${image}:/${long}`, file(long));
    await said('get', `${image}:/${long}`, file(long));
    expect(readFileSync(file(long), 'utf8')).toBe('small');
    const volume = await openVolume(image);
    await volume.symlink('elsewhere', '/link');
    await volume.close();
    writeFileSync(file('.quarry-0'), 'of another');
    await said('get', `${image}:/link`, file('one'));
    expect(readlinkSync(file('one'))).toBe('elsewhere');
    expect(readFileSync(file('.quarry-0'), 'utf8')).toBe('of another');
    expect(readdirSync(folder).filter((name) => /quarry-[1-9]/.test(name))).toEqual([]);
    expect(await check(image)).toMatchObject({ clean: true });
  });

  test('files with several names, named several times', async () => {
    await fresh();
    mkdirSync(file('d'));
    writeFileSync(file('d/h'), 'one');
    await link(file('d/h'), file('d/i'));
    await said('put', file('d/h'), file('d/h'), `${image}:/`);
    expect(await said('cat', `${image}:/h`)).toBe('one');
    await said('put', file('d'), file('d'), `${image}:/`);
    await said('put', file('d'), `${image}:/`);
    expect(await said('ls', '-l', `${image}:/d`)).toMatch(/^-\S+ 2 .* h\n-\S+ 2 .* i\n$/);
    mkdirSync(file('e'));
    writeFileSync(file('e/h'), 'other');
    await said('put', file('d/h'), file('e/h'), file('d/i'), `${image}:/`);
    expect(await said('cat', `${image}:/h`, `${image}:/i`)).toBe('otherone');
    mkdirSync(file('out'));
    for (let times = 0; times < 2; times++) await said('get', `${image}:/d`, file('out'));
    expect(readdirSync(file('out/d'))).toEqual(['h', 'i']);
  });

  test('files whose size says nothing, and those that change', async () => {
    await fresh();
    await said('put', '/proc/version', '/sys/kernel/mm/transparent_hugepage/enabled', `${image}:/`);
    expect(await said('cat', `${image}:/version`)).toBe(readFileSync('/proc/version', 'latin1'));
    expect(await said('cat', `${image}:/enabled`)).toBe(
      readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'latin1'),
    );
    writeFileSync(file('f'), Buffer.alloc(3 * 2 ** 20, 1));
    const tree = new LocalTree();
    const path = Buffer.from(file('f'));
    const node = await tree.look(path);
    let end = 0;
    for await (const { offset, bytes } of tree.contents(path, node)) {
      end = offset + bytes.length;
      truncateSync(file('f'), 1_500_000);
    }
    expect(end).toBe(1_500_000);
    rmSync(file('f'));
    execFileSync('mkfifo', [file('f')]);
    await expect(tree.contents(path, node)[Symbol.asyncIterator]().next()).rejects.toThrow(/another file/);
    rmSync(file('f'));
    symlinkSync('/etc/passwd', file('f'));
    await expect(tree.contents(path, node)[Symbol.asyncIterator]().next()).rejects.toThrow(/ELOOP/);
  });

  test.skipIf(!addon)('attributes that cannot be kept are told, and end nothing', async () => {
    await fresh();
    mkdirSync(file('d'));
    writeFileSync(file('d/a'), 'a');
    writeFileSync(file('d/b'), 'b');
    execFileSync('python3', [
      '-c',
      `import os,sys; os.setxattr(sys.argv[1], b'user.\\xff', b'v'); os.setxattr(sys.argv[1], b'user.k', b'v')`,
      file('d/a'),
    ]);
    await chmod(file('d/a'), 0o444);
    const { status, err } = await quarry(['put', file('d'), `${image}:/`]);
    expect(status).toBe(1);
    expect(err).toMatch(/^quarry: not kept: \/d\/a: attribute user\.\S+ \(ENODATA\)\n$/);
    expect(await said('ls', '-l', `${image}:/d`)).toMatch(/^-r--r--r-- .* a\n-\S+ .* b\n$/);
    const volume = await openVolume(image);
    expect(await volume.getxattr('/d/a', 'user.k')).toEqual(Buffer.from('v'));
    await volume.close();
  });

  test('never in place of a device, FIFO or socket', async () => {
    await fresh();
    await quarry(['put', '-', `${image}:/x`], 'content');
    execFileSync('mkfifo', [file('pipe')]);
    if (isRoot) execFileSync('mknod', [file('null'), 'c', '1', '3']);
    for (const name of isRoot ? ['pipe', 'null'] : ['pipe']) {
      const before = lstatSync(file(name));
      expect(await refusal('get', `${image}:/x`, file(name))).toBe(
        `/${name} is there already, and is no file`,
      );
      expect(lstatSync(file(name))).toMatchObject({ ino: before.ino, mode: before.mode });
    }
    expect(await quarry(['get', `${image}:/x`, file('LABEL=x')])).toMatchObject({ status: 0 });
  });

  test('by standard input and output', async () => {
    await fresh();
    const binary = String.fromCharCode(...Array.from({ length: 5000 }, (_, index) => index % 256));
    expect(await quarry(['put', '-', `${image}:/piped`], binary)).toEqual({ status: 0, out: '', err: '' });
    expect(await said('get', `${image}:/piped`, '-')).toBe(binary);
    expect(await said('cat', `${image}:/piped`)).toBe(binary);
    expect(await said('ls', image)).toBe('piped\n');
    expect(await refusal('put', '-', `${image}:/`)).toBe(
      '/v.img:/ is a directory: name the file that standard input becomes',
    );
    expect(await refusal('put', '-', file('x'), `${image}:/y`)).toMatch(/one of several/);
    expect(await refusal('put', '-', `${image}:/no/file`)).toBe('/v.img:/no/file: no such file or directory');
  });
});

describe('cp', () => {
  test('within a volume and to another, with all that files are', async () => {
    await fresh();
    await makeTree(file('from'));
    await said('put', file('from/d'), `${image}:/`);
    await said('cp', `${image}:/d`, `${image}:/e`);
    const second = file('second.img');
    await said('mkfs', '-q', '-s', '32M', second);
    await said('cp', `${image}:/e/inner`, `${image}:/e/a`, `${second}:/`);
    await said('cp', `${second}:/inner`, `${image}:/d/inner/deep`);
    await said('get', `${image}:/e`, file('e'));
    await said('get', `${image}:/d/inner/deep`, file('deep'));
    expect(described(file('e'))).toBe(described(file('from/d')));
    expect(described(file('deep'))).toBe(described(file('from/d/inner')));
    for (const one of [image, second]) expect(await check(one)).toMatchObject({ clean: true });
  });

  test('refuses what would eat itself', async () => {
    await fresh();
    await quarry(['put', '-', `${image}:/f`], 'kept');
    await said('mkdir', '-p', `${image}:/d/e`);
    expect(await refusal('cp', `${image}:/d`, `${image}:/d/e`)).toBe(
      '/v.img:/d cannot be copied into itself',
    );
    const volume = await openVolume(image);
    await volume.mkdir('/b');
    await volume.mkdir('/dd');
    await volume.symlink('d', '/link');
    await volume.writeFile('/d/g', 'g');
    await volume.close();
    for (const [from, to] of [
      ['/./d', '/d/e'],
      ['//d', '/d/new'],
      ['/link/', '/d/e/new'],
      ['/b/../d', '/link/e'],
      ['/d', '/link/new'],
      ['/d', '/'],
      ['/', '/dd'],
      ['/', '/'],
      ['/d/..', '/b/x'],
    ])
      expect(await refusal('cp', `${image}:${from}`, `${image}:${to}`)).toBe(
        `/v.img:${from} cannot be copied into itself`,
      );
    await said('cp', `${image}:/d`, `${image}:/dd`);
    await said('cp', `${image}:/link`, `${image}:/d/e`);
    await said('cp', `${image}:/dd/d/e/..`, `${image}:/b/new`);
    await said('cp', `${image}:/dd/d/.`, `${image}:/b`);
    expect(await said('find', `${image}:/dd`)).toBe('/dd\n/dd/d\n/dd/d/e\n/dd/d/g\n');
    expect(await said('find', `${image}:/b`)).toBe('/b\n/b/e\n/b/g\n/b/new\n/b/new/e\n/b/new/g\n');
    expect(await said('ls', '-l', `${image}:/d/e`)).toMatch(/link -> d\n$/);
    expect(await refusal('cp', `${image}:/f`, `${image}:/`)).toBe('/f is what is to be copied');
    expect(await refusal('cp', `${image}:/f`, file('g'))).toMatch(/^\/g is no place in a volume/);
    expect(await said('cat', `${image}:/f`)).toBe('kept');
  });
});

describe('what is looked at', () => {
  beforeEach(async () => {
    await fresh();
    const volume = await openVolume(image, { uid: 7, gid: 8, umask: 0o022 });
    await volume.mkdir('/d/sub', { recursive: true });
    await volume.writeFile('/d/file', 'x'.repeat(10_000));
    await volume.writeFile('/d/run', '', { mode: 0o755 });
    await volume.link('/d/file', '/d/sub/again');
    await volume.symlink('file', '/d/link');
    await volume.writeFile('/d/sub/new\nline', '');
    for (const path of ['/d/file', '/d/run', '/d/link', '/d/sub', '/d'])
      await volume.lutimes(path, 0, 1_000_000_000);
    await volume.close();
  });

  test('ls', async () => {
    expect(await said('ls', image)).toBe('d\n');
    expect(await said('ls', `${image}:d`)).toBe('file\nlink\nrun\nsub\n');
    expect(await said('ls', '-l', `${image}:/d`)).toBe(
      [
        '-rw-r--r-- 2 7 8 10000 2001-09-09T01:46:40Z file',
        'lrwxrwxrwx 1 7 8     4 2001-09-09T01:46:40Z link -> file',
        '-rwxr-xr-x 1 7 8     0 2001-09-09T01:46:40Z run',
        'drwxr-xr-x 2 7 8  4096 2001-09-09T01:46:40Z sub',
        '',
      ].join('\n'),
    );
    expect(await said('ls', '-R', `${image}:/d`)).toBe(
      `${image}:/d:\nfile\nlink\nrun\nsub\n\n${image}:/d/sub:\nagain\nnew?line\n`,
    );
    expect(await said('ls', '-d', `${image}:/d`)).toBe('/d\n');
    expect(await said('ls', `${image}:/d/run`)).toBe('run\n');
    const [first] = JSON.parse(await said('ls', '--json', `${image}:/d`));
    expect(first).toMatchObject({ path: '/d/file', type: 'file', links: 2, uid: 7, sizeBytes: 10_000 });
    expect(await refusal('ls', `${image}:/none`)).toBe('/v.img:/none: no such file or directory');
  });

  test('tree', async () => {
    expect(await said('tree', image)).toBe(
      `${image}:/\n└── d\n    ├── file\n    ├── link -> file\n    ├── run\n    └── sub\n        ├── again\n        └── new?line\n\n2 directories, 5 files\n`,
    );
    expect(await said('tree', '-L', '1', `${image}:/d`)).toContain('└── sub\n\n1 directory, 3 files\n');
    expect(await refusal('tree', '-L', '0', image)).toMatch(/^--depth 0/);
  });

  test('find', async () => {
    expect(await said('find', `${image}:/d`)).toBe(
      '/d\n/d/file\n/d/link\n/d/run\n/d/sub\n/d/sub/again\n/d/sub/new?line\n',
    );
    expect(await said('find', '-t', 'd', image)).toBe('/\n/d\n/d/sub\n');
    expect(await said('find', '--name', 'run', image)).toBe('/d/run\n');
    expect(await said('find', '-0', '-t', 'f', `${image}:/d/sub`)).toBe('/d/sub/again\0/d/sub/new\nline\0');
    expect(JSON.parse(await said('find', '--json', '-t', 'l', image))).toMatchObject([{ path: '/d/link' }]);
    expect(await refusal('find', '-t', 'x', image)).toMatch(/^--type x is none of/);
  });

  test('du counts a file of several names once', async () => {
    expect(await said('du', image)).toBe('0\t/d/sub\n12\t/d\n12\t/\n');
    expect(await said('du', '-s', '-h', image)).toBe('12 KiB\t/\n');
    expect(await said('du', `${image}:/d/sub`)).toBe('12\t/d/sub\n');
    expect(JSON.parse(await said('du', '--json', '-s', image))).toEqual([
      { path: '/', usedBytes: 12288, files: 7 },
    ]);
  });

  test('mkdir and rm', async () => {
    expect(await refusal('mkdir', `${image}:/a/b`)).toBe('/v.img:/a/b: no such file or directory');
    await said('mkdir', '-p', '-m', '710', `${image}:/a/b`);
    expect(await said('ls', '-ld', `${image}:/a/b`)).toMatch(/^drwx--x--- /);
    await said('mkdir', '-p', '-m', '777', `${image}:/a/b`);
    expect(await said('ls', '-ld', `${image}:/a/b`)).toMatch(/^drwx--x--- /);
    expect(await refusal('mkdir', `${image}:/a`)).toBe('/v.img:/a: file already exists');
    expect(await refusal('rm', `${image}:/d`)).toBe(
      '/v.img:/d is a directory: use -r to remove it with all that is in it',
    );
    await said('rm', `${image}:/d/run`, `${image}:/d/link`);
    await said('rm', '-r', `${image}:/d/sub`);
    expect(await said('find', image)).toBe('/\n/a\n/a/b\n/d\n/d/file\n');
    expect(await refusal('rm', `${image}:/d/run`)).toBe('/v.img:/d/run: no such file or directory');
    await said('rm', '-f', `${image}:/d/run`);
    expect(await refusal('rm', '-r', image)).toMatch(/is the root of the volume/);
  });

  test('rm leaves what a link leads to, and what has no name of its own', async () => {
    await said('mkdir', `${image}:/a`);
    const volume = await openVolume(image);
    await volume.symlink('d', '/to-d');
    await volume.symlink('/', '/to-root');
    for (const [path, code] of [
      ['/to-d/', 'ENOTDIR'],
      ['/to-d//', 'ENOTDIR'],
      ['/to-root/', 'ENOTDIR'],
      ['/.', 'EINVAL'],
      ['/d/.', 'EINVAL'],
      ['/a/..', 'EINVAL'],
      ['/a/../', 'EINVAL'],
      ['/', 'EBUSY'],
      ['//', 'EBUSY'],
    ] as const)
      await expect(volume.rm(path, { recursive: true, force: true })).rejects.toMatchObject({ code });
    await volume.close();
    expect(await refusal('rm', '-r', `${image}:/to-d/`)).toBe('/v.img:/to-d/: not a directory');
    for (const path of ['/.', '/a/..', '/d/./'])
      expect(await refusal('rm', '-rf', `${image}:${path}`)).toBe(
        `/v.img:${path}: refusing to remove '.' or '..'`,
      );
    await said('rm', '-r', `${image}:/d/sub/`, `${image}:/to-d`);
    expect(await said('find', image)).toBe('/\n/a\n/d\n/d/file\n/d/link\n/d/run\n/to-root\n');
  });

  test('reading changes nothing, and a volume in use is refused', async () => {
    const before = readFileSync(image);
    await said('ls', '-lR', image);
    await said('cat', `${image}:/d/file`);
    await said('get', `${image}:/d`, file('copy'));
    expect(readFileSync(image).equals(before)).toBe(true);
    expect(readlinkSync(file('copy/link'))).toBe('file');
    const user = await openVolume(image);
    for (const words of [
      ['ls', image],
      ['rm', `${image}:/d/run`],
      ['put', file('copy'), image],
    ])
      expect(await refusal(...words)).toMatch(/^\/v\.img is in use/);
    await user.close();
  });
});

test('an image may have colons in its name', async () => {
  const odd = file('a:b:c');
  await said('mkfs', '-q', '-s', '16M', odd);
  await quarry(['put', '-', `${odd}:/x:y`], 'colons');
  expect(await said('ls', odd)).toBe('x:y\n');
  expect(await said('cat', `${odd}:x:y`)).toBe('colons');
  expect(await refusal('ls', `${file('none')}:/x`)).toMatch(/^\/none:\/x does not exist/);
});

describe('mkfs --from', () => {
  const EPOCH = '1700000000';

  async function made(
    name: string,
    environment: Record<string, string>,
    ...words: string[]
  ): Promise<Buffer> {
    const before = process.env.SOURCE_DATE_EPOCH;
    Object.assign(process.env, environment);
    try {
      await said('mkfs', '-q', '-s', '16M', file(name), '--from', file('from'), ...words);
      return readFileSync(file(name));
    } finally {
      if (before === undefined) delete process.env.SOURCE_DATE_EPOCH;
      else process.env.SOURCE_DATE_EPOCH = before;
    }
  }

  test('gives a volume all that is in a directory', async () => {
    await makeTree(file('from'));
    await made('filled.img', {});
    expect(await check(file('filled.img'))).toMatchObject({ clean: true, state: 'clean' });
    await said('get', `${file('filled.img')}:/`, file('to'));
    expect(described(file('to'))).toBe(described(file('from')));
  });

  test('is the same bit for bit with SOURCE_DATE_EPOCH, and another for another tree', async () => {
    await makeTree(file('from'));
    for (let number = 0; number < 50; number++)
      writeFileSync(file(`from/${number}`), 'x'.repeat(number * 137));
    const one = await made('one.img', { SOURCE_DATE_EPOCH: EPOCH });
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await stat(file('from/d/a'));
    expect((await made('two.img', { SOURCE_DATE_EPOCH: EPOCH })).equals(one)).toBe(true);
    expect(await check(file('one.img'))).toMatchObject({ clean: true, state: 'clean' });
    const volume = await openVolume(file('one.img'), { readOnly: true });
    const [first, second] = [await volume.stat('/d/a'), await volume.stat('/49')];
    expect([first.mtimeMs, second.mtimeMs, second.ctimeMs]).toEqual([1.7e12, 1.7e12, 1.7e12]);
    const { uuid } = volume;
    await volume.close();
    const named = await made('three.img', { SOURCE_DATE_EPOCH: EPOCH }, '--uuid', uuid);
    expect(named.equals(await made('four.img', { SOURCE_DATE_EPOCH: EPOCH }, '--uuid', uuid))).toBe(true);
    writeFileSync(file('from/49'), 'y'.repeat(49 * 137));
    await made('five.img', { SOURCE_DATE_EPOCH: EPOCH });
    const other = await openVolume(file('five.img'), { readOnly: true });
    expect(other.uuid).not.toBe(uuid);
    await other.close();
    expect((await made('six.img', {})).equals(await made('seven.img', {}))).toBe(false);
  });

  test('leaves nothing of what has no room, or is no directory', async () => {
    mkdirSync(file('from'));
    writeFileSync(file('from/large'), Buffer.alloc(20_000_000, 1));
    expect(await refusal('mkfs', '-s', '16M', file('new.img'), '--from', file('from'))).toMatch(
      /^\/new\.img:\/large: no space left on device$/,
    );
    expect(await refusal('mkfs', '-s', '16M', file('new.img'), '--from', image)).toMatch(/is no directory$/);
    expect(await refusal('mkfs', '-s', '16M', file('new.img'), '--from', file('none'))).toBe(
      '/none does not exist',
    );
    process.env.SOURCE_DATE_EPOCH = 'yesterday';
    try {
      expect(await refusal('mkfs', '-s', '16M', file('new.img'), '--from', file('from'))).toMatch(
        /^SOURCE_DATE_EPOCH=yesterday/,
      );
    } finally {
      delete process.env.SOURCE_DATE_EPOCH;
    }
    expect(() => lstatSync(file('new.img'))).toThrow('ENOENT');
  });
});

/** What a descriptor of this process has open. */
function linkOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return '';
  }
}

describe('files of the system', () => {
  const fifo = {
    mode: 0o010_666,
    uid: 0,
    gid: 0,
    device: 0,
    sizeBytes: 0,
    links: 1,
    identity: '',
    accessNs: 0n,
    modifyNs: 0n,
  };

  test('a link that took the place of what was read or made is not followed', async () => {
    const tree = new LocalTree();
    writeFileSync(file('victim'), 'x', { mode: 0o600 });
    mkdirSync(file('secret'));
    symlinkSync('victim', file('was-fifo'));
    symlinkSync('secret', file('was-directory'));
    await expect(tree.setMode(Buffer.from(file('was-fifo')), fifo)).rejects.toThrow('became another file');
    expect(lstatSync(file('victim')).mode & 0o777).toBe(0o600);
    await expect(tree.names(Buffer.from(file('was-directory')))).rejects.toThrow(/ENOTDIR|ELOOP/);
    execFileSync('mkfifo', [file('fifo')]);
    await tree.setMode(Buffer.from(file('fifo')), fifo);
    expect(lstatSync(file('fifo')).mode & 0o777).toBe(0o666);
  });

  describe.skipIf(process.platform !== 'linux')(
    'a link that takes the place of a directory meanwhile',
    () => {
      /** Puts a link to `elsewhere` in the place of what is at the path. */
      const swap = (path: Buffer) => {
        renameSync(path, `${path}-moved`);
        symlinkSync(file('elsewhere'), path);
      };
      const named = (name: string) => Buffer.from(file(name));
      const inner = (path: Buffer) => path.toString().endsWith('/inner');
      const failures: string[] = [];
      const copied = async (source: LocalTree, target: LocalTree) => {
        failures.length = 0;
        const failed = (thrown: unknown) => failures.push(`${Object(thrown).code} ${Object(thrown).path}`);
        await new TreeCopy(source, target, { failed }).copy(named('from'), named('to'));
      };

      beforeEach(() => {
        mkdirSync(file('from/inner'), { recursive: true });
        mkdirSync(file('elsewhere'), { mode: 0o711 });
        for (const name of ['f', 'g']) writeFileSync(file(`from/inner/${name}`), name);
        linkSync(file('from/inner/f'), file('from/z'));
      });

      test('nothing is written through it, nor is a mode set', async () => {
        class Swapped extends LocalTree {
          override async makeDirectory(path: Buffer): Promise<void> {
            await super.makeDirectory(path);
            if (inner(path)) swap(path);
          }
        }
        await copied(new LocalTree(), new Swapped());
        expect(readdirSync(file('elsewhere'))).toEqual([]);
        expect(lstatSync(file('elsewhere')).mode & 0o777).toBe(0o711);
        expect(failures).toEqual(['f', 'g', ''].map(() => `ENOTDIR ${file('to/inner')}`));
        expect(readFileSync(file('to/z'), 'utf8')).toBe('f');
      });

      test('what was begun in the directory ends there', async () => {
        class Swapped extends LocalTree {
          override async makeFile(...words: Parameters<LocalTree['makeFile']>): Promise<void> {
            if (!lstatSync(file('to/inner')).isSymbolicLink()) swap(named('to/inner'));
            await super.makeFile(...words);
          }
        }
        await copied(new LocalTree(), new Swapped());
        expect(readdirSync(file('elsewhere'))).toEqual([]);
        expect(readdirSync(file('to/inner-moved'))).toEqual(['f', 'g']);
        // Its mode, and the other name of a file in it.
        expect(failures).toEqual([1, 2].map(() => `ENOTDIR ${file('to/inner')}`));
      });

      test('nothing is read through it', async () => {
        writeFileSync(file('elsewhere/f'), 'secret');
        class Swapped extends LocalTree {
          override async names(path: Buffer): Promise<Buffer[]> {
            const found = await super.names(path);
            if (inner(path)) swap(path);
            return found;
          }
        }
        await copied(new Swapped(), new LocalTree());
        expect(readdirSync(file('to/inner'))).toEqual([]);
        expect(failures).toEqual(['f', 'g'].map(() => `ENOTDIR ${file('from/inner')}`));
      });

      test('trees that are deeper than directories are held open come over whole', async () => {
        const deep = `from/${Array.from({ length: 150 }, (_, at) => `d${at}`).join('/')}`;
        mkdirSync(file(deep), { recursive: true });
        for (const at of [0, 70, 149]) {
          const above = deep.slice(0, deep.indexOf(`d${at}`) + `d${at}`.length);
          for (const name of ['a', 'z']) writeFileSync(file(`${above}/${name}`), `${at}`);
        }
        await copied(new LocalTree(), new LocalTree());
        expect(failures).toEqual([]);
        const listing = (at: string) =>
          execFileSync('sh', ['-c', `cd ${file(at)}; find . -printf '%P %m %T@ %s\n' | sort`], {
            encoding: 'utf8',
          });
        expect(listing('to')).toBe(listing('from'));
        expect(
          readdirSync('/proc/self/fd')
            .map((fd) => linkOf(fd))
            .filter((at) => at.startsWith(folder)),
        ).toEqual([]);
      });
    },
  );

  test('in a copied directory, too, a file has its name when all of it is there', async () => {
    const made: string[] = [];
    class Watched extends LocalTree {
      override makeFile(...words: Parameters<LocalTree['makeFile']>): Promise<void> {
        made.push(`${words[0]}`);
        return super.makeFile(...words);
      }
    }
    mkdirSync(file('from/inner'), { recursive: true });
    writeFileSync(file('from/inner/f'), 'x');
    await new TreeCopy(new LocalTree(), new Watched()).copy(
      Buffer.from(file('from')),
      Buffer.from(file('to')),
    );
    expect(made).toEqual([file('to/inner/.quarry-0')]);
    expect(readdirSync(file('to/inner'))).toEqual(['f']);
  });

  test('mkfs --from takes a link to a directory, and tells all that it cannot copy', async () => {
    mkdirSync(file('from/inner'), { recursive: true });
    for (const name of ['from/a', 'from/b', 'from/inner/c']) writeFileSync(file(name), name);
    symlinkSync('from', file('link'));
    await said('mkfs', '-q', '-s', '16M', file('other.img'), '--from', file('link'));
    expect(await said('cat', `${file('other.img')}:/inner/c`)).toBe('from/inner/c');

    for (const name of ['from/a', 'from/inner/c']) await chmod(file(name), 0);
    await chmod(folder, 0o777);
    const words = ['mkfs', '-s', '16M', file('new.img'), '--from', file('from')];
    const command = [process.execPath, resolve('dist/cli/main.js'), ...words];
    const child = isRoot ? ['setpriv', '--reuid', '65534', '--clear-groups', ...command] : command;
    const { status, stdout, stderr } = spawnSync(child[0] as string, child.slice(1), { encoding: 'utf8' });
    expect({ status, stdout, lines: stderr.replaceAll(folder, '').split('\n') }).toEqual({
      status: 1,
      stdout: '',
      lines: [
        'quarry: /from/a: permission denied',
        'quarry: /from/inner/c: permission denied',
        'quarry: 2 names of /from could not be copied',
        '',
      ],
    });
    expect(readdirSync(folder)).not.toContain('new.img');
  });
});
