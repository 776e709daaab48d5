/** A map of blocks as data: how many blocks of which class each cell has. */
import type { MeasuredVolume } from './measured-volume.ts';
import type { ClassedVolume, MapSubject, MapTime } from './volume-map.ts';

/** What was asked for. */
export interface MapQuestion {
  readonly name: string;
  readonly target: string;
  readonly by: MapSubject;
  readonly time: MapTime;
}

/** Cells and classes in their order; docs/FRAGMENTATION.md tells what the fields are. */
export function mapJson(
  { name, target, by, time }: MapQuestion,
  { source, mountedOn, isClean, committed }: MeasuredVolume,
  { cells, classes, faults }: ClassedVolume,
): Record<string, unknown> {
  const { blockBytes, blockCount } = source.layout;
  const { blocksPerCell, cellCount } = cells;
  const totals = cells.totals();
  const numbers = classes.map((_, number) => number);
  return {
    name,
    target,
    mountedOn,
    isClean,
    committed,
    blockBytes,
    blockCount,
    by,
    ...(by === 'age' ? { time } : {}),
    classes: classes.map((found, number) => ({ name: found.name, blocks: totals[number] ?? 0 })),
    blocksPerCell,
    cellCount,
    cells: Array.from({ length: cellCount }, (_, cell) =>
      numbers.map((number) => cells.blocksOf(cell, number)),
    ),
    faults: { count: faults.count, first: faults.first },
  };
}
