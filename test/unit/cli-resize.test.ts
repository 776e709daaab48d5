/**
 * `quarry resize` of an image that is not mounted: what is refused is refused in one line, before
 * the image has become any longer.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { openKernelDevice } from '../../src/aio/kernel-device.ts';
import { growVolume, plannedSize } from '../../src/cli/growing.ts';
import { Resource } from '../../src/cli/raise-limits.ts';
import { CorruptionError, fsError } from '../../src/fs/base/errors.ts';
import { sealBlock } from '../../src/fs/format/block-header.ts';
import { Superblock, VolumeState } from '../../src/fs/format/format.ts';
import { openVolume } from '../../src/fs/volume.ts';
import { native } from '../../src/native.ts';
import { runHere } from '../suite/command-line.ts';

const MIB = 1024 * 1024;
const KIB = 1024;
const directory = mkdtempSync(join(tmpdir(), 'quarry-resize-'));
const image = join(directory, 'volume.img');

afterAll(() => rmSync(directory, { recursive: true }));

beforeEach(async () => {
  expect(await runHere('mkfs', '--force', '-q', '--size', '8M', image)).toMatchObject({ status: 0 });
});

/** Its refusal, after which the image is as long as it was. */
async function refusal(...size: string[]): Promise<string> {
  const before = statSync(image).size;
  const { status, out, err } = await runHere('resize', image, ...size);
  expect([status, out]).toEqual([1, '']);
  expect(err).toMatch(/^quarry: [^\n]+\n$/);
  expect(statSync(image).size).toBe(before);
  return err;
}

/** Its refusal, after which nothing in the image is different either. */
async function untouched(...size: string[]): Promise<string> {
  const before = readFileSync(image);
  const said = await refusal(...size);
  expect(readFileSync(image).equals(before)).toBe(true);
  return said;
}

/** Changes the superblock of the image, and seals it again. */
async function superblock(change: (view: DataView) => void): Promise<void> {
  const device = openKernelDevice(image, { allowBuffered: true });
  const memory = device.allocateMemory(4096);
  const done = (start: (completion: { ioDone(errno: number): void }) => void) =>
    new Promise<void>((resolve) => {
      start({ ioDone: () => resolve() });
      device.submit();
    });
  await done((completion) => device.read(memory, 0, 4096, 0, completion));
  const { buffer, byteOffset } = memory.bytes;
  const view = new DataView(buffer, byteOffset, 4096);
  change(view);
  sealBlock({ bytes: memory.bytes, view, at: 0 }, 4096, 7);
  await done((completion) => device.write(memory, 0, 4096, 0, completion));
  await device.close();
}

test('a size is rounded down to whole blocks, of the image as well', async () => {
  expect(await runHere('resize', image, String(16 * MIB + 5000), '--json')).toMatchObject({
    status: 0,
    err: '',
  });
  expect(statSync(image).size).toBe(16 * MIB + 4096);
  expect(await runHere('resize', image, String(16 * MIB + 8000))).toMatchObject({
    status: 0,
    err: expect.stringMatching(/ has 16\.\d MiB already\n$/),
  });
  expect(statSync(image).size).toBe(16 * MIB + 4096);
  expect(await runHere('fsck', '-n', image)).toMatchObject({ status: 0 });
});

test('all of an image that is longer', async () => {
  truncateSync(image, 16 * MIB + 5000);
  expect(await runHere('resize', image, '--json')).toMatchObject({ status: 0 });
  expect(statSync(image).size).toBe(16 * MIB + 5000);
  expect(await runHere('fsck', '-n', image)).toMatchObject({ status: 0 });
});

test('a smaller size, and the image with it', async () => {
  expect(await runHere('resize', image, String(5 * MIB + 100))).toMatchObject({
    status: 0,
    err: expect.stringMatching(/ has 5 MiB now, 8 MiB before\n$/),
  });
  expect(statSync(image).size).toBe(5 * MIB);
  expect(await runHere('fsck', '-n', image)).toMatchObject({ status: 0 });
});

