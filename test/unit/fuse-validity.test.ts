/**
 * For how long the kernel may believe what it is told, on request bytes: attributes that a write
 * may change are not given for ever.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { Opcode } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const FOREVER = 0x7fff_ffffn;
const ROOT = 1;
const CALLER_GROUP = 1002;

let channel: FakeChannel;
let filesystem: MemoryFileSystem;

const ask = (opcode: number, nodeid: number, body: Uint8Array) => channel.answer(opcode, nodeid, body);

function make(name: string, mode: number): number {
  return Number(ask(Opcode.MKNOD, ROOT, Buffer.concat([u32(mode, 0, 0, 0), text(name)])).readBigUInt64LE(0));
}

function setMode(inode: number, mode: number): void {
  filesystem.node(inode).attributes.mode = mode;
}

function setattr(inode: number, valid: number, size = 0): Buffer {
  return ask(
    Opcode.SETATTR,
    inode,
    Buffer.concat([u32(valid, 0), u64(0, size, 0, 0, 0, 0), u32(0, 0, 0, 0o4755, 0, 0, 0, 0)]),
  );
}

/**
 * Every answer that carries the attributes of a file named 'f', and where in it their validity
 * stands.
 */
const ANSWERS: Record<string, (inode: number) => bigint> = {
  lookup: () => ask(Opcode.LOOKUP, ROOT, text('f')).readBigUInt64LE(24),
  link: (inode) => ask(Opcode.LINK, ROOT, Buffer.concat([u64(inode), text('other')])).readBigUInt64LE(24),
  readdirplus: () => {
    const body = ask(Opcode.READDIRPLUS, ROOT, Buffer.concat([u64(0, 0), u32(8192, 0), u64(0), u32(0, 0)]));
    return body.readBigUInt64LE(body.length - 160 + 24);
  },
  getattr: (inode) => ask(Opcode.GETATTR, inode, Buffer.alloc(16)).readBigUInt64LE(0),
  statx: (inode) => ask(Opcode.STATX, inode, Buffer.alloc(24)).readBigUInt64LE(0),
  setattr: (inode) => setattr(inode, 1 << 10).readBigUInt64LE(0),
};

beforeEach(() => {
  channel = new FakeChannel();
  filesystem = new MemoryFileSystem();
  new Session(channel, filesystem, { log: () => {} }).start();
  ask(Opcode.INIT, 0, u32(7, 45, 131072, 0x7fff_ffff));
});

describe.each(Object.entries(ANSWERS))('%s', (_, validity) => {
  test.each([
    ['an ordinary file', 0o100644, FOREVER],
    ['a set-user-id file', 0o104755, 0n],
    ['a set-group-id file', 0o102755, 0n],
    ['a set-group-id file that the group cannot run', 0o102767, 0n],
    ['a sticky file', 0o101755, FOREVER],
  ])('%s', (_name, mode, expected) => {
    const inode = make('f', 0o100644);
    setMode(inode, mode);
    expect(validity(inode)).toBe(expected);
  });
});

describe('a SETATTR of nothing comes before the write of somebody without privileges, and answers with the mode that is left', () => {
  const modeAfter = (inode: number) => setattr(inode, 1 << 6).readUInt32LE(16 + 60);

  test.each([
    [0o104777, 0o100777],
    [0o102777, 0o100777],
    [0o106777, 0o100777],
    [0o102767, 0o100767],
    [0o106767, 0o100767],
    [0o101777, 0o101777],
    [0o100666, 0o100666],
  ])('by a stranger: %o', (before, after) => {
    const inode = make('f', 0o100644);
    Object.assign(filesystem.node(inode).attributes, { mode: before, gid: 0 });
    expect(modeAfter(inode)).toBe(after);
    expect(filesystem.node(inode).attributes.mode).toBe(after);
  });

  test('by one of the group, set-group-id stays where it does nothing', () => {
    const inode = make('f', 0o100644);
    Object.assign(filesystem.node(inode).attributes, { mode: 0o106767, gid: CALLER_GROUP });
    expect(modeAfter(inode)).toBe(0o102767);
  });

  test('a directory keeps its bits', () => {
    const inode = Number(
      ask(Opcode.MKDIR, ROOT, Buffer.concat([u32(0o755, 0), text('d')])).readBigUInt64LE(0),
    );
    setMode(inode, 0o042775);
    expect(modeAfter(inode)).toBe(0o042775);
  });

  test('a truncation by a stranger takes set-group-id that nobody can use', () => {
    const inode = make('f', 0o100644);
    Object.assign(filesystem.node(inode).attributes, { mode: 0o102767, gid: 0 });
    channel.deliver(
      message(
        Opcode.SETATTR,
        BigInt(inode),
        Buffer.concat([u32((1 << 3) | (1 << 11), 0), u64(0, 5, 0, 0, 0, 0), Buffer.alloc(32)]),
      ),
    );
    return expect.poll(() => filesystem.node(inode).attributes.mode).toBe(0o100767);
  });

  // The kernel keeps the time of change of cached files by itself: one that it does not know of
  // would show when the inode leaves its memory.
  test.each([
    ['a truncation that gives a time of change leaves that', (1 << 3) | (1 << 10) | (1 << 11), 77],
    ['one without leaves what there was', (1 << 3) | (1 << 11), 55],
    ['so does the SETATTR of nothing', 1 << 6, 55],
  ])('%s', async (_, valid, expected) => {
    const inode = make('f', 0o100644);
    Object.assign(filesystem.node(inode).attributes, { mode: 0o102767, gid: 0, changeSeconds: 55 });
    channel.deliver(
      message(
        Opcode.SETATTR,
        BigInt(inode),
        Buffer.concat([u32(valid, 0), u64(0, 0, 0, 0, 0, 77), Buffer.alloc(32)]),
      ),
    );
    await expect.poll(() => filesystem.node(inode).attributes.mode).toBe(0o100767);
    expect(filesystem.node(inode).attributes.changeSeconds).toBe(expected);
  });
});
