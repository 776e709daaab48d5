/** mkdir(2) and rmdir(2). */
import { expect } from 'vitest';
import { Type } from '../calls.ts';
import { entriesOf, list, make, moved, namesOf, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const directories = new Subject('mkdir and rmdir');

directories.case('count links: one for each directory in it, and two', async (fs) => {
  const { links } = await fs.status('.');
  await fs.mkdir('d');
  await fs.mkdir('d/e');
  expect((await fs.status('.')).links).toBe(links + 1);
  expect((await fs.status('d')).links).toBe(3);
  await fs.rmdir('d/e');
  expect((await fs.status('d')).links).toBe(2);
  await fs.rmdir('d');
  expect((await fs.status('.')).links).toBe(links);
});

directories.case('a new one is empty, of size above zero, and knows its parent', async (fs) => {
  await fs.mkdir('d');
  const status = await fs.status('d');
  expect(status.type).toBe(Type.directory);
  expect(status.sizeBytes).toBeGreaterThan(0);
  expect(await list(fs, 'd')).toEqual([]);
  expect((await fs.status('d/..')).inode).toBe((await fs.status('.')).inode);
  expect((await fs.status('d/.')).inode).toBe(status.inode);
});

directories.case('mkdir by a name that is in use is EEXIST', async (fs) => {
  await fs.mkdir('d');
  await make(fs, 'd/file');
  await fs.symlink('missing', 'link');
  for (const name of ['d', 'd/file', 'link', 'd/.', 'd/..']) await refuses('EEXIST', fs.mkdir(name));
});

directories.case('mkdir where nothing is is ENOENT, below a file ENOTDIR', async (fs) => {
  await make(fs, 'file');
  await refuses('ENOENT', fs.mkdir('missing/d'));
  await refuses('ENOTDIR', fs.mkdir('file/d'));
});

directories.case('mkdir by a name that is too long is ENAMETOOLONG', async (fs) => {
  await refuses('ENAMETOOLONG', fs.mkdir('n'.repeat(256)));
});

directories.case('rmdir of one with names is ENOTEMPTY', async (fs) => {
  await fs.mkdir('d');
  await make(fs, 'd/file');
  await refuses('ENOTEMPTY', fs.rmdir('d'));
  await refuses('ENOTEMPTY', fs.rmdir('d/..'));
  await fs.unlink('d/file');
  await fs.mkdir('d/e');
  await refuses('ENOTEMPTY', fs.rmdir('d'));
});

directories.case('rmdir of . is EINVAL', async (fs) => {
  await fs.mkdir('d');
  await refuses('EINVAL', fs.rmdir('d/.'));
});

directories.case('rmdir of what is no directory is ENOTDIR', async (fs) => {
  await make(fs, 'file');
  await fs.mkdir('d');
  await fs.symlink('d', 'link');
  await refuses('ENOTDIR', fs.rmdir('file'));
  await refuses('ENOTDIR', fs.rmdir('link'));
  await refuses('ENOTDIR', fs.rmdir('file/d'));
});

directories.case('rmdir of what is not there is ENOENT', async (fs) => {
  await refuses('ENOENT', fs.rmdir('missing'));
  await refuses('ENOENT', fs.rmdir('missing/d'));
});

directories.case('mkdir and rmdir move the times of the parent', async (fs) => {
  await fs.mkdir('d');
  expect(await moved(fs, ['.', 'd'], () => fs.mkdir('d/e'))).toEqual({ '.': '', d: 'mc' });
  const times = await moved(fs, ['.', 'd', 'd/e'], () => fs.rmdir('d/e'));
  expect(times).toMatchObject({ '.': '', d: 'mc' });
  expect(times['d/e']).toMatch(/c$/);
});

directories.case('one that was removed takes no names, and has none', async (fs) => {
  await fs.mkdir('gone');
  const gone = await fs.open('gone', 'read');
  await fs.rmdir('gone');
  const there = fs.at(gone);
  await refuses('ENOENT', make(there, 'new'));
  await refuses('ENOENT', there.mkdir('new'));
  await refuses('ENOENT', there.symlink('x', 'new'));
  await refuses('ENOENT', there.mknod('new', Type.fifo | 0o600));
  expect((await gone.status()).links).toBe(0);
  expect(namesOf(await entriesOf(gone))).toEqual([]);
  await gone.close();
});

directories.case(
  'are opened for reading only, and nothing else as one',
  async (fs) => {
    await fs.mkdir('d');
    await make(fs, 'file');
    await refuses('EISDIR', fs.open('d', 'write'));
    await refuses('ENOTDIR', fs.open('file', 'read', ['directory']));
  },
  'open files',
);
