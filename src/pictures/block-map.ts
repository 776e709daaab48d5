/**
 * A map of blocks as it is to be drawn: what its cells show, where they are, what their colours
 * mean. `svg-map.ts` and `text-map.ts` draw it.
 */
import { type CellMap, FREE_CLASS } from './cell-counts.ts';
import type { CellGrid } from './cell-grid.ts';
import { FREE_COLOR, mixed } from './colors.ts';

/** A class of blocks, by its number in the cells. */
export interface BlockClass {
  readonly name: string;
  /** `#rrggbb`. */
  readonly color: string;
  /**
   * What stands for it where there are no colours: one letter, or three, from nearly free to full.
   */
  readonly letters: string;
  /** How much of it there is, with its unit. */
  readonly amount?: string;
}

export interface BlockMap {
  readonly title: string;
  /** A line below the title. */
  readonly subtitle: string;
  /** What the classes are classes of. */
  readonly legend: string;
  /** The first is what is free. */
  readonly classes: readonly BlockClass[];
  readonly cells: CellMap;
  readonly grid: CellGrid;
  /** Names of the first block and the last, with their places. */
  readonly ends: readonly [first: string, last: string];
  /** How to read the picture. */
  readonly reading: string;
}

/** How much of its colour a cell has, by its level. */
const STRENGTHS = [0, 0.45, 0.72, 1] as const;

/** The colour of a class at a level of `CellLevel`. */
export function cellColor(found: BlockClass | undefined, level: number): string {
  return mixed(found?.color ?? FREE_COLOR, FREE_COLOR, STRENGTHS[level] ?? 1);
}

/** What a legend shows: classes that are there, and what is free. */
export function legendClasses({ classes, cells }: BlockMap): BlockClass[] {
  const seen = new Set<number>(cells.classes);
  return classes.filter(
    ({ amount }, number) => number === FREE_CLASS || seen.has(number) || amount !== undefined,
  );
}
