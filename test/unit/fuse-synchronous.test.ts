/**
 * Requests that are answered when their change is on disk: -o sync, -o dirsync, O_DSYNC past the
 * page cache.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { Errno, fsError } from '../../src/fs/base/errors.ts';
import type { WriteRequest } from '../../src/fs/base/filesystem.ts';
import { InitFlag, Opcode, WriteFlag } from '../../src/fuse/abi.ts';
import { parseMountOptions } from '../../src/fuse/options.ts';
import { Session } from '../../src/fuse/session.ts';
import {
  OPEN_DSYNC,
  OPEN_SYNC,
  type SynchronousRequests,
  synchronousRequests,
} from '../../src/fuse/synchronous.ts';
import { FakeChannel, message, text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const UNIQUE = 7n;
const ROOT = 1n;

class Recording extends MemoryFileSystem {
  readonly early: boolean[] = [];
  /** As of a file with `chattr +S`. */
  writesMustBeDurable = false;

  override write(request: WriteRequest): void {
    this.early.push(request.mayEndEarly);
    if (this.writesMustBeDurable) request.mustBeDurable = true;
    super.write(request);
  }
}

let channel: FakeChannel;
let filesystem: Recording;
let durable: () => void;
let fail: (reason: unknown) => void;

function open(synchronous: SynchronousRequests): void {
  channel = new FakeChannel();
  filesystem = new Recording();
  filesystem.syncs = new Promise((resolve, reject) => {
    durable = resolve;
    fail = reject;
  });
  filesystem.syncs.catch(() => {});
  new Session(channel, filesystem, { log: () => {}, synchronous }).start();
  deliver(Opcode.INIT, 0n, u32(7, 45, 131072, 0x7fff_ffff));
}

/** Delivers a request; how many replies there are then. */
function deliver(opcode: number, nodeid: bigint, body: Uint8Array): number {
  channel.deliver(message(opcode, nodeid, body, UNIQUE));
  return channel.replies.length;
}

const settled = () => new Promise(setImmediate);
const mknod = Buffer.concat([u32(0o100644, 0, 0, 0), text('file')]);
const mkdir = Buffer.concat([u32(0o755, 0), text('folder')]);
const setattr = Buffer.alloc(88);

function write(writeFlags: number, openFlags: number): Buffer {
  return Buffer.concat([u64(0n, 0n), u32(4, writeFlags), u64(0n), u32(openFlags, 0), Buffer.from('data')]);
}

describe('every change waits with -o sync', () => {
  beforeEach(() => open('all'));

  test('the kernel may not gather writes', () => {
    expect((channel.replies.at(-1)?.body.readUInt32LE(12) ?? 0) & InitFlag.WRITEBACK_CACHE).toBe(0);
  });

  test('a change of names is answered with its entry when it is on disk', async () => {
    expect(deliver(Opcode.MKNOD, ROOT, mknod)).toBe(1);
    await settled();
    expect(channel.replies).toHaveLength(1);
    expect(filesystem.calls.at(-1)).toEqual(['sync']);
    durable();
    await settled();
    expect(channel.replies).toHaveLength(2);
    expect(channel.replies[1]).toMatchObject({ error: 0, unique: UNIQUE });
    expect(channel.replies[1]?.body.readBigUInt64LE(0)).toBe(2n);
    expect(channel.takenSlots).toBe(0);
  });

  test('so are writes, which are not answered early, and attributes', async () => {
    durable();
    deliver(Opcode.MKNOD, ROOT, mknod);
    await settled();
    filesystem.calls.length = 0;
    expect(deliver(Opcode.WRITE, 2n, write(WriteFlag.CACHE, 0))).toBe(2);
    await settled();
    expect(deliver(Opcode.SETATTR, 2n, setattr)).toBe(3);
    await settled();
    expect(channel.replies).toHaveLength(4);
    expect(filesystem.early).toEqual([false]);
    expect(filesystem.calls.filter(([name]) => name === 'sync')).toHaveLength(2);
  });

  test('a change that cannot be made durable is an error; one that was refused does not wait', async () => {
    deliver(Opcode.MKDIR, ROOT, mkdir);
    fail(fsError('EIO'));
    await settled();
    expect(channel.replies.at(-1)).toMatchObject({ error: -Errno.EIO });
    expect(deliver(Opcode.UNLINK, ROOT, text('missing'))).toBe(3);
    expect(channel.replies.at(-1)).toMatchObject({ error: -Errno.ENOENT });
    expect(channel.takenSlots).toBe(0);
  });

  test('what changes nothing is answered at once', () => {
    expect(deliver(Opcode.GETATTR, ROOT, Buffer.alloc(16))).toBe(2);
    expect(deliver(Opcode.LOOKUP, ROOT, text('missing'))).toBe(3);
  });
});

