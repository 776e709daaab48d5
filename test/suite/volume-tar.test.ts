/**
 * `quarry tar`, judged by GNU tar on both sides, and by archives that mean harm or are damaged.
 */
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import tar from 'tar-stream';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { runCommandLine } from '../../src/cli/program.ts';
import { type PackingOptions, TarPacking } from '../../src/cli/tar-packing.ts';
import { FileFlag } from '../../src/fs/base/filesystem.ts';
import type { Transaction } from '../../src/fs/transaction/transaction.ts';
import type { ProgramSession } from '../../src/program/session.ts';
import { check, openVolume, type ProgramVolume } from '../../src/quarryfs.ts';
import { membersOf } from '../../src/tar/archive-reader.ts';
import { archiveEnd, memberHead, padding } from '../../src/tar/archive-writer.ts';
import { encodeHeader } from '../../src/tar/header-block.ts';
import { MOST_GLOBAL_BYTES, MOST_RECORD_BYTES } from '../../src/tar/kept-records.ts';
import { encodeRecords, parseTime, timeText } from '../../src/tar/pax-records.ts';
import { joined, MOST_STRETCHES } from '../../src/tar/sparse-maps.ts';
import { isMissing } from '../missing.ts';

const folder = mkdtempSync(join(tmpdir(), 'quarry-tar-'));
const file = (name: string) => join(folder, name);
const image = file('v.img');
const isRoot = process.getuid?.() === 0;
/** GNU tar keeps all that a file is. */
const ALL = ['--xattrs', '--xattrs-include=*', '--acls'];

afterAll(() => rmSync(folder, { recursive: true, force: true }));

beforeEach(async () => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(file('tree'), { recursive: true });
  writeFileSync(image, '');
  truncateSync(image, 32 * 2 ** 20);
  await quarry(['mkfs', '-q', image]);
});

interface Ended {
  readonly status: number;
  readonly bytes: Buffer;
  readonly err: string;
}

/** @param readers how often what is written is taken */
async function quarry(
  words: readonly string[],
  input: Uint8Array = Buffer.alloc(0),
  readers = Number.POSITIVE_INFINITY,
): Promise<Ended> {
  const written: Buffer[] = [];
  let err = '';
  const status = await runCommandLine(words, {
    out: () => {},
    err: (text) => {
      err += text;
    },
    interactive: false,
    bytes: async (chunk) => {
      written.push(Buffer.from(chunk));
      return written.length < readers;
    },
    // In pieces that are no blocks.
    input: (async function* () {
      for (let at = 0; at < input.length; at += 7001) yield input.subarray(at, at + 7001);
    })(),
  });
  return { status, bytes: Buffer.concat(written), err: err.replaceAll(folder, '') };
}

async function unpacked(archive: Uint8Array, place = image): Promise<void> {
  expect(await quarry(['tar', '-x', place], archive)).toMatchObject({ status: 0, err: '' });
}

async function packed(place = image): Promise<Buffer> {
  const { status, bytes, err } = await quarry(['tar', '-c', place]);
  expect({ status, err }).toEqual({ status: 0, err: '' });
  return bytes;
}

/** Lines that an archive is refused with; what is in the volume then is sound. */
async function refusal(archive: Uint8Array, place = image): Promise<string[]> {
  const { status, err } = await quarry(['tar', '-x', place], archive);
  expect(status).toBe(1);
  expect(err).toMatch(/^(quarry: [^\n]+\n)+$/);
  expect((await check(image)).clean).toBe(true);
  return err.trimEnd().split('\n');
}

async function inVolume<T>(work: (volume: ProgramVolume) => Promise<T>): Promise<T> {
  const volume = await openVolume(image, { readOnly: true });
  try {
    return await work(volume);
  } finally {
    await volume.close();
  }
}

/** Changes what no program can: the session behind a volume. */
async function changed(
  path: string,
  work: (session: ProgramSession['volume'], tx: Transaction, inode: number) => void,
): Promise<void> {
  const volume = await openVolume(image);
  try {
    const { ino } = await volume.stat(path);
    const { session } = volume as unknown as { session: ProgramSession };
    await session.volume.run((tx) => work(session.volume, tx, ino));
  } finally {
    await volume.close();
  }
}

function gnu(...words: string[]): Buffer {
  return execFileSync('tar', words, { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 2 ** 28 });
}

function shell(script: string): string {
  return execFileSync('sh', ['-c', `set -e; cd ${folder}; ${script}`], { encoding: 'latin1' });
}

/** All that files are, but for when they were read. */
function listing(directory: string): string {
  return shell(`cd ${directory}
    find . -printf '%p %y %m %U %G %s %T@ %n %l %b\\n' | LC_ALL=C sort
    getfattr -hRd -m - -e hex . ; getfacl -Rn . 2>/dev/null
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`);
}

