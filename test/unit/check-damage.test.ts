/**
 * The checker on damaged volumes: each kind of damage is found by its code, and none makes it throw or hang.
 *
 * Damage is done to a copy of a sound volume, and the checksum of the block made right again, unless it is the checksum
 * that is tried: so it is the contents that the checker has to see through.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { PromisedCompletion } from '../../src/aio/device.ts';
import { MemoryDevice } from '../../src/aio/memory-device.ts';
import { checkVolume, NotAVolumeError } from '../../src/check/checker.ts';
import { blockChecksum, viewOf } from '../../src/check/metadata-block.ts';
import { PROBLEMS, type ProblemCode, problemMessage } from '../../src/check/problem.ts';
import {
  BitmapHeader,
  BlockHeader,
  BlockKind,
  BranchRecord,
  EntryRecord,
  ExtentRecord,
  FileType,
  HEADER_BYTES,
  INODE_BODY_OFFSET,
  INODE_BYTES,
  Inode,
  MAGIC_BYTES,
  NodeHeader,
  OwnerHeader,
  ROOT_INODE,
  SUPERBLOCK_BYTES,
  SummaryEntry,
  SummaryHeader,
  Superblock,
  VOLUME_ROOT_INODE_OFFSET,
  VolumeRoot,
} from '../../src/fs/format.ts';
import { formatVolume } from '../../src/fs/mkfs.ts';
import { openVolume, type Volume } from '../../src/fs/volume.ts';

const BLOCK = 4096;
const SIZE = 16 * 1024 * 1024;
const LAST = SIZE / BLOCK - 1;
const caller = { uid: 0, gid: 0, umask: 0o022 };

/** Inodes of the sample by what they are. */
const names = { folder: 0, inner: 0, many: 0, large: 0, small: 0, fifo: 0, link: 0 };
let sample: MemoryDevice;

async function io(
  device: MemoryDevice,
  kind: 'read' | 'write',
  bytes: Uint8Array,
  offset: number,
): Promise<void> {
  const memory = device.allocateMemory(bytes.length);
  if (kind === 'write') memory.bytes.set(bytes);
  const completion = new PromisedCompletion();
  device[kind](memory, 0, bytes.length, offset, completion);
  device.submit();
  expect(await completion.promise).toBe(0);
  if (kind === 'read') bytes.set(memory.bytes);
}

/** A block of an image, taken out to be changed. */
class Block {
  readonly view: DataView;

  constructor(
    readonly device: MemoryDevice,
    readonly number: number,
    readonly bytes: Uint8Array,
  ) {
    this.view = viewOf(bytes);
  }

  get kind(): number {
    return BlockHeader.kind.get(this.view, 0);
  }

  async store(): Promise<void> {
    await io(this.device, 'write', this.bytes, this.number * BLOCK);
  }

  /** Writes it back with a right checksum. */
  async seal(): Promise<void> {
    const covered = this.bytes.subarray(0, this.kind === BlockKind.superblock ? SUPERBLOCK_BYTES : BLOCK);
    BlockHeader.checksum.set(this.view, 0, blockChecksum(covered));
    await this.store();
  }
}

/** A copy of the sample with ways to find things in it. */
class Image {
  readonly device = sample.clone();
  blocks: Block[] = [];

  async load(): Promise<this> {
    const content = new Uint8Array(SIZE);
    await io(this.device, 'read', content, 0);
    for (let number = 0; number <= LAST; number++) {
      this.blocks.push(
        new Block(this.device, number, content.subarray(number * BLOCK, (number + 1) * BLOCK)),
      );
    }
    return this;
  }

  ofKind(kind: number, owner?: number): Block[] {
    return this.blocks.filter((block) => {
      const isMetadata = MAGIC_BYTES.every((byte, index) => block.bytes[index] === byte);
      // The log of the journal holds copies of blocks that are at home by now.
      const isAtHome = BlockHeader.block.get(block.view, 0) === block.number;
      if (!isMetadata || !isAtHome || block.kind !== kind) return false;
      return owner === undefined || OwnerHeader.owner.get(block.view, 0) === owner;
    });
  }

