/** Where each cell of a map is: along a Hilbert curve, or in rows as text is written. */
import { hilbertPlaces } from './hilbert.ts';

export type GridLayout = 'hilbert' | 'rows';

export interface CellPlace {
  readonly x: number;
  readonly y: number;
}

export interface CellGrid {
  readonly layout: GridLayout;
  readonly columns: number;
  readonly rows: number;
  /** @param cell below columns × rows */
  place(cell: number): CellPlace;
}

/**
 * A rectangle along the Hilbert curve with room for so many cells, and hardly any more.
 * @param columns even; by default the picture is about as wide as high
 */
export function hilbertGrid(cellCount: number, columns = evenUp(Math.sqrt(cellCount))): CellGrid {
  const rows = evenUp(cellCount / columns);
  const { xs, ys } = hilbertPlaces(columns, rows);
  return { layout: 'hilbert', columns, rows, place: (cell) => ({ x: xs[cell] ?? 0, y: ys[cell] ?? 0 }) };
}

/** The next even number: the curve has a bend of its own in odd rectangles. */
function evenUp(value: number): number {
  return Math.max(2, 2 * Math.ceil(value / 2));
}

/** Rows of `columns` cells, as many as it takes. */
export function rowsGrid(cellCount: number, columns: number): CellGrid {
  const rows = Math.max(1, Math.ceil(cellCount / columns));
  return {
    layout: 'rows',
    columns,
    rows,
    place: (cell) => ({ x: cell % columns, y: Math.floor(cell / columns) }),
  };
}

/** The cell at each place, row by row; −1 where there is none. */
export function cellsByPlace(grid: CellGrid, cellCount: number): Int32Array {
  const cells = new Int32Array(grid.columns * grid.rows).fill(-1);
  for (let cell = 0; cell < cellCount; cell++) {
    const { x, y } = grid.place(cell);
    cells[y * grid.columns + x] = cell;
  }
  return cells;
}
