/** Extended attributes as FUSE requests, byte for byte, onto a filesystem in memory. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Errno, fsError } from '../../src/fs/base/errors.ts';
import { InitFlag, Opcode } from '../../src/fuse/abi.ts';
import { type AttributeSupport, isListed, nameFlaw } from '../../src/fuse/attribute-names.ts';
import { Session } from '../../src/fuse/session.ts';
import { aclBytes } from '../suite/acl-bytes.ts';
import { FakeChannel, message, type Reply, text, u32 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const ROOT = 1;
const ACCESS = 'system.posix_acl_access';
const KILL_SGID = 1;
const [CREATE, REPLACE] = [1, 2];
const bytes = (name: string) => new TextEncoder().encode(name);

let channel: FakeChannel;
let filesystem: MemoryFileSystem;

function ask(opcode: number, body: Buffer, uid = 0): Reply {
  const before = channel.replies.length;
  const request = message(opcode, BigInt(ROOT), body);
  request.writeUInt32LE(uid, 24);
  channel.deliver(request);
  expect(channel.replies.length).toBe(before + 1);
  expect(channel.takenSlots).toBe(0);
  return channel.replies.at(-1) as Reply;
}

function open(attributeSupport?: AttributeSupport, flags = InitFlag.SETXATTR_EXT): Reply {
  channel = new FakeChannel();
  filesystem = new MemoryFileSystem();
  const support = attributeSupport === undefined ? {} : { attributeSupport };
  new Session(channel, filesystem, { log: () => {}, ...support }).start();
  const reply = ask(Opcode.INIT, u32(7, 45, 131072, flags | InitFlag.POSIX_ACL));
  filesystem.calls.length = 0;
  return reply;
}

beforeEach(() => {
  open();
});

interface Setting {
  readonly flags?: number;
  readonly more?: number;
  readonly said?: number;
}

function set(name: string, value: Buffer, { flags = 0, more = 0, said = value.length }: Setting = {}): Reply {
  return ask(Opcode.SETXATTR, Buffer.concat([u32(said, flags, more, 0), text(name), value]));
}

function get(name: string, size = 65536, uid = 0): Reply {
  return ask(Opcode.GETXATTR, Buffer.concat([u32(size, 0), text(name)]), uid);
}

function lastSet(): unknown[] | undefined {
  return filesystem.calls.findLast(([name]) => name === 'setExtendedAttribute')?.slice(1);
}

describe('setxattr', () => {
  test('has name, value and mode', () => {
    expect(set('user.a', Buffer.from('value\0with NUL')).error).toBe(0);
    expect(lastSet()).toEqual([ROOT, 'user.a', 'value\0with NUL', 'any']);
    set('user.a', Buffer.from('b'), { flags: CREATE });
    expect(lastSet()).toEqual([ROOT, 'user.a', 'b', 'create']);
    set('trusted.c', Buffer.alloc(0), { flags: REPLACE });
    expect(lastSet()).toEqual([ROOT, 'trusted.c', '', 'replace']);
    const long = Buffer.alloc(65536, 7);
    expect(set('security.d', long).error).toBe(0);
    expect(filesystem.node(ROOT).extended.get('security.d')).toEqual(new Uint8Array(long));
  });

  test('has a shorter head where the kernel knows no other', () => {
    open(undefined, 0);
    const body = Buffer.concat([u32(5, CREATE), text('user.a'), Buffer.from('value')]);
    expect(ask(Opcode.SETXATTR, body).error).toBe(0);
    expect(lastSet()).toEqual([ROOT, 'user.a', 'value', 'create']);
  });

  test('is refused where it contradicts itself', () => {
    const value = Buffer.from('abc');
    expect(set('user.a', value, { said: 4 }).error).toBe(-Errno.EINVAL);
    expect(set('user.a', value, { said: 2 }).error).toBe(-Errno.EINVAL);
    expect(set('user.a', value, { flags: CREATE | REPLACE }).error).toBe(-Errno.EINVAL);
    expect(set('user.a', value, { flags: 4 }).error).toBe(-Errno.EINVAL);
    expect(ask(Opcode.SETXATTR, u32(0, 0)).error).toBe(-Errno.EINVAL);
    expect(ask(Opcode.SETXATTR, Buffer.concat([u32(0, 0, 0, 0), Buffer.from('user.a')])).error).toBe(
      -Errno.EINVAL,
    );
    expect(filesystem.calls).toEqual([]);
  });

  test('of an access ACL takes set-group-id away where the kernel says so', () => {
    const acl = aclBytes('u::rw-,u:7:rwx,g::r--,m::rwx,o::---');
    const { attributes } = filesystem.node(ROOT);
    attributes.mode = 0o042755;
    set(ACCESS, acl);
    set('system.posix_acl_default', acl, { more: KILL_SGID });
    set('user.a', acl, { more: KILL_SGID });
    expect(attributes.mode).toBe(0o042755);
    set(ACCESS, acl, { more: KILL_SGID });
    expect(attributes.mode).toBe(0o040755);
  });
});

describe('getxattr', () => {
  test('gives the value, or its length', () => {
    filesystem.node(ROOT).extended.set('user.a', bytes('value'));
    expect(get('user.a').body.toString()).toBe('value');
    expect(get('user.a', 5).body.toString()).toBe('value');
    expect(get('user.a', 0).body).toEqual(u32(5, 0));
    expect(get('user.a', 4).error).toBe(-Errno.ERANGE);
  });

  test('gives a value of nothing', () => {
    filesystem.node(ROOT).extended.set('user.a', new Uint8Array(0));
    expect(get('user.a')).toMatchObject({ error: 0, body: Buffer.alloc(0) });
    expect(get('user.a', 0).body).toEqual(u32(0, 0));
  });

  test('says that there is none, and of a label that there cannot be one', () => {
    expect(get('security.capability').error).toBe(-Errno.ENODATA);
    expect(get(ACCESS).error).toBe(-Errno.ENODATA);
    expect(get('security.selinux').error).toBe(-Errno.EOPNOTSUPP);
    filesystem.node(ROOT).extended.set('security.selinux', bytes('label'));
    expect(get('security.selinux').body.toString()).toBe('label');
    filesystem.failure = fsError('EIO');
    expect(get('security.selinux').error).toBe(-Errno.EIO);
  });
});

describe('listxattr', () => {
  const list = (size: number, uid = 0) => ask(Opcode.LISTXATTR, u32(size, 0), uid);

  test('gives the names, or their length', () => {
    expect(list(100)).toMatchObject({ error: 0, body: Buffer.alloc(0) });
    for (const name of ['user.a', 'trusted.b', 'strange', ACCESS])
      filesystem.node(ROOT).extended.set(name, bytes('x'));
    const names = `user.a\0trusted.b\0${ACCESS}\0`;
    expect(list(100).body.toString()).toBe(names);
    expect(list(0).body).toEqual(u32(names.length, 0));
    expect(list(names.length).error).toBe(0);
    expect(list(names.length - 1).error).toBe(-Errno.ERANGE);
    expect(list(100, 1000).body.toString()).toBe(`user.a\0${ACCESS}\0`);
  });
});

test('removexattr', () => {
  filesystem.node(ROOT).extended.set('user.a', bytes('x'));
  expect(ask(Opcode.REMOVEXATTR, text('user.a')).error).toBe(0);
  expect(ask(Opcode.REMOVEXATTR, text('user.a')).error).toBe(-Errno.ENODATA);
  expect(ask(Opcode.REMOVEXATTR, Buffer.from('user.a')).error).toBe(-Errno.EINVAL);
});

test('an inode that takes another space by it is said to, before the answer', () => {
  const told = () =>
    channel.notifications.map((notice) => [notice.readInt32LE(4), notice.readBigInt64LE(24)]);
  const { attributes } = filesystem.node(ROOT);
  const change = filesystem.setExtendedAttribute.bind(filesystem);
  filesystem.setExtendedAttribute = (tx, inode, ...rest) => {
    change(tx, inode, ...rest);
    attributes.sectors += 8;
  };
  set('user.a', Buffer.from('x'));
  // FUSE_NOTIFY_INVAL_INODE, attributes only.
  expect(told()).toEqual([[2, -1n]]);
  filesystem.setExtendedAttribute = change;
  set('user.a', Buffer.from('y'));
  set('user.', Buffer.from('y'));
  expect(told()).toHaveLength(1);
  const remove = filesystem.removeExtendedAttribute.bind(filesystem);
  filesystem.removeExtendedAttribute = (tx, inode, name) => {
    remove(tx, inode, name);
    attributes.sectors -= 8;
  };
  ask(Opcode.REMOVEXATTR, text('user.a'));
  expect(told()).toHaveLength(2);
  ask(Opcode.REMOVEXATTR, text('user.a'));
  expect(told()).toHaveLength(2);
});

describe('what a mount has', () => {
  test.each(['user.a', 'trusted.a', 'security.a', ACCESS, 'system.posix_acl_default'])('%s', (name) => {
    expect(get(name).error).toBe(-Errno.ENODATA);
    expect(set(name, Buffer.from('x')).error).toBe(0);
  });

  test.each([
    ['user.', Errno.EINVAL],
    ['trusted.', Errno.EINVAL],
    ['security.', Errno.EINVAL],
    ['system.other', Errno.EOPNOTSUPP],
    ['usera', Errno.EOPNOTSUPP],
    ['a', Errno.EOPNOTSUPP],
    [`${ACCESS}2`, Errno.EOPNOTSUPP],
  ])('not %s', (name, errno) => {
    expect(get(name).error).toBe(-errno);
    expect(set(name, Buffer.from('x')).error).toBe(-errno);
    expect(ask(Opcode.REMOVEXATTR, text(name)).error).toBe(-errno);
    expect(filesystem.calls).toEqual([]);
  });

  test('less with noacl and nouser_xattr', () => {
    const less = { attributes: true, acl: false, userAttributes: false };
    expect(open().body.readUInt32LE(12) & InitFlag.POSIX_ACL).toBe(InitFlag.POSIX_ACL);
    expect(open(less).body.readUInt32LE(12) & InitFlag.POSIX_ACL).toBe(0);
    expect(get('user.a').error).toBe(-Errno.EOPNOTSUPP);
    expect(get(ACCESS).error).toBe(-Errno.EOPNOTSUPP);
    expect(nameFlaw(bytes('trusted.a'), less)).toBeUndefined();
    expect(isListed(bytes('user.a'), less, () => true)).toBe(false);
  });

  test('nothing with noxattr, which the kernel is told so that it asks no more', () => {
    const reply = open({ attributes: false, acl: false, userAttributes: false });
    expect(reply.body.readUInt32LE(12) & InitFlag.POSIX_ACL).toBe(0);
    expect(get('security.capability').error).toBe(-Errno.ENOSYS);
    expect(set('user.a', Buffer.from('x')).error).toBe(-Errno.ENOSYS);
    expect(ask(Opcode.LISTXATTR, u32(4096, 0)).error).toBe(-Errno.ENOSYS);
    expect(ask(Opcode.REMOVEXATTR, text('user.a')).error).toBe(-Errno.ENOSYS);
    expect(filesystem.calls).toEqual([]);
  });
});
