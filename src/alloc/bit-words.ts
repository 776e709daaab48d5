/**
 * Bits in 32-bit words: the leaf functions under every map of this folder.
 *
 * Bit i of an array is bit `i & 31` of word `i >>> 5`. A search looks at a word at a time
 * (`Math.clz32`, masks), a range operation touches each word once; nothing here loops over single
 * bits. All functions are pure or change only the array they are given, and trust their caller for
 * bounds: hence `as number` in place of a check at each word.
 */

export const WORD_BITS = 32;

/** Words that hold `bits` bits. */
export function wordsFor(bits: number): number {
  return (bits + 31) >>> 5;
}

/** Index of the lowest set bit of a word that is not 0. */
export function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** Set bits in one word (Hacker's Delight, 5-2). */
export function countBits(word: number): number {
  let sum = word - ((word >>> 1) & 0x55555555);
  sum = (sum & 0x33333333) + ((sum >>> 2) & 0x33333333);
  return Math.imul((sum + (sum >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/**
 * Where `count` set bits in a row begin in the word, or −1. `count` ≥ 1 (Hacker's Delight, 6-2).
 */
export function runInWord(word: number, count: number): number {
  if (count > WORD_BITS) return -1;
  let starts = word;
  for (let known = 1; known < count && starts !== 0; ) {
    const step = Math.min(known, count - known);
    starts &= starts >>> step;
    known += step;
  }
  return starts === 0 ? -1 : lowestBit(starts);
}

export function isSet(words: Uint32Array, bit: number): boolean {
  return (((words[bit >>> 5] as number) >>> (bit & 31)) & 1) !== 0;
}

/** The first set bit in [from, limit), or −1. */
export function nextSet(words: Uint32Array, from: number, limit: number): number {
  if (from >= limit) return -1;
  const last = (limit - 1) >>> 5;
  let at = from >>> 5;
  let bits = (words[at] as number) & (-1 << (from & 31));
  while (bits === 0) {
    if (++at > last) return -1;
    bits = words[at] as number;
  }
  const bit = at * WORD_BITS + lowestBit(bits);
  return bit < limit ? bit : -1;
}

/** The first clear bit in [from, limit), or `limit`. */
export function nextClear(words: Uint32Array, from: number, limit: number): number {
  if (from >= limit) return limit;
  const last = (limit - 1) >>> 5;
  let at = from >>> 5;
  let bits = ~(words[at] as number) & (-1 << (from & 31));
  while (bits === 0) {
    if (++at > last) return limit;
    bits = ~(words[at] as number);
  }
  return Math.min(limit, at * WORD_BITS + lowestBit(bits));
}

/** The last set bit in [0, from], or −1. `from` may be −1. */
export function previousSet(words: Uint32Array, from: number): number {
  if (from < 0) return -1;
  let at = from >>> 5;
  let bits = (words[at] as number) & (-1 >>> (31 - (from & 31)));
  while (bits === 0) {
    if (--at < 0) return -1;
    bits = words[at] as number;
  }
  return at * WORD_BITS + 31 - Math.clz32(bits);
}

/** The last clear bit in [0, from], or −1. `from` may be −1. */
export function previousClear(words: Uint32Array, from: number): number {
  if (from < 0) return -1;
  let at = from >>> 5;
  let bits = ~(words[at] as number) & (-1 >>> (31 - (from & 31)));
  while (bits === 0) {
    if (--at < 0) return -1;
    bits = ~(words[at] as number);
  }
  return at * WORD_BITS + 31 - Math.clz32(bits);
}

/** The bits of word `at` that lie in [start, end). */
export function maskOf(at: number, start: number, end: number): number {
  const low = Math.max(0, start - at * WORD_BITS);
  const high = Math.min(WORD_BITS, end - at * WORD_BITS);
  return (-1 << low) & (-1 >>> (WORD_BITS - high));
}

export function setRange(words: Uint32Array, start: number, length: number): void {
  const end = start + length;
  const wordLimit = wordsFor(end);
  for (let at = start >>> 5; at < wordLimit; at++) {
    words[at] = (words[at] as number) | maskOf(at, start, end);
  }
}

export function clearRange(words: Uint32Array, start: number, length: number): void {
  const end = start + length;
  const wordLimit = wordsFor(end);
  for (let at = start >>> 5; at < wordLimit; at++) {
    words[at] = (words[at] as number) & ~maskOf(at, start, end);
  }
}

/** Set bits in `start` to `start + length − 1`. */
export function countRange(words: Uint32Array, start: number, length: number): number {
  const end = start + length;
  const wordLimit = wordsFor(end);
  let sum = 0;
  for (let at = start >>> 5; at < wordLimit; at++) {
    sum += countBits((words[at] as number) & maskOf(at, start, end));
  }
  return sum;
}
