/**
 * What chattr(1) sets, as ioctls in bytes; and opens and writes that such flags refuse, by the
 * system call that waits.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { Errno } from '../../src/fs/base/errors.ts';
import { FileFlag } from '../../src/fs/base/filesystem.ts';
import { InodeFlag } from '../../src/fs/format/format.ts';
import { Opcode } from '../../src/fuse/abi.ts';
import {
  credentialsOf,
  memoryLater,
  parseCredentials,
  parseSystemCall,
  submitterOf,
  systemCallOf,
} from '../../src/fuse/calling-thread.ts';
import { openFlagsAt, refuses, refusesOpen } from '../../src/fuse/protected-files.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, type Reply, text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const FILE = 2n;
const GETFLAGS = 0x80086601;
const SETFLAGS = 0x40086602;
const FSGETXATTR = 0x801c581f;
const FSSETXATTR = 0x401c5820;
const GETVERSION = 0x80087601;
const OWN = Object.values(FileFlag);

let channel: FakeChannel;
let filesystem: MemoryFileSystem;

beforeEach(() => {
  channel = new FakeChannel();
  filesystem = new MemoryFileSystem();
  new Session(channel, filesystem, { log: () => {} }).start();
  channel.deliver(message(Opcode.INIT, 0n, u32(7, 45, 131072, 0x7fff_ffff)));
  channel.deliver(
    message(Opcode.MKNOD, 1n, Buffer.concat([u32(0o100644, 0, 0, 0), text('file')])),
    message(Opcode.MKDIR, 1n, Buffer.concat([u32(0o755, 0), text('folder')])),
  );
  filesystem.calls.length = 0;
});

function ioctl(command: number, given: Buffer, answerBytes: number, inode = FILE): Reply {
  const head = [u64(0), u32(0, command), u64(0x7fff_0000), u32(given.length, answerBytes)];
  channel.deliver(message(Opcode.IOCTL, inode, Buffer.concat([...head, given])));
  expect(channel.takenSlots).toBe(0);
  return channel.replies.at(-1) as Reply;
}

function answerOf({ error, body }: Reply): Buffer {
  expect(error).toBe(0);
  expect(body.readInt32LE(0)).toBe(0);
  return body.subarray(16);
}

describe('the ioctls', () => {
  test('have the bits of the volume, one by one', () => {
    expect(Object.values(InodeFlag).filter((flag) => flag !== InodeFlag.inlineData)).toEqual(OWN);
    const generic = [0x10, 0x20, 0x40, 0x80, 0x8, 0x10000, 0x20000, 0x2000_0000];
    for (const [at, own] of OWN.entries()) {
      answerOf(ioctl(SETFLAGS, u32(generic[at] as number), 0));
      expect(filesystem.calls.at(-1)).toEqual(['changeFlags', 2, { flags: own }]);
      expect(answerOf(ioctl(GETFLAGS, Buffer.alloc(0), 4)).readUInt32LE(0)).toBe(generic[at]);
    }
  });

  test('answer an int where the command says long, for callers who have no more room', () => {
    filesystem.node(2).attributes.generation = 2 ** 32 + 7;
    expect(answerOf(ioctl(GETVERSION, Buffer.alloc(0), 8))).toEqual(u32(7));
    expect(answerOf(ioctl(GETFLAGS, Buffer.alloc(0), 8))).toEqual(u32(0));
  });

  test('have the project, and keep flags that struct fsxattr has no word for', () => {
    filesystem.node(2).attributes.flags = FileFlag.synchronousDirectory | FileFlag.noDump;
    filesystem.node(2).attributes.projectId = 0xffff_fff0;
    const before = answerOf(ioctl(FSGETXATTR, Buffer.alloc(0), 28));
    expect(before).toEqual(Buffer.concat([u32(0x80, 0, 0, 0xffff_fff0, 0, 0, 0)]));
    answerOf(ioctl(FSSETXATTR, u32(0x8 | 0x40, 0, 0, 4711, 0, 0, 0), 0));
    const flags = FileFlag.synchronousDirectory | FileFlag.immutable | FileFlag.noAccessTime;
    expect(filesystem.calls.at(-1)).toEqual(['changeFlags', 2, { flags, projectId: 4711 }]);
  });

  test('refuse what there is not here', () => {
    const refused = (command: number, given: Buffer) => ioctl(command, given, 0).error;
    for (const flag of [0x1, 0x4, 0x4000, 0x1000_0000]) {
      expect(refused(SETFLAGS, u32(flag))).toBe(-Errno.EOPNOTSUPP);
    }
    expect(refused(FSSETXATTR, u32(0x100, 0, 0, 0, 0, 0, 0))).toBe(-Errno.EOPNOTSUPP);
    expect(refused(FSSETXATTR, u32(0, 4096, 0, 0, 0, 0, 0))).toBe(-Errno.EOPNOTSUPP);
    expect(refused(SETFLAGS, Buffer.alloc(2))).toBe(-Errno.EINVAL);
    expect(ioctl(GETFLAGS, Buffer.alloc(0), 2).error).toBe(-Errno.EINVAL);
    // The numbers of 32-bit programs: the kernel makes them the others, and has looked who asks.
    for (const command of [0x80046601, 0x40046602, 0x1234]) {
      expect(refused(command, u32(0))).toBe(-Errno.ENOSYS);
    }
    expect(filesystem.calls.some(([name]) => name === 'changeFlags')).toBe(false);
  });

  test('have the kernel ask for the attributes again', () => {
    answerOf(ioctl(GETFLAGS, Buffer.alloc(0), 4));
    expect(channel.notifications).toHaveLength(0);
    answerOf(ioctl(SETFLAGS, u32(0x10), 0));
    expect(channel.notifications).toHaveLength(1);
  });
});

describe('what flags make of requests', () => {
  /** Seconds for which the kernel may believe the attributes. */
  const validity = () => {
    channel.deliver(message(Opcode.GETATTR, FILE, Buffer.alloc(16)));
    return channel.replies.at(-1)?.body.readBigUInt64LE(0);
  };

  test('the kernel asks before it opens a file that is fixed', () => {
    expect(validity()).not.toBe(0n);
    for (const flag of OWN) {
      filesystem.node(2).attributes.flags = flag;
      expect(validity() === 0n).toBe(flag === FileFlag.immutable || flag === FileFlag.appendOnly);
    }
  });

  test('statx has those that it has names for', () => {
    filesystem.node(2).attributes.flags = OWN.reduce((all, flag) => all | flag, 0);
    channel.deliver(message(Opcode.STATX, FILE, Buffer.alloc(24)));
    const body = channel.replies.at(-1)?.body;
    expect(body?.readBigUInt64LE(32 + 8)).toBe(0x70n);
    expect(body?.readBigUInt64LE(32 + 56)).toBe(0x70n);
  });

  test('times that the kernel kept are handed over whatever the flags', () => {
    const setattr = (valid: number) => {
      channel.deliver(message(Opcode.SETATTR, FILE, Buffer.concat([u32(valid), Buffer.alloc(84)])));
      const changes: { kept?: boolean } = Object(
        filesystem.calls.findLast(([name]) => name === 'changeAttributes')?.[2],
      );
      return changes.kept;
    };
    const [MTIME, CTIME, FH, MODE] = [1 << 5, 1 << 10, 1 << 6, 1 << 0];
    expect(setattr(MTIME | CTIME | FH)).toBe(true);
    expect(setattr(MTIME | CTIME)).toBe(undefined);
    expect(setattr(MTIME | CTIME | FH | MODE)).toBe(undefined);
  });
});

