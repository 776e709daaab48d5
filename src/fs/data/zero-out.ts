/**
 * Unwritten extents that become data, all of them zeros, because a volume that is full has no room
 * for the nodes that parting them might take (as ext4 does it, `ext4_ext_zeroout`).
 *
 * An extent that changes as a whole needs no room in the tree. It is bounded in length
 * (`MOST_UNWRITTEN_BLOCKS`), and what it costs is paid by who writes to it first. Under the lock of
 * the whole file: others may be writing to other parts of the same extent.
 *
 * What lies behind the block that the file ends in stays unwritten, since data has no place there;
 * parting the extent at the end takes one of the blocks that are kept back for nodes, at most.
 */
import type { BlockNumber, FileBlock } from '../base/numbers.ts';
import { transact } from '../transaction/operation-runner.ts';
import { sizeOf } from '../tree/inode.ts';
import type { WriteContext } from './write-plan.ts';
import { zeroBlocks } from './zeroing.ts';

interface Extent {
  readonly fileBlock: FileBlock;
  /** 0 where nothing is to be done. */
  readonly block: BlockNumber;
  readonly length: number;
}

/**
 * All unwritten extents that have a part of the file blocks [first, end).
 * @throws FsError of the device
 */
export async function zeroOut(
  context: WriteContext,
  inode: number,
  first: FileBlock,
  end: FileBlock,
): Promise<void> {
  for (let at = first; at < end; ) {
    const extent = await nextExtent(context, inode, at);
    at = extent.fileBlock + extent.length;
    if (extent.block === 0) continue;
    await zeroBlocks(context, extent.block, extent.length);
    await transact(context, (tx) =>
      context.extents.written(tx, context.table.get(tx, inode), extent.fileBlock, extent.length),
    );
  }
}

function nextExtent(context: WriteContext, number: number, at: FileBlock): Promise<Extent> {
  return transact(context, (tx) => {
    const inode = context.table.get(tx, number);
    const { block, length: rest, before, unwritten } = context.extents.find(tx, inode, at);
    if (!unwritten) return { fileBlock: at, block: 0, length: rest };
    const start = at - before;
    const last = Math.ceil(sizeOf(inode) / context.blockBytes);
    const length = Math.min(rest, last - at);
    if (length <= 0) return { fileBlock: at, block: 0, length: rest };
    return { fileBlock: start, block: block - before, length: length + before };
  });
}
