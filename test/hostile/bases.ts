/**
 * The base volumes: small and rich, always the same bytes, made when first asked for. Between them
 * they have every kind of block and every shape that the format knows: trees of three levels,
 * holes, bodies inline and not, orphans, a truncation under way, a journal to replay, a space of
 * one group and of many, a full one.
 */

import type { Clock } from '../../src/fs/base/clock.ts';
import { FsError } from '../../src/fs/base/errors.ts';
import { FileFlag } from '../../src/fs/base/filesystem.ts';
import { defaultFeatures } from '../../src/fs/format/features.ts';
import { BlockKind, FileType, Inode, QuotaKind, ROOT_INODE, VolumeRoot } from '../../src/fs/format/format.ts';
import { formatVolume } from '../../src/fs/mkfs.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { aclBytes } from '../suite/acl-bytes.ts';
import { TestVolume } from '../suite/volume-harness.ts';
import { type Base, Image, indexOf, layoutOf } from './image.ts';
import { ImageBytes } from './image-bytes.ts';
import { WatchedDevice } from './watched-device.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Time stands still: the same base has the same bytes wherever it is made. */
export const FIXED_CLOCK: Clock = {
  seconds: 1_700_000_000,
  nanoseconds: 123_456_789,
  read() {},
  roughSeconds: () => 1_700_000_000,
};

interface Recipe {
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly fill: (volume: TestVolume, random: SeededRandom) => Promise<void>;
  /** Taken while mounted, after a sync: what a crash leaves. */
  readonly crashed?: boolean;
  readonly quota?: boolean;
  /** What no run of the volume leaves on disk at a moment that can be caught. */
  readonly edit?: (image: Image) => void;
}

function data(random: SeededRandom, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  const salt = random.below(250) + 1;
  for (let i = 0; i < lengthBytes; i++) bytes[i] = (i * 13 + salt) & 0xff;
  return bytes;
}

async function file(
  volume: TestVolume,
  random: SeededRandom,
  path: string,
  lengthBytes: number,
): Promise<number> {
  const inode = await volume.create(path);
  if (lengthBytes > 0) await volume.write(inode, 0, data(random, lengthBytes));
  return inode;
}

/** One of everything. */
async function fillSmall(volume: TestVolume, random: SeededRandom): Promise<void> {
  await volume.mkdir('/a');
  await volume.mkdir('/a/b');
  await volume.mkdir('/a/b/c');
  await volume.mkdir('/empty');
  for (const length of [0, 1, 100, 336, 337, 1023, 1024, 5000, 40_000]) {
    await file(volume, random, `/a/file-${length}`, length);
  }
  await volume.symlink('short/target', '/a/short-link');
  await volume.symlink('x'.repeat(330), '/a/inline-link');
  await volume.symlink('long/'.repeat(500), '/a/b/long-link');
  await volume.link('/a/file-5000', '/a/b/c/second-name');
  await volume.link('/a/file-1', '/third-name');
  await volume.create('/fifo', FileType.fifo | 0o600);
  await volume.create('/socket', FileType.socket | 0o600);
  await volume.create('/null', FileType.characterDevice | 0o666, 0x103);
  await volume.create('/disk', FileType.blockDevice | 0o660, 0x800);
  await fillSparse(volume, random, '/sparse', 6, 20);
  await fillAttributes(volume, random);
  await fillFlags(volume);
}

/** What chattr(1) sets. */
async function fillFlags(volume: TestVolume): Promise<void> {
  const { immutable, appendOnly, noDump, synchronous, topDirectory } = FileFlag;
  const set = async (path: string, flags: number, projectId: number) => {
    const inode = await volume.resolve(path);
    await volume.volume.run((tx) => volume.volume.changeFlags(tx, inode, { flags, projectId }));
  };
  await set('/a/file-0', immutable, 0xffff_fffe);
  await set('/a/file-1023', appendOnly | synchronous, 1);
  await set('/empty', noDump | topDirectory, 4711);
}

