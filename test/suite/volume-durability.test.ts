/** What a volume promises of writes answered early, of sync, and of a device that fails. */
import { describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { CALLER, formatted, TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;
const EIO = 5;

function data(length: number): Uint8Array {
  return new Uint8Array(length).map((_, i) => (i * 13 + 5) & 0xff);
}

/** Keeps writes back. */
class HeldDevice extends MemoryDevice {
  holding = false;
  #held: (() => void)[] = [];

  override write(...request: Parameters<MemoryDevice['write']>): void {
    if (this.holding) this.#held.push(() => super.write(...request));
    else super.write(...request);
  }

  letGo(): void {
    this.holding = false;
    for (const carryOut of this.#held.splice(0)) carryOut();
    this.submit();
  }
}

async function failing(): Promise<{ volume: TestVolume; device: SimulatedDevice }> {
  const device = new SimulatedDevice({ sizeBytes: 16 * MIB, seed: 3 });
  await formatted(device, 4096);
  return { volume: await TestVolume.open(device), device };
}

describe('writes answered early', () => {
  test('are on the disk after sync, also for one who looks at the disk alone', async () => {
    const volume = await TestVolume.make(16 * MIB, 4096);
    volume.early = true;
    const inodes = await Promise.all(Array.from({ length: 20 }, (_, i) => volume.create(`/f${i}`)));
    await Promise.all(inodes.map((inode) => volume.write(inode, 700, data(30_000))));
    await volume.volume.sync();
    const copy = await TestVolume.open((volume.device as MemoryDevice).clone());
    for (let i = 0; i < inodes.length; i++) {
      const seen = await copy.read(await copy.resolve(`/f${i}`), 0, 40_000);
      expect(Buffer.compare(seen.subarray(700), data(30_000))).toBe(0);
      expect(seen.subarray(0, 700).every((byte) => byte === 0)).toBe(true);
    }
  });

  test('show in size and data at once', async () => {
    const volume = await TestVolume.make(16 * MIB, 4096);
    volume.early = true;
    const inode = await volume.create('/f');
    await volume.write(inode, 100_000, data(5000));
    expect((await volume.statInode(inode)).sizeBytes).toBe(105_000);
    expect((await volume.read(inode, 50_000, 10)).length).toBe(10);
    expect(Buffer.compare(await volume.read(inode, 100_000, 9999), data(5000))).toBe(0);
  });

  test.each(['rename', 'link'] as const)(
    'hold up a %s of their file until they are there',
    async (operation) => {
      const device = new HeldDevice(4 * MIB);
      await formatted(device, 1024);
      const volume = await TestVolume.open(device);
      volume.early = true;
      await volume.create('/other');
      const inode = await volume.create('/file.new');
      device.holding = true;
      await volume.write(inode, 0, data(20_000));
      let named = false;
      const naming = volume[operation]('/file.new', '/file').then(() => {
        named = true;
      });
      await volume[operation]('/other', '/another');
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(named).toBe(false);
      expect(await volume.list('/')).not.toContain('file');
      device.letGo();
      await naming;
      expect((await volume.stat('/file')).sizeBytes).toBe(20_000);
      await volume.volume.unmount();
    },
  );

  test('that fail are told by every sync, and take nothing', async () => {
    const { volume, device } = await failing();
    volume.early = true;
    const inode = await volume.create('/f');
    await volume.volume.sync();
    device.fault = ({ operation }) => (operation === 'write' ? EIO : 0);
    await volume.write(inode, 0, data(5000));
    await expect(volume.volume.sync()).rejects.toMatchObject({ code: 'EIO' });
    device.fault = () => 0;
    await expect(volume.volume.sync()).rejects.toMatchObject({ code: 'EIO' });
    expect((await volume.statInode(inode)).sizeBytes).toBe(0);
    expect((await volume.statistics()).freeBlocks).toBeGreaterThan(0);
  });
});

describe('a device that fails', () => {
  test('in a write: the writer hears of it, and no block is lost', async () => {
    const { volume, device } = await failing();
    const inode = await volume.create('/f');
    const before = (await volume.statistics()).freeBlocks;
    device.fault = ({ operation }) => (operation === 'write' ? EIO : 0);
    await expect(volume.write(inode, 0, data(50_000))).rejects.toMatchObject({ code: 'EIO' });
    device.fault = () => 0;
    expect((await volume.statistics()).freeBlocks).toBe(before);
    await volume.write(inode, 0, data(50_000));
    await volume.volume.unmount();
    const again = new MemoryDevice(16 * MIB, 512, { content: device.crash(1).content });
    expect((await checkVolume(again)).problems).toEqual([]);
  });

  test('in a commit: the volume is read-only from then on, and not clean', async () => {
    const { volume, device } = await failing();
    await volume.create('/f');
    device.fault = ({ operation }) => (operation === 'write' ? EIO : 0);
    await expect(volume.volume.sync()).rejects.toMatchObject({ code: 'EIO' });
    device.fault = () => 0;
    await expect(volume.create('/g')).rejects.toMatchObject({ code: 'EROFS' });
    expect(volume.volume.readOnly).toBe(true);
    expect(await volume.resolve('/f')).toBeGreaterThan(1);
    await volume.volume.unmount();
    expect(
      (await checkVolume(new MemoryDevice(16 * MIB, 512, { content: device.crash(1).content }))).state,
    ).toBe('dirty');
  });
});

test('a large directory is listed whole, and gives all its space back', async () => {
  const volume = await TestVolume.make(64 * MIB, 1024, { cacheBytes: 4 * MIB });
  const before = await volume.statistics();
  const parent = await volume.mkdir('/d');
  const names = Array.from({ length: 20_000 }, (_, i) => Buffer.from(`name-${i}`));
  const request = { mode: 0o100644, deviceNumber: 0, caller: CALLER };
  for (const name of names) await volume.volume.run((tx) => volume.volume.create(tx, parent, name, request));
  expect(await volume.list('/d')).toEqual(names.map(String).sort());
  for (const name of names) await volume.volume.run((tx) => volume.volume.unlink(tx, parent, name));
  expect(await volume.list('/d')).toEqual([]);
  await volume.rmdir('/d');
  // Inodes are freed in turns of their own.
  while ((await volume.statistics()).inodes > before.inodes) await new Promise((turn) => setImmediate(turn));
  await volume.volume.sync();
  expect(await volume.statistics()).toEqual(before);
});
