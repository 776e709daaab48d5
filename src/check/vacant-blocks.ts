/**
 * Blocks for a repair to use: such as nothing on the volume claims. First those that the bitmaps,
 * too, say are free; only when there are none left, those that are marked as in use and belong to
 * nothing.
 *
 * Made after all claims are known, since what was not claimed by then is taken for vacant.
 */
import { BitSet } from 'bitset';
import { BlockKind, HEADER_BYTES } from '../fs/format/format.ts';
import type { Range } from './claimed-blocks.ts';
import type { CheckContext } from './context.ts';

export class VacantBlocks {
  readonly #context: CheckContext;
  /** Ranges of the current group, last one first, as absolute blocks. */
  #ranges: Range[] = [];
  #group = -1;
  #trustsBitmaps = true;

  constructor(context: CheckContext) {
    this.#context = context;
  }

  /** Takes a run of up to `length` blocks; undefined if nothing is left. */
  async take(length: number): Promise<{ block: number; length: number } | undefined> {
    for (;;) {
      const range = this.#ranges.at(-1);
      if (range && range.from < range.until) {
        const block = range.from;
        const taken = Math.min(length, range.until - block);
        range.from += taken;
        this.#context.space.claim(block, taken);
        return { block, length: taken };
      }
      if (range) this.#ranges.pop();
      else if (!(await this.#nextGroup())) return undefined;
    }
  }

  /** Takes one block. */
  async takeOne(): Promise<number | undefined> {
    return (await this.take(1))?.block;
  }

  async #nextGroup(): Promise<boolean> {
    const { layout } = this.#context;
    this.#group++;
    if (this.#group >= layout.groupCount) {
      if (!this.#trustsBitmaps) {
        this.#group = layout.groupCount;
        return false;
      }
      this.#trustsBitmaps = false;
      this.#group = 0;
    }
    this.#ranges = this.#clearRanges(await this.#occupied(this.#group), this.#group);
    return true;
  }

  async #occupied(group: number): Promise<BitSet> {
    const { layout, reader, space } = this.#context;
    const owned = space.isTouched(group) ? space.group(group) : space.pristine(group);
    if (!this.#trustsBitmaps) return owned;
    const bytes = await reader.peek(layout.bitmapBlock(group), BlockKind.groupBitmap);
    return bytes ? owned.or(new BitSet(bytes.subarray(HEADER_BYTES))) : owned;
  }

  #clearRanges(occupied: BitSet, group: number): Range[] {
    const { layout } = this.#context;
    const base = layout.bitmapBlock(group);
    const ranges: Range[] = [];
    let from = 0;
    for (const bit of [...occupied.toArray(), layout.groupLength(group)]) {
      if (bit > from) ranges.push({ from: base + from, until: base + bit });
      from = bit + 1;
      if (from >= layout.groupLength(group)) break;
    }
    return ranges.reverse();
  }
}
