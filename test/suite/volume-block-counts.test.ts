/**
 * The space that a file is said to use, from the moment a write to it is answered, and who is told
 * that it changed.
 */
import { expect, test } from 'vitest';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;
const EIO = 5;

/** Keeps writes back, and fails them if told to. */
class HeldDevice extends MemoryDevice {
  holding = false;
  #held: Parameters<MemoryDevice['write']>[] = [];

  override write(...request: Parameters<MemoryDevice['write']>): void {
    if (this.holding) this.#held.push(request);
    else super.write(...request);
  }

  letGo(errno = 0): void {
    this.holding = false;
    for (const request of this.#held.splice(0)) {
      if (errno === 0) super.write(...request);
      else request[4].ioDone(errno);
    }
    this.submit();
  }
}

async function held(): Promise<{ volume: TestVolume; device: HeldDevice; changed: number[] }> {
  const device = new HeldDevice(16 * MIB);
  await formatted(device, 4096);
  const volume = await TestVolume.open(device);
  volume.early = true;
  const changed: number[] = [];
  volume.volume.watchSpace((inode) => changed.push(inode));
  return { volume, device, changed };
}

const sectorsOf = async (volume: TestVolume, inode: number) => (await volume.statInode(inode)).sectors;

test('counts what was answered early at once, and once', async () => {
  const { volume, device, changed } = await held();
  const inode = await volume.create('/f');
  device.holding = true;
  await volume.write(inode, 0, new Uint8Array(100_000));
  expect(await sectorsOf(volume, inode)).toBe(25 * 8);
  expect(changed).toEqual([inode]);
  device.letGo();
  await volume.volume.sync();
  expect(await sectorsOf(volume, inode)).toBe(25 * 8);
  expect(changed).toEqual([inode]);
});

test('takes back what could not be written', async () => {
  const { volume, device, changed } = await held();
  const inode = await volume.create('/f');
  device.holding = true;
  await volume.write(inode, 0, new Uint8Array(100_000));
  device.letGo(EIO);
  await volume.volume.sync().catch(() => {});
  expect(await sectorsOf(volume, inode)).toBe(0);
  expect(changed).toEqual([inode, inode]);
});

test('tells of writes that are answered when they are done', async () => {
  const { volume, changed } = await held();
  volume.early = false;
  const inode = await volume.create('/f');
  await volume.write(inode, 0, new Uint8Array(300_000));
  expect(changed).toEqual([inode]);
  expect(await sectorsOf(volume, inode)).toBe(74 * 8);
});

test('says nothing where nothing changes: in place, or in the inode', async () => {
  const { volume, changed } = await held();
  const large = await volume.create('/large');
  const small = await volume.create('/small');
  await volume.write(large, 0, new Uint8Array(100_000));
  await volume.volume.sync();
  changed.length = 0;
  await volume.write(large, 5000, new Uint8Array(50_000));
  await volume.write(small, 0, new Uint8Array(100));
  await volume.volume.sync();
  expect(changed).toEqual([]);
});

test('tells when the tree of a file takes a block', async () => {
  const { volume, changed } = await held();
  const inode = await volume.create('/f');
  for (let block = 0; block < 400; block++) await volume.write(inode, block * 8192, new Uint8Array(10));
  await volume.volume.sync();
  const sectors = await sectorsOf(volume, inode);
  expect(sectors).toBeGreaterThan(400 * 8);
  expect(changed.length).toBeGreaterThan(400);
});
