/** unlink(2). */
import { expect } from 'vitest';
import { Type } from '../calls.ts';
import { contentOf, exists, list, make, moved, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const unlink = new Subject('unlink');

unlink.case('takes the name away, and the other names stay', async (fs) => {
  await make(fs, 'a', 'content');
  await fs.link('a', 'b');
  await fs.unlink('a');
  expect(await list(fs, '.')).toEqual(['b']);
  expect((await fs.status('b')).links).toBe(1);
  expect(await contentOf(fs, 'b')).toBe('content');
});

unlink.case('takes symlinks and special files away, not what they name', async (fs) => {
  await make(fs, 'file');
  await fs.symlink('file', 'link');
  await fs.mknod('fifo', Type.fifo | 0o644);
  await fs.unlink('link');
  await fs.unlink('fifo');
  expect(await list(fs, '.')).toEqual(['file']);
});

unlink.case('of a directory is EISDIR, as unlink(2) says of Linux', async (fs) => {
  await fs.mkdir('d');
  await refuses('EISDIR', fs.unlink('d'));
  await make(fs, 'd/file');
  await refuses('EISDIR', fs.unlink('d'));
  expect(await list(fs, 'd')).toEqual(['file']);
});

unlink.case('of what is not there is ENOENT', async (fs) => {
  await refuses('ENOENT', fs.unlink('missing'));
  await refuses('ENOENT', fs.unlink('missing/file'));
});

unlink.case('below a file is ENOTDIR', async (fs) => {
  await make(fs, 'file');
  await refuses('ENOTDIR', fs.unlink('file/below'));
  expect(await exists(fs, 'file')).toBe(true);
});

unlink.case('of a name that is too long is ENAMETOOLONG', async (fs) => {
  await refuses('ENAMETOOLONG', fs.unlink('n'.repeat(256)));
});

unlink.case('of one of two names moves ctime of the file, and the times of the parent', async (fs) => {
  await fs.mkdir('d');
  await make(fs, 'd/a', 'x');
  await fs.link('d/a', 'b');
  expect(await moved(fs, ['d', 'd/a'], () => fs.unlink('d/a'))).toEqual({ d: 'mc', 'd/a': 'c' });
});

unlink.case('of the last name moves ctime of the file, and the times of the parent', async (fs) => {
  await fs.mkdir('d');
  await make(fs, 'd/a', 'x');
  expect(await moved(fs, ['.', 'd', 'd/a'], () => fs.unlink('d/a'))).toEqual({
    '.': '',
    d: 'mc',
    'd/a': 'c',
  });
});

unlink.case('that is refused moves no time', async (fs) => {
  await fs.mkdir('d');
  await fs.mkdir('d/e');
  const times = await moved(fs, ['d', 'd/e'], () => refuses('EISDIR', fs.unlink('d/e')));
  expect(times).toEqual({ d: '', 'd/e': '' });
});
