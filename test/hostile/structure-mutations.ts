/**
 * Mutations that know the format and lie in its terms, with right checksums: what an attacker
 * writes, or a bug.
 */

import { Bytes, type RecordInfo, U8, U16, U32, U48 } from '../../src/common/record.ts';
import {
  AttributeRecord,
  BitmapHeader,
  BlockHeader,
  BlockKind,
  BranchRecord,
  EntryRecord,
  ExtentRecord,
  FileType,
  HEADER_BYTES,
  INODE_BODY_OFFSET,
  Inode,
  NodeHeader,
  OwnerHeader,
  QuotaRecord,
  SUMMARY_INITIALISED,
  SummaryEntry,
  SummaryHeader,
  Superblock,
  type TreeKind,
  VOLUME_ROOT_INODE_OFFSET,
  VolumeRoot,
} from '../../src/fs/format/format.ts';
import { Layout } from '../../src/fs/format/layout.ts';
import { NODE_BLOCK_KIND } from '../../src/fs/format/node-blocks.ts';
import type { SeededRandom } from '../../src/sim/seeded-random.ts';
import type { Image, InodePlace, NodePlace, RecordPlace } from './image.ts';
import { recordOf } from './image.ts';
import type { Mutation } from './raw-mutations.ts';

/**
 * A number that some code may not expect: edges of types, places of the volume, numbers of inodes,
 * and one beside the old one.
 */
function oddNumber(image: Image, random: SeededRandom, old: number): number {
  const { layout, index } = image;
  const choices: (() => number)[] = [
    () => 0,
    () => 1,
    () => old + 1,
    () => Math.max(0, old - 1),
    () => old ^ (1 << random.below(31)),
    () => random.pick([255, 256, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32]),
    () =>
      random.pick([
        2 ** 40,
        2 ** 47,
        2 ** 48 - 1,
        2 ** 48,
        2 ** 50,
        2 ** 53 - 1,
        2 ** 53,
        2 ** 63,
        2 ** 64 - 2048,
      ]),
    () => random.below(256),
    () => random.uint32(),
    () => random.pick(index.metadata),
    () => random.pick(index.used),
    () => random.pick([layout.blockCount, layout.firstBackup, layout.journalStart, layout.spaceStart]),
    () => random.pick(index.inodes).number,
  ];
  return random.pick(choices)();
}

/** Sets a field of a record to an odd number, or its bytes to noise. */
function spoilField(image: Image, random: SeededRandom, record: RecordInfo, block: number, at: number): void {
  const field = random.pick(Object.values(record.fields));
  image.edit(block, ({ view, bytes }) => {
    if (field instanceof Bytes) {
      const inField = field.of(bytes, at);
      if (inField.length > 0) inField[random.below(inField.length)] = random.below(256);
      return;
    }
    const numeric = field as U8 | U16 | U32 | U48;
    const value = oddNumber(image, random, numeric.get(view, at));
    const bits = numeric instanceof U8 ? 8 : numeric instanceof U16 ? 16 : numeric instanceof U32 ? 32 : 64;
    numeric.set(view, at, numeric instanceof U48 ? value % 2 ** 48 : bits < 64 ? value % 2 ** bits : value);
  });
}

function anyOf(image: Image, random: SeededRandom, ...kinds: number[]): number | undefined {
  const blocks = kinds.flatMap((kind) => image.kind(kind));
  return blocks.length > 0 ? random.pick(blocks) : undefined;
}

function isDirectory({ mode }: InodePlace): boolean {
  return (mode & 0o170000) === FileType.directory;
}

function isRegular({ mode }: InodePlace): boolean {
  return (mode & 0o170000) === FileType.regular;
}

/** The block and offset of the volume root's or some inode's fields. */
function anyInode(image: Image, random: SeededRandom): { block: number; at: number } {
  const root = image.kind(BlockKind.volumeRoot)[0] as number;
  if (random.below(8) === 0) return { block: root, at: VOLUME_ROOT_INODE_OFFSET };
  return random.pick(image.index.inodes);
}

