/** Where each cell of a map is: along a Hilbert curve, or in rows as text is written. */
import { type CellPlace, hilbertPlace, MAX_HILBERT_ORDER } from './hilbert.ts';

export type GridLayout = 'hilbert' | 'rows';

export interface CellGrid {
  readonly layout: GridLayout;
  readonly columns: number;
  readonly rows: number;
  /** @param cell below columns × rows */
  place(cell: number): CellPlace;
}

/** A square along the Hilbert curve, the smallest that has room for so many cells. */
export function hilbertGrid(cellCount: number): CellGrid {
  let order = 0;
  while (4 ** order < cellCount) order++;
  if (order > MAX_HILBERT_ORDER) throw new RangeError(`${cellCount} cells are too many for a picture`);
  const side = 2 ** order;
  return { layout: 'hilbert', columns: side, rows: side, place: (cell) => hilbertPlace(order, cell) };
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
