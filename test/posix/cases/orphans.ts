/** Open files without a name: they live until they are closed, and give their space back then. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { contentOf, list, make, moved, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const orphans = new Subject('orphans', true);

const MIB = 1024 * 1024;
const LIMIT_MS = 20_000;

orphans.case('are read, written, changed and truncated', async (fs) => {
  const file = await fs.open('file', 'both', ['create']);
  await file.write(0, Buffer.alloc(100_000, 'x'));
  await file.sync();
  await fs.unlink('file');
  expect((await file.status()).links).toBe(0);
  await file.write(50_000, Buffer.from('still here'));
  await file.chmod(0o600);
  await file.utimens(1_000_000_001n, 2_000_000_002n);
  await file.sync();
  expect(await file.status()).toMatchObject({
    mode: 0o600,
    accessNs: 1_000_000_001n,
    modifyNs: 2_000_000_002n,
  });
  expect((await file.read(50_000, 10)).toString()).toBe('still here');
  await file.truncate(100);
  expect((await file.status()).sizeBytes).toBe(100);
  await make(fs, 'file', 'another one');
  expect(await contentOf(fs, 'file')).toBe('another one');
  expect((await file.read(0, 3)).toString()).toBe('xxx');
  await file.close();
});

orphans.case('get no new name: ENOENT', async (fs) => {
  const file = await fs.open('file', 'both', ['create']);
  await fs.unlink('file');
  await refuses('ENOENT', file.link('again'));
  expect((await file.status()).links).toBe(0);
  expect(await list(fs, '.')).toEqual([]);
  await file.close();
});

orphans.case('made by a rename over them', async (fs) => {
  await make(fs, 'file', 'old'.repeat(10_000));
  await make(fs, 'new', 'new');
  const file = await fs.open('file', 'read');
  await fs.rename('new', 'file');
  expect((await file.read(0, 100_000)).toString()).toBe('old'.repeat(10_000));
  expect((await file.status()).links).toBe(0);
  expect(await contentOf(fs, 'file')).toBe('new');
  await refuses('ENOENT', file.link('again'));
  await file.close();
});

orphans.case('move their times as others do', async (fs) => {
  await fs.mkdir('d');
  const file = await fs.open('d/file', 'both', ['create']);
  await fs.unlink('d/file');
  const { modifyNs } = await file.status();
  const times = await moved(fs, ['d'], () => file.write(0, Buffer.from('x')));
  expect(times).toEqual({ d: '' });
  expect((await file.status()).modifyNs > modifyNs).toBe(true);
  await file.close();
});

orphans.case('keep their space, and give it back when they are closed', async (fs) => {
  const free = async () => (await fs.statfs()).freeBlocks;
  const before = await fs.statfs();
  const file = await fs.open('file', 'both', ['create']);
  await file.write(0, Buffer.alloc(2 * MIB, 'x'));
  await file.sync();
  await fs.unlink('file');
  await sleep(20);
  expect((before.freeBlocks - (await free())) * before.blockBytes).toBeGreaterThanOrEqual(2 * MIB);
  await file.close();
  const end = Date.now() + LIMIT_MS;
  while ((await free()) < before.freeBlocks - 4 && Date.now() < end) await sleep(2);
  expect(await free()).toBeGreaterThanOrEqual(before.freeBlocks - 4);
});

orphans.case('with several names are none until the last is gone', async (fs) => {
  const file = await fs.open('a', 'both', ['create']);
  await file.link('b');
  await fs.unlink('a');
  expect((await file.status()).links).toBe(1);
  await file.link('c');
  await fs.unlink('b');
  await fs.unlink('c');
  expect((await file.status()).links).toBe(0);
  await file.close();
});
