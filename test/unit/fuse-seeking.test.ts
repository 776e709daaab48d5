/**
 * LSEEK on request bytes: before an answer that rests on a hole, the kernel is made to write what
 * it has cached there, and what shows then counts.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { Errno } from '../../src/fs/base/errors.ts';
import { Opcode } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, type Reply, text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const DATA = 3;
const HOLE = 4;
const TO_THE_END = 0;

let channel: FakeChannel;
let filesystem: MemoryFileSystem;
let file: number;

beforeEach(() => {
  channel = new FakeChannel();
  filesystem = new MemoryFileSystem();
  new Session(channel, filesystem, { log: () => {} }).start();
  channel.answer(Opcode.INIT, 0, u32(7, 45, 131072, 0x7fff_ffff));
  const made = channel.answer(Opcode.MKNOD, 1, Buffer.concat([u32(0o100644, 0, 0, 0), text('f')]));
  file = Number(made.readBigUInt64LE(0));
  filesystem.node(file).bytes = new Uint8Array(100).fill(1, 40, 60);
});

async function seek(offset: number, whence: number): Promise<number> {
  const before = channel.replies.length;
  channel.deliver(message(Opcode.LSEEK, BigInt(file), Buffer.concat([u64(0, offset), u32(whence, 0)])));
  while (channel.replies.length === before) await nextTurn();
  const { error, body } = channel.replies[before] as Reply;
  return error === 0 ? Number(body.readBigUInt64LE(0)) : error;
}

/** Where the kernel was made to write, and how much of it. */
function writtenOut(): [offset: number, lengthBytes: number][] {
  return channel.notifications.map((notice) => {
    expect([notice.readUInt32LE(0), notice.readInt32LE(4)]).toEqual([40, 2]);
    expect(notice.readBigUInt64LE(16)).toBe(BigInt(file));
    return [Number(notice.readBigInt64LE(24)), Number(notice.readBigInt64LE(32))];
  });
}

test('an answer that rests on no hole asks nobody', async () => {
  expect(await seek(45, DATA)).toBe(45);
  expect(writtenOut()).toEqual([]);
});

test('only the hole that it rests on is written out', async () => {
  expect(await seek(10, DATA)).toBe(40);
  expect(await seek(10, HOLE)).toBe(10);
  expect(await seek(50, HOLE)).toBe(60);
  expect(await seek(70, DATA)).toBe(-Errno.ENXIO);
  expect(writtenOut()).toEqual([
    [10, 30],
    [10, 30],
    [60, TO_THE_END],
    [70, TO_THE_END],
  ]);
});

test('what was only in the cache is data: before the data that was known', async () => {
  channel.onWriteOut = () => filesystem.node(file).bytes.fill(7, 20, 25);
  expect(await seek(10, DATA)).toBe(20);
  expect(writtenOut().length).toBe(1);
});

test('and behind it, where the hole then begins later', async () => {
  channel.onWriteOut = () => filesystem.node(file).bytes.fill(7, 60, 80);
  expect(await seek(50, HOLE)).toBe(80);
  expect(writtenOut().length).toBe(1);
});

test('and behind the end that was known', async () => {
  channel.onWriteOut = () => {
    const longer = new Uint8Array(300).fill(3, 250);
    longer.set(filesystem.node(file).bytes.subarray(0, 100));
    filesystem.node(file).bytes = longer;
  };
  expect(await seek(200, DATA)).toBe(250);
  expect(await seek(250, HOLE)).toBe(300);
});

test('who makes data of holes as fast as they are found gets all of it written out at last', async () => {
  filesystem.node(file).bytes = new Uint8Array(1000).map((_, at) => (at % 20 < 10 ? 1 : 0));
  let hole = 10;
  channel.onWriteOut = () => {
    filesystem.node(file).bytes.fill(7, hole, hole + 10);
    hole += 20;
  };
  const found = await seek(0, HOLE);
  expect(filesystem.node(file).bytes[found]).toBe(0);
  expect(writtenOut().at(-1)?.[1]).toBe(TO_THE_END);
  expect(writtenOut().length).toBeLessThan(10);
});

test('other ways to seek are the kernel’s own', async () => {
  expect(await seek(0, 2)).toBe(-Errno.EINVAL);
  expect(channel.takenSlots).toBe(0);
});
