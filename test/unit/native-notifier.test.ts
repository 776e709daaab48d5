/**
 * The notifier's thread: what it is given is copied, and a reply follows its notification. A socket
 * stands for /dev/fuse.
 */
import { closeSync, readSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FuseChannelHandle, native } from '../../src/native.ts';

const SLOT_BYTES = 16_384;
const EBADF = 9;
const NOTICE = { at: 2048, bytes: 40 };
const REPLY = { at: 0, bytes: 24 };

let channel: FuseChannelHandle;
let theirs: number;

beforeEach(() => {
  const [ours, other] = native.socketPair();
  theirs = other;
  channel = new native.FuseChannel(ours, SLOT_BYTES, 1);
});
afterEach(() => {
  channel.close();
  closeSync(theirs);
});

function received(lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let have = 0; have < lengthBytes; ) have += readSync(theirs, bytes, have, lengthBytes - have, null);
  return bytes;
}

function post(value: number): number {
  const { bytes } = channel.memory;
  bytes.fill(value, NOTICE.at, NOTICE.at + NOTICE.bytes);
  bytes.fill(value + 1, REPLY.at, REPLY.at + REPLY.bytes);
  return channel.notifyBefore(NOTICE.at, NOTICE.bytes, REPLY.at, REPLY.bytes);
}

test('a notification, then its reply, as they were when they were given, in the order of the calls', () => {
  for (let turn = 0; turn < 100; turn++) expect(post(2 * turn)).toBe(0);
  for (let turn = 0; turn < 100; turn++) {
    expect(received(NOTICE.bytes)).toEqual(Buffer.alloc(NOTICE.bytes, 2 * turn));
    expect(received(REPLY.bytes)).toEqual(Buffer.alloc(REPLY.bytes, 2 * turn + 1));
  }
});

test('who waits for a notification is told when it is written, by a thread that keeps nobody', async () => {
  const told: number[] = [];
  channel.start(
    () => {},
    () => {},
    (token) => told.push(token),
  );
  channel.memory.bytes.fill(9, NOTICE.at, NOTICE.at + NOTICE.bytes);
  for (const token of [7, 0, 0xffff_ffff]) expect(channel.notifyThen(NOTICE.at, NOTICE.bytes, token)).toBe(0);
  expect(told).toEqual([]);
  await expect.poll(() => told).toEqual([7, 0, 0xffff_ffff]);
  expect(received(3 * NOTICE.bytes)).toEqual(Buffer.alloc(3 * NOTICE.bytes, 9));
  channel.close();
  expect(channel.notifyThen(NOTICE.at, NOTICE.bytes, 1)).toBe(EBADF);
});

test('ranges outside of the memory are refused, and a closed channel says so', () => {
  expect(() => channel.notifyBefore(SLOT_BYTES, 1, 0, 1)).toThrow(RangeError);
  expect(() => channel.notifyBefore(0, 1, SLOT_BYTES - 1, 2)).toThrow(RangeError);
  expect(() => channel.notifyBefore(0, 1, -1, 2)).toThrow(RangeError);
  channel.close();
  expect(channel.notifyBefore(0, 1, 0, 1)).toBe(EBADF);
});
