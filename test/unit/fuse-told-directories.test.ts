/** A directory that changes while somebody is told of its attributes: what he is told does not count, on request bytes. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Opcode } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const ONE = 501;
const OTHER = 502;
const INVALIDATE_INODE = 2;

let channel: FakeChannel;
let directory: number;
let second: number;
let file: number;

const ask = (thread: number, opcode: number, nodeid: number, body: Uint8Array) =>
  channel.answer(opcode, nodeid, body, thread);

const inodeIn = (body: Buffer) => Number(body.readBigUInt64LE(0));
const mkdir = (name: string) =>
  inodeIn(ask(ONE, Opcode.MKDIR, 1, Buffer.concat([u32(0o755, 0), text(name)])));

/** The directories of which the kernel was told, before the last reply, that what is under way is outdated. */
function outdated(): number[] {
  const sent = channel.notifications.slice(0, channel.noticesBefore.at(-1));
  return sent
    .filter((notice) => notice.readInt32LE(4) === INVALIDATE_INODE && notice.readBigInt64LE(24) === -1n)
    .map((notice) => Number(notice.readBigUInt64LE(16)));
}

const CHANGES: Record<string, (thread: number) => void> = {
  mknod: (thread) => ask(thread, Opcode.MKNOD, directory, Buffer.concat([u32(0o100644, 0, 0, 0), text('n')])),
  mkdir: (thread) => ask(thread, Opcode.MKDIR, directory, Buffer.concat([u32(0o755, 0), text('n')])),
  symlink: (thread) => ask(thread, Opcode.SYMLINK, directory, Buffer.concat([text('n'), text('target')])),
  link: (thread) => ask(thread, Opcode.LINK, directory, Buffer.concat([u64(file), text('n')])),
  unlink: (thread) => ask(thread, Opcode.UNLINK, directory, text('f')),
  'rename from it': (thread) =>
    ask(thread, Opcode.RENAME, directory, Buffer.concat([u64(second), text('f'), text('n')])),
  'rename into it': (thread) =>
    ask(thread, Opcode.RENAME, second, Buffer.concat([u64(directory), text('g'), text('n')])),
};

const TELLS: Record<string, (thread: number) => void> = {
  getattr: (thread) => ask(thread, Opcode.GETATTR, directory, Buffer.alloc(16)),
  lookup: (thread) => ask(thread, Opcode.LOOKUP, 1, text('d')),
  readdirplus: (thread) =>
    ask(thread, Opcode.READDIRPLUS, 1, Buffer.concat([u64(0, 0), u32(8192, 0), u64(0), u32(0, 0)])),
};

beforeEach(() => {
  channel = new FakeChannel();
  new Session(channel, new MemoryFileSystem(), { log: () => {} }).start();
  ask(ONE, Opcode.INIT, 0, u32(7, 45, 131072, 0x7fff_ffff));
  directory = mkdir('d');
  second = mkdir('e');
  const made = Buffer.concat([u32(0o100644, 0, 0, 0), text('f')]);
  file = inodeIn(ask(ONE, Opcode.MKNOD, directory, made));
  ask(ONE, Opcode.MKNOD, second, Buffer.concat([u32(0o100644, 0, 0, 0), text('g')]));
  // Of what was told here, the kernel learns now that it is outdated.
  for (const changed of [directory, second])
    ask(OTHER, Opcode.MKNOD, changed, Buffer.concat([u32(0o100644, 0, 0, 0), text('h')]));
  channel.notifications.length = 0;
});

describe.each(Object.entries(TELLS))('told by %s', (_, tell) => {
  test.each(Object.entries(CHANGES))('and changed by %s', (__, change) => {
    tell(ONE);
    change(OTHER);
    expect(outdated()).toContain(directory);
  });
});

test('who was told himself has read it when he asks again', () => {
  TELLS.getattr?.(ONE);
  CHANGES.mknod?.(ONE);
  expect(outdated()).toEqual([]);
});

test('two who were told: neither need have read it', () => {
  TELLS.getattr?.(ONE);
  TELLS.getattr?.(OTHER);
  CHANGES.mknod?.(ONE);
  expect(outdated()).toEqual([directory]);
});

test('a directory that nobody was told of needs no word, nor one of which the kernel was told already', () => {
  TELLS.getattr?.(ONE);
  CHANGES.mknod?.(OTHER);
  CHANGES.unlink?.(OTHER);
  expect(outdated()).toEqual([directory]);
});

test('threads without a number are not taken for one', () => {
  TELLS.getattr?.(0);
  CHANGES.mknod?.(0);
  expect(outdated()).toEqual([directory]);
});
