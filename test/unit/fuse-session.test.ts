/** The FUSE session on request bytes, through a fake channel, against a filesystem in memory. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { CorruptionError, Errno, fsError } from '../../src/fs/base/errors.ts';
import { InitFlag, Opcode } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, type Reply, text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const ALL_FLAGS = 0x7fff_ffff;
const UNIQUE = 0x1234_5678_9abc_def0n;
const ROOT = 1n;

let channel: FakeChannel;
let filesystem: MemoryFileSystem;
let session: Session;
let lines: string[];

function open(atomicCreate = false): void {
  channel = new FakeChannel();
  filesystem = new MemoryFileSystem();
  lines = [];
  session = new Session(channel, filesystem, { log: (line) => lines.push(line), atomicCreate });
  session.start();
}

function init(major: number, minor: number, flags: number, ...more: number[]): Reply {
  return ask(Opcode.INIT, 0n, u32(major, minor, 131072, flags, ...more));
}

/** Delivers one request and returns its one reply. */
function ask(opcode: number, nodeid: bigint | number, body: Uint8Array): Reply {
  const before = channel.replies.length;
  channel.deliver(message(opcode, BigInt(nodeid), body, UNIQUE));
  expect(channel.replies.length).toBe(before + 1);
  expect(channel.takenSlots).toBe(0);
  return lastReply();
}

function lastReply(): Reply {
  const reply = channel.replies.at(-1);
  if (reply === undefined) throw new Error('no reply');
  expect(reply.unique).toBe(UNIQUE);
  return reply;
}

function call(name: string): unknown[] {
  const found = filesystem.calls.findLast((logged) => logged[0] === name);
  if (found === undefined) throw new Error(`${name} was not called`);
  return found.slice(1);
}

function callsOf(name: string): unknown[][] {
  return filesystem.calls.filter((logged) => logged[0] === name);
}

const FILE = 0o100644;
const mknodBody = (name: string, mode = FILE): Buffer => Buffer.concat([u32(mode, 0, 0, 0), text(name)]);

function makeFile(name: string, bytes = ''): number {
  const reply = ask(Opcode.MKNOD, ROOT, mknodBody(name));
  expect(reply.error).toBe(0);
  const inode = Number(reply.body.readBigUInt64LE(0));
  filesystem.node(inode).bytes = Buffer.from(bytes);
  filesystem.node(inode).attributes.sizeBytes = bytes.length;
  return inode;
}

beforeEach(() => {
  open();
  init(7, 45, ALL_FLAGS);
  filesystem.calls.length = 0;
});

describe('init', () => {
  test('takes what is offered and wanted, and says its limits', async () => {
    const { error, body } = init(7, 45, ALL_FLAGS, 0xffff_ffff, ...new Array<number>(11).fill(0));
    expect(error).toBe(0);
    expect(body.length).toBe(64);
    expect(body.readUInt32LE(0)).toBe(7);
    expect(body.readUInt32LE(4)).toBe(45);
    expect(body.readUInt32LE(8)).toBe(131072);
    const flags = body.readUInt32LE(12);
    for (const flag of [InitFlag.WRITEBACK_CACHE, InitFlag.NO_OPEN_SUPPORT, InitFlag.MAX_PAGES]) {
      expect(flags & flag).toBe(flag);
    }
    expect(flags & InitFlag.ATOMIC_O_TRUNC).toBe(0);
    expect(body.readUInt16LE(16)).toBe(64);
    expect(body.readUInt16LE(18)).toBe(48);
    expect(body.readUInt32LE(20)).toBe(1 << 20);
    expect(body.readUInt32LE(24)).toBe(1);
    expect(body.readUInt16LE(28)).toBe(256);
    expect(body.readUInt32LE(32)).toBe(0x100);
    await expect(session.initialized).resolves.toMatchObject({ minor: 45 });
  });

  test('takes nothing that is not offered', () => {
    const { body } = init(7, 31, InitFlag.ASYNC_READ | InitFlag.ATOMIC_O_TRUNC);
    expect(body.readUInt32LE(4)).toBe(31);
    expect(body.readUInt32LE(12)).toBe(InitFlag.ASYNC_READ);
  });

  test('answers a newer kernel with what it knows', () => {
    expect(init(7, 99, ALL_FLAGS).body.readUInt32LE(4)).toBe(45);
    expect(init(8, 0, ALL_FLAGS).body.readUInt32LE(0)).toBe(7);
  });

  test('takes idmapped mounts where they are offered, in the second word of flags', () => {
    const flags2 = (reply: Reply) => [reply.body.readUInt32LE(12) >>> 30, reply.body.readUInt32LE(32)];
    const more = new Array(11).fill(0);
    expect(flags2(init(7, 45, 0x7fff_ffff, 0xffff_feff, ...more))).toEqual([0, 0]);
    expect(flags2(init(7, 45, 0x3fff_ffff, 0xffff_ffff, ...more))).toEqual([0, 0]);
    expect(flags2(init(7, 45, 0x7fff_ffff))).toEqual([0, 0]);
  });

  test('refuses a kernel that is too old', async () => {
    open();
    expect(init(7, 30, ALL_FLAGS).error).toBe(-Errno.EPROTO);
    await expect(session.initialized).rejects.toThrow(/too old/);
  });
});