/** In the inode, in a block of their own, and in a tree. */
async function fillAttributes(volume: TestVolume, random: SeededRandom): Promise<void> {
  const set = async (path: string, name: string, lengthBytes: number) => {
    const inode = await volume.resolve(path);
    await volume.volume.run((tx) =>
      volume.volume.setExtendedAttribute(tx, inode, {
        name: new TextEncoder().encode(name),
        value: data(random, lengthBytes),
      }),
    );
  };
  for (const path of ['/a/file-100', '/a/file-336', '/a/b', '/fifo', '/a/short-link', '/a/inline-link'])
    await set(path, 'user.small', 20);
  await setAcls(volume);
  for (let i = 0; i < 6; i++) await set('/sparse', `user.${'n'.repeat(i * 30)}`, i * 150);
}

/** On a file and on directories, of which one has what is made in it inherit. */
async function setAcls(volume: TestVolume): Promise<void> {
  const set = async (path: string, kind: string, text: string) => {
    const inode = await volume.resolve(path);
    const name = new TextEncoder().encode(`system.posix_acl_${kind}`);
    const acl = { name, value: aclBytes(text) };
    await volume.volume.run((tx) => volume.volume.setExtendedAttribute(tx, inode, acl));
  };
  await set('/a/file-1', 'access', 'u::rw-,u:7:r--,g::r--,m::r--,o::---');
  await set('/empty', 'default', 'u::rwx,g::r-x,g:8:rwx,m::rwx,o::---');
  await volume.mkdir('/empty/inherits');
  await volume.create('/empty/inherits/file');
}

/** A file of `count` extents, each of one or two blocks, with a hole before each. */
async function fillSparse(
  volume: TestVolume,
  random: SeededRandom,
  path: string,
  count: number,
  stride: number,
): Promise<number> {
  const inode = await volume.create(path);
  const { blockBytes } = volume.volume;
  for (let i = 0; i < count; i++) {
    await volume.write(inode, (i * stride + 1) * blockBytes, data(random, blockBytes * (1 + (i % 2))));
  }
  return inode;
}

/** Deep directories, and one with many names. */
async function fillNames(
  volume: TestVolume,
  random: SeededRandom,
  names: number,
  mostBytes: number,
): Promise<void> {
  let path = '';
  for (let depth = 0; depth < 24; depth++) {
    path += `/d${depth}`;
    await volume.mkdir(path);
  }
  await file(volume, random, `${path}/at-the-bottom`, 700);
  await volume.mkdir('/many');
  for (let i = 0; i < names; i++) {
    const name = `/many/${i}-${'n'.repeat(random.below(mostBytes))}`;
    if (i % 3 === 0) await volume.link(`${path}/at-the-bottom`, name);
    else if (i % 7 === 0) await volume.mkdir(name);
    else await volume.create(name);
  }
}

async function fillExtents(volume: TestVolume, random: SeededRandom, count: number): Promise<void> {
  await fillSparse(volume, random, '/striped', count, 3);
  await fillSparse(volume, random, '/apart', 40, 1_000_000);
  await file(volume, random, '/solid', 60_000);
  const inode = await file(volume, random, '/cut', 30_000);
  await volume.volume.setSize(inode, 12_345, false);
  await volume.volume.setSize(inode, 2 ** 40, false);
}

/** Space before data: holes and unwritten extents between it, and behind the ends of files. */
async function fillUnwritten(volume: TestVolume, random: SeededRandom): Promise<void> {
  const { blockBytes } = volume.volume;
  const how = { keepSize: true, updateTimes: true, killPrivileges: false };
  for (const path of ['/striped', '/kept', '/zeroed']) {
    const inode = await fillSparse(volume, random, path, 60, 5);
    const range = { inode, ...how, offsetBytes: 700, lengthBytes: 400 * blockBytes };
    if (path !== '/kept') await volume.volume.fallocate({ ...range, action: 'zero', lengthBytes: 90_000 });
    await volume.volume.fallocate({ ...range, action: 'allocate' });
    for (let i = 0; i < 40; i++)
      await volume.write(inode, 8 * i * blockBytes, data(random, 1 + random.below(900)));
  }
  const empty = await volume.create('/empty');
  await volume.volume.fallocate({
    ...how,
    inode: empty,
    action: 'allocate',
    offsetBytes: 0,
    lengthBytes: 9000,
  });
}

