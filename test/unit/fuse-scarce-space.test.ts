/**
 * Writers while space is scarce: which bytes a system call is about to write, and when the files
 * get their room.
 */
import { describe, expect, test, vi } from 'vitest';
import { fsError } from '../../src/fs/base/errors.ts';
import { parseOpenFile } from '../../src/fuse/calling-thread.ts';
import type { Notices } from '../../src/fuse/notices.ts';
import { ScarceSpace } from '../../src/fuse/scarce-space.ts';
import { rangeOfCall, rangesOfSubmission, type ThreadFacts } from '../../src/fuse/written-range.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const MIB = 2 ** 20;

describe('the bytes that a call is about to write', () => {
  const iovec = Buffer.alloc(32);
  iovec.writeBigUInt64LE(1000n, 8);
  iovec.writeBigUInt64LE(24n, 24);
  const facts: ThreadFacts = {
    memory: (address, lengthBytes) => (address === 0x1000n ? iovec.subarray(0, lengthBytes) : undefined),
    openFile: (descriptor) =>
      ({
        3: { positionBytes: 70, appends: false, inode: 9 },
        4: { positionBytes: 70, appends: true, inode: 9 },
        6: { positionBytes: 70, appends: false, inode: 10 },
        7: { positionBytes: 70, appends: false, inode: undefined },
      })[descriptor],
  };
  const none = 2n ** 64n - 1n;
  const piece = (lengthBytes: number) => ({ place: 'somewhere', lengthBytes });

  test.each([
    ['write', 1, 64, [3n, 0n, 500n, 9n], { place: 70, lengthBytes: 500 }],
    ['write, appending', 1, 64, [4n, 0n, 500n, 9n], { place: 'end', lengthBytes: 500 }],
    ['pwrite64', 18, 68, [3n, 0n, 500n, 9n], { place: 9, lengthBytes: 500 }],
    ['writev', 20, 66, [3n, 0x1000n, 2n], { place: 70, lengthBytes: 1024 }],
    ['pwritev', 296, 70, [3n, 0x1000n, 1n, 9n], { place: 9, lengthBytes: 1000 }],
    ['pwritev2', 328, 287, [3n, 0x1000n, 1n, 9n], { place: 9, lengthBytes: 1000 }],
    ['pwritev2 without an offset', 328, 287, [3n, 0x1000n, 1n, none], { place: 70, lengthBytes: 1000 }],
    ['sendfile', 40, 71, [3n, 9n, 0n, 10n], { ...piece(10), whole: { startBytes: 70, lengthBytes: 10 } }],
    [
      'splice',
      275,
      76,
      [9n, 0n, 3n, 0n, 2n ** 40n],
      { ...piece(65536), whole: { startBytes: 70, lengthBytes: 2 ** 31 - 4096 } },
    ],
    ['splice to a place of its own', 275, 76, [9n, 0n, 3n, 0x1000n, 10n], piece(10)],
    [
      'copy_file_range',
      326,
      285,
      [9n, 0n, 3n, 0n, 99n],
      { ...piece(99), whole: { startBytes: 70, lengthBytes: 99 } },
    ],
    ['copy_file_range, appending', 326, 285, [9n, 0n, 4n, 0n, 99n], piece(99)],
    ['write to what nobody knows', 1, 64, [5n, 0n, 500n], { place: 'somewhere', lengthBytes: 500 }],
    ['write of nothing', 1, 64, [3n, 0n, 0n], undefined],
    ['writev from memory that cannot be seen', 20, 66, [3n, 0x2000n, 2n], undefined],
    ['writev of too many', 20, 66, [3n, 0x1000n, 1025n], undefined],
    ['read', 0, 63, [3n, 0n, 500n], undefined],
  ])('%s', (_, x64, arm64, given, range) => {
    for (const [architecture, number] of [
      ['x64', x64],
      ['arm64', arm64],
    ] as const)
      expect(rangeOfCall({ number, arguments: given }, architecture, facts)).toEqual(range);
    expect(rangeOfCall({ number: x64, arguments: given }, 'pdp11', facts)).toBeUndefined();
  });

  describe('by io_submit', () => {
    /** struct iocb: opcode, descriptor, buffer, bytes or pieces, offset. */
    const iocb = (opcode: number, descriptor: number, buffer: bigint, count: number, offset: number) => {
      const bytes = Buffer.alloc(64, 0xa5);
      bytes.writeUInt16LE(opcode, 16);
      bytes.writeUInt32LE(descriptor, 20);
      bytes.writeBigUInt64LE(buffer, 24);
      bytes.writeBigUInt64LE(BigInt(count), 32);
      bytes.writeBigUInt64LE(BigInt(offset), 40);
      return bytes;
    };
    const submitted = (requests: readonly Buffer[], unseen = -1, count = requests.length) => {
      const pointers = Buffer.alloc(8 * requests.length);
      requests.forEach((_, at) => void pointers.writeBigUInt64LE(BigInt(0x3000 + 64 * at), 8 * at));
      const memory = async (address: bigint, lengthBytes: number) => {
        if (address === 0x2000n) return pointers.subarray(0, lengthBytes);
        if (address === 0x1000n) return iovec.subarray(0, lengthBytes);
        const at = (Number(address) - 0x3000) / 64;
        return at === unseen ? undefined : requests[at];
      };
      const call = { number: 209, arguments: [7n, BigInt(count), 0x2000n, 0n, 0n, 0n] };
      return rangesOfSubmission(call, 9, { memory, openFile: facts.openFile });
    };

    test('each write to the file', async () => {
      const requests = [
        iocb(1, 3, 0x9000n, 500, 9),
        iocb(8, 3, 0x1000n, 2, 8192),
        iocb(1, 4, 0x9000n, 20, 0),
        iocb(1, 7, 0x9000n, 30, 1),
      ];
      expect(await submitted(requests)).toEqual([
        { place: 9, lengthBytes: 500 },
        { place: 8192, lengthBytes: 1024 },
        { place: 'end', lengthBytes: 20 },
        { place: 1, lengthBytes: 30 },
      ]);
      expect((await submitted(requests, 1)).length).toBe(3);
    });

    test('no reads, no other files, and none of more than are looked at', async () => {
      const [read, sync, other, closed] = [
        iocb(0, 3, 0x9000n, 500, 9),
        iocb(2, 3, 0n, 0, 0),
        iocb(1, 6, 0x9000n, 500, 9),
        iocb(1, 5, 0x9000n, 500, 9),
      ] as const;
      expect(await submitted([read, sync, other, closed])).toEqual([]);
      const write = iocb(1, 3, 0x9000n, 500, 9);
      expect((await submitted(Array(16).fill(write))).length).toBe(16);
      expect(await submitted(Array(17).fill(write))).toEqual([]);
      expect(await submitted([])).toEqual([]);
    });
  });

  test('descriptors as proc shows them', () => {
    const text = (flags: string) => `pos:\t4711\nflags:\t${flags}\nmnt_id:\t29\nino:\t5\n`;
    expect(parseOpenFile(text('0100001'))).toEqual({ positionBytes: 4711, appends: false, inode: 5 });
    expect(parseOpenFile(text('0102001'))).toEqual({ positionBytes: 4711, appends: true, inode: 5 });
    const old = parseOpenFile('pos:\t4711\nflags:\t02\n');
    expect(old).toEqual({ positionBytes: 4711, appends: false, inode: undefined });
    expect(parseOpenFile('')).toBeUndefined();
  });
});

