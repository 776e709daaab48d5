/** Directories as getdents64(2) gives them: the dots, types, and cookies while names come and go. */
import { expect } from 'vitest';
import { Type } from '../calls.ts';
import { entriesOf, list, make, namesOf, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const listing = new Subject('directory listing');

/** Room for some tens of names. */
const SMALL_BUFFER = 1024;

listing.case('has . and .. with their inodes', async (fs) => {
  await fs.mkdir('d');
  await fs.mkdir('d/e');
  const directory = await fs.open('d/e', 'read');
  const entries = await entriesOf(directory);
  await directory.close();
  expect(entries.map(({ name }) => name).sort()).toEqual(['.', '..']);
  const of = (wanted: string) => entries.find(({ name }) => name === wanted);
  expect(of('.')).toMatchObject({ inode: (await fs.status('d/e')).inode, type: Type.directory });
  expect(of('..')).toMatchObject({ inode: (await fs.status('d')).inode, type: Type.directory });
});

listing.case('has .. of where a directory was moved to', async (fs) => {
  await fs.mkdir('from');
  await fs.mkdir('from/e');
  await fs.mkdir('to');
  await fs.rename('from/e', 'to/e');
  const directory = await fs.open('to/e', 'read');
  const parent = (await entriesOf(directory)).find(({ name }) => name === '..');
  await directory.close();
  expect(parent?.inode).toBe((await fs.status('to')).inode);
});

listing.case('has the inode and the type of each name', async (fs) => {
  const made = {
    file: Type.regular,
    folder: Type.directory,
    fifo: Type.fifo,
    socket: Type.socket,
    link: Type.symlink,
    null: Type.character,
    disk: Type.block,
  };
  for (const [name, type] of Object.entries(made)) {
    if (type === Type.directory) await fs.mkdir(name);
    else if (type === Type.symlink) await fs.symlink('x', name);
    else await fs.mknod(name, type | 0o600, { major: 1, minor: 3 });
  }
  const here = await fs.open('.', 'read');
  const entries = (await entriesOf(here)).filter(({ name }) => name !== '.' && name !== '..');
  await here.close();
  expect(Object.fromEntries(entries.map(({ name, type }) => [name, type]))).toEqual(made);
  for (const { name, inode } of entries) expect((await fs.status(name)).inode).toBe(inode);
});

listing.case('has the type of what another name was given to', async (fs) => {
  await make(fs, 'a');
  await fs.mkdir('d');
  await fs.rename('a', 'd', 2);
  const here = await fs.open('.', 'read');
  const types = (await entriesOf(here)).filter(({ name }) => name === 'a' || name === 'd');
  await here.close();
  expect(Object.fromEntries(types.map(({ name, type }) => [name, type]))).toEqual({
    a: Type.directory,
    d: Type.regular,
  });
});

listing.case('goes on behind any entry, from its cookie', async (fs) => {
  for (let index = 0; index < 60; index++) await make(fs, `name-${index}`);
  const here = await fs.open('.', 'read');
  const all = await entriesOf(here, SMALL_BUFFER);
  expect(all).toHaveLength(62);
  expect(new Set(all.map(({ cookie }) => cookie)).size).toBe(62);
  for (const [at, { cookie }] of all.entries()) {
    const rest = await here.list(cookie, SMALL_BUFFER);
    expect(rest[0]?.name).toBe(all[at + 1]?.name);
  }
  await here.close();
});

listing.case('has what stays exactly once while names come and go', async (fs) => {
  await fs.mkdir('folder');
  for (let index = 0; index < 150; index++) await make(fs, `folder/stays-${index}`);
  for (let index = 0; index < 50; index++) await make(fs, `folder/goes-${index}`);
  const folder = await fs.open('folder', 'read');
  const seen: string[] = [];
  for (let cookie = 0n, round = 0; ; round++) {
    const some = await folder.list(cookie, SMALL_BUFFER);
    const last = some.at(-1);
    if (last === undefined) break;
    cookie = last.cookie;
    seen.push(...namesOf(some));
    for (const { name } of some) if (/^(goes|comes)/.test(name)) await fs.unlink(`folder/${name}`);
    if (round < 10) {
      for (let index = 0; index < 10; index++) {
        await make(fs, `folder/comes-${round}-${index}-${'x'.repeat(10 * index)}`);
      }
    }
  }
  await folder.close();
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen.filter((name) => name.startsWith('stays'))).toHaveLength(150);
});

listing.case('ends when everything is removed while it is read', async (fs) => {
  await fs.mkdir('folder');
  for (let index = 0; index < 150; index++) await make(fs, `folder/${index}`);
  const folder = await fs.open('folder', 'read');
  for (let cookie = 0n; ; ) {
    const some = await folder.list(cookie, SMALL_BUFFER);
    const last = some.at(-1);
    if (last === undefined) break;
    cookie = last.cookie;
    for (const name of namesOf(some)) await fs.unlink(`folder/${name}`);
  }
  await folder.close();
  expect(await list(fs, 'folder')).toEqual([]);
  await fs.rmdir('folder');
});

listing.case('of what is no directory is ENOTDIR', async (fs) => {
  await make(fs, 'file');
  const file = await fs.open('file', 'read');
  await refuses('ENOTDIR', file.list(0n, SMALL_BUFFER));
  await file.close();
});

listing.case('into a buffer that holds no entry is EINVAL', async (fs) => {
  await make(fs, 'n'.repeat(255));
  const here = await fs.open('.', 'read');
  const last = (await entriesOf(here)).findIndex(({ name }) => name.startsWith('n'));
  const before = (await entriesOf(here))[last - 1];
  await refuses('EINVAL', here.list(before?.cookie ?? 0n, 100));
  await here.close();
});