function inodeField(image: Image, random: SeededRandom): void {
  const { block, at } = anyInode(image, random);
  spoilField(image, random, Inode, block, at);
}

function rootField(image: Image, random: SeededRandom): void {
  spoilField(image, random, VolumeRoot, image.kind(BlockKind.volumeRoot)[0] as number, 0);
}

function headerField(image: Image, random: SeededRandom): void {
  const record = random.pick([BlockHeader, OwnerHeader]);
  spoilField(image, random, record, random.pick(image.index.metadata), 0);
}

function superblockField(image: Image, random: SeededRandom): void {
  spoilField(image, random, Superblock, random.chance(0.8) ? 0 : random.pick(image.layout.backups), 0);
}

/** A superblock that agrees with itself about another volume than this one. */
function geometryLie(image: Image, random: SeededRandom): void {
  const { layout } = image;
  const { blockBytes, blockCount, journalBlocks } = layout;
  const geometry = { blockBytes, blockCount, journalBlocks };
  const lie = random.below(3);
  if (lie === 0) geometry.blockCount -= 1 + random.below(random.pick([2, 60, layout.blockCount - 200]));
  else if (lie === 1) geometry.journalBlocks = random.pick([32, 64, 96, 128, 256]);
  else geometry.blockBytes = random.pick([1024, 2048, 4096, 8192]);
  let changed: Layout;
  try {
    changed = new Layout(geometry);
  } catch {
    return;
  }
  const lied = ({ view }: { view: DataView }) => {
    Superblock.blockBytes.set(view, 0, changed.blockBytes);
    Superblock.blockCount.set(view, 0, changed.blockCount);
    Superblock.journalBlocks.set(view, 0, changed.journalBlocks);
    Superblock.volumeRootBlock.set(view, 0, changed.volumeRootBlock);
    Superblock.spaceStart.set(view, 0, changed.spaceStart);
    Superblock.spaceBlocks.set(view, 0, changed.spaceBlocks);
  };
  image.edit(0, lied);
  if (random.chance(0.5)) image.edit(layout.firstBackup, lied);
}

function nodeField(image: Image, random: SeededRandom): void {
  const node = random.pick(image.index.nodes);
  spoilField(image, random, NodeHeader, node.block, node.base);
}

function slotNoise(image: Image, random: SeededRandom): void {
  const node = random.pick(image.index.nodes);
  image.edit(node.block, ({ view }) => {
    const slot = node.base + NodeHeader.sizeBytes + 2 * random.below(node.count + 1);
    const styles = [
      random.below(node.size),
      random.below(65536),
      view.getUint16(slot, true) + random.below(9) - 4,
    ];
    view.setUint16(slot, random.pick(styles) & 0xffff, true);
  });
}

/** Two records change places, or one appears twice: keys out of order. */
function shuffleSlots(image: Image, random: SeededRandom): void {
  const node = random.pick(image.index.nodes.filter(({ count }) => count > 1));
  if (node === undefined) return;
  image.edit(node.block, ({ view }) => {
    const one = node.base + NodeHeader.sizeBytes + 2 * random.below(node.count);
    const two = node.base + NodeHeader.sizeBytes + 2 * random.below(node.count);
    const held = view.getUint16(one, true);
    view.setUint16(one, view.getUint16(two, true), true);
    if (random.chance(0.7)) view.setUint16(two, held, true);
  });
}

function anyRecord(image: Image, random: SeededRandom): RecordPlace | undefined {
  const { branches, extents, entries, attributes, quotas } = image.index;
  const lists = [branches, extents, entries, attributes, quotas].filter((list) => list.length > 0);
  return lists.length > 0 ? random.pick(random.pick(lists)) : undefined;
}

function recordField(image: Image, random: SeededRandom): void {
  const place = anyRecord(image, random);
  if (place) spoilField(image, random, recordOf(place), place.node.block, place.at);
}

