/**
 * What the kernel is answered about data that was lost: the session on request bytes, over a volume
 * whose device fails when told to.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Errno } from '../../src/fs/base/errors.ts';
import { openVolume, type Volume } from '../../src/fs/volume.ts';
import { Opcode, WriteFlag } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { OPEN_DSYNC } from '../../src/fuse/synchronous.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { FakeChannel, message, text, u32, u64 } from './fuse-fake-channel.ts';
import { formatted } from './volume-harness.ts';

const MIB = 1024 * 1024;
const ROOT = 1;
const CACHED = WriteFlag.CACHE;
const FIRST_UNIQUE = 1000n;

let device: SimulatedDevice;
let volume: Volume;
let channel: FakeChannel;
let unique: bigint;

beforeEach(async () => {
  device = new SimulatedDevice({ sizeBytes: 16 * MIB, seed: 11 });
  await formatted(device, 4096);
  volume = await openVolume(device, { commitSeconds: 0 });
  channel = new FakeChannel(4, 512 * 1024);
  unique = FIRST_UNIQUE;
  new Session(channel, volume, { log: () => {} }).start();
  await ask(Opcode.INIT, 0, u32(7, 45, 131072, 0x7fff_ffff));
});
afterEach(() => volume.unmount().catch(() => {}));

/** Delivers a request; the error and the body of its reply. */
async function ask(
  opcode: number,
  inode: number,
  body: Uint8Array,
): Promise<{ error: number; body: Buffer }> {
  const mine = ++unique;
  channel.deliver(message(opcode, BigInt(inode), body, mine));
  for (;;) {
    const reply = channel.replies.find((candidate) => candidate.unique === mine);
    if (reply !== undefined) return reply;
    await new Promise(setImmediate);
  }
}

async function make(name: string): Promise<number> {
  const { error, body } = await ask(Opcode.MKNOD, ROOT, Buffer.concat([u32(0o100644, 0, 0, 0), text(name)]));
  expect(error).toBe(0);
  return Number(body.readBigUInt64LE(0));
}

/** @returns the error */
async function write(
  inode: number,
  length: number,
  flags: number,
  openFlags = 0,
  offset = 0,
): Promise<number> {
  const head = [u64(0xf00d, offset), u32(length, flags), u64(0), u32(openFlags, 0)];
  const { error } = await ask(Opcode.WRITE, inode, Buffer.concat([...head, Buffer.alloc(length, 0x5a)]));
  return error;
}

const fsync = async (inode: number) => (await ask(Opcode.FSYNC, inode, Buffer.alloc(16))).error;
const fdatasync = async (inode: number) => {
  return (await ask(Opcode.FSYNC, inode, Buffer.concat([u64(0), u32(1, 0)]))).error;
};
const fsyncdir = async (inode: number) => (await ask(Opcode.FSYNCDIR, inode, Buffer.alloc(16))).error;
const syncfs = async () => (await ask(Opcode.SYNCFS, ROOT, Buffer.alloc(8))).error;

async function whileWritesFail<T>(errno: number, work: () => Promise<T>): Promise<T> {
  device.fault = ({ operation }) => (operation === 'write' ? errno : 0);
  const result = await work();
  await volume.earlyWritesSettled();
  device.fault = () => 0;
  return result;
}

test('a cached write is answered well, and every fsync of its file with the error, until it is written again', async () => {
  const [a, b, c] = [await make('a'), await make('b'), await make('c')];
  expect(await syncfs()).toBe(0);
  expect(await whileWritesFail(Errno.EIO, () => write(a, 65536, CACHED))).toBe(0);
  expect(await whileWritesFail(Errno.EIO, () => write(b, 65536, CACHED))).toBe(0);
  for (let time = 0; time < 2; time++) {
    expect(await fsync(c)).toBe(0);
    expect(await fsyncdir(ROOT)).toBe(0);
    expect(await fsync(a)).toBe(-Errno.EIO);
    expect(await fdatasync(b)).toBe(-Errno.EIO);
    expect(await syncfs()).toBe(-Errno.EIO);
  }
  expect(await write(a, 65536, CACHED)).toBe(0);
  expect(await fsync(a)).toBe(0);
  expect(await fsync(b)).toBe(-Errno.EIO);
  expect(await write(b, 65536, 0)).toBe(0);
  expect(await fsync(b)).toBe(0);
  expect(await syncfs()).toBe(0);
});

test('one that is answered with its error is remembered too; one past the cache is its caller’s own', async () => {
  const [a, b] = [await make('a'), await make('b')];
  expect(await whileWritesFail(Errno.EIO, () => write(a, 300_000, CACHED))).toBe(-Errno.EIO);
  expect(await whileWritesFail(Errno.EIO, () => write(b, 300_000, 0))).toBe(-Errno.EIO);
  expect(await fsync(a)).toBe(-Errno.EIO);
  expect(await fsync(b)).toBe(0);
});

test('an O_DSYNC write of the file is refused, though it succeeds itself; one of another is not', async () => {
  const [a, b] = [await make('a'), await make('b')];
  await whileWritesFail(Errno.EIO, () => write(a, 8192, CACHED));
  expect(await write(a, 4096, 0, OPEN_DSYNC)).toBe(-Errno.EIO);
  expect(await write(b, 4096, 0, OPEN_DSYNC)).toBe(0);
  expect(await write(a, 4096, 0, OPEN_DSYNC, 4096)).toBe(0);
});

test('data at an offset that no file reaches is not forgotten either', async () => {
  const a = await make('a');
  expect(await write(a, 4096, CACHED, 0, 2 ** 60)).toBe(-Errno.EFBIG);
  expect(await fsync(a)).toBe(-Errno.EFBIG);
});

test('a host that is full for a while: the next fsync writes it, and says so', async () => {
  const a = await make('a');
  expect(await syncfs()).toBe(0);
  expect(await whileWritesFail(Errno.ENOSPC, () => write(a, 65536, CACHED))).toBe(0);
  expect(await fsync(a)).toBe(0);
  expect(volume.counters()).toMatchObject({ filesWithLostData: 0, cachedWritesFailed: 1 });
});
