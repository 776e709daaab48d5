/** open(2) with O_TMPFILE: files without a name, which may get one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { contentOf, list, make, moved, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const unnamed = new Subject('unnamed files', true);

const MIB = 1024 * 1024;
const LIMIT_MS = 20_000;

unnamed.case('are read, written and changed, and no directory lists them', async (fs) => {
  await fs.mkdir('d');
  const times = await moved(fs, ['d'], async () => {
    const file = await fs.open('d', 'both', ['unnamed'], 0o640);
    await file.write(0, Buffer.alloc(100_000, 'x'));
    await file.write(50_000, Buffer.from('here'));
    expect(await file.status()).toMatchObject({ links: 0, mode: 0o640, sizeBytes: 100_000 });
    expect((await file.read(50_000, 4)).toString()).toBe('here');
    await file.chmod(0o600);
    await file.truncate(10);
    await file.sync();
    expect(await file.status()).toMatchObject({ links: 0, mode: 0o600, sizeBytes: 10 });
    await file.close();
  });
  expect(times).toEqual({ d: '' });
  expect(await list(fs, 'd')).toEqual([]);
});

unnamed.case('have the umask, the owner, and the group of a set-group-id directory', async (fs) => {
  await fs.mkdir('d', 0o777);
  await fs.chown('d', 0, 4711);
  await fs.chmod('d', 0o2777);
  const file = await fs.as({ uid: 1000, gid: 1001, umask: 0o027 }).open('d', 'both', ['unnamed'], 0o666);
  expect(await file.status()).toMatchObject({ uid: 1000, gid: 4711, mode: 0o640 });
  await file.close();
});

unnamed.case('get a name by linkat, with all they hold', async (fs) => {
  await fs.mkdir('d');
  const file = await fs.open('.', 'both', ['unnamed']);
  await file.write(0, Buffer.alloc(20_000, 'y'));
  await file.link('d/name');
  expect(await fs.status('d/name')).toMatchObject({ links: 1, sizeBytes: 20_000 });
  await file.link('other');
  expect((await file.status()).links).toBe(2);
  await file.close();
  expect(await contentOf(fs, 'd/name')).toBe('y'.repeat(20_000));
  await fs.unlink('other');
  expect((await fs.status('d/name')).links).toBe(1);
});

unnamed.case('get no name that is taken', async (fs) => {
  await make(fs, 'taken', 'old');
  const file = await fs.open('.', 'both', ['unnamed']);
  await refuses('EEXIST', file.link('taken'));
  await refuses('ENOENT', file.link('missing/name'));
  expect((await file.status()).links).toBe(0);
  await file.link('free');
  await file.close();
  expect(await list(fs, '.')).toEqual(['free', 'taken']);
});

unnamed.case('get none again when the last one went', async (fs) => {
  const file = await fs.open('.', 'both', ['unnamed']);
  await file.link('name');
  await fs.unlink('name');
  await refuses('ENOENT', file.link('name'));
  expect((await file.status()).links).toBe(0);
  await file.close();
  expect(await list(fs, '.')).toEqual([]);
});

unnamed.case(
  'opened with O_EXCL get none at all',
  async (fs) => {
    const file = await fs.open('.', 'both', ['unnamed', 'exclusive']);
    await refuses('ENOENT', file.link('name'));
    await file.close();
  },
  'open files',
);

unnamed.case('are made in directories only', async (fs) => {
  await make(fs, 'file');
  await refuses('ENOTDIR', fs.open('file', 'both', ['unnamed']));
  await refuses('ENOENT', fs.open('missing', 'both', ['unnamed']));
});

unnamed.case(
  'need the right to make files there',
  async (fs) => {
    await fs.mkdir('d', 0o755);
    await refuses('EACCES', fs.as({ uid: 1000, gid: 1000 }).open('d', 'both', ['unnamed']));
  },
  'permissions',
);

unnamed.case('give their space back when they are closed', async (fs) => {
  const before = await fs.statfs();
  const file = await fs.open('.', 'both', ['unnamed']);
  await file.write(0, Buffer.alloc(2 * MIB, 'x'));
  await file.sync();
  const free = async () => (await fs.statfs()).freeBlocks;
  expect((before.freeBlocks - (await free())) * before.blockBytes).toBeGreaterThanOrEqual(2 * MIB);
  await file.close();
  const end = Date.now() + LIMIT_MS;
  while ((await free()) < before.freeBlocks - 4 && Date.now() < end) await sleep(2);
  expect(await free()).toBeGreaterThanOrEqual(before.freeBlocks - 4);
});
