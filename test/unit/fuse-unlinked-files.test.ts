/** A file that loses one of its names while others ask for it: what they are told is not kept, on request bytes. */
import { beforeEach, describe, expect, test } from 'vitest';
import { AttrOut, EntryOut, Opcode, StatxOut } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { UnlinkedFiles } from '../../src/fuse/unlinked-files.ts';
import { FakeChannel, text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const ONE = 501;
const OTHER = 502;

let channel: FakeChannel;
let file: number;

const ask = (thread: number, opcode: number, nodeid: number, body: Uint8Array) =>
  channel.answer(opcode, nodeid, body, thread);

const make = (name: string) =>
  Number(ask(ONE, Opcode.MKNOD, 1, Buffer.concat([u32(0o100644, 0, 0, 0), text(name)])).readBigUInt64LE(0));
const link = (name: string) => ask(ONE, Opcode.LINK, 1, Buffer.concat([u64(file), text(name)]));
const unlink = (thread: number, name: string) => ask(thread, Opcode.UNLINK, 1, text(name));

/** Whether the kernel may keep the attributes of the file that the thread is told. */
const TELLS: Record<string, (thread: number) => boolean> = {
  getattr: (thread) => keeps(ask(thread, Opcode.GETATTR, file, Buffer.alloc(16)), AttrOut.attr_valid.offset),
  statx: (thread) => keeps(ask(thread, Opcode.STATX, file, Buffer.alloc(24)), StatxOut.attr_valid.offset),
  lookup: (thread) => keeps(ask(thread, Opcode.LOOKUP, 1, text('f')), EntryOut.attr_valid.offset),
  link: (thread) =>
    keeps(
      ask(thread, Opcode.LINK, 1, Buffer.concat([u64(file), text(`by-${thread}`)])),
      EntryOut.attr_valid.offset,
    ),
  setattr: (thread) => keeps(ask(thread, Opcode.SETATTR, file, Buffer.alloc(88)), AttrOut.attr_valid.offset),
  readdirplus: (thread) => {
    const body = ask(
      thread,
      Opcode.READDIRPLUS,
      1,
      Buffer.concat([u64(0, 0), u32(8192, 0), u64(0), u32(0, 0)]),
    );
    for (let at = 0; at < body.length; ) {
      if (Number(body.readBigUInt64LE(at)) === file) return keeps(body, at + EntryOut.attr_valid.offset);
      at += (EntryOut.sizeBytes + 24 + body.readUInt32LE(at + EntryOut.sizeBytes + 16) + 7) & ~7;
    }
    throw new Error('not listed');
  },
};

function keeps(body: Buffer, at: number): boolean {
  return body.readBigUInt64LE(at) > 0n;
}

const LOSSES: Record<string, (thread: number) => void> = {
  unlink: (thread) => unlink(thread, 'g'),
  'rename over it': (thread) => {
    make('other');
    ask(thread, Opcode.RENAME, 1, Buffer.concat([u64(1), text('other'), text('g')]));
  },
};

beforeEach(() => {
  channel = new FakeChannel();
  new Session(channel, new MemoryFileSystem(), { log: () => {} }).start();
  ask(ONE, Opcode.INIT, 0, u32(7, 45, 131072, 0x7fff_ffff));
  file = make('f');
  link('g');
});

describe.each(Object.entries(LOSSES))('after %s', (_, lose) => {
  test.each(Object.entries(TELLS))('what another is told by %s is not kept', (__, tell) => {
    expect(tell(OTHER)).toBe(true);
    lose(ONE);
    expect(tell(OTHER)).toBe(false);
  });

  test('who took the name away has read it when he asks again, and then all may keep it', () => {
    lose(ONE);
    expect(TELLS.getattr?.(ONE)).toBe(true);
    expect(TELLS.getattr?.(OTHER)).toBe(true);
  });
});

test('threads without a number are not taken for one', () => {
  unlink(0, 'g');
  expect(TELLS.getattr?.(0)).toBe(false);
});

test('a file whose last name goes needs no care: the kernel counts no further than to nothing', () => {
  unlink(ONE, 'g');
  TELLS.getattr?.(ONE);
  unlink(ONE, 'f');
  expect(TELLS.getattr?.(OTHER)).toBe(true);
});

describe('the files that are remembered', () => {
  let now: number;
  let files: UnlinkedFiles;

  beforeEach(() => {
    now = 0;
    files = new UnlinkedFiles(() => now);
  });

  test('are forgotten when the kernel must have read its answer', () => {
    files.lostName(7, ONE);
    now = 9_999;
    expect(files.mayKeep(7, OTHER)).toBe(false);
    now = 10_000;
    expect(files.mayKeep(7, OTHER)).toBe(true);
  });

  test('count from the last name lost', () => {
    files.lostName(7, ONE);
    now = 6_000;
    files.lostName(7, OTHER);
    now = 12_000;
    expect(files.mayKeep(7, ONE)).toBe(false);
  });

  test('are so many at the most', () => {
    for (let inode = 1; inode <= 65_537; inode++) files.lostName(inode, ONE);
    expect(files.mayKeep(1, OTHER)).toBe(true);
    expect(files.mayKeep(2, OTHER)).toBe(false);
  });

  test('go with the inode', () => {
    files.lostName(7, ONE);
    files.gone(7);
    expect(files.mayKeep(7, OTHER)).toBe(true);
  });
});
