/**
 * Attributes at the ends of what the protocol can say: seconds of 64 bits, owners that are none,
 * counts of 32-bit programs.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { Errno } from '../../src/fs/base/errors.ts';
import { sealBlock } from '../../src/fs/format/block-header.ts';
import { FileType } from '../../src/fs/format/format.ts';
import { Opcode } from '../../src/fuse/abi.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { FuseVolume } from '../suite/fuse-volume.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';

const EXACT = 2n ** 53n - 1n;
const ATIME = 1 << 4;
const MTIME = 1 << 5;
const CTIME = 1 << 10;

let fuse: FuseVolume;

beforeEach(async () => {
  fuse = new FuseVolume(await TestVolume.make(8 << 20, 4096));
});

afterEach(() => fuse.volume.volume.unmount());

describe('seconds', () => {
  test.each([
    [EXACT, EXACT],
    [-EXACT, -EXACT],
    [2n ** 53n, EXACT],
    [2n ** 53n + 1n, EXACT],
    [-(2n ** 53n) - 1n, -EXACT],
    [2n ** 63n - 1n, EXACT],
    [-(2n ** 63n), -EXACT],
    [-(2n ** 32n), -(2n ** 32n)],
    [-1n, -1n],
  ])('%i are kept as %i, in the answer and in GETATTR and STATX', async (given, kept) => {
    const inode = await fuse.volume.create('/file');
    const said = await fuse.setattr(ATIME | MTIME | CTIME, inode, {
      atime: given,
      mtime: given,
      ctime: given,
    });
    expect(said.error).toBe(0);
    const { body } = await fuse.ask(Opcode.GETATTR, inode, Buffer.alloc(16));
    for (const at of [24, 32, 40]) {
      expect(said.body.readBigInt64LE(16 + at)).toBe(kept);
      expect(body.readBigInt64LE(16 + at)).toBe(kept);
    }
    const statx = (await fuse.ask(Opcode.STATX, inode, Buffer.alloc(24))).body;
    for (const at of [64, 96, 112]) expect(statx.readBigInt64LE(32 + at)).toBe(kept);
  });
});

describe('an owner that is none', () => {
  const UID = 1 << 1;
  const GID = 1 << 2;
  const NONE = 0xffff_ffff;

  test('is refused by SETATTR, and nothing is changed', async () => {
    const inode = await fuse.volume.create('/file');
    expect((await fuse.setattr(UID | GID, inode, { uid: NONE, gid: 5 })).error).toBe(-Errno.EINVAL);
    expect((await fuse.setattr(UID | GID, inode, { uid: 5, gid: NONE })).error).toBe(-Errno.EINVAL);
    expect(await fuse.volume.statInode(inode)).toMatchObject({ uid: 1000, gid: 1000 });
    expect((await fuse.setattr(UID | GID, inode, { uid: NONE - 1, gid: NONE - 1 })).error).toBe(0);
  });

  test('can make nothing', async () => {
    const { volume } = fuse.volume;
    const mode = FileType.regular | 0o644;
    const name = new TextEncoder().encode('name');
    for (const [uid, gid] of [
      [NONE, 1],
      [1, NONE],
    ] as const) {
      const caller = { uid, gid, umask: 0 };
      const made = volume.run((tx) => volume.create(tx, 1, name, { mode, deviceNumber: 0, caller }));
      await expect(made).rejects.toMatchObject({ code: 'EOVERFLOW' });
      const linked = volume.run((tx) => volume.symlink(tx, 1, name, { target: name, caller }));
      await expect(linked).rejects.toMatchObject({ code: 'EOVERFLOW' });
    }
    expect(await fuse.volume.list('/')).toEqual([]);
  });

  test('of an older image is told as nobody, also to what a directory passes on', async () => {
    const device = new MemoryDevice(8 << 20);
    await formatted(device, 4096);
    const made = await TestVolume.open(device);
    await made.mkdir('/directory');
    await made.change('/directory', { mode: 0o2777, uid: 0xabcd_ef01, gid: 0xabcd_ef02 });
    await made.volume.unmount();
    const found = ownersReplaced(device, NONE);
    expect((await checkVolume(found.clone())).problems.map(({ code }) => code)).toContain('inode-owner');
    const volume = await TestVolume.open(found);
    await volume.create('/directory/file');
    expect(await volume.stat('/directory')).toMatchObject({ uid: 65534, gid: 65534 });
    expect(await volume.stat('/directory/file')).toMatchObject({ gid: 65534 });
    await volume.volume.unmount();
  });
});

/**
 * The device with another owner where the marks 0xabcdef01 and 0xabcdef02 stand, and the block
 * sealed again.
 */
function ownersReplaced(device: MemoryDevice, id: number): MemoryDevice {
  const copy = device.clone();
  for (let place = 0; place < copy.sizeBytes; place += 4096) {
    const bytes = copy.peek(place, 4096);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < 4096; at += 4) {
      if (view.getUint32(at, true) !== 0xabcd_ef01) continue;
      view.setUint32(at, id, true);
      view.setUint32(at + 4, id, true);
      sealBlock({ bytes, view, at: 0 }, 4096, 1);
      copy.poke(place, bytes);
    }
  }
  return copy;
}
