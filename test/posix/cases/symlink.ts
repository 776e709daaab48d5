/** symlink(2) and readlink(2). */
import { expect } from 'vitest';
import { Type } from '../calls.ts';
import { exists, make, moved, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const symlink = new Subject('symlink');

/** Bytes of every value but NUL, so many of them. */
function targetOf(length: number): string {
  return String.fromCharCode(...Array.from({ length }, (_, at) => 1 + ((at * 7 + length) % 255)));
}

symlink.case('holds a target of any bytes, up to 4095 of them', async (fs) => {
  const few = Array.from({ length: 33 }, (_, at) => 1 + 9 * at);
  for (const length of [...few, 59, 60, 61, 126, 127, 128, 129, 255, 256, 1023, 1024, 1025, 4000, 4095]) {
    const target = targetOf(length);
    await fs.symlink(target, 'link');
    expect(await fs.readlink('link')).toBe(target);
    expect((await fs.status('link')).sizeBytes).toBe(length);
    await fs.unlink('link');
  }
});

symlink.case('is of its own type, and everybody may read it', async (fs) => {
  await fs.symlink('x', 'link');
  expect(await fs.status('link')).toMatchObject({ type: Type.symlink, mode: 0o777, links: 1, sizeBytes: 1 });
});

symlink.case('to a longer target is ENAMETOOLONG', async (fs) => {
  await refuses('ENAMETOOLONG', fs.symlink(targetOf(4096), 'link'));
  expect(await exists(fs, 'link')).toBe(false);
});

symlink.case('by a name that is in use is EEXIST', async (fs) => {
  await make(fs, 'file');
  await fs.mkdir('d');
  await fs.symlink('missing', 'dangling');
  for (const name of ['file', 'd', 'dangling']) await refuses('EEXIST', fs.symlink('x', name));
  expect(await fs.readlink('dangling')).toBe('missing');
});

symlink.case('where nothing is is ENOENT, below a file ENOTDIR, too long ENAMETOOLONG', async (fs) => {
  await make(fs, 'file');
  await refuses('ENOENT', fs.symlink('x', 'missing/link'));
  await refuses('ENOTDIR', fs.symlink('x', 'file/link'));
  await refuses('ENAMETOOLONG', fs.symlink('x', 'n'.repeat(256)));
});

symlink.case(
  'to an empty target is ENOENT',
  async (fs) => {
    await refuses('ENOENT', fs.symlink('', 'link'));
  },
  'texts and sizes of nothing',
);

symlink.case('moves the times of its parent', async (fs) => {
  await fs.mkdir('d');
  expect(await moved(fs, ['.', 'd'], () => fs.symlink('x', 'd/link'))).toEqual({ '.': '', d: 'mc' });
});

symlink.case('readlink of anything else is EINVAL', async (fs) => {
  await make(fs, 'file');
  await fs.mkdir('d');
  await refuses('EINVAL', fs.readlink('file'));
  await refuses('EINVAL', fs.readlink('d'));
});

symlink.case('belongs to its maker', async (fs) => {
  await fs.chmod('.', 0o777);
  await fs.as({ uid: 1001, gid: 2001 }).symlink('x', 'link');
  expect(await fs.status('link')).toMatchObject({ uid: 1001, gid: 2001 });
});

symlink.case(
  'is followed: ELOOP in a circle, ENOENT where it names nothing',
  async (fs) => {
    await fs.symlink('loop-2', 'loop-1');
    await fs.symlink('loop-1', 'loop-2');
    await refuses('ELOOP', fs.statusBehind('loop-1'));
    await fs.symlink('missing', 'dangling');
    await refuses('ENOENT', fs.statusBehind('dangling'));
    await refuses('ELOOP', fs.open('dangling', 'read', ['noFollow']));
    await (await fs.open('dangling', 'write', ['create'])).close();
    expect(await exists(fs, 'missing')).toBe(true);
  },
  'path walk',
);
