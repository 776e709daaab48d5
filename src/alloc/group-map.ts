/**
 * The free map of one group, in memory: which of its blocks may be handed out now.
 *
 *   words      1 bit per block, set = free
 *   someFree   1 bit per word, set = the word has a free block     (skips long stretches in use)
 *   allFree    1 bit per word, set = all 32 blocks are free        (skips long free stretches)
 *
 * A group has up to 523,776 blocks, so a level of summary is at most 16,368 bits: 512 words, the
 * worst a search skips over. `#longest` is an upper bound of the longest free run, learnt from a
 * search that failed and raised when blocks come back; it saves the next search for so much.
 *
 * Invariants: M1 both summaries agree with the words; M2 bits past the last block are clear; M3
 * `freeCount` is the number of set bits; M4 no free run is longer than `#longest`.
 *
 * Block numbers here count from the start of the group. The map knows nothing of groups, disks or
 * policies. A block below `blockCount` has its word and its bits in the summaries: hence `as
 * number` at each read of them.
 */
import {
  clearRange,
  countBits,
  countRange,
  isSet,
  lowestBit,
  maskOf,
  nextClear,
  nextSet,
  previousClear,
  previousSet,
  runInWord,
  setRange,
  WORD_BITS,
  wordsFor,
} from './bit-words.ts';

/** A run at least this long, wherever it begins, holds a whole word. */
const RUN_WITH_WHOLE_WORD = 2 * WORD_BITS - 1;

export class GroupMap {
  /** Blocks in the group, free or not. */
  readonly blockCount: number;
  #freeCount = 0;
  #longest: number;
  readonly #words: Uint32Array;
  readonly #someFree: Uint32Array;
  readonly #allFree: Uint32Array;

  /**
   * @param used the bitmap: bit i of byte i >> 3 is 1 << (i & 7), set = in use; at least
   * ceil(blockCount / 8) bytes
   * @param held blocks that are not to be handed out although the bitmap has them free; 1 bit each,
   * set = held
   */
  constructor(blockCount: number, used: Uint8Array, held?: Uint32Array) {
    this.blockCount = blockCount;
    this.#longest = blockCount;
    const wordCount = wordsFor(blockCount);
    this.#words = new Uint32Array(wordCount);
    this.#someFree = new Uint32Array(wordsFor(wordCount));
    this.#allFree = new Uint32Array(wordsFor(wordCount));
    for (let at = 0; at < wordCount; at++) {
      const taken = wordOfBytes(used, at * 4) | (held?.[at] ?? 0);
      const free = ~taken & maskOf(at, 0, blockCount);
      this.#words[at] = free;
      this.#freeCount += countBits(free);
      this.#summarise(at);
    }
  }

  get freeCount(): number {
    return this.#freeCount;
  }

  /** Of its arrays. */
  get memoryBytes(): number {
    return this.#words.byteLength + this.#someFree.byteLength + this.#allFree.byteLength;
  }

