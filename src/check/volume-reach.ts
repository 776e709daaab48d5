/**
 * How far a volume reaches whose first superblock is damaged. Its backups are the last to be told
 * that it grew, and the journal may have blocks behind the end that they know of; its root is told
 * in the transaction that makes it larger. So before anything is judged by the size of a backup,
 * the root is asked.
 */
import { viewOf } from '../common/bytes.ts';
import { BlockKind, VolumeRoot } from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import type { BlockSource } from './block-source.ts';
import { examineJournal, type JournalOwner } from './journal-reader.ts';
import { MetadataReader } from './metadata-block.ts';
import { ProblemLog } from './problem.ts';

/** Blocks of this volume that the device has room for. */
export function deviceBlocks({ sizeBytes }: BlockSource, { blockBytes }: Layout): number {
  return Math.floor(sizeBytes / blockBytes);
}

/** @returns whether the volume can have this size; if not, it has the one that it had */
export function tryResize(layout: Layout, blockCount: number): boolean {
  try {
    layout.resize(blockCount);
    return true;
  } catch (thrown) {
    if (thrown instanceof RangeError) return false;
    throw thrown;
  }
}

/**
 * Gives the volume the size that its root says, if that is more than it has, and the device has it.
 * What is wrong with journal and root is the business of their passes.
 */
export async function reachAsFarAsRoot(source: BlockSource, owner: JournalOwner): Promise<void> {
  const { layout } = owner;
  const before = layout.blockCount;
  if (!tryResize(layout, deviceBlocks(source, layout))) return;
  const found = await soundRootCount(source, owner);
  tryResize(layout, before);
  if (found > before && found <= deviceBlocks(source, layout)) tryResize(layout, found);
}

/** What the root says, at home or in the journal; 0 if it is not sound. */
async function soundRootCount(source: BlockSource, owner: JournalOwner): Promise<number> {
  const log = new ProblemLog();
  const { blockBytes, volumeRootBlock } = owner.layout;
  const reader = new MetadataReader(source, log, blockBytes, owner.uuid);
  reader.copies = (await examineJournal(source, log, owner, false)).copies;
  const root = await reader.read(volumeRootBlock, { kind: BlockKind.volumeRoot, what: 'volume root' });
  if (root === undefined || log.badChecksums.size > 0) return 0;
  return VolumeRoot.blockCount.get(viewOf(root), 0);
}