describe('lookup', () => {
  test('answers an entry, and takes a reference', () => {
    const inode = makeFile('a');
    const { attributes } = filesystem.node(inode);
    Object.assign(attributes, {
      generation: 2 ** 40 + 7,
      mode: 0o100755,
      linkCount: 11,
      uid: 0xffff_fff0,
      gid: 13,
      deviceNumber: 14,
      sizeBytes: 2 ** 53 - 1,
      sectors: 2 ** 32 + 16,
      accessSeconds: -2,
      accessNanoseconds: 17,
      modifySeconds: 2 ** 32 + 18,
      modifyNanoseconds: 19,
      changeSeconds: 2 ** 34 + 20,
      changeNanoseconds: 999_999_999,
    });
    const { error, body } = ask(Opcode.LOOKUP, ROOT, text('a'));
    expect(error).toBe(0);
    expect(body.length).toBe(128);
    expect(call('lookup')).toEqual([1, 'a']);
    expect(body.readBigUInt64LE(0)).toBe(BigInt(inode));
    expect(body.readBigUInt64LE(8)).toBe(2n ** 40n + 7n);
    expect(body.readBigUInt64LE(16)).toBe(0x7fff_ffffn);
    expect(body.readBigUInt64LE(24)).toBe(0x7fff_ffffn);
    expect(body.readBigUInt64LE(32)).toBe(0n);
    const attr = body.subarray(40);
    expect(attr.readBigUInt64LE(0)).toBe(BigInt(inode));
    expect(attr.readBigUInt64LE(8)).toBe(2n ** 53n - 1n);
    expect(attr.readBigUInt64LE(16)).toBe(2n ** 32n + 16n);
    expect(attr.readBigInt64LE(24)).toBe(-2n);
    expect(attr.readBigInt64LE(32)).toBe(2n ** 32n + 18n);
    expect(attr.readBigInt64LE(40)).toBe(2n ** 34n + 20n);
    const words = [17, 19, 999_999_999, 0o100755, 11, 0xffff_fff0, 13, 14, 4096, 0];
    words.forEach((word, at) => {
      expect(attr.readUInt32LE(48 + 4 * at)).toBe(word);
    });
    expect(filesystem.node(inode).references).toBe(2);
  });

  test('answers a missing name with an entry that the kernel remembers', () => {
    const { error, body } = ask(Opcode.LOOKUP, ROOT, text('nothing'));
    expect(error).toBe(0);
    expect(body.length).toBe(128);
    expect(body.readBigUInt64LE(0)).toBe(0n);
    expect(body.readBigUInt64LE(16)).toBe(0x7fff_ffffn);
    expect(callsOf('acquire')).toEqual([]);
  });

  test('passes names of any bytes', () => {
    ask(Opcode.LOOKUP, ROOT, text('\xff\xfe \n'));
    expect(call('lookup')).toEqual([1, '\xff\xfe \n']);
    const longest = 'x'.repeat(255);
    ask(Opcode.LOOKUP, ROOT, text(longest));
    expect(call('lookup')).toEqual([1, longest]);
  });

  test('passes node ids up to 2^53, and refuses those above', () => {
    expect(ask(Opcode.LOOKUP, 2n ** 32n, text('a')).error).toBe(-Errno.ESTALE);
    expect(call('lookup')).toEqual([2 ** 32, 'a']);
    expect(ask(Opcode.LOOKUP, 2n ** 53n - 1n, text('a')).error).toBe(-Errno.ESTALE);
    expect(call('lookup')).toEqual([2 ** 53 - 1, 'a']);
    filesystem.calls.length = 0;
    expect(ask(Opcode.LOOKUP, 2n ** 53n, text('a')).error).toBe(-Errno.ESTALE);
    expect(filesystem.calls).toEqual([]);
  });

  test('gives the reference back when the reply finds nobody', () => {
    const inode = makeFile('a');
    channel.replyErrors.push(Errno.ENOENT);
    channel.deliver(message(Opcode.LOOKUP, ROOT, text('a')));
    expect(filesystem.node(inode).references).toBe(1);
    expect(channel.takenSlots).toBe(0);
    expect(lines).toEqual([]);
  });
});

