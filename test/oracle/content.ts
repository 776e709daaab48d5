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

const LARGEST_BLOCK_BYTES = 65_536;

function* unitsOf(offset: number, length: number): Generator<number> {
  if (length <= 0) return;
  const last = Math.floor((offset + length - 1) / UNIT_BYTES);
  for (let unit = Math.floor(offset / UNIT_BYTES); unit <= last; unit++) yield unit;
}

function bytesOfBlocks(units: ReadonlySet<number>, blockBytes: number): number {
  const perBlock = Math.max(1, blockBytes / UNIT_BYTES);
  return new Set([...units].map((unit) => Math.floor(unit / perBlock))).size * blockBytes;
}

export class Content {
  size = 0;
  #bytes = Buffer.alloc(0);
  /** Numbers of the units that were written, and not cut off or punched since: they have blocks. */
  #written = new Set<number>();
  /** Those, and units that may have blocks all the same. */
  #perhaps = new Set<number>();

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
    this.allocate(offset, data.length);
  }

  /** The range has blocks, wherever it ends. */
  allocate(offset: number, length: number): void {
    for (const unit of unitsOf(offset, length)) {
      this.#written.add(unit);
      this.#perhaps.add(unit);
    }
  }

  /** The range may have blocks, or not. */
  perhapsAllocate(offset: number, length: number): void {
    for (const unit of unitsOf(offset, length)) {
      this.#written.delete(unit);
      this.#perhaps.add(unit);
    }
  }

  /** The range is zeros, as far as the file goes. */
  zero(offset: number, length: number): void {
    this.#bytes.fill(0, Math.min(offset, this.#bytes.length), Math.min(offset + length, this.#bytes.length));
  }

  /** It has no blocks any more, but for those that it covers in part. */
  punch(offset: number, length: number): void {
    this.zero(offset, length);
    for (const unit of unitsOf(offset, length)) this.#written.delete(unit);
    const first = Math.ceil(offset / LARGEST_BLOCK_BYTES) * LARGEST_BLOCK_BYTES;
    const end = Math.floor((offset + length) / LARGEST_BLOCK_BYTES) * LARGEST_BLOCK_BYTES;
    for (const unit of unitsOf(first, end - first)) this.#perhaps.delete(unit);
  }

  /** The first byte that is not zero, from `offset` up to `end`; −1 if there is none. */
  firstData(offset: number, end: number): number {
    const found = this.slice(offset, end - offset).findIndex((byte) => byte !== 0);
    return found < 0 ? -1 : offset + found;
  }

  truncate(size: number): void {
    if (size < this.size) {
      this.#bytes.fill(0, size, Math.min(this.size, this.#bytes.length));
    }
    if (size <= this.size) {
      const blockEnd = Math.ceil(size / LARGEST_BLOCK_BYTES) * LARGEST_BLOCK_BYTES;
      for (const unit of this.#written) if (unit * UNIT_BYTES >= size) this.#written.delete(unit);
      for (const unit of this.#perhaps) if (unit * UNIT_BYTES >= blockEnd) this.#perhaps.delete(unit);
    }
    this.size = size;
  }

  /** How many bytes of blocks hold what was written, at least. */
  writtenBytes(blockBytes: number): number {
    return bytesOfBlocks(this.#written, blockBytes);
  }

  /** As many at most. */
  mostBytes(blockBytes: number): number {
    return bytesOfBlocks(this.#perhaps, blockBytes);
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
