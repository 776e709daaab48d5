/**
 * Feature bits that this version does not know, as FORMAT.md says: pass over, only read, refuse.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { repairVolume } from '../../src/check/repair.ts';
import { sealBlock } from '../../src/fs/format/block-header.ts';
import { Superblock } from '../../src/fs/format/format.ts';
import type { MemoryDevice } from '../../src/sim/memory-device.ts';
import { runHere } from './command-line.ts';
import { TestVolume } from './volume-harness.ts';

const SIZE_BYTES = 2 * 1024 * 1024;
const BLOCK_BYTES = 4096;
const FIELDS = {
  compatible: Superblock.compatibleFeatures,
  'read-only': Superblock.readOnlyFeatures,
  incompatible: Superblock.incompatibleFeatures,
};
type FeatureSet = keyof typeof FIELDS;
/** A low bit that is none of ours, and the highest: both must be seen. */
const BITS = [16, 2 ** 63];

/** A volume with a file, unmounted in order or killed, that says it has this feature. */
async function featured(set: FeatureSet, bit: number, clean = true): Promise<MemoryDevice> {
  const volume = await TestVolume.make(SIZE_BYTES, BLOCK_BYTES);
  const inode = await volume.create('/file');
  await volume.write(inode, 0, new TextEncoder().encode('kept'));
  await volume.volume.sync();
  const device = (volume.device as MemoryDevice).clone();
  await volume.volume.unmount();
  const found = clean ? (volume.device as MemoryDevice).clone() : device;
  const bytes = found.peek(0, BLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  FIELDS[set].set(view, 0, bit);
  sealBlock({ bytes, view, at: 0 }, BLOCK_BYTES, 7);
  found.poke(0, bytes);
  return found;
}

function allOf(device: MemoryDevice): string {
  return Buffer.from(device.peek(0, SIZE_BYTES)).toString('latin1');
}

async function fileIn(device: MemoryDevice, readOnly: boolean): Promise<string> {
  const volume = await TestVolume.open(device, { readOnly });
  const bytes = await volume.read(await volume.resolve('/file'), 0, 100);
  await volume.volume.unmount();
  return new TextDecoder().decode(bytes);
}

describe.each(BITS)('feature bit %d', (bit) => {
  test('compatible: nothing is different', async () => {
    expect(await fileIn(await featured('compatible', bit, false), false)).toBe('kept');
  });

  test.each([true, false])('read-only: read and never written (clean: %s)', async (clean) => {
    const device = await featured('read-only', bit, clean);
    const before = allOf(device);
    const log: string[] = [];
    const asked = await TestVolume.open(device.reopen(), { log: (line) => log.push(line) });
    expect(asked.volume.readOnly).toBe(true);
    expect(log).toContainEqual(expect.stringMatching(/^read-only: .*only read it \(0x/));
    await asked.volume.unmount();
    expect(await fileIn(device.reopen(), true)).toBe('kept');
    expect(await checkVolume(device.reopen())).toMatchObject({ clean: true });
    for (const mode of ['safe', 'all'] as const) {
      const repair = repairVolume(device.reopen(), mode);
      if (clean) expect(await repair).toMatchObject({ outcome: 'clean' });
      else await expect(repair).rejects.toThrow(/only read.*newer/);
    }
    expect(allOf(device)).toBe(before);
  });

  test('incompatible: refused', async () => {
    const device = await featured('incompatible', bit, false);
    const before = allOf(device);
    for (const readOnly of [true, false])
      await expect(TestVolume.open(device.reopen(), { readOnly })).rejects.toThrow(/does not know/);
    await expect(checkVolume(device.reopen())).rejects.toThrow(/does not know/);
    await expect(repairVolume(device.reopen(), 'all')).rejects.toThrow(/does not know/);
    expect(allOf(device)).toBe(before);
  });
});

describe('by command', () => {
  const directory = mkdtempSync(join(tmpdir(), 'quarry-features-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  test.each(['read-only', 'incompatible'] as const)('%s', async (set) => {
    const path = join(directory, `${set}.img`);
    const device = await featured(set, 16, false);
    writeFileSync(path, device.peek(0, SIZE_BYTES));
    const refused = async (status: number, ...words: string[]) => {
      const result = await runHere(...words, path, ...(words[0] === 'mount' ? [directory] : []));
      expect(result, words.join(' ')).toMatchObject({ status, out: '' });
      expect(result.err, words.join(' ')).toMatch(/^quarry: [^\n]*features[^\n]*0x10[^\n]*\n$/);
    };
    if (set === 'incompatible') await refused(1, 'mount', '--fake');
    else {
      expect(await runHere('mount', '--fake', path, directory)).toMatchObject({
        status: 0,
        err: expect.stringMatching(/^quarry: mounted read-only: [^\n]*only read it \(0x10\)\n$/),
      });
    }
    await refused(1, 'resize');
    expect(await runHere('resize', path, '64M')).toMatchObject({
      status: 1,
      err: expect.stringMatching(/^quarry: [^\n]*0x10/),
    });
    await refused(8, 'fsck', '-p');
    await refused(8, 'fsck', '-y');
    if (set === 'read-only') {
      expect(await runHere('mount', '--fake', '-o', 'ro', path, directory)).toMatchObject({
        status: 0,
        err: '',
      });
      expect(await runHere('fsck', '-n', path)).toMatchObject({ status: 0, err: '' });
      const info = await runHere('info', path);
      expect(info.out).toMatch(/^features: .*\b0x10\b/m);
      expect(info.out).toMatch(/^writable: +no: unknown features 0x10$/m);
      const dump = await runHere('dump', path, 'superblock');
      expect(dump).toMatchObject({ status: 0, err: '' });
      expect(dump.out).toMatch(/readOnlyFeatures .*0x10/);
      expect(await runHere('dump', path, 'inode', '1')).toMatchObject({ status: 0, err: '' });
    } else {
      // The superblock itself can be looked at: its place and its fields are those of the version.
      expect(await runHere('dump', path, 'superblock')).toMatchObject({
        status: 0,
        out: expect.stringMatching(/incompatibleFeatures .*0x10/),
      });
      expect(await runHere('dump', path, 'inode', '1')).toMatchObject({
        status: 1,
        out: '',
        err: expect.stringMatching(/^quarry: [^\n]*does not know \(0x10\)[^\n]*\n$/),
      });
      await refused(1, 'mount', '--fake', '-o', 'ro');
      await refused(8, 'fsck', '-n');
      await refused(1, 'info');
    }
    expect(readFileSync(path).equals(device.peek(0, SIZE_BYTES))).toBe(true);
    expect((await runHere('mkfs', path)).err).toContain('--force');
    expect(await runHere('mkfs', '--force', path)).toMatchObject({ status: 0, err: '' });
    expect(await runHere('fsck', '-y', path)).toMatchObject({ status: 0, err: '' });
  });

  test('compatible', async () => {
    const path = join(directory, 'compatible.img');
    const device = await featured('compatible', 16, false);
    writeFileSync(path, device.peek(0, SIZE_BYTES));
    const well = { status: 0, err: '' };
    expect(await runHere('mount', '--fake', path, directory)).toMatchObject(well);
    expect((await runHere('info', path)).out).toMatch(/^features: .*\b0x10\b/m);
    expect((await runHere('dump', path, 'superblock')).out).toMatch(/[^-]compatibleFeatures .*0x10/);
    for (const mode of ['-n', '-p', '-y']) expect(await runHere('fsck', mode, path)).toMatchObject(well);
    expect(await runHere('resize', path, '64M')).toMatchObject({ status: 0 });
    expect(statSync(path).size).toBe(64 * 1024 * 1024);
    expect(await runHere('fsck', '-n', path)).toMatchObject(well);
    // Whoever passes over a feature keeps it.
    expect((await runHere('info', path)).out).toMatch(/^features: .*\b0x10\b/m);
  });
});
