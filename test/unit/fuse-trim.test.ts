/** FITRIM in bytes: who may, what is asked of the volume, and what comes back. */
import { beforeEach, expect, test } from 'vitest';
import { Errno, fsError } from '../../src/fs/base/errors.ts';
import type { TrimRequest } from '../../src/fs/base/filesystem.ts';
import { Opcode } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, type Reply, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const FITRIM = 0xc0185879;

let channel: FakeChannel;
let asked: TrimRequest[];
let ends: () => Promise<number>;

beforeEach(() => {
  channel = new FakeChannel();
  asked = [];
  ends = async () => 12 * 2 ** 32 + 4096;
  const trim = (request: TrimRequest) => {
    asked.push(request);
    return ends();
  };
  const filesystem = Object.assign(new MemoryFileSystem(), { whole: { trim } });
  new Session(channel, filesystem as MemoryFileSystem, { log: () => {} }).start();
  channel.deliver(message(Opcode.INIT, 0n, u32(7, 45, 131072, 0x7fff_ffff)));
});

async function trim(range: readonly bigint[], uid = 0): Promise<Reply> {
  const given = Buffer.alloc(8 * range.length);
  for (const [at, number] of range.entries()) given.writeBigUInt64LE(number, 8 * at);
  const head = [u64(0), u32(0, FITRIM), u64(0x7fff_0000), u32(given.length, 24)];
  const bytes = message(Opcode.IOCTL, 1n, Buffer.concat([...head, given]));
  bytes.writeUInt32LE(uid, 24);
  channel.deliver(bytes);
  await new Promise((resolve) => setImmediate(resolve));
  expect(channel.takenSlots).toBe(0);
  return channel.replies.at(-1) as Reply;
}

test('brings a range, up to the largest there is, and the bytes in its length come back', async () => {
  const { error, body } = await trim([4096n, 2n ** 64n - 1n, 65536n]);
  expect(error).toBe(0);
  expect(asked).toEqual([{ startBytes: 4096, lengthBytes: 2 ** 64, minimumBytes: 65536 }]);
  const numbers = [16, 24, 32].map((at) => body.readBigUInt64LE(at));
  expect(numbers).toEqual([4096n, 12n * 2n ** 32n + 4096n, 65536n]);
});

test('is for root and for whoever serves the mount', async () => {
  const other = (process.geteuid?.() ?? 0) + 1;
  expect((await trim([0n, 4096n, 0n], other)).error).toBe(-Errno.EPERM);
  expect((await trim([0n, 4096n, 0n], process.geteuid?.())).error).toBe(0);
  expect(asked).toHaveLength(1);
});

test('a structure cut off is refused, and what the volume refuses is handed on', async () => {
  expect((await trim([0n, 4096n])).error).toBe(-Errno.EINVAL);
  ends = () => Promise.reject(fsError('EOPNOTSUPP'));
  expect((await trim([0n, 4096n, 0n])).error).toBe(-Errno.EOPNOTSUPP);
});
