/** Space: what statfs(2) says of it, and what happens when there is none. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Calls, Space } from '../calls.ts';
import { contentOf, list, make, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const statfs = new Subject('statfs', true);
export const fullDisk = new Subject('full disk', true);

const KIB = 1024;
const MIB = 1024 * KIB;
const LIMIT_MS = 20_000;
/** More pieces than any small volume holds. */
const MOST_PIECES = 4096;
const PIECE = Buffer.alloc(256 * KIB, 'piece');

/** Waits until so many blocks are free, as those of files that nobody has any more become at last. */
async function freeAgain(fs: Calls, freeBlocks: number): Promise<void> {
  const end = Date.now() + LIMIT_MS;
  while ((await fs.statfs()).freeBlocks < freeBlocks) {
    if (Date.now() > end) {
      throw new Error(`space did not come back: ${(await fs.statfs()).freeBlocks} of ${freeBlocks} blocks`);
    }
    await sleep(2);
  }
}

/** Writes a new file and syncs it. */
async function writeSynced(fs: Calls, path: string, data: Uint8Array): Promise<void> {
  const file = await fs.open(path, 'write', ['create']);
  try {
    await file.write(0, data);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function taken(fs: Calls, before: Space): Promise<number> {
  return (before.freeBlocks - (await fs.statfs()).freeBlocks) * before.blockBytes;
}

statfs.case('has the length of names, the size of blocks, and room', async (fs) => {
  const space = await fs.statfs();
  expect(space.nameBytes).toBe(255);
  expect(space.blockBytes).toBeGreaterThanOrEqual(512);
  expect(space.files).toBeGreaterThan(1000);
  expect(space.freeFiles).toBeLessThanOrEqual(space.files);
  expect(space.freeBlocks).toBeGreaterThan(0);
  expect(space.freeBlocks).toBeLessThanOrEqual(space.blocks);
});

statfs.case('counts what a file takes', async (fs) => {
  const before = await fs.statfs();
  await writeSynced(fs, 'file', Buffer.alloc(3 * MIB, 'x'));
  const bytes = await taken(fs, before);
  expect(bytes).toBeGreaterThanOrEqual(3 * MIB);
  expect(bytes).toBeLessThanOrEqual(3 * MIB + 256 * KIB);
});

statfs.case('counts what a removed file gives back, before that is on disk', async (fs) => {
  const before = await fs.statfs();
  await writeSynced(fs, 'file', Buffer.alloc(2 * MIB, 'x'));
  await fs.unlink('file');
  await freeAgain(fs, before.freeBlocks - 4);
});

statfs.case('counts what a truncation gives back, before that is on disk', async (fs) => {
  const before = await fs.statfs();
  await writeSynced(fs, 'file', Buffer.alloc(2 * MIB, 'x'));
  await fs.truncate('file', 0);
  await freeAgain(fs, before.freeBlocks - 4);
});

statfs.case('counts no space for a hole', async (fs) => {
  const before = await fs.statfs();
  await make(fs, 'file');
  await fs.truncate('file', 1024 * MIB);
  expect(await taken(fs, before)).toBeLessThanOrEqual(256 * KIB);
});

statfs.case('counts files', async (fs) => {
  const used = ({ files, freeFiles }: Space) => files - freeFiles;
  const before = used(await fs.statfs());
  for (let index = 0; index < 80; index++) await make(fs, `small-${index}`);
  expect(used(await fs.statfs())).toBe(before + 80);
});

/** Fills the volume with files `fill-0`, `fill-1` and so on. @returns how many there are */
async function fill(fs: Calls): Promise<number> {
  for (let index = 0; index < MOST_PIECES; index++) {
    try {
      await writeSynced(fs, `fill-${index}`, PIECE);
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'ENOSPC' });
      return index + 1;
    }
  }
  throw new Error('the volume is not small');
}

async function empty(fs: Calls): Promise<void> {
  for (const name of await list(fs, '.')) await fs.unlink(name);
}

fullDisk.case('a write is ENOSPC, and what was there stays', async (fs) => {
  await make(fs, 'before', 'content');
  const count = await fill(fs);
  expect(count).toBeGreaterThan(4);
  expect(await contentOf(fs, 'before')).toBe('content');
  expect(await contentOf(fs, `fill-${count - 2}`)).toBe(PIECE.toString('latin1'));
  await refuses('ENOSPC', writeSynced(fs, 'another', PIECE));
  await empty(fs);
});

fullDisk.case('a hole needs no room, and is filled only if there is some', async (fs) => {
  await make(fs, 'hole');
  await fill(fs);
  await fs.truncate('hole', 100 * MIB);
  expect((await fs.status('hole')).sizeBytes).toBe(100 * MIB);
  await refuses('ENOSPC', writeSynced(fs, 'hole', PIECE));
  await empty(fs);
});

fullDisk.case('names are changed and taken away, and bytes in their place written anew', async (fs) => {
  await writeSynced(fs, 'old', PIECE);
  await fill(fs);
  await writeSynced(fs, 'old', Buffer.alloc(PIECE.length, 'new'));
  await fs.rename('old', 'renamed');
  await fs.chmod('renamed', 0o600);
  expect((await contentOf(fs, 'renamed')).startsWith('newnew')).toBe(true);
  await empty(fs);
});

fullDisk.case('what is removed makes room for what comes next', async (fs) => {
  await fill(fs);
  for (const name of ['fill-0', 'fill-1', 'fill-2']) await fs.unlink(name);
  await writeSynced(fs, 'new', PIECE);
  expect(await contentOf(fs, 'new')).toBe(PIECE.toString('latin1'));
  await empty(fs);
});

fullDisk.case('emptied, it has as much room as before', async (fs) => {
  const before = await fs.statfs();
  await fill(fs);
  await empty(fs);
  await freeAgain(fs, before.freeBlocks - 8);
});