describe('writers', () => {
  const begin = (freeBytes: number) => {
    const filesystem = new MemoryFileSystem();
    filesystem.freeBytes = freeBytes;
    const told: [what: string, inode: number][] = [];
    const notices = {
      forgetAttributes: (inode: number) => taken() && told.push(['forget', inode]) > 0,
      writeOut: async (inode: number) => void told.push(['write out', inode]),
    } as unknown as Notices;
    let left = Number.POSITIVE_INFINITY;
    const taken = () => left-- > 0;
    const takesOnly = (count: number) => {
      left = count;
    };
    let made = 0;
    const make = () => {
      const file = { mode: 0o100644, deviceNumber: 0, caller: { uid: 0, gid: 0, umask: 0 } };
      return filesystem.create(undefined as never, 1, Buffer.from(`f${made++}`), file);
    };
    const space = new ScarceSpace(filesystem, notices);
    const reserved = () =>
      filesystem.calls.filter(([name]) => name === 'fallocate').map((call) => call.slice(1));
    return { filesystem, told, space, make, reserved, takesOnly };
  };

  test('are left alone while there is enough', () => {
    const { told, space } = begin(64 * MIB);
    space.written(5);
    expect([space.isScarce, told]).toEqual([false, []]);
  });

  test('are asked about from the limit on, until there is plenty', () => {
    const { filesystem, told, space } = begin(63 * MIB);
    for (const inode of [5, 6, 5]) space.written(inode);
    expect([space.isScarce, told]).toEqual([false, []]);
    filesystem.freeBytes = 16 * MIB - 1;
    space.look();
    for (const inode of [7, 6, 7]) space.written(inode);
    expect(told).toEqual([5, 6, 7].map((inode) => ['forget', inode]));
    filesystem.freeBytes = 24 * MIB;
    space.look();
    expect(space.isScarce).toBe(true);
    filesystem.freeBytes++;
    space.look();
    expect(space.isScarce).toBe(false);
  });

  test('are all asked about, however many the kernel can be told of at once', async () => {
    const { filesystem, told, space, takesOnly } = begin(63 * MIB);
    for (let inode = 1; inode <= 900; inode++) space.written(inode);
    takesOnly(256);
    filesystem.freeBytes = MIB;
    space.look();
    expect(told).toHaveLength(256);
    takesOnly(Number.POSITIVE_INFINITY);
    await vi.waitFor(() => expect(told).toHaveLength(900));
    expect(new Set(told.map(([, inode]) => inode)).size).toBe(900);
  });

  test('in pieces get room behind the end, or within the file where they stay', async () => {
    const { filesystem, space, make, reserved } = begin(MIB);
    const file = make();
    filesystem.node(file).attributes.sizeBytes = 1000;
    const whole = { startBytes: 100, lengthBytes: 900 };
    await space.admit(file, { place: 'somewhere', lengthBytes: 300, whole });
    await space.admit(file, { place: 'somewhere', lengthBytes: 300, whole: { ...whole, lengthBytes: 901 } });
    expect(reserved().map(([, , from, length]) => [from, length])).toEqual([
      [100, 900],
      [1000, 300],
    ]);
  });

  test('get room when what others had dirty is written, and that once', async () => {
    const { filesystem, told, space, make, reserved } = begin(MIB);
    const [first, second] = [make(), make()];
    filesystem.node(first).attributes.sizeBytes = 100;
    space.written(second);
    told.length = 0;
    await space.admit(first, { place: 5000, lengthBytes: 10 });
    await space.admit(second, { place: 'end', lengthBytes: 10 });
    await space.admit(first, { place: 'end', lengthBytes: 20 });
    await space.admit(first, { place: 'somewhere', lengthBytes: 30 });
    expect(told).toEqual([
      ['write out', second],
      ['write out', first],
    ]);
    space.resized(first);
    await space.admit(first, { place: 'end', lengthBytes: 40 });
    const options = { keepSize: true, updateTimes: false, killPrivileges: false };
    expect(reserved()).toEqual([
      [first, 'allocate', 5000, 10, options],
      [second, 'allocate', 0, 10, options],
      [first, 'allocate', 5010, 20, options],
      [first, 'allocate', 5030, 30, options],
      [first, 'allocate', 100, 40, options],
    ]);
  });

  test('are written out before others take the room of what they have dirty', async () => {
    const { filesystem, told, space } = begin(100 * MIB);
    for (const inode of [5, 6]) space.mayBecomeDirty(inode);
    const take = (lengthBytes: number) =>
      space.whileTaking(lengthBytes, async () => void told.push(['take', lengthBytes]));
    // As much as may be dirty is left.
    await take(50 * MIB);
    expect([space.isScarce, told.splice(0)]).toEqual([false, [['take', 50 * MIB]]]);
    let isOver = false;
    const taken = space.whileTaking(50 * MIB + 1, async () => {
      // Others end meanwhile: it is scarce until this one has.
      space.written(7);
      told.push(['take', space.isScarce ? 1 : 0]);
      isOver = true;
    });
    expect(isOver).toBe(false);
    await taken;
    expect(told.splice(0)).toEqual([
      ['forget', 5],
      ['forget', 6],
      ['write out', 5],
      ['write out', 6],
      ['forget', 7],
      ['take', 1],
    ]);
    space.look();
    expect(space.isScarce).toBe(false);
    filesystem.freeBytes = 16 * MIB;
    const first = space.beforeWrite(MIB);
    expect(first).toBeInstanceOf(Promise);
    await first;
    expect(space.beforeWrite(MIB)).toBeUndefined();
  });

  test('nor do two take together what one may not', async () => {
    const { told, space } = begin(100 * MIB);
    space.mayBecomeDirty(5);
    let end = () => {};
    const first = space.whileTaking(30 * MIB, () => new Promise<void>((resolve) => (end = resolve)));
    const second = space.whileTaking(30 * MIB, async () => void told.push(['take', 2]));
    await second;
    expect(told.map(([what]) => what)).toEqual(['forget', 'write out', 'take']);
    end();
    await first;
    // More than there is is not waited for: it fails, or takes little.
    space.mayBecomeDirty(6);
    told.splice(0);
    await space.whileTaking(101 * MIB, async () => {});
    expect(told).toEqual([]);
  });

  test('hold up so few of the others that what they wait for comes through', async () => {
    const { space } = begin(MIB);
    space.mayBecomeDirty(5);
    const waiting = Array.from({ length: 64 }, () => space.beforeWrite(MIB));
    expect(waiting.filter((wait) => wait !== undefined)).toHaveLength(16);
    await Promise.all(waiting);
  });

  test('are remembered, but no more of them than anybody has', async () => {
    const { filesystem, told, space, takesOnly } = begin(64 * MIB);
    for (let inode = 1; inode <= 4098; inode++) space.mayBecomeDirty(inode);
    space.gone(4000);
    takesOnly(Number.POSITIVE_INFINITY);
    filesystem.freeBytes = MIB;
    space.look();
    expect(told).toHaveLength(4095);
    expect(told[0]).toEqual(['forget', 3]);
  });

  test('get no more room than whoever writes may have', async () => {
    const { filesystem, space, make } = begin(MIB);
    const file = make();
    const limited: unknown[] = [];
    filesystem.fallocate = async ({ isLimited }) => void limited.push(isLimited);
    for (const writer of [{ isLimited: true }, { isLimited: false }, undefined])
      await space.admit(file, { place: 0, lengthBytes: 10 }, writer);
    expect(limited).toEqual([true, false, false]);
  });

  test('are refused for want of room, and for nothing else', async () => {
    const { filesystem, space, make } = begin(MIB);
    const file = make();
    const admit = () => space.admit(file, { place: 0, lengthBytes: 10 });
    filesystem.failure = fsError('ENOSPC');
    await expect(admit()).rejects.toThrow('ENOSPC');
    filesystem.failure = fsError('EROFS');
    await admit();
  });
});
