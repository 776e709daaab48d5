/**
 * The Hilbert curve through a rectangle: a line through all cells that never leaves a neighbourhood
 * before it is full. What is near on a disk is near in the picture, whatever the length.
 *
 * The curve begins at the left of the first row and ends at its right where the rectangle is not
 * higher than wide, and at the left of the last row where it is; y counts downwards. With even
 * sides each step is to a neighbour; with an odd one a single step may be to a diagonal one. In a
 * square of 2^k by 2^k it is D. Hilbert's own ("Über die stetige Abbildung einer Linie auf ein
 * Flächenstück", Math. Annalen 38, 1891); for other rectangles the construction is J. Červený's
 * generalisation ("gilbert", 2018).
 */

/** Larger pictures have more cells than a screen has pixels. */
export const MAX_GRID_CELLS = 2 ** 24;

/** Where each cell of the curve is, in the order of the curve. */
export interface CurvePlaces {
  readonly xs: Uint16Array;
  readonly ys: Uint16Array;
}

/** A part of the rectangle: from a corner along the curve's own axis, and to its side. */
interface CurvePart {
  readonly x: number;
  readonly y: number;
  /** Along, … */
  readonly ax: number;
  readonly ay: number;
  /** … and across. */
  readonly bx: number;
  readonly by: number;
}

/** The curve through a rectangle. */
export function hilbertPlaces(columns: number, rows: number): CurvePlaces {
  if (!(columns * rows <= MAX_GRID_CELLS))
    throw new RangeError(`${columns} × ${rows} cells are too many for a picture`);
  const places = { xs: new Uint16Array(columns * rows), ys: new Uint16Array(columns * rows) };
  const part =
    columns >= rows
      ? { x: 0, y: 0, ax: columns, ay: 0, bx: 0, by: rows }
      : { x: 0, y: 0, ax: 0, ay: rows, bx: columns, by: 0 };
  fill(places, 0, part);
  return places;
}

/** Fills in a part from the cell `at` of the curve on. @returns the cell after it */
function fill(places: CurvePlaces, at: number, part: CurvePart): number {
  const { x, y, ax, ay, bx, by } = part;
  const along = Math.abs(ax + ay);
  const across = Math.abs(bx + by);
  if (across === 1)
    return line(places, at, part, { length: along, stepX: Math.sign(ax), stepY: Math.sign(ay) });
  if (along === 1)
    return line(places, at, part, { length: across, stepX: Math.sign(bx), stepY: Math.sign(by) });
  if (2 * along > 3 * across) {
    const [cx, cy] = half(ax, ay, along);
    const next = fill(places, at, { x, y, ax: cx, ay: cy, bx, by });
    return fill(places, next, { x: x + cx, y: y + cy, ax: ax - cx, ay: ay - cy, bx, by });
  }
  const [cx, cy] = [Math.floor(ax / 2), Math.floor(ay / 2)];
  const [dx, dy] = half(bx, by, across);
  // A step to the side, the long way along, and back.
  const second = fill(places, at, { x, y, ax: dx, ay: dy, bx: cx, by: cy });
  const third = fill(places, second, { x: x + dx, y: y + dy, ax, ay, bx: bx - dx, by: by - dy });
  return fill(places, third, {
    x: x + ax - Math.sign(ax) + dx - Math.sign(bx),
    y: y + ay - Math.sign(ay) + dy - Math.sign(by),
    ax: -dx,
    ay: -dy,
    bx: cx - ax,
    by: cy - ay,
  });
}

/** Half of a side, an even number of cells if it can be. */
function half(x: number, y: number, length: number): [x: number, y: number] {
  const [hx, hy] = [Math.floor(x / 2), Math.floor(y / 2)];
  const isOdd = Math.abs(hx + hy) % 2 === 1;
  return isOdd && length > 2 ? [hx + Math.sign(x), hy + Math.sign(y)] : [hx, hy];
}

interface StraightLine {
  readonly length: number;
  readonly stepX: number;
  readonly stepY: number;
}

function line(
  { xs, ys }: CurvePlaces,
  at: number,
  { x, y }: CurvePart,
  { length, stepX, stepY }: StraightLine,
): number {
  for (let i = 0; i < length; i++) {
    xs[at + i] = x + i * stepX;
    ys[at + i] = y + i * stepY;
  }
  return at + length;
}