describe('making', () => {
  test('mknod', () => {
    const body = Buffer.concat([u32(0o020640, 0x8765, 0o027, 0), text('dev')]);
    expect(ask(Opcode.MKNOD, ROOT, body).error).toBe(0);
    const caller = { uid: 1001, gid: 1002, umask: 0o027 };
    expect(call('create')).toEqual([1, 'dev', { mode: 0o020640, deviceNumber: 0x8765, caller }]);
    expect(callsOf('acquire')).toEqual([['acquire', 2]]);
  });

  test('mkdir', () => {
    expect(ask(Opcode.MKDIR, ROOT, Buffer.concat([u32(0o1777, 0o022), text('d')])).error).toBe(0);
    const caller = { uid: 1001, gid: 1002, umask: 0o022 };
    expect(call('create')).toEqual([1, 'd', { mode: 0o041777, deviceNumber: 0, caller }]);
  });

  test('create is left to mknod, or answered if asked for', () => {
    const body = Buffer.concat([u32(0o102, 0o100666, 0o077, 0), text('f')]);
    expect(ask(Opcode.CREATE, ROOT, body).error).toBe(-Errno.ENOSYS);
    open(true);
    const reply = ask(Opcode.CREATE, ROOT, body);
    expect(reply.error).toBe(0);
    expect(reply.body.length).toBe(144);
    expect(reply.body.readBigUInt64LE(128)).toBe(0n);
    expect(reply.body.readUInt32LE(136)).toBe(2);
    const caller = { uid: 1001, gid: 1002, umask: 0o077 };
    expect(call('create')).toEqual([1, 'f', { mode: 0o100666, deviceNumber: 0, caller }]);
    expect(filesystem.node(2).references).toBe(1);
  });

  test('tmpfile answers as create does, and gives back what nobody took', () => {
    const body = Buffer.concat([u32(0o20200002, 0o100666, 0o077, 0), text('/')]);
    const reply = ask(Opcode.TMPFILE, ROOT, body);
    expect(reply.error).toBe(0);
    expect(reply.body.length).toBe(144);
    expect(reply.body.readUInt32LE(136)).toBe(2);
    const caller = { uid: 1001, gid: 1002, umask: 0o077 };
    expect(call('createUnnamed')).toEqual([1, { mode: 0o100666, caller }]);
    expect(callsOf('acquire')).toEqual([]);
    expect(filesystem.node(2).references).toBe(1);
    channel.replyErrors.push(Errno.ENOENT);
    channel.deliver(message(Opcode.TMPFILE, ROOT, body));
    expect(callsOf('forget')).toEqual([['forget', 3, 1]]);
    expect(filesystem.has(3)).toBe(false);
    filesystem.failure = fsError('ENOSPC');
    expect(ask(Opcode.TMPFILE, ROOT, body).error).toBe(-Errno.ENOSPC);
    expect(callsOf('forget')).toHaveLength(1);
  });

  test('symlink and readlink', () => {
    const target = 't'.repeat(4095);
    expect(ask(Opcode.SYMLINK, ROOT, text('l', target)).error).toBe(0);
    expect(call('symlink')).toEqual([1, 'l', target, { uid: 1001, gid: 1002, umask: 0 }]);
    const { body } = ask(Opcode.READLINK, 2, Buffer.alloc(0));
    expect(body.toString()).toBe(target);
  });

  test('link', () => {
    const inode = makeFile('a');
    const { error, body } = ask(Opcode.LINK, ROOT, Buffer.concat([u64(inode), text('b')]));
    expect(error).toBe(0);
    expect(call('link')).toEqual([inode, 1, 'b']);
    expect(body.readBigUInt64LE(0)).toBe(BigInt(inode));
    expect(filesystem.node(inode).references).toBe(2);
    expect(ask(Opcode.LINK, ROOT, Buffer.concat([u64(2n ** 53n), text('c')])).error).toBe(-Errno.ESTALE);
  });
});

describe('taking away and moving', () => {
  test('unlink and rmdir', () => {
    makeFile('a');
    expect(ask(Opcode.UNLINK, ROOT, text('a'))).toMatchObject({ error: 0, body: Buffer.alloc(0) });
    expect(call('unlink')).toEqual([1, 'a']);
    expect(ask(Opcode.RMDIR, ROOT, text('a')).error).toBe(-Errno.ENOENT);
    expect(call('removeDirectory')).toEqual([1, 'a']);
  });

  test('rename and rename2', () => {
    makeFile('a');
    expect(ask(Opcode.RENAME, ROOT, Buffer.concat([u64(1), text('a', 'bb')])).error).toBe(0);
    expect(call('rename')).toEqual([1, 'a', 1, 'bb', 0]);
    const rename2 = (flags: number): Buffer =>
      Buffer.concat([u64(2n ** 40n), u32(flags, 0), text('bb', 'c')]);
    for (const flags of [0, 1, 2, 4]) {
      ask(Opcode.RENAME2, ROOT, rename2(flags));
      expect(call('rename')).toEqual([1, 'bb', 2 ** 40, 'c', flags]);
    }
  });

  test('names must be there, and end', () => {
    expect(ask(Opcode.UNLINK, ROOT, Buffer.from('abc')).error).toBe(-Errno.EINVAL);
    expect(ask(Opcode.UNLINK, ROOT, Buffer.alloc(0)).error).toBe(-Errno.EINVAL);
    expect(ask(Opcode.RENAME, ROOT, Buffer.concat([u64(1), text('a')])).error).toBe(-Errno.EINVAL);
    expect(filesystem.calls).toEqual([]);
  });
});

interface Setattr {
  valid: number;
  size?: bigint;
}

function setattrBody({ valid, size = 0n }: Setattr): Buffer {
  return Buffer.concat([
    u32(valid, 0),
    u64(0xf00d, size, 0x10c4, -5n, 2n ** 33n + 6n, 2n ** 32n + 7n),
    u32(101, 102, 103, 0o104711, 0, 0xffff_fff1, 202, 0),
  ]);
}

const undefinedChanges = {
  mode: undefined,
  uid: undefined,
  gid: undefined,
  accessSeconds: undefined,
  accessNanoseconds: undefined,
  modifySeconds: undefined,
  modifyNanoseconds: undefined,
  changeSeconds: undefined,
  changeNanoseconds: undefined,
  killPrivileges: undefined,
  kept: undefined,
};

