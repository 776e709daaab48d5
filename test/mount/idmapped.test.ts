/**
 * Idmapped mounts (mount_setattr(2)): on such a mount owners are others than on the disk, for who
 * looks and for who makes files. Linux 6.12 and newer.
 */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, MIB, type TargetKind, Volume } from './harness.ts';

/** The kernel gives none to who has been through chroot(2). */
const NO_USER_NAMESPACES = !process.env.CI && spawnSync('unshare', ['--user', 'true']).status !== 0;

/** `mapped` is a mount on which user and group 1000 of the disk are 2000, and root is root. */
const PROGRAM = `
import ctypes, errno, json, os, stat, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
OPEN_TREE, MOUNT_SETATTR, CLONE, EMPTY_PATH, IDMAP, NEWUSER = 428, 442, 1, 0x1000, 0x100000, 0x10000000
def checked(result):
    if result < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def user_namespace():
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        if libc.unshare(NEWUSER): os._exit(1)
        os.write(ready[1], b'x')
        os.read(go[0], 1)
        os._exit(0)
    os.close(ready[1])
    if not os.read(ready[0], 1): raise SystemExit('no user namespace can be made')
    for name in ('uid_map', 'gid_map'):
        with open(f'/proc/{child}/{name}', 'w') as file: file.write('0 0 1\\n1000 2000 1\\n')
    namespace = os.open(f'/proc/{child}/ns/user', os.O_RDONLY)
    os.write(go[1], b'x')
    os.waitpid(child, 0)
    return namespace
plain = os.open('.', os.O_RDONLY)
mapped = checked(libc.syscall(OPEN_TREE, plain, b'', CLONE | EMPTY_PATH))
attributes = struct.pack('=QQQQ', IDMAP, 0, 0, user_namespace())
checked(libc.syscall(MOUNT_SETATTR, mapped, b'', EMPTY_PATH, attributes, len(attributes)))
def owner(name, at): return os.stat(name, dir_fd=at).st_uid
def by(user, work):
    os.setegid(user); os.seteuid(user)
    try: return work()
    except OSError as error: return errno.errorcode[error.errno]
    finally: os.seteuid(0); os.setegid(0)
def make(name, at): os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=at))
`;

describeMount.each<TargetKind>(['loop', 'image'])('an idmapped mount of a volume on %s', (kind) => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ kind, sizeBytes: 64 * MIB });
  });
  afterAll(() => volume?.destroy());

  test.skipIf(NO_USER_NAMESPACES)('shows other owners, and makes files of theirs', async () => {
    await volume.shell('touch root old other; chown 1000:1000 old; chown 3000:3000 other; chmod 777 .');
    const program = `${PROGRAM}
found = {
    'told': [owner(name, mapped) for name in ('root', 'old', 'other')],
    'made': by(2000, lambda: make('new', mapped)),
    'directory': by(2000, lambda: os.mkdir('folder', dir_fd=mapped)),
    'link': by(2000, lambda: os.symlink('target', 'symlink', dir_fd=mapped)),
    'unnamed': by(2000, lambda: os.fstat(os.open('.', os.O_TMPFILE | os.O_RDWR, 0o600, dir_fd=mapped)).st_uid),
    'stranger': by(3000, lambda: make('strange', mapped)),
    'not mapped': by(1000, lambda: make('strange', mapped)),
}
found['on disk'] = [os.lstat(name, dir_fd=plain).st_uid for name in ('new', 'folder', 'symlink')]
found['there'] = [os.lstat(name, dir_fd=mapped).st_uid for name in ('new', 'folder', 'symlink')]
os.chown('root', 2000, 2000, dir_fd=mapped)
found['given'] = [owner('root', plain), owner('root', mapped)]
found['read'] = by(2000, lambda: os.open('old', os.O_RDWR, dir_fd=mapped) > 0)
found['read elsewhere'] = by(2000, lambda: os.open('old', os.O_RDWR, dir_fd=plain) > 0)
print(json.dumps(found))`;
    expect(JSON.parse(await volume.python(program))).toEqual({
      told: [0, 2000, 65534],
      made: null,
      directory: null,
      link: null,
      unnamed: 2000,
      stranger: 'EOVERFLOW',
      'not mapped': 'EOVERFLOW',
      'on disk': [1000, 1000, 1000],
      there: [2000, 2000, 2000],
      given: [1000, 2000],
      read: true,
      'read elsewhere': 'EACCES',
    });
  });

  test('set-group-id is kept for members of the group, also by a further one', async () => {
    await volume.shell('touch shared; chgrp 5000 shared; chmod 2666 shared');
    const program = `
import os, sys
os.setgroups([int(group) for group in sys.argv[2].split(',')])
os.setresgid(1, 1, 1); os.setresuid(1, 1, 1)
with open('shared', 'w') as file: file.write(sys.argv[1])
print(oct(os.stat('shared').st_mode & 0o7777))`;
    expect(await volume.python(program, ['a', '77,5000'])).toBe('0o2666\n');
    expect(await volume.python(program, ['b', '77'])).toBe('0o666\n');
  });
});