/** Keys set to each other's, one less, far out. */
function keyLie(image: Image, random: SeededRandom): void {
  const place = anyRecord(image, random);
  if (place === undefined) return;
  image.edit(place.node.block, ({ view }) => {
    const key = BranchRecord.key.get(view, place.at);
    const near = [key + 1, Math.max(0, key - 1), key * 2, 0, 2 ** 48, 2 ** 52, 2 ** 53, 2 ** 63];
    BranchRecord.key.set(view, place.at, random.pick(near));
  });
}

/**
 * A child pointer to itself, to its parent, to another tree, to what is no tree at all, and out of
 * the volume.
 */
function childLie(image: Image, random: SeededRandom): void {
  const { branches, nodes, metadata, used } = image.index;
  if (branches.length === 0) return;
  const place = random.pick(branches);
  const { layout } = image;
  const fixed = [
    0,
    layout.journalStart,
    layout.volumeRootBlock,
    layout.blockCount,
    2 ** 48 - 1,
    layout.bitmapBlock(0),
  ];
  const targets = [
    place.node.block,
    random.pick(nodes).block,
    random.pick(branches).node.block,
    random.pick(metadata),
    random.pick(used),
    random.pick(fixed),
  ];
  image.edit(place.node.block, ({ view }) => BranchRecord.child.set(view, place.at, random.pick(targets)));
}

/**
 * A tree that goes in circles: a branch to its own block, levels and keys adjusted to look right.
 */
function treeCycle(image: Image, random: SeededRandom): void {
  const { branches, nodes } = image.index;
  const blocks = nodes.filter(({ base }) => base === HEADER_BYTES);
  if (branches.length === 0 || blocks.length === 0) return;
  const place = random.pick(branches);
  const target = random.pick(blocks);
  const level = 1 + random.below(12);
  image.edit(target.block, ({ view }) => {
    NodeHeader.level.set(view, target.base, level);
    NodeHeader.kind.set(view, target.base, place.node.kind);
    BlockHeader.kind.set(view, 0, NODE_BLOCK_KIND[place.node.kind as TreeKind]);
    OwnerHeader.owner.set(view, 0, place.node.owner);
    for (let i = 0; i < target.count; i++) {
      const at = target.base + view.getUint16(target.base + NodeHeader.sizeBytes + 2 * i, true);
      BranchRecord.child.set(view, at, target.block);
    }
  });
  image.edit(place.node.block, ({ view }) => {
    BranchRecord.child.set(view, place.at, target.block);
    if (random.chance(0.7)) NodeHeader.level.set(view, place.node.base, level + 1);
  });
}

/** All children of a node are the same one: a small tree that takes for ever to walk. */
function treeFan(image: Image, random: SeededRandom): void {
  const inner = image.index.nodes.filter(({ level }) => level > 0);
  if (inner.length === 0) return;
  const node: NodePlace = random.pick(inner);
  const places = image.index.branches.filter((place) => place.node === node);
  const target = random.pick(places);
  image.edit(node.block, ({ view }) => {
    const child = BranchRecord.child.get(view, target.at);
    for (const { at } of places) BranchRecord.child.set(view, at, child);
  });
}

/** Extents over other extents, over metadata, over the ends of things, and of giant length. */
function extentLie(image: Image, random: SeededRandom): void {
  const { extents, metadata } = image.index;
  if (extents.length === 0) return;
  const place = random.pick(extents);
  const other = random.pick(extents);
  const { layout } = image;
  const target = image.block(other.node.block);
  const blocks = [
    ExtentRecord.block.get(target.view, other.at),
    random.pick(metadata),
    layout.spaceStart,
    layout.spaceStart + layout.spaceBlocks - 1,
    layout.blockCount - 1,
    layout.bitmapBlock(random.below(layout.groupCount)),
  ];
  const lengths = [0, 2, 1000, layout.bitsPerBlock, 2 ** 31, 2 ** 32 - 1];
  image.edit(place.node.block, ({ view }) => {
    const what = random.below(3);
    if (what !== 1) ExtentRecord.block.set(view, place.at, random.pick(blocks));
    if (what !== 0) ExtentRecord.length.set(view, place.at, random.pick(lengths));
  });
}

