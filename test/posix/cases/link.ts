/** link(2). */
import { expect } from 'vitest';
import { contentOf, list, make, moved, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const link = new Subject('link');

link.case('gives a file another name, in any directory', async (fs) => {
  await make(fs, 'a', 'content');
  await fs.mkdir('folder');
  await fs.link('a', 'b');
  await fs.link('a', 'folder/c');
  const { inode } = await fs.status('a');
  expect(await fs.status('folder/c')).toMatchObject({ inode, links: 3 });
  await fs.unlink('a');
  await fs.unlink('b');
  expect(await contentOf(fs, 'folder/c')).toBe('content');
  expect((await fs.status('folder/c')).links).toBe(1);
});

link.case('moves ctime of the file, and the times of the parent of the new name', async (fs) => {
  await fs.mkdir('from');
  await fs.mkdir('to');
  await make(fs, 'from/a', 'x');
  expect(await moved(fs, ['from', 'to', 'from/a'], () => fs.link('from/a', 'to/b'))).toEqual({
    from: '',
    to: 'mc',
    'from/a': 'c',
  });
});

link.case('to a name that is in use is EEXIST', async (fs) => {
  await make(fs, 'a');
  await make(fs, 'b');
  await fs.mkdir('d');
  await refuses('EEXIST', fs.link('a', 'b'));
  await refuses('EEXIST', fs.link('a', 'a'));
  await refuses('EEXIST', fs.link('a', 'd'));
  expect((await fs.status('a')).links).toBe(1);
});

link.case('of a directory is EPERM', async (fs) => {
  await fs.mkdir('folder');
  await refuses('EPERM', fs.link('folder', 'folder-2'));
  expect(await list(fs, '.')).toEqual(['folder']);
});

link.case('of or to what is not there is ENOENT', async (fs) => {
  await make(fs, 'a');
  await refuses('ENOENT', fs.link('missing', 'b'));
  await refuses('ENOENT', fs.link('a', 'missing/b'));
});

link.case('below a file is ENOTDIR', async (fs) => {
  await make(fs, 'a');
  await refuses('ENOTDIR', fs.link('a', 'a/b'));
});

link.case('to a name that is too long is ENAMETOOLONG', async (fs) => {
  await make(fs, 'a');
  await refuses('ENAMETOOLONG', fs.link('a', 'n'.repeat(256)));
});

link.case('into a directory that was removed is ENOENT', async (fs) => {
  await make(fs, 'a');
  await fs.mkdir('gone');
  const [file, gone] = [await fs.open('a', 'read'), await fs.open('gone', 'read')];
  await fs.rmdir('gone');
  await refuses('ENOENT', file.link('b', gone));
  await file.close();
  await gone.close();
});

link.case('of a symlink names the symlink', async (fs) => {
  await make(fs, 'file');
  await fs.symlink('file', 'symlink');
  await fs.link('symlink', 'symlink-2');
  expect(await fs.readlink('symlink-2')).toBe('file');
  expect((await fs.status('symlink')).links).toBe(2);
  expect((await fs.status('file')).links).toBe(1);
});