async function fillOrphans(volume: TestVolume, random: SeededRandom): Promise<void> {
  // First, so that it is at home, where it is looked for.
  await fillSparse(volume, random, '/being-cut', 30, 3);
  await volume.volume.sync();
  await fillSmall(volume, random);
  for (const path of ['/held-1', '/held-2', '/held-3']) {
    const inode = await file(volume, random, path, 9000);
    volume.volume.acquire(inode);
    await volume.unlink(path);
  }
  await volume.mkdir('/held-directory');
  volume.volume.acquire(await volume.resolve('/held-directory'));
  await volume.rmdir('/held-directory');
}

/**
 * Puts the sparse file of `fillOrphans` at the head of the orphan list with a shorter size: a
 * truncation cut short.
 */
function cutShort(image: Image): void {
  const { inodes } = image.index;
  const rootBlock = image.kind(BlockKind.volumeRoot)[0];
  const target = inodes
    .filter(({ mode }) => (mode & 0o170000) === FileType.regular)
    .find(
      ({ block, at }) =>
        Inode.size.get(image.block(block).view, at) === (29 * 3 + 3) * image.layout.blockBytes,
    );
  if (target === undefined || rootBlock === undefined) throw new Error('the base has no file to be cut');
  const first = VolumeRoot.firstOrphan.get(image.block(rootBlock).view, 0);
  const next = inodes.find(({ number }) => number === first);
  image.edit(target.block, ({ view }) => {
    Inode.size.set(view, target.at, 5 * image.layout.blockBytes);
    Inode.nextOrphan.set(view, target.at, first);
  });
  if (next) image.edit(next.block, ({ view }) => Inode.previousOrphan.set(view, next.at, target.number));
  image.edit(rootBlock, ({ view }) => VolumeRoot.firstOrphan.set(view, 0, target.number));
}

/**
 * Several commits, so that a journal has transactions that name the same blocks, and freed ones.
 */
async function fillDirty(volume: TestVolume, random: SeededRandom): Promise<void> {
  await fillSmall(volume, random);
  for (let round = 0; round < 4; round++) {
    await volume.mkdir(`/round-${round}`);
    for (let i = 0; i < 12; i++) await file(volume, random, `/round-${round}/${i}-${'y'.repeat(40)}`, 3000);
    await volume.volume.sync();
    for (let i = 0; i < 12; i++) await volume.unlink(`/round-${round}/${i}-${'y'.repeat(40)}`);
    if (round % 2 === 0) await volume.rmdir(`/round-${round}`);
    await volume.volume.sync();
  }
}

/** Many who have something, and limits that some are above. */
async function fillQuotas(volume: TestVolume, random: SeededRandom): Promise<void> {
  await fillSmall(volume, random);
  await volume.mkdir('/of');
  for (let i = 1; i <= 40; i++) {
    await file(volume, random, `/of/${i}`, i * 50);
    await volume.change(`/of/${i}`, { uid: i * 7919, gid: i });
    const limits = { softBlocks: i % 3, hardBlocks: 2 ** 40, softInodes: i % 2 };
    await volume.volume.quotas.setLimits(QuotaKind.user, i * 7919, limits);
  }
  for (let i = 1; i <= 30; i++) await volume.volume.quotas.setLimits(QuotaKind.project, i, { hardInodes: i });
  const inode = await volume.resolve('/of');
  const changes = { flags: FileFlag.inheritsProject, projectId: 7 };
  await volume.volume.run((tx) => volume.volume.changeFlags(tx, inode, changes));
  await file(volume, random, '/of/project', 5000);
}

/** Until nothing more goes in. */
async function fillFull(volume: TestVolume, random: SeededRandom): Promise<void> {
  await fillSmall(volume, random);
  try {
    for (let i = 0; ; i++) await file(volume, random, `/filler-${i}`, 20_000 + i);
  } catch (thrown) {
    if (!(thrown instanceof FsError && thrown.code === 'ENOSPC')) throw thrown;
  }
}

