/**
 * Repairs, kind by kind: each damage of the table is repaired with `-y`, a second check finds
 * nothing, and what the damage did not touch can be read as before, by a mount that knows nothing
 * of it.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { PROBLEMS, type ProblemCode } from '../../src/check/problem.ts';
import { repairVolume } from '../../src/check/repair.ts';
import { viewOf } from '../../src/common/bytes.ts';
import {
  BlockKind,
  BranchRecord,
  EntryRecord,
  ExtentRecord,
  HEADER_BYTES,
  INODE_BODY_OFFSET,
  Inode,
  QuotaKind,
  Superblock,
  VOLUME_ROOT_INODE_OFFSET,
  VolumeState,
} from '../../src/fs/format/format.ts';
import { openVolume } from '../../src/fs/volume.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { DAMAGES } from './check-damages.ts';
import {
  BACKUP,
  BLOCK,
  type Damage,
  Image,
  inodeField,
  LIMITED_USERS,
  makeSample,
  names,
  rootRecord,
  sample,
  superblockField,
} from './check-sample.ts';
import { contentsOf } from './check-tree.ts';
import { TestVolume } from './volume-harness.ts';

let before: Map<string, string>;

beforeAll(async () => {
  await makeSample();
  before = await contentsOf(sample);
});

/**
 * Paths of which a damage leaves nothing, or something else, to be found; none where nothing is
 * said.
 */
const LOSES: Readonly<Record<string, RegExp>> = {
  type: /^\/fifo$/,
  'another type': /^\/fifo$/,
  'empty node': /^\/many\//,
  'extent outside': /^\/small$/,
  'extent of length 0': /^\/small$/,
  'extent over a bitmap': /^\/small$/,
  'entry to nowhere': /^\/small$/,
  'entry name': /^\/small$/,
  'directory named twice': /^\/folder\/inner/,
  'directories in a circle': /^\/folder/,
  'permissions of an ACL': /^\/folder\/shared@system.posix_acl_default$/,
  'an ACL of another order': /^\/folder\/shared@system.posix_acl_default$/,
  'NUL in a target': /^\/link$/,
  'no longer in the table': /^\/many\/|^\/(small|link|fifo|many|folder)/,
  'a target that is gone': /^\/link$/,
  'an extent node that is gone': /large$/,
  'a leaf that is gone': /^\/many\//,
  'one name for two': /^\/fifo$/,
  'a branch where a leaf belongs': /^\/many\//,
  'a target that begins late': /^\/link$/,
  'a target with nothing in it': /^\/link$/,
  'attributes of another length': /tagged@/,
  'attributes here and there': /tagged@/,
  'no attributes, and yet blocks': /labelled@/,
  'name of an attribute': /tagged@/,
  'length of a value': /marked@/,
  'length of a part': /tagged@/,
  'a part of a value': /labelled@user/,
  'a leaf of attributes': /labelled@user/,
  'one name twice': /^\/folder\/inner\/large$/,
  'a branch that leads to itself': /^\/many\//,
};

/** Makes every block of a kind unreadable, or the first of them. */
function wipe(kind: number, most = Number.POSITIVE_INFINITY): Damage {
  return async (image) => {
    for (const block of image.ofKind(kind).slice(0, most)) {
      block.bytes.fill(0xa5);
      await block.store();
    }
  };
}

async function both(image: Image, ...damages: Damage[]): Promise<void> {
  for (const damage of damages) await damage(image);
}

/** Exchanges what two extents of the inode table map. */
const exchangeTable: Damage = async (image) => {
  const root = image.first(BlockKind.volumeRoot);
  const records = image.records(root, VOLUME_ROOT_INODE_OFFSET + INODE_BODY_OFFSET);
  const at = records[0] ?? 0;
  expect(ExtentRecord.length.get(root.view, at)).toBeGreaterThan(3);
  const blocks = image.ofKind(BlockKind.inodes).slice(0, 2);
  const [first, second] = blocks.map(({ bytes }) => bytes.slice());
  for (const [block, other] of [
    [blocks[0], second],
    [blocks[1], first],
  ] as const) {
    if (!block || !other) throw new Error('too few inode blocks');
    block.bytes.set(other.subarray(HEADER_BYTES), HEADER_BYTES);
    await block.seal();
  }
};

/**
 * Damage beyond single fields; what is gone altogether, and what several things say of each other.
 */
