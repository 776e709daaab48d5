/**
 * A symbolic link whose target does not fit its inode: metadata blocks of the kind `symlink`, in
 * order of the extent tree, each with its header and then its part of the target.
 */
import { viewOf } from '../common/bytes.ts';
import { BlockKind, HEADER_BYTES, OwnerHeader } from '../fs/format/format.ts';
import type { CheckContext } from './context.ts';
import type { Extent } from './extent-walk.ts';

/** Blocks that a target of this size takes. */
export function symlinkBlocks(sizeBytes: number, blockBytes: number): number {
  return Math.ceil(sizeBytes / (blockBytes - HEADER_BYTES));
}

/** Reads every block of the target. `sizeBytes` is within its limits. */
export async function checkSymlinkBlocks(
  context: CheckContext,
  inode: number,
  sizeBytes: number,
  extents: readonly Extent[],
): Promise<void> {
  const { layout, log } = context;
  const perBlock = layout.blockBytes - HEADER_BYTES;
  let expected = 0;
  for (const { fileBlock, block, length } of extents) {
    for (let i = 0; i < length; i++) {
      if (fileBlock + i !== expected) log.report('symlink-hole', { inode, found: fileBlock + i, expected });
      expected = fileBlock + i + 1;
      const bytes = Math.min(perBlock, sizeBytes - (fileBlock + i) * perBlock);
      await checkBlock(context, inode, block + i, Math.max(0, bytes));
    }
  }
  const needed = symlinkBlocks(sizeBytes, layout.blockBytes);
  if (expected < needed) log.report('symlink-hole', { inode, found: 'nothing', expected });
}

async function checkBlock(
  { reader, log }: CheckContext,
  inode: number,
  block: number,
  lengthBytes: number,
): Promise<void> {
  const what = `target of symbolic link ${inode}`;
  const bytes = await reader.read(block, { kind: BlockKind.symlink, what, inode });
  if (!bytes) return;
  const found = OwnerHeader.owner.get(viewOf(bytes), 0);
  if (found !== inode) log.report('tree-owner', { inode, block, found });
  if (bytes.subarray(HEADER_BYTES, HEADER_BYTES + lengthBytes).includes(0))
    log.report('symlink-target', { inode });
}
