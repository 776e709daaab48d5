/**
 * The extents of one inode, in order of file blocks. Small files have theirs in the inode, and are
 * read without waiting: there may be millions of them.
 */
import { viewOf } from '../common/bytes.ts';
import {
  BlockKind,
  ExtentFlag,
  ExtentRecord,
  FILE_TYPE_MASK,
  FileType,
  INODE_BODY_BYTES,
  INODE_BODY_OFFSET,
  Inode,
  InodeFlag,
  NodeHeader,
} from '../fs/format/format.ts';
import { InspectError } from './inspect-error.ts';
import { inlineAttributeBytes, nodeRecords } from './node-records.ts';
import type { Place, TreeListener, VolumeSource } from './volume-source.ts';

/** File blocks that are at blocks of the volume that follow each other. */
export interface MappedExtent {
  readonly fileBlock: number;
  readonly block: number;
  readonly length: number;
  /** It reads as zeros until it is written. */
  readonly unwritten: boolean;
}

/** Whether the inode is a file or a long symbolic link whose blocks a tree of extents names. */
export function hasExtents({ bytes, at }: Place): boolean {
  const view = viewOf(bytes);
  const type = Inode.mode.get(view, at) & FILE_TYPE_MASK;
  if (type !== FileType.regular && type !== FileType.symlink) return false;
  return (Inode.flags.get(view, at) & InodeFlag.inlineData) === 0;
}

/**
 * Visits the extents of an inode; what is damaged is told to the listener and left out.
 * @param place of an inode that has extents, or of the inode table's
 * @returns undefined if all is done, otherwise when it is
 */
export function visitExtents(
  source: VolumeSource,
  place: Place,
  visit: (extent: MappedExtent) => void,
  listener: Required<TreeListener>,
): Promise<void> | undefined {
  const view = viewOf(place.bytes);
  const root = place.at + INODE_BODY_OFFSET;
  if (NodeHeader.level.get(view, root) !== 0) return visitTree(source, place, visit, listener);
  const sizeBytes = INODE_BODY_BYTES - inlineAttributeBytes(place.bytes, place.at);
  const { offsets, fault } = nodeRecords(place.bytes, root, sizeBytes);
  if (fault !== undefined)
    listener.report(new InspectError(`the tree in block ${place.block} is damaged: ${fault}`));
  else for (const at of offsets) tell(extentAt(source, view, at), visit, listener);
  return undefined;
}

async function visitTree(
  source: VolumeSource,
  place: Place,
  visit: (extent: MappedExtent) => void,
  listener: Required<TreeListener>,
): Promise<void> {
  for await (const { bytes, at } of source.leafRecords(place, BlockKind.extentNode, listener))
    tell(extentAt(source, viewOf(bytes), at), visit, listener);
}

function tell(
  found: MappedExtent | InspectError,
  visit: (extent: MappedExtent) => void,
  { report }: Required<TreeListener>,
): void {
  if (found instanceof InspectError) report(found);
  else visit(found);
}

/** The extent that stands there, or what is wrong with it. */
function extentAt({ layout }: VolumeSource, view: DataView, at: number): MappedExtent | InspectError {
  const fileBlock = ExtentRecord.key.get(view, at);
  const block = ExtentRecord.block.get(view, at);
  const length = ExtentRecord.length.get(view, at);
  const unwritten = (ExtentRecord.flags.get(view, at) & ExtentFlag.unwritten) !== 0;
  if (length > 0 && block + length <= layout.blockCount) return { fileBlock, block, length, unwritten };
  return new InspectError(`the extent of file block ${fileBlock} is not on the volume`);
}

/**
 * Counts blocks, and the pieces in which they lie: runs of blocks of which each stands directly
 * behind the one before it in the file. Extents that go on where the one before ended are one
 * piece, as filefrag(8) counts them; a hole in the file between them is no matter.
 */
export class PieceCounter {
  blocks = 0;
  pieces = 0;
  #next = -1;

  add({ block, length }: Pick<MappedExtent, 'block' | 'length'>): void {
    if (block !== this.#next) this.pieces++;
    this.blocks += length;
    this.#next = block + length;
  }
}