/** Data that is called unwritten, unwritten blocks that are called data, and flags of nobody. */
function flagLie(image: Image, random: SeededRandom): void {
  const { extents } = image.index;
  if (extents.length === 0) return;
  for (let count = 1 + random.below(5); count > 0; count--) {
    const place = random.pick(extents);
    const flags = random.pick([0, 1, 1, 2, 0xffff]);
    image.edit(place.node.block, ({ view }) => ExtentRecord.flags.set(view, place.at, flags));
  }
}

/**
 * A name for an inode that is free, or the root, or of the inode table, or in no table at all; or a
 * name that is none.
 */
function entryLie(image: Image, random: SeededRandom): void {
  const { entries, inodes } = image.index;
  const place = random.pick(entries);
  const numbers = [
    0,
    1,
    place.node.owner,
    random.pick(inodes).number,
    random.below(5000),
    2 ** 48 - 1,
    2 ** 40,
  ];
  image.edit(place.node.block, ({ view, bytes }) => {
    const what = random.below(5);
    if (what <= 1) EntryRecord.inode.set(view, place.at, random.pick(numbers));
    else if (what === 2) EntryRecord.type.set(view, place.at, random.below(256));
    else if (what === 3) EntryRecord.nameBytes.set(view, place.at, random.pick([0, 1, 200, 255]));
    else {
      const length = Math.max(1, EntryRecord.nameBytes.get(view, place.at));
      bytes[place.at + EntryRecord.sizeBytes + random.below(length)] = random.pick([
        0, 0x2f, 0x2e, 0xff, 0x41,
      ]);
    }
  });
}

/** Some byte behind the head of a record: of an ACL, with luck. */
function spoilValue(image: Image, random: SeededRandom, { node, at }: RecordPlace): void {
  image.edit(node.block, ({ view, bytes }) => {
    const nameBytes = AttributeRecord.nameBytes.get(view, at);
    const partBytes = AttributeRecord.partBytes.get(view, at);
    const place = at + AttributeRecord.sizeBytes + nameBytes + random.below(Math.max(1, partBytes));
    bytes[place] = random.pick([0, 1, 2, 4, 8, 16, 32, 0xff]);
  });
}

/** Attributes that are no attributes, in places that are none. */
function attributeLie(image: Image, random: SeededRandom): void {
  const { attributes, inodes, metadata } = image.index;
  const what = random.below(5);
  if (what === 0 && attributes.length > 0 && random.chance(0.5)) {
    spoilValue(image, random, random.pick(attributes));
    return;
  }
  if (what <= 1 && attributes.length > 0) {
    const place = random.pick(attributes);
    spoilField(image, random, AttributeRecord, place.node.block, place.at);
    return;
  }
  const inode = random.pick(inodes);
  const others = inodes.map(({ block, at }) => Inode.attributeBlock.get(image.block(block).view, at));
  image.edit(inode.block, ({ view }) => {
    const blocks = [random.pick(metadata), random.pick(others), inode.block, 0, 2 ** 48 - 1];
    if (what !== 3) Inode.attributeBlock.set(view, inode.at, random.pick(blocks));
    if (what >= 3)
      Inode.inlineAttributeBytes.set(view, inode.at, random.pick([0, 8, 64, 128, 200, 208, 216, 336, 65535]));
  });
}

