/**
 * An image as the mutations see it: blocks to read and to write back, with their checksums made
 * right again; and an index of what the base volume has where, made once per base, so that an edit
 * can choose among the inodes, tree nodes and entries that were sound before anybody touched them.
 */
import { crc32c } from '../../src/crc32c.ts';
import { sealBlock } from '../../src/fs/format/block-header.ts';
import {
  AttributeRecord,
  BlockHeader,
  BlockKind,
  BranchRecord,
  EntryRecord,
  ExtentRecord,
  FILE_TYPE_MASK,
  FileType,
  HEADER_BYTES,
  INODE_BODY_BYTES,
  INODE_BODY_OFFSET,
  INODE_BYTES,
  Inode,
  InodeFlag,
  MAGIC_BYTES,
  NodeHeader,
  QuotaRecord,
  Superblock,
  TreeKind,
  VOLUME_ROOT_INODE_OFFSET,
} from '../../src/fs/format/format.ts';
import { Layout } from '../../src/fs/format/layout.ts';
import { NODE_BLOCK_KIND } from '../../src/fs/format/node-blocks.ts';
import type { ImageBytes } from './image-bytes.ts';

/** One block, taken out to be looked at or changed. */
export interface Block {
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export interface InodePlace {
  readonly number: number;
  readonly block: number;
  readonly at: number;
  readonly mode: number;
}

/**
 * A tree node: a block of its own, or the body of an inode. `base` is where its region begins in
 * the block.
 */
export interface NodePlace {
  readonly owner: number;
  readonly block: number;
  readonly base: number;
  readonly size: number;
  readonly level: number;
  /** `TreeKind`. */
  readonly kind: number;
  readonly count: number;
}

/** One record of a node: an extent, an entry, or a branch. */
export interface RecordPlace {
  readonly node: NodePlace;
  readonly index: number;
  /** Offset in the block. */
  readonly at: number;
}

export interface ImageIndex {
  /** Blocks of metadata in their places, by kind. */
  readonly byKind: ReadonlyMap<number, readonly number[]>;
  readonly metadata: readonly number[];
  /** Every block that holds anything. */
  readonly used: readonly number[];
  /** Blocks of the journal that are more than zeros. */
  readonly journal: readonly number[];
  readonly inodes: readonly InodePlace[];
  readonly nodes: readonly NodePlace[];
  readonly extents: readonly RecordPlace[];
  readonly entries: readonly RecordPlace[];
  readonly attributes: readonly RecordPlace[];
  readonly quotas: readonly RecordPlace[];
  readonly branches: readonly RecordPlace[];
}

/** A sound volume that images are made from. */
export interface Base {
  readonly name: string;
  readonly bytes: ImageBytes;
  readonly layout: Layout;
  readonly index: ImageIndex;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function hasMagic(bytes: Uint8Array): boolean {
  return MAGIC_BYTES.every((byte, i) => bytes[i] === byte);
}

export function readBlock(bytes: ImageBytes, blockBytes: number, number: number): Block {
  const content = new Uint8Array(blockBytes);
  bytes.read(number * blockBytes, content);
  return { number, bytes: content, view: viewOf(content) };
}

export class Image {
  readonly bytes: ImageBytes;
  readonly layout: Layout;
  readonly index: ImageIndex;

  constructor(readonly base: Base) {
    this.bytes = base.bytes.fork();
    this.layout = base.layout;
    this.index = base.index;
  }

  block(number: number): Block {
    return readBlock(this.bytes, this.layout.blockBytes, number);
  }

  /** Writes a block back as it is. */
  store(block: Block): void {
    const { blockBytes } = this.layout;
    if ((block.number + 1) * blockBytes <= this.bytes.sizeBytes) {
      this.bytes.write(block.number * blockBytes, block.bytes);
    }
  }

  /** Writes a block back, with a right checksum if it is one of metadata. */
  seal(block: Block): void {
    if (hasMagic(block.bytes)) {
      const sequence = BlockHeader.sequence.get(block.view, 0);
      sealBlock({ ...block, at: 0 }, this.layout.blockBytes, sequence);
    }
    this.store(block);
  }

  /** Takes a block out, changes it, and writes it back with a right checksum. */
  edit(number: number, change: (block: Block) => void): void {
    const block = this.block(number);
    change(block);
    this.seal(block);
  }

