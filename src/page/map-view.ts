/**
 * The map: a pixel for each cell along the Hilbert curve, as `quarry map` winds it, coloured by how
 * much of the cell is in use. What has just changed stands out for some intervals.
 *
 * Only cells that were sent are drawn again. A cell of it can be pointed at, or gone to with the
 * arrow keys, and is told in words.
 */
import { numberText, percentText } from '../common/number-text.ts';
import { type CellGrid, cellsByPlace, hilbertGrid } from '../pictures/cell-grid.ts';
import { channelsOf, mixed } from '../pictures/colors.ts';
import type { MapMessage } from './messages.ts';
import { sizeText } from './size-text.ts';

/** Intervals in which a cell stands out that changed. */
const FRESH_INTERVALS = 2;
/** A cell with anything in it is at least this much of the colour for it. */
const LEAST_SHARE = 0.2;

interface MapColors {
  readonly free: string;
  readonly used: string;
  readonly unknown: string;
  readonly filled: string;
  readonly freed: string;
}

/** The colours of the style sheet, as the user's preference has them. */
export function colorOf(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function mapColors(): MapColors {
  return {
    free: colorOf('--map-free'),
    used: colorOf('--map-used'),
    unknown: colorOf('--map-unknown'),
    filled: colorOf('--map-filled'),
    freed: colorOf('--map-freed'),
  };
}

/** Where the parts of the map are in the page. */
export interface MapElements {
  readonly frame: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  readonly cursor: HTMLElement;
  readonly words: HTMLElement;
}

export class MapView {
  readonly #elements: MapElements;
  readonly #context: CanvasRenderingContext2D;
  #colors = mapColors();
  #map: Omit<MapMessage, 'cells' | 'isWhole'> | undefined;
  #grid: CellGrid | undefined;
  /** The cell at each place of the grid; −1 where there is none. */
  #cells: Int32Array = new Int32Array(0);
  /** Free blocks; −1 where nobody knows. */
  #free = new Float64Array(0);
  /** Cells that changed lately: how many intervals they still stand out, negative if freed. */
  readonly #fresh = new Map<number, number>();
  #selected = -1;

  constructor(elements: MapElements) {
    this.#elements = elements;
    const context = elements.canvas.getContext('2d');
    if (context === null) throw new Error('this browser draws no canvas');
    this.#context = context;
    const { frame, canvas } = elements;
    canvas.addEventListener('pointermove', (event) => this.#point(event));
    canvas.addEventListener('pointerdown', (event) => this.#point(event));
    frame.addEventListener('keydown', (event) => this.#onKey(event));
    frame.addEventListener('focus', () => this.#select(Math.max(0, this.#selected)));
  }

  take(message: MapMessage): void {
    const { cells, isWhole, ...map } = message;
    if (isWhole || this.#map === undefined || this.#map.cellCount !== map.cellCount) this.#begin(map);
    for (let i = 0; i + 1 < cells.length; i += 2) this.#change(cells[i] ?? 0, cells[i + 1] ?? 0, isWhole);
    this.#tellSelected();
  }

  /** An interval has passed. */
  age(): void {
    for (const [cell, left] of this.#fresh) {
      if (Math.abs(left) <= 1) this.#fresh.delete(cell);
      else this.#fresh.set(cell, left - Math.sign(left));
      this.#drawCell(cell);
    }
  }

  /** The user's colours have changed. */
  recolor(): void {
    this.#colors = mapColors();
    this.#drawAll();
  }

  #begin(map: Omit<MapMessage, 'cells' | 'isWhole'>): void {
    this.#map = map;
    this.#grid = hilbertGrid(map.cellCount);
    this.#cells = cellsByPlace(this.#grid, map.cellCount);
    this.#free = new Float64Array(map.cellCount).fill(-1);
    this.#fresh.clear();
    this.#elements.canvas.width = this.#grid.columns;
    this.#elements.canvas.height = this.#grid.rows;
    this.#elements.frame.setAttribute('aria-valuemax', String(map.cellCount - 1));
    this.#drawAll();
  }

  #change(cell: number, free: number, isWhole: boolean): void {
    const before = this.#free[cell];
    if (before === undefined) return;
    this.#free[cell] = free;
    if (!isWhole && before >= 0 && before !== free)
      this.#fresh.set(cell, free < before ? FRESH_INTERVALS : -FRESH_INTERVALS);
    this.#drawCell(cell);
  }

  #sizeOf(cell: number): number {
    const { blocksPerCell = 1, blockCount = 0 } = this.#map ?? {};
    return Math.max(1, Math.min(blocksPerCell, blockCount - cell * blocksPerCell));
  }

  #shareOf(cell: number): number {
    return 1 - (this.#free[cell] ?? 0) / this.#sizeOf(cell);
  }

  #cellColor(cell: number): string {
    const { free, used, unknown, filled, freed } = this.#colors;
    if ((this.#free[cell] ?? -1) < 0) return unknown;
    const share = this.#shareOf(cell);
    const fresh = this.#fresh.get(cell) ?? 0;
    if (fresh !== 0) return fresh > 0 ? filled : freed;
    return share <= 0 ? free : mixed(used, free, LEAST_SHARE + (1 - LEAST_SHARE) * share);
  }

  #drawCell(cell: number): void {
    if (this.#grid === undefined) return;
    const { x, y } = this.#grid.place(cell);
    this.#context.fillStyle = this.#cellColor(cell);
    this.#context.fillRect(x, y, 1, 1);
  }

  #drawAll(): void {
    const grid = this.#grid;
    if (grid === undefined) return;
    const image = this.#context.createImageData(grid.columns, grid.rows);
    for (const [place, cell] of this.#cells.entries()) {
      if (cell < 0) continue;
      image.data.set([...channelsOf(this.#cellColor(cell)), 255], 4 * place);
    }
    this.#context.putImageData(image, 0, 0);
  }

  #point(event: PointerEvent): void {
    const { canvas } = this.#elements;
    if (this.#grid === undefined) return;
    const { columns, rows } = this.#grid;
    const x = Math.floor((event.offsetX / canvas.clientWidth) * columns);
    const y = Math.floor((event.offsetY / canvas.clientHeight) * rows);
    const cell = this.#cellAt(x, y);
    if (cell >= 0) this.#select(cell);
  }

  /** The cell at a place; −1 where there is none. */
  #cellAt(x: number, y: number): number {
    const { columns, rows } = this.#grid ?? { columns: 0, rows: 0 };
    return x >= 0 && x < columns && y >= 0 && y < rows ? (this.#cells[y * columns + x] ?? -1) : -1;
  }

  /** Arrows go to the neighbour in the picture, Home and End to the ends of the volume. */
  #onKey(event: KeyboardEvent): void {
    const grid = this.#grid;
    if (grid === undefined) return;
    const steps: Readonly<Record<string, readonly [x: number, y: number]>> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const step = steps[event.key];
    let cell = -1;
    if (step !== undefined) {
      const { x, y } = grid.place(Math.max(0, this.#selected));
      cell = this.#cellAt(x + step[0], y + step[1]);
    } else if (event.key === 'Home') cell = 0;
    else if (event.key === 'End') cell = (this.#map?.cellCount ?? 0) - 1;
    else return;
    event.preventDefault();
    if (cell >= 0) this.#select(cell);
  }

  #select(cell: number): void {
    const grid = this.#grid;
    if (grid === undefined) return;
    this.#selected = cell;
    const { style } = this.#elements.cursor;
    const { x, y } = grid.place(cell);
    style.left = `${(100 * x) / grid.columns}%`;
    style.top = `${(100 * y) / grid.rows}%`;
    style.width = `${100 / grid.columns}%`;
    style.height = `${100 / grid.rows}%`;
    this.#elements.cursor.hidden = false;
    this.#tellSelected();
  }

  #tellSelected(): void {
    if (this.#map === undefined || this.#selected < 0) return;
    const { blocksPerCell, blockBytes } = this.#map;
    const cell = this.#selected;
    const first = cell * blocksPerCell;
    const free = this.#free[cell] ?? -1;
    const state =
      free < 0
        ? 'not looked at yet'
        : `${percentText(this.#shareOf(cell))} in use, ${numberText(free)} of ${numberText(this.#sizeOf(cell))} blocks free`;
    const blocks = `blocks ${numberText(first)} to ${numberText(first + this.#sizeOf(cell) - 1)}`;
    const text = `${blocks}, ${sizeText(first * blockBytes)} from the start: ${state}`;
    this.#elements.words.textContent = text;
    this.#elements.frame.setAttribute('aria-valuenow', String(cell));
    this.#elements.frame.setAttribute('aria-valuetext', text);
  }
}
