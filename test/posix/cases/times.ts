/** The three times of a file: set, and moved by what is done to it. */
import { expect } from 'vitest';
import { contentOf, make, moved, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const times = new Subject('times');

const SECOND = 1_000_000_000n;
const TICK = SECOND / 50n;

/** A file that was read after its last change, so that a read moves nothing more. */
async function quietFile(fs: Parameters<typeof make>[0], path: string): Promise<void> {
  await make(fs, path, 'data');
  await fs.tick();
  await contentOf(fs, path);
}

times.case('of a new file are all the same, between before and after', async (fs) => {
  const before = await fs.now();
  await make(fs, 'file');
  await fs.mkdir('d');
  const after = await fs.now();
  for (const path of ['file', 'd']) {
    const { accessNs, modifyNs, changeNs } = await fs.status(path);
    expect([modifyNs, changeNs]).toEqual([accessNs, accessNs]);
    expect(accessNs >= before - TICK && accessNs <= after).toBe(true);
  }
});

times.case('are set each on its own, to the nanosecond', async (fs) => {
  await make(fs, 'file');
  await fs.utimens('file', 123n * SECOND + 456n, 789n * SECOND + 999_999_999n);
  expect(await fs.status('file')).toMatchObject({
    accessNs: 123_000000456n,
    modifyNs: 789_999999999n,
  });
});

times.case('set, move ctime to now', async (fs) => {
  await make(fs, 'file');
  await fs.mkdir('d');
  for (const path of ['file', 'd']) {
    await fs.utimens(path, 5n, 6n);
    const set = await moved(fs, [path], () => fs.utimens(path, 5n, 6n));
    expect(set).toEqual({ [path]: 'c' });
  }
  const before = await fs.now();
  await fs.utimens('file', 5n, 6n);
  expect((await fs.status('file')).changeNs >= before - TICK).toBe(true);
});

times.case('set to now, or left out, leave the other as it is', async (fs) => {
  await make(fs, 'file');
  await fs.utimens('file', 123n * SECOND + 456n, 0n);
  const before = await fs.now();
  await fs.utimens('file', 'omit', 'now');
  const found = await fs.status('file');
  expect(found.accessNs).toBe(123_000000456n);
  expect(found.modifyNs >= before - TICK && found.modifyNs <= (await fs.now())).toBe(true);
  await fs.utimens('file', 5n * SECOND + 6n, 'omit');
  expect(await fs.status('file')).toMatchObject({ accessNs: 5_000000006n, modifyNs: found.modifyNs });
  await fs.utimens('file', 'now', 'omit');
  const again = await fs.status('file');
  expect(again.modifyNs).toBe(found.modifyNs);
  expect(again.accessNs >= before - TICK && again.accessNs <= (await fs.now())).toBe(true);
});

times.case('before 1970 and after 2038 and 2106', async (fs) => {
  await make(fs, 'file');
  for (const seconds of [-1n, -(2n ** 31n) + 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 33n]) {
    const [accessNs, modifyNs] = [seconds * SECOND + 7n, seconds * SECOND + 8n];
    await fs.utimens('file', accessNs, modifyNs);
    expect(await fs.status('file')).toMatchObject({ accessNs, modifyNs });
  }
});

times.case('of a symlink are its own', async (fs) => {
  await make(fs, 'file');
  await fs.symlink('file', 'link');
  const { modifyNs } = await fs.status('file');
  await fs.utimens('link', SECOND + 2n, 3n * SECOND + 4n);
  expect(await fs.status('link')).toMatchObject({ accessNs: 1_000000002n, modifyNs: 3_000000004n });
  expect((await fs.status('file')).modifyNs).toBe(modifyNs);
});

times.case('a write moves mtime and ctime', async (fs) => {
  await quietFile(fs, 'file');
  const write = async () => {
    const file = await fs.open('file', 'write');
    await file.write(4, Buffer.from('more'));
    await file.close();
  };
  expect(await moved(fs, ['file', '.'], write)).toEqual({ file: 'mc', '.': '' });
});

times.case('chmod and chown move ctime only', async (fs) => {
  await quietFile(fs, 'file');
  await fs.mkdir('d');
  expect(await moved(fs, ['file', '.'], () => fs.chmod('file', 0o600))).toEqual({ file: 'c', '.': '' });
  expect(await moved(fs, ['file', '.'], () => fs.chown('file', 1, 1))).toEqual({ file: 'c', '.': '' });
  expect(await moved(fs, ['d'], () => fs.chmod('d', 0o700))).toEqual({ d: 'c' });
  expect(await moved(fs, ['d'], () => fs.chown('d', 1, undefined))).toEqual({ d: 'c' });
});

times.case('a truncation to another size moves mtime and ctime', async (fs) => {
  for (const sizeBytes of [100, 10_000]) {
    await make(fs, `file-${sizeBytes}`, 'x'.repeat(sizeBytes));
    const path = `file-${sizeBytes}`;
    expect(await moved(fs, [path], () => fs.truncate(path, sizeBytes - 1))).toEqual({ [path]: 'mc' });
    expect(await moved(fs, [path], () => fs.truncate(path, sizeBytes + 9000))).toEqual({ [path]: 'mc' });
    expect(await moved(fs, [path], () => fs.truncate(path, 0))).toEqual({ [path]: 'mc' });
  }
});

// None after truncate(2) of Linux, both after POSIX and ext4. Quarry's rule: volume-names.test.ts.
times.case('a truncation to the size that it has moves both or none', async (fs) => {
  for (const sizeBytes of [100, 10_000]) {
    const path = `file-${sizeBytes}`;
    await make(fs, path, 'x'.repeat(sizeBytes));
    const found = await moved(fs, [path], () => fs.truncate(path, sizeBytes));
    expect(found[path]).toMatch(/^(mc)?$/);
  }
});

times.case('stat and a listing move no mtime and no ctime', async (fs) => {
  await make(fs, 'file');
  const look = async () => {
    await fs.status('file');
    const here = await fs.open('.', 'read');
    await here.list(0n, 4096);
    await here.close();
  };
  const found = await moved(fs, ['file', '.'], look);
  expect(found.file).toBe('');
  expect(found['.']).toMatch(/^a?$/);
});

times.case('a read moves atime once after a change, and then not again (relatime)', async (fs) => {
  await make(fs, 'file', 'data'.repeat(2000));
  const read = async () => {
    const file = await fs.open('file', 'read');
    await file.sync();
    await file.dropCache();
    await file.read(0, 8000);
    await file.close();
  };
  expect(await moved(fs, ['file'], read)).toEqual({ file: 'a' });
  expect(await moved(fs, ['file'], read)).toEqual({ file: '' });
  await fs.chmod('file', 0o600);
  expect(await moved(fs, ['file'], read)).toEqual({ file: 'a' });
});

times.case('readlink moves atime once after a change (relatime)', async (fs) => {
  await fs.symlink('target', 'link');
  const found = await moved(fs, ['link'], () => fs.readlink('link'));
  expect(found).toEqual({ link: 'a' });
  expect(await moved(fs, ['link'], () => fs.readlink('link'))).toEqual({ link: '' });
});

times.case('a listing moves atime once after a change (relatime)', async (fs) => {
  await fs.mkdir('d');
  await make(fs, 'd/a');
  const look = async () => {
    const directory = await fs.open('d', 'read');
    await directory.list(0n, 4096);
    await directory.close();
  };
  expect(await moved(fs, ['d'], look)).toEqual({ d: 'a' });
  expect(await moved(fs, ['d'], look)).toEqual({ d: '' });
});

times.case(
  'are set by the owner only; to now by who may write',
  async (fs) => {
    await make(fs, 'file');
    const alice = fs.as({ uid: 1001, gid: 1001 });
    await refuses('EACCES', alice.utimens('file', 'now', 'now'));
    await fs.chmod('file', 0o666);
    await refuses('EPERM', alice.utimens('file', SECOND, 2n * SECOND));
    await alice.utimens('file', 'now', 'now');
  },
  'permissions',
);
