/**
 * Is docs/FORMAT.md enough to read a volume? A reader in another language that uses nothing but
 * what it says (test/format/reader.py) reads volumes as a crash leaves them and unmounted ones, and
 * finds what was written.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defaultFeatures } from '../../src/fs/format/features.ts';
import { FileType, QuotaKind } from '../../src/fs/format/format.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';

const READER = fileURLToPath(new URL('../format/reader.py', import.meta.url));
/** Other volumes by QUARRY_READER_SEED. */
const SEEDS = [3, Number(process.env.QUARRY_READER_SEED ?? 4)];

interface Found {
  replayed: [transactions: number, blocks: number];
  free: number;
  files: [path: string, type: number, size: number, sha1: string][];
  attributes: [path: string, name: string, sha1: string][];
  quotas: number[][];
}

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'quarry-reader-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function read(device: MemoryDevice): Found {
  const path = join(folder, 'image');
  writeFileSync(path, device.peek(0, device.sizeBytes));
  const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe'];
  const options = { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, timeout: 60_000, stdio } as const;
  return JSON.parse(execFileSync('python3', [READER, path], options)) as Found;
}

/** What the reader must say of one path. */
class Expected {
  readonly files = new Map<string, Found['files'][number]>();
  readonly attributes = new Map<string, Found['attributes'][number]>();

  add(path: string, type: number, size: number, content: Uint8Array | string): void {
    const sha1 = createHash('sha1').update(content).digest('hex');
    this.files.set(path, [path, type >>> 12, size, sha1]);
  }

  sorted(): Found['files'] {
    return sorted([...this.files.values()]);
  }

  /** Gives what is at the path another one, or another value. */
  async setAttribute(volume: TestVolume, random: SeededRandom, path: string): Promise<void> {
    const inode = await volume.resolve(path);
    const name = `user.${'a'.repeat(random.below(3) * 90)}${random.below(6)}`;
    const value = randomBytes(random, random.below(random.chance(0.2) ? 9000 : 90));
    await volume.volume.run((tx) =>
      volume.volume.setExtendedAttribute(tx, inode, { name: new TextEncoder().encode(name), value }),
    );
    this.attributes.set(`${path}@${name}`, [path, name, createHash('sha1').update(value).digest('hex')]);
  }

  sortedAttributes(): Found['attributes'] {
    const stillThere = [...this.attributes.values()].filter(([path]) => this.files.has(path));
    return sortedAttributes(stillThere);
  }
}

