/**
 * The superblock and its backups, which are not in the journal: one of them is always whole on
 * disk, so the one that is not relied on is written first, and flushed, before the other.
 */
import { viewOf } from '../common/bytes.ts';
import {
  BlockHeader,
  BlockKind,
  MAGIC_BYTES,
  SUPERBLOCK_BYTES,
  Superblock,
  VolumeState,
} from '../fs/format/format.ts';
import type { BlockTarget } from './block-target.ts';
import type { CheckRun } from './checker.ts';
import { sealBytes } from './metadata-block.ts';
import { DERIVED_FIELDS, type FoundSuperblock, type SuperblockFacts } from './superblock-pass.ts';

/**
 * Makes all superblocks right, and says on disk that the volume is not to be mounted until the
 * repair is done.
 * @param isReplay nothing is wrong, and only the journal is to be brought home: then a mount may do
 * that as well
 */
export async function beginRepair(
  target: BlockTarget,
  sectorBytes: number,
  run: CheckRun,
  isReplay: boolean,
): Promise<void> {
  if (isReplay) return;
  const { chosen, isFirst } = run.superblocks;
  const isDamaged = run.context.log.countIn('superblock') > 0;
  const { backups } = chosen.layout;
  const places = isFirst ? [...backups, 0] : [0, ...backups];
  for (const block of isDamaged ? places : [0])
    await writeSuperblock(target, sectorBytes, chosen, { block, state: stateFor(block) });
}

/** The backup says nothing of the state, which only block 0 knows. */
function stateFor(block: number): number {
  return block === 0 ? VolumeState.repairing : VolumeState.clean;
}

/**
 * Says that the volume is in order, and how large it is, where a crash came while it grew.
 * Everything else is durable.
 */
export async function endRepair(
  target: BlockTarget,
  sectorBytes: number,
  { chosen, staleBackups }: SuperblockFacts,
): Promise<void> {
  const { layout, view } = chosen;
  if (staleBackups || Superblock.blockCount.get(view, 0) !== layout.blockCount) {
    for (const block of layout.backups)
      await writeSuperblock(target, sectorBytes, chosen, { block, state: VolumeState.clean });
  }
  await writeSuperblock(target, sectorBytes, chosen, { block: 0, state: VolumeState.clean });
}

async function writeSuperblock(
  target: BlockTarget,
  sectorBytes: number,
  { bytes, layout }: FoundSuperblock,
  { block, state }: { readonly block: number; readonly state: number },
): Promise<void> {
  const image = new Uint8Array(SUPERBLOCK_BYTES);
  image.set(bytes);
  image.set(MAGIC_BYTES, BlockHeader.magic.offset);
  const view = viewOf(image);
  BlockHeader.kind.set(view, 0, BlockKind.superblock);
  BlockHeader.block.set(view, 0, block);
  for (const [, field, derive] of DERIVED_FIELDS) field.set(view, 0, derive(layout));
  Superblock.state.set(view, 0, state);
  sealBytes(image);
  const written = new Uint8Array(Math.max(SUPERBLOCK_BYTES, sectorBytes));
  written.set(image);
  await target.write(block * layout.blockBytes, written);
  await target.flush();
}