test('a size that cannot be', async () => {
  expect(await untouched('300K')).toMatch(/volume\.img: (\d+ bytes are too few|what is in it needs)/);
  expect(await untouched('3K')).toMatch(/volume\.img: there is not even room for one block/);
  expect(await runHere('resize', image, '2E')).toMatchObject({
    status: 2,
    err: expect.stringContaining('too large'),
  });
  const layout = { blockBytes: 4 * KIB, blockCount: 2 * KIB, journalBlocks: 64 };
  expect(() => plannedSize(layout, 2 ** 61, image)).toThrow(/volume\.img: .* are out of range/);
  expect(statSync(image).size).toBe(8 * MIB);
});

test('a volume with features with which it may only be read', async () => {
  await superblock((view) => Superblock.readOnlyFeatures.set(view, 0, 16));
  expect(await untouched('1G')).toMatch(/volume\.img: it uses features .* only read it \(0x10\)/);
});

test('a volume with features that are not known', async () => {
  await superblock((view) => Superblock.incompatibleFeatures.set(view, 0, 16));
  expect(await untouched('1G')).toMatch(/volume\.img: it uses features .*\(0x10\)/);
});

test('a volume whose repair was cut off', async () => {
  await superblock((view) => Superblock.state.set(view, 0, VolumeState.repairing));
  expect(await untouched('1G')).toMatch(/volume\.img .*a repair of it was cut off.*fsck/);
});

/** A volume as `growVolume` sees it. */
function stub(state: { readOnly?: boolean; resting?: boolean; failureInWords?: string }) {
  const layout = { blockBytes: 4 * KIB, blockCount: 2 * KIB, journalBlocks: 64 };
  const grow = () => Promise.reject(fsError('EROFS'));
  return { layout, readOnly: false, resting: false, failureInWords: '', grow, ...state };
}

test.each([
  [{ readOnly: true }, /volume\.img is damaged: run 'quarry fsck' on it/],
  [{ readOnly: true, failureInWords: 'writing failed (EIO)' }, /volume\.img .*writing failed \(EIO\)/],
  [{}, /EROFS|read-only|write-protected/],
])('a volume that takes no changes: %j', async (state, message) => {
  const device = openKernelDevice(image, { allowBuffered: true });
  await expect(growVolume(stub(state), device, 64 * MIB)).rejects.toThrow(message);
  expect([statSync(image).size, device.sizeBytes]).toEqual([8 * MIB, 8 * MIB]);
  await device.close();
});

test('a volume on which damage was met while it was in use', async () => {
  const device = openKernelDevice(image, { allowBuffered: true });
  const volume = await openVolume(device, { log: () => {} });
  volume.corrupt(new CorruptionError(70, 'is not what it was'));
  await expect(growVolume(volume, device, 64 * MIB)).rejects.toThrow(
    /volume\.img is damaged: run 'quarry fsck'/,
  );
  await volume.unmount();
  expect(statSync(image).size).toBe(8 * MIB);
});

test('an image that may only be read', async () => {
  const device = openKernelDevice(image, { allowBuffered: true, readOnly: true });
  const volume = await openVolume(device);
  await expect(growVolume(volume, device, 64 * MIB)).rejects.toThrow(/volume\.img .*read-only/);
  await volume.unmount();
  expect(statSync(image).size).toBe(8 * MIB);
});

test('a file that may not become so large', async () => {
  const [soft, hard] = native.resourceLimit(Resource.fileBytes);
  native.setResourceLimit(Resource.fileBytes, 32 * MIB, hard);
  try {
    expect(await refusal('64M')).toMatch(/64 MiB, and files are limited to 32 MiB here.*ulimit -f/);
    expect(await runHere('resize', image, '32M')).toMatchObject({ status: 0 });
  } finally {
    native.setResourceLimit(Resource.fileBytes, soft, hard);
  }
});
