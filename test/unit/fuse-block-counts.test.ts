/** The kernel does not keep a count of blocks that a write has changed since; on request bytes, with the clock in hand. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Opcode } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, type Reply, text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const MTIME = 1 << 5;
const CTIME = 1 << 10;
const ATIME = 1 << 4;
const FH = 1 << 6;
const A_WHILE = 50;

let channel: FakeChannel;
let filesystem: MemoryFileSystem;
let file: number;

function ask(opcode: number, nodeid: number, body: Uint8Array): Reply {
  channel.deliver(message(opcode, BigInt(nodeid), body));
  const reply = channel.replies.at(-1);
  if (reply === undefined) throw new Error('no reply');
  return reply;
}

function setattr(valid: number): void {
  ask(Opcode.SETATTR, file, Buffer.concat([u32(valid, 0), Buffer.alloc(80)]));
}

/** The inodes whose attributes the kernel was told to forget. */
function forgotten(): number[] {
  return channel.notifications.map((notice) => {
    expect([notice.length, notice.readUInt32LE(0), notice.readInt32LE(4)]).toEqual([40, 40, 2]);
    expect(notice.readBigInt64LE(24)).toBe(-1n);
    return Number(notice.readBigUInt64LE(16));
  });
}

beforeEach(() => {
  vi.useFakeTimers();
  channel = new FakeChannel();
  filesystem = new MemoryFileSystem();
  new Session(channel, filesystem, { log: () => {} }).start();
  ask(Opcode.INIT, 0, u32(7, 45, 131072, 0x7fff_ffff));
  file = Number(
    ask(Opcode.MKNOD, 1, Buffer.concat([u32(0o100644, 0, 0, 0), text('f')])).body.readBigUInt64LE(0),
  );
});
afterEach(() => {
  vi.useRealTimers();
});

test('a moment after a change the kernel is told once, until it asks again', () => {
  filesystem.spaceChanged(file);
  filesystem.spaceChanged(file);
  expect(forgotten()).toEqual([]);
  vi.advanceTimersByTime(A_WHILE);
  expect(forgotten()).toEqual([file]);
  filesystem.spaceChanged(file);
  vi.advanceTimersByTime(A_WHILE);
  expect(forgotten()).toEqual([file]);
  ask(Opcode.GETATTR, file, Buffer.alloc(16));
  filesystem.spaceChanged(file);
  vi.advanceTimersByTime(A_WHILE);
  expect(forgotten()).toEqual([file, file]);
});

test('a notice for which there is no room is sent later', () => {
  vi.spyOn(channel, 'notify').mockReturnValueOnce(11);
  filesystem.spaceChanged(file);
  vi.advanceTimersByTime(A_WHILE);
  expect(forgotten()).toEqual([file]);
});

const BY_ANSWER: Record<string, () => void> = {
  getattr: () => ask(Opcode.GETATTR, file, Buffer.alloc(16)),
  statx: () => ask(Opcode.STATX, file, Buffer.alloc(24)),
  lookup: () => ask(Opcode.LOOKUP, 1, text('f')),
  link: () => ask(Opcode.LINK, 1, Buffer.concat([u64(file), text('other')])),
  readdirplus: () => ask(Opcode.READDIRPLUS, 1, Buffer.concat([u64(0, 0), u32(8192, 0), u64(0), u32(0, 0)])),
  'setattr of both times': () => setattr(ATIME | MTIME | CTIME),
  forget: () => channel.deliver(message(Opcode.FORGET, BigInt(file), u64(1))),
};

describe('an answer that comes in the meantime makes the notice needless', () => {
  test.each(Object.entries(BY_ANSWER))('%s', (_, answer) => {
    filesystem.spaceChanged(file);
    answer();
    vi.advanceTimersByTime(A_WHILE);
    expect(forgotten()).toEqual([]);
  });

  test.each([
    ['of times that the kernel hands over, whose answer it does not read', MTIME | CTIME],
    ['the same by an open file', MTIME | CTIME | FH],
  ])('but no setattr %s', (_, valid) => {
    filesystem.spaceChanged(file);
    setattr(valid);
    vi.advanceTimersByTime(A_WHILE);
    expect(forgotten()).toEqual([file]);
  });

  test('and which it may have read after all, so that the next change is told', () => {
    filesystem.spaceChanged(file);
    vi.advanceTimersByTime(A_WHILE);
    setattr(MTIME | CTIME);
    filesystem.spaceChanged(file);
    vi.advanceTimersByTime(A_WHILE);
    expect(forgotten()).toEqual([file, file]);
  });
});

test('an fsync of the file tells before it is answered', async () => {
  filesystem.spaceChanged(file);
  const answered = channel.replies.length;
  channel.deliver(message(Opcode.FSYNC, BigInt(file), Buffer.alloc(16)));
  await vi.advanceTimersByTimeAsync(0);
  expect(channel.replies.length).toBe(answered + 1);
  expect(forgotten()).toEqual([file]);
  expect(channel.noticesBefore.at(-1)).toBe(1);
});

test('an fsync of a file that did not change says nothing', async () => {
  channel.deliver(message(Opcode.FSYNC, BigInt(file), Buffer.alloc(16)));
  await vi.advanceTimersByTimeAsync(0);
  expect(forgotten()).toEqual([]);
});