/** Quotas of others, in places that are none, or of kinds that there are not. */
function quotaLie(image: Image, random: SeededRandom): void {
  const { quotas, metadata, used } = image.index;
  const what = random.below(4);
  if (what <= 1 && quotas.length > 0) {
    const place = random.pick(quotas);
    spoilField(image, random, QuotaRecord, place.node.block, place.at);
    return;
  }
  image.edit(image.kind(BlockKind.volumeRoot)[0] as number, ({ view }) => {
    const places = [
      random.pick(metadata),
      random.pick(used),
      random.pick(image.kind(BlockKind.quotaNode)),
      0,
      2 ** 48,
    ];
    if (what !== 2) VolumeRoot.quotaBlock.set(view, 0, random.pick(places) ?? 1);
    else VolumeRoot.quotaKinds.set(view, 0, random.pick([0, 1, 3, 7, 8, 255, 2 ** 32 - 1]));
  });
}

/** Two names of one directory the same. */
function nameTwice(image: Image, random: SeededRandom): void {
  const place = random.pick(image.index.entries);
  const siblings = image.index.entries.filter(({ node }) => node === place.node);
  const other = random.pick(siblings);
  image.edit(place.node.block, ({ view, bytes }) => {
    const length = EntryRecord.nameBytes.get(view, place.at);
    if (EntryRecord.nameBytes.get(view, other.at) < length) return;
    EntryRecord.nameBytes.set(view, other.at, length);
    const from = place.at + EntryRecord.sizeBytes;
    bytes.copyWithin(other.at + EntryRecord.sizeBytes, from, from + length);
  });
}

/** A directory that is its own ancestor, with or without `parent` fields that agree. */
function directoryLoop(image: Image, random: SeededRandom): void {
  const { inodes, entries } = image.index;
  const directories = inodes.filter(isDirectory);
  const upper = random.pick(directories);
  const inLower = entries.filter(({ node }) => directories.some(({ number }) => number === node.owner));
  if (inLower.length === 0) return;
  const place = random.pick(inLower);
  image.edit(place.node.block, ({ view }) => {
    EntryRecord.inode.set(view, place.at, upper.number);
    EntryRecord.type.set(view, place.at, FileType.directory >> 12);
  });
  if (random.chance(0.6)) {
    image.edit(upper.block, ({ view }) => Inode.parent.set(view, upper.at, place.node.owner));
  }
}

function parentLie(image: Image, random: SeededRandom): void {
  const directories = image.index.inodes.filter(isDirectory);
  const place = random.pick(directories);
  const other = random.pick([random.pick(directories).number, place.number, 0, 2 ** 40, random.below(1000)]);
  image.edit(place.block, ({ view }) => Inode.parent.set(view, place.at, other));
}

function linkLie(image: Image, random: SeededRandom): void {
  const place = random.pick(image.index.inodes);
  const count = random.pick([0, 1, 2, 65000, 65001, 2 ** 32 - 1]);
  image.edit(place.block, ({ view }) => Inode.linkCount.set(view, place.at, count));
}

function sizeLie(image: Image, random: SeededRandom): void {
  const place = random.pick(image.index.inodes);
  const sizes = [0, 1, 336, 337, 4096, 10 ** 6, 2 ** 40, 2 ** 50, 2 ** 50 + 1, 2 ** 53, 2 ** 63];
  image.edit(place.block, ({ view }) => Inode.size.set(view, place.at, random.pick(sizes)));
}

/** One type's body under another's mode; inline flags turned round. */
function typeLie(image: Image, random: SeededRandom): void {
  const place = random.pick(image.index.inodes);
  image.edit(place.block, ({ view }) => {
    const mode = Inode.mode.get(view, place.at);
    const types = [...Object.values(FileType), 0, 0o170000, 0o030000];
    if (random.chance(0.6)) Inode.mode.set(view, place.at, (mode & 0o7777) | random.pick(types));
    if (random.chance(0.5))
      Inode.flags.set(view, place.at, Inode.flags.get(view, place.at) ^ random.pick([1, 1, 2]));
  });
}

