/** renameat2(2) with WHITEOUT, by which an overlay moves what hides something below. */
import { expect } from 'vitest';
import { type Calls, EXCHANGE, NOREPLACE, Type, WHITEOUT } from '../calls.ts';
import { contentOf, list, make, moved, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const whiteout = new Subject('whiteout');

async function expectWhiteout(fs: Calls, path: string): Promise<void> {
  expect(await fs.status(path)).toMatchObject({
    type: Type.character,
    mode: 0,
    links: 1,
    device: { major: 0, minor: 0 },
  });
}

whiteout.case('leaves a device 0:0 where the file was', async (fs) => {
  await make(fs, 'a', 'content');
  const { inode } = await fs.status('a');
  await fs.rename('a', 'b', WHITEOUT);
  await expectWhiteout(fs, 'a');
  expect(await contentOf(fs, 'b')).toBe('content');
  expect((await fs.status('b')).inode).toBe(inode);
  expect(await list(fs, '.')).toEqual(['a', 'b']);
  await fs.unlink('a');
  expect(await list(fs, '.')).toEqual(['b']);
});

whiteout.case('goes with a move elsewhere, over another file, and of a directory', async (fs) => {
  await fs.mkdir('d');
  await fs.mkdir('e');
  await make(fs, 'd/a', 'a');
  await make(fs, 'e/b', 'b');
  const { links } = await fs.status('.');
  await fs.rename('d/a', 'e/b', WHITEOUT);
  await expectWhiteout(fs, 'd/a');
  expect(await contentOf(fs, 'e/b')).toBe('a');
  await fs.rename('d', 'e/d', WHITEOUT);
  await expectWhiteout(fs, 'd');
  expect((await fs.status('.')).links).toBe(links - 1);
  expect((await fs.status('e')).links).toBe(3);
  expect(await list(fs, 'e/d')).toEqual(['a']);
});

whiteout.case("is the caller's, and of the group of a set-group-id directory", async (fs) => {
  const user = fs.as({ uid: 1000, gid: 1001 });
  await fs.mkdir('d');
  await fs.chmod('d', 0o2777);
  await fs.chown('d', 0, 4711);
  await make(user, 'd/a');
  await user.rename('d/a', 'd/b', WHITEOUT);
  expect(await fs.status('d/a')).toMatchObject({ uid: 1000, gid: 4711 });
});

whiteout.case('moves the times that a rename moves', async (fs) => {
  await fs.mkdir('d');
  await fs.mkdir('e');
  await make(fs, 'd/a');
  const times = await moved(fs, ['d', 'e', 'd/a'], () => fs.rename('d/a', 'e/a', WHITEOUT));
  expect(times).toEqual({ d: 'mc', e: 'mc', 'd/a': 'c' });
});

whiteout.case('is not left by a rename that is refused, or does nothing', async (fs) => {
  await make(fs, 'a', 'a');
  await make(fs, 'b', 'b');
  await fs.link('a', 'c');
  await refuses('EEXIST', fs.rename('a', 'b', WHITEOUT | NOREPLACE));
  await refuses('EINVAL', fs.rename('a', 'b', WHITEOUT | EXCHANGE));
  await refuses('ENOENT', fs.rename('missing', 'd', WHITEOUT));
  await fs.rename('a', 'c', WHITEOUT);
  expect(await list(fs, '.')).toEqual(['a', 'b', 'c']);
  expect((await fs.status('a')).links).toBe(2);
  await fs.rename('a', 'd', WHITEOUT | NOREPLACE);
  await expectWhiteout(fs, 'a');
});
