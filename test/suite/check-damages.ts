/**
 * Kinds of damage to the sample: what is done, and what the checker has to say. Used by the tests
 * of the check and of the repair.
 */
import type { ProblemCode } from '../../src/check/problem.ts';
import {
  AttributeRecord,
  BitmapHeader,
  BlockHeader,
  BlockKind,
  BranchRecord,
  EntryRecord,
  ExtentRecord,
  HEADER_BYTES,
  INODE_BODY_OFFSET,
  INODE_BYTES,
  Inode,
  NodeHeader,
  OwnerHeader,
  QUOTA_KEYS_PER_KIND,
  QuotaKind,
  QuotaRecord,
  ROOT_INODE,
  SummaryEntry,
  SummaryHeader,
  Superblock,
  VOLUME_ROOT_INODE_OFFSET,
  VolumeRoot,
} from '../../src/fs/format/format.ts';
import {
  attributeRecord,
  BACKUP,
  BLOCK,
  blockOf,
  type Damage,
  inodeField,
  LAST,
  names,
  rootRecord,
  superblockField,
} from './check-sample.ts';

/** Changes the quota of somebody. */
function quotaRecord(kind: number, id: number, change: (view: DataView, at: number) => void): Damage {
  return async (image) => {
    const key = kind * QUOTA_KEYS_PER_KIND + id;
    for (const node of image.ofKind(BlockKind.quotaNode)) {
      if (node.view.getUint8(HEADER_BYTES) !== 0) continue;
      const at = image
        .records(node, HEADER_BYTES)
        .find((found) => QuotaRecord.key.get(node.view, found) === key);
      if (at === undefined) continue;
      change(node.view, at);
      await node.seal();
      return;
    }
    throw new Error(`no quota ${key}`);
  };
}

