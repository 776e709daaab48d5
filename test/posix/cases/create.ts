/** open(2) with O_CREAT, and mknod(2). */
import { expect } from 'vitest';
import { Type } from '../calls.ts';
import { contentOf, list, make, modeOf, moved, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const create = new Subject('create and mknod');

create.case('a new file is empty, has one name, and takes no space', async (fs) => {
  await make(fs, 'file');
  expect(await fs.status('file')).toMatchObject({ type: Type.regular, links: 1, sizeBytes: 0, sectors: 0 });
});

create.case('exclusively, by a name that is in use, is EEXIST', async (fs) => {
  await make(fs, 'file', 'x');
  await fs.mkdir('d');
  await fs.symlink('missing', 'link');
  for (const name of ['file', 'd', 'link']) {
    await refuses('EEXIST', fs.open(name, 'write', ['create', 'exclusive']));
    await refuses('EEXIST', fs.mknod(name, Type.regular | 0o644));
  }
  expect(await list(fs, '.')).toEqual(['d', 'file', 'link']);
});

create.case('what is there is opened as it is, also by O_CREAT', async (fs) => {
  await make(fs, 'file', 'content', 0o640);
  await (await fs.open('file', 'write', ['create'], 0o777)).close();
  expect(await contentOf(fs, 'file')).toBe('content');
  expect(await modeOf(fs, 'file')).toBe(0o640);
});

create.case('O_TRUNC empties it, gives its space back, and moves mtime and ctime', async (fs) => {
  await make(fs, 'file', 'x'.repeat(20_000));
  const cut = async () => (await fs.open('file', 'write', ['truncate'])).close();
  expect(await moved(fs, ['file', '.'], cut)).toEqual({ file: 'mc', '.': '' });
  expect(await fs.status('file')).toMatchObject({ sizeBytes: 0, sectors: 0 });
});

create.case('where nothing is is ENOENT, below a file ENOTDIR, too long ENAMETOOLONG', async (fs) => {
  await make(fs, 'file');
  for (const [code, path] of [
    ['ENOENT', 'missing/x'],
    ['ENOTDIR', 'file/x'],
    ['ENAMETOOLONG', 'n'.repeat(256)],
  ] as const) {
    await refuses(code, make(fs, path));
    await refuses(code, fs.mknod(path, Type.fifo | 0o644));
  }
});

create.case('of what is not there without O_CREAT is ENOENT', async (fs) => {
  await refuses('ENOENT', fs.open('missing', 'read'));
});

create.case('devices keep their numbers', async (fs) => {
  const devices = [
    ['null', Type.character, { major: 1, minor: 3 }],
    ['large', Type.block, { major: 4095, minor: 1048575 }],
    ['odd', Type.block, { major: 259, minor: 0x12345 }],
    ['zero', Type.block, { major: 0, minor: 0 }],
  ] as const;
  for (const [name, type, device] of devices) {
    await fs.mknod(name, type | 0o640, device);
    expect(await fs.status(name)).toMatchObject({ type, mode: 0o640, device });
  }
});

create.case('fifos, sockets and files are made by mknod as well', async (fs) => {
  for (const type of [Type.fifo, Type.socket, Type.regular]) {
    await fs.mknod(`of-${type}`, type | 0o600);
    expect(await fs.status(`of-${type}`)).toMatchObject({ type, mode: 0o600, links: 1, sizeBytes: 0 });
  }
});

create.case('moves the times of the parent', async (fs) => {
  await fs.mkdir('d');
  expect(await moved(fs, ['.', 'd'], () => make(fs, 'd/a'))).toEqual({ '.': '', d: 'mc' });
  expect(await moved(fs, ['d'], () => fs.mknod('d/b', Type.fifo | 0o600))).toEqual({ d: 'mc' });
});

create.case('that is refused moves no time', async (fs) => {
  await fs.mkdir('d');
  await make(fs, 'd/a');
  expect(await moved(fs, ['d', 'd/a'], () => refuses('EEXIST', make(fs, 'd/a')))).toEqual({
    d: '',
    'd/a': '',
  });
});

create.case('what is there by O_CREAT moves no time', async (fs) => {
  await fs.mkdir('d');
  await make(fs, 'd/a', 'x');
  const times = await moved(fs, ['d', 'd/a'], async () =>
    (await fs.open('d/a', 'write', ['create'])).close(),
  );
  expect(times).toEqual({ d: '', 'd/a': '' });
});

create.case('inode numbers are all different, and those of the listing', async (fs) => {
  const numbers = new Set<number>();
  for (let index = 0; index < 80; index++) {
    await make(fs, `file-${index}`);
    numbers.add((await fs.status(`file-${index}`)).inode);
  }
  expect(numbers.size).toBe(80);
  const here = await fs.open('.', 'read');
  const entries = await here.list(0n, 32 * 1024);
  await here.close();
  expect(new Set(entries.slice(2).map(({ inode }) => inode)).size).toBe(entries.length - 2);
  const listed = entries.filter(({ name }) => name.startsWith('file-'));
  expect(listed.length).toBe(80);
  for (const { inode } of listed) expect(numbers.has(inode)).toBe(true);
});

create.case(
  'mknod of a device by somebody else is EPERM',
  async (fs) => {
    await fs.chmod('.', 0o777);
    const alice = fs.as({ uid: 1001, gid: 1001 });
    await refuses('EPERM', alice.mknod('denied', Type.character | 0o600, { major: 1, minor: 3 }));
  },
  'permissions',
);
