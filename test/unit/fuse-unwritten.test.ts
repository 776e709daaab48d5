/**
 * What happens in the kernel when writes do not find room: limits that follow the free space, and
 * inodes it is asked to let go of.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fsError } from '../../src/fs/base/errors.ts';
import { Opcode } from '../../src/fuse/abi.ts';
import { DirtyLimits } from '../../src/fuse/dirty-limits.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const MIB = 2 ** 20;
const MUCH = 2 ** 60;
const PRUNE = 9;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('limits of dirty memory', () => {
  let directory: string;
  let free: number;
  let limits: DirtyLimits;
  const setting = (file: string) => Number(readFileSync(join(directory, file), 'utf8'));
  const allowed = () =>
    setting('strict_limit') === 1 ? setting('max_bytes') / MIB : Number.POSITIVE_INFINITY;

  function begin(freeBytes: number): void {
    free = freeBytes;
    limits = new DirtyLimits(directory, () => free);
  }

  function write(freeBytes: number): number {
    free = freeBytes;
    limits.written();
    return allowed();
  }

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'quarry-limits-'));
  });
  afterEach(() => {
    limits.close();
    rmSync(directory, { recursive: true });
  });

  test('a small volume is tight from the start', () => {
    begin(32 * MIB);
    expect(allowed()).toBe(16);
  });

  test('a large one gets there as it fills, in steps, and not below what a writer needs', () => {
    begin(MUCH);
    expect(allowed()).toBe(Number.POSITIVE_INFINITY);
    expect(write(100 * MIB)).toBe(50);
    expect(write(90 * MIB)).toBe(50);
    expect(write(70 * MIB)).toBe(35);
    expect(write(MIB)).toBe(8);
    expect(write(0)).toBe(8);
  });

  test('space that is freed widens them, up to none', () => {
    begin(0);
    free = 40 * MIB;
    vi.advanceTimersByTime(2000);
    expect(allowed()).toBe(20);
    free = MUCH;
    vi.advanceTimersByTime(2000);
    expect(allowed()).toBe(Number.POSITIVE_INFINITY);
    expect(setting('min_bytes')).toBe(0);
    expect(setting('max_ratio')).toBe(100);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('where they may not be set nothing is tried again, and nothing fails', () => {
    rmSync(directory, { recursive: true });
    begin(32 * MIB);
    directory = mkdtempSync(join(tmpdir(), 'quarry-limits-'));
    expect(vi.getTimerCount()).toBe(0);
    limits.written();
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('after a WRITE that failed', () => {
  let channel: FakeChannel;
  let filesystem: MemoryFileSystem;

  function begin(minor: number): void {
    channel = new FakeChannel();
    filesystem = new MemoryFileSystem();
    new Session(channel, filesystem, { log: () => {} }).start();
    channel.deliver(message(Opcode.INIT, 0n, u32(7, minor, 131072, 0x7fff_ffff)));
    channel.deliver(message(Opcode.MKNOD, 1n, Buffer.concat([u32(0o100644, 0, 0, 0), Buffer.from('f\0')])));
    filesystem.failure = fsError('ENOSPC');
    const body = Buffer.concat([u64(0, 0), u32(1, 1), u64(0), u32(0, 0), Buffer.from('x')]);
    channel.deliver(message(Opcode.WRITE, 2n, body));
    filesystem.failure = undefined;
  }

  const pruned = () => channel.notifications.filter((notice) => notice.readInt32LE(4) === PRUNE);

  test('the kernel is asked to let the inode go, again and again, until it does', () => {
    begin(45);
    vi.advanceTimersByTime(3000);
    const asked = pruned().length;
    expect(asked).toBeGreaterThan(8);
    expect(asked).toBeLessThan(30);
    const notice = pruned()[0] ?? Buffer.alloc(0);
    expect([notice.length, notice.readUInt32LE(0), notice.readUInt32LE(16)]).toEqual([40, 40, 1]);
    expect(notice.readBigUInt64LE(32)).toBe(2n);
    channel.deliver(message(Opcode.FORGET, 2n, u64(1)));
    vi.advanceTimersByTime(3000);
    expect(pruned().length).toBe(asked);
  });

  test('the next file with the same number does not hear of it', () => {
    begin(45);
    channel.deliver(message(Opcode.FORGET, 2n, u64(1)));
    channel.deliver(message(Opcode.GETATTR, 2n, u32(1, 0, 0, 0)));
    expect(channel.replies.at(-1)?.error).toBe(0);
  });

  test('a kernel that does not know the word is not asked', () => {
    begin(44);
    vi.advanceTimersByTime(3000);
    expect(pruned()).toEqual([]);
  });

  test('for flags that changed it is asked some times, and no longer', () => {
    begin(45);
    channel.deliver(message(Opcode.FORGET, 2n, u64(1)));
    const name = Buffer.from('g\0');
    channel.deliver(message(Opcode.MKNOD, 1n, Buffer.concat([u32(0o100644, 0, 0, 0), name])));
    channel.deliver(message(Opcode.MKDIR, 1n, Buffer.concat([u32(0o755, 0), Buffer.from('d\0')])));
    const setFlags = (node: bigint) =>
      channel.deliver(
        message(Opcode.IOCTL, node, Buffer.concat([u64(0), u32(0, 0x40086602), u64(0), u32(4, 0, 0x80)])),
      );
    setFlags(4n);
    vi.advanceTimersByTime(20_000);
    expect(pruned()).toEqual([]);
    setFlags(3n);
    vi.advanceTimersByTime(20_000);
    expect(pruned().map((notice) => notice.readBigUInt64LE(32))).toEqual(new Array(14).fill(3n));
    expect(vi.getTimerCount()).toBe(0);
  });

  test('nor one whose mount is gone', async () => {
    begin(45);
    channel.end();
    await vi.advanceTimersByTimeAsync(3000);
    expect(pruned()).toEqual([]);
  });
});
