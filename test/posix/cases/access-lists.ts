/** ACLs: beside the mode, for what is made, and what chmod makes of them. */
import { expect } from 'vitest';
import { aclBytes, aclText } from '../../suite/acl-bytes.ts';
import { type Calls, Type } from '../calls.ts';
import { make, modeOf, moved, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const accessLists = new Subject('ACLs');

const ACCESS = 'system.posix_acl_access';
const DEFAULT = 'system.posix_acl_default';
const NAMED = 'u::rw-,u:1001:rwx,g::r--,g:2001:-w-,m::rwx,o::---';
const ALICE = { uid: 1001, gid: 1001 };
const BOB = { uid: 1002, gid: 1002 };

async function aclOf(fs: Calls, path: string, name = ACCESS): Promise<string> {
  return aclText(await fs.attribute(path, name));
}

accessLists.case('become the mode, whose group bits are their mask', async (fs) => {
  await make(fs, 'file');
  await fs.chmod('file', 0o4755);
  const set = () => fs.setAttribute('file', ACCESS, aclBytes(NAMED));
  expect(await moved(fs, ['file'], set)).toEqual({ file: 'c' });
  expect(await modeOf(fs, 'file')).toBe(0o4670);
  expect(await aclOf(fs, 'file')).toBe(NAMED);
  expect(await fs.attributes('file')).toEqual([ACCESS]);
});

accessLists.case('that say no more than a mode are one', async (fs) => {
  await make(fs, 'file');
  await fs.setAttribute('file', ACCESS, aclBytes(NAMED));
  await fs.setAttribute('file', ACCESS, aclBytes('u::rwx,g::-w-,o::--x'));
  expect(await modeOf(fs, 'file')).toBe(0o721);
  expect(await fs.attributes('file')).toEqual([]);
  await refuses('ENODATA', fs.attribute('file', ACCESS));
});

accessLists.case('follow chmod', async (fs) => {
  await make(fs, 'file');
  await fs.setAttribute('file', ACCESS, aclBytes(NAMED));
  await fs.chmod('file', 0o1753);
  expect(await modeOf(fs, 'file')).toBe(0o1753);
  expect(await aclOf(fs, 'file')).toBe('u::rwx,u:1001:rwx,g::r--,g:2001:-w-,m::r-x,o::-wx');
});

accessLists.case('leave the mode when they go, and need not be there', async (fs) => {
  await make(fs, 'file');
  await fs.setAttribute('file', ACCESS, aclBytes(NAMED));
  await fs.removeAttribute('file', ACCESS);
  expect(await modeOf(fs, 'file')).toBe(0o670);
  await fs.removeAttribute('file', ACCESS);
});

accessLists.case('are refused where they are none, and for files as a default', async (fs) => {
  await make(fs, 'file');
  await fs.mkdir('d');
  for (const wrong of ['u::rw-,g::r--', 'u::rw-,u:7:r--,g::r--,o::---', 'g::r--,u::rw-,o::---'])
    await refuses('EINVAL', fs.setAttribute('d', ACCESS, aclBytes(wrong)));
  await refuses('EACCES', fs.setAttribute('file', DEFAULT, aclBytes(NAMED)));
  await fs.symlink('file', 'link');
  await refuses('EOPNOTSUPP', fs.setAttribute('link', ACCESS, aclBytes(NAMED)));
  expect(await modeOf(fs, 'file')).toBe(0o644);
});

accessLists.case('of a directory are given to what is made in it, instead of the umask', async (fs) => {
  await fs.mkdir('d');
  await fs.setAttribute('d', DEFAULT, aclBytes('u::rwx,u:1001:rwx,g::rwx,m::rwx,o::r-x'));
  expect(await modeOf(fs, 'd')).toBe(0o755);
  const careful = fs.as({ umask: 0o077 });
  await make(careful, 'd/file', '', 0o666);
  await careful.mkdir('d/sub', 0o750);
  await careful.mknod('d/fifo', Type.fifo | 0o604);
  await careful.symlink('x', 'd/link');
  await make(careful, 'd/sub/below', '', 0o777);
  expect(await aclOf(fs, 'd/file')).toBe('u::rw-,u:1001:rwx,g::rwx,m::rw-,o::r--');
  expect(await modeOf(fs, 'd/file')).toBe(0o664);
  expect(await aclOf(fs, 'd/sub')).toBe('u::rwx,u:1001:rwx,g::rwx,m::r-x,o::---');
  expect(await aclOf(fs, 'd/sub', DEFAULT)).toBe('u::rwx,u:1001:rwx,g::rwx,m::rwx,o::r-x');
  expect(await modeOf(fs, 'd/fifo')).toBe(0o604);
  expect(await modeOf(fs, 'd/sub/below')).toBe(0o775);
  expect(await fs.attributes('d/link')).toEqual([]);
  expect(await fs.attributes('d/file')).toEqual([ACCESS]);
});

accessLists.case('that name nobody are a mode for what is made', async (fs) => {
  await fs.mkdir('d');
  await fs.setAttribute('d', DEFAULT, aclBytes('u::rwx,g::rw-,o::---'));
  await make(fs, 'd/file', '', 0o664);
  expect(await modeOf(fs, 'd/file')).toBe(0o660);
  expect(await fs.attributes('d/file')).toEqual([]);
  await fs.removeAttribute('d', DEFAULT);
  await make(fs, 'd/other', '', 0o664);
  expect(await modeOf(fs, 'd/other')).toBe(0o644);
});

accessLists.case('stay with a file that is moved', async (fs) => {
  await fs.mkdir('d');
  await fs.setAttribute('d', DEFAULT, aclBytes(NAMED));
  await make(fs, 'file');
  await fs.rename('file', 'd/file');
  expect(await fs.attributes('d/file')).toEqual([]);
  await make(fs, 'd/made');
  await fs.rename('d/made', 'made');
  expect(await fs.attributes('made')).toEqual([ACCESS]);
});

accessLists.case(
  'say who may do what, until they are changed',
  async (fs) => {
    await make(fs, 'file', 'data', 0o600);
    await refuses('EACCES', fs.as(ALICE).open('file', 'read'));
    await fs.setAttribute('file', ACCESS, aclBytes('u::rw-,u:1001:r--,g::---,g:2001:-w-,m::rw-,o::---'));
    await (await fs.as(ALICE).open('file', 'read')).close();
    await refuses('EACCES', fs.as(ALICE).open('file', 'write'));
    await (await fs.as({ ...BOB, groups: [2001] }).open('file', 'write')).close();
    await refuses('EACCES', fs.as(BOB).open('file', 'read'));
    await fs.chmod('file', 0o600);
    await refuses('EACCES', fs.as(ALICE).open('file', 'read'));
    await refuses('EPERM', fs.as(ALICE).setAttribute('file', ACCESS, aclBytes(NAMED)));
    await fs.chmod('file', 0o660);
    await (await fs.as(ALICE).open('file', 'read')).close();
    await fs.removeAttribute('file', ACCESS);
    await refuses('EACCES', fs.as(ALICE).open('file', 'read'));
  },
  'permissions',
  'open files',
);

accessLists.case(
  'set by one who is not in the group take set-group-id away',
  async (fs) => {
    await make(fs, 'file');
    await fs.chown('file', ALICE.uid, 2001);
    await fs.chmod('file', 0o2755);
    await fs.as({ ...ALICE, groups: [2001] }).setAttribute('file', ACCESS, aclBytes(NAMED));
    expect(await modeOf(fs, 'file')).toBe(0o2670);
    await fs.as(ALICE).setAttribute('file', ACCESS, aclBytes(NAMED));
    expect(await modeOf(fs, 'file')).toBe(0o670);
  },
  'permissions',
);