function sortedAttributes(attributes: Found['attributes']): Found['attributes'] {
  const keyOf = ([path, name]: Found['attributes'][number]) => `${path}@${name}`;
  return attributes.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

function sorted(files: Found['files']): Found['files'] {
  return files.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

function randomBytes(random: SeededRandom, length: number): Uint8Array {
  return new Uint8Array(length).map(() => random.below(256));
}

async function fill(volume: TestVolume, random: SeededRandom, expected: Expected): Promise<void> {
  await volume.mkdir('/many');
  for (let i = 0; i < 300; i++) {
    const path = `/many/${'name'.repeat(random.below(12))}${i}`;
    const inode = await volume.create(path);
    const content = randomBytes(random, random.below(700));
    await volume.write(inode, 0, content);
    expected.add(path, FileType.regular, content.length, content);
  }
  expected.add('/many', FileType.directory, 300, '');
  const sparse = new Uint8Array(1_000_000);
  const inode = await volume.create('/sparse');
  for (let i = 0; i < 80; i++) {
    const piece = randomBytes(random, 1 + random.below(3000));
    const at = random.below(sparse.length - piece.length);
    sparse.set(piece, at);
    await volume.write(inode, at, piece);
  }
  for (let i = 0; i < 30; i++) {
    const at = random.below(sparse.length - 20_000);
    await volume.volume.preallocate(inode, at, 1 + random.below(20_000));
    if (random.chance(0.5)) {
      const piece = randomBytes(random, 1 + random.below(5000));
      sparse.set(piece, at + 500);
      await volume.write(inode, at + 500, piece);
    }
  }
  await volume.truncate('/sparse', sparse.length);
  expected.add('/sparse', FileType.regular, sparse.length, sparse);
  for (const [path, target] of [
    ['/short', 'many'],
    ['/long', 'x/'.repeat(1900)],
  ] as const) {
    await volume.symlink(target, path);
    expected.add(path, FileType.symlink, target.length, target);
  }
  const paths = [...expected.files.keys()];
  for (let i = 0; i < 500; i++)
    await expected.setAttribute(volume, random, paths[random.below(paths.length)] as string);
  for (const path of ['/many', '/sparse', '/short', '/long'])
    for (let i = 0; i < 8; i++) await expected.setAttribute(volume, random, path);
}

/** Frees metadata blocks, so that there is something to revoke, and names others. */
async function change(volume: TestVolume, expected: Expected): Promise<void> {
  await volume.unlink('/long');
  expected.files.delete('/long');
  await volume.mkdir('/many/below');
  expected.add('/many/below', FileType.directory, 0, '');
  for (const path of [...expected.files.keys()].filter((name) => name.startsWith('/many/name'))) {
    await volume.unlink(path);
    expected.files.delete(path);
  }
  const names = [...expected.files.keys()].filter((name) => name.startsWith('/many/'));
  expected.add('/many', FileType.directory, names.length, '');
}

/** Many have something, and some may not have more than so much. */
async function giveAway(volume: TestVolume, expected: Expected): Promise<void> {
  for (const [i, path] of [...expected.files.keys()].entries()) await volume.change(path, { uid: i * 977 });
  for (let id = 1; id < 20; id++)
    await volume.volume.quotas.setLimits(QuotaKind.project, id, { softBlocks: id, hardInodes: 100 * id });
}

async function quotasOf(device: MemoryDevice): Promise<number[][]> {
  const { volume } = await TestVolume.open(device);
  const found: number[][] = [];
  for (const kind of Object.values(QuotaKind)) {
    const { entries } = await volume.quotas.page(kind, 0, 10_000);
    for (const { id, blocks, inodes, blockLimits, inodeLimits } of entries) {
      const limits = [blockLimits.soft, blockLimits.hard, inodeLimits.soft, inodeLimits.hard];
      found.push([kind, id, blocks, inodes, ...limits]);
    }
  }
  await volume.unmount();
  return found;
}

describe.each([1024, 4096])('blocks of %d', (blockBytes) => {
  test.each(SEEDS)('a reader made from the document finds what was written (seed %d)', async (seed) => {
    const random = new SeededRandom(seed);
    const expected = new Expected();
    const device = new MemoryDevice(24 * 1024 * 1024);
    // It grows to the rest of the device, with blocks of 1 KiB by a group.
    const features = defaultFeatures().add('quota');
    await formatted(device, blockBytes, 256, 14 * 1024 * 1024, features);
    const volume = await TestVolume.open(device);
    await fill(volume, random, expected);
    await giveAway(volume, expected);
    await volume.volume.sync();
    await volume.volume.grow(device.sizeBytes);
    await change(volume, expected);
    await volume.volume.sync();

    const crashed = read(device);
    expect(crashed.replayed[0]).toBeGreaterThan(0);
    expect(sorted(crashed.files)).toEqual(expected.sorted());
    expect(sortedAttributes(crashed.attributes)).toEqual(expected.sortedAttributes());
    expect(crashed.attributes.length).toBeGreaterThan(30);

    const { freeBlocks } = await volume.statistics();
    await volume.volume.unmount();
    const clean = read(device);
    expect(clean.replayed).toEqual([0, 0]);
    expect(sorted(clean.files)).toEqual(expected.sorted());
    expect(sortedAttributes(clean.attributes)).toEqual(expected.sortedAttributes());
    expect(clean.quotas.length).toBeGreaterThan(40);
    expect(clean.quotas).toEqual(await quotasOf(device.clone()));
    expect(clean.free).toBeGreaterThanOrEqual(freeBlocks);
    // What was unlinked may still be given back, inode by inode.
    expect(crashed.free).toBeLessThanOrEqual(clean.free);
  });
});

test('the reader is not blind: a wrong bit in any metadata block stops it', async () => {
  const device = new MemoryDevice(4 * 1024 * 1024);
  await formatted(device, 4096);
  const volume = await TestVolume.open(device);
  const { layout } = volume.volume;
  await volume.create('/file');
  await volume.volume.unmount();
  expect(read(device).files).toHaveLength(1);
  for (const block of [0, layout.volumeRootBlock, layout.bitmapBlock(0), layout.summaryBlock(1, 0)]) {
    const broken = device.clone();
    const at = block * layout.blockBytes + 500;
    broken.poke(at, Uint8Array.of((device.peek(at, 1)[0] ?? 0) ^ 1));
    expect(() => read(broken)).toThrow(/AssertionError/);
  }
});
