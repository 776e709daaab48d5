/**
 * How fragmented a volume is, or the files below one of its directories, or one file.
 *
 * The inodes are read once, in the order of the table; the names only if there are files to be
 * named, or if a directory says which inodes are wanted. Damage costs what is damaged, and is told.
 */
import { viewOf } from '../common/bytes.ts';
import { InodeSet } from '../common/inode-set.ts';
import { FILE_TYPE_MASK, FileType, Inode, InodeFlag, ROOT_INODE } from '../fs/format/format.ts';
import { FaultList, type ProgressListener } from './fault-list.ts';
import { type FreeSpaceFigures, FreeSpaceTally } from './free-figures.ts';
import { visitFreeRuns } from './free-runs.ts';
import { hasExtents, type MappedExtent, PieceCounter, visitExtents } from './inode-extents.ts';
import { InodeReader } from './inode-reader.ts';
import { InspectError } from './inspect-error.ts';
import {
  type FileLayout,
  type LayoutFigures,
  LayoutTally,
  type SizeClassFigures,
  scoreOf,
  type WorstFile,
} from './layout-figures.ts';
import { type NameSource, pathOf, walkNames } from './name-walk.ts';
import type { Place, VolumeSource } from './volume-source.ts';

/** What inodes are, by their number. */
export interface InodeCounts {
  readonly regular: number;
  readonly directories: number;
  readonly symlinks: number;
  /** Devices, sockets and FIFOs. */
  readonly others: number;
  /** Regular files whose data is in the inode, … */
  readonly inline: number;
  /** … and those without any blocks. */
  readonly empty: number;
}

export interface NamedFile extends WorstFile {
  /** From the directory that was measured, with a slash before it; undefined if it has no name. */
  readonly path: Uint8Array | undefined;
}

export interface VolumeFigures {
  readonly inodes: InodeCounts;
  readonly layout: LayoutFigures;
  readonly sizeClasses: readonly SizeClassFigures[];
  readonly worst: readonly NamedFile[];
  /** Of the volume; undefined for a directory below its root. */
  readonly freeSpace: FreeSpaceFigures | undefined;
  /** Blocks of groups whose bitmap cannot be read. */
  readonly unknownBlocks: number;
  readonly faults: FaultList;
}

export interface MeasureOptions {
  /** How many of the files with most extents are named. */
  readonly worst: number;
  /** Only what is below this directory, and no free space. */
  readonly directory?: number;
  readonly progress?: ProgressListener;
}

/** @throws InspectError if the directory is none */
export async function measureVolume(source: VolumeSource, options: MeasureOptions): Promise<VolumeFigures> {
  const { worst, directory, progress = () => {} } = options;
  const faults = new FaultList();
  const reader = await InodeReader.open(source, faults);
  const names = { source, reader, faults };
  if (directory !== undefined) await reader.place(directory);
  const space = directory === undefined ? await measureSpace(source, faults, progress) : undefined;
  const wanted = directory === undefined ? undefined : await inodesBelow(names, directory, progress);
  const tally = new LayoutTally(source.layout.blockBytes, worst);
  const counts = { regular: 0, directories: 0, symlinks: 0, others: 0, inline: 0, empty: 0 };
  const measured = (file: FileLayout) => {
    if (file.blocks > 0) tally.add(file);
    else counts.empty++;
  };
  await reader.scan(
    (inode, place) => {
      countInode(counts, place);
      return isRegularWithExtents(place) ? measurePieces(names, inode, place, measured) : undefined;
    },
    { ...(wanted ? { wanted } : {}), progress: (done, total) => progress('inodes', done, total) },
  );
  const named = await nameFiles(names, directory ?? ROOT_INODE, tally.worst(), progress);
  return {
    inodes: counts,
    layout: tally.figures(),
    sizeClasses: tally.sizeClasses(),
    worst: named,
    freeSpace: space?.figures,
    unknownBlocks: space?.unknownBlocks ?? 0,
    faults,
  };
}

