/** Owners, modes and the umask; who may do what, where somebody checks it. */
import { expect } from 'vitest';
import { type Calls, Type } from '../calls.ts';
import { contentOf, make, modeOf, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const permissions = new Subject('permissions and umask');

const ALICE = { uid: 1001, gid: 1001 };
const BOB = { uid: 1002, gid: 1002 };
const GROUP = 2001;

permissions.case('the umask takes bits from what is made', async (fs) => {
  for (const umask of [0, 0o022, 0o027, 0o077, 0o777]) {
    const masked = fs.as({ umask });
    await make(masked, `file-${umask}`, '', 0o666);
    await masked.mkdir(`folder-${umask}`, 0o777);
    await masked.mknod(`fifo-${umask}`, Type.fifo | 0o666);
    expect(await modeOf(fs, `file-${umask}`)).toBe(0o666 & ~umask);
    expect(await modeOf(fs, `folder-${umask}`)).toBe(0o777 & ~umask);
    expect(await modeOf(fs, `fifo-${umask}`)).toBe(0o666 & ~umask);
  }
});

permissions.case('the umask takes none from a symlink', async (fs) => {
  await fs.as({ umask: 0o777 }).symlink('x', 'link');
  expect(await modeOf(fs, 'link')).toBe(0o777);
});

permissions.case('what is made belongs to its maker', async (fs) => {
  await fs.chmod('.', 0o777);
  const alice = fs.as({ ...ALICE, gid: GROUP });
  await make(alice, 'file');
  await alice.mkdir('folder');
  await alice.symlink('x', 'link');
  await alice.mknod('fifo', Type.fifo | 0o644);
  for (const name of ['file', 'folder', 'link', 'fifo']) {
    expect(await fs.status(name), name).toMatchObject({ uid: ALICE.uid, gid: GROUP });
  }
});

permissions.case('chmod sets all twelve bits, and not the type', async (fs) => {
  await make(fs, 'file');
  await fs.mkdir('d');
  for (const mode of [0, 0o7777, 0o4755, 0o2755, 0o1644, 0o600]) {
    await fs.chmod('file', mode);
    await fs.chmod('d', mode);
    expect(await fs.status('file')).toMatchObject({ type: Type.regular, mode });
    expect(await fs.status('d')).toMatchObject({ type: Type.directory, mode });
  }
});

permissions.case('chown sets each of the two on its own', async (fs) => {
  await make(fs, 'file');
  for (const [uid, gid] of [
    [1001, 2001],
    [4294967294, 4294967294],
    [0, 0],
  ] as const) {
    await fs.chown('file', uid, gid);
    expect(await fs.status('file')).toMatchObject({ uid, gid });
  }
  await fs.chown('file', 1001, 2001);
  await fs.chown('file', undefined, 1002);
  expect(await fs.status('file')).toMatchObject({ uid: 1001, gid: 1002 });
  await fs.chown('file', 1003, undefined);
  expect(await fs.status('file')).toMatchObject({ uid: 1003, gid: 1002 });
});

permissions.case('chown of a symlink leaves what it names', async (fs) => {
  await make(fs, 'file');
  await fs.symlink('file', 'link');
  await fs.chown('link', 1002, 1002);
  expect((await fs.status('link')).uid).toBe(1002);
  expect((await fs.status('file')).uid).toBe(0);
});

permissions.case('chmod and chown of what is not there are ENOENT', async (fs) => {
  await refuses('ENOENT', fs.chmod('missing', 0o600));
  await refuses('ENOENT', fs.chown('missing', 1, 1));
  await refuses('ENOENT', fs.utimens('missing', 'now', 'now'));
  await refuses('ENOENT', fs.truncate('missing', 1));
});

permissions.case(
  'nobody reads, looks up or writes without the right to',
  async (fs) => {
    await make(fs, 'private', 'secret', 0o600);
    await fs.mkdir('closed', 0o700);
    await make(fs, 'closed/file');
    await fs.mkdir('group', 0o750);
    await fs.chown('group', 0, GROUP);
    await make(fs, 'group/file');
    await fs.mkdir('readonly', 0o755);
    const alice = fs.as(ALICE);
    const member = fs.as({ ...ALICE, groups: [GROUP] });
    await refuses('EACCES', contentOf(alice, 'private'));
    await refuses('EACCES', alice.status('closed/file'));
    await refuses('EACCES', alice.status('group/file'));
    await member.status('group/file');
    await refuses('EACCES', make(alice, 'readonly/x'));
    await refuses('EACCES', member.unlink('group/file'));
    await refuses('EACCES', member.rename('group/file', 'group/x'));
  },
  'permissions',
);

permissions.case(
  'only the owner changes mode, owner and times',
  async (fs) => {
    await make(fs, 'private', 'secret', 0o600);
    const alice = fs.as(ALICE);
    await refuses('EPERM', alice.chmod('private', 0o777));
    await refuses('EPERM', alice.chown('private', ALICE.uid, ALICE.gid));
    await refuses('EPERM', alice.utimens('private', 1_000_000_000n, 1_000_000_000n));
  },
  'permissions',
);

permissions.case(
  'an owner gives a file to a group of his, and to nobody else',
  async (fs) => {
    await make(fs, 'file');
    await fs.chown('file', ALICE.uid, BOB.gid);
    const member = fs.as({ ...ALICE, groups: [GROUP] });
    await member.chown('file', undefined, GROUP);
    expect((await fs.status('file')).gid).toBe(GROUP);
    await refuses('EPERM', member.chown('file', undefined, 7));
    await refuses('EPERM', fs.as(ALICE).chown('file', BOB.uid, undefined));
  },
  'permissions',
);

permissions.case(
  'in a sticky directory names are taken away by owners only',
  async (fs) => {
    await fs.mkdir('sticky');
    await fs.chmod('sticky', 0o1777);
    const [alice, bob] = [fs.as(ALICE), fs.as(BOB)];
    for (const name of ['a', 'b', 'c']) await make(alice, `sticky/${name}`);
    await make(bob, 'sticky/bobs');
    await refuses('EPERM', bob.unlink('sticky/a'));
    await refuses('EPERM', bob.rename('sticky/a', 'sticky/x'));
    await refuses('EPERM', bob.rename('sticky/bobs', 'sticky/a'));
    await alice.unlink('sticky/a');
    await fs.chown('sticky', BOB.uid, BOB.gid);
    await bob.unlink('sticky/b');
    await fs.unlink('sticky/c');
  },
  'permissions',
);

/** The mode that a chmod by an owner who is not in the file's group leaves. */
async function chmodByStranger(fs: Calls, mode: number): Promise<number> {
  await make(fs, 'file');
  await fs.chown('file', ALICE.uid, GROUP);
  await fs.as(ALICE).chmod('file', mode);
  return modeOf(fs, 'file');
}

permissions.case(
  'chmod by an owner who is not in the group takes set-group-id away',
  async (fs) => {
    expect(await chmodByStranger(fs, 0o2755)).toBe(0o755);
  },
  'permissions',
);
