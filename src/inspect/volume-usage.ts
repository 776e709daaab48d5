/**
 * How full a volume is, by the counters where they stand: while it is mounted, or its journal is to
 * be replayed, they lag behind.
 */
import type { Device } from '../aio/device.ts';
import { BlockSource } from '../check/block-source.ts';
import { viewOf } from '../common/bytes.ts';
import { BlockHeader, BlockKind, HEADER_BYTES, SummaryHeader, VolumeRoot } from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';

/** As far as the blocks that say so can be read. */
export interface VolumeUsage {
  readonly freeBlocks: number | undefined;
  /** In use. */
  readonly inodes: number | undefined;
}

export async function readUsage(device: Device, layout: Layout): Promise<VolumeUsage> {
  const source = new BlockSource(device);
  const read = (block: number, kind: BlockKind, lengthBytes: number) =>
    readKind(source, block * layout.blockBytes, kind, lengthBytes);
  const top = layout.summaryBlock(layout.summaryLevels, 0);
  const summary = await read(top, BlockKind.summary, HEADER_BYTES);
  const root = await read(layout.volumeRootBlock, BlockKind.volumeRoot, VolumeRoot.sizeBytes);
  return {
    freeBlocks: summary && SummaryHeader.freeBlocks.get(summary, 0),
    inodes: root && VolumeRoot.inodeCount.get(root, 0),
  };
}

/** The start of a block; undefined unless it can be read and says that it is of this kind. */
async function readKind(
  source: BlockSource,
  offsetBytes: number,
  kind: BlockKind,
  lengthBytes: number,
): Promise<DataView | undefined> {
  const { bytes, errno } = await source.read(offsetBytes, lengthBytes);
  const view = viewOf(bytes);
  return errno === 0 && BlockHeader.kind.get(view, 0) === kind ? view : undefined;
}
