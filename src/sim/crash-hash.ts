/**
 * The content of a disk as a number that is cheap to keep up to date.
 *
 * Each sector has a hash of its place and content; the disk's is the XOR of all of them, so
 * changing a sector costs two exclusive-ors. 53 bits: among a million disks two different ones are
 * taken for the same with a chance of 1 in 20,000.
 */
import { CRASH_SECTOR_BYTES } from './crash-image.ts';

const HIGH_MASK = 0x1fffff;

/** Two parts of a hash, 21 and 32 bits; fields are signed as bit operations make them. */
export interface ContentHash {
  readonly high: number;
  readonly low: number;
}

/** One content that a sector may have. */
export interface SectorVersion extends ContentHash {
  readonly sector: number;
  readonly data: Uint8Array;
}

/** @param data one sector; kept, not copied */
export function sectorVersion(sector: number, data: Uint8Array): SectorVersion {
  const words = new Uint32Array(data.buffer, data.byteOffset, CRASH_SECTOR_BYTES / 4);
  let high = Math.imul(sector + 1, 0x9e3779b1);
  let low = Math.imul(sector + 1, 0x85ebca6b) ^ 0x27d4eb2f;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    high = Math.imul(high ^ word, 0x2c1b3c6d);
    high ^= high >>> 15;
    low = Math.imul(low + word, 0x297a2d39);
    low ^= low >>> 13;
  }
  high = Math.imul(high ^ (high >>> 12), 0xb55a4f09);
  low = Math.imul(low ^ (low >>> 16), 0x7feb352d);
  return { sector, data, high: (high ^ (high >>> 16)) & HIGH_MASK, low: low ^ (low >>> 15) };
}

/** Of everything that the disk holds. */
export function hashOfDisk(bytes: Uint8Array): ContentHash {
  let high = 0;
  let low = 0;
  for (let at = 0; at < bytes.length; at += CRASH_SECTOR_BYTES) {
    const version = sectorVersion(at / CRASH_SECTOR_BYTES, bytes.subarray(at, at + CRASH_SECTOR_BYTES));
    high ^= version.high;
    low ^= version.low;
  }
  return { high, low };
}

/** The hash as one whole number below 2^53. */
export function keyOf(hash: ContentHash): number {
  return hash.high * 2 ** 32 + (hash.low >>> 0);
}

/** The two parts of such a number. */
export function hashOf(key: number): ContentHash {
  return { high: Math.floor(key / 2 ** 32), low: key | 0 };
}

/** A set of such numbers, 16 bytes each at most: millions of them fit. */
export class KeySet {
  #slots = new Float64Array(1024).fill(-1);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @returns false if it was there */
  add(key: number): boolean {
    if (this.#size * 2 > this.#slots.length) this.#grow();
    return this.#insert(key);
  }

  clear(): void {
    if (this.#size > 0) this.#slots.fill(-1);
    this.#size = 0;
  }

  #insert(key: number): boolean {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = (key % 4294967296) & mask;
    for (;;) {
      const found = slots[at] as number;
      if (found === key) return false;
      if (found < 0) break;
      at = (at + 1) & mask;
    }
    slots[at] = key;
    this.#size++;
    return true;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Float64Array(old.length * 4).fill(-1);
    this.#size = 0;
    for (const key of old) if (key >= 0) this.#insert(key);
  }
}