const MORE: [what: string, damage: Damage, codes: ProblemCode[]][] = [
  [
    'a superblock of garbage',
    (image) => image.device.poke(0, new Uint8Array(BLOCK).fill(0xa5)),
    ['superblock-bad'],
  ],
  [
    'a backup of garbage',
    (image) => image.device.poke(BACKUP * BLOCK, new Uint8Array(BLOCK)),
    ['backup-bad'],
  ],
  [
    'a superblock of another volume',
    superblockField(0, ({ bytes }) => bytes.fill(9, 24, 40)),
    ['superblock-differs'],
  ],
  ['no volume root', wipe(BlockKind.volumeRoot), ['block-magic']],
  ['no inode bitmap', wipe(BlockKind.inodeBitmap), ['block-magic']],
  ['no group bitmap', wipe(BlockKind.groupBitmap), ['block-magic']],
  ['no summary', wipe(BlockKind.summary), ['block-magic']],
  [
    'no bitmaps at all',
    (image) => both(image, wipe(BlockKind.groupBitmap), wipe(BlockKind.summary)),
    ['block-magic'],
  ],
  ['no journal heads', wipe(BlockKind.journalHead), ['journal-heads']],
  ['no longer in the table', wipe(BlockKind.inodes, 1), ['block-magic', 'root-directory']],
  ['a target that is gone', wipe(BlockKind.symlink), ['block-magic']],
  ['an extent node that is gone', wipe(BlockKind.extentNode), ['block-magic']],
  ['a leaf that is gone', wipe(BlockKind.directoryNode, 1), ['block-magic']],
  ['inode blocks in each other’s place', exchangeTable, ['table-inode-block']],
  ['a generation', inodeField(() => names.small, Inode.generation, 2 ** 60), ['inode-generation']],
  [
    'one name twice',
    async (image) => {
      const { block, records } = image.root(names.inner);
      const [at = 0] = records;
      EntryRecord.inode.set(block.view, at, names.small);
      await block.seal();
    },
    ['inode-unconnected', 'link-count'],
  ],
  [
    'a branch that leads to itself',
    async (image) => {
      const { records } = image.root(names.many);
      const child = BranchRecord.child.get(image.root(names.many).block.view, records[0] ?? 0);
      const other = image.blocks[child];
      if (!other) throw new Error('no such node');
      image.root(names.many).block.view.setUint8(records[1] ?? 0, 0);
      await both(
        image,
        rootRecord(
          () => names.many,
          1,
          (view, at) => BranchRecord.child.set(view, at, child),
        ),
      );
    },
    ['block-shared'],
  ],
];
describe('every damage of the tables', () => {
  test.each([...DAMAGES, ...MORE])('%s', async (what, damage, codes) => {
    const image = await new Image().load();
    await damage(image);
    // A write to this device would be an error.
    const checked = await checkVolume(image.device.reopen({ readOnly: true }));
    for (const code of codes) expect(checked.problems.map((problem) => problem.code)).toContain(code);

    const repaired = await repairVolume(image.device, 'all');
    expect(repaired.after.problems).toEqual([]);
    expect(repaired.outcome).toBe('corrected');
    const again = await checkVolume(image.device);
    expect(again).toMatchObject({ clean: true, state: 'clean', problems: [] });

    const now = await contentsOf(image.device);
    const lost = [...before].filter(([path, digest]) => now.get(path) !== digest).map(([path]) => path);
    expect(lost.filter((path) => !LOSES[what]?.test(path))).toEqual([]);
    expect([...now.values()]).not.toContain('broken');
  });

  test('a repair asked to do only what is safe does that, and refuses the rest without writing', async () => {
    let refused = 0;
    for (const [what, damage] of [...DAMAGES, ...MORE]) {
      const image = await new Image().load();
      await damage(image);
      const { problems } = await checkVolume(image.device);
      const isSafe = problems.every(({ code }) => PROBLEMS[code].repair === 'safe');
      const device = image.device.reopen({ readOnly: !isSafe });
      const repaired = await repairVolume(device, 'safe');
      expect(repaired.outcome, what).toBe(isSafe ? 'corrected' : 'refused');
      if (!isSafe) refused++;
    }
    expect(refused).toBeGreaterThan(10);
  });
});

describe('limits', () => {
  const limitsAfter = async (damage: Damage) => {
    const image = await new Image().load();
    await damage(image);
    expect((await repairVolume(image.device, 'all')).outcome).toBe('corrected');
    const volume = await openVolume(image.device.reopen());
    const { entries } = await volume.quotas.page(QuotaKind.user, 1, 1000);
    await volume.unmount();
    return entries.filter(
      ({ id, blockLimits, inodeLimits }) => blockLimits.soft === id && inodeLimits.hard === 2 * id,
    );
  };

  test('are kept when the volume root is gone, or the root of their tree', async () => {
    expect(await limitsAfter(wipe(BlockKind.volumeRoot))).toHaveLength(LIMITED_USERS);
    const wipeRoot: Damage = async (image) => {
      for (const block of image.ofKind(BlockKind.quotaNode)) {
        if (block.view.getUint8(HEADER_BYTES) > 0) block.bytes.fill(0);
        await block.store();
      }
    };
    expect(await limitsAfter(wipeRoot)).toHaveLength(LIMITED_USERS);
  });

  test('of one node go with it, and no others', async () => {
    const wipeLeaf: Damage = async (image) => {
      const leaf = image.ofKind(BlockKind.quotaNode).find(({ view }) => view.getUint8(HEADER_BYTES) === 0);
      leaf?.bytes.fill(0);
      await leaf?.store();
    };
    const left = await limitsAfter(wipeLeaf);
    expect(left.length).toBeGreaterThan(LIMITED_USERS / 3);
    expect(left.length).toBeLessThan(LIMITED_USERS);
  });
});

