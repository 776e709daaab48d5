/** Set-user-id and set-group-id: what takes them away, and where the latter is inherited. */
import { expect } from 'vitest';
import type { Calls } from '../calls.ts';
import { make, modeOf } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const setId = new Subject('set-user-id and set-group-id');

const ALICE = { uid: 1001, gid: 1001 };
const BOB = { uid: 1002, gid: 1002 };
const GROUP = 2001;

/** A file of Alice with this mode, which everybody may write. */
async function program(fs: Calls, path: string, mode: number): Promise<void> {
  await make(fs, path, 'data');
  await fs.chown(path, ALICE.uid, ALICE.gid);
  await fs.chmod(path, mode);
}

async function write(fs: Calls, path: string): Promise<void> {
  const file = await fs.open(path, 'both');
  await file.write(0, Buffer.from('x'));
  await file.close();
}

const LOST = [
  [0o6777, 0o777],
  [0o4777, 0o777],
  [0o2777, 0o777],
  [0o1777, 0o1777],
] as const;

setId.case('are lost by a write of an ordinary user', async (fs) => {
  for (const [before, after] of LOST) {
    const path = `file-${before}`;
    await program(fs, path, before);
    await write(fs.as(BOB), path);
    expect(await modeOf(fs, path), before.toString(8)).toBe(after);
  }
});

setId.case('are lost by a write of the owner as well', async (fs) => {
  await program(fs, 'file', 0o6777);
  await write(fs.as(ALICE), 'file');
  expect(await modeOf(fs, 'file')).toBe(0o777);
});

setId.case('are lost by a write that moves the end', async (fs) => {
  await program(fs, 'file', 0o6777);
  const file = await fs.as(BOB).open('file', 'both');
  await file.write(100_000, Buffer.from('far'));
  await file.close();
  expect(await modeOf(fs, 'file')).toBe(0o777);
});

setId.case('are lost by a truncation of an ordinary user', async (fs) => {
  for (const [before, after] of LOST) {
    const path = `file-${before}`;
    await program(fs, path, before);
    await fs.as(BOB).truncate(path, 1);
    expect(await modeOf(fs, path), before.toString(8)).toBe(after);
    await fs.chmod(path, before);
    await fs.as(BOB).truncate(path, 50_000);
    expect(await modeOf(fs, path), before.toString(8)).toBe(after);
  }
});

setId.case('are lost by chown, also of root', async (fs) => {
  await program(fs, 'file', 0o6777);
  await fs.as(ALICE).chown('file', undefined, ALICE.gid);
  expect(await modeOf(fs, 'file')).toBe(0o777);
  await fs.chmod('file', 0o6777);
  await fs.chown('file', BOB.uid, BOB.gid);
  expect(await modeOf(fs, 'file')).toBe(0o777);
});

setId.case('stay with a write and a truncation of root', async (fs) => {
  await program(fs, 'file', 0o6777);
  await write(fs, 'file');
  expect(await modeOf(fs, 'file')).toBe(0o6777);
  await fs.truncate('file', 1);
  expect(await modeOf(fs, 'file')).toBe(0o6777);
});

setId.case('of a directory stay with chown', async (fs) => {
  await fs.mkdir('folder');
  await fs.chown('folder', ALICE.uid, ALICE.gid);
  await fs.chmod('folder', 0o6777);
  await fs.chown('folder', BOB.uid, BOB.gid);
  expect(await modeOf(fs, 'folder')).toBe(0o6777);
});

/** A directory that gives its group to what is made in it. */
async function shared(fs: Calls): Promise<void> {
  await fs.mkdir('shared');
  await fs.chown('shared', 0, GROUP);
  await fs.chmod('shared', 0o2777);
}

setId.case('a directory with set-group-id gives its group to what is made in it', async (fs) => {
  await shared(fs);
  const alice = fs.as(ALICE);
  await make(alice, 'shared/file');
  await alice.mkdir('shared/folder');
  await alice.symlink('x', 'shared/link');
  for (const name of ['file', 'folder', 'link']) {
    expect(await fs.status(`shared/${name}`), name).toMatchObject({ uid: ALICE.uid, gid: GROUP });
  }
});

setId.case('directories inherit set-group-id, files do not', async (fs) => {
  await shared(fs);
  const alice = fs.as(ALICE);
  await make(alice, 'shared/file');
  await alice.mkdir('shared/folder');
  await alice.mkdir('shared/folder/below');
  expect(await modeOf(fs, 'shared/folder')).toBe(0o2755);
  expect(await fs.status('shared/folder/below')).toMatchObject({ mode: 0o2755, gid: GROUP });
  expect(await modeOf(fs, 'shared/file')).toBe(0o644);
});

setId.case('what is moved or linked into such a directory keeps its group', async (fs) => {
  await shared(fs);
  await make(fs, 'file');
  await fs.mkdir('folder');
  await fs.link('file', 'shared/link');
  await fs.rename('folder', 'shared/folder');
  expect((await fs.status('shared/link')).gid).toBe(0);
  expect(await fs.status('shared/folder')).toMatchObject({ gid: 0, mode: 0o755 });
});

setId.case(
  'one who is not in the group makes no program that runs with it',
  async (fs) => {
    await shared(fs);
    await make(fs.as({ ...ALICE, umask: 0 }), 'shared/program', '', 0o2775);
    expect(await modeOf(fs, 'shared/program')).toBe(0o775);
  },
  'permissions',
);
