/**
 * Who owns a block, as the checker finds out by itself: one npm `bitset` per block group that holds anything,
 * to be compared with the bitmaps on disk at the end. Memory is that of the groups in use.
 *
 * A block is claimed once. What is claimed again belongs to two, and a tree walk stops there, so no walk
 * visits more nodes than the volume has blocks, whatever circles are on disk.
 */
import { BitSet } from 'bitset';
import type { Layout } from '../fs/layout.ts';

/** Runs up to this length are claimed bit by bit. */
const SHORT_RUN = 64;

/** Sets bits `from` to `to` inclusive. `setRange` of bitset 5.3.0 loses the last word where `to` is its last bit. */
export function setBits(set: BitSet, from: number, to: number): void {
  set.set(to, 1);
  if (from < to) set.setRange(from, (to & 31) === 31 ? to - 1 : to, 1);
}

export interface Conflict {
  /** Absolute number of the first block that was claimed before. */
  readonly block: number;
  readonly count: number;
}

export class SpaceMap {
  readonly #layout: Layout;
  readonly #groups = new Map<number, BitSet>();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** True if the absolute blocks `block` to `block + length − 1` are inside the space. */
  contains(block: number, length: number): boolean {
    const { spaceStart, spaceBlocks } = this.#layout;
    return length >= 1 && block >= spaceStart && block + length <= spaceStart + spaceBlocks;
  }

  /**
   * Marks a run of absolute block numbers, which must be inside the space.
   * @returns what of it was marked before, or undefined.
   */
  claim(block: number, length: number): Conflict | undefined {
    const { bitsPerBlock, spaceStart } = this.#layout;
    let at = block - spaceStart;
    const end = at + length;
    let first = -1;
    let count = 0;
    while (at < end) {
      const group = Math.floor(at / bitsPerBlock);
      const base = group * bitsPerBlock;
      const until = Math.min(end, base + bitsPerBlock);
      const conflict = claimIn(this.group(group), at - base, until - 1 - base);
      if (conflict) {
        if (first < 0) first = spaceStart + base + conflict.block;
        count += conflict.count;
      }
      at = until;
    }
    return count > 0 ? { block: first, count } : undefined;
  }

  /** True if anything but the metadata with a fixed place was claimed in the group. */
  isTouched(group: number): boolean {
    return this.#groups.has(group);
  }

  /** The groups in which anything was claimed, by number. */
  touchedGroups(): number[] {
    return [...this.#groups.keys()].sort((a, b) => a - b);
  }

  /** Bits of the group: its own metadata, what was claimed, and all beyond the end of the space. */
  group(group: number): BitSet {
    const known = this.#groups.get(group);
    if (known) return known;
    const bits = this.pristine(group);
    this.#groups.set(group, bits);
    return bits;
  }

  /** Bits that mkfs means the group to have. */
  pristine(group: number): BitSet {
    const layout = this.#layout;
    const bits = new BitSet();
    setBits(bits, 0, layout.groupMetadataBlocks(group) - 1);
    const length = layout.groupLength(group);
    if (length < layout.bitsPerBlock) setBits(bits, length, layout.bitsPerBlock - 1);
    return bits;
  }
}

/** Sets bits `from` to `to` of one group; the conflict is counted within the group. */
function claimIn(bits: BitSet, from: number, to: number): Conflict | undefined {
  if (to - from >= SHORT_RUN) {
    const before = bits.slice(from, to);
    setBits(bits, from, to);
    if (!before || before.isEmpty()) return undefined;
    return { block: from + before.lsb(), count: before.cardinality() };
  }
  let first = -1;
  let count = 0;
  for (let bit = from; bit <= to; bit++) {
    if (bits.get(bit) === 0) {
      bits.set(bit, 1);
      continue;
    }
    if (first < 0) first = bit;
    count++;
  }
  return count > 0 ? { block: first, count } : undefined;
}
