/**
 * Blocks that are clear on disk and must not be handed out: reserved ones, whose data is on its
 * way, and quarantined ones, which were freed but not durably yet (space-index.ts tells why).
 *
 * A group with such blocks has a bitmap of them, both kinds in one, until the last one is settled.
 * Most groups have none, then a few, then none again: so some of the bitmaps that have become empty
 * are kept for the next group that needs one.
 *
 * Invariants: H1 the counts of a group add up to the bits of its bitmap; H2 the totals are the sums
 * over all groups; H3 a bitmap that is kept is all 0.
 */
import type { Run } from './allocator.ts';
import { clearRange, countRange, setRange, wordsFor } from './bit-words.ts';

export type HeldState = 'reserved' | 'quarantined';

interface HeldGroup {
  reserved: number;
  quarantined: number;
  /** Both, 1 bit per block. */
  words: Uint32Array;
}

/** Memory for bitmaps that nobody needs for the moment. */
const SPARE_BYTES = 1024 * 1024;

export class HeldBlocks {
  readonly #groupBlocks: number;
  readonly #groups = new Map<number, HeldGroup>();
  #spare: Uint32Array[] = [];
  #reserved = 0;
  #quarantined = 0;

  constructor(groupBlocks: number) {
    this.#groupBlocks = groupBlocks;
  }

  get reserved(): number {
    return this.#reserved;
  }

  get quarantined(): number {
    return this.#quarantined;
  }

  /** Of its bitmaps. */
  get memoryBytes(): number {
    let bytes = 0;
    for (const { words } of this.#groups.values()) bytes += words.byteLength;
    for (const words of this.#spare) bytes += words.byteLength;
    return bytes;
  }

  /** Blocks held in the group, of both kinds. */
  inGroup(group: number): number {
    const held = this.#groups.get(group);
    return held === undefined ? 0 : held.reserved + held.quarantined;
  }

  /** The group's bitmap, if it has blocks that are held. */
  wordsOf(group: number): Uint32Array | undefined {
    return this.#groups.get(group)?.words;
  }

  /**
   * Holds the run, which lies in one group.
   * @param groupLength blocks of that group
   * @throws Error if a part of it is held already
   */
  hold(run: Run, as: HeldState, groupLength: number): void {
    const group = this.#groupOf(run);
    let held = this.#groups.get(group);
    if (held === undefined) {
      held = { reserved: 0, quarantined: 0, words: this.#emptyWords(wordsFor(groupLength)) };
      this.#groups.set(group, held);
    }
    const first = run.start - group * this.#groupBlocks;
    if (countRange(held.words, first, run.length) > 0)
      throw new Error(`run ${run.start}+${run.length} is held already`);
    setRange(held.words, first, run.length);
    this.#count(held, as, run.length);
  }

  /** The run is no longer held. @throws Error if not all of it was, in this way */
  settle(run: Run, as: HeldState): void {
    const group = this.#groupOf(run);
    const held = this.#groups.get(group);
    const first = run.start - group * this.#groupBlocks;
    const isHeld =
      held !== undefined &&
      held[as] >= run.length &&
      countRange(held.words, first, run.length) === run.length;
    if (!isHeld) throw new Error(`run ${run.start}+${run.length} is not ${as}`);
    clearRange(held.words, first, run.length);
    this.#count(held, as, -run.length);
    if (held.reserved + held.quarantined > 0) return;
    this.#groups.delete(group);
    const { byteLength } = held.words;
    if ((this.#spare.length + 1) * byteLength <= SPARE_BYTES) this.#spare.push(held.words);
  }

  /** Groups have become longer or shorter; what is held is inside of both. */
  resize(groupLength: (group: number) => number): void {
    this.#spare = [];
    for (const [group, held] of this.#groups) {
      const words = new Uint32Array(wordsFor(groupLength(group)));
      words.set(held.words.subarray(0, words.length));
      held.words = words;
    }
  }

  /** @throws Error if an invariant does not hold. */
  checkInvariants(): void {
    let reserved = 0;
    let quarantined = 0;
    for (const [group, held] of this.#groups) {
      reserved += held.reserved;
      quarantined += held.quarantined;
      const bits = countRange(held.words, 0, held.words.length * 32);
      if (bits !== this.inGroup(group)) throw new Error(`H1: ${bits} blocks held in group ${group}`);
    }
    if (reserved !== this.#reserved) throw new Error(`H2: ${reserved} reserved, ${this.#reserved} counted`);
    if (quarantined !== this.#quarantined) throw new Error(`H2: ${quarantined} quarantined`);
    for (const words of this.#spare)
      if (words.some((word) => word !== 0)) throw new Error('H3: a bitmap that is kept holds blocks');
  }

  #groupOf(run: Run): number {
    return Math.floor(run.start / this.#groupBlocks);
  }

  #count(held: HeldGroup, as: HeldState, length: number): void {
    held[as] += length;
    if (as === 'reserved') this.#reserved += length;
    else this.#quarantined += length;
  }

  #emptyWords(count: number): Uint32Array {
    const spare = this.#spare.pop();
    return spare?.length === count ? spare : new Uint32Array(count);
  }
}
