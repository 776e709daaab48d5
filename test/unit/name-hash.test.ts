/** The keys of names: SipHash-1-3, beside its definition in numbers of 64 bits. */
import { describe, expect, test } from 'vitest';
import { COLLISIONS_PER_HASH, KEY_LIMIT, NameSecret, nameKey } from '../../src/fs/format/name-hash.ts';

const MASK = 2n ** 64n - 1n;
const rotate = (value: bigint, bits: bigint) => ((value << bits) | (value >> (64n - bits))) & MASK;

/** SipHash-1-3 as its authors define it. */
function sipHash13(key: Uint8Array, data: Uint8Array): bigint {
  const words = new DataView(key.buffer, key.byteOffset);
  const [k0, k1] = [words.getBigUint64(0, true), words.getBigUint64(8, true)];
  let v0 = k0 ^ 0x736f6d6570736575n;
  let v1 = k1 ^ 0x646f72616e646f6dn;
  let v2 = k0 ^ 0x6c7967656e657261n;
  let v3 = k1 ^ 0x7465646279746573n;
  const round = () => {
    v0 = (v0 + v1) & MASK;
    v1 = rotate(v1, 13n) ^ v0;
    v0 = rotate(v0, 32n);
    v2 = (v2 + v3) & MASK;
    v3 = rotate(v3, 16n) ^ v2;
    v0 = (v0 + v3) & MASK;
    v3 = rotate(v3, 21n) ^ v0;
    v2 = (v2 + v1) & MASK;
    v1 = rotate(v1, 17n) ^ v2;
    v2 = rotate(v2, 32n);
  };
  const padded = new Uint8Array(8 * Math.floor(data.length / 8) + 8);
  padded.set(data);
  padded[padded.length - 1] = data.length;
  const view = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += 8) {
    const word = view.getBigUint64(at, true);
    v3 ^= word;
    round();
    v0 ^= word;
  }
  v2 ^= 0xffn;
  for (let i = 0; i < 3; i++) round();
  return v0 ^ v1 ^ v2 ^ v3;
}

const KEY = new Uint8Array(16).map((_, i) => i);

test('the definition gives the known value of the empty string', () => {
  expect(sipHash13(KEY, new Uint8Array(0))).toBe(0xabac0158050fc4dcn);
});

describe.each([KEY, new Uint8Array(16).fill(255), new Uint8Array(16).map((_, i) => (i * 193) ^ 0xa5)])(
  'with secret %#',
  (key) => {
    test('every length of a name gives the upper 44 bits of the hash', () => {
      const secret = new NameSecret(key);
      for (let length = 0; length <= 255; length++) {
        const name = new Uint8Array(length).map((_, i) => (i * 89 + length * 7) ^ (i >> 3));
        const expected = Number(sipHash13(key, name) >> 20n) * COLLISIONS_PER_HASH;
        expect(nameKey(name, secret)).toBe(expected);
        expect(expected).toBeLessThan(KEY_LIMIT);
      }
    });
  },
);

test('a part of a longer array is hashed as if it stood alone', () => {
  const secret = new NameSecret(KEY);
  const around = new TextEncoder().encode('xxREADME.mdyy');
  expect(nameKey(around.subarray(2, 11), secret)).toBe(
    nameKey(new TextEncoder().encode('README.md'), secret),
  );
});