  kind(kind: number): readonly number[] {
    return this.index.byKind.get(kind) ?? [];
  }
}

/** CRC-32C of everything, to tell images apart. */
export function fingerprint(bytes: ImageBytes): number {
  let sum = 0;
  for (const [number, chunk] of [...bytes.chunks].sort((a, b) => a[0] - b[0])) {
    sum = crc32c(chunk, 0, chunk.length, (sum ^ number) >>> 0);
  }
  return sum;
}

// ---- the index of a base ----

export function layoutOf(bytes: ImageBytes): Layout {
  const { view } = readBlock(bytes, 1024, 0);
  return new Layout({
    blockBytes: Superblock.blockBytes.get(view, 0),
    blockCount: Superblock.blockCount.get(view, 0),
    journalBlocks: Superblock.journalBlocks.get(view, 0),
  });
}

export function indexOf(bytes: ImageBytes, layout: Layout): ImageIndex {
  const byKind = new Map<number, number[]>();
  const index = {
    byKind,
    metadata: [] as number[],
    used: [] as number[],
    journal: [] as number[],
    inodes: [] as InodePlace[],
    nodes: [] as NodePlace[],
    extents: [] as RecordPlace[],
    entries: [] as RecordPlace[],
    attributes: [] as RecordPlace[],
    quotas: [] as RecordPlace[],
    branches: [] as RecordPlace[],
  };
  for (const number of writtenBlocks(bytes, layout)) {
    const block = readBlock(bytes, layout.blockBytes, number);
    if (block.bytes.every((byte) => byte === 0)) continue;
    index.used.push(number);
    if (number >= layout.journalStart && number < layout.volumeRootBlock) index.journal.push(number);
    if (!hasMagic(block.bytes) || BlockHeader.block.get(block.view, 0) !== number) continue;
    index.metadata.push(number);
    const kind = BlockHeader.kind.get(block.view, 0);
    byKind.set(kind, [...(byKind.get(kind) ?? []), number]);
    indexBlock(index, block, kind, layout);
  }
  return index;
}

function* writtenBlocks(bytes: ImageBytes, layout: Layout): Generator<number> {
  const perChunk = 65536 / layout.blockBytes;
  for (const chunk of [...bytes.chunks.keys()].sort((a, b) => a - b)) {
    for (let i = 0; i < perChunk; i++)
      if (chunk * perChunk + i < layout.blockCount) yield chunk * perChunk + i;
  }
}

const NODE_KINDS: ReadonlySet<number> = new Set(Object.values(NODE_BLOCK_KIND));

type Growing = {
  inodes: InodePlace[];
  nodes: NodePlace[];
  extents: RecordPlace[];
  entries: RecordPlace[];
  attributes: RecordPlace[];
  quotas: RecordPlace[];
  branches: RecordPlace[];
};

function indexBlock(index: Growing, block: Block, kind: number, layout: Layout): void {
  const { blockBytes } = layout;
  if (kind === BlockKind.inodes) {
    for (let i = 0; i < layout.inodesPerBlock; i++) indexInode(index, block, HEADER_BYTES + i * INODE_BYTES);
  } else if (kind === BlockKind.volumeRoot) {
    indexNode(index, block, 0, VOLUME_ROOT_INODE_OFFSET + INODE_BODY_OFFSET, INODE_BODY_BYTES);
  } else if (NODE_KINDS.has(kind)) {
    const owner = block.view.getUint32(48, true);
    indexNode(index, block, owner, HEADER_BYTES, blockBytes - HEADER_BYTES);
  }
}

function indexInode(index: Growing, block: Block, at: number): void {
  const { view } = block;
  const mode = Inode.mode.get(view, at);
  if (mode === 0) return;
  const number = Inode.number.get(view, at);
  index.inodes.push({ number, block: block.number, at, mode });
  const type = mode & FILE_TYPE_MASK;
  const isInline = (Inode.flags.get(view, at) & InodeFlag.inlineData) !== 0;
  const hasTree = type === FileType.directory || type === FileType.regular || type === FileType.symlink;
  const attributes = Inode.inlineAttributeBytes.get(view, at);
  if (hasTree && !isInline)
    indexNode(index, block, number, at + INODE_BODY_OFFSET, INODE_BODY_BYTES - attributes);
  if (attributes > 0) indexNode(index, block, number, at + INODE_BYTES - attributes, attributes);
}

function indexNode(index: Growing, block: Block, owner: number, base: number, size: number): void {
  const { view } = block;
  const level = NodeHeader.level.get(view, base);
  const kind = NodeHeader.kind.get(view, base);
  const count = NodeHeader.count.get(view, base);
  const node = { owner, block: block.number, base, size, level, kind, count };
  index.nodes.push(node);
  const list = level > 0 ? index.branches : listOf(index, kind);
  for (let i = 0; i < count; i++) {
    const at = base + view.getUint16(base + NodeHeader.sizeBytes + 2 * i, true);
    list.push({ node, index: i, at });
  }
}

function listOf(index: Growing, kind: number): RecordPlace[] {
  if (kind === TreeKind.attributes) return index.attributes;
  if (kind === TreeKind.quotas) return index.quotas;
  return kind === TreeKind.extents ? index.extents : index.entries;
}

/** The record of tree records by what they are. */
export function recordOf({
  node,
}: RecordPlace):
  | typeof BranchRecord
  | typeof ExtentRecord
  | typeof EntryRecord
  | typeof AttributeRecord
  | typeof QuotaRecord {
  if (node.level > 0) return BranchRecord;
  if (node.kind === TreeKind.attributes) return AttributeRecord;
  if (node.kind === TreeKind.quotas) return QuotaRecord;
  return node.kind === TreeKind.extents ? ExtentRecord : EntryRecord;
}