/** The orphan list in a circle, through live inodes, free ones, or none. */
function orphanLie(image: Image, random: SeededRandom): void {
  const { inodes } = image.index;
  const root = image.kind(BlockKind.volumeRoot)[0] as number;
  const one = random.pick(inodes);
  const two = random.pick(random.chance(0.5) ? inodes : [one]);
  const link = (place: InodePlace, next: number, previous: number) =>
    image.edit(place.block, ({ view }) => {
      Inode.nextOrphan.set(view, place.at, next);
      Inode.previousOrphan.set(view, place.at, previous);
      if (random.chance(0.4)) Inode.linkCount.set(view, place.at, 0);
    });
  const heads = [one.number, 1, 0, 2 ** 40, random.below(3000)];
  if (random.chance(0.8)) link(one, two.number, random.pick([0, two.number]));
  if (random.chance(0.8)) link(two, one.number, random.pick([0, one.number]));
  image.edit(root, ({ view }) =>
    VolumeRoot.firstOrphan.set(view, 0, random.chance(0.6) ? one.number : random.pick(heads)),
  );
}

/** Bits of a bitmap turned round, alone or with counts that agree. */
function bitmapLie(image: Image, random: SeededRandom): void {
  const number = anyOf(image, random, BlockKind.groupBitmap, BlockKind.inodeBitmap);
  if (number === undefined) return;
  image.edit(number, ({ view, bytes }) => {
    const style = random.below(5);
    if (style === 0) bytes.fill(0, HEADER_BYTES);
    else if (style === 1) bytes.fill(0xff, HEADER_BYTES);
    for (let i = random.below(40); style > 1 && i >= 0; i--) {
      const near = random.chance(0.8) ? 40 : bytes.length - HEADER_BYTES;
      const at = HEADER_BYTES + random.below(Math.min(near, bytes.length - HEADER_BYTES));
      bytes[at] = style === 2 ? 0 : style === 3 ? 0xff : (bytes[at] as number) ^ (1 << random.below(8));
    }
    if (random.chance(0.5))
      BitmapHeader.firstFree.set(view, 0, random.pick([0, 1, 100, 2 ** 31, 2 ** 32 - 1]));
    if (random.chance(0.5)) agreeWithBitmap(image, view, bytes);
  });
}

/** Makes the counts over a group bitmap what its bits say, as far as the first summary. */
function agreeWithBitmap(image: Image, view: DataView, bytes: Uint8Array): void {
  let used = 0;
  for (let at = HEADER_BYTES; at < bytes.length; at++) {
    for (let byte = bytes[at] as number; byte !== 0; byte &= byte - 1) used++;
  }
  BitmapHeader.used.set(view, 0, used);
  if (BlockHeader.kind.get(view, 0) !== BlockKind.groupBitmap) return;
  const { layout } = image;
  const group = Math.floor((BlockHeader.block.get(view, 0) - layout.spaceStart) / layout.bitsPerBlock);
  const number = layout.summaryBlock(1, Math.floor(group / layout.summaryFanout));
  if (!image.kind(BlockKind.summary).includes(number)) return;
  image.edit(number, (summary) => {
    const at = HEADER_BYTES + (group % layout.summaryFanout) * SummaryEntry.sizeBytes;
    const before = SummaryEntry.freeBlocks.get(summary.view, at);
    const free = layout.bitsPerBlock - used;
    SummaryEntry.freeBlocks.set(summary.view, at, free);
    const sum = SummaryHeader.freeBlocks.get(summary.view, 0) - before + free;
    SummaryHeader.freeBlocks.set(summary.view, 0, Math.max(0, sum));
  });
}

function summaryLie(image: Image, random: SeededRandom): void {
  const number = anyOf(image, random, BlockKind.summary);
  if (number === undefined) return;
  const entry = HEADER_BYTES + random.below(Math.min(60, image.layout.groupCount)) * SummaryEntry.sizeBytes;
  const style = random.below(4);
  if (style === 0) spoilField(image, random, SummaryHeader, number, 0);
  else if (style === 1) spoilField(image, random, SummaryEntry, number, entry);
  else {
    image.edit(number, ({ view }) => {
      const flags = SummaryEntry.flags.get(view, entry);
      if (style === 2) SummaryEntry.flags.set(view, entry, flags ^ SUMMARY_INITIALISED);
      else
        SummaryEntry.freeBlocks.set(
          view,
          entry,
          oddNumber(image, random, SummaryEntry.freeBlocks.get(view, entry)),
        );
    });
  }
}

