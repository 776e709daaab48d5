/**
 * The blocks of a volume for people, and inodes and the records of trees in them. Nothing is ever
 * written.
 *
 * Finds inodes and directory entries with the format alone, so that what is sound can be looked at
 * beside what is not. Walks through trees go down one level at each step and visit no block twice,
 * whatever the blocks say.
 */
import type { Device } from '../aio/device.ts';
import { BlockSource } from '../check/block-source.ts';
import { type InodePlace, InodePlaces } from '../check/inode-places.ts';
import { viewOf } from '../common/bytes.ts';
import { blockFault } from '../fs/format/block-header.ts';
import { blockViewOf } from '../fs/format/block-view.ts';
import {
  BlockHeader,
  BlockKind,
  BranchRecord,
  ExtentRecord,
  HEADER_BYTES,
  INODE_BODY_BYTES,
  INODE_BODY_OFFSET,
  INODE_BYTES,
  Inode,
  MAX_INODES,
  MAX_TREE_LEVEL,
  NodeHeader,
  VOLUME_ROOT_INODE_OFFSET,
  VolumeRoot,
} from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import type { SuperblockImage } from '../fs/format/superblock.ts';
import { InspectError } from './inspect-error.ts';
import { inlineAttributeBytes, nodeRecords } from './node-records.ts';

/** A record in its bytes. */
export interface Place {
  readonly bytes: Uint8Array;
  readonly at: number;
  /** The block that the bytes are of. */
  readonly block: number;
}

/** A tree node that is walked. */
interface Node extends Place {
  readonly sizeBytes: number;
  /** Its level must not be above this. */
  readonly highest: number;
}

/** What else a walk through a tree tells. */
export interface TreeListener {
  /** Called with the block of each node but the one in the inode. */
  readonly entered?: (block: number) => void;
  /** Called with what is damaged, which is left out then; without it, that is thrown. */
  readonly report?: (fault: InspectError) => void;
}

/** The tree that a walk goes through. */
interface Walk {
  /** Of its nodes. */
  readonly kind: BlockKind;
  /** Nodes that were entered. */
  readonly seen: Set<number>;
  readonly listener: TreeListener;
}

/** Blocks that are read together have at most so many bytes. */
const RUN_BYTES = 65536;

export class VolumeSource {
  readonly layout: Layout;
  readonly #blocks: BlockSource;
  readonly #hasNewerCopies: boolean;

  /**
   * @param device the volume as it is on disk
   * @param shown what blocks are read from: the same, or one with newer copies over it, which it
   * shows to transfers of one block
   */
  constructor(
    readonly device: Device,
    readonly superblock: SuperblockImage,
    shown: Device = device,
  ) {
    this.layout = superblock.layout();
    this.#blocks = new BlockSource(shown);
    this.#hasNewerCopies = shown !== device;
  }

  /**
   * The bytes of a block.
   * @throws InspectError if the volume has no such block or it cannot be read
   */
  async block(number: number): Promise<Uint8Array> {
    const { blockBytes, blockCount } = this.layout;
    if (!(number >= 0 && number < blockCount)) {
      throw new InspectError(`there is no block ${number}: the volume has blocks 0 to ${blockCount - 1}`);
    }
    const { bytes, errno } = await this.#blocks.read(number * blockBytes, blockBytes);
    if (errno !== 0) throw new InspectError(`block ${number} cannot be read`);
    return bytes;
  }

  /** Blocks that one call of `run` reads at most. */
  get runBlocks(): number {
    return Math.max(1, RUN_BYTES / this.layout.blockBytes);
  }

  /**
   * The bytes of blocks that follow each other, at most `runBlocks` of them; undefined for each
   * that the volume does not have or that cannot be read. Never throws.
   */
  async run(first: number, count: number): Promise<(Uint8Array | undefined)[]> {
    const { blockBytes } = this.layout;
    const each = Array.from({ length: count }, (_, i) => i);
    if (count === 1 || !this.#hasNewerCopies) {
      const { bytes, errno } = await this.#blocks.read(first * blockBytes, count * blockBytes);
      if (errno === 0) return each.map((i) => bytes.subarray(i * blockBytes, (i + 1) * blockBytes));
      if (count === 1) return [undefined];
    }
    return (await Promise.all(each.map((i) => this.run(first + i, 1)))).map(([one]) => one);
  }

  /** What is wrong with the block's header, or undefined. */
  fault(bytes: Uint8Array, number: number): string | undefined {
    return blockFault(blockViewOf(bytes), this.layout.blockBytes, number, this.superblock.uuid);
  }

  /** A metadata block of this kind. @throws InspectError if it is not one */
  async metadata(number: number, kind: BlockKind): Promise<Uint8Array> {
    const bytes = await this.block(number);
    this.requireKind(bytes, number, kind);
    return bytes;
  }

  /** @throws InspectError unless the bytes are those of a sound block of this kind */
  requireKind(bytes: Uint8Array, number: number, kind: BlockKind): void {
    const fault = this.fault(bytes, number);
    if (fault !== undefined) throw new InspectError(`block ${number} is damaged: ${fault}`);
    const found = BlockHeader.kind.get(viewOf(bytes), 0);
    if (found !== kind) throw new InspectError(`block ${number} is of kind ${found}, expected ${kind}`);
  }

