/**
 * How large a volume is: what its root says, which changes in a transaction. The superblock may say
 * more, where a crash came while the volume grew or shrank.
 */
import type { Device } from '../../aio/device.ts';
import { CorruptionError } from '../base/errors.ts';
import type { BlockNumber } from '../base/numbers.ts';
import { blockFault } from '../format/block-header.ts';
import { BlockHeader, BlockKind, VolumeRoot } from '../format/format.ts';
import type { Layout } from '../format/layout.ts';
import { NotAVolumeError, type SuperblockImage } from '../format/superblock.ts';
import { readBlocks, Staging } from './block-transfers.ts';

/**
 * The disk map of the volume as it is now. The superblock in memory follows.
 * @param place block of the volume root as it will be: at home, or a copy in the journal that has
 * not been replayed
 * @throws CorruptionError, NotAVolumeError, FsError of the device
 */
export async function followedLayout(
  device: Device,
  superblock: SuperblockImage,
  place: BlockNumber,
): Promise<Layout> {
  const layout = superblock.layout();
  const { blockBytes, volumeRootBlock, blockCount: most } = layout;
  const staged = new Staging(device).reserve(blockBytes);
  const { view } = staged;
  await readBlocks(device, staged.memory, [place], blockBytes);
  const fault = blockFault(staged, blockBytes, volumeRootBlock, superblock.uuid);
  if (fault !== undefined) throw new CorruptionError(volumeRootBlock, fault);
  if (BlockHeader.kind.get(view, 0) !== BlockKind.volumeRoot)
    throw new CorruptionError(volumeRootBlock, 'is not of the kind of a volume root');
  const blockCount = VolumeRoot.blockCount.get(view, 0);
  if (blockCount > most) {
    throw new NotAVolumeError(
      `its superblock speaks of ${most} blocks, its volume root of ${blockCount}: 'quarry fsck' tells more`,
    );
  }
  try {
    layout.resize(blockCount);
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    throw new NotAVolumeError(`its volume root makes no sense: ${thrown.message}`);
  }
  superblock.resized(layout);
  return layout;
}
