/**
 * What a released version wrote, every later one reads: the images in test/images are mounted,
 * checked, changed, damaged and repaired.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { repairVolume } from '../../src/check/repair.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { type Contents, describe, makeImage, PLANS } from '../suite/released-images.ts';
import { TestVolume } from '../suite/volume-harness.ts';

const CONTENTS = 'contents.json.gz';
const FOLDER = fileURLToPath(new URL('../images/', import.meta.url));
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

async function write(folder: string): Promise<void> {
  mkdirSync(folder);
  const contents: Record<string, Contents> = {};
  for (const plan of PLANS) {
    const device = await makeImage(plan);
    writeFileSync(
      join(folder, `${plan.name}.img.gz`),
      gzipSync(device.peek(0, device.sizeBytes), { level: 9 }),
    );
    contents[plan.name] = await describe(device);
  }
  writeFileSync(join(folder, CONTENTS), gzipSync(JSON.stringify(contents), { level: 9 }));
}

if (process.env.RELEASE_IMAGES === '1') await write(join(FOLDER, version));

const images = readdirSync(FOLDER)
  .filter((name) => existsSync(join(FOLDER, name, CONTENTS)))
  .flatMap((release) => {
    const text = gunzipSync(readFileSync(join(FOLDER, release, CONTENTS))).toString();
    const contents = JSON.parse(text) as Record<string, Contents>;
    return Object.entries(contents).map(([name, expected]) => ({ release, name, expected }));
  });

function load(release: string, name: string): MemoryDevice {
  const bytes = gunzipSync(readFileSync(join(FOLDER, release, `${name}.img.gz`)));
  const device = new MemoryDevice(bytes.length);
  device.poke(0, bytes);
  return device;
}

test('every release left some', () => expect(images.length).toBeGreaterThanOrEqual(PLANS.length));

test.each(images)(
  '$release, $name: everything is there, and can be changed',
  async ({ release, name, expected }) => {
    const device = load(release, name);
    const isCrashed = name.startsWith('crashed');
    expect(await checkVolume(device.clone())).toMatchObject({
      problems: [],
      state: isCrashed ? 'dirty' : 'clean',
    });
    expect(await describe(device)).toEqual(expected);

    const volume = await TestVolume.open(device);
    const inode = await volume.resolve('/dir/sparse');
    await volume.write(inode, 123, new Uint8Array(5000).fill(7));
    await volume.create('/many/new');
    await volume.unlink('/dir/long-link');
    await volume.volume.unmount();
    expect(await checkVolume(device.reopen())).toMatchObject({ problems: [], state: 'clean' });
  },
);

test.each(images)(
  '$release, $name: a repair from a backup finds all of it',
  async ({ release, name, expected }) => {
    const device = load(release, name);
    device.poke(0, new Uint8Array(1024).fill(0xa5));
    const repaired = await repairVolume(device, 'all');
    expect(repaired.outcome).toBe('corrected');
    expect(await describe(device.reopen())).toEqual(expected);
  },
);
