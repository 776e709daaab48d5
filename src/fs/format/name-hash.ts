/**
 * Directory keys: a seeded 44-bit hash of the name, then 8 bits that tell names of equal hash
 * apart.
 *
 * The seed is the volume's own, so that nobody can prepare names that collide. A key is below 2^52
 * and so exact as a number; it serves as the readdir cookie, stable while other names come and go.
 *
 * The hash is two lanes of the MurmurHash3 (x86, 32-bit; Austin Appleby, public domain) block and
 * final steps, taken byte by byte: names are short, and the lanes differ in seed only.
 */
export const COLLISIONS_PER_HASH = 256;
/** All keys are below this. */
export const KEY_LIMIT = 2 ** 52;

function mix(hash: number, byte: number): number {
  let k = Math.imul(byte, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  let h = hash ^ Math.imul(k, 0x1b873593);
  h = (h << 13) | (h >>> 19);
  return (Math.imul(h, 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let h = hash;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}

/** The lowest key of the name's hash: a multiple of `COLLISIONS_PER_HASH` below `KEY_LIMIT`. */
export function nameKey(name: Uint8Array, seedLow: number, seedHigh: number): number {
  let a = seedLow | 0;
  let b = seedHigh | 0;
  for (let i = 0; i < name.length; i++) {
    const byte = name[i] as number;
    a = mix(a, byte);
    b = mix(b, byte);
  }
  const high = finish(a ^ name.length);
  const low = finish(b ^ name.length) & 0xfff;
  return high * 2 ** 20 + low * 2 ** 8;
}