/** Large runs, so that several groups have bits set. */
async function fillGroups(volume: TestVolume, random: SeededRandom): Promise<void> {
  await fillSmall(volume, random);
  const { blockBytes } = volume.volume;
  const inode = await volume.create('/spread');
  const step = Math.floor(4 * MIB);
  for (let i = 0; i < 3; i++) await volume.write(inode, i * step, data(random, step));
  for (let i = 0; i < 3; i++) await file(volume, random, `/a/b/after-${i}`, 3 * blockBytes);
}

const RECIPES: Readonly<Record<string, Recipe>> = {
  'small-1k': { sizeBytes: MIB, blockBytes: 1024, fill: fillSmall },
  'names-1k': {
    sizeBytes: MIB,
    blockBytes: 1024,
    fill: (volume, random) => fillNames(volume, random, 170, 240),
  },
  'extents-1k': {
    sizeBytes: 1.5 * MIB,
    blockBytes: 1024,
    fill: (volume, random) => fillExtents(volume, random, 500),
  },
  'unwritten-1k': { sizeBytes: 2 * MIB, blockBytes: 1024, fill: fillUnwritten },
  'orphans-1k': { sizeBytes: MIB, blockBytes: 1024, fill: fillOrphans, crashed: true, edit: cutShort },
  'dirty-1k': { sizeBytes: MIB, blockBytes: 1024, fill: fillDirty, crashed: true },
  'full-1k': { sizeBytes: 400 * KIB, blockBytes: 1024, fill: fillFull },
  'quotas-1k': { sizeBytes: MIB, blockBytes: 1024, fill: fillQuotas, crashed: true, quota: true },
  'groups-1k': { sizeBytes: 40 * MIB, blockBytes: 1024, fill: fillGroups },
  'levels-1k': { sizeBytes: 520 * MIB, blockBytes: 1024, fill: fillSmall },
  'small-4k': { sizeBytes: 1.5 * MIB, blockBytes: 4096, fill: fillSmall },
  'names-4k': {
    sizeBytes: 2 * MIB,
    blockBytes: 4096,
    fill: (volume, random) => fillNames(volume, random, 200, 240),
  },
  'dirty-4k': { sizeBytes: 2 * MIB, blockBytes: 4096, fill: fillDirty, crashed: true },
  'small-64k': { sizeBytes: 12 * MIB, blockBytes: 65536, fill: fillSmall },
};

export const BASE_NAMES: readonly string[] = Object.keys(RECIPES);

async function make(name: string, recipe: Recipe): Promise<Base> {
  const random = new SeededRandom(1);
  const bytes = new ImageBytes(recipe.sizeBytes);
  const options = { mostRequests: Number.POSITIVE_INFINITY };
  await formatVolume(new WatchedDevice(bytes, options), {
    blockBytes: recipe.blockBytes,
    label: name,
    uuid: new Uint8Array(16).map((_, i) => 0xa0 + i),
    journalSalt: new Uint8Array(8).map((_, i) => 17 * i + 3),
    nameSecret: new Uint8Array(16).map((_, i) => 17 * i + 3),
    uid: 0,
    gid: 0,
    features: recipe.quota ? defaultFeatures().add('quota') : defaultFeatures(),
    clock: FIXED_CLOCK,
  });
  const volume = await TestVolume.open(new WatchedDevice(bytes, options), { clock: FIXED_CLOCK });
  await recipe.fill(volume, random);
  await volume.volume.sync();
  const taken = bytes.fork();
  await volume.volume.unmount();
  const found = recipe.crashed ? taken : bytes.fork();
  const layout = layoutOf(found);
  const base = { name, bytes: found, layout, index: indexOf(found, layout) };
  if (!recipe.edit) return base;
  const image = new Image(base);
  recipe.edit(image);
  return { ...base, bytes: image.bytes, index: indexOf(image.bytes, layout) };
}

const made = new Map<string, Promise<Base>>();

/** @throws Error if there is no base of this name */
export function baseNamed(name: string): Promise<Base> {
  const recipe = RECIPES[name];
  if (recipe === undefined) throw new Error(`no base '${name}': ${BASE_NAMES.join(', ')}`);
  let base = made.get(name);
  if (base === undefined) {
    base = make(name, recipe);
    made.set(name, base);
  }
  return base;
}

/** The root directory's number, which every base has. */
export const ROOT = ROOT_INODE;
