/**
 * Who owns a block, as the checker finds out by itself: one npm `bitset` per block group that holds
 * anything, to be compared with the bitmaps on disk at the end. Memory is that of the groups in
 * use.
 *
 * A block is claimed once. What is claimed again belongs to two, and a tree walk stops there, so no
 * walk visits more nodes than the volume has blocks, whatever circles are on disk.
 */
import { BitSet } from 'bitset';
import type { Layout } from '../fs/format/layout.ts';

/** Runs up to this length are claimed bit by bit. */
const SHORT_RUN = 64;

/**
 * Sets bits `from` to `to` inclusive. `setRange` of bitset 5.3.0 loses the last word where `to` is
 * its last bit.
 */
export function setBits(set: BitSet, from: number, to: number): void {
  set.set(to, 1);
  if (from < to) set.setRange(from, (to & 31) === 31 ? to - 1 : to, 1);
}

/**
 * The lowest bit that is not set. In the complement, `ntz` of bitset 5.3.0 does not see what lies
 * beyond the last word kept.
 */
export function lowestClear(set: BitSet): number {
  const lowest = set.not().ntz();
  return Number.isFinite(lowest) ? lowest : set.data.length * 32;
}

export interface Conflict {
  /** Absolute number of the first block that was claimed before. */
  readonly block: number;
  readonly count: number;
  readonly ranges: Range[];
}

/** Blocks `from` to `until` − 1. */
export interface Range {
  from: number;
  until: number;
}

/** Ranges remembered of one inode; beyond this they are joined to one. */
const RANGES_KEPT = 4096;

/** Of each inode the blocks that something else had claimed before it. */
export class SharedBlocks {
  readonly #ranges = new Map<number, Range[]>();

  add(inode: number, ranges: readonly Range[]): void {
    const known = this.#ranges.get(inode) ?? [];
    this.#ranges.set(inode, known);
    for (const range of ranges) known.push(range);
    if (known.length <= RANGES_KEPT) return;
    const from = known.reduce((least, range) => Math.min(least, range.from), Number.POSITIVE_INFINITY);
    const until = known.reduce((most, range) => Math.max(most, range.until), 0);
    this.#ranges.set(inode, [{ from, until }]);
  }

  /** In order of their blocks. */
  of(inode: number): Range[] {
    return [...(this.#ranges.get(inode) ?? [])].sort((a, b) => a.from - b.from);
  }
}

export class ClaimedBlocks {
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
    const ranges: Range[] = [];
    while (at < end) {
      const group = Math.floor(at / bitsPerBlock);
      const base = group * bitsPerBlock;
      const until = Math.min(end, base + bitsPerBlock);
      for (const range of claimIn(this.group(group), at - base, until - 1 - base)) {
        const shift = spaceStart + base;
        addRange(ranges, range.from + shift, range.until + shift);
      }
      at = until;
    }
    const [first] = ranges;
    if (first === undefined) return undefined;
    const count = ranges.reduce((sum, range) => sum + range.until - range.from, 0);
    return { block: first.from, count, ranges };
  }

  /** True if the absolute block, which must be inside the space, was claimed or has a fixed use. */
  isClaimed(block: number): boolean {
    const { bitsPerBlock, spaceStart } = this.#layout;
    const at = block - spaceStart;
    const group = Math.floor(at / bitsPerBlock);
    const bits = this.#groups.get(group) ?? this.pristine(group);
    return bits.get(at - group * bitsPerBlock) === 1;
  }

  /** True if anything but the metadata with a fixed place was claimed in the group. */
  isTouched(group: number): boolean {
    return this.#groups.has(group);
  }

  /** True if anything was claimed in the groups `from` to `until` − 1. */
  hasTouched(from: number, until: number): boolean {
    if (until - from <= this.#groups.size) {
      for (let group = from; group < until; group++) if (this.#groups.has(group)) return true;
      return false;
    }
    for (const group of this.#groups.keys()) if (group >= from && group < until) return true;
    return false;
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

/** Adds a range behind those that are there, or to the last of them. */
function addRange(ranges: Range[], from: number, until: number): void {
  const last = ranges.at(-1);
  if (last && last.until === from) last.until = until;
  else ranges.push({ from, until });
}

/**
 * Sets bits `from` to `to` of one group.
 * @returns the ranges of those that were set before, counted within the group
 */
function claimIn(bits: BitSet, from: number, to: number): Range[] {
  const ranges: Range[] = [];
  if (to - from >= SHORT_RUN) {
    const before = bits.slice(from, to);
    setBits(bits, from, to);
    if (!before || before.isEmpty()) return ranges;
    for (const bit of before.toArray()) addRange(ranges, from + bit, from + bit + 1);
    return ranges;
  }
  for (let bit = from; bit <= to; bit++) {
    if (bits.get(bit) === 1) addRange(ranges, bit, bit + 1);
    else bits.set(bit, 1);
  }
  return ranges;
}