/** What is done, and the codes that must be among the problems. */
export const DAMAGES: [what: string, damage: Damage, codes: ProblemCode[]][] = [
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
  ['backup', superblockField(BACKUP, ({ bytes }) => bytes.fill(0, 0, 64)), ['backup-bad']],
  [
    'features',
    superblockField(0, ({ view }) => Superblock.incompatibleFeatures.set(view, 0, 0)),
    ['superblock-features'],
  ],
  [
    'features of a backup',
    superblockField(BACKUP, ({ view }) => Superblock.incompatibleFeatures.set(view, 0, 2)),
    ['superblock-features'],
  ],
  [
    'label of a backup',
    superblockField(BACKUP, ({ bytes }) => Superblock.label.of(bytes, 0).fill(0x61, 0, 4)),
    ['backup-stale'],
  ],
  ['name secret', superblockField(BACKUP, ({ bytes }) => bytes.fill(0, 264, 280)), ['superblock-differs']],
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
    'impossible next generation',
    blockOf(BlockKind.volumeRoot, ({ view }) => VolumeRoot.nextGeneration.set(view, 0, 2 ** 60)),
    ['root-next-generation'],
  ],
  [
    'more blocks than the superblock has',
    blockOf(BlockKind.volumeRoot, ({ view }) => VolumeRoot.blockCount.set(view, 0, 2 ** 40)),
    ['root-block-count'],
  ],
  [
    'fewer blocks than make a volume',
    blockOf(BlockKind.volumeRoot, ({ view }) => VolumeRoot.blockCount.set(view, 0, 7)),
    ['root-block-count'],
  ],
  [
    'no place for the inode bitmap',
    async (image) => {
      const root = image.first(BlockKind.volumeRoot);
      const [at = 0] = image.records(root, VOLUME_ROOT_INODE_OFFSET + INODE_BODY_OFFSET);
      const { block, key, length } = ExtentRecord;
      block.set(root.view, at, block.get(root.view, at) + 1);
      key.set(root.view, at, 1);
      length.set(root.view, at, length.get(root.view, at) - 1);
      await root.seal();
    },
    ['chunk-bitmap-missing'],
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
  ['flags', inodeField(() => names.small, Inode.flags, 0x8000), ['inode-flags']],
  ['size of a file', inodeField(() => names.small, Inode.size, 2 ** 51), ['inode-size']],
  ['size of a fifo', inodeField(() => names.fifo, Inode.size, 1), ['inode-size']],
  ['blocks beyond the size', inodeField(() => names.small, Inode.size, BLOCK), ['extent-beyond-size']],
  ['blocks', inodeField(() => names.small, Inode.blocks, 2), ['inode-blocks']],
  ['blocks of a directory', inodeField(() => names.many, Inode.blocks, 2), ['inode-blocks']],
  ['nanoseconds', inodeField(() => names.small, Inode.birthNanoseconds, 1e9), ['inode-time']],
  ['no user', inodeField(() => names.small, Inode.uid, 0xffff_ffff), ['inode-owner']],
  ['no group', inodeField(() => names.folder, Inode.gid, 0xffff_ffff), ['inode-owner']],
  ['link count of a file', inodeField(() => names.small, Inode.linkCount, 2), ['link-count']],
  ['link count of a directory', inodeField(() => names.folder, Inode.linkCount, 2), ['link-count']],
  ['all links there can be', inodeField(() => names.small, Inode.linkCount, 2 ** 32 - 1), ['link-count']],
  ['no links', inodeField(() => names.small, Inode.linkCount, 0), ['entry-to-orphan', 'orphan-not-listed']],
  ['parent', inodeField(() => names.inner, Inode.parent, 1), ['directory-parent']],
  ['entries', inodeField(() => names.many, Inode.size, 399), ['directory-size']],
  [
    'attributes in a block that is none',
    inodeField(() => names.small, Inode.attributeBlock, LAST - 100),
    ['block-magic'],
  ],
  ['attributes outside', inodeField(() => names.small, Inode.attributeBlock, 2 ** 40), ['tree-child']],
  [
    'attributes of no possible length',
    inodeField(() => names.small, Inode.inlineAttributeBytes, 30),
    ['inode-attributes'],
  ],
  [
    'attributes of another length',
    inodeField(() => names.tagged, Inode.inlineAttributeBytes, 64),
    ['tree-header'],
  ],
  [
    'attributes here and there',
    inodeField(() => names.tagged, Inode.attributeBlock, 300),
    ['inode-attributes'],
  ],
  [
    'no attributes, and yet blocks',
    inodeField(() => names.labelled, Inode.attributeBlock, 0),
    ['inode-blocks'],
  ],
  [
    'attributes of another',
    async (image) => {
      const { block, at } = image.inode(names.labelled);
      const root = Inode.attributeBlock.get(block.view, at);
      await inodeField(() => names.small, Inode.attributeBlock, root)(image);
    },
    ['block-shared'],
  ],
  [
    'name of an attribute',
    attributeRecord(
      () => names.tagged,
      0,
      (_, at, bytes) => bytes.fill(0x61, at + 21, at + 22),
    ),
    ['attribute-record'],
  ],
  [
    'permissions of an ACL',
    attributeRecord(
      () => names.shared,
      0,
      (view, at) => view.setUint16(at + AttributeRecord.sizeBytes + 24 + 4 + 2, 8, true),
    ),
    ['attribute-acl'],
  ],
  [
    'an ACL of another order',
    attributeRecord(
      () => names.shared,
      0,
      (view, at) => view.setUint16(at + AttributeRecord.sizeBytes + 24 + 4, 2, true),
    ),
    ['attribute-acl'],
  ],
  [
    'length of a value',
    attributeRecord(
      () => names.marked,
      0,
      (view, at) => AttributeRecord.valueBytes.set(view, at, 90),
    ),
    ['attribute-record'],
  ],
  [
    'length of a part',
    attributeRecord(
      () => names.tagged,
      1,
      (view, at) => AttributeRecord.partBytes.set(view, at, 900),
    ),
    ['tree-header'],
  ],
  [
    'a part of a value',
    async (image) => {
      const leaf = image
        .ofKind(BlockKind.attributeNode, names.labelled)
        .find(({ view }) => view.getUint8(HEADER_BYTES) === 0);
      if (!leaf) throw new Error('no leaf');
      const [at = 0] = image.records(leaf, HEADER_BYTES);
      AttributeRecord.valueBytes.set(leaf.view, at, 9999);
      await leaf.seal();
    },
    ['attribute-record'],
  ],
  [
    'a leaf of attributes',
    blockOf(
      BlockKind.attributeNode,
      ({ bytes }) => bytes.fill(0xa5),
      () => names.labelled,
    ),
    ['block-magic'],
  ],
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

  // Quotas.
  [
    'usage of a user',
    quotaRecord(QuotaKind.user, 0, (view, at) => QuotaRecord.blocks.set(view, at, 9)),
    ['quota-usage'],
  ],
  [
    'inodes of a group',
    quotaRecord(QuotaKind.group, 0, (view, at) => QuotaRecord.inodes.set(view, at, 9)),
    ['quota-usage'],
  ],
  [
    'usage of a user who has nothing',
    quotaRecord(QuotaKind.user, 77, (view, at) => QuotaRecord.inodes.set(view, at, 1)),
    ['quota-usage'],
  ],
  [
    'a limit beyond all numbers',
    quotaRecord(QuotaKind.user, 5, (view, at) => view.setUint8(at + QuotaRecord.hardBlocks.offset + 7, 1)),
    ['quota-record'],
  ],
  [
    'grace without a limit that is passed',
    quotaRecord(QuotaKind.user, 6, (view, at) => QuotaRecord.inodeDeadline.set(view, at, 1_700_000_000)),
    ['quota-deadline'],
  ],
  [
    'grace before all times',
    quotaRecord(QuotaKind.user, 6, (view, at) => QuotaRecord.blockDeadline.set(view, at, -1)),
    ['quota-record'],
  ],
  [
    'a quota of another user',
    quotaRecord(QuotaKind.group, 0, (view, at) => QuotaRecord.key.set(view, at, 2 * QUOTA_KEYS_PER_KIND + 1)),
    ['quota-usage'],
  ],
  [
    'a quota of no kind',
    quotaRecord(QuotaKind.group, 0, (view, at) => QuotaRecord.key.set(view, at, 9 * QUOTA_KEYS_PER_KIND)),
    ['tree-key-order'],
  ],
  [
    'no quotas, and yet counted',
    blockOf(BlockKind.volumeRoot, ({ view }) => VolumeRoot.quotaBlock.set(view, 0, 0)),
    ['quota-tree', 'space-unowned'],
  ],
  [
    'quotas behind the end',
    blockOf(BlockKind.volumeRoot, ({ view }) => VolumeRoot.quotaBlock.set(view, 0, 2 ** 40)),
    ['quota-tree'],
  ],
  [
    "quotas in somebody else's block",
    async (image) => {
      const root = image.first(BlockKind.volumeRoot);
      VolumeRoot.quotaBlock.set(root.view, 0, image.first(BlockKind.directoryNode).number);
      await root.seal();
    },
    ['quota-tree'],
  ],
  [
    'quotas of unknown kinds',
    blockOf(BlockKind.volumeRoot, ({ view }) => VolumeRoot.quotaKinds.set(view, 0, 15)),
    ['quota-kinds'],
  ],
  [
    'a node of the quotas',
    async (image) => {
      const leaf = image.ofKind(BlockKind.quotaNode).find(({ view }) => view.getUint8(HEADER_BYTES) === 0);
      leaf?.bytes.fill(0xa5);
      await leaf?.store();
    },
    ['block-magic'],
  ],
  [
    'the root of the quotas',
    async (image) => {
      const root = image.ofKind(BlockKind.quotaNode).find(({ view }) => view.getUint8(HEADER_BYTES) === 1);
      root?.bytes.fill(0xa5);
      await root?.store();
    },
    ['block-magic'],
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

  [
    'one name for two',
    async (image) => {
      const { block, at } = image.inode(ROOT_INODE);
      const { view } = block;
      const named = (name: string) => {
        const found = image.records(block, at + INODE_BODY_OFFSET).find((record) => {
          const from = record + EntryRecord.sizeBytes;
          return new TextDecoder().decode(block.bytes.subarray(from, from + name.length)) === name;
        });
        return found ?? 0;
      };
      EntryRecord.key.set(view, named('fifo'), EntryRecord.key.get(view, named('link')) + 1);
      block.bytes.set(new TextEncoder().encode('link'), named('fifo') + EntryRecord.sizeBytes);
      const slots = image
        .records(block, at + INODE_BODY_OFFSET)
        .sort((a, b) => EntryRecord.key.get(view, a) - EntryRecord.key.get(view, b));
      for (const [slot, record] of slots.entries())
        view.setUint16(at + INODE_BODY_OFFSET + 8 + 2 * slot, record - at - INODE_BODY_OFFSET, true);
      await block.seal();
    },
    ['entry-duplicate'],
  ],
  [
    'a branch where a leaf belongs',
    async (image) => {
      const { block, records } = image.root(names.many);
      const child = image.blocks[BranchRecord.child.get(block.view, records[0] ?? 0)];
      if (!child) throw new Error('no such node');
      const last = BLOCK - HEADER_BYTES - BranchRecord.sizeBytes;
      child.bytes.fill(0, HEADER_BYTES);
      NodeHeader.level.set(child.view, HEADER_BYTES, 1);
      NodeHeader.kind.set(child.view, HEADER_BYTES, 2);
      NodeHeader.count.set(child.view, HEADER_BYTES, 1);
      NodeHeader.heapStart.set(child.view, HEADER_BYTES, last);
      child.view.setUint16(HEADER_BYTES + 8, last, true);
      await child.seal();
    },
    ['tree-level'],
  ],

  // Long symbolic links.
  [
    'a target that begins late',
    rootRecord(
      () => names.link,
      0,
      (view, at) => ExtentRecord.key.set(view, at, 1),
    ),
    ['symlink-end'],
  ],
  ['a target that ends early', inodeField(() => names.link, Inode.size, 4095), ['symlink-target']],
  [
    'a target with nothing in it',
    async (image) => {
      const { block, at } = image.inode(names.link);
      Inode.blocks.set(block.view, at, 0);
      const body = at + INODE_BODY_OFFSET;
      block.bytes.fill(0, body, at + INODE_BYTES);
      NodeHeader.kind.set(block.view, body, 1);
      NodeHeader.heapStart.set(block.view, body, INODE_BYTES - INODE_BODY_OFFSET);
      await block.seal();
    },
    ['symlink-hole'],
  ],
  [
    'NUL in a target',
    blockOf(BlockKind.symlink, ({ bytes }) => bytes.fill(0, HEADER_BYTES + 5, HEADER_BYTES + 6)),
    ['symlink-target'],
  ],

  // Space.
  [
    'a block in use by nobody',
    blockOf(BlockKind.groupBitmap, ({ bytes }) => bytes.fill(0xff, HEADER_BYTES + 200, HEADER_BYTES + 201)),
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
