/** The meter of requests: what it counts, what it leaves out, and what is no error. */
import { beforeEach, describe, expect, test } from 'vitest';
import { LatencyHistogram } from '../../src/common/latency-histogram.ts';
import { IOCTL_DIR, Opcode } from '../../src/fuse/abi.ts';
import { MESSAGE_BYTES } from '../../src/fuse/limits.ts';
import { QUESTION_COMMAND } from '../../src/fuse/questions.ts';
import { METER_SUB_BITS } from '../../src/fuse/request-meter.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const FILE = 0o100644;
/** _IOR('Q', 1, int): nobody's. */
const UNKNOWN_COMMAND = 0x8004_5101;
let channel: FakeChannel;
let filesystem: MemoryFileSystem;
let session: Session;

beforeEach(() => {
  channel = new FakeChannel();
  filesystem = new MemoryFileSystem();
  session = new Session(channel, filesystem, { log: () => {} });
  session.start();
  channel.deliver(message(Opcode.INIT, 0n, u32(7, 45, 131072, 0x7fff_ffff)));
});

function makeFile(name: string): number {
  const body = channel.answer(Opcode.MKNOD, 1n, Buffer.concat([u32(FILE, 0, 0, 0), text(name)]));
  return Number(body.readBigUInt64LE(0));
}

function lookUp(name: string): void {
  channel.ask(Opcode.LOOKUP, 1n, text(name));
}

/** struct fuse_write_in, and the bytes. */
function write(inode: number, bytes: string): void {
  const head = Buffer.concat([u64(0), u64(0), u32(bytes.length, 0), u64(0), u32(0, 0)]);
  channel.answer(Opcode.WRITE, BigInt(inode), Buffer.concat([head, Buffer.from(bytes)]));
}

/** struct fuse_read_in. */
function read(inode: number, lengthBytes: number): Buffer {
  const body = Buffer.concat([u64(0), u64(0), u32(lengthBytes, 0), u64(0), u32(0, 0)]);
  return channel.answer(Opcode.READ, BigInt(inode), body);
}