describe('attributes', () => {
  test('getattr', () => {
    const inode = makeFile('a', 'hello');
    const { body } = ask(Opcode.GETATTR, inode, Buffer.alloc(16));
    expect(body.length).toBe(104);
    expect(body.readBigUInt64LE(0)).toBe(0x7fff_ffffn);
    expect(body.readBigUInt64LE(16)).toBe(BigInt(inode));
    expect(body.readBigUInt64LE(24)).toBe(5n);
    expect(ask(Opcode.GETATTR, 99, Buffer.alloc(16)).error).toBe(-Errno.ESTALE);
  });

  test('statx has every field in its place, and the birth time', () => {
    const inode = makeFile('a');
    Object.assign(filesystem.node(inode).attributes, {
      mode: 0o020640,
      linkCount: 2,
      uid: 3,
      gid: 4,
      deviceNumber: 0xabc5_6712,
      sizeBytes: 2 ** 52 + 5,
      sectors: 2 ** 33 + 6,
      accessSeconds: -7,
      accessNanoseconds: 8,
      birthSeconds: 9,
      birthNanoseconds: 10,
      changeSeconds: 11,
      changeNanoseconds: 12,
      modifySeconds: 13,
      modifyNanoseconds: 14,
    });
    const { body } = ask(Opcode.STATX, inode, Buffer.alloc(24));
    expect(body.length).toBe(288);
    const stat = body.subarray(32);
    const words = [0, 4, 16, 20, 24].map((at) => stat.readUInt32LE(at));
    expect(words).toEqual([0xfff, 4096, 2, 3, 4]);
    expect(stat.readUInt16LE(28)).toBe(0o020640);
    expect(stat.readBigUInt64LE(32)).toBe(BigInt(inode));
    expect(stat.readBigUInt64LE(40)).toBe(2n ** 52n + 5n);
    expect(stat.readBigUInt64LE(48)).toBe(2n ** 33n + 6n);
    const times = [64, 80, 96, 112].map((at) => [stat.readBigInt64LE(at), stat.readUInt32LE(at + 8)]);
    expect(times).toEqual([
      [-7n, 8],
      [9n, 10],
      [11n, 12],
      [13n, 14],
    ]);
    expect(stat.readUInt32LE(128)).toBe(0x567);
    expect(stat.readUInt32LE(132)).toBe(0xabc12);
  });

  test('setattr changes each field that is valid, and only those', () => {
    const inode = makeFile('a');
    const cases: [number, object][] = [
      [1 << 0, { mode: 0o4711 }],
      [1 << 1, { uid: 0xffff_fff1 }],
      [1 << 2, { gid: 202 }],
      [1 << 4, { accessSeconds: -5, accessNanoseconds: 101 }],
      [1 << 5, { modifySeconds: 2 ** 33 + 6, modifyNanoseconds: 102 }],
      [(1 << 4) | (1 << 7), { accessSeconds: 'now' }],
      [(1 << 5) | (1 << 8), { modifySeconds: 'now' }],
      [1 << 10, { changeSeconds: 2 ** 32 + 7, changeNanoseconds: 103 }],
      [(1 << 1) | (1 << 11), { uid: 0xffff_fff1, killPrivileges: true }],
    ];
    for (const [valid, changes] of cases) {
      const { error, body } = ask(Opcode.SETATTR, inode, setattrBody({ valid }));
      expect(error).toBe(0);
      expect(body.length).toBe(104);
      expect(call('changeAttributes')).toEqual([inode, { ...undefinedChanges, ...changes }]);
    }
    expect(callsOf('setSize')).toEqual([]);
  });

  test('setattr without anything only reads', () => {
    const inode = makeFile('a');
    expect(ask(Opcode.SETATTR, inode, setattrBody({ valid: 1 << 6 })).error).toBe(0);
    expect(callsOf('changeAttributes')).toEqual([]);
  });

  test('setattr sets the size first, then the rest', async () => {
    const inode = makeFile('a', 'hello');
    const submits = filesystem.submits;
    const valid = (1 << 3) | (1 << 5) | (1 << 11);
    channel.deliver(
      message(Opcode.SETATTR, BigInt(inode), setattrBody({ valid, size: 2n ** 53n - 1n }), UNIQUE),
    );
    expect(channel.takenSlots).toBe(1);
    await new Promise(setImmediate);
    const { error, body } = lastReply();
    expect(error).toBe(0);
    expect(call('setSize')).toEqual([inode, 2 ** 53 - 1, true]);
    const times = { modifySeconds: 2 ** 33 + 6, modifyNanoseconds: 102 };
    expect(call('changeAttributes')).toEqual([inode, { ...undefinedChanges, ...times }]);
    expect(body.readBigUInt64LE(24)).toBe(2n ** 53n - 1n);
    expect(filesystem.submits).toBe(submits + 2);
    expect(channel.takenSlots).toBe(0);
  });

  test('setattr refuses sizes that are not exact, and passes errors on', async () => {
    const inode = makeFile('a');
    expect(ask(Opcode.SETATTR, inode, setattrBody({ valid: 1 << 3, size: 2n ** 53n })).error).toBe(
      -Errno.EFBIG,
    );
    filesystem.failure = fsError('ENOSPC');
    channel.deliver(message(Opcode.SETATTR, BigInt(inode), setattrBody({ valid: 1 << 3, size: 1n }), UNIQUE));
    await new Promise(setImmediate);
    expect(lastReply().error).toBe(-Errno.ENOSPC);
    expect(channel.takenSlots).toBe(0);
  });

  test('statfs', () => {
    const { body } = ask(Opcode.STATFS, ROOT, Buffer.alloc(0));
    expect(body.length).toBe(80);
    const wide = [0, 8, 16, 24, 32].map((at) => body.readBigUInt64LE(at));
    const free = 2n ** 40n + 2n;
    expect(wide).toEqual([2n ** 32n + 1n, free, free - 1n, 2n ** 32n - 1n, 2n ** 32n - 6n]);
    expect([40, 44, 48].map((at) => body.readUInt32LE(at))).toEqual([4096, 255, 4096]);
  });
});

