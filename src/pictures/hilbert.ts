/**
 * The Hilbert curve: a line through all cells of a square that never leaves a neighbourhood before
 * it is full. What is near on a disk is near in the picture, whatever the length.
 *
 * A square of order k has 2^k × 2^k cells. The curve begins at the left of the first row and ends
 * at its right; y counts downwards. After D. Hilbert, "Über die stetige Abbildung einer Linie auf
 * ein Flächenstück", Math. Annalen 38 (1891).
 */

/** Larger squares have more cells than a picture has pixels. */
export const MAX_HILBERT_ORDER = 12;

export interface CellPlace {
  readonly x: number;
  readonly y: number;
}

/** Where the cell `index` of the curve is. @param index 0 to 4^order − 1 */
export function hilbertPlace(order: number, index: number): CellPlace {
  let x = 0;
  let y = 0;
  let rest = index;
  for (let side = 1; side < 2 ** order; side *= 2) {
    const right = 1 & (rest >>> 1);
    const down = 1 & (rest ^ right);
    if (down === 0) {
      if (right === 1) {
        x = side - 1 - x;
        y = side - 1 - y;
      }
      [x, y] = [y, x];
    }
    x += side * right;
    y += side * down;
    rest >>>= 2;
  }
  return { x, y };
}

/** Which cell of the curve is at this place: the inverse of `hilbertPlace`. */
export function hilbertIndex(order: number, place: CellPlace): number {
  let { x, y } = place;
  let index = 0;
  for (let side = 2 ** order / 2; side >= 1; side /= 2) {
    const right = (x & side) > 0 ? 1 : 0;
    const down = (y & side) > 0 ? 1 : 0;
    index += side * side * ((3 * right) ^ down);
    if (down === 0) {
      if (right === 1) {
        x = 2 ** order - 1 - x;
        y = 2 ** order - 1 - y;
      }
      [x, y] = [y, x];
    }
  }
  return index;
}
