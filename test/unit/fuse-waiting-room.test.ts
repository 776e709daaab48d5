/**
 * Requests that wait for what the kernel does: however many there are, the kernel's own requests
 * find a slot, and all are answered, in their order.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { beforeEach, expect, test } from 'vitest';
import { Errno } from '../../src/fs/base/errors.ts';
import { Opcode } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const DATA = 3;
const SLOTS = 8;
const WAITING = 2;

let channel: FakeChannel;
let filesystem: MemoryFileSystem;
let session: Session;
let file: number;
/** Tokens of notices that are not done. */
let undone: number[];
let noticed: (token: number) => void;

beforeEach(() => {
  channel = new FakeChannel(SLOTS);
  filesystem = new MemoryFileSystem();
  session = new Session(channel, filesystem, { log: () => {} });
  undone = [];
  channel.notifyThen = (_offset, _lengthBytes, token) => {
    undone.push(token);
    return 0;
  };
  const { start } = channel;
  channel.start = (onRequests, onClosed, onNoticed = () => {}) => {
    noticed = onNoticed;
    start.call(channel, onRequests, onClosed, onNoticed);
  };
  session.start();
  channel.answer(Opcode.INIT, 0, u32(7, 45, 131072, 0x7fff_ffff));
  const made = channel.answer(Opcode.MKNOD, 1, Buffer.concat([u32(0o100644, 0, 0, 0), text('f')]));
  file = Number(made.readBigUInt64LE(0));
  filesystem.node(file).bytes = new Uint8Array(100).fill(1, 90);
  channel.replies.length = 0;
});

/** A search for data from `offset` on, which rests on a hole unless it is 90 or more. */
function seek(unique: number, offset: number): Buffer {
  const body = Buffer.concat([u64(0, offset), u32(DATA, 0)]);
  return message(Opcode.LSEEK, BigInt(file), body, BigInt(unique));
}

const answered = () => channel.replies.map(({ unique }) => Number(unique));

async function finishOne(): Promise<void> {
  const before = channel.replies.length;
  noticed(undone.shift() as number);
  for (let turn = 0; turn < 10 && channel.replies.length === before; turn++) await nextTurn();
  await nextTurn();
}

test('more than there are slots leave room for the others', async () => {
  for (let unique = 1; unique <= 3 * SLOTS; unique++) {
    channel.deliver(seek(unique, unique));
    await nextTurn();
  }
  expect([channel.takenSlots, undone.length, answered()]).toEqual([WAITING, WAITING, []]);
  expect(session.statistics().pending).toBe(3 * SLOTS);
  expect(channel.ask(Opcode.STATFS, 1, Buffer.alloc(0)).error).toBe(0);
  channel.replies.length = 0;
  while (undone.length > 0) await finishOne();
  expect(answered()).toEqual(Array.from({ length: 3 * SLOTS }, (_, at) => at + 1));
  for (const { error, body } of channel.replies)
    expect([error, Number(body.readBigUInt64LE(0))]).toEqual([0, 90]);
  expect([channel.takenSlots, session.statistics().pending]).toEqual([0, 0]);
  expect(session.statistics().operations.lseek).toEqual({ requests: 3 * SLOTS, errors: 0 });
});

test('one that fails, or need not wait after all, makes way for the next', async () => {
  // Behind the end there is none.
  for (let unique = 1; unique <= WAITING; unique++) channel.deliver(seek(unique, 1000));
  await nextTurn();
  channel.deliver(seek(11, 95), seek(12, 95), seek(13, 0));
  await nextTurn();
  expect(answered()).toEqual([]);
  await finishOne();
  for (let turn = 0; turn < 10; turn++) await nextTurn();
  // The last of them waits again, in the place of the first.
  expect(answered()).toEqual([1, 11, 12]);
  expect(channel.replies[0]?.error).toBe(-Errno.ENXIO);
  expect(undone.length).toBe(WAITING);
  while (undone.length > 0) await finishOne();
  expect([channel.takenSlots, session.statistics().pending]).toEqual([0, 0]);
});

test('a watcher is told of the time that was spent standing aside', async () => {
  const meter = session.beginMeter();
  for (let unique = 1; unique <= WAITING + 1; unique++) channel.deliver(seek(unique, 0));
  await new Promise((resolve) => setTimeout(resolve, 30));
  while (undone.length > 0) await finishOne();
  const { requests, latencies } = meter.reading().kinds.lseek ?? { requests: 0, latencies: [] };
  expect(requests).toBe(WAITING + 1);
  // All of them are in buckets of more than ten milliseconds: of one of a microsecond there is none.
  expect(latencies.filter((_, at) => at % 2 === 1).reduce((all, count) => all + count, 0)).toBe(WAITING + 1);
});