  isFree(block: number): boolean {
    return isSet(this.#words, block);
  }

  /** The first free block in [from, limit), or −1. `limit` ≤ `blockCount`. */
  nextFree(from: number, limit: number): number {
    if (from >= limit) return -1;
    const here = from >>> 5;
    const bits = (this.#words[here] as number) & (-1 << (from & 31));
    const at = bits !== 0 ? here : nextSet(this.#someFree, here + 1, wordsFor(limit));
    if (at < 0) return -1;
    const block = at * WORD_BITS + lowestBit(bits !== 0 ? bits : (this.#words[at] as number));
    return block < limit ? block : -1;
  }

  /** The first block in [from, limit) that is not free, or `limit`. `limit` ≤ `blockCount`. */
  nextUsed(from: number, limit: number): number {
    if (from >= limit) return limit;
    const here = from >>> 5;
    const bits = ~(this.#words[here] as number) & (-1 << (from & 31));
    if (bits !== 0) return Math.min(limit, here * WORD_BITS + lowestBit(bits));
    const at = nextClear(this.#allFree, here + 1, wordsFor(limit));
    if (at * WORD_BITS >= limit) return limit;
    return Math.min(limit, at * WORD_BITS + lowestBit(~(this.#words[at] as number)));
  }

  /** The last free block in [0, from], or −1. `from` may be −1. */
  previousFree(from: number): number {
    if (from < 0) return -1;
    const here = from >>> 5;
    const bits = (this.#words[here] as number) & (-1 >>> (31 - (from & 31)));
    const at = bits !== 0 ? here : previousSet(this.#someFree, here - 1);
    if (at < 0) return -1;
    return at * WORD_BITS + 31 - Math.clz32(bits !== 0 ? bits : (this.#words[at] as number));
  }

  /** Length of the free run that starts at `block`, at most `most`; 0 if the block is in use. */
  freeRunLength(block: number, most: number): number {
    return this.nextUsed(block, Math.min(this.blockCount, block + most)) - block;
  }

  /** Where the free run that holds the free block `block` begins. */
  freeRunStart(block: number): number {
    const here = block >>> 5;
    const bits = ~(this.#words[here] as number) & (-1 >>> (31 - (block & 31)));
    if (bits !== 0) return here * WORD_BITS + WORD_BITS - Math.clz32(bits);
    const at = previousClear(this.#allFree, here - 1);
    return at < 0 ? 0 : at * WORD_BITS + WORD_BITS - Math.clz32(~(this.#words[at] as number));
  }

  /**
   * Start of the first free run of at least `minimum` blocks that starts in [from, limit), or −1.
   */
  findRun(from: number, limit: number, minimum: number): number {
    if (minimum > this.#longest || minimum > this.#freeCount || from >= limit) return -1;
    let start: number;
    if (minimum === 1) start = this.nextFree(from, limit);
    else if (minimum < RUN_WITH_WHOLE_WORD) start = this.#findShortRun(from, limit, minimum);
    else start = this.#findLongRun(from, limit, minimum);
    if (start < 0 && from === 0 && limit >= this.blockCount) this.#longest = minimum - 1;
    return start;
  }

  /** The run leaves the map. @throws Error if a block of it is not free. */
  take(start: number, length: number): void {
    if (this.nextUsed(start, start + length) !== start + length) {
      throw new Error(`blocks ${start}+${length} of the group are not all free`);
    }
    clearRange(this.#words, start, length);
    this.#freeCount -= length;
    this.#summariseRange(start, length);
  }

  /** The run comes back. @throws Error if a block of it is free already. */
  give(start: number, length: number): void {
    if (this.nextFree(start, start + length) >= 0) {
      throw new Error(`blocks ${start}+${length} of the group are not all in use`);
    }
    setRange(this.#words, start, length);
    this.#freeCount += length;
    this.#summariseRange(start, length);
    const first = this.freeRunStart(start);
    this.#longest = Math.max(this.#longest, this.nextUsed(start, this.blockCount) - first);
  }

  /** @throws Error if an invariant does not hold. */
  checkInvariants(): void {
    const blocks = this.blockCount;
    const counted = countRange(this.#words, 0, this.#words.length * WORD_BITS);
    if (counted !== this.#freeCount) throw new Error(`M3: ${counted} bits set, ${this.#freeCount} counted`);
    if (countRange(this.#words, 0, blocks) !== counted) throw new Error('M2: bits set past the end');
    for (const [at, word] of this.#words.entries()) {
      if (isSet(this.#someFree, at) !== (word !== 0)) throw new Error(`M1: someFree of word ${at}`);
      if (isSet(this.#allFree, at) !== (word === 0xffffffff)) throw new Error(`M1: allFree of word ${at}`);
    }
    for (let at = this.nextFree(0, blocks); at >= 0; ) {
      const end = this.nextUsed(at, blocks);
      if (end - at > this.#longest) throw new Error(`M4: run ${at}+${end - at} beats ${this.#longest}`);
      at = this.nextFree(end, blocks);
    }
  }

  /**
   * Runs of less than two words: word by word, carrying the free blocks at the end of the words
   * before.
   */
  #findShortRun(from: number, limit: number, minimum: number): number {
    const words = this.#words;
    const wordLimit = wordsFor(limit);
    let carried = 0;
    let mask = -1 << (from & 31);
    for (let at = from >>> 5; at < words.length && (at < wordLimit || carried > 0); at++) {
      const bits = (words[at] as number) & mask;
      mask = -1;
      const leading = bits === -1 ? WORD_BITS : lowestBit(~bits);
      if (carried + leading >= minimum) return withinLimit(at * WORD_BITS - carried, limit);
      const inside = leading === WORD_BITS ? -1 : runInWord(bits, minimum);
      if (inside >= 0) return withinLimit(at * WORD_BITS + inside, limit);
      carried = leading === WORD_BITS ? carried + WORD_BITS : Math.clz32(~bits);
      if (bits !== 0) continue;
      const next = nextSet(this.#someFree, at + 1, words.length);
      if (next < 0) return -1;
      at = next - 1;
    }
    return -1;
  }

  /** Longer runs hold a word that is all free: only around those is it worth looking. */
  #findLongRun(from: number, limit: number, minimum: number): number {
    const words = this.#words;
    let word = from >>> 5;
    let least = from;
    for (;;) {
      word = nextSet(this.#allFree, word, words.length);
      if (word < 0) return -1;
      const before = word === 0 ? 0 : Math.clz32(~(words[word - 1] as number));
      const start = Math.max(least, word * WORD_BITS - before);
      if (start >= limit) return -1;
      const end = this.nextUsed(start, this.blockCount);
      if (end - start >= minimum) return start;
      least = end;
      word = end >>> 5;
    }
  }

  #summariseRange(start: number, length: number): void {
    const wordLimit = wordsFor(start + length);
    for (let at = start >>> 5; at < wordLimit; at++) this.#summarise(at);
  }

  #summarise(at: number): void {
    const word = this.#words[at];
    const bit = 1 << (at & 31);
    const place = at >>> 5;
    const some = this.#someFree[place] as number;
    this.#someFree[place] = word !== 0 ? some | bit : some & ~bit;
    const all = this.#allFree[place] as number;
    this.#allFree[place] = word === 0xffffffff ? all | bit : all & ~bit;
  }
}

/** Four bytes from `at` on, the lowest first; those past the end, which no block needs, are 0. */
function wordOfBytes(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
  const high = (bytes[at + 2] ?? 0) | ((bytes[at + 3] ?? 0) << 8);
  return low | (high << 16);
}

function withinLimit(start: number, limit: number): number {
  return start < limit ? start : -1;
}