  /** Where inode `number` stands. @throws InspectError if there is none */
  async inode(number: number): Promise<Place> {
    if (!(number > 0 && number < MAX_INODES)) throw new InspectError(`there is no inode ${number}`);
    const place = await this.#locate(number);
    if (place === undefined) throw new InspectError(`inode ${number} is not in use`);
    const bytes = await this.metadata(place.block, BlockKind.inodes);
    const isFree = Inode.mode.get(viewOf(bytes), place.offset) === 0;
    if (isFree) throw new InspectError(`inode ${number} is not in use`);
    return { bytes, at: place.offset, block: place.block };
  }

  /** Reads the table as far as the inode: damage behind it is no obstacle. */
  async #locate(number: number): Promise<InodePlace | undefined> {
    for await (const { bytes, at } of this.leafRecords(await this.table(), BlockKind.extentNode)) {
      const view = viewOf(bytes);
      const piece = new InodePlaces(this.layout);
      piece.add({
        fileBlock: ExtentRecord.key.get(view, at),
        block: ExtentRecord.block.get(view, at),
        length: ExtentRecord.length.get(view, at),
      });
      const place = piece.locate(number);
      if (place !== undefined) return place;
    }
    return undefined;
  }

  /** The inode of the inode table. @throws InspectError if the volume root is damaged */
  async table(): Promise<Place> {
    const block = this.layout.volumeRootBlock;
    const bytes = await this.metadata(block, BlockKind.volumeRoot);
    return { bytes, at: VOLUME_ROOT_INODE_OFFSET, block };
  }

  /**
   * The records of the extended attributes of an inode, in order of keys.
   * @throws InspectError at a damaged node
   */
  async *attributeRecords({ bytes, at, block }: Place, listener: TreeListener = {}): AsyncGenerator<Place> {
    const kind = BlockKind.attributeNode;
    const walk = { kind, seen: new Set<number>(), listener };
    const inline = inlineAttributeBytes(bytes, at);
    const root = Inode.attributeBlock.get(viewOf(bytes), at);
    if (inline > 0) {
      const node = { bytes, at: at + INODE_BYTES - inline, block, sizeBytes: inline };
      yield* this.#below({ ...node, highest: MAX_TREE_LEVEL }, walk);
    } else if (root !== 0) yield* this.#belowChild(root, MAX_TREE_LEVEL, walk);
  }

  /** The records of the quotas, in order of keys; none where there is no tree of them. */
  async *quotaRecords(listener: TreeListener = {}): AsyncGenerator<Place> {
    const { bytes } = await this.table();
    const root = VolumeRoot.quotaBlock.get(viewOf(bytes), 0);
    const walk = { kind: BlockKind.quotaNode, seen: new Set<number>(), listener };
    if (root !== 0) yield* this.#belowChild(root, MAX_TREE_LEVEL, walk);
  }

  /**
   * The leaf records of the tree whose root is in the inode's body, in order of keys.
   * @param kind of the blocks that its nodes are
   * @throws InspectError at a damaged node
   */
  async *leafRecords(
    { bytes, at, block }: Place,
    kind: BlockKind,
    listener: TreeListener = {},
  ): AsyncGenerator<Place> {
    const root = { bytes, at: at + INODE_BODY_OFFSET, block };
    const sizeBytes = INODE_BODY_BYTES - inlineAttributeBytes(bytes, at);
    const node = { ...root, sizeBytes, highest: MAX_TREE_LEVEL };
    yield* this.#below(node, { kind, seen: new Set(), listener });
  }

  async *#below(node: Node, walk: Walk): AsyncGenerator<Place> {
    const { bytes, block, highest } = node;
    const view = viewOf(bytes);
    const level = NodeHeader.level.get(view, node.at);
    if (level > highest) {
      return refuse(walk, new InspectError(`the tree node in block ${block} says it is at level ${level}`));
    }
    const { offsets, fault } = nodeRecords(bytes, node.at, node.sizeBytes);
    if (fault !== undefined)
      return refuse(walk, new InspectError(`the tree node in block ${block} is damaged: ${fault}`));
    for (const at of offsets) {
      if (level === 0) yield { bytes, at, block };
      else yield* this.#belowChild(BranchRecord.child.get(view, at), level - 1, walk);
    }
  }

  async *#belowChild(block: number, highest: number, walk: Walk): AsyncGenerator<Place> {
    let child: Node;
    try {
      child = await this.#child(block, highest, walk);
    } catch (thrown) {
      if (!(thrown instanceof InspectError)) throw thrown;
      return refuse(walk, thrown);
    }
    yield* this.#below(child, walk);
  }

  async #child(block: number, highest: number, { kind, seen, listener }: Walk): Promise<Node> {
    if (seen.has(block)) throw new InspectError(`block ${block} is twice in one tree`);
    seen.add(block);
    const bytes = await this.metadata(block, kind);
    listener.entered?.(block);
    return { bytes, at: HEADER_BYTES, block, sizeBytes: bytes.length - HEADER_BYTES, highest };
  }
}

/** Leaves out a part of a tree. @throws InspectError if nobody is told of it */
function refuse({ listener }: Walk, fault: InspectError): void {
  if (listener.report === undefined) throw fault;
  listener.report(fault);
}
