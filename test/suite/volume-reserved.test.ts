/** Space that ordinary users leave to root: who may have it, and what is told of it. */
import { expect, test } from 'vitest';
import { emptyStatistics } from '../../src/fs/base/empty-attributes.ts';
import { TestVolume } from './volume-harness.ts';

const MIB = 2 ** 20;
const BLOCK = 4096;

async function reserving(reserved: { bytes: number; share: number }): Promise<TestVolume> {
  const volume = await TestVolume.make(16 * MIB, BLOCK);
  volume.volume.adjust({ reserved });
  return volume;
}

async function space(volume: TestVolume) {
  const into = emptyStatistics();
  await volume.run((tx) => volume.volume.statistics(tx, into));
  return into;
}

test.each([
  { reserved: { bytes: 4 * MIB, share: 0 }, blocks: () => (4 * MIB) / BLOCK },
  { reserved: { bytes: 1, share: 0 }, blocks: () => 1 },
  { reserved: { bytes: 0, share: 0.25 }, blocks: (all: number) => Math.floor(all / 4) },
  { reserved: { bytes: 2 ** 50, share: 0 }, blocks: (all: number) => Math.floor(all / 2) },
])('$reserved are free, and not available', async ({ reserved, blocks }) => {
  const volume = await reserving(reserved);
  const { freeBlocks, availableBlocks, blocks: all } = await space(volume);
  expect(freeBlocks - availableBlocks).toBe(blocks(all));
  expect(volume.volume.freeBytes).toBe(availableBlocks * BLOCK);
  volume.volume.adjust({ reserved: { bytes: 0, share: 0 } });
  expect(await space(volume)).toMatchObject({ freeBlocks, availableBlocks: freeBlocks });
});

/** From now on it is they who ask, and whose the new files are. */
function as(volume: TestVolume, uid: number): void {
  volume.caller = { ...volume.caller, uid };
  volume.asker = { isLimited: uid !== 0 };
}

/** Writes block by block until there is no more. Returns how many blocks there were. */
async function fill(volume: TestVolume, inode: number): Promise<number> {
  for (let block = 0; ; block++) {
    try {
      await volume.write(inode, block * BLOCK, new Uint8Array(BLOCK));
    } catch (thrown) {
      expect(thrown).toMatchObject({ code: 'ENOSPC' });
      return block;
    }
  }
}

test.each([
  { who: 'a user, past the cache', uid: 1000, owner: 0, fromCache: false, may: false },
  { who: 'root, past the cache', uid: 0, owner: 1000, fromCache: false, may: true },
  { who: "the cache, of a user's file", uid: 1000, owner: 1000, fromCache: true, may: false },
  { who: "the cache, of root's file", uid: 1000, owner: 0, fromCache: true, may: true },
])('written by $who: $may', async ({ uid, owner, fromCache, may }) => {
  const volume = await reserving({ bytes: 4 * MIB, share: 0 });
  as(volume, owner);
  const inode = await volume.create('/file');
  as(volume, uid);
  volume.fromCache = fromCache;
  const { freeBlocks, availableBlocks } = await space(volume);
  const blocks = await fill(volume, inode);
  const most = may ? freeBlocks : availableBlocks;
  // Nodes of the extent map take some.
  expect(blocks).toBeLessThanOrEqual(most);
  expect(blocks).toBeGreaterThan(most - 16);
  expect((await space(volume)).availableBlocks).toBe(0);
  await volume.volume.unmount();
});

test('a user may rename and remove, and make no more; root may', async () => {
  const volume = await reserving({ bytes: 8 * MIB, share: 0 });
  as(volume, 1000);
  const inode = await volume.create('/large');
  await fill(volume, inode);
  await volume.rename('/large', '/renamed');
  const make = async (name: string) => {
    for (let made = 0; made < 1000; made++) await volume.create(`/${name}-${made}`);
  };
  await expect(make('user')).rejects.toMatchObject({ code: 'ENOSPC' });
  as(volume, 0);
  await make('root');
  as(volume, 1000);
  await volume.unlink('/renamed');
  await volume.volume.sync();
  await make('again');
  await volume.volume.unmount();
});
