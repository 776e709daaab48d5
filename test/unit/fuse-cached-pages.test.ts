/**
 * A write past the page cache takes the pages away that a READ may have filled with older bytes,
 * before it is answered; on request bytes.
 */
import { beforeEach, expect, test } from 'vitest';
import { Errno, fsError } from '../../src/fs/base/errors.ts';
import { Opcode } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, type Reply, text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const CACHE = 1 << 0;
const LOCKOWNER = 1 << 1;
const NOTHING = 0;
const OFFSET = 2 ** 40 + 4096;

let channel: FakeChannel;
let filesystem: MemoryFileSystem;
let file: number;

const ask = (opcode: number, nodeid: number, body: Uint8Array) => channel.ask(opcode, nodeid, body);

function read(inode: number, flags: number, offset = 0): void {
  const body = Buffer.concat([u64(0, offset), u32(4096, flags), u64(0), u32(0, 0)]);
  expect(ask(Opcode.READ, inode, body).error).toBe(0);
}

function writeBody(flags: number): Buffer {
  return Buffer.concat([u64(0, OFFSET), u32(8192, flags), u64(0), u32(0, 0), Buffer.alloc(8192, 7)]);
}

function write(inode: number, flags: number): Reply {
  return ask(Opcode.WRITE, inode, writeBody(flags));
}

function make(name: string): number {
  const reply = ask(Opcode.MKNOD, 1, Buffer.concat([u32(0o100644, 0, 0, 0), text(name)]));
  return Number(reply.body.readBigUInt64LE(0));
}

beforeEach(() => {
  channel = new FakeChannel();
  filesystem = new MemoryFileSystem();
  new Session(channel, filesystem, { log: () => {} }).start();
  ask(Opcode.INIT, 0, u32(7, 45, 131072, 0x7fff_ffff));
  file = make('f');
});

test('after a READ for the page cache: FUSE_NOTIFY_INVAL_INODE of the range, then the answer', () => {
  read(file, NOTHING);
  const answered = channel.replies.length;
  expect(write(file, LOCKOWNER).error).toBe(0);
  expect(channel.repliesBefore).toEqual([answered]);
  const notice = channel.notifications.at(-1) ?? Buffer.alloc(0);
  expect(notice.length).toBe(40);
  expect([notice.readUInt32LE(0), notice.readInt32LE(4), notice.readBigUInt64LE(8)]).toEqual([40, 2, 0n]);
  expect(notice.readBigUInt64LE(16)).toBe(BigInt(file));
  expect([notice.readBigInt64LE(24), notice.readBigInt64LE(32)]).toEqual([BigInt(OFFSET), 8192n]);
});

test('every such write does, and one that failed too: the device may have taken a part of it', () => {
  read(file, NOTHING);
  write(file, LOCKOWNER);
  filesystem.failure = fsError('EIO');
  expect(write(file, LOCKOWNER).error).toBe(-Errno.EIO);
  expect(channel.repliesBefore.length).toBe(2);
});

test('a READ that comes while the write is under way counts', () => {
  filesystem.holdData = true;
  channel.deliver(message(Opcode.WRITE, BigInt(file), writeBody(LOCKOWNER)));
  channel.deliver(
    message(Opcode.READ, BigInt(file), Buffer.concat([u64(0, 0), u32(4096, 0), u64(0), u32(0, 0)])),
  );
  filesystem.settle();
  expect(channel.repliesBefore.length).toBe(1);
});

test.each([
  ['nothing was read', () => write(file, LOCKOWNER)],
  ['what was read went past the cache', () => [read(file, LOCKOWNER), write(file, LOCKOWNER)]],
  ['another file was read', () => [read(make('other'), NOTHING), write(file, LOCKOWNER)]],
  ['the write comes from the cache', () => [read(file, NOTHING), write(file, CACHE), write(file, NOTHING)]],
  [
    'the kernel has given the inode up since',
    () => {
      read(file, NOTHING);
      channel.deliver(message(Opcode.FORGET, BigInt(file), u64(1)));
      ask(Opcode.LOOKUP, 1, text('f'));
      write(file, LOCKOWNER);
    },
  ],
])('no notice where %s', (_, act) => {
  act();
  expect(channel.notifications).toEqual([]);
});
