/**
 * What `quarry dump` reads from: the blocks of a target as a mount would see them, that is with the
 * journal of a volume that was not unmounted in order replayed in memory. Nothing is ever written.
 *
 * Finds inodes and directory entries with the format alone, so that what is sound can be looked at
 * beside what is not. Walks through trees go down one level at each step and visit no block twice,
 * whatever the blocks say.
 */

import type { Device } from '../aio/device.ts';
import { BlockSource } from '../check/block-source.ts';
import { viewOf } from '../check/metadata-block.ts';
import { CorruptionError } from '../fs/base/errors.ts';
import { blockFault } from '../fs/format/block-header.ts';
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
} from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import { NotAVolumeError, readSuperblock, type SuperblockImage } from '../fs/format/superblock.ts';
import { recover } from '../fs/journal/recovery.ts';
import { nodeRecords } from '../inspect/node-records.ts';
import { CommandError, failureLine, targetError } from './failure.ts';
import { openTarget } from './open-target.ts';
import type { Target } from './target.ts';
import { readVolumeHead } from './volume-head.ts';

/** A record in its bytes. */
export interface Place {
  readonly bytes: Uint8Array;
  readonly at: number;
  /** The block that the bytes are of. */
  readonly block: number;
}

/** Opens the target for looking at it, whoever else uses it. */
export function openForReading(target: Target): Device {
  try {
    return openTarget(target, { readOnly: true, exclusive: false, allowBuffered: true });
  } catch (thrown) {
    throw targetError(thrown, target.path);
  }
}

export class DumpSource {
  readonly layout: Layout;
  /**
   * Why the blocks are shown as they are on disk although the volume was not unmounted in order.
   */
  readonly journalFault: string | undefined;
  readonly #blocks: BlockSource;

  private constructor(
    readonly device: Device,
    readonly superblock: SuperblockImage,
    shown: Device,
    journalFault: string | undefined,
  ) {
    this.layout = superblock.layout();
    this.journalFault = journalFault;
    this.#blocks = new BlockSource(shown);
  }

  /** @throws CommandError if the target holds no volume that can be read */
  static async open(target: Target, device: Device): Promise<DumpSource> {
    readVolumeHead(target);
    const superblock = await readSuperblock(device);
    try {
      const { device: shown } = await recover(device, superblock, { readOnly: true, replay: true });
      return new DumpSource(device, superblock, shown, undefined);
    } catch (thrown) {
      // With a damaged root or journal the rest can still be looked at.
      const isDamaged = thrown instanceof CorruptionError;
      if (!isDamaged && !(thrown instanceof NotAVolumeError)) throw thrown;
      const fault = isDamaged && superblock.isClean ? undefined : failureLine(thrown);
      return new DumpSource(device, superblock, device, fault);
    }
  }

  /**
   * The bytes of a block.
   * @throws CommandError if the volume has no such block or it cannot be read
   */
  async block(number: number): Promise<Uint8Array> {
    const { blockBytes, blockCount } = this.layout;
    if (!(number >= 0 && number < blockCount)) {
      throw new CommandError(`there is no block ${number}: the volume has blocks 0 to ${blockCount - 1}`);
    }
    const { bytes, errno } = await this.#blocks.read(number * blockBytes, blockBytes);
    if (errno !== 0) throw new CommandError(`block ${number} cannot be read`);
    return bytes;
  }

  /** What is wrong with the block's header, or undefined. */
  fault(bytes: Uint8Array, number: number): string | undefined {
    const view = viewOf(bytes);
    return blockFault(view, bytes, 0, this.layout.blockBytes, number, this.superblock.uuid);
  }

  /** A metadata block of this kind. @throws CommandError if it is not one */
  async metadata(number: number, kind: BlockKind): Promise<Uint8Array> {
    const bytes = await this.block(number);
    const fault = this.fault(bytes, number);
    if (fault !== undefined) throw new CommandError(`block ${number} is damaged: ${fault}`);
    const found = BlockHeader.kind.get(viewOf(bytes), 0);
    if (found !== kind) throw new CommandError(`block ${number} is of kind ${found}, expected ${kind}`);
    return bytes;
  }

  /** Where inode `number` stands. @throws CommandError if there is none */
  async inode(number: number): Promise<Place> {
    const { layout } = this;
    if (!(number > 0 && number < MAX_INODES)) throw new CommandError(`there is no inode ${number}`);
    const chunk = Math.floor(number / layout.bitsPerBlock);
    const index = number % layout.bitsPerBlock;
    const root = await this.metadata(layout.volumeRootBlock, BlockKind.volumeRoot);
    const table = { bytes: root, at: VOLUME_ROOT_INODE_OFFSET, block: layout.volumeRootBlock };
    const block = await this.#blockOfFile(table, layout.inodeFileBlock(chunk, index));
    if (block === undefined) throw new CommandError(`inode ${number} is not in use`);
    const bytes = await this.metadata(block, BlockKind.inodes);
    const at = HEADER_BYTES + (index % layout.inodesPerBlock) * INODE_BYTES;
    if (Inode.mode.get(viewOf(bytes), at) === 0) throw new CommandError(`inode ${number} is not in use`);
    return { bytes, at, block };
  }

  async #blockOfFile(inode: Place, fileBlock: number): Promise<number | undefined> {
    for await (const { bytes, at } of this.leafRecords(inode, BlockKind.extentNode)) {
      const view = viewOf(bytes);
      const inExtent = fileBlock - ExtentRecord.key.get(view, at);
      if (inExtent >= 0 && inExtent < ExtentRecord.length.get(view, at)) {
        return ExtentRecord.block.get(view, at) + inExtent;
      }
    }
    return undefined;
  }

  /**
   * The leaf records of the tree whose root is in the inode's body, in order of keys.
   * @throws CommandError at a damaged node
   */
  async *leafRecords(inode: Place, kind: BlockKind): AsyncGenerator<Place> {
    const base = inode.at + INODE_BODY_OFFSET;
    yield* this.#below({ ...inode, at: base }, INODE_BODY_BYTES, MAX_TREE_LEVEL, kind, new Set());
  }

  async *#below(
    node: Place,
    size: number,
    highest: number,
    kind: BlockKind,
    seen: Set<number>,
  ): AsyncGenerator<Place> {
    const { bytes, at: base, block } = node;
    const view = viewOf(bytes);
    const level = NodeHeader.level.get(view, base);
    const { offsets, fault } = nodeRecords(bytes, base, size);
    if (level > highest)
      throw new CommandError(`the tree node in block ${block} says it is at level ${level}`);
    if (fault !== undefined) throw new CommandError(`the tree node in block ${block} is damaged: ${fault}`);
    for (const at of offsets) {
      if (level === 0) {
        yield { bytes, at, block };
        continue;
      }
      const child = BranchRecord.child.get(view, at);
      if (seen.has(child)) throw new CommandError(`block ${child} is twice in one tree`);
      seen.add(child);
      const below = { bytes: await this.metadata(child, kind), at: HEADER_BYTES, block: child };
      yield* this.#below(below, this.layout.blockBytes - HEADER_BYTES, level - 1, kind, seen);
    }
  }
}