  first(kind: number, owner?: number): Block {
    const [block] = this.ofKind(kind, owner);
    if (!block) throw new Error(`no block of kind ${kind}`);
    return block;
  }

  inode(number: number): { block: Block; at: number } {
    for (const block of this.ofKind(BlockKind.inodes)) {
      for (let at = HEADER_BYTES; at + INODE_BYTES <= BLOCK; at += INODE_BYTES) {
        if (Inode.number.get(block.view, at) === number && Inode.mode.get(block.view, at) !== 0)
          return { block, at };
      }
    }
    throw new Error(`no inode ${number}`);
  }

  /** Records of the node in a region, by their offsets in the view. */
  records(block: Block, at: number): number[] {
    const count = NodeHeader.count.get(block.view, at);
    return Array.from({ length: count }, (_, slot) => at + block.view.getUint16(at + 8 + 2 * slot, true));
  }

  /** The root node of an inode's tree. */
  root(number: number): { block: Block; records: number[] } {
    const { block, at } = this.inode(number);
    return { block, records: this.records(block, at + INODE_BODY_OFFSET) };
  }
}

async function problemsOf(device: MemoryDevice): Promise<ProblemCode[]> {
  const { problems, clean, problemCount } = await checkVolume(device);
  expect(problemCount).toBe(problems.length);
  expect(clean).toBe(problems.length === 0);
  return problems.map(({ code }) => code);
}

function text(name: string): Uint8Array {
  return new TextEncoder().encode(name);
}

function make(volume: Volume, parent: number, name: string, type: number): Promise<number> {
  const request = { mode: type | 0o644, deviceNumber: 0, caller };
  return volume.run((tx) => volume.create(tx, parent, text(name), request));
}

function write(
  volume: Volume,
  device: MemoryDevice,
  inode: number,
  offset: number,
  length: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const memory = device.allocateMemory(length + 3 * BLOCK);
    memory.bytes.fill(0x5a, 0, length);
    volume.write({
      inode,
      offsetBytes: offset,
      lengthBytes: length,
      memory,
      memoryOffset: 0,
      updateTimes: true,
      killPrivileges: false,
      mayEndEarly: false,
      finished: (thrown) => (thrown === undefined ? resolve() : reject(thrown)),
    });
    volume.submit();
  });
}

beforeAll(async () => {
  const device = new MemoryDevice(SIZE);
  await formatVolume(device, {
    blockBytes: BLOCK,
    label: '',
    uuid: new Uint8Array(16).fill(7),
    hashSeed: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]),
    uid: 0,
    gid: 0,
  });
  const volume = await openVolume(device, {});
  names.folder = await make(volume, ROOT_INODE, 'folder', FileType.directory);
  names.inner = await make(volume, names.folder, 'inner', FileType.directory);
  names.many = await make(volume, ROOT_INODE, 'many', FileType.directory);
  for (let i = 0; i < 400; i++) await make(volume, names.many, `file number ${i}`, FileType.regular);
  names.large = await make(volume, names.inner, 'large', FileType.regular);
  for (let i = 0; i < 40; i++) await write(volume, device, names.large, 2 * i * BLOCK, BLOCK);
  names.small = await make(volume, ROOT_INODE, 'small', FileType.regular);
  await write(volume, device, names.small, 0, 3 * BLOCK);
  names.fifo = await make(volume, ROOT_INODE, 'fifo', FileType.fifo);
  names.link = await volume.run((tx) =>
    volume.symlink(tx, ROOT_INODE, text('link'), text('x'.repeat(900)), caller),
  );
  await volume.unmount();
  sample = device.reopen();
});

type Damage = (image: Image) => Promise<void> | void;

/** Changes a field of an inode. */
function inodeField(
  number: () => number,
  field: { set(view: DataView, at: number, value: number): void },
  value: number,
): Damage {
  return async (image) => {
    const { block, at } = image.inode(number());
    field.set(block.view, at, value);
    await block.seal();
  };
}