const readBody = (offset: bigint, size: number): Buffer =>
  Buffer.concat([u64(0xf00d, offset), u32(size, 2), u64(0x10c4), u32(0o100000, 0)]);
const writeBody = (offset: bigint, data: Buffer, flags = 0, size = data.length): Buffer =>
  Buffer.concat([u64(0xf00d, offset), u32(size, flags), u64(0x10c4), u32(0o100001, 0), data]);

describe('data', () => {
  test('read sends the bytes from where they stand', () => {
    const inode = makeFile('a', 'hello world');
    for (const offset of [0, 1, 2, 3, 4]) {
      const { error, body } = ask(Opcode.READ, inode, readBody(BigInt(offset), 4096));
      expect(error).toBe(0);
      expect(body.toString()).toBe('hello world'.slice(offset));
    }
    expect(call('read')).toEqual([inode, 4, 4096]);
    expect(ask(Opcode.READ, inode, readBody(100n, 10)).body.length).toBe(0);
    ask(Opcode.READ, inode, readBody(2n ** 53n - 1n, 10));
    expect(call('read')).toEqual([inode, 2 ** 53 - 1, 10]);
  });

  test('read refuses what it cannot hold or count', () => {
    expect(ask(Opcode.READ, 2, readBody(2n ** 53n, 10)).error).toBe(-Errno.EOVERFLOW);
    expect(ask(Opcode.READ, 2, readBody(0n, 65537)).error).toBe(-Errno.EINVAL);
    expect(filesystem.calls).toEqual([]);
  });

  test('write passes the payload where it was received', () => {
    const inode = makeFile('a');
    const { error, body } = ask(Opcode.WRITE, inode, writeBody(3n, Buffer.from('data'), 1));
    expect(error).toBe(0);
    expect(body.length).toBe(8);
    expect(body.readUInt32LE(0)).toBe(4);
    expect(call('write')).toEqual([inode, 3, 4, false, false]);
    expect(Buffer.from(filesystem.node(inode).bytes).toString()).toBe('\0\0\0data');
    ask(Opcode.WRITE, inode, writeBody(2n ** 53n - 2n, Buffer.from('d'), 4));
    expect(call('write')).toEqual([inode, 2 ** 53 - 2, 1, false, true]);
  });

  test('write keeps the times where the kernel does not', () => {
    init(7, 45, 0);
    const inode = makeFile('a');
    ask(Opcode.WRITE, inode, writeBody(0n, Buffer.from('data')));
    expect(call('write')).toEqual([inode, 0, 4, true, false]);
  });

  test('a write that failed is told to the next asker with an open file, once', () => {
    const inode = makeFile('a');
    const forOpenFile = u32(1, 0, 0, 0);
    const tooFar = writeBody(2n ** 53n, Buffer.from('data'));
    const clock = vi.spyOn(performance, 'now').mockReturnValue(performance.now());
    expect(ask(Opcode.WRITE, inode, tooFar).error).toBe(-Errno.EFBIG);
    ask(Opcode.WRITE, inode, tooFar);
    clock.mockRestore();
    expect(channel.notifications).toEqual([
      Buffer.concat([u32(40, 2), u64(0n), u64(BigInt(inode)), u64(2n ** 64n - 1n), u64(0n)]),
    ]);
    expect(ask(Opcode.GETATTR, inode, Buffer.alloc(16)).error).toBe(0);
    expect(ask(Opcode.GETATTR, inode, forOpenFile).error).toBe(-Errno.EFBIG);
    expect(ask(Opcode.GETATTR, inode, forOpenFile).error).toBe(0);
  });

  test('a write that failed is told again a moment later, if an answer has come between', async () => {
    const inode = makeFile('a');
    const tooFar = writeBody(2n ** 53n, Buffer.from('data'));
    ask(Opcode.WRITE, inode, tooFar);
    expect(ask(Opcode.GETATTR, inode, Buffer.alloc(16)).error).toBe(0);
    await new Promise((resolve) => setTimeout(resolve, 10));
    ask(Opcode.WRITE, inode, tooFar);
    expect(channel.notifications.filter((notice) => notice.readInt32LE(4) === 2).length).toBe(2);
    expect(ask(Opcode.GETATTR, inode, u32(1, 0, 0, 0)).error).toBe(-Errno.EFBIG);
  });

  test('write refuses a length that was not sent, and an offset that is not exact', () => {
    expect(ask(Opcode.WRITE, 2, writeBody(0n, Buffer.from('data'), 0, 5)).error).toBe(-Errno.EINVAL);
    expect(ask(Opcode.WRITE, 2, writeBody(2n ** 53n, Buffer.from('data'))).error).toBe(-Errno.EFBIG);
    expect(callsOf('write')).toEqual([]);
  });

  test('data that ends later is answered once', () => {
    const inode = makeFile('a', 'hello');
    filesystem.holdData = true;
    channel.deliver(message(Opcode.READ, BigInt(inode), readBody(0n, 5), UNIQUE));
    const replies = channel.replies.length;
    expect(channel.takenSlots).toBe(1);
    filesystem.settle();
    expect(channel.replies.length).toBe(replies + 1);
    expect(lastReply().body.toString()).toBe('hello');
    expect(channel.takenSlots).toBe(0);
  });

  test.each([
    ['fsync', Opcode.FSYNC, 0, 'sync'],
    ['fdatasync', Opcode.FSYNC, 1, 'sync of data'],
    ['fsyncdir', Opcode.FSYNCDIR, 0, 'sync'],
    ['fdatasync of a directory', Opcode.FSYNCDIR, 1, 'sync of data'],
    ['syncfs, which has other arguments,', Opcode.SYNCFS, 1, 'sync'],
  ])('%s asks for what it needs', (_, opcode, flags, call) => {
    channel.deliver(message(opcode, ROOT, Buffer.concat([u64(0n), u32(flags, 0)]), UNIQUE));
    expect(filesystem.calls.at(-1)).toEqual([call]);
  });

  test.each([
    ['fsync', Opcode.FSYNC],
    ['fsyncdir', Opcode.FSYNCDIR],
    ['syncfs', Opcode.SYNCFS],
  ])('%s waits for the disk', async (_, opcode) => {
    let durable = (): void => {};
    filesystem.syncs = new Promise((resolve) => {
      durable = resolve;
    });
    const replies = channel.replies.length;
    channel.deliver(message(opcode, ROOT, Buffer.alloc(16), UNIQUE));
    await new Promise(setImmediate);
    expect(channel.replies.length).toBe(replies);
    durable();
    await new Promise(setImmediate);
    expect(lastReply()).toMatchObject({ error: 0 });
    expect(channel.takenSlots).toBe(0);
  });
});

