/**
 * Power cuts while a volume is made over another one. Whatever a cut leaves is one of three: the
 * old volume as it was, no volume, or the new one complete; for a mount, and for the repair that a
 * user tries next.
 */
import { expect, test } from 'vitest';
import { checkVolume, NothingToCheckError } from '../../src/check/checker.ts';
import { repairVolume } from '../../src/check/repair.ts';
import { eraseVolume } from '../../src/fs/erase.ts';
import { backupPlaces } from '../../src/fs/format/backup-places.ts';
import { MAGIC } from '../../src/fs/format/format.ts';
import { NotAVolumeError } from '../../src/fs/format/superblock.ts';
import { formatVolume } from '../../src/fs/mkfs.ts';
import { crashImage } from '../../src/sim/crash-image.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { contentsOf } from './check-tree.ts';
import { TestVolume } from './volume-harness.ts';

const KIB = 1024;
const SIZE_BYTES = 2048 * KIB;
/** Disks that each place of the history may leave. */
const CUTS = 8;

function options(blockBytes: number, label: string, id: number) {
  const uuid = new Uint8Array(16).fill(id);
  return {
    blockBytes,
    label,
    uuid,
    journalSalt: new Uint8Array(8).fill(id),
    nameSecret: new Uint8Array(16).fill(id),
    uid: 0,
    gid: 0,
  };
}

/**
 * A volume with files large and small, unmounted in order, which fills the first `sizeBytes` of the
 * device.
 */
async function oldVolume(blockBytes: number, sizeBytes: number): Promise<MemoryDevice> {
  const device = new MemoryDevice(sizeBytes);
  await formatVolume(device, options(blockBytes, 'old', 1));
  const volume = await TestVolume.open(device);
  for (let file = 0; file < 12; file++) {
    const inode = await volume.create(`/file-${file}`);
    await volume.write(inode, 0, new Uint8Array(file * 5000 + 1).fill(file));
  }
  await volume.volume.unmount();
  return new MemoryDevice(SIZE_BYTES, 512, { content: device.content });
}

/** The label of the volume and what is in it, or undefined if it cannot be mounted. */
async function mounted(device: MemoryDevice): Promise<string | undefined> {
  try {
    const { volume } = await TestVolume.open(device.clone());
    return `${volume.label}: ${[...(await contentsOf(device))].join('; ')}`;
  } catch (thrown) {
    if (thrown instanceof NotAVolumeError) return undefined;
    throw thrown;
  }
}

/** The same after a repair of everything; a repair never finds anything to repair. */
async function repaired(device: MemoryDevice): Promise<string | undefined> {
  const copy = device.clone();
  try {
    await repairVolume(copy, 'all');
  } catch (thrown) {
    if (thrown instanceof NothingToCheckError) return undefined;
    throw thrown;
  }
  return mounted(copy);
}

test.each([
  { before: 4 * KIB, after: 4 * KIB, oldBytes: SIZE_BYTES, discard: false },
  { before: 1 * KIB, after: 4 * KIB, oldBytes: SIZE_BYTES, discard: false },
  { before: 4 * KIB, after: 1 * KIB, oldBytes: SIZE_BYTES, discard: false },
  { before: 4 * KIB, after: 4 * KIB, oldBytes: SIZE_BYTES - 256 * KIB, discard: false },
  { before: 4 * KIB, after: 4 * KIB, oldBytes: SIZE_BYTES - 256 * KIB, discard: true },
])('blocks of $before bytes in $oldBytes bytes, then of $after; discard: $discard', async (row) => {
  const { before, after, oldBytes, discard } = row;
  const old = await oldVolume(before, oldBytes);
  const oldText = await mounted(old);
  expect(oldText).toMatch(/^old: .*file-11/);
  const device = new SimulatedDevice({ sizeBytes: SIZE_BYTES, seed: before + after, content: old.content });
  await formatVolume(device, { ...options(after, 'new', 2), discard });
  const newText = await mounted(device.crash(1));
  expect(newText).toBe('new: ');
  const seen = new Set<string | undefined>();
  for (let events = 0; events <= device.log.length; events++) {
    for (let seed = 0; seed < CUTS; seed++) {
      const cut = crashImage(device, events, seed);
      const what = `${events} of ${device.log.length} events, seed ${seed}`;
      const text = await mounted(cut);
      seen.add(text);
      expect([oldText, undefined, newText], `mounted after ${what}`).toContain(text);
      expect([oldText, undefined, newText], `repaired after ${what}`).toContain(await repaired(cut));
      if (text !== undefined) expect((await checkVolume(cut)).problems, what).toEqual([]);
    }
  }
  expect([...seen].sort()).toEqual([newText, oldText, undefined].sort());
});

test('nothing of an old volume is found when the new one is lost', async () => {
  for (const oldBytes of [SIZE_BYTES, SIZE_BYTES - 256 * KIB]) {
    const device = await oldVolume(KIB, oldBytes);
    await formatVolume(device, options(4 * KIB, 'new', 2));
    const { content } = device;
    for (const sizeBytes of [SIZE_BYTES, oldBytes]) {
      const found = new MemoryDevice(sizeBytes, 512, { content: content.clone() });
      found.poke(0, new Uint8Array(4 * KIB));
      expect((await repaired(found))?.slice(0, 3)).not.toBe('old');
    }
  }
});

/** Counts how often it is told to begin, which is how often somebody waits for it. */
class CountedDevice extends MemoryDevice {
  submissions = 0;

  override submit(): void {
    this.submissions++;
    super.submit();
  }
}

test.each([512, 4096])('backups are looked for all at once, in sectors of %d', async (sectorBytes) => {
  const device = new CountedDevice(2 ** 42, sectorBytes);
  const superblock = new TextEncoder().encode(MAGIC);
  const places = backupPlaces(device.sizeBytes).map(({ offsetBytes }) => offsetBytes);
  expect(places.length).toBeGreaterThan(100);
  const held = new Set(places.filter((_, index) => index % 3 === 0));
  for (const at of held) device.poke(at, superblock);
  await eraseVolume(device);
  expect(device.submissions).toBeLessThanOrEqual(6);
  for (const at of held) expect(device.peek(at, MAGIC.length).every((byte) => byte === 0)).toBe(true);
});
