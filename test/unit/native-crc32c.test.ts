/** CRC-32C against published vectors, against its own slow form, and at its limits. */
import { describe, expect, test } from 'vitest';
import { crc32cInScript } from '../../src/common/crc32c-script.ts';
import { crc32c } from '../../src/crc32c.ts';
import { native } from '../../src/native.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';

const VECTORS: [string, Uint8Array, number][] = [
  ['nothing', new Uint8Array(0), 0],
  ['"123456789"', Buffer.from('123456789'), 0xe3069283],
  ['"a"', Buffer.from('a'), 0xc1d04330],
  // RFC 3720, appendix B.4; its bytes are listed in wire order, so the numbers are reversed here.
  ['32 bytes of zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 bytes of ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['32 incrementing bytes', Uint8Array.from({ length: 32 }, (_, at) => at), 0x46dd794e],
  ['32 decrementing bytes', Uint8Array.from({ length: 32 }, (_, at) => 31 - at), 0x113fdb5c],
  [
    'an iSCSI SCSI Read (10) command',
    Buffer.from(
      '01c000000000000000000000000000001400000000000400000000140000001828000000000000000200000000000000',
      'hex',
    ),
    0xd9963a56,
  ],
];

describe.each([
  ['crc32c', crc32c],
  ['crc32cByTable', native.crc32cByTable],
  ['crc32cInScript', crc32cInScript],
])('%s', (_, checksum) => {
  test.each(VECTORS)('of %s', (_name, bytes, expected) => {
    expect(checksum(bytes, 0, bytes.length, 0)).toBe(expected);
  });

  test('goes on from a seed', () => {
    const bytes = Buffer.from('123456789');
    expect(checksum(bytes, 4, 9, checksum(bytes, 0, 4, 0))).toBe(0xe3069283);
  });

  test('of a view counts from the start of the view', () => {
    const bytes = Buffer.from('..123456789').subarray(2);
    expect(checksum(new Uint8Array(bytes.buffer, bytes.byteOffset, 9), 0, 9, 0)).toBe(0xe3069283);
  });

  test.each([
    [0, 10, 0],
    [-1, 4, 0],
    [5, 4, 0],
    [0.5, 4, 0],
    [0, Number.NaN, 0],
    [0, 4, -1],
    [0, 4, 2 ** 32],
  ])('refuses from %d to %d with seed %d', (from, to, seed) => {
    expect(() => checksum(new Uint8Array(9), from, to, seed)).toThrow(RangeError);
  });

  test('refuses what is not bytes', () => {
    expect(() => checksum('text' as unknown as Uint8Array, 0, 1, 0)).toThrow(TypeError);
  });
});

test('all forms agree at every length and alignment', () => {
  const random = new SeededRandom(1);
  const bytes = Uint8Array.from({ length: 20000 }, () => random.below(256));
  for (let step = 0; step < 2000; step++) {
    const from = random.below(64);
    const to = from + random.below(step < 1000 ? 200 : bytes.length - from);
    const seed = random.uint32();
    expect(crc32c(bytes, from, to, seed)).toBe(native.crc32cByTable(bytes, from, to, seed));
    expect(crc32cInScript(bytes, from, to, seed)).toBe(crc32c(bytes, from, to, seed));
  }
});