interface Entry {
  inode: bigint;
  cookie: bigint;
  type: number;
  name: string;
  node: bigint;
}

function entriesOf(body: Buffer, plus: boolean): Entry[] {
  const entries: Entry[] = [];
  const front = plus ? 128 : 0;
  for (let at = 0; at < body.length; ) {
    const dirent = body.subarray(at + front);
    const nameBytes = dirent.readUInt32LE(16);
    entries.push({
      inode: dirent.readBigUInt64LE(0),
      cookie: dirent.readBigUInt64LE(8),
      type: dirent.readUInt32LE(20),
      name: dirent.toString('latin1', 24, 24 + nameBytes),
      node: plus ? body.readBigUInt64LE(at) : 0n,
    });
    at += Math.ceil((front + 24 + nameBytes) / 8) * 8;
  }
  return entries;
}

describe('directories', () => {
  test('readdir lists names, types and cookies', () => {
    makeFile('a');
    ask(Opcode.MKDIR, ROOT, Buffer.concat([u32(0o755, 0), text('\xffdir')]));
    const { body } = ask(Opcode.READDIR, ROOT, readBody(0n, 4096));
    expect(entriesOf(body, false)).toEqual([
      { inode: 1n, cookie: 1n, type: 4, name: '.', node: 0n },
      { inode: 1n, cookie: 2n, type: 4, name: '..', node: 0n },
      { inode: 2n, cookie: 3n, type: 8, name: 'a', node: 0n },
      { inode: 3n, cookie: 4n, type: 4, name: '\xffdir', node: 0n },
    ]);
  });

  test.each([false, true])('a listing goes on where the buffer was full (plus: %s)', (plus) => {
    const opcode = plus ? Opcode.READDIRPLUS : Opcode.READDIR;
    const names = Array.from({ length: 50 }, (_, at) => `file${'x'.repeat(at % 9)}${at}`);
    for (const name of names) makeFile(name);
    const found: string[] = [];
    let cookie = 0n;
    for (;;) {
      const { body } = ask(opcode, ROOT, readBody(cookie, 512));
      expect(body.length).toBeLessThanOrEqual(512);
      const entries = entriesOf(body, plus);
      if (entries.length === 0) break;
      found.push(...entries.map((entry) => entry.name));
      cookie = entries.at(-1)?.cookie ?? 0n;
    }
    expect(found).toEqual(['.', '..', ...names]);
  });

  test('readdirplus takes a reference for each entry but the dots', () => {
    const inode = makeFile('a');
    const { body } = ask(Opcode.READDIRPLUS, ROOT, readBody(0n, 4096));
    expect(entriesOf(body, true).map(({ name, node }) => [name, node])).toEqual([
      ['.', 0n],
      ['..', 0n],
      ['a', BigInt(inode)],
    ]);
    expect(filesystem.node(inode).references).toBe(2);
    channel.replyErrors.push(Errno.ENOENT);
    channel.deliver(message(Opcode.READDIRPLUS, ROOT, readBody(0n, 4096)));
    expect(filesystem.node(inode).references).toBe(2);
  });

  test('readdirplus lists an inode that cannot be read, without attributes', () => {
    const inode = makeFile('a');
    filesystem.node(1).names.set('b', inode);
    const read = filesystem.readAttributes.bind(filesystem);
    filesystem.readAttributes = (tx, which, into) => {
      if (which === inode) throw new CorruptionError(77, 'bad inode');
      read(tx, which, into);
    };
    const { error, body } = ask(Opcode.READDIRPLUS, ROOT, readBody(0n, 4096));
    expect(error).toBe(0);
    expect(entriesOf(body, true).map(({ name, node }) => [name, node])).toContainEqual(['b', 0n]);
  });

  test('a miss within a listing begins it again', () => {
    const inode = makeFile('a');
    filesystem.misses = 1;
    const replies = channel.replies.length;
    channel.deliver(message(Opcode.READDIRPLUS, ROOT, readBody(0n, 4096), UNIQUE));
    expect(channel.replies.length).toBe(replies);
    filesystem.misses = 2;
    filesystem.settle();
    filesystem.settle();
    filesystem.settle();
    expect(channel.replies.length).toBe(replies + 1);
    expect(entriesOf(lastReply().body, true)).toHaveLength(3);
    expect(filesystem.node(inode).references).toBe(2);
  });

  test('no room for one entry is an error, not the end', () => {
    expect(ask(Opcode.READDIR, ROOT, readBody(0n, 16)).error).toBe(-Errno.EINVAL);
    expect(ask(Opcode.READDIR, ROOT, readBody(2n ** 53n, 4096)).error).toBe(-Errno.EINVAL);
    expect(ask(Opcode.READDIR, ROOT, readBody(2n ** 53n - 1n, 4096)).error).toBe(-Errno.EINVAL);
    expect(callsOf('readDirectory').length).toBe(1);
  });
});