/** One member after another, as tar-stream writes them. */
async function archiveOf(...members: [header: MemberHeader, content?: string][]): Promise<Buffer> {
  const pack = tar.pack();
  for (const [header, content] of members) pack.entry(header, content ?? '');
  pack.finalize();
  const parts: Buffer[] = [];
  for await (const part of pack) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

type MemberHeader = Partial<tar.Header> & { name: string };

const NO_FIELDS = {
  name: Buffer.from('x'),
  mode: 0o644,
  uid: 0,
  gid: 0,
  sizeBytes: 0,
  modifySeconds: 0,
  type: '0',
  linkName: Buffer.alloc(0),
  major: 0,
  minor: 0,
};

/** A header of a type that tar-stream does not write, with what stands behind it. */
function raw(type: string, content: Uint8Array, name = 'x'): Buffer {
  const fields = { ...NO_FIELDS, type, name: Buffer.from(name), sizeBytes: content.length };
  return Buffer.concat([encodeHeader(fields), content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

/** A file of 0 bytes with such a map. */
function sparse(map: Buffer): Buffer {
  return raw('x', Buffer.concat([records(['GNU.sparse.size', '0']), map]));
}

function records(...all: [key: string, value: string][]): Buffer {
  return encodeRecords(all.map(([key, value]) => [key, Buffer.from(value)]));
}

const LONG = 'n'.repeat(200);

describe('archives of GNU tar', () => {
  test.skipIf(isMissing('setfattr', 'getfacl', 'setcap'))(
    'come back as they went, with all that a file is',
    async () => {
      shell(`cd tree; mkdir -p a/b empty ${LONG}
      echo hi > a/f; ln a/f a/b/hard; ln -s ../f a/link; echo long > ${LONG}/${LONG}
      ln -s ${LONG}/${LONG}/${LONG} long-link; ln ${LONG}/${LONG} another; mkfifo p
      printf x > "$(printf 'bad\\377')"; printf y > "${LONG}/$(printf '\\377%s' ${LONG})"
      truncate -s 20M sparse; printf data | dd of=sparse bs=1 seek=9M conv=notrunc status=none
      truncate -s 3M all-hole; head -c 3000000 /dev/urandom > large
      setfattr -n 'user.a=b%c' -v 0x62696e01 a/f; setfattr -n user.bytes -v 0x00ff0a803d a/f
      setfacl -m u:1:r,g:65534:rwx a/f; setfacl -d -m u:daemon:rx a
      touch -d @-462653695.123456789 a/f; touch -d @4294967296.5 empty; chmod 4751 large; chmod 1777 empty`);
      if (isRoot)
        shell(`cd tree; chown 3000000:70000 a/b; chown -h 12:13 a/link; mknod c c 5 300; mknod b b 259 1000
        setcap cap_net_raw+ep large; setfattr -n trusted.t -v 1 a`);
      await unpacked(gnu('-c', '--format=posix', ...ALL, '--sparse', '-C', 'tree', '.'));
      expect((await check(image)).clean).toBe(true);

      const archive = await packed();
      writeFileSync(file('out.tar'), archive);
      mkdirSync(file('back'));
      gnu('-xf', 'out.tar', ...ALL, '-C', 'back');
      expect(listing('back')).toBe(listing('tree'));
      // Holes are none of it, and a second one is the same.
      expect(archive.length).toBeLessThan(4_000_000);
      expect((await packed()).equals(archive)).toBe(true);
    },
  );

  test.each(['v7', 'oldgnu', 'gnu', 'ustar', 'posix'])('of the format %s are read', async (format) => {
    const long = 'd'.repeat(90);
    shell(`cd tree; mkdir -p ${format === 'v7' ? 'd' : `${long}/${long}`} e; echo one > e/f; ln e/f e/g; ln -s f e/h
      touch -d @1234567890 e/f; chmod 640 e/f`);
    if (/gnu|posix/.test(format)) shell(`cd tree; echo deep > ${long}/${long}/${LONG}`);
    await unpacked(gnu('-c', `--format=${format}`, '-C', 'tree', '.'));
    writeFileSync(file('out.tar'), await packed());
    mkdirSync(file('back'));
    gnu('-xf', 'out.tar', '-C', 'back');
    const seen = (directory: string) =>
      shell(`cd ${directory}; find . -printf '%p %y %m %s %Ts %n %l\\n' | LC_ALL=C sort; cat e/f`);
    expect(seen('back')).toBe(seen('tree'));
  });

  test.each([
    ['--format=gnu'],
    ['--format=posix', '--sparse-version=0.0'],
    ['--format=posix', '--sparse-version=0.1'],
    ['--format=posix', '--sparse-version=1.0'],
  ])('have holes where the file had some (%s %s)', async (...format) => {
    // More stretches than a header has room for.
    shell(`cd tree; truncate -s 8M s; for i in $(seq 0 60); do
      printf "here $i" | dd of=s bs=1 seek=$((i * 131072)) conv=notrunc status=none; done; echo after > t`);
    await unpacked(gnu('-c', ...format.filter(Boolean), '--sparse', '-C', 'tree', '.'));
    await inVolume(async (volume) => {
      expect((await volume.readFile('/s')).equals(readFileSync(file('tree/s')))).toBe(true);
      expect((await volume.stat('/s')).blocks).toBeLessThan(1000);
      expect(await volume.readFile('/t', 'utf8')).toBe('after\n');
    });
  });

  test('with labels, global records and directories of incremental ones are read', async () => {
    shell('echo x > tree/x');
    const options = ['-c', '--label=name', '-C', 'tree', '--listed-incremental=seen', '.'];
    await unpacked(gnu('--format=gnu', ...options));
    rmSync(file('seen'));
    await unpacked(gnu('--format=posix', '--pax-option=comment=c,uid=777', ...options));
    await inVolume(async (volume) => {
      expect(await volume.readFile('/x', 'utf8')).toBe('x\n');
      expect((await volume.stat('/x')).uid).toBe(777);
      expect(await volume.readdir('/')).toEqual(['x']);
    });
  });
});

describe('unpacking', () => {
  test('takes the place of files, joins directories, and touches nothing else', async () => {
    await unpacked(await archiveOf([{ name: 'd/old' }, 'old'], [{ name: 'd/same' }, 'before']));
    await quarry(['mkdir', `${image}:/at`]);
    await unpacked(await archiveOf([{ name: 'd/same' }, 'after'], [{ name: './d//./new' }, 'new']));
    await unpacked(await archiveOf([{ name: 'f', mtime: new Date(5000) }, 'below']), `${image}:/at`);
    await inVolume(async (volume) => {
      expect((await volume.readdir('/d')).sort()).toEqual(['new', 'old', 'same']);
      expect(await volume.readFile('/d/same', 'utf8')).toBe('after');
      expect(await volume.readFile('/at/f', 'utf8')).toBe('below');
      expect((await volume.stat('/at/f')).mtimeMs).toBe(5000);
    });
  });

  test('the last of several members of one name counts, links to one file are one', async () => {
    const link = { type: 'link', linkname: 'f' } as const;
    const archive = await archiveOf([{ name: 'f' }, '1'], [{ name: 'g', ...link }], [{ name: 'f' }, '2']);
    await unpacked(archive);
    await unpacked(await archiveOf([{ name: 'h', ...link }], [{ name: 'f', ...link }]));
    await inVolume(async (volume) => {
      expect(await volume.readFile('/f', 'utf8')).toBe('2');
      expect(await volume.readFile('/g', 'utf8')).toBe('1');
      expect((await volume.stat('/h')).ino).toBe((await volume.stat('/f')).ino);
      expect((await volume.readdir('/')).sort()).toEqual(['f', 'g', 'h']);
    });
  });

  test('refuses names that lead elsewhere, and goes on with the rest', async () => {
    await quarry(['mkdir', '-p', `${image}:/at/inside`, `${image}:/kept`]);
    const lines = await refusal(
      await archiveOf(
        [{ name: '../kept/f' }, 'x'],
        [{ name: 'a/../../kept/f' }, 'x'],
        [{ name: '/kept/f' }, 'x'],
        [{ name: 'out', type: 'symlink', linkname: '../kept' }],
        [{ name: 'out/f' }, 'x'],
        [{ name: 'g', type: 'link', linkname: '../kept' }],
        [{ name: 'h', type: 'link', linkname: 'out/f' }],
        [{ name: 'i', type: 'link', linkname: 'nowhere' }],
        [{ name: 'inside' }, 'x'],
        [{ name: 'last' }, 'here'],
      ),
      `${image}:/at`,
    );
    expect(lines).toEqual([
      "quarry: the member ../kept/f is refused: there is a '..' in it",
      "quarry: the member a/../../kept/f is refused: there is a '..' in it",
      'quarry: the member /kept/f is refused: it begins at the root',
      'quarry: the member out/f is refused: /at/out is a symbolic link',
      "quarry: the target of g, ../kept is refused: there is a '..' in it",
      'quarry: the member out/f is refused: /at/out is a symbolic link',
      'quarry: /at/i cannot be linked: there is no nowhere',
      'quarry: /at/inside is there already, and is a directory',
    ]);
    await inVolume(async (volume) => {
      expect(await volume.readdir('/kept')).toEqual([]);
      expect((await volume.readdir('/at')).sort()).toEqual(['inside', 'last', 'out']);
    });
  });

  test('says what it cannot keep', async () => {
    const pax = { 'SCHILY.acl.access': 'user::rw-,user:nobody-here:r--', 'SCHILY.xattr.none.such': 'x' };
    const lines = await refusal(await archiveOf([{ name: 'f', pax }, 'x']));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^quarry: not kept: .*ACL \(.*nobody-here.*\), and 1 more$/);
  });

  test('tells a directory that cannot be finished, and finishes the others', async () => {
    await quarry(['mkdir', `${image}:/b`]);
    await changed('/b', (volume, tx, inode) => volume.changeFlags(tx, inode, { flags: FileFlag.immutable }));
    const directory = { type: 'directory', mode: 0o755, uid: 7 } as const;
    const lines = await refusal(
      await archiveOf(...['a/', 'b/', 'c/'].map((name): [MemberHeader] => [{ name, ...directory }]), [
        { name: 'c/d/', ...directory, pax: { uid: '4294967296' } },
      ]),
    );
    expect(lines).toEqual([
      'quarry: c/d/ belongs to 4294967296:0: there are no such owners',
      expect.stringMatching(/^quarry: .*\/b: operation not permitted$/),
    ]);
    await inVolume(async (volume) => {
      for (const name of ['/a', '/c'])
        expect(await volume.stat(name)).toMatchObject({ mode: 0o40755, uid: 7 });
      expect(await volume.readdir('/c')).toEqual([]);
    });
  });

  test('says what was not kept of what stands before the damage, too', async () => {
    const pax = { 'SCHILY.xattr.none.such': 'x' };
    const whole = await archiveOf([{ name: 'f', pax }, 'x'], [{ name: 'g' }, 'x']);
    const [lost, error, ...others] = await refusal(whole.subarray(0, 2200));
    expect(lost).toMatch(/^quarry: not kept: \/f: attribute none\.such/);
    expect(error).toMatch(/cut off/);
    expect(others).toEqual([]);
  });

  test('keeps times of centuries, and tells those that no volume has', async () => {
    const timed = (name: string, mtime: string): [MemberHeader, string] => [{ name, pax: { mtime } }, 'x'];
    await unpacked(await archiveOf(timed('later', '32503680000.25'), timed('before', '-11676096000.5')));
    const far = await archiveOf(
      timed('far', '999999999999999999'),
      timed('farther', '-99999999999999999999999'),
    );
    expect(await refusal(far)).toEqual(['quarry: not kept: /far: a time that is too far away, and 1 more']);
    await inVolume(async (volume) => {
      const timeOf = async (path: string) => (await volume.stat(path, { bigint: true })).mtimeNs;
      expect(await timeOf('/later')).toBe(32503680000_250_000_000n);
      expect(await timeOf('/before')).toBe(-11676096000_500_000_000n);
      expect(await timeOf('/far')).toBe(BigInt(Number.MAX_SAFE_INTEGER) * 1_000_000_000n);
    });
  });

  test('makes nothing for an owner that there cannot be', async () => {
    const mode = 0o4755;
    const owned = (name: string, pax: Record<string, string>): [MemberHeader, string] => [
      { name, mode, pax },
      'x',
    ];
    const acl = 'user::rw-,user:nobody-here:r--:4294967295,group::r--,mask::r--,other::r--';
    const lines = await refusal(
      await archiveOf(
        owned('none/a', { uid: '4294967295' }),
        owned('none/b', { gid: '4294967295' }),
        owned('none/c', { uid: '-1' }),
        owned('none/d', { uid: '9'.repeat(50) }),
        owned('d', { uid: '4294967294', gid: '4294967294' }),
        owned('e', { 'SCHILY.acl.access': acl }),
      ),
    );
    expect(lines).toEqual([
      'quarry: none/a belongs to 4294967295:0: there are no such owners',
      'quarry: none/b belongs to 0:4294967295: there are no such owners',
      'quarry: none/c belongs to -1:0: there are no such owners',
      'quarry: none/d belongs to 1e+50:0: there are no such owners',
      expect.stringMatching(/^quarry: not kept: \/e: ACL \(.*below 4294967295\)$/),
    ]);
    await inVolume(async (volume) => {
      expect((await volume.readdir('/')).sort()).toEqual(['d', 'e']);
      expect(await volume.stat('/d')).toMatchObject({ uid: 4294967294, gid: 4294967294 });
    });
  });

  test('has what the header says where a record makes no sense, as GNU tar has it', async () => {
    const told = { mode: 0o640, uid: 7, gid: 8, mtime: new Date(9000) };
    const nonsense: [name: string, pax: Record<string, string>][] = [
      ['u', { uid: 'abc' }],
      ['g', { gid: '12x', uid: '5' }],
      ['m', { mtime: 'yesterday', atime: '3' }],
      ['n', { uid: '\x1b[7m', gid: 'x'.repeat(5000) }],
      ['z', { uid: '1.5', gid: '', mtime: '4' }],
    ];
    const archive = await archiveOf(
      ...nonsense.map(([name, pax]): [MemberHeader, string] => [{ name, pax, ...told }, name]),
      [{ name: 'd/', type: 'directory', ...told, pax: { gid: 'staff' } }],
      [{ name: 'a', ...told, pax: { atime: 'never' } }, 'a'],
    );
    const lines = await refusal(archive);
    expect(lines).toEqual(["quarry: not kept: /u: uid (the archive says 'abc'), and 7 more"]);
    mkdirSync(file('theirs'));
    const script = 'tar -xp --numeric-owner -C theirs -f a.tar 2>/dev/null || [ $? = 2 ]';
    writeFileSync(file('a.tar'), archive);
    shell(script);
    const [command, ...names] = ["stat -c '%n %a %u %g %Y'", ...nonsense.map(([name]) => name), 'a', 'd'];
    const theirs = shell(`cd theirs; ${command} ${names.join(' ')}`)
      .trim()
      .split('\n');
    await inVolume(async (volume) => {
      const ours = names.map(async (name) => {
        const { mode, uid, gid, mtimeMs } = await volume.stat(`/${name}`);
        return `${name} ${(mode & 0o7777).toString(8)} ${uid} ${gid} ${mtimeMs / 1000}`;
      });
      if (isRoot) expect(await Promise.all(ours)).toEqual(theirs);
      expect((await Promise.all(ours)).slice(0, 3)).toEqual(['u 640 7 8 9', 'g 640 5 8 9', 'm 640 7 8 9']);
      expect((await volume.stat('/m')).atimeMs).toBe(3000);
    });
  });

  test('ends where a record makes no sense of a size: the next header is anywhere then', async () => {
    const archive = await archiveOf([{ name: 'a' }, 'a'], [{ name: 'b', pax: { size: '1e3' } }, 'b']);
    expect(await refusal(archive)).toEqual(["quarry: a record 'size' of the archive is no number: 1e3"]);
    await inVolume(async (volume) => expect(await volume.readdir('/')).toEqual(['a']));
  });

  test('numbers of devices are those of devices only', async () => {
    const header = (type: string, name: string) =>
      encodeHeader({ ...NO_FIELDS, name: Buffer.from(name), type, major: 0o777777, minor: 1 });
    const archive = Buffer.concat([
      header('0', 'f'),
      header('5', 'd/'),
      header('3', 'e/c'),
      Buffer.alloc(1024),
    ]);
    expect(await refusal(archive)).toEqual(['quarry: e/c is of a device 262143, 1: too large']);
    await inVolume(async (volume) => expect((await volume.readdir('/')).sort()).toEqual(['d', 'f']));
  });

  test('takes an empty record for none, but for attributes, and what it does not know for a file', async () => {
    const archive = Buffer.concat([
      raw('g', records(['uid', '5'], ['gid', '6'], ['mtime', '1'])),
      raw('g', records(['mtime', ''])),
      raw('x', records(['uid', ''], ['path', 'wrong'], ['path', ''], ['SCHILY.xattr.user.e', ''])),
      raw('Z', Buffer.from('content'), 'name'),
      Buffer.alloc(1024),
    ]);
    await unpacked(archive);
    await inVolume(async (volume) => {
      expect(await volume.readFile('/name', 'utf8')).toBe('content');
      expect(await volume.stat('/name')).toMatchObject({ uid: 0, gid: 6, mtimeMs: 0 });
      expect(await volume.getxattr('/name', 'user.e')).toEqual(Buffer.alloc(0));
    });
  });

  test('tells attributes that are too large, or whose names are no text', async () => {
    const key = Buffer.from('SCHILY.xattr.user.\xff=v\n', 'latin1');
    const record = Buffer.concat([Buffer.from(`${key.length + 3} `), key]);
    const large = records(['SCHILY.xattr.user.large', 'x'.repeat(65537)], ['SCHILY.xattr.user.a', 'x']);
    const archive = Buffer.concat([
      raw('x', large),
      raw('5', Buffer.alloc(0), 'd/'),
      raw('x', record),
      raw('0', Buffer.from('content'), 'f'),
      Buffer.alloc(1024),
    ]);
    expect(await refusal(archive)).toEqual([
      'quarry: not kept: /d: attribute user.large (E2BIG), and 1 more',
    ]);
    await inVolume(async (volume) => {
      expect(await volume.listxattr('/d')).toEqual(['user.a']);
      expect(await volume.listxattr('/f')).toEqual([]);
    });
  });

  test('ends with one line where the volume is full, and what was whole stays', async () => {
    truncateSync(image, 8 * 2 ** 20);
    await quarry(['mkfs', '-q', '-f', image]);
    const content = 'x'.repeat(2.3 * 2 ** 20);
    const names = ['a', 'b', 'c', 'd'];
    const lines = await refusal(
      await archiveOf(...names.map((name): [MemberHeader, string] => [{ name }, content])),
    );
    expect(lines).toEqual(['quarry: /v.img:/d: no space left on device']);
    await inVolume(async (volume) => {
      expect((await volume.readdir('/')).sort()).toEqual(['a', 'b', 'c']);
    });
  });
});

describe('a damaged archive', () => {
  test('that is cut off is an error of one line, wherever it was cut', async () => {
    shell(`cd tree; echo first > a; head -c 1500 /dev/urandom > b; echo c > ${LONG}`);
    const whole = gnu('-c', '--format=posix', '--sort=name', '-C', 'tree', '.');
    const end = whole.findLastIndex((byte) => byte !== 0);
    const ends = [
      1,
      511,
      512,
      700,
      1024,
      ...Array.from({ length: end / 512 }, (_, at) => 512 * (at + 1) + 1),
    ];
    for (const at of ends) {
      const lines = await refusal(whole.subarray(0, at));
      expect(lines, `cut at ${at}`).toHaveLength(1);
      expect(lines[0], `cut at ${at}`).toMatch(/ cut off |no tar archive/);
    }
    await inVolume(async (volume) => {
      expect(await volume.readFile('/a', 'utf8')).toBe('first\n');
      expect((await volume.readdir('/')).filter((name) => name.startsWith('.quarry'))).toEqual([]);
    });
  });

  test('is told from what is none', async () => {
    shell('echo x > tree/x');
    const whole = gnu('-c', '-C', 'tree', '.');
    expect(await refusal(gzipSync(whole))).toEqual([
      "quarry: the input is packed by gzip: unpack it first, as by 'gzip -dc'",
    ]);
    expect(await refusal(Buffer.alloc(0))).toEqual(['quarry: the input is no tar archive: it is empty']);
    expect(await refusal(Buffer.alloc(2000, 'words '))).toEqual(['quarry: the input is no tar archive']);
    const second = whole.indexOf('./x');
    whole[second + 5] = 0x41;
    expect(await refusal(whole)).toEqual([
      'quarry: a header of the archive is damaged: its checksum is wrong',
    ]);
  });

  test('has no lone block of zeros before more of it', async () => {
    const before = raw('0', Buffer.from('first'), 'a');
    const after = raw('0', Buffer.from('second'), 'b');
    const zeros = Buffer.alloc(512);
    expect(await refusal(Buffer.concat([before, zeros, after, zeros, zeros]))).toEqual([
      'quarry: the archive is damaged behind a: there are zeros in place of a header',
    ]);
    await inVolume(async (volume) => expect(await volume.readdir('/')).toEqual(['a']));
    // An end of one block is one, and what stands behind two is no part of it.
    await unpacked(Buffer.concat([before, zeros]));
    await unpacked(Buffer.concat([before, zeros, zeros, after]));
    await inVolume(async (volume) => expect(await volume.readdir('/')).toEqual(['a']));
  });

  test('has no more records than are believed', async () => {
    const end = Buffer.concat([raw('0', Buffer.from('x'), 'f'), Buffer.alloc(1024)]);
    // The same key over and over is one record.
    await unpacked(Buffer.concat([raw('x', Buffer.from('5 a=\n'.repeat(2 ** 18))), end]));
    const many = (count: number, letter = 'k') =>
      encodeRecords(Array.from({ length: count }, (_, at) => [`${letter}${at}`, Buffer.from('v')]));
    const refused: [string, Buffer, RegExp][] = [
      ['keys of a member', raw('x', many(100_001)), /too many records/],
      ['keys of all', Buffer.concat([raw('g', many(600)), raw('g', many(600, 'l'))]), /too many records/],
      ['bytes of all', raw('g', Buffer.alloc(MOST_GLOBAL_BYTES + 1)), /not believed/],
      ['a map of all', raw('g', records(['GNU.sparse.map', '0,1'])), /map of a sparse file/],
      [
        'stretches',
        sparse(Buffer.from('23 GNU.sparse.offset=1\n'.repeat(2_000_001))),
        /map of a sparse file/,
      ],
      ['a map', sparse(records(['GNU.sparse.map', '1,'.repeat(2_000_002)])), /map of a sparse file/],
    ];
    for (const [what, bytes, line] of refused) {
      const lines = await refusal(Buffer.concat([bytes, end]));
      expect(lines, what).toHaveLength(1);
      expect(lines[0], what).toMatch(line);
    }
  });

  test('has no more than so much before a member, in however many headers', async () => {
    const part = raw('x', records(['comment', 'x'.repeat(2 ** 20)]));
    let given = 0;
    const read = async () => {
      const input = (async function* () {
        for (; given < 2 * MOST_RECORD_BYTES; given += part.length) yield part;
      })();
      for await (const member of membersOf(input)) throw new Error(`a member: ${member.name}`);
    };
    await expect(read()).rejects.toThrow(/not believed/);
    expect(given).toBeLessThan(MOST_RECORD_BYTES + 2 ** 20);
  });

  test('has no names or ACLs that are longer than any', async () => {
    const acl = `${'user:1:r--,'.repeat(9000)}user::rw-,group::r--,mask::r--,other::r--`;
    const archive = Buffer.concat([
      raw('L', Buffer.from('a/'.repeat(2 ** 22))),
      raw('0', Buffer.alloc(0)),
      raw('x', records(['SCHILY.acl.default', acl])),
      raw('5', Buffer.alloc(0), 'd/'),
      Buffer.alloc(1024),
    ]);
    expect(await refusal(archive)).toEqual([
      `quarry: the member ${'a/'.repeat(32)}... is refused: it is too long`,
      expect.stringMatching(/^quarry: not kept: \/d: default ACL \([^()]+\)$/),
    ]);
  });

  test('is no way to write over anything, whatever its bytes are', async () => {
    shell(
      `cd tree; mkdir d; echo x > d/x; ln d/x y; truncate -s 100k s; echo z >> s; ln -s d l; echo n > ${LONG}`,
    );
    const archives = [
      gnu('-c', '--format=gnu', '--sparse', '-C', 'tree', '.'),
      gnu('-c', '--format=posix', '--sparse', '-C', 'tree', '.'),
    ];
    let seed = 1;
    const random = (below: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % below;
    };
    for (let round = 0; round < 40; round++) {
      const bytes = Buffer.from(archives[round % 2] as Buffer);
      const at = random(bytes.length);
      const letters = '/.0\0\xff79=\nS';
      for (let i = 0; i < 3; i++)
        bytes[Math.min(bytes.length - 1, at + random(600))] = letters.charCodeAt(random(10));
      // With the right sum, so that more than sums is tried.
      const block = at - (at % 512);
      if (bytes.toString('latin1', block + 257, block + 262) === 'ustar') {
        bytes.fill(0x20, block + 148, block + 156);
        const sum = bytes.subarray(block, block + 512).reduce((all, byte) => all + byte, 0);
        bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, block + 148);
      }
      const { status, err } = await quarry(['tar', '-x', image], bytes);
      expect(status === 0 ? '' : err, `round ${round}`).toMatch(/^(quarry: [^\n]+\n)*$/);
      expect(err).not.toMatch(/TypeError|undefined|NaN|not a function/);
    }
    expect((await check(image)).clean).toBe(true);
  });
});

describe('packing', () => {
  test('begins at a directory or a file of the volume', async () => {
    await unpacked(await archiveOf([{ name: 'd/e/f' }, 'deep'], [{ name: 'g' }, 'top']));
    writeFileSync(file('d.tar'), await packed(`${image}:/d`));
    writeFileSync(file('f.tar'), await packed(`${image}:/d/e/f`));
    expect(`${gnu('-tf', 'd.tar')}`).toBe('./\n./e/\n./e/f\n');
    expect(`${gnu('-xOf', 'f.tar', 'f')}`).toBe('deep');
  });

  test('is read by tar-stream, too', async () => {
    shell(`cd tree; echo x > ${LONG}; echo y > y`);
    await unpacked(gnu('-c', '-C', 'tree', '.'));
    const extract = tar.extract();
    extract.end(await packed());
    const found: Record<string, string> = {};
    for await (const entry of extract) {
      const parts: Buffer[] = [];
      for await (const part of entry) parts.push(part as Buffer);
      found[entry.header.name] = `${Buffer.concat(parts)}`;
    }
    expect(found).toEqual({ './': '', [`./${LONG}`]: 'x\n', './y': 'y\n' });
  });

  test('whose reader goes away is an error of one line', async () => {
    await unpacked(await archiveOf([{ name: 'f' }, 'x'.repeat(3 * 2 ** 20)]));
    const { status, err } = await quarry(['tar', '-c', image], Buffer.alloc(0), 2);
    expect({ status, err }).toEqual({
      status: 1,
      err: 'quarry: nobody reads the archive any more: it is cut off\n',
    });
  });

  test('tells attributes whose names no archive has', async () => {
    await unpacked(await archiveOf([{ name: 'f' }, 'x']));
    await changed('/f', (volume, tx, inode) =>
      volume.setExtendedAttribute(
        tx,
        inode,
        { name: Buffer.from('user.\xff', 'latin1'), value: Buffer.from('v') },
        'any',
      ),
    );
    const { status, err, bytes } = await quarry(['tar', '-c', image]);
    expect({ status, err }).toEqual({
      status: 1,
      err: 'quarry: not kept: /f: attribute user.\ufffd (its name is no UTF-8)\n',
    });
    writeFileSync(file('out.tar'), bytes);
    expect(`${gnu('-xOf', 'out.tar', './f')}`).toBe('x');
  });

  test('tells attributes that are more than a reader believes', async () => {
    await unpacked(await archiveOf([{ name: 'f' }, 'x']));
    const value = Buffer.alloc(65536, 'v');
    const parts: Buffer[] = [];
    const lost: string[] = [];
    await inVolume(async (volume) => {
      // Making them takes minutes.
      volume.llistxattr = async () => Array.from({ length: 1000 }, (_, at) => `user.${at}`);
      volume.lgetxattr = async () => value;
      const write = async (bytes: Uint8Array) => void parts.push(Buffer.from(bytes));
      const options: PackingOptions = {
        write,
        failed: (thrown) => expect.fail(`${thrown}`),
        lost: (_path, what) => void lost.push(what),
      };
      await new TarPacking(volume, options).pack(Buffer.from('/f'));
    });
    expect(lost.length).toBeGreaterThan(10);
    expect(lost[0]).toMatch(/^attribute user\.\d+ \(there are too many for an archive\)$/);
    for await (const { attributes } of membersOf(Readable.from(parts)))
      expect(attributes.length + lost.length).toBe(1000);
  });

  test('has as many stretches as a reader believes', async () => {
    const stretches = Array.from({ length: MOST_STRETCHES - 1 }, (_, at) => ({
      offset: 3 * at,
      lengthBytes: 1,
    }));
    const sizeBytes = 3 * MOST_STRETCHES;
    const member = { ...NO_FIELDS, type: 'file', modifyNs: 0n, attributes: [], sizeBytes } as const;
    const data = Buffer.alloc(stretches.length);
    const archive = [memberHead(member, stretches), data, padding(data.length), archiveEnd()];
    for await (const one of membersOf(Readable.from(archive))) expect(one.sizeBytes).toBe(sizeBytes);
  });

  test('says which sockets are not in it', async () => {
    shell(`cd tree; echo x > f; python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('s')"`);
    expect(await quarry(['put', file('tree'), `${image}:/`])).toMatchObject({ status: 0 });
    const { status, err, bytes } = await quarry(['tar', '-c', `${image}:/tree`]);
    expect({ status, err }).toEqual({
      status: 1,
      err: 'quarry: /tree/s is a socket, which no archive has: not packed\n',
    });
    writeFileSync(file('out.tar'), bytes);
    expect(`${gnu('-tf', 'out.tar')}`).toBe('./\n./f\n');
  });
});

test('a command line that makes no sense is refused', async () => {
  symlinkSync('nowhere', file('dangling'));
  const failures: [string[], number, RegExp][] = [
    [['tar', image], 2, /say what is to be done: --create or --extract/],
    [['tar', '-c', '-x', image], 2, /say what is to be done/],
    [['tar', '-x', `${image}:/none`], 1, /v\.img:\/none is no directory that is there/],
    [['tar', '-c', `${image}:/none`], 1, /no such file or directory/],
    [['tar', '-c', file('dangling')], 1, /does not exist/],
  ];
  for (const [words, status, line] of failures) {
    const ended = await quarry(words);
    expect(ended, words.join(' ')).toMatchObject({ status, bytes: Buffer.alloc(0) });
    expect(ended.err).toMatch(line);
    expect(ended.err.match(/\n/g)).toHaveLength(1);
  }
});

test('too many stretches of a file are joined where the holes are shortest', () => {
  const stretches = [0, 10, 15, 40, 43, 46].map((offset) => ({ offset, lengthBytes: 2 }));
  expect(joined(stretches, 6)).toBe(stretches);
  expect(joined(stretches, 4)).toEqual([
    { offset: 0, lengthBytes: 2 },
    { offset: 10, lengthBytes: 2 },
    { offset: 15, lengthBytes: 2 },
    { offset: 40, lengthBytes: 8 },
  ]);
  expect(joined(stretches, 5)).toHaveLength(5);
  expect(joined(stretches, 1)).toEqual([{ offset: 0, lengthBytes: 48 }]);
});

test('times are of nanoseconds, before 1970 too', () => {
  for (const time of [0n, 1n, -1n, 999_999_999n, -1_500_000_000n, 2n ** 62n, -(2n ** 62n)])
    expect(parseTime(timeText(time))).toBe(time);
  expect(timeText(-1_500_000_000n)).toBe('-1.5');
  expect(parseTime('1.1234567899')).toBe(1_123_456_789n);
  expect(parseTime('-1.1234567899')).toBe(-1_123_456_790n);
});
