/**
 * Directory keys: a keyed 44-bit hash of the name, then 8 bits that tell names of equal hash apart.
 * Keys of extended attributes: the upper 36 bits of that hash, 8 bits that tell names apart, and 8
 * bits for the part of the value.
 *
 * The hash is SipHash-1-3 (Jean-Philippe Aumasson and Daniel J. Bernstein) under a secret of the
 * volume that serves nothing else. Whoever does not know it cannot prepare names that collide,
 * whatever he sees of the order in which names are listed. A key is below 2^52 and so exact as a
 * number; it serves as the readdir cookie, stable while other names come and go.
 */
export const COLLISIONS_PER_HASH = 256;
/** All keys are below this. */
export const KEY_LIMIT = 2 ** 52;
export const NAME_SECRET_BYTES = 16;

const WORD_BYTES = 8;
/** Rounds after the last word. */
const FINAL_ROUNDS = 3;

/** The 128 bits of the secret, in words of 32. */
export class NameSecret {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;

  /** @param bytes `NAME_SECRET_BYTES` */
  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, NAME_SECRET_BYTES);
    this.w0 = view.getInt32(0, true);
    this.w1 = view.getInt32(4, true);
    this.w2 = view.getInt32(8, true);
    this.w3 = view.getInt32(12, true);
  }
}

/** Up to four bytes of the name from `at` on, little-endian. */
function wordAt(name: Uint8Array, at: number): number {
  if (at + 4 <= name.length) {
    const low = (name[at] as number) | ((name[at + 1] as number) << 8);
    return low | ((name[at + 2] as number) << 16) | ((name[at + 3] as number) << 24);
  }
  let word = 0;
  for (let i = Math.min(4, name.length - at) - 1; i >= 0; i--) word = (word << 8) | (name[at + i] as number);
  return word;
}

/**
 * The lowest key of the name's hash: a multiple of `COLLISIONS_PER_HASH` below `KEY_LIMIT`.
 *
 * SipHash is made of additions of 64 bits; here each is two of 32 and a carry, in one function with
 * nothing but local variables, which is four times as fast as the same with state in an object.
 */
export function nameKey(name: Uint8Array, secret: NameSecret): number {
  let v0 = secret.w0 ^ 0x70736575;
  let v0High = secret.w1 ^ 0x736f6d65;
  let v1 = secret.w2 ^ 0x6e646f6d;
  let v1High = secret.w3 ^ 0x646f7261;
  let v2 = secret.w0 ^ 0x6e657261;
  let v2High = secret.w1 ^ 0x6c796765;
  let v3 = secret.w2 ^ 0x79746573;
  let v3High = secret.w3 ^ 0x74656462;
  const words = Math.floor(name.length / WORD_BYTES) + 1;
  for (let word = 0; word < words + FINAL_ROUNDS; word++) {
    let low = 0;
    let high = 0;
    if (word < words) {
      low = wordAt(name, word * WORD_BYTES);
      high = wordAt(name, word * WORD_BYTES + 4);
      // The last word has its highest byte free, for the length.
      if (word === words - 1) high |= name.length << 24;
    } else if (word === words) v2 ^= 0xff;
    v3 ^= low;
    v3High ^= high;

    let sum = (v0 + v1) | 0;
    let carry = ((v0 & v1) | ((v0 | v1) & ~sum)) >>> 31;
    v0High = (v0High + v1High + carry) | 0;
    v0 = sum;
    let turned = (v1 << 13) | (v1High >>> 19);
    v1High = ((v1High << 13) | (v1 >>> 19)) ^ v0High;
    v1 = turned ^ v0;
    turned = v0;
    v0 = v0High;
    v0High = turned;

    sum = (v2 + v3) | 0;
    carry = ((v2 & v3) | ((v2 | v3) & ~sum)) >>> 31;
    v2High = (v2High + v3High + carry) | 0;
    v2 = sum;
    turned = (v3 << 16) | (v3High >>> 16);
    v3High = ((v3High << 16) | (v3 >>> 16)) ^ v2High;
    v3 = turned ^ v2;

    sum = (v0 + v3) | 0;
    carry = ((v0 & v3) | ((v0 | v3) & ~sum)) >>> 31;
    v0High = (v0High + v3High + carry) | 0;
    v0 = sum;
    turned = (v3 << 21) | (v3High >>> 11);
    v3High = ((v3High << 21) | (v3 >>> 11)) ^ v0High;
    v3 = turned ^ v0;

    sum = (v2 + v1) | 0;
    carry = ((v2 & v1) | ((v2 | v1) & ~sum)) >>> 31;
    v2High = (v2High + v1High + carry) | 0;
    v2 = sum;
    turned = (v1 << 17) | (v1High >>> 15);
    v1High = ((v1High << 17) | (v1 >>> 15)) ^ v2High;
    v1 = turned ^ v2;
    turned = v2;
    v2 = v2High;
    v2High = turned;

    v0 ^= low;
    v0High ^= high;
  }
  const low = (v0 ^ v1 ^ v2 ^ v3) >>> 0;
  const high = (v0High ^ v1High ^ v2High ^ v3High) >>> 0;
  return high * 2 ** 20 + (low >>> 20) * COLLISIONS_PER_HASH;
}

/** The keys of extended attributes of one hash, all parts of all names. */
export const ATTRIBUTE_KEYS_PER_HASH = 2 ** 16;

/** The lowest key of an extended attribute of this name. */
export function attributeKey(name: Uint8Array, secret: NameSecret): number {
  const key = nameKey(name, secret);
  return key - (key % ATTRIBUTE_KEYS_PER_HASH);
}

/**
 * A secret for directory offsets, four words of 32 bits: the hashes of what can be no name.
 */
export function offsetSecret(secret: NameSecret): readonly number[] {
  const encoder = new TextEncoder();
  return [0, 1, 2, 3].map((i) => Math.floor(nameKey(encoder.encode(`/offsets/${i}`), secret) / 2 ** 20));
}
