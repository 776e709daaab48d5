/** rename(2), and renameat2(2) with NOREPLACE and EXCHANGE. */
import { expect } from 'vitest';
import { EXCHANGE, NOREPLACE, Type } from '../calls.ts';
import { contentOf, exists, list, make, moved, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const rename = new Subject('rename');

rename.case('over a file takes its place', async (fs) => {
  await make(fs, 'a', 'a');
  await make(fs, 'b', 'b');
  const { inode } = await fs.status('a');
  await fs.rename('a', 'b');
  expect(await contentOf(fs, 'b')).toBe('a');
  expect((await fs.status('b')).inode).toBe(inode);
  expect(await list(fs, '.')).toEqual(['b']);
});

rename.case('over one of two names takes a link away', async (fs) => {
  await make(fs, 'a');
  await make(fs, 'b');
  await fs.link('b', 'c');
  await fs.rename('a', 'b');
  expect((await fs.status('c')).links).toBe(1);
});

rename.case('of one name of a file over another does nothing', async (fs) => {
  await make(fs, 'b', 'x');
  await fs.link('b', 'c');
  expect(await moved(fs, ['.', 'b'], () => fs.rename('b', 'c'))).toEqual({ '.': '', b: '' });
  expect(await list(fs, '.')).toEqual(['b', 'c']);
  expect((await fs.status('b')).links).toBe(2);
});

rename.case('of a name onto itself does nothing', async (fs) => {
  await fs.mkdir('d');
  await fs.mkdir('d/e');
  await fs.rename('d', 'd');
  expect(await list(fs, 'd')).toEqual(['e']);
});

rename.case('moves symlinks and special files as they are', async (fs) => {
  await fs.mkdir('d');
  await fs.symlink('nowhere', 'link');
  await fs.mknod('fifo', Type.fifo | 0o640);
  await fs.rename('link', 'd/link');
  await fs.rename('fifo', 'd/fifo');
  expect(await fs.readlink('d/link')).toBe('nowhere');
  expect(await fs.status('d/fifo')).toMatchObject({ type: Type.fifo, mode: 0o640 });
});

rename.case('of what is not there, or to where nothing is, is ENOENT', async (fs) => {
  await make(fs, 'b');
  await refuses('ENOENT', fs.rename('missing', 'x'));
  await refuses('ENOENT', fs.rename('b', 'missing/x'));
  await refuses('ENOENT', fs.rename('missing/b', 'x'));
  expect(await list(fs, '.')).toEqual(['b']);
});

rename.case('below a file is ENOTDIR', async (fs) => {
  await make(fs, 'b');
  await make(fs, 'c');
  await refuses('ENOTDIR', fs.rename('b', 'c/x'));
  await refuses('ENOTDIR', fs.rename('c/x', 'b'));
});

rename.case('to or of a name that is too long is ENAMETOOLONG', async (fs) => {
  await make(fs, 'b');
  await refuses('ENAMETOOLONG', fs.rename('b', 'n'.repeat(256)));
  await refuses('ENAMETOOLONG', fs.rename('n'.repeat(256), 'b'));
  await fs.rename('b', 'n'.repeat(255));
});

rename.case('of or to . and .. is EBUSY', async (fs) => {
  await fs.mkdir('d');
  await fs.mkdir('d/e');
  await refuses('EBUSY', fs.rename('d/.', 'x'));
  await refuses('EBUSY', fs.rename('d/..', 'x'));
  await refuses('EBUSY', fs.rename('d/e', 'd/.'));
  await refuses('EBUSY', fs.rename('d/e', 'd/..'));
});

rename.case('of a directory below itself is EINVAL, however deep', async (fs) => {
  await fs.mkdir('one');
  await fs.mkdir('one/inner');
  await refuses('EINVAL', fs.rename('one', 'one/one'));
  await refuses('EINVAL', fs.rename('one', 'one/inner/one'));
  expect(await list(fs, 'one')).toEqual(['inner']);
});

rename.case('of a directory over one with names is ENOTEMPTY', async (fs) => {
  await fs.mkdir('two');
  await fs.mkdir('full');
  await make(fs, 'full/file');
  await refuses('ENOTEMPTY', fs.rename('two', 'full'));
  expect(await list(fs, 'full')).toEqual(['file']);
});

rename.case('of a directory over the one that it is in is ENOTEMPTY', async (fs) => {
  await fs.mkdir('d');
  await fs.mkdir('d/e');
  await refuses('ENOTEMPTY', fs.rename('d/e', 'd'));
});

rename.case('of a directory over a file is ENOTDIR, of a file over a directory EISDIR', async (fs) => {
  await fs.mkdir('d');
  await make(fs, 'file');
  await refuses('ENOTDIR', fs.rename('d', 'file'));
  await refuses('EISDIR', fs.rename('file', 'd'));
  expect(await list(fs, '.')).toEqual(['d', 'file']);
});

rename.case('of a directory over an empty one takes its place', async (fs) => {
  await fs.mkdir('one');
  await fs.mkdir('one/inner');
  await fs.mkdir('two');
  const { links } = await fs.status('.');
  const { inode } = await fs.status('one');
  await fs.rename('one', 'two');
  expect(await list(fs, 'two')).toEqual(['inner']);
  expect(await fs.status('two')).toMatchObject({ inode, links: 3 });
  expect((await fs.status('.')).links).toBe(links - 1);
});

rename.case('of a directory into another changes its .. and the links of both', async (fs) => {
  await fs.mkdir('two');
  await fs.mkdir('two/inner');
  await fs.mkdir('full');
  const { inode } = await fs.status('full');
  await fs.rename('two/inner', 'full/inner');
  expect((await fs.status('full/inner/..')).inode).toBe(inode);
  expect((await fs.status('two')).links).toBe(2);
  expect((await fs.status('full')).links).toBe(3);
});

rename.case('into a directory that was removed is ENOENT', async (fs) => {
  await fs.mkdir('gone');
  await make(fs, 'file');
  await fs.mkdir('d');
  const gone = await fs.open('gone', 'read');
  await fs.rmdir('gone');
  await refuses('ENOENT', fs.renameInto(gone, 'file', 'x'));
  await refuses('ENOENT', fs.renameInto(gone, 'd', 'x'));
  expect(await list(fs, '.')).toEqual(['d', 'file']);
  await gone.close();
});

rename.case('moves the times of the parent once, and ctime of what moves', async (fs) => {
  await fs.mkdir('d');
  await make(fs, 'd/a', 'x');
  expect(await moved(fs, ['.', 'd', 'd/a'], () => fs.rename('d/a', 'd/b'))).toEqual({
    '.': '',
    d: 'mc',
    'd/a': 'c',
  });
});

rename.case('into another directory moves the times of both parents', async (fs) => {
  await fs.mkdir('from');
  await fs.mkdir('to');
  await make(fs, 'from/a', 'x');
  expect(await moved(fs, ['from', 'to', 'from/a'], () => fs.rename('from/a', 'to/b'))).toEqual({
    from: 'mc',
    to: 'mc',
    'from/a': 'c',
  });
});

rename.case('of a directory into another moves the times of both parents, and its ctime', async (fs) => {
  await fs.mkdir('from');
  await fs.mkdir('to');
  await fs.mkdir('from/a');
  const times = await moved(fs, ['from', 'to', 'from/a'], () => fs.rename('from/a', 'to/a'));
  expect(times).toMatchObject({ from: 'mc', to: 'mc' });
  // Its '..' is another now: some filesystems say so by its time of modification.
  expect(times['from/a']).toMatch(/c$/);
});

rename.case('over a file moves ctime of the file that loses its name', async (fs) => {
  await fs.mkdir('from');
  await fs.mkdir('to');
  await make(fs, 'from/a', 'x');
  await make(fs, 'to/b', 'y');
  await fs.link('to/b', 'other');
  const paths = ['from', 'to', 'from/a', 'to/b'];
  expect(await moved(fs, paths, () => fs.rename('from/a', 'to/b'))).toEqual({
    from: 'mc',
    to: 'mc',
    'from/a': 'c',
    'to/b': 'c',
  });
});

rename.case('that is refused moves no time', async (fs) => {
  await fs.mkdir('d');
  await fs.mkdir('d/full');
  await make(fs, 'd/full/file');
  await fs.mkdir('e');
  const times = await moved(fs, ['d', 'd/full', 'e', '.'], () =>
    refuses('ENOTEMPTY', fs.rename('e', 'd/full')),
  );
  expect(times).toEqual({ d: '', 'd/full': '', e: '', '.': '' });
});

rename.case('NOREPLACE takes no name that is in use', async (fs) => {
  await make(fs, 'a', 'a');
  await make(fs, 'b', 'b');
  await fs.mkdir('d');
  await refuses('EEXIST', fs.rename('a', 'b', NOREPLACE));
  await refuses('EEXIST', fs.rename('a', 'd', NOREPLACE));
  await refuses('EEXIST', fs.rename('a', 'a', NOREPLACE));
  expect(await contentOf(fs, 'a')).toBe('a');
  expect(await contentOf(fs, 'b')).toBe('b');
  await fs.rename('a', 'c', NOREPLACE);
  expect(await contentOf(fs, 'c')).toBe('a');
  expect(await exists(fs, 'a')).toBe(false);
});

rename.case('NOREPLACE of a link over another of the same file is EEXIST', async (fs) => {
  await make(fs, 'a');
  await fs.link('a', 'b');
  await refuses('EEXIST', fs.rename('a', 'b', NOREPLACE));
});

rename.case('EXCHANGE of a file and a directory', async (fs) => {
  await make(fs, 'a', 'a');
  await fs.mkdir('folder');
  await fs.mkdir('folder/sub');
  const top = await fs.status('.');
  await fs.rename('a', 'folder/sub', EXCHANGE);
  expect(await contentOf(fs, 'folder/sub')).toBe('a');
  expect((await fs.status('a')).type).toBe(Type.directory);
  expect((await fs.status('a/..')).inode).toBe(top.inode);
  expect((await fs.status('folder')).links).toBe(2);
  expect((await fs.status('.')).links).toBe(top.links + 1);
});

rename.case('EXCHANGE of two directories exchanges their parents', async (fs) => {
  await fs.mkdir('a');
  await fs.mkdir('a/b');
  await fs.mkdir('other');
  await make(fs, 'other/file');
  await fs.rename('a/b', 'other', EXCHANGE);
  expect(await list(fs, 'a/b')).toEqual(['file']);
  expect(await list(fs, 'other')).toEqual([]);
  expect((await fs.status('a/b/..')).inode).toBe((await fs.status('a')).inode);
  expect((await fs.status('other/..')).inode).toBe((await fs.status('.')).inode);
});

rename.case('EXCHANGE of a full directory and a file takes no notice of what is in it', async (fs) => {
  await fs.mkdir('full');
  await make(fs, 'full/file', 'inner');
  await make(fs, 'a', 'a');
  await fs.rename('full', 'a', EXCHANGE);
  expect(await contentOf(fs, 'full')).toBe('a');
  expect(await contentOf(fs, 'a/file')).toBe('inner');
});

rename.case('EXCHANGE with what is not there is ENOENT', async (fs) => {
  await make(fs, 'a');
  await refuses('ENOENT', fs.rename('a', 'missing', EXCHANGE));
  await refuses('ENOENT', fs.rename('missing', 'a', EXCHANGE));
  expect(await list(fs, '.')).toEqual(['a']);
});

rename.case('EXCHANGE with NOREPLACE, and unknown flags, are EINVAL', async (fs) => {
  await make(fs, 'a');
  await make(fs, 'b');
  await refuses('EINVAL', fs.rename('a', 'b', EXCHANGE | NOREPLACE));
  await refuses('EINVAL', fs.rename('a', 'b', 1 << 6));
});

rename.case('EXCHANGE of a directory with what lies below it is EINVAL', async (fs) => {
  await fs.mkdir('outer');
  await fs.mkdir('outer/inner');
  await fs.mkdir('outer/inner/deep');
  await make(fs, 'outer/inner/deep/file');
  await refuses('EINVAL', fs.rename('outer', 'outer/inner', EXCHANGE));
  await refuses('EINVAL', fs.rename('outer', 'outer/inner/deep', EXCHANGE));
  await refuses('EINVAL', fs.rename('outer', 'outer/inner/deep/file', EXCHANGE));
  expect(await list(fs, 'outer/inner/deep')).toEqual(['file']);
});

rename.case('EXCHANGE of what lies below a directory with that is EINVAL', async (fs) => {
  await fs.mkdir('outer');
  await fs.mkdir('outer/inner');
  await fs.mkdir('outer/inner/deep');
  await make(fs, 'outer/inner/deep/file');
  for (const below of ['outer/inner', 'outer/inner/deep', 'outer/inner/deep/file']) {
    await refuses('EINVAL', fs.rename(below, 'outer', EXCHANGE));
  }
  expect(await list(fs, 'outer/inner/deep')).toEqual(['file']);
});

rename.case('EXCHANGE moves the times of both parents, and ctime of both', async (fs) => {
  await fs.mkdir('from');
  await fs.mkdir('to');
  await make(fs, 'from/a', 'x');
  await make(fs, 'to/b', 'y');
  const paths = ['from', 'to', 'from/a', 'to/b'];
  expect(await moved(fs, paths, () => fs.rename('from/a', 'to/b', EXCHANGE))).toEqual({
    from: 'mc',
    to: 'mc',
    'from/a': 'c',
    'to/b': 'c',
  });
});