async function measureSpace(
  source: VolumeSource,
  faults: FaultList,
  progress: ProgressListener,
): Promise<{ figures: FreeSpaceFigures; unknownBlocks: number }> {
  const tally = new FreeSpaceTally(source.layout.blockBytes);
  let unknownBlocks = 0;
  await visitFreeRuns(source, faults, {
    free: (block, length) => tally.add(block, length),
    unknown: (_, length) => {
      unknownBlocks += length;
    },
    progress: (done, total) => progress('free space', done, total),
  });
  return { figures: tally.figures(), unknownBlocks };
}

/** The inodes that have a name below a directory, and itself. */
async function inodesBelow(
  names: NameSource,
  directory: number,
  progress: ProgressListener,
): Promise<InodeSet> {
  const found = new InodeSet();
  found.add(directory);
  await walkNames(names, directory, ({ inode }, { done, known }) => {
    found.add(inode);
    progress('names', done, known);
    return true;
  });
  return found;
}

function countInode(counts: { -readonly [Name in keyof InodeCounts]: number }, { bytes, at }: Place): void {
  const view = viewOf(bytes);
  const type = Inode.mode.get(view, at) & FILE_TYPE_MASK;
  if (type === FileType.regular) {
    counts.regular++;
    if ((Inode.flags.get(view, at) & InodeFlag.inlineData) !== 0) {
      if (Inode.size.get(view, at) > 0) counts.inline++;
      else counts.empty++;
    }
  } else if (type === FileType.directory) counts.directories++;
  else if (type === FileType.symlink) counts.symlinks++;
  else counts.others++;
}

function isRegularWithExtents(place: Place): boolean {
  const type = Inode.mode.get(viewOf(place.bytes), place.at) & FILE_TYPE_MASK;
  return type === FileType.regular && hasExtents(place);
}

/** Counts the pieces of a file; without waiting where its extents are in the inode. */
function measurePieces(
  { source, faults }: NameSource,
  inode: number,
  place: Place,
  measured: (file: FileLayout) => void,
): Promise<void> | undefined {
  const counter = new PieceCounter();
  const finish = () => measured({ inode, blocks: counter.blocks, pieces: counter.pieces });
  const report = (fault: InspectError) => faults.report(fault, `inode ${inode}: `);
  const visiting = visitExtents(source, place, (extent) => counter.add(extent), {
    entered: () => {},
    report,
  });
  if (visiting === undefined) finish();
  return visiting?.then(finish);
}

async function nameFiles(
  names: NameSource,
  directory: number,
  files: readonly WorstFile[],
  progress: ProgressListener,
): Promise<NamedFile[]> {
  const missing = new Set(files.map(({ inode }) => inode));
  const paths = new Map<number, Uint8Array>();
  if (missing.size > 0) {
    await walkNames(names, directory, (entry, { done, known }) => {
      if (missing.delete(entry.inode)) paths.set(entry.inode, pathOf(entry));
      progress('names', done, known);
      return missing.size > 0;
    });
  }
  return files.map((file) => ({ ...file, path: paths.get(file.inode) }));
}

/** How one file lies. */
export interface FileFigures extends FileLayout {
  readonly sizeBytes: number;
  /** Its data is in the inode. */
  readonly inline: boolean;
  readonly layoutScore: number | null;
  /** As the file's tree has them. */
  readonly extents: readonly MappedExtent[];
  readonly faults: FaultList;
}

/** @throws InspectError if there is no such inode, or it is no regular file */
export async function measureFile(source: VolumeSource, inode: number): Promise<FileFigures> {
  const faults = new FaultList();
  const place = await source.inode(inode);
  const view = viewOf(place.bytes);
  if ((Inode.mode.get(view, place.at) & FILE_TYPE_MASK) !== FileType.regular)
    throw new InspectError(`inode ${inode} is no regular file`);
  const extents: MappedExtent[] = [];
  const counter = new PieceCounter();
  if (hasExtents(place)) {
    const visit = (extent: MappedExtent) => {
      extents.push(extent);
      counter.add(extent);
    };
    await visitExtents(source, place, visit, { entered: () => {}, report: faults.report });
  }
  const { blocks, pieces } = counter;
  return {
    inode,
    blocks,
    pieces,
    sizeBytes: Inode.size.get(view, place.at),
    inline: !hasExtents(place) && Inode.size.get(view, place.at) > 0,
    layoutScore: scoreOf({ blocks, pieces }),
    extents,
    faults,
  };
}