describe('a repair that was cut off', () => {
  test('is not mounted until another one has ended it', async () => {
    const image = await new Image().load();
    await superblockField(0, ({ view }) => Superblock.state.set(view, 0, VolumeState.repairing))(image);
    await expect(TestVolume.open(image.device.clone())).rejects.toThrow(/cut off/);
    const { problems } = await checkVolume(image.device);
    expect(problems.map(({ code }) => code)).toEqual(['superblock-repairing']);
    expect((await repairVolume(image.device, 'safe')).outcome).toBe('corrected');
    expect(await contentsOf(image.device)).toEqual(before);
  });

  test('says so on disk from its first write to its last', async () => {
    const image = await new Image().load();
    await inodeField(() => names.small, Inode.blocks, 2)(image);
    const { sizeBytes, content } = image.device;
    const device = new SimulatedDevice({ sizeBytes, content });
    await repairVolume(device, 'all');
    const writes = device.log.flatMap((event) => (event.kind === 'write-queued' ? [event] : []));
    const states = [writes.at(0), writes.at(-1)].map((event) => {
      expect(event?.deviceOffset).toBe(0);
      return event && Superblock.state.get(viewOf(event.data), 0);
    });
    expect(states).toEqual([VolumeState.repairing, VolumeState.clean]);
  });
});

describe('where things go', () => {
  test('a block that cannot be read is not needed any more', async () => {
    const image = await new Image().load();
    const leaf = image.ofKind(BlockKind.directoryNode, names.many)[0]?.number ?? 0;
    const device = new SimulatedDevice({ sizeBytes: image.device.sizeBytes, content: image.device.content });
    device.fault = ({ operation, deviceOffset, lengthBytes }) => {
      const isHit = deviceOffset <= leaf * BLOCK && deviceOffset + lengthBytes > leaf * BLOCK;
      return operation === 'read' && isHit ? 5 : 0;
    };
    const { problems } = await checkVolume(device);
    expect(problems.map(({ code }) => code)).toContain('block-unreadable');
    expect((await repairVolume(device, 'all')).outcome).toBe('corrected');
    expect(await checkVolume(device)).toMatchObject({ clean: true });
  });

  test('what has lost its name is in lost+found, whole', async () => {
    const image = await new Image().load();
    await rootRecord(
      () => 1,
      0,
      (view, at) => EntryRecord.inode.set(view, at, 30_000),
    )(image);
    await repairVolume(image.device, 'all');
    const now = await contentsOf(image.device);
    const gone = [...before].filter(([path]) => !now.has(path) && path.lastIndexOf('/') === 0);
    const found = [...now].filter(
      ([path]) => path.startsWith('/lost+found/#') && path.split('/').length === 3,
    );
    expect(gone.length).toBe(1);
    expect(found.map(([, digest]) => digest)).toEqual(gone.map(([, digest]) => digest));
  });

  test('of two owners of a block each has its own in the end, with the same bytes', async () => {
    const image = await new Image().load();
    const large = image.first(BlockKind.extentNode, names.large);
    const [stolen = 0] = image.records(large, HEADER_BYTES);
    const block = ExtentRecord.block.get(large.view, stolen);
    const original = image.device.peek(block * BLOCK, BLOCK);
    await rootRecord(
      () => names.small,
      0,
      (view, at) => {
        ExtentRecord.block.set(view, at, block);
        ExtentRecord.length.set(view, at, 1);
      },
    )(image);
    expect((await repairVolume(image.device, 'all')).outcome).toBe('corrected');
    const now = await contentsOf(image.device);
    expect(now.get('/folder/inner/large')).toBe(before.get('/folder/inner/large'));
    const after = await new Image(image.device).load();
    const own = [
      ExtentRecord.block.get(after.root(names.small).block.view, after.root(names.small).records[0] ?? 0),
      ExtentRecord.block.get(after.first(BlockKind.extentNode, names.large).view, stolen),
    ];
    expect(own[0]).not.toBe(own[1]);
    for (const place of own) expect(image.device.peek(place * BLOCK, BLOCK)).toEqual(original);
  });

  test('a file with blocks behind its end grows, one that was being truncated is cut', async () => {
    const grown = await new Image().load();
    await inodeField(() => names.small, Inode.size, BLOCK)(grown);
    await repairVolume(grown.device, 'all');
    expect((await contentsOf(grown.device)).get('/small')).toBe(before.get('/small'));

    const cut = await new Image().load();
    await superblockField(0, ({ view }) => Superblock.state.set(view, 0, 1))(cut);
    await inodeField(() => names.small, Inode.size, BLOCK)(cut);
    const root = cut.first(BlockKind.volumeRoot);
    root.view.setUint32(560, names.small, true);
    await root.seal();
    const repaired = await repairVolume(cut.device, 'safe');
    expect(repaired).toMatchObject({ outcome: 'clean', orphans: 1, problems: [] });
    expect((await contentsOf(cut.device)).get('/small')).toMatch(/ 4096 /);
    expect(await checkVolume(cut.device)).toMatchObject({ clean: true, state: 'clean' });
  });
});
