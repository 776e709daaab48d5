/** GroupMap against an array of booleans, on the shapes where word arithmetic goes wrong. */
import { describe, expect, it } from 'vitest';
import { clearRange, countRange, setRange } from '../../src/alloc/bit-words.ts';
import { GroupMap } from '../../src/alloc/group-map.ts';
import { Random } from '../suite/alloc-random.ts';

/** The naive twin: one boolean per block. */
class Plain {
  readonly free: boolean[];

  constructor(blocks: number) {
    this.free = new Array(blocks).fill(true);
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(Math.ceil(this.free.length / 8));
    this.free.forEach((free, block) => {
      if (!free) bytes[block >> 3] = (bytes[block >> 3] ?? 0) | (1 << (block & 7));
    });
    return bytes;
  }

  run(block: number, most: number): number {
    let length = 0;
    while (length < most && this.free[block + length]) length++;
    return length;
  }

  find(from: number, limit: number, minimum: number): number {
    for (let block = from; block < limit; block++) if (this.run(block, minimum) >= minimum) return block;
    return -1;
  }
}

function compare(map: GroupMap, plain: Plain, random: Random): void {
  const blocks = plain.free.length;
  map.checkInvariants();
  expect(map.freeCount).toBe(plain.free.filter(Boolean).length);
  for (let trial = 0; trial < 30; trial++) {
    const from = random.below(blocks);
    const limit = from + random.below(blocks - from + 1);
    expect(map.nextFree(from, limit)).toBe(plain.find(from, limit, 1));
    const used = plain.free.indexOf(false, from);
    expect(map.nextUsed(from, limit)).toBe(used < 0 || used > limit ? limit : used);
    expect(map.freeRunLength(from, limit - from)).toBe(plain.run(from, limit - from));
    expect(map.previousFree(from)).toBe(plain.free.lastIndexOf(true, from));
    const minimum = 1 + random.below(random.pick([3, 34, 70, 300]));
    const context = `findRun(${from}, ${limit}, ${minimum})`;
    expect(map.findRun(from, limit, minimum), context).toBe(plain.find(from, limit, minimum));
    expect(map.findRun(0, blocks, minimum), context).toBe(plain.find(0, blocks, minimum));
    if (plain.free[from]) expect(map.freeRunStart(from)).toBe(plain.free.lastIndexOf(false, from) + 1);
  }
}

describe('ranges of bits', () => {
  it('may be empty, anywhere', () => {
    for (const start of [0, 1, 31, 32, 63, 64]) {
      const words = new Uint32Array([0x0f0f0f0f, 0x12345678]);
      setRange(words, start, 0);
      clearRange(words, start, 0);
      expect(countRange(words, start, 0)).toBe(0);
      expect([...words]).toEqual([0x0f0f0f0f, 0x12345678]);
    }
  });

  it('may cover whole words and parts of them', () => {
    const words = new Uint32Array(3);
    setRange(words, 30, 40);
    expect([...words]).toEqual([0xc0000000, 0xffffffff, 0x3f]);
    clearRange(words, 31, 33);
    expect([...words]).toEqual([0x40000000, 0, 0x3f]);
    expect(countRange(words, 30, 40)).toBe(7);
  });
});

describe('GroupMap', () => {
  for (const blocks of [1, 31, 32, 33, 64, 257, 1024, 2500]) {
    it(`agrees with an array of ${blocks} booleans`, () => {
      const random = new Random(blocks);
      const plain = new Plain(blocks);
      const map = new GroupMap(blocks, plain.bytes());
      for (let step = 0; step < 120; step++) {
        const start = random.below(blocks);
        const most = 1 + random.below(Math.min(blocks - start, random.pick([1, 40, 400, blocks])));
        const taking = plain.free[start];
        const length = taking ? plain.run(start, most) : lengthUsed(plain, start, most);
        plain.free.fill(!taking, start, start + length);
        if (taking) map.take(start, length);
        else map.give(start, length);
        compare(map, plain, random);
      }
      const rebuilt = new GroupMap(blocks, plain.bytes());
      compare(rebuilt, plain, random);
    });
  }

  it('leaves held blocks out', () => {
    const held = new Uint32Array([0, 0b110]);
    const map = new GroupMap(40, new Uint8Array([1, 0, 0, 0, 0]), held);
    expect(map.freeCount).toBe(37);
    expect([0, 1, 32, 33, 34, 35].map((block) => map.isFree(block))).toEqual([
      false,
      true,
      true,
      false,
      false,
      true,
    ]);
  });

  it('refuses to take what is not free and to give what is', () => {
    const map = new GroupMap(100, new Uint8Array(13));
    map.take(10, 20);
    expect(() => map.take(29, 2)).toThrow('not all free');
    expect(() => map.give(9, 2)).toThrow('not all in use');
    map.checkInvariants();
  });
});

function lengthUsed(plain: Plain, start: number, most: number): number {
  const end = plain.free.indexOf(true, start);
  return Math.min(most, (end < 0 ? plain.free.length : end) - start);
}
