/**
 * Passes 3 and 4: the volume root, and the extents of the inode table, whose inode stands in it.
 */
import { viewOf } from '../common/bytes.ts';
import {
  BlockKind,
  INODE_BODY_BYTES,
  INODE_BODY_OFFSET,
  Inode,
  VOLUME_ROOT_INODE_OFFSET,
  VolumeRoot,
} from '../fs/format/format.ts';
import { hasAttributes } from './attribute-pass.ts';
import type { CheckContext } from './context.ts';
import { walkExtents } from './extent-walk.ts';
import { InodePlaces } from './inode-places.ts';
import { GENERATION_LIMIT } from './inode-record.ts';
import { tryResize } from './volume-reach.ts';

/** What the volume root says, to be compared with what the later passes find. */
export interface RootFacts {
  readonly view: DataView;
  readonly inodeCount: number;
  readonly firstFreeChunk: number;
  readonly firstOrphan: number;
  readonly nextGeneration: number;
}

/**
 * @returns undefined, after a report, if the volume root is not to be had: then nothing else can
 * be.
 */
export async function readVolumeRoot(context: CheckContext): Promise<RootFacts | undefined> {
  context.log.pass = 'volume root';
  const block = context.layout.volumeRootBlock;
  const bytes = await context.reader.read(block, { kind: BlockKind.volumeRoot, what: 'volume root' });
  if (!bytes) return undefined;
  const view = viewOf(bytes);
  followSize(context, VolumeRoot.blockCount.get(view, 0));
  const nextGeneration = VolumeRoot.nextGeneration.get(view, 0);
  if (nextGeneration > GENERATION_LIMIT) {
    context.log.report('root-next-generation', { block, found: nextGeneration });
  }
  return {
    view,
    inodeCount: VolumeRoot.inodeCount.get(view, 0),
    firstFreeChunk: VolumeRoot.firstFreeChunk.get(view, 0),
    firstOrphan: VolumeRoot.firstOrphan.get(view, 0),
    nextGeneration,
  };
}

/**
 * The size of the volume is what its root says. The superblock, which the disk map was made of, may
 * say more where a crash came while it grew; if it says less, it is of an earlier time, as long as
 * the root is sound, or a backup agrees with it.
 */
function followSize(context: CheckContext, found: number): void {
  const { layout, log, statistics } = context;
  const expected = layout.blockCount;
  const block = layout.volumeRootBlock;
  const isBelieved = !log.badChecksums.has(block) || found === context.backupBlocks;
  const mayBe = found <= expected || (found <= context.deviceBlocks && isBelieved);
  if (!mayBe || !tryResize(layout, found)) {
    log.report('root-block-count', { block, found, expected });
    return;
  }
  statistics.blocks = found;
  if (found > expected) log.report('superblock-size', { block: 0, found: expected, expected: found });
}

/** Walks the extent tree of the inode table. */
export async function readInodeTable(context: CheckContext, root: RootFacts): Promise<InodePlaces> {
  const { layout, log } = context;
  log.pass = 'inode table';
  const { view } = root;
  const at = VOLUME_ROOT_INODE_OFFSET;
  const table = new InodePlaces(layout);
  const region = { view, at: at + INODE_BODY_OFFSET, length: INODE_BODY_BYTES };
  if (hasAttributes({ view, at })) log.report('inode-attributes', { inode: 0, what: 'in the inode table' });
  const tree = { inode: 0, root: region, rootBlock: layout.volumeRootBlock, knownFlags: 0 };
  const walked = await walkExtents(context, tree, (extent) => table.add(extent));
  const expected = walked.dataBlocks + walked.nodeBlocks;
  const found = Inode.blocks.get(view, at);
  if (walked.complete && found !== expected) log.report('inode-blocks', { inode: 0, found, expected });
  return table;
}
