/**
 * Pass 8: the bitmaps against what the walks found to be in use, and the summaries against the
 * bitmaps.
 *
 * Goes down the tree of summaries. What a summary says was never written must have no owner and
 * exactly the free blocks that mkfs means it to have; so a volume that was hardly used is checked
 * without reading its groups.
 */
import { BitSet } from 'bitset';
import { viewOf } from '../common/bytes.ts';
import {
  BitmapHeader,
  BlockKind,
  HEADER_BYTES,
  SUMMARY_INITIALISED,
  SummaryEntry,
  SummaryHeader,
} from '../fs/format/format.ts';
import { lowestClear } from './claimed-blocks.ts';
import type { CheckContext } from './context.ts';
import { rangeTexts } from './number-ranges.ts';

/** Ranges named in one message. */
const RANGES_SHOWN = 8;

/** Runs the pass. */
export async function checkSpace(context: CheckContext): Promise<void> {
  context.log.pass = 'space';
  const { layout, statistics } = context;
  const check = new SpaceCheck(context);
  const free = await check.node(layout.summaryLevels, 0);
  statistics.blocksFree = free;
  statistics.blocksUsed = layout.spaceBlocks - free;
}

/** Absolute block numbers of the set bits, as ranges: `12-15, 20 and 3 more`. */
function rangesOf(bits: BitSet, firstBlock: number): string {
  const ranges = rangeTexts(bits.toArray().map((bit) => firstBlock + bit));
  const shown = ranges.slice(0, RANGES_SHOWN).join(', ');
  const more = ranges.length - RANGES_SHOWN;
  return more > 0 ? `${shown} and ${more} more ranges` : shown;
}

class SpaceCheck {
  readonly #context: CheckContext;
  /** Groups with owners, by number. */
  readonly #touched: number[];
  #groupsDone = 0;

  constructor(context: CheckContext) {
    this.#context = context;
    this.#touched = context.space.touchedGroups();
  }

  /**
   * Checks a summary node and all below.
   * @returns the free blocks there, as far as the bitmaps can be read.
   */
  async node(level: number, index: number): Promise<number> {
    const { layout, log, reader } = this.#context;
    const block = layout.summaryBlock(level, index);
    const bytes = await reader.read(block, { kind: BlockKind.summary, what: `summary ${level}/${index}` });
    const { first, count } = layout.summaryChildren(level, index);
    const view = bytes && viewOf(bytes);
    if (view) this.#checkHeader(view, block, level, count);
    let free = 0;
    let entries = 0;
    for (let child = 0; child < count; child++) {
      const at = HEADER_BYTES + child * SummaryEntry.sizeBytes;
      // Without a summary everything below is looked at that has owners.
      const flags = view ? SummaryEntry.flags.get(view, at) : this.#ownedFlag(level - 1, first + child);
      const actual = await this.#child(level - 1, first + child, flags);
      free += actual;
      if (!view) continue;
      const found = SummaryEntry.freeBlocks.get(view, at);
      entries += found;
      if (found !== actual) {
        log.report('space-free', {
          what: partName(level - 1, first + child),
          found,
          expected: actual,
          block,
        });
      }
    }
    if (view) this.#checkSum(view, block, entries);
    return free;
  }

  #ownedFlag(level: number, index: number): number {
    return this.#hasOwners(level, index) ? SUMMARY_INITIALISED : 0;
  }

  #checkHeader(view: DataView, block: number, level: number, count: number): void {
    const { log } = this.#context;
    const foundLevel = SummaryHeader.level.get(view, 0);
    if (foundLevel !== level) {
      log.report('space-summary-header', { block, what: 'its level', found: foundLevel, expected: level });
    }
    const foundCount = SummaryHeader.entryCount.get(view, 0);
    if (foundCount !== count) {
      log.report('space-summary-header', {
        block,
        what: 'its number of entries',
        found: foundCount,
        expected: count,
      });
    }
  }

  #checkSum(view: DataView, block: number, expected: number): void {
    const found = SummaryHeader.freeBlocks.get(view, 0);
    if (found !== expected) this.#context.log.report('space-sum', { block, found, expected });
  }

  async #child(level: number, index: number, flags: number): Promise<number> {
    const { layout, log } = this.#context;
    const what = partName(level, index);
    if ((flags & ~SUMMARY_INITIALISED) !== 0) log.report('space-summary-flags', { what, found: flags });
    if ((flags & SUMMARY_INITIALISED) !== 0)
      return level === 0 ? this.#group(index) : this.node(level, index);
    if (!this.#hasOwners(level, index)) return layout.pristineFree(level, index);
    log.report('space-not-initialised', { what });
    return this.#ownedFree(level, index);
  }

  /** Free blocks by owners alone. */
  #ownedFree(level: number, index: number): number {
    const { layout, space } = this.#context;
    const span = layout.summaryFanout ** level;
    let free = layout.pristineFree(level, index);
    for (const group of this.#touchedIn(index * span, (index + 1) * span)) {
      const owned = space.group(group).cardinality() - space.pristine(group).cardinality();
      free -= owned;
    }
    return free;
  }

  async #group(group: number): Promise<number> {
    const { layout, log, reader, space } = this.#context;
    const block = layout.bitmapBlock(group);
    const owned = space.isTouched(group) ? space.group(group) : space.pristine(group);
    const ownedFree = layout.bitsPerBlock - owned.cardinality();
    this.#context.progress(++this.#groupsDone, layout.groupCount);
    const bytes = await reader.read(block, { kind: BlockKind.groupBitmap, what: `bitmap of group ${group}` });
    if (!bytes) return ownedFree;
    const bits = new BitSet(bytes.subarray(HEADER_BYTES));
    this.#checkBitmapHeader(viewOf(bytes), bits, group);
    if (bits.xor(owned).isEmpty()) return ownedFree;
    const unowned = bits.andNot(owned);
    const unmarked = owned.andNot(bits);
    if (!unowned.isEmpty()) log.report('space-unowned', { what: rangesOf(unowned, block), block });
    if (!unmarked.isEmpty()) log.report('space-unmarked', { what: rangesOf(unmarked, block), block });
    return layout.bitsPerBlock - bits.cardinality();
  }

  #checkBitmapHeader(view: DataView, bits: BitSet, group: number): void {
    const { log, layout } = this.#context;
    const block = layout.bitmapBlock(group);
    const used = BitmapHeader.used.get(view, 0);
    const expected = bits.cardinality();
    if (used !== expected) log.report('space-used', { what: group, found: used, expected, block });
    const firstFree = BitmapHeader.firstFree.get(view, 0);
    const lowest = Math.min(lowestClear(bits), layout.bitsPerBlock);
    if (firstFree > lowest) {
      log.report('space-first-free', { what: group, found: firstFree, expected: lowest, block });
    }
  }

  #hasOwners(level: number, index: number): boolean {
    const span = this.#context.layout.summaryFanout ** level;
    return this.#touchedIn(index * span, (index + 1) * span).length > 0;
  }

  #touchedIn(from: number, until: number): number[] {
    return this.#touched.slice(this.#lowerBound(from), this.#lowerBound(until));
  }

  #lowerBound(group: number): number {
    let low = 0;
    let high = this.#touched.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#touched[middle] ?? group) < group) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function partName(level: number, index: number): string {
  return level === 0 ? `group ${index}` : `summary ${level}/${index}`;
}
