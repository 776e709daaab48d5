/**
 * The kernel does not keep a count of blocks that a write has changed since; on request bytes, with
 * the clock in hand.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Opcode } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const MTIME = 1 << 5;
const CTIME = 1 << 10;
const ATIME = 1 << 4;
const FH = 1 << 6;
const A_WHILE = 50;

let channel: FakeChannel;
let filesystem: MemoryFileSystem;
let file: number;

const ask = (opcode: number, nodeid: number, body: Uint8Array) => channel.ask(opcode, nodeid, body);

function setattr(valid: number): void {
  ask(Opcode.SETATTR, file, Buffer.concat([u32(valid, 0), Buffer.alloc(80)]));
}

/**
 * A store of no bytes where no file ends: the kernel takes counts and times for outdated, and
 * nothing else.
 */
const COUNTS_OUTDATED = { code: 4, offset: 2n ** 62n, size: 0n };
/** No pages: all attributes are outdated. */
const ALL_OUTDATED = { code: 2, offset: -1n, size: 0n };

/** The inodes whose attributes the kernel was told to forget. */
function forgotten(how = COUNTS_OUTDATED): number[] {
  return channel.notifications.map((notice) => {
    expect([notice.length, notice.readUInt32LE(0)]).toEqual([40, 40]);
    expect({
      code: notice.readInt32LE(4),
      offset: notice.readBigInt64LE(24),
      size: notice.readBigUInt64LE(32),
    }).toEqual(how);
    return Number(notice.readBigUInt64LE(16));
  });
}

function greet(minor: number): void {
  channel = new FakeChannel();
  filesystem = new MemoryFileSystem();
  new Session(channel, filesystem, { log: () => {} }).start();
  ask(Opcode.INIT, 0, u32(7, minor, 131072, 0x7fff_ffff));
  file = Number(
    ask(Opcode.MKNOD, 1, Buffer.concat([u32(0o100644, 0, 0, 0), text('f')])).body.readBigUInt64LE(0),
  );
}

beforeEach(() => {
  vi.useFakeTimers();
  greet(45);
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

test('many are told at once, each file of its own', () => {
  const many = Array.from({ length: 100 }, (_, index) => 1000 + index);
  const written = vi.spyOn(channel, 'notifyIdle');
  for (const inode of many) filesystem.spaceChanged(inode);
  vi.advanceTimersByTime(A_WHILE);
  expect(forgotten()).toEqual(many);
  expect(written.mock.calls.length).toBeLessThan(5);
});

test('while the kernel waits for an answer it is told right after one, and by no thread', () => {
  vi.spyOn(channel, 'notifyIdle').mockReturnValueOnce(11);
  const kept = vi.spyOn(channel, 'keepNotice');
  filesystem.spaceChanged(file);
  vi.advanceTimersByTime(5);
  expect(forgotten()).toEqual([]);
  ask(Opcode.LOOKUP, 1, text('missing'));
  expect(forgotten()).toEqual([file]);
  expect(kept).not.toHaveBeenCalled();
});

test('and not between two requests that came together', () => {
  vi.spyOn(channel, 'notifyIdle').mockReturnValueOnce(11);
  filesystem.spaceChanged(file);
  vi.advanceTimersByTime(5);
  const lookup = (name: string) => message(Opcode.LOOKUP, 1n, text(name));
  channel.deliver(lookup('missing'), lookup('missing'));
  expect(forgotten()).toEqual([file]);
  expect(channel.noticesBefore.slice(-2)).toEqual([0, 0]);
});

test('a kernel that always waits is told by a thread, of each change', () => {
  vi.spyOn(channel, 'notifyIdle').mockReturnValue(11);
  filesystem.spaceChanged(file);
  vi.advanceTimersByTime(A_WHILE);
  expect(forgotten()).toEqual([file]);
  ask(Opcode.GETATTR, file, Buffer.alloc(16));
  filesystem.spaceChanged(file);
  vi.advanceTimersByTime(A_WHILE);
  expect(forgotten()).toEqual([file, file]);
});

test('a notice for which there is no room is sent later', () => {
  vi.spyOn(channel, 'notifyIdle').mockReturnValue(11);
  vi.spyOn(channel, 'keepNotice').mockReturnValueOnce(11);
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

test('one fsync after the other tells once, until the kernel asks', async () => {
  const sync = async () => {
    filesystem.spaceChanged(file);
    channel.deliver(message(Opcode.FSYNC, BigInt(file), Buffer.alloc(16)));
    await vi.advanceTimersByTimeAsync(0);
  };
  await sync();
  await sync();
  expect(forgotten()).toEqual([file]);
  ask(Opcode.GETATTR, file, Buffer.alloc(16));
  await sync();
  expect(forgotten()).toEqual([file, file]);
});

test('an fsync tells again what a thread may not have written yet', async () => {
  filesystem.spaceChanged(file);
  vi.advanceTimersByTime(A_WHILE);
  channel.deliver(message(Opcode.FSYNC, BigInt(file), Buffer.alloc(16)));
  await vi.advanceTimersByTimeAsync(0);
  expect(forgotten()).toEqual([file, file]);
});

test.each([
  [36, COUNTS_OUTDATED],
  [35, ALL_OUTDATED],
])('a kernel of protocol 7.%i is told in a way that moves no end of a file', (minor, how) => {
  greet(minor);
  filesystem.spaceChanged(file);
  vi.advanceTimersByTime(A_WHILE);
  expect(forgotten(how)).toEqual([file]);
});

test('an fsync of a file that did not change says nothing', async () => {
  channel.deliver(message(Opcode.FSYNC, BigInt(file), Buffer.alloc(16)));
  await vi.advanceTimersByTimeAsync(0);
  expect(forgotten()).toEqual([]);
});