test('with -o dirsync names wait, and nothing else', async () => {
  open('names');
  expect((channel.replies[0]?.body.readUInt32LE(12) ?? 0) & InitFlag.WRITEBACK_CACHE).not.toBe(0);
  expect(deliver(Opcode.MKNOD, ROOT, mknod)).toBe(1);
  durable();
  await settled();
  expect(deliver(Opcode.WRITE, 2n, write(WriteFlag.CACHE, 0))).toBe(3);
  expect(deliver(Opcode.SETATTR, 2n, setattr)).toBe(4);
  expect(filesystem.early).toEqual([true]);
});

test('a write past the page cache waits if its file was opened with O_DSYNC; the kernel syncs after others', async () => {
  open('none');
  expect(deliver(Opcode.MKNOD, ROOT, mknod)).toBe(2);
  expect(deliver(Opcode.WRITE, 2n, write(0, 0))).toBe(3);
  expect(deliver(Opcode.WRITE, 2n, write(WriteFlag.CACHE, OPEN_DSYNC))).toBe(4);
  expect(deliver(Opcode.WRITE, 2n, write(0, OPEN_DSYNC))).toBe(4);
  durable();
  await settled();
  expect(channel.replies).toHaveLength(5);
  expect(filesystem.early).toEqual([false, true, false]);
});

test.each([
  ['O_DSYNC', 'none', OPEN_DSYNC, 'sync of data'],
  ['O_SYNC', 'none', OPEN_SYNC, 'sync'],
  ['O_DSYNC and -o sync', 'all', OPEN_DSYNC, 'sync'],
] as const)('a write past the page cache with %s', async (_, synchronous, flags, call) => {
  open(synchronous);
  durable();
  deliver(Opcode.MKNOD, ROOT, mknod);
  await settled();
  deliver(Opcode.WRITE, 2n, write(0, flags));
  expect(filesystem.calls.at(-1)).toEqual([call]);
});

test('a write with O_DSYNC to a file with chattr +S needs its times on the disk', async () => {
  open('none');
  durable();
  deliver(Opcode.MKNOD, ROOT, mknod);
  filesystem.writesMustBeDurable = true;
  deliver(Opcode.WRITE, 2n, write(0, OPEN_DSYNC));
  expect(filesystem.calls.at(-1)).toEqual(['sync']);
});

test('what comes in the slot of a write with O_DSYNC is none', async () => {
  open('names');
  durable();
  deliver(Opcode.MKNOD, ROOT, mknod);
  await settled();
  deliver(Opcode.WRITE, 2n, write(0, OPEN_DSYNC));
  await settled();
  deliver(Opcode.MKDIR, ROOT, mkdir);
  expect(filesystem.calls.at(-1)).toEqual(['sync']);
});

test.each([
  ['', 'none'],
  ['sync', 'all'],
  ['dirsync', 'names'],
  ['dirsync,sync', 'all'],
  ['sync,async', 'none'],
] as const)("-o '%s': %s", (options, expected) => {
  expect(synchronousRequests(parseMountOptions([options], true).flags)).toBe(expected);
});
