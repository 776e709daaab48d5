/**
 * The bytes of a file of the model, and which blocks of the volume they may take.
 *
 * Bytes behind the end are zeros. Every write has a pattern of its own, so that a byte says which
 * write it came from and for which place.
 */

/** The longest file. */
export const MOST_BYTES = 1 << 20;
const CELL_BYTES = 16;
/** Smallest block of a volume: what was written is kept track of in these. */
const UNIT_BYTES = 1024;

/**
 * The bytes of write number `step` for [offset, offset + length): "#step@cell" in cells of 16
 * bytes.
 */
export function pattern(step: number, offset: number, length: number): Buffer {
  const first = Math.floor(offset / CELL_BYTES);
  const last = Math.floor((offset + length - 1) / CELL_BYTES);
  const name = `#${String(step).padStart(6, '0')}@`;
  const cells: string[] = [];
  for (let cell = first; cell <= last; cell++) cells.push(`${name}${cell.toString(16).padStart(7, '.')}\n`);
  return Buffer.from(cells.join(''), 'latin1')
    .subarray(offset - first * CELL_BYTES)
    .subarray(0, length);
}

export class Content {
  size = 0;
  #bytes = Buffer.alloc(0);
  /** Numbers of the units that were written, and not cut off since. */
  #written = new Set<number>();

  /** The bytes of [offset, offset + length), less where the file ends. */
  slice(offset: number, length: number): Buffer {
    const to = Math.max(offset, Math.min(offset + length, this.size));
    this.#grow(to);
    return this.#bytes.subarray(offset, to);
  }

  write(offset: number, data: Uint8Array): void {
    const end = offset + data.length;
    this.#grow(end);
    this.#bytes.set(data, offset);
    this.size = Math.max(this.size, end);
    const last = Math.floor((end - 1) / UNIT_BYTES);
    for (let unit = Math.floor(offset / UNIT_BYTES); unit <= last; unit++) this.#written.add(unit);
  }

  truncate(size: number): void {
    if (size < this.size) {
      this.#bytes.fill(0, size, Math.min(this.size, this.#bytes.length));
      for (const unit of this.#written) if (unit * UNIT_BYTES >= size) this.#written.delete(unit);
    }
    this.size = size;
  }

  /** How many bytes of blocks hold what was written, if nothing but that is allocated. */
  writtenBytes(blockBytes: number): number {
    const perBlock = Math.max(1, blockBytes / UNIT_BYTES);
    return new Set([...this.#written].map((unit) => Math.floor(unit / perBlock))).size * blockBytes;
  }

  #grow(length: number): void {
    if (length <= this.#bytes.length) return;
    const bytes = Buffer.alloc(Math.max(length, 2 * this.#bytes.length));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
  }
}

/** Where two runs of bytes differ first, in words. @returns '' if they are the same */
export function contentDifference(expected: Buffer, seen: Buffer, offset: number): string {
  if (expected.equals(seen)) return '';
  if (expected.length !== seen.length) {
    return `${seen.length} bytes from ${offset}, expected ${expected.length}`;
  }
  let first = 0;
  while (expected[first] === seen[first]) first++;
  let last = expected.length - 1;
  while (expected[last] === seen[last]) last--;
  const show = (bytes: Buffer) =>
    JSON.stringify(bytes.subarray(first, first + 2 * CELL_BYTES).toString('latin1'));
  return `bytes ${offset + first}…${offset + last} differ: ${show(seen)}, expected ${show(expected)}`;
}
