/** The share of small files in what is given. */
import { expect, it } from 'vitest';
import { SizeShares } from '../../src/alloc/size-shares.ts';

it('knows no small ones before anything was given', () => {
  expect(new SizeShares().ofSmall).toBe(0);
});

it('tells the share of the small ones, and forgets what is long ago', () => {
  const shares = new SizeShares();
  shares.gave(30, true, 1000);
  shares.gave(70, false, 1000);
  expect(shares.ofSmall).toBeCloseTo(0.3);
  for (let given = 0; given < 20; given++) shares.gave(500, false, 1000);
  expect(shares.ofSmall).toBeLessThan(0.001);
  for (let given = 0; given < 20; given++) shares.gave(500, true, 1000);
  expect(shares.ofSmall).toBeGreaterThan(0.99);
});
