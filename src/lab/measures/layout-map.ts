/**
 * A small map of a volume as a sample of a run keeps it: which cells are free, of metadata, or of
 * files in how many extents.
 *
 * A map is a text. A letter stands for a cell, `A` + 4 × class + level (`CellLevel`); a number
 * behind it says how many cells in a row are alike, if they are more than one.
 */
import { CellCounts, type CellMap, FREE_CLASS } from '../../pictures/cell-counts.ts';
import { type LaidExtent, pieceCountOf } from './layout.ts';

/** 96 × 96: a cell is seen in a picture of a few hundred pixels. */
export const MOST_MAP_CELLS = 9216;
const LEVELS = 4;
const FIRST_LETTER = 'A'.charCodeAt(0);

/** Classes of blocks by their number; of files by the extents that the whole file has. */
export const MAP_CLASSES = [
  'free',
  'metadata',
  'of files in 1 extent',
  'in 2 or 3 extents',
  'in 4 to 15 extents',
  'in 16 or more',
] as const;
const METADATA_CLASS = 1;

/** @param extents of a file that has some */
export function mapClassOf(extents: number): number {
  if (extents <= 1) return 2;
  if (extents <= 3) return 3;
  return extents <= 15 ? 4 : 5;
}

export class LayoutMapGatherer {
  readonly #counts: CellCounts;

  constructor(blockCount: number) {
    this.#counts = new CellCounts(blockCount, MOST_MAP_CELLS, MAP_CLASSES.length);
  }

  /** A file. */
  add(extents: readonly LaidExtent[]): void {
    const found = mapClassOf(pieceCountOf(extents));
    for (const { block, length } of extents) this.#counts.add(block, length, found);
  }

  addFree(start: number, length: number): void {
    this.#counts.add(start, length, FREE_CLASS);
  }

  /**
   * What is neither free nor of files is metadata.
   * @param isFreeTold false if nobody tells what is free: then it may be either, and counts as free
   */
  text(isFreeTold: boolean): string {
    this.#counts.fillWith(isFreeTold ? METADATA_CLASS : FREE_CLASS);
    return encodedMap(this.#counts.map());
  }
}

export function encodedMap({ classes, levels }: CellMap): string {
  let text = '';
  for (let cell = 0; cell < classes.length; ) {
    const code = codeAt(classes, levels, cell);
    let end = cell + 1;
    while (end < classes.length && codeAt(classes, levels, end) === code) end++;
    text += String.fromCharCode(FIRST_LETTER + code) + (end - cell === 1 ? '' : end - cell);
    cell = end;
  }
  return text;
}

function codeAt(classes: Uint8Array, levels: Uint8Array, cell: number): number {
  return (classes[cell] ?? 0) * LEVELS + (levels[cell] ?? 0);
}

/** @param text of `encodedMap` */
export function decodedMap(text: string): CellMap {
  const codes: number[] = [];
  for (const [, letter = '', count] of text.matchAll(/([A-Z])(\d*)/g)) {
    const code = letter.charCodeAt(0) - FIRST_LETTER;
    const cells = count === '' ? 1 : Math.min(Number(count), MOST_MAP_CELLS);
    for (let cell = 0; cell < cells && codes.length < MOST_MAP_CELLS; cell++) codes.push(code);
  }
  return {
    classes: Uint8Array.from(codes, (code) => Math.floor(code / LEVELS)),
    levels: Uint8Array.from(codes, (code) => code % LEVELS),
  };
}