/** Changes a block found by kind. */
function blockOf(kind: number, change: (block: Block, image: Image) => void, owner?: () => number): Damage {
  return async (image) => {
    const block = image.first(kind, owner?.());
    change(block, image);
    await block.seal();
  };
}

/** Changes a record of the root node of an inode's tree. */
function rootRecord(
  number: () => number,
  index: number,
  change: (view: DataView, at: number) => void,
): Damage {
  return async (image) => {
    const { block, records } = image.root(number());
    change(block.view, records[index] ?? 0);
    await block.seal();
  };
}

function superblockField(block: number, change: (found: Block) => void): Damage {
  return async (image) => {
    const found = image.blocks[block];
    if (!found) throw new Error('no such block');
    change(found);
    await found.seal();
  };
}

const KINDS_WITH_CHECKSUM = [
  'volumeRoot',
  'groupBitmap',
  'summary',
  'inodeBitmap',
  'inodes',
  'extentNode',
  'directoryNode',
  'symlink',
] as const;

/** What is done, and the codes that must be among the problems. */
const DAMAGES: [what: string, damage: Damage, codes: ProblemCode[]][] = [
  // Headers.
  ['magic', blockOf(BlockKind.inodeBitmap, ({ bytes }) => bytes.fill(0, 0, 1)), ['block-magic']],
  ['kind', blockOf(BlockKind.extentNode, ({ view }) => BlockHeader.kind.set(view, 0, 8)), ['block-kind']],
  [
    'number',
    blockOf(BlockKind.directoryNode, ({ view }) => BlockHeader.block.set(view, 0, 5)),
    ['block-number'],
  ],
  ['volume', blockOf(BlockKind.summary, ({ bytes }) => bytes.fill(9, 24, 40)), ['block-uuid']],

  // Superblock.
  [
    'space start',
    superblockField(0, ({ view }) => Superblock.spaceStart.set(view, 0, 9)),
    ['superblock-field'],
  ],
  ['state', superblockField(0, ({ view }) => Superblock.state.set(view, 0, 5)), ['superblock-state']],
  ['backup', superblockField(LAST, ({ bytes }) => bytes.fill(0, 0, 64)), ['backup-bad']],
  ['hash seed', superblockField(LAST, ({ bytes }) => bytes.fill(0, 152, 160)), ['superblock-differs']],
  [
    'block count',
    superblockField(0, ({ view }) => Superblock.blockCount.set(view, 0, 2)),
    ['superblock-bad'],
  ],

  // Volume root.
  [
    'inode count',
    blockOf(BlockKind.volumeRoot, ({ view }) => VolumeRoot.inodeCount.set(view, 0, 3)),
    ['root-count'],
  ],
  [
    'first free chunk',
    blockOf(BlockKind.volumeRoot, ({ view }) => VolumeRoot.firstFreeChunk.set(view, 0, 1)),
    ['root-first-free-chunk'],
  ],
  [
    'next generation',
    blockOf(BlockKind.volumeRoot, ({ view }) => VolumeRoot.nextGeneration.set(view, 0, 2)),
    ['root-generation'],
  ],
  [
    'blocks of the inode table',
    blockOf(BlockKind.volumeRoot, ({ view }) => Inode.blocks.set(view, VOLUME_ROOT_INODE_OFFSET, 1)),
    ['inode-blocks'],
  ],

  // Inode bitmap.
  [
    'inodes used',
    blockOf(BlockKind.inodeBitmap, ({ view }) => BitmapHeader.used.set(view, 0, 1)),
    ['chunk-used'],
  ],
  [
    'first free inode',
    blockOf(BlockKind.inodeBitmap, ({ view }) => BitmapHeader.firstFree.set(view, 0, 20000)),
    ['chunk-first-free'],
  ],
  [
    'inode 0 free',
    blockOf(BlockKind.inodeBitmap, ({ bytes }) => bytes.fill(0xfe, HEADER_BYTES, HEADER_BYTES + 1)),
    ['inode-zero', 'chunk-used'],
  ],
  [
    'an inode without its bit',
    blockOf(BlockKind.inodeBitmap, ({ bytes }) => bytes.fill(0xfb, HEADER_BYTES, HEADER_BYTES + 1)),
    ['inode-unmarked'],
  ],
  [
    'a bit without an inode block',
    blockOf(BlockKind.inodeBitmap, ({ bytes }) => bytes.fill(0xff, BLOCK - 1)),
    ['inode-no-block'],
  ],

  // Inodes.
  [
    'mode 0',
    inodeField(() => names.small, Inode.mode, 0),
    ['inode-unused-bit', 'entry-inode', 'space-unowned'],
  ],
  ['type', inodeField(() => names.fifo, Inode.mode, 0o170644), ['inode-mode', 'entry-type']],
  ['another type', inodeField(() => names.fifo, Inode.mode, 0o140644), ['entry-type']],
  ['own number', inodeField(() => names.small, Inode.number, 99), ['inode-number']],
  ['flags', inodeField(() => names.small, Inode.flags, 0x80), ['inode-flags']],
  ['size of a file', inodeField(() => names.small, Inode.size, 2 ** 51), ['inode-size']],
  ['size of a fifo', inodeField(() => names.fifo, Inode.size, 1), ['inode-size']],
  ['blocks beyond the size', inodeField(() => names.small, Inode.size, BLOCK), ['extent-beyond-size']],
  ['blocks', inodeField(() => names.small, Inode.blocks, 2), ['inode-blocks']],
  ['blocks of a directory', inodeField(() => names.many, Inode.blocks, 2), ['inode-blocks']],
  ['nanoseconds', inodeField(() => names.small, Inode.birthNanoseconds, 1e9), ['inode-time']],
  ['link count of a file', inodeField(() => names.small, Inode.linkCount, 2), ['link-count']],
  ['link count of a directory', inodeField(() => names.folder, Inode.linkCount, 2), ['link-count']],
  ['too many links', inodeField(() => names.small, Inode.linkCount, 70_000), ['inode-links-limit']],
  ['no links', inodeField(() => names.small, Inode.linkCount, 0), ['entry-to-orphan', 'orphan-not-listed']],
  ['parent', inodeField(() => names.inner, Inode.parent, 1), ['directory-parent']],
  ['entries', inodeField(() => names.many, Inode.size, 399), ['directory-size']],
  ['attributes', inodeField(() => names.small, Inode.attributeBlock, 200), ['inode-attributes']],
  ['orphan fields', inodeField(() => names.small, Inode.nextOrphan, 2), ['inode-orphan-fields']],
  [
    'bytes after inline data',
    async (image) => {
      const { block, at } = image.inode(names.many + 1);
      block.bytes.fill(1, at + INODE_BYTES - 1, at + INODE_BYTES);
      await block.seal();
    },
    ['inode-inline-tail'],
  ],

  // Orphan list.
  [
    'list to a directory',
    blockOf(BlockKind.volumeRoot, ({ view }) => VolumeRoot.firstOrphan.set(view, 0, names.folder)),
    ['orphan-member'],
  ],
  [
    'list to a free inode',
    blockOf(BlockKind.volumeRoot, ({ view }) => VolumeRoot.firstOrphan.set(view, 0, 5000)),
    ['orphan-member'],
  ],
  [
    'a truncation left over',
    blockOf(BlockKind.volumeRoot, ({ view }) => VolumeRoot.firstOrphan.set(view, 0, names.small)),
    ['orphan-left'],
  ],
  [
    'wrong way back',
    async (image) => {
      await inodeField(() => names.small, Inode.previousOrphan, 3)(image);
      const root = image.first(BlockKind.volumeRoot);
      VolumeRoot.firstOrphan.set(root.view, 0, names.small);
      await root.seal();
    },
    ['orphan-previous'],
  ],
  [
    'circle of one',
    async (image) => {
      const { block, at } = image.inode(names.fifo);
      Inode.linkCount.set(block.view, at, 0);
      Inode.nextOrphan.set(block.view, at, names.fifo);
      await block.seal();
      const root = image.first(BlockKind.volumeRoot);
      VolumeRoot.firstOrphan.set(root.view, 0, names.fifo);
      await root.seal();
    },
    ['orphan-cycle', 'entry-to-orphan'],
  ],

  // Trees.
  [
    'key order',
    async (image) => {
      const { block, records } = image.root(ROOT_INODE);
      const [first = 0, second = 0] = records;
      const key = EntryRecord.key.get(block.view, first);
      EntryRecord.key.set(block.view, first, EntryRecord.key.get(block.view, second));
      EntryRecord.key.set(block.view, second, key);
      await block.seal();
    },
    ['tree-key-order', 'entry-key'],
  ],
  [
    'one child twice',
    async (image) => {
      const { block, records } = image.root(names.many);
      const [first = 0, second = 0] = records;
      BranchRecord.child.set(block.view, second, BranchRecord.child.get(block.view, first));
      await block.seal();
    },
    ['block-shared', 'space-unowned'],
  ],
  [
    'child outside',
    rootRecord(
      () => names.many,
      0,
      (view, at) => BranchRecord.child.set(view, at, 2 ** 40),
    ),
    ['tree-child'],
  ],
  [
    'level',
    blockOf(BlockKind.directoryNode, ({ view }) => NodeHeader.level.set(view, HEADER_BYTES, 1)),
    ['tree-header'],
  ],
  [
    'count',
    blockOf(BlockKind.directoryNode, ({ view }) => NodeHeader.count.set(view, HEADER_BYTES, 60000)),
    ['tree-header'],
  ],
  [
    'garbage bytes',
    blockOf(BlockKind.directoryNode, ({ view }) => NodeHeader.garbage.set(view, HEADER_BYTES, 5000)),
    ['tree-header'],
  ],
  [
    'owner',
    blockOf(BlockKind.directoryNode, ({ view }) => OwnerHeader.owner.set(view, 0, 77)),
    ['tree-owner'],
  ],
  [
    'empty node',
    async (image) => {
      const leaf = image
        .ofKind(BlockKind.directoryNode, names.many)
        .find(({ view }) => view.getUint8(HEADER_BYTES) === 0);
      if (!leaf) throw new Error('no leaf');
      NodeHeader.count.set(leaf.view, HEADER_BYTES, 0);
      NodeHeader.garbage.set(leaf.view, HEADER_BYTES, 0);
      NodeHeader.heapStart.set(leaf.view, HEADER_BYTES, BLOCK - HEADER_BYTES);
      await leaf.seal();
    },
    ['tree-empty', 'directory-size', 'inode-unconnected'],
  ],

  // Extents.
  [
    'extent outside',
    rootRecord(
      () => names.small,
      0,
      (view, at) => ExtentRecord.block.set(view, at, 2 ** 40),
    ),
    ['extent-outside', 'space-unowned'],
  ],
  [
    'extent of length 0',
    rootRecord(
      () => names.small,
      0,
      (view, at) => ExtentRecord.length.set(view, at, 0),
    ),
    ['tree-record'],
  ],
  [
    'extent over a bitmap',
    async (image) => {
      const bitmap = image.first(BlockKind.groupBitmap).number;
      await rootRecord(
        () => names.small,
        0,
        (view, at) => ExtentRecord.block.set(view, at, bitmap),
      )(image);
    },
    ['block-shared'],
  ],
  [
    'unknown extent flag',
    rootRecord(
      () => names.small,
      0,
      (view, at) => ExtentRecord.flags.set(view, at, 4),
    ),
    ['tree-record'],
  ],

  // Entries.
  [
    'entry to nowhere',
    rootRecord(
      () => ROOT_INODE,
      0,
      (view, at) => EntryRecord.inode.set(view, at, 30000),
    ),
    ['entry-inode'],
  ],
  [
    'entry type',
    rootRecord(
      () => ROOT_INODE,
      0,
      (view, at) => EntryRecord.type.set(view, at, 15),
    ),
    ['entry-type'],
  ],
  [
    'entry name',
    rootRecord(
      () => ROOT_INODE,
      0,
      (view, at) => view.setUint8(at + EntryRecord.sizeBytes, 0x2f),
    ),
    ['entry-name', 'entry-key'],
  ],
  [
    'directory named twice',
    rootRecord(
      () => names.folder,
      0,
      (view, at) => EntryRecord.inode.set(view, at, names.many),
    ),
    ['directory-second-name', 'directory-unconnected', 'link-count'],
  ],
  [
    'directories in a circle',
    async (image) => {
      // `large` in inner becomes a name of folder, and folder's own name leads to the fifo.
      await rootRecord(
        () => names.inner,
        0,
        (view, at) => {
          EntryRecord.inode.set(view, at, names.folder);
          EntryRecord.type.set(view, at, 4);
        },
      )(image);
      const { block, records } = image.root(ROOT_INODE);
      const at = records.find((record) => EntryRecord.inode.get(block.view, record) === names.folder) ?? 0;
      EntryRecord.inode.set(block.view, at, names.fifo);
      await block.seal();
    },
    ['directory-unconnected', 'directory-parent', 'inode-unconnected'],
  ],
  [
    'root is no directory',
    inodeField(() => ROOT_INODE, Inode.mode, 0o100644),
    ['root-directory', 'directory-unconnected'],
  ],

  // Long symbolic links.
  [
    'NUL in a target',
    blockOf(BlockKind.symlink, ({ bytes }) => bytes.fill(0, HEADER_BYTES + 5, HEADER_BYTES + 6)),
    ['symlink-target'],
  ],

  // Space.
  [
    'a block in use by nobody',
    blockOf(BlockKind.groupBitmap, ({ bytes }) => bytes.fill(0xff, HEADER_BYTES + 400, HEADER_BYTES + 401)),
    ['space-unowned', 'space-used', 'space-free'],
  ],
  [
    'blocks free and in use',
    blockOf(BlockKind.groupBitmap, ({ bytes }) => bytes.fill(0, HEADER_BYTES, HEADER_BYTES + 1)),
    ['space-unmarked'],
  ],
  [
    'bits beyond the end',
    blockOf(BlockKind.groupBitmap, ({ bytes }) => bytes.fill(0, BLOCK - 1)),
    ['space-unmarked'],
  ],
  [
    'used blocks',
    blockOf(BlockKind.groupBitmap, ({ view }) => BitmapHeader.used.set(view, 0, 9)),
    ['space-used'],
  ],
  [
    'first free block',
    blockOf(BlockKind.groupBitmap, ({ view }) => BitmapHeader.firstFree.set(view, 0, 30000)),
    ['space-first-free'],
  ],
  [
    'free blocks of a group',
    blockOf(BlockKind.summary, ({ view }) => SummaryEntry.freeBlocks.set(view, HEADER_BYTES, 1)),
    ['space-free', 'space-sum'],
  ],
  ['sum', blockOf(BlockKind.summary, ({ view }) => SummaryHeader.freeBlocks.set(view, 0, 1)), ['space-sum']],
  [
    'summary level',
    blockOf(BlockKind.summary, ({ view }) => SummaryHeader.level.set(view, 0, 2)),
    ['space-summary-header'],
  ],
  [
    'summary flags',
    blockOf(BlockKind.summary, ({ view }) => SummaryEntry.flags.set(view, HEADER_BYTES, 3)),
    ['space-summary-flags'],
  ],
  [
    'a group said to be untouched',
    blockOf(BlockKind.summary, ({ view }) => SummaryEntry.flags.set(view, HEADER_BYTES, 0)),
    ['space-not-initialised'],
  ],
];

