/**
 * Walks the extent tree of one inode: every extent is inside the space, belongs to nothing else,
 * and begins after the end of the one before.
 */
import { ExtentFlag, ExtentRecord, MAX_FILE_BYTES, TreeKind } from '../fs/format/format.ts';
import type { CheckContext } from './context.ts';
import type { NodeBytes } from './tree-node.ts';
import { walkTree } from './tree-walk.ts';

export interface Extent {
  /** First block within the file. */
  readonly fileBlock: number;
  /** First block on the volume. */
  readonly block: number;
  readonly length: number;
}

export interface ExtentWalkResult {
  readonly dataBlocks: number;
  readonly nodeBlocks: number;
  readonly extents: number;
  /** First file block after the last extent that holds data: unwritten ones may lie behind it. */
  readonly dataEnd: number;
  /** False if a part of the tree or an extent had to be left out. */
  readonly complete: boolean;
}

/** The extent tree of an inode. */
export interface ExtentTree {
  readonly inode: number;
  readonly root: NodeBytes;
  /** Block that holds the root. */
  readonly rootBlock: number;
  /** Bits of `ExtentFlag` that its extents may have. */
  readonly knownFlags: number;
}

/** @param keep called for each sound extent, by file block. */
export async function walkExtents(
  context: CheckContext,
  { inode, root, rootBlock, knownFlags }: ExtentTree,
  keep?: (extent: Extent) => void,
): Promise<ExtentWalkResult> {
  const keyLimit = MAX_FILE_BYTES / context.layout.blockBytes;
  const total = { dataBlocks: 0, extents: 0, end: 0, dataEnd: 0, sound: true };

  function visit(view: DataView, at: number, key: number, block: number): void {
    const extent = {
      fileBlock: key,
      block: ExtentRecord.block.get(view, at),
      length: ExtentRecord.length.get(view, at),
    };
    total.extents++;
    total.dataBlocks += extent.length;
    const flags = ExtentRecord.flags.get(view, at);
    const wrong = recordFlaw(extent, flags & ~knownFlags, total.end, keyLimit);
    if (wrong) context.log.report('tree-record', { inode, block, found: key, what: wrong });
    const sound = claimExtent(context, inode, extent);
    total.end = Math.max(total.end, key + extent.length);
    if ((flags & ExtentFlag.unwritten) === 0) total.dataEnd = total.end;
    if (wrong || !sound) total.sound = false;
    else keep?.(extent);
  }

  const walked = await walkTree(context, {
    inode,
    kind: TreeKind.extents,
    root,
    mayBeEmpty: true,
    rootBlock,
    keyLimit,
    visit,
  });
  const { dataBlocks, extents, dataEnd, sound } = total;
  return { dataBlocks, extents, dataEnd, nodeBlocks: walked.nodeBlocks, complete: walked.complete && sound };
}

function recordFlaw(extent: Extent, flags: number, end: number, limit: number): string | undefined {
  if (extent.length === 0) return 'its length is 0';
  if (extent.fileBlock < end) return `the extent before it ends at ${end}`;
  if (extent.fileBlock + extent.length > limit) return 'it goes beyond the largest file';
  if (flags !== 0) return `it has flags ${flags}`;
  return undefined;
}

/** @returns false, after a report, if the blocks cannot be this extent's own. */
function claimExtent({ log, shared, space }: CheckContext, inode: number, extent: Extent): boolean {
  const { block, length, fileBlock } = extent;
  if (length === 0) return false;
  if (!space.contains(block, length)) {
    log.report('extent-outside', { inode, what: fileBlock, found: `${block}-${block + length - 1}`, block });
    return false;
  }
  const conflict = space.claim(block, length);
  if (!conflict) return true;
  log.report('block-shared', { inode, block: conflict.block, found: conflict.count });
  shared.add(inode, conflict.ranges);
  return false;
}
