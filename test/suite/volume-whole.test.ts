/** What is asked of a volume as a whole: its label, and that it be shut down. */
import { describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import type { ShutdownManner } from '../../src/fs/base/filesystem.ts';
import { readSuperblock } from '../../src/fs/format/superblock.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const MIB = 1024 * 1024;
const content = Buffer.alloc(9000, 'x');

async function made(): Promise<{ device: MemoryDevice; volume: TestVolume }> {
  const device = new MemoryDevice(16 * MIB);
  await formatted(device, 4096);
  return { device, volume: await TestVolume.open(device) };
}

describe('the label', () => {
  test('is changed in the superblock and its backups, also while the volume rests', async () => {
    const { device, volume } = await made();
    const { whole, layout } = volume.volume;
    expect(Buffer.from(whole.label).toString()).toBe('test');
    expect(whole.uuid).toHaveLength(16);
    await volume.volume.rest();
    await whole.setLabel(Buffer.from('ä'.repeat(32)));
    expect(volume.volume.resting).toBe(true);
    expect(volume.volume.label).toBe('ä'.repeat(32));
    const image = device.reopen();
    for (const block of layout.backups) {
      const at = block * layout.blockBytes;
      const backup = Buffer.from(image.peek(at, 1024)).toString();
      expect(backup).toContain('ä'.repeat(32));
      expect(backup).not.toContain('test');
    }
    await volume.volume.unmount();
    expect((await readSuperblock(device.reopen())).label).toBe('ä'.repeat(32));
    expect((await checkVolume(device.reopen())).problems).toEqual([]);
  });

  test('is text of at most 64 bytes', async () => {
    const { volume } = await made();
    const { whole } = volume.volume;
    for (const label of [
      Buffer.alloc(65, 'x'),
      Buffer.from('a\nb'),
      Buffer.from([0xff]),
      Buffer.from('a\0b'),
    ]) {
      await expect(whole.setLabel(label)).rejects.toMatchObject({ code: 'EINVAL' });
    }
    await whole.setLabel(Buffer.alloc(0));
    expect(volume.volume.label).toBe('');
    await volume.volume.unmount();
  });

  test('of a read-only volume stays', async () => {
    const { device, volume } = await made();
    await volume.volume.unmount();
    const other = await TestVolume.open(device.reopen(), { readOnly: true });
    await expect(other.volume.whole.setLabel(Buffer.from('b'))).rejects.toMatchObject({ code: 'EROFS' });
    await other.volume.unmount();
  });
});

describe.each<[ShutdownManner, boolean]>([
  ['settled', true],
  ['committed', true],
  ['at once', false],
])('a shutdown: %s', (manner, keepsAll) => {
  test('changes fail from then on, and the next mount has what was durable', async () => {
    const { device, volume } = await made();
    const synced = await volume.create('/synced');
    await volume.write(synced, 0, content);
    await volume.volume.sync();
    const later = await volume.create('/later');
    await volume.write(later, 0, content);
    const before = device.clone();
    await volume.volume.whole.shutDown(manner);
    await volume.volume.whole.shutDown(manner);
    if (manner === 'at once') {
      expect(Buffer.from(device.peek(0, 16 * MIB)).equals(before.peek(0, 16 * MIB))).toBe(true);
    }
    await expect(volume.create('/new')).rejects.toMatchObject({ code: 'EIO' });
    await expect(volume.write(synced, 0, content)).rejects.toMatchObject({ code: 'EIO' });
    await expect(volume.volume.setSize(synced, 0, false)).rejects.toMatchObject({ code: 'EIO' });
    await expect(volume.volume.sync()).rejects.toMatchObject({ code: 'EIO' });
    expect(Buffer.from(await volume.read(synced, 0, 9000))).toEqual(content);
    expect(volume.volume.failureInWords).toBe('it was shut down');
    await volume.volume.unmount();

    const again = await TestVolume.open(device.reopen());
    expect(Buffer.from(await again.read(await again.resolve('/synced'), 0, 9000))).toEqual(content);
    const found = again.resolve('/later');
    if (keepsAll) expect(Buffer.from(await again.read(await found, 0, 9000))).toEqual(content);
    else await expect(found).rejects.toMatchObject({ code: 'ENOENT' });
    await again.volume.unmount();
    expect((await checkVolume(device.reopen())).problems).toEqual([]);
  });
});
