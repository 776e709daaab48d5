/**
 * The images that a version leaves to later ones: one of everything the format has, as an unmount
 * leaves it and as a crash does.
 */
import { createHash } from 'node:crypto';
import { FILE_TYPE_MASK, FileType } from '../../src/fs/format/format.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const KIB = 1024;
const encoder = new TextEncoder();

export interface ImagePlan {
  readonly name: string;
  readonly blockBytes: number;
  readonly sizeBytes: number;
  /** Bytes that the volume has at first; it grows to all. */
  readonly startBytes: number;
  readonly isCrashed: boolean;
}

export const PLANS: readonly ImagePlan[] = [
  {
    name: 'clean-1k',
    blockBytes: KIB,
    sizeBytes: 20 * KIB * KIB,
    startBytes: 2 * KIB * KIB,
    isCrashed: false,
  },
  {
    name: 'crashed-1k',
    blockBytes: KIB,
    sizeBytes: 3 * KIB * KIB,
    startBytes: 3 * KIB * KIB,
    isCrashed: true,
  },
  {
    name: 'clean-4k',
    blockBytes: 4 * KIB,
    sizeBytes: 8 * KIB * KIB,
    startBytes: 8 * KIB * KIB,
    isCrashed: false,
  },
  {
    name: 'crashed-64k',
    blockBytes: 64 * KIB,
    sizeBytes: 16 * KIB * KIB,
    startBytes: 16 * KIB * KIB,
    isCrashed: true,
  },
];

function patterned(length: number, seed: number): Uint8Array {
  return new Uint8Array(length).map((_, i) => (Math.floor(i / 64) + seed) & 0xff);
}

async function setAttribute(
  { volume }: TestVolume,
  inode: number,
  name: string,
  value: Uint8Array,
): Promise<void> {
  await volume.run((tx) => volume.setExtendedAttribute(tx, inode, { name: encoder.encode(name), value }));
}

/** One of everything. */
async function fill(volume: TestVolume): Promise<void> {
  const { blockBytes } = volume.volume;
  const random = new SeededRandom(42);
  await volume.mkdir('/dir');
  await volume.mkdir('/dir/inner');
  await volume.mkdir('/many');
  for (let i = 0; i < 150; i++) {
    const inode = await volume.create(`/many/${'long name '.repeat(random.below(8))}${i}`);
    await volume.write(inode, 0, patterned(random.below(400) + 1, i));
    if (i % 10 === 0) await setAttribute(volume, inode, 'user.number', encoder.encode(`${i}`));
  }
  const sparse = await volume.create('/dir/sparse');
  for (let i = 0; i < 40; i++) await volume.write(sparse, 2 * i * blockBytes, patterned(blockBytes, i));
  for (const [i, length] of [0, 30, 900, 2900].entries())
    await setAttribute(volume, sparse, `user.${'n'.repeat(i * 60)}${length}`, patterned(length, i));
  const reserved = await volume.create('/dir/reserved');
  await volume.volume.preallocate(reserved, 0, 4 * blockBytes);
  await volume.write(reserved, blockBytes, patterned(blockBytes, 5));
  await volume.symlink('short', '/dir/short-link');
  await volume.symlink('a/long/one/'.repeat(300), '/dir/long-link');
  await setAttribute(volume, await volume.resolve('/dir/inner'), 'trusted.it', patterned(100, 1));
  await volume.link('/dir/sparse', '/dir/inner/second');
  await volume.create('/dir/pipe', FileType.fifo | 0o620);
  await volume.create('/dir/socket', FileType.socket | 0o600);
  await volume.create('/dir/device', FileType.blockDevice | 0o660, (259 << 8) | 7);
  await volume.change('/dir/reserved', { mode: 0o4751, uid: 1234567, gid: 7654321 });
  await volume.change('/dir/inner', { modifySeconds: -1e12, modifyNanoseconds: 999_999_999 });
}

/** Makes the image. It is the same whenever it is made, but for its times. */
export async function makeImage(plan: ImagePlan): Promise<MemoryDevice> {
  const device = new MemoryDevice(plan.sizeBytes);
  await formatted(device, plan.blockBytes, 64, plan.startBytes);
  const volume = await TestVolume.open(device);
  await fill(volume);
  await volume.volume.sync();
  if (plan.startBytes < plan.sizeBytes) await volume.volume.grow(plan.sizeBytes);
  if (!plan.isCrashed) {
    await volume.volume.unmount();
    return device.reopen();
  }
  await volume.rename('/dir/short-link', '/dir/inner/renamed');
  const held = await volume.create('/held');
  await volume.write(held, 0, patterned(3 * plan.blockBytes, 9));
  volume.volume.acquire(held);
  await volume.unlink('/held');
  await volume.volume.sync();
  const crashed = device.clone();
  await volume.volume.unmount();
  return crashed;
}

/** What a volume holds, by path. */
export type Contents = Record<string, unknown>;

/** Everything that a user sees of a volume, but for times that reading moves. Leaves it as it is. */
export async function describe(device: MemoryDevice): Promise<Contents> {
  const volume = await TestVolume.open(device.clone());
  const contents: Contents = {};
  const visit = async (path: string) => {
    const inode = await volume.resolve(path);
    const { mode, linkCount, uid, gid, deviceNumber, sizeBytes, modifySeconds, modifyNanoseconds } =
      await volume.statInode(inode);
    const type = mode & FILE_TYPE_MASK;
    const isDirectory = type === FileType.directory;
    const data =
      type === FileType.regular
        ? await volume.read(inode, 0, sizeBytes)
        : type === FileType.symlink
          ? encoder.encode(await volume.readlink(path))
          : new Uint8Array(0);
    contents[path] = {
      mode: mode.toString(8),
      linkCount,
      uid,
      gid,
      deviceNumber,
      sizeBytes: isDirectory ? 0 : sizeBytes,
      modified: `${modifySeconds}.${modifyNanoseconds}`,
      data: createHash('sha1').update(data).digest('hex'),
      attributes: await attributesOf(volume, inode),
    };
    if (isDirectory) for (const name of await volume.list(path)) await visit(`${path}/${name}`);
  };
  await visit('');
  await volume.volume.unmount();
  return contents;
}

async function attributesOf({ volume }: TestVolume, inode: number): Promise<Record<string, string>> {
  const names = await volume.run((tx) => volume.listExtendedAttributes(tx, inode));
  const found: [string, string][] = [];
  for (const name of names) {
    const value = await volume.run((tx) => volume.getExtendedAttribute(tx, inode, name));
    found.push([new TextDecoder().decode(name), createHash('sha1').update(value).digest('hex')]);
  }
  return Object.fromEntries(found.sort());
}