/** A node made up from nothing, with a right header, in the place of a sound one. */
function forgeNode(image: Image, random: SeededRandom): void {
  const node = random.pick(image.index.nodes);
  image.edit(node.block, ({ view, bytes }) => {
    const { base, size } = node;
    for (let i = base; i < base + size; i++) bytes[i] = random.chance(0.3) ? random.below(256) : 0;
    const count = random.pick([0, 1, 3, 20, Math.floor(size / 18), 65535]);
    const heapStart = random.pick([0, 8, size, size - 16 * Math.min(count, 30), random.below(65536)]);
    NodeHeader.level.set(view, base, random.pick([0, 1, node.level, 12, 13, 255]));
    NodeHeader.kind.set(view, base, random.chance(0.9) ? node.kind : random.below(256));
    NodeHeader.count.set(view, base, count);
    NodeHeader.heapStart.set(view, base, heapStart & 0xffff);
    NodeHeader.garbage.set(view, base, random.pick([0, 0, 16, 65535]));
    for (let i = 0; i < Math.min(count, 40) && 2 * i + 10 < size; i++) {
      view.setUint16(base + 8 + 2 * i, Math.max(8, size - 20 * (i + 1)) & 0xffff, true);
    }
  });
}

/** An inode block full of inodes that were never made, or one inode copied over another. */
function forgeInode(image: Image, random: SeededRandom): void {
  const from = random.pick(image.index.inodes);
  const to = random.pick(image.index.inodes);
  const copy = image.block(from.block).bytes.slice(from.at, from.at + Inode.sizeBytes);
  image.edit(to.block, ({ view, bytes }) => {
    bytes.set(copy, to.at);
    if (random.chance(0.7)) Inode.number.set(view, to.at, to.number);
  });
}

/** Files that share their blocks: one body copied over another's. */
function shareBody(image: Image, random: SeededRandom): void {
  const files = image.index.inodes.filter(isRegular);
  const from = random.pick(files);
  const to = random.pick(files);
  const body = image.block(from.block);
  const copy = body.bytes.slice(from.at + INODE_BODY_OFFSET, from.at + Inode.sizeBytes);
  image.edit(to.block, ({ view, bytes }) => {
    bytes.set(copy, to.at + INODE_BODY_OFFSET);
    Inode.flags.set(view, to.at, Inode.flags.get(body.view, from.at));
    Inode.size.set(view, to.at, Inode.size.get(body.view, from.at));
    Inode.blocks.set(view, to.at, Inode.blocks.get(body.view, from.at));
  });
}

export const STRUCTURE_MUTATIONS: Readonly<Record<string, Mutation>> = {
  'inode-field': inodeField,
  'root-field': rootField,
  'header-field': headerField,
  'superblock-field': superblockField,
  'geometry-lie': geometryLie,
  'node-field': nodeField,
  'slot-noise': slotNoise,
  'shuffle-slots': shuffleSlots,
  'record-field': recordField,
  'key-lie': keyLie,
  'child-lie': childLie,
  'tree-cycle': treeCycle,
  'tree-fan': treeFan,
  'extent-lie': extentLie,
  'flag-lie': flagLie,
  'entry-lie': entryLie,
  'attribute-lie': attributeLie,
  'quota-lie': quotaLie,
  'name-twice': nameTwice,
  'directory-loop': directoryLoop,
  'parent-lie': parentLie,
  'link-lie': linkLie,
  'size-lie': sizeLie,
  'type-lie': typeLie,
  'orphan-lie': orphanLie,
  'bitmap-lie': bitmapLie,
  'summary-lie': summaryLie,
  'forge-node': forgeNode,
  'forge-inode': forgeInode,
  'share-body': shareBody,
};
