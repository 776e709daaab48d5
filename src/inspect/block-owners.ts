/**
 * What the blocks of a volume are used for, and whose they are: everything that a tree or a fixed
 * place leads to, as runs. Free runs come first; what is neither is in use for nothing that could
 * be found: of a sound volume at rest there is none.
 */
import { viewOf } from '../common/bytes.ts';
import { BlockKind, FILE_TYPE_MASK, FileType, Inode } from '../fs/format/format.ts';
import type { FaultList, ProgressListener } from './fault-list.ts';
import { visitFreeRuns } from './free-runs.ts';
import { hasExtents, type MappedExtent, PieceCounter, visitExtents } from './inode-extents.ts';
import { InodeReader } from './inode-reader.ts';
import type { InspectError } from './inspect-error.ts';
import type { Place, TreeListener, VolumeSource } from './volume-source.ts';

/** What a block is used for; the numbers are classes of a map. */
export const BlockUse = {
  free: 0,
  data: 1,
  /** Nodes of trees of extents, of extended attributes and of quotas. */
  tree: 2,
  directory: 3,
  inodeTable: 4,
  journal: 5,
  /** Bitmaps of groups, and the summaries over them. */
  bitmap: 6,
  /** Superblock, its copies, and the volume root. */
  superblock: 7,
  /** In use by the bitmaps, and nothing leads to it; or its bitmap cannot be read. */
  unknown: 8,
} as const;
export type BlockUse = (typeof BlockUse)[keyof typeof BlockUse];

/** The inode that blocks belong to. */
export interface BlockOwner {
  readonly inode: number;
  readonly isDirectory: boolean;
  /** Seconds since 1970. */
  readonly birthSeconds: number;
  readonly modifySeconds: number;
  /** Runs in which its data lies; 0 unless they were asked for, and of directories. */
  readonly pieces: number;
}

export interface OwnerVisitor {
  /** @param owner undefined for what is the volume's own */
  readonly run: (block: number, length: number, use: BlockUse, owner: BlockOwner | undefined) => void;
  /** Whether owners tell their pieces: large files are read twice for it. */
  readonly wantsPieces: boolean;
  readonly progress?: ProgressListener;
}

/** Visits the blocks of a volume, each once if it is sound. */
export async function visitOwners(
  source: VolumeSource,
  faults: FaultList,
  visitor: OwnerVisitor,
): Promise<void> {
  const { progress = () => {} } = visitor;
  visitFixedPlaces(source, visitor);
  await visitFreeRuns(source, faults, {
    free: (block, length) => visitor.run(block, length, BlockUse.free, undefined),
    unknown: () => {},
    progress: (done, total) => progress('free space', done, total),
  });
  const report = (fault: InspectError) => faults.report(fault, 'quotas: ');
  const entered = (block: number) => visitor.run(block, 1, BlockUse.tree, undefined);
  await drain(source.quotaRecords({ entered, report }));
  const visit = { source, faults, visitor };
  const reader = await InodeReader.open(source, faults);
  for (const { block, length } of reader.extents) visitor.run(block, length, BlockUse.inodeTable, undefined);
  for (const block of reader.nodes) visitor.run(block, 1, BlockUse.inodeTable, undefined);
  await reader.scan((inode, place) => visitInode(visit, inode, place), {
    progress: (done, total) => progress('inodes', done, total),
  });
}

function visitFixedPlaces({ layout }: VolumeSource, { run }: OwnerVisitor): void {
  run(0, 1, BlockUse.superblock, undefined);
  run(layout.journalStart, layout.journalBlocks, BlockUse.journal, undefined);
  run(layout.volumeRootBlock, 1, BlockUse.superblock, undefined);
  for (const block of layout.backups) run(block, 1, BlockUse.superblock, undefined);
  const isBackup = new Set<number>(layout.backups);
  for (let group = 0; group < layout.groupCount; group++) {
    const first = layout.bitmapBlock(group);
    for (let i = 0; i < layout.groupMetadataBlocks(group); i++)
      if (!isBackup.has(first + i)) run(first + i, 1, BlockUse.bitmap, undefined);
  }
  // A last group that is too short to be worth having is nobody's.
  const end = layout.spaceStart + layout.spaceBlocks;
  run(end, layout.blockCount - end, BlockUse.free, undefined);
}

function visitInode(
  { source, faults, visitor }: VolumeVisit,
  inode: number,
  place: Place,
): Promise<void> | undefined {
  const view = viewOf(place.bytes);
  const type = Inode.mode.get(view, place.at) & FILE_TYPE_MASK;
  const isDirectory = type === FileType.directory;
  const hasAttributes = Inode.attributeBlock.get(view, place.at) !== 0;
  if (Inode.blocks.get(view, place.at) === 0 && !hasAttributes) return undefined;
  const owner = {
    inode,
    isDirectory,
    birthSeconds: Inode.birthSeconds.get(view, place.at),
    modifySeconds: Inode.modifySeconds.get(view, place.at),
    pieces: 0,
  };
  const report = (fault: InspectError) => faults.report(fault, `inode ${inode}: `);
  const inodeVisit = { source, visitor, place, report };
  if (isDirectory || hasAttributes) return visitTrees(inodeVisit, owner);
  return hasExtents(place) ? visitData(inodeVisit, owner) : undefined;
}

interface VolumeVisit {
  readonly source: VolumeSource;
  readonly faults: FaultList;
  readonly visitor: OwnerVisitor;
}

interface InodeVisit {
  readonly source: VolumeSource;
  readonly visitor: OwnerVisitor;
  readonly place: Place;
  readonly report: (fault: InspectError) => void;
}

async function visitTrees(visit: InodeVisit, owner: BlockOwner): Promise<void> {
  const { source, visitor, place, report } = visit;
  const ofAttributes: TreeListener = {
    entered: (block) => visitor.run(block, 1, BlockUse.tree, owner),
    report,
  };
  await drain(source.attributeRecords(place, ofAttributes));
  if (hasExtents(place)) await visitData(visit, owner);
  if (!owner.isDirectory) return;
  const ofNames: TreeListener = {
    entered: (block) => visitor.run(block, 1, BlockUse.directory, owner),
    report,
  };
  await drain(source.leafRecords(place, BlockKind.directoryNode, ofNames));
}

async function drain(records: AsyncGenerator<Place>): Promise<void> {
  for await (const _ of records);
}

function visitData(visit: InodeVisit, owner: BlockOwner): Promise<void> | undefined {
  const { source, visitor, place, report } = visit;
  const tell = (known: BlockOwner): Promise<void> | undefined =>
    visitExtents(
      source,
      place,
      ({ block, length }: MappedExtent) => visitor.run(block, length, BlockUse.data, known),
      { entered: (block) => visitor.run(block, 1, BlockUse.tree, known), report },
    );
  if (!visitor.wantsPieces) return tell(owner);
  const counter = new PieceCounter();
  const counting = visitExtents(source, place, (extent) => counter.add(extent), {
    entered: () => {},
    report: () => {},
  });
  const tellCounted = () => tell({ ...owner, pieces: counter.pieces });
  return counting === undefined ? tellCounted() : counting.then(tellCounted);
}
