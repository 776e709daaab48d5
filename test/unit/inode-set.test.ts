/** A set of inodes says what a plain set says. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InodeSet } from '../../src/common/inode-set.ts';

test('as a set does, for small numbers and large ones', () => {
  const inode = fc.oneof(
    fc.nat(40),
    fc.integer({ min: 32_760, max: 32_776 }),
    fc.maxSafeInteger().map(Math.abs),
  );
  const step = fc.record({ inode, adds: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const set = new InodeSet();
      const model = new Set<number>();
      for (const { inode: number, adds } of steps) {
        if (adds) set.add(number);
        else set.delete(number);
        if (adds) model.add(number);
        else model.delete(number);
        for (const near of [number - 1, number, number + 1])
          if (near >= 0 && near <= Number.MAX_SAFE_INTEGER) expect(set.has(near)).toBe(model.has(near));
      }
      expect(set.size).toBe(model.size);
      for (const { inode: number } of steps) expect(set.has(number)).toBe(model.has(number));
    }),
  );
});
