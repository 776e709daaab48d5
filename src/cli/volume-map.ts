/**
 * A volume as a map of blocks: its blocks in classes, by what they are used for, by the age of
 * their owner, or by the number of extents that their owner's file has.
 */
import { viewOf } from '../common/bytes.ts';
import { Inode } from '../fs/format/format.ts';
import { type BlockOwner, BlockUse, visitOwners } from '../inspect/block-owners.ts';
import { FaultList, type ProgressListener } from '../inspect/fault-list.ts';
import { InodeReader } from '../inspect/inode-reader.ts';
import { bandOf, TimeBands } from '../inspect/time-bands.ts';
import type { VolumeSource } from '../inspect/volume-source.ts';
import type { BlockClass } from '../pictures/block-map.ts';
import { CellCounts, FREE_CLASS } from '../pictures/cell-counts.ts';
import { FREE_COLOR, NEUTRAL_COLOR, OkabeIto, SCALE_COLORS } from '../pictures/colors.ts';
import { spanText } from './time-span.ts';

export type MapSubject = 'kind' | 'age' | 'extents';
export type MapTime = 'birth' | 'modified';

/** Blocks in classes. */
export interface ClassedVolume {
  readonly cells: CellCounts;
  readonly classes: readonly BlockClass[];
  /** What the classes are classes of. */
  readonly legend: string;
  readonly faults: FaultList;
}

export interface MapRequest {
  readonly by: MapSubject;
  /** Which time says how old a file is. */
  readonly time: MapTime;
  readonly nowSeconds: number;
  readonly mostCells: number;
  readonly progress: ProgressListener;
}

/** How blocks become classes: free is class 0, what is in use for nothing known is the last. */
interface Classification {
  readonly legend: string;
  readonly classes: readonly BlockClass[];
  readonly wantsPieces: boolean;
  readonly classOf: (use: BlockUse, owner: BlockOwner | undefined) => number;
}

const FREE: BlockClass = { name: 'free', color: FREE_COLOR, letters: '·' };
const UNKNOWN: BlockClass = { name: 'in use for nothing known', color: OkabeIto.yellow, letters: '?' };
/** Of data, from nearly free to full. */
const SHADES = '░▒▓';

/** By the number of `BlockUse`. */
const KIND_CLASSES: readonly BlockClass[] = [
  FREE,
  { name: 'data', color: OkabeIto.skyBlue, letters: SHADES },
  { name: 'tree', color: OkabeIto.vermilion, letters: 'T' },
  { name: 'directory', color: OkabeIto.green, letters: 'D' },
  { name: 'inode table', color: OkabeIto.orange, letters: 'I' },
  { name: 'journal', color: OkabeIto.purple, letters: 'J' },
  { name: 'bitmap', color: OkabeIto.blue, letters: 'B' },
  { name: 'superblock', color: OkabeIto.black, letters: 'S' },
  UNKNOWN,
];

const BY_KIND: Classification = {
  legend: 'what blocks are used for',
  classes: KIND_CLASSES,
  wantsPieces: false,
  classOf: (use) => use,
};

/** Files with so many extents and more, up to the next. */
const EXTENT_BOUNDS = [1, 2, 4, 8, 16, 64];

function byExtents(): Classification {
  const names = EXTENT_BOUNDS.map((bound, i) => {
    const next = EXTENT_BOUNDS[i + 1];
    if (next === undefined) return `${bound} and more`;
    return next === bound + 1 ? `${bound}` : `${bound} to ${next - 1}`;
  });
  const letters = ['1', '2', '4', '8', 'x', 'X'];
  return {
    legend: "extents of the owner's file",
    classes: scaleClasses(names, letters, 'metadata'),
    wantsPieces: true,
    classOf: (_, owner) => {
      if (owner === undefined || owner.pieces === 0) return NEUTRAL_CLASS;
      return FIRST_SCALE_CLASS + EXTENT_BOUNDS.findLastIndex((bound) => owner.pieces >= bound);
    },
  };
}

/** Of maps with a scale: what belongs to no file. */
const NEUTRAL_CLASS = 1;
const FIRST_SCALE_CLASS = 2;

/** Classes with the colours of a scale; where there are fewer, its ends are used all the same. */
function scaleClasses(names: readonly string[], letters: readonly string[], neutral: string): BlockClass[] {
  const last = SCALE_COLORS.length - 1;
  const colorOf = (i: number) =>
    SCALE_COLORS[names.length === 1 ? 0 : Math.round((i * last) / (names.length - 1))] ?? NEUTRAL_COLOR;
  return [
    FREE,
    { name: neutral, color: NEUTRAL_COLOR, letters: 'm' },
    ...names.map((name, i) => ({ name, color: colorOf(i), letters: letters[i] ?? '?' })),
    UNKNOWN,
  ];
}

async function byAge(source: VolumeSource, faults: FaultList, request: MapRequest): Promise<Classification> {
  const { time, nowSeconds, progress } = request;
  const bounds = await readBands(source, faults, time, progress);
  const age = (seconds: number) => spanText(Math.max(0, nowSeconds - seconds));
  const names = bounds.map((bound, i) => {
    const younger = bounds[i - 1];
    return younger === undefined ? `up to ${age(bound)}` : `${age(younger)} to ${age(bound)}`;
  });
  return {
    legend: `age of the owner, by its ${time === 'birth' ? 'birth' : 'last change of data'}`,
    classes: scaleClasses(names, ['1', '2', '3', '4', '5', '6'], "the volume's own"),
    wantsPieces: false,
    classOf: (_, owner) => {
      if (owner === undefined) return NEUTRAL_CLASS;
      const seconds = time === 'birth' ? owner.birthSeconds : owner.modifySeconds;
      return FIRST_SCALE_CLASS + bandOf(seconds, bounds);
    },
  };
}

/** The bands of times that have equally many blocks each. */
async function readBands(
  source: VolumeSource,
  faults: FaultList,
  time: MapTime,
  progress: ProgressListener,
): Promise<number[]> {
  const bands = new TimeBands();
  const field = time === 'birth' ? Inode.birthSeconds : Inode.modifySeconds;
  const reader = await InodeReader.open(source, faults);
  await reader.scan(
    (_, { bytes, at }) => {
      const view = viewOf(bytes);
      const blocks = Inode.blocks.get(view, at);
      if (blocks > 0) bands.add(field.get(view, at), blocks);
      return undefined;
    },
    { progress: (done, total) => progress('times', done, total) },
  );
  return bands.bounds(SCALE_COLORS.length);
}

/** Reads the volume into cells. */
export async function classVolume(source: VolumeSource, request: MapRequest): Promise<ClassedVolume> {
  const faults = new FaultList();
  const { by, mostCells, progress } = request;
  const found =
    by === 'kind' ? BY_KIND : by === 'extents' ? byExtents() : await byAge(source, new FaultList(), request);
  const cells = new CellCounts(source.layout.blockCount, mostCells, found.classes.length);
  await visitOwners(source, faults, {
    wantsPieces: found.wantsPieces,
    run: (block, length, use, owner) =>
      cells.add(block, length, use === BlockUse.free ? FREE_CLASS : found.classOf(use, owner)),
    progress,
  });
  cells.fillWith(found.classes.length - 1);
  return { cells, classes: found.classes, legend: found.legend, faults };
}