describe('damage', () => {
  test('the sample is sound', async () => {
    expect(await problemsOf(sample.clone())).toEqual([]);
  });

  test.each(DAMAGES)('%s', async (_, damage, codes) => {
    const image = await new Image().load();
    await damage(image);
    const found = await problemsOf(image.device);
    for (const code of codes) expect(found).toContain(code);
  });

  test.each(KINDS_WITH_CHECKSUM)('one flipped bit in a block of kind %s', async (kind) => {
    const image = await new Image().load();
    const block = image.first(BlockKind[kind]);
    block.bytes[BLOCK - 1] = (block.bytes[BLOCK - 1] ?? 0) ^ 0x10;
    await block.store();
    expect(await problemsOf(image.device)).toContain('block-checksum');
  });

  test('one flipped bit in the superblock, in its backup, and in both', async () => {
    const flip = async (image: Image, number: number) => {
      const block = image.blocks[number] as Block;
      block.bytes[700] = (block.bytes[700] ?? 0) ^ 1;
      await block.store();
    };
    const image = await new Image().load();
    await flip(image, 0);
    expect(await problemsOf(image.device)).toEqual(['superblock-bad']);
    await flip(image, LAST);
    expect(await problemsOf(image.device)).toEqual(['block-checksum']);
    await flip(image, 0);
    expect(await problemsOf(image.device)).toEqual(['backup-bad']);
  });

  test('without a superblock or its backup there is no volume', async () => {
    const image = await new Image().load();
    for (const number of [0, LAST]) {
      const block = image.blocks[number] as Block;
      block.bytes.fill(0);
      await block.store();
    }
    await expect(checkVolume(image.device)).rejects.toThrow(NotAVolumeError);
    await expect(checkVolume(new MemoryDevice(0))).rejects.toThrow(NotAVolumeError);
    await expect(checkVolume(new MemoryDevice(512))).rejects.toThrow(NotAVolumeError);
  });

  test('a truncation that a crash cut short is no damage', async () => {
    const image = await new Image().load();
    await superblockField(0, ({ view }) => Superblock.state.set(view, 0, 1))(image);
    await inodeField(() => names.small, Inode.size, BLOCK)(image);
    expect(await problemsOf(image.device)).toEqual(['extent-beyond-size']);
    const root = image.first(BlockKind.volumeRoot);
    VolumeRoot.firstOrphan.set(root.view, 0, names.small);
    await root.seal();
    const result = await checkVolume(image.device);
    expect(result).toMatchObject({ clean: true, state: 'dirty', problems: [], statistics: { orphans: 1 } });
  });

  test('a volume that was cut off', async () => {
    const short = new MemoryDevice(SIZE / 2, 512, { content: sample.clone().content });
    await expect(checkVolume(short)).rejects.toThrow(/cut off/);
  });

  test('unknown features are refused', async () => {
    const image = await new Image().load();
    await superblockField(0, ({ view }) => Superblock.incompatibleFeatures.set(view, 0, 1))(image);
    await expect(checkVolume(image.device)).rejects.toThrow(/features/);
  });
});

