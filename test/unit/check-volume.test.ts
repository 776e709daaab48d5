/**
 * The checker on volumes made by the filesystem: sound ones are clean, and each kind of damage is
 * found by its code.
 *
 * Damage is done to a copy of the bytes, and the checksum of the block made right again, unless it
 * is the checksum itself that is tested: so it is the contents that the checker has to see through.
 */
import { describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { FileType, ROOT_INODE } from '../../src/fs/format/format.ts';
import { formatVolume } from '../../src/fs/mkfs.ts';
import { openVolume, type Volume } from '../../src/fs/volume.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';

const MIB = 1024 * 1024;
const BLOCK_SIZES = [1024, 4096, 65536];
const caller = { uid: 0, gid: 0, umask: 0o022 };

function name(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

async function format(blockBytes: number, sizeBytes: number): Promise<MemoryDevice> {
  const device = new MemoryDevice(sizeBytes);
  await formatVolume(device, {
    blockBytes,
    label: 'test',
    uuid: new Uint8Array(16).fill(7),
    journalSalt: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]),
    nameSecret: new Uint8Array(16).fill(9),
    uid: 0,
    gid: 0,
  });
  return device;
}

async function makeFile(volume: Volume, parent: number, text: string, type: number): Promise<number> {
  return volume.run((tx) =>
    volume.create(tx, parent, name(text), { mode: type | 0o644, deviceNumber: 0, caller }),
  );
}

function writeBytes(
  volume: Volume,
  device: MemoryDevice,
  inode: number,
  offset: number,
  length: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const memory = device.allocateMemory(length + 3 * volume.blockBytes);
    memory.bytes.fill(0x5a, 0, length);
    volume.write({
      inode,
      offsetBytes: offset,
      lengthBytes: length,
      memory,
      memoryOffset: 0,
      updateTimes: true,
      killPrivileges: false,
      mayEndEarly: false,
      finished: (thrown) => (thrown === undefined ? resolve() : reject(thrown)),
    });
    volume.submit();
  });
}

/** A volume with every kind of object: many names, small and large files, holes, links. */
async function populate(device: MemoryDevice): Promise<MemoryDevice> {
  const volume = await openVolume(device, {});
  const directory = await makeFile(volume, ROOT_INODE, 'directory', FileType.directory);
  const inner = await makeFile(volume, directory, 'inner', FileType.directory);
  for (let i = 0; i < 300; i++) await makeFile(volume, directory, `file number ${i}`, FileType.regular);
  const small = await makeFile(volume, inner, 'small', FileType.regular);
  await writeBytes(volume, device, small, 0, 100);
  const large = await makeFile(volume, inner, 'large', FileType.regular);
  for (let i = 0; i < 60; i++) {
    await writeBytes(volume, device, large, i * 3 * volume.blockBytes, volume.blockBytes);
  }
  await makeFile(volume, ROOT_INODE, 'fifo', FileType.fifo);
  await volume.run((tx) => volume.symlink(tx, ROOT_INODE, name('short'), { target: name('inner'), caller }));
  await volume.run((tx) =>
    volume.symlink(tx, ROOT_INODE, name('long'), { target: name('x'.repeat(1000)), caller }),
  );
  await volume.run((tx) => volume.link(tx, small, { parent: ROOT_INODE, name: name('second') }));
  for (let i = 0; i < 300; i += 3)
    await volume.run((tx) => volume.unlink(tx, directory, name(`file number ${i}`)));
  await volume.unmount();
  return device.reopen();
}

describe.each(BLOCK_SIZES)('with blocks of %i bytes', (blockBytes) => {
  const size = Math.max(16 * MIB, 400 * blockBytes);

  test('a fresh volume is clean', async () => {
    const result = await checkVolume(await format(blockBytes, size));
    expect(result.problems).toEqual([]);
    expect(result).toMatchObject({ clean: true, state: 'clean', statistics: { inodes: 1, directories: 1 } });
  });

  test('a volume in use is clean, and counted right', async () => {
    const result = await checkVolume(await populate(await format(blockBytes, size)));
    expect(result.problems).toEqual([]);
    expect(result.statistics).toMatchObject({
      files: 202,
      directories: 3,
      symlinks: 2,
      specials: 1,
      orphans: 0,
    });
    expect(result.statistics.entries).toBe(1 + 1 + 200 + 2 + 4);
  });
});