describe('the meter', () => {
  test('counts kinds, refusals and bytes', () => {
    const { meter } = session;
    const inode = makeFile('one');
    lookUp('one');
    channel.ask(Opcode.UNLINK, 1n, text('missing'));
    write(inode, 'twelve bytes');
    expect(read(inode, 4096).toString()).toBe('twelve bytes');
    const { kinds, bytesRead, bytesWritten } = meter.reading();
    expect([bytesRead, bytesWritten]).toEqual([12, 12]);
    const counts = Object.entries(kinds).map(([name, { requests, errors }]) => [name, requests, errors]);
    expect(counts.sort()).toEqual([
      ['init', 1, 0],
      ['lookup', 1, 0],
      ['mknod', 1, 0],
      ['read', 1, 0],
      ['unlink', 1, 1],
      ['write', 1, 0],
    ]);
  });

  test('has a latency for each request', () => {
    const { meter } = session;
    for (let i = 0; i < 10; i++) lookUp('missing');
    const histogram = new LatencyHistogram(METER_SUB_BITS);
    const pairs = meter.reading().kinds.lookup?.latencies ?? [];
    for (let i = 0; i < pairs.length; i += 2) histogram.add(pairs[i] ?? 0, pairs[i + 1] ?? 0);
    expect(histogram.count).toBe(10);
    expect(histogram.maxNanoseconds).toBeGreaterThan(0);
    expect(histogram.maxNanoseconds).toBeLessThan(5e9);
  });

  test('leaves out questions to the mount, and no other ioctl', async () => {
    const inode = BigInt(makeFile('file'));
    const { meter } = session;
    // struct fuse_ioctl_in.
    const ioctl = (command: number, bytes: number) =>
      Buffer.concat([u64(0), u32(IOCTL_DIR, command), u64(0), u32(bytes, bytes), Buffer.alloc(bytes)]);
    const replies = channel.replies.length;
    channel.deliver(message(Opcode.IOCTL, 1n, ioctl(QUESTION_COMMAND, MESSAGE_BYTES)));
    await new Promise((resolve) => setImmediate(resolve));
    expect(channel.replies.length).toBe(replies + 1);
    expect(meter.reading().kinds.ioctl).toBeUndefined();
    channel.ask(Opcode.IOCTL, inode, ioctl(UNKNOWN_COMMAND, 4));
    expect(meter.reading().kinds).toMatchObject({ ioctl: { requests: 1, errors: 1 } });
  });

  test('what the kernel is told by agreement is no error', () => {
    const inode = BigInt(makeFile('file'));
    channel.ask(Opcode.OPEN, inode, u32(0, 0));
    channel.ask(Opcode.FLUSH, inode, Buffer.alloc(24));
    channel.ask(Opcode.CREATE, 1n, Buffer.concat([u32(0, FILE, 0, 0), text('refused')]));
    channel.ask(Opcode.GETXATTR, inode, Buffer.concat([u32(0, 0), text('user.none')]));
    channel.ask(Opcode.GETXATTR, BigInt(2 ** 40), Buffer.concat([u32(0, 0), text('user.none')]));
    const { open, flush, create, getxattr } = session.statistics().operations;
    for (const count of [open, flush, create])
      expect(count).toMatchObject({ requests: 1, errors: 0, agreed: 1 });
    // That there is no such attribute is an answer; that there is no such inode is not.
    expect(getxattr).toMatchObject({ requests: 2, errors: 1 });
  });

  test('waiting for the disk is part of it, and counted once', async () => {
    const slow = new Session(channel, filesystem, { log: () => {}, synchronous: 'all' });
    slow.start();
    const { meter } = slow;
    const began = performance.now();
    let durable: () => void = () => {};
    filesystem.sync = () =>
      new Promise((resolve) => {
        durable = resolve;
      });
    channel.deliver(message(Opcode.MKNOD, 1n, Buffer.concat([u32(FILE, 0, 0, 0), text('kept')])));
    expect(meter.reading().kinds.mknod).toBeUndefined();
    await new Promise((resolve) => setTimeout(resolve, 20));
    durable();
    await new Promise((resolve) => setImmediate(resolve));
    const { mknod } = meter.reading().kinds;
    expect(mknod?.requests).toBe(1);
    const histogram = new LatencyHistogram(METER_SUB_BITS);
    histogram.add(mknod?.latencies[0] ?? 0, 1);
    expect(histogram.maxNanoseconds).toBeGreaterThan(15e6);
    expect(histogram.maxNanoseconds).toBeLessThan(1.2e6 * (performance.now() - began));
  });

  test('tells how long each kind took', () => {
    for (let i = 0; i < 100; i++) lookUp('missing');
    const { operations, latencies } = session.statistics();
    const {
      requests,
      meanMicroseconds = 0,
      p50Microseconds,
      p99Microseconds = 0,
      maxMicroseconds,
    } = operations.lookup ?? {};
    expect(requests).toBe(100);
    expect(meanMicroseconds).toBeGreaterThan(0);
    expect(p50Microseconds).toBeLessThanOrEqual(p99Microseconds);
    expect(maxMicroseconds).toBeGreaterThanOrEqual(meanMicroseconds);
    const counts = latencies.lookup?.filter((_, index) => index % 2 === 1) ?? [];
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(100);
  });
});

describe('a histogram in pieces', () => {
  test('buckets of one added to another say the same, within 12 percent', () => {
    const whole = new LatencyHistogram(METER_SUB_BITS);
    for (let i = 1; i <= 5000; i++) whole.record(i * 997);
    const again = new LatencyHistogram(METER_SUB_BITS);
    for (const [bucket, count] of whole.buckets()) again.add(bucket, count);
    expect(again.count).toBe(5000);
    for (const share of [0.01, 0.5, 0.99]) {
      const exact = Math.ceil(share * 5000) * 997;
      expect(again.percentile(share) / exact).toBeGreaterThanOrEqual(1);
      expect(again.percentile(share) / exact).toBeLessThan(1.13);
    }
  });

  test('buckets that there are not are left out', () => {
    const histogram = new LatencyHistogram(METER_SUB_BITS);
    histogram.add(-1, 5);
    histogram.add(1e9, 5);
    histogram.add(3, -5);
    histogram.add(3, Number.NaN);
    expect([histogram.count, histogram.percentile(0.99)]).toEqual([0, 0]);
  });
});