/** A small generator of numbers (mulberry32), so that a failure can be repeated. */
function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

describe('garbage', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'random bytes under right checksums never break the checker (seed %i)',
    async (seed) => {
      const random = generator(seed);
      for (let round = 0; round < 12; round++) {
        const image = await new Image().load();
        const metadata = Object.values(BlockKind).flatMap((kind) => image.ofKind(kind));
        for (let i = 0; i <= random(40); i++) {
          const block = metadata[random(metadata.length)] as Block;
          // Headers stay, so that the checker does not stop at them; small offsets are where the structure is.
          const at = HEADER_BYTES + random(random(2) === 0 ? 200 : BLOCK - HEADER_BYTES);
          block.bytes[at] = random(256);
          await block.seal();
        }
        const result = await checkVolume(image.device).catch((thrown: unknown) => thrown);
        if (result instanceof Error)
          expect(result, `seed ${seed}, round ${round}`).toBeInstanceOf(NotAVolumeError);
      }
    },
  );
});

describe('the table of problems', () => {
  test('every sentence is filled where its values are given', () => {
    for (const code of Object.keys(PROBLEMS) as ProblemCode[]) {
      const message = problemMessage(code, {
        block: 1,
        inode: 2,
        found: 3,
        expected: 4,
        name: 'n',
        what: 'w',
      });
      expect(message, code).not.toMatch(/[{}?]/);
    }
  });
});