describe('references', () => {
  test('forget has no reply', () => {
    const inode = makeFile('a');
    const replies = channel.replies.length;
    channel.deliver(message(Opcode.FORGET, BigInt(inode), u64(2n ** 32n + 1n)));
    expect(call('forget')).toEqual([inode, 2 ** 32 + 1]);
    expect(channel.replies.length).toBe(replies);
    expect(channel.takenSlots).toBe(0);
  });

  test('batch forget takes as many as were sent', () => {
    const pairs = u64(5, 1, 2n ** 32n + 6n, 2, 7, 3);
    channel.deliver(message(Opcode.BATCH_FORGET, 0n, Buffer.concat([u32(2, 0), pairs])));
    expect(callsOf('forget')).toEqual([
      ['forget', 5, 1],
      ['forget', 2 ** 32 + 6, 2],
    ]);
    filesystem.calls.length = 0;
    channel.deliver(message(Opcode.BATCH_FORGET, 0n, Buffer.concat([u32(0xffff_ffff, 0), pairs])));
    expect(callsOf('forget')).toHaveLength(3);
    expect(channel.takenSlots).toBe(0);
  });
});

describe('what is refused', () => {
  test.each([
    Opcode.OPEN,
    Opcode.OPENDIR,
    Opcode.FLUSH,
    Opcode.ACCESS,
    Opcode.BMAP,
    Opcode.IOCTL,
    Opcode.POLL,
    19,
    54,
    1000,
    4096,
    0xffff_ffff,
  ])('opcode %i is ENOSYS', (opcode) => {
    expect(ask(opcode, ROOT, Buffer.alloc(64)).error).toBe(-Errno.ENOSYS);
    expect(filesystem.calls).toEqual([]);
  });

  test('open is answered where the kernel does not skip it', () => {
    init(7, 31, 0);
    expect(ask(Opcode.OPEN, ROOT, Buffer.alloc(8)).body.readUInt32LE(8)).toBe(2);
    expect(ask(Opcode.OPENDIR, ROOT, Buffer.alloc(8)).body.readUInt32LE(8)).toBe(10);
    expect(ask(Opcode.RELEASE, ROOT, Buffer.alloc(24)).error).toBe(0);
    expect(ask(Opcode.RELEASEDIR, ROOT, Buffer.alloc(24)).error).toBe(0);
  });

  test.each([
    [Opcode.MKNOD, 15],
    [Opcode.SETATTR, 87],
    [Opcode.READ, 39],
    [Opcode.WRITE, 39],
    [Opcode.FSYNC, 15],
    [Opcode.FSYNCDIR, 15],
    [Opcode.READDIR, 39],
    [Opcode.STATX, 23],
    [Opcode.RENAME2, 15],
    [Opcode.SETXATTR, 7],
    [Opcode.GETXATTR, 7],
    [Opcode.LISTXATTR, 7],
  ])('opcode %i with %i bytes is too short', (opcode, bytes) => {
    expect(ask(opcode, ROOT, Buffer.alloc(bytes)).error).toBe(-Errno.EINVAL);
    expect(filesystem.calls).toEqual([]);
  });

  test('a message that is not whole is dropped, and its slot released', () => {
    const replies = channel.replies.length;
    const whole = message(Opcode.LOOKUP, ROOT, text('abc'));
    channel.deliver(whole.subarray(0, 20), whole.subarray(0, 42));
    expect(channel.replies.length).toBe(replies);
    expect(channel.takenSlots).toBe(0);
    expect(lines).toHaveLength(2);
  });

  test('interrupt is not answered', () => {
    const replies = channel.replies.length;
    channel.deliver(message(Opcode.INTERRUPT, 0n, u64(UNIQUE)));
    expect(channel.replies.length).toBe(replies);
    expect(channel.takenSlots).toBe(0);
  });
});