describe('the system call that waits', () => {
  const { immutable, appendOnly } = FileFlag;
  const [WRITE, PWRITE, READ, OPEN, OPENAT, CREAT, ACCESS, STAT] = [1, 18, 0, 2, 257, 85, 21, 4];
  const [RDONLY, WRONLY, RDWR, APPEND, PATH] = [0, 1, 2, 0o2000, 0o10000000];
  const call = (number: number, ...given: number[]) => ({
    number,
    arguments: [...given, 0, 0, 0, 0, 0, 0].slice(0, 6).map(BigInt),
  });
  const refused = (flags: number, number: number, ...given: number[]) =>
    refuses(flags, call(number, ...given), 'x64');

  test('is read from what /proc says', async () => {
    const line = '257 0xffffff9c 0x7ffd5 0x80241 0x1b6 0x0 0x0 0x7ffd4 0x7f12';
    expect(parseSystemCall(line)).toEqual({
      number: 257,
      arguments: [0xffffff9cn, 0x7ffd5n, 0x80241n, 0x1b6n, 0n, 0n],
    });
    for (const other of ['running', '-1 0x7ffd4 0x7f12', '', '257'])
      expect(parseSystemCall(other)).toBe(undefined);
    expect(systemCallOf(0)).toBe(undefined);
    expect(systemCallOf(2 ** 30)).toBe(undefined);
    expect(await memoryLater(process.pid, 0n, 4)).toBe(undefined);
    expect(await memoryLater(0, 0n, 4)).toBe(undefined);
  });

  test('is made by whom /proc says', () => {
    const status = 'Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nFDSize:\t64\nGroups:\t9 10 \n';
    expect(parseCredentials(status)).toEqual({ uid: 4, gid: 8, groups: [9, 10] });
    expect(parseCredentials(status.replace('9 10 ', ' '))).toEqual({ uid: 4, gid: 8, groups: [] });
    expect(parseCredentials('Name:\tx\n')).toBe(undefined);
    expect(credentialsOf(process.pid)).toMatchObject({ uid: process.geteuid?.(), gid: process.getegid?.() });
    expect(credentialsOf(0)).toBe(undefined);
  });

  test('is made for another, where a thread of io_uring makes it', () => {
    expect(submitterOf('Name:\tiou-wrk-4711\nUmask:\t0022\nTgid:\t4700\n')).toBe(4711);
    expect(submitterOf('Name:\tiou-sqp-4711\nTgid:\t4700\n')).toBe(4711);
    for (const name of ['iou-wrk-', 'iou-wrk-1 2', 'node', 'xiou-wrk-7'])
      expect(submitterOf(`Name:\t${name}\nTgid:\t4700\n`)).toBe(undefined);
  });

  test('opens an immutable file for reading only', () => {
    for (const flags of [WRONLY, RDWR, RDWR | APPEND]) {
      expect(refused(immutable, OPEN, 0, flags)).toBe(true);
      expect(refused(immutable, OPENAT, 0, 0, flags)).toBe(true);
    }
    expect(refused(immutable, CREAT, 0)).toBe(true);
    expect(refused(immutable, OPENAT, 0, WRONLY, RDONLY)).toBe(false);
    expect(refused(immutable, OPEN, 0, WRONLY | PATH)).toBe(false);
    expect(refused(immutable, ACCESS, 0, 2)).toBe(true);
    expect(refused(immutable, ACCESS, 0, 4)).toBe(false);
  });

  test('writes to an append-only file by who may append', () => {
    expect(refused(appendOnly, OPEN, 0, WRONLY)).toBe(true);
    expect(refused(appendOnly, CREAT, 0)).toBe(true);
    expect(refused(appendOnly, OPENAT, 0, 0, RDWR | APPEND)).toBe(false);
    expect(refused(appendOnly, ACCESS, 0, 2)).toBe(false);
    expect(refused(appendOnly, WRITE, 3)).toBe(false);
    expect(refused(immutable, WRITE, 3)).toBe(true);
    expect(refused(immutable, PWRITE, 3)).toBe(true);
  });

  test('of openat2 is what the caller’s memory says', () => {
    const OPENAT2 = 437;
    expect(openFlagsAt(call(OPENAT2, 3, 0x1000, 0x2000, 24), 'x64')).toBe(0x2000n);
    expect(openFlagsAt(call(OPENAT2, 3, 0x1000, 0x2000, 24), 'arm64')).toBe(0x2000n);
    expect(openFlagsAt(call(OPENAT, 3, 0x1000, 0x2000, 24), 'x64')).toBe(undefined);
    expect(openFlagsAt(call(OPENAT2), 'riscv64')).toBe(undefined);
    expect(refused(immutable, OPENAT2, 0, 0, 0x2000)).toBe(false);
    expect(refusesOpen(immutable, RDWR | APPEND)).toBe(true);
    expect(refusesOpen(appendOnly, RDWR)).toBe(true);
    expect(refusesOpen(appendOnly, RDWR | APPEND)).toBe(false);
    for (const flags of [RDONLY, WRONLY | PATH]) expect(refusesOpen(immutable, flags)).toBe(false);
  });

  test('passes where it is another, or of another machine', () => {
    for (const number of [READ, STAT, 426, 40]) expect(refused(immutable, number, 1, 1, 1)).toBe(false);
    expect(refuses(immutable, call(WRITE), 'riscv64')).toBe(false);
    expect(refuses(immutable, call(64), 'arm64')).toBe(true);
    expect(refuses(immutable, call(56, 0, 0, WRONLY), 'arm64')).toBe(true);
  });
});