describe('failures', () => {
  test('an errno for the user is not logged', () => {
    filesystem.failure = fsError('ENOSPC');
    expect(ask(Opcode.UNLINK, ROOT, text('a')).error).toBe(-Errno.ENOSPC);
    expect(lines).toEqual([]);
  });

  test('corruption is EUCLEAN, and a bug is EIO; both are logged in one line, once', () => {
    filesystem.failure = new CorruptionError(5, 'bad magic');
    expect(ask(Opcode.LOOKUP, ROOT, text('a')).error).toBe(-Errno.EUCLEAN);
    filesystem.failure = new TypeError('undefined is not a function');
    expect(ask(Opcode.LOOKUP, ROOT, text('a')).error).toBe(-Errno.EIO);
    expect(ask(Opcode.LOOKUP, ROOT, text('a')).error).toBe(-Errno.EIO);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/lookup.*block 5: bad magic/);
    expect(lines.join('')).not.toContain('\n');
  });

  test('an exception from execute, read or submit itself does not escape', () => {
    filesystem.execute = () => {
      throw new Error('bug');
    };
    expect(ask(Opcode.LOOKUP, ROOT, text('a')).error).toBe(-Errno.EIO);
    filesystem.submit = () => {
      throw new Error('bug');
    };
    expect(ask(Opcode.INTERRUPT + 1000, ROOT, text('a')).error).toBe(-Errno.ENOSYS);
  });

  test('a second finished is logged, and answered no second time', () => {
    filesystem.execute = (operation) => {
      operation.finished(fsError('EIO'));
      operation.finished(undefined);
    };
    expect(ask(Opcode.LOOKUP, ROOT, text('a')).error).toBe(-Errno.EIO);
    expect(lines[0]).toMatch(/ended twice/);
  });

  test('a failed operation takes no reference', () => {
    makeFile('a');
    filesystem.calls.length = 0;
    filesystem.failure = fsError('EIO');
    ask(Opcode.LOOKUP, ROOT, text('a'));
    expect(callsOf('acquire')).toEqual([]);
  });

  test('a miss runs the operation again from its arguments', () => {
    filesystem.misses = 1;
    const replies = channel.replies.length;
    const body = Buffer.concat([u32(FILE, 0, 0o022, 0), text('late')]);
    channel.deliver(message(Opcode.MKNOD, ROOT, body, UNIQUE), message(Opcode.LOOKUP, ROOT, text('x')));
    expect(channel.replies.length).toBe(replies + 1);
    filesystem.settle();
    expect(channel.replies.length).toBe(replies + 2);
    expect(lastReply().body.readBigUInt64LE(0)).toBe(2n);
    expect(callsOf('create')).toHaveLength(2);
    expect(channel.takenSlots).toBe(0);
  });

  test('an unknown refusal of a reply is logged', () => {
    channel.replyErrors.push(Errno.EINVAL);
    channel.deliver(message(Opcode.LOOKUP, ROOT, text('a')));
    expect(lines).toEqual(['the kernel refused the reply to lookup: errno 22']);
  });
});

describe('the end', () => {
  test('destroy is answered when the filesystem is unmounted, which happens once', async () => {
    let done = (): void => {};
    filesystem.unmount = () => {
      filesystem.unmounts++;
      return new Promise((resolve) => {
        done = resolve;
      });
    };
    const replies = channel.replies.length;
    channel.deliver(message(Opcode.DESTROY, 0n, Buffer.alloc(0), UNIQUE));
    await new Promise(setImmediate);
    expect(channel.replies.length).toBe(replies);
    done();
    await new Promise(setImmediate);
    expect(lastReply().error).toBe(0);
    channel.end();
    await session.closed;
    expect(filesystem.unmounts).toBe(1);
    expect(channel.closed).toBe(1);
  });

  test('a mount that goes away without destroy is unmounted too', async () => {
    channel.end(Errno.EIO);
    await session.closed;
    expect(filesystem.unmounts).toBe(1);
    expect(lines[0]).toMatch(/errno 5/);
  });

  test('a failed unmount is told to whoever waits', async () => {
    filesystem.unmount = () => Promise.reject(new Error('disk gone'));
    channel.deliver(message(Opcode.DESTROY, 0n, Buffer.alloc(0), UNIQUE));
    await new Promise(setImmediate);
    expect(lastReply().error).toBe(-Errno.EIO);
    channel.end();
    await expect(session.closed).rejects.toThrow('disk gone');
    expect(channel.closed).toBe(1);
  });
});

test('counters by operation', () => {
  ask(Opcode.LOOKUP, ROOT, text('a'));
  ask(Opcode.LOOKUP, 99, text('a'));
  ask(1000, ROOT, text('a'));
  const { operations, protocol, pending } = session.statistics();
  expect(protocol).toBe('7.45');
  expect(pending).toBe(0);
  expect(operations).toMatchObject({
    init: { requests: 1, errors: 0 },
    lookup: { requests: 2, errors: 1 },
    unknown: { requests: 1, errors: 0, agreed: 1 },
  });
  expect(Object.keys(operations)).toHaveLength(3);
});
