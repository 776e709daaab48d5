/**
 * The fuzz of all allocators. In `npm test` it is short, with fixed seeds; `npm run fuzz` says by
 * environment from which seed on and for how long (scripts/fuzz.mjs).
 */
import { appendFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type AllocatorDefinition,
  type AllocatorOptions,
  defineAllocator,
} from '../../src/alloc/allocator.ts';
import { BUILT_IN_ALLOCATORS } from '../../src/alloc/built-in.ts';
import { loadAllocator } from '../../src/alloc/registry.ts';
import { fuzzAllocator } from '../suite/alloc-fuzz.ts';

const firstSeed = Number(process.env.QUARRY_FUZZ_SEED ?? 1);
const milliseconds = Number(process.env.QUARRY_FUZZ_MINUTES ?? 0) * 60_000;
const rounds = Number(process.env.QUARRY_FUZZ_ROUNDS ?? (milliseconds > 0 ? Number.POSITIVE_INFINITY : 40));
const summary = process.env.QUARRY_FUZZ_SUMMARY;
const STEPS = 1000;

/** A policy with options that make it another one. */
async function variantOf(name: string, options: AllocatorOptions): Promise<AllocatorDefinition> {
  const { create } = await loadAllocator(name);
  const words = Object.entries(options).map(([key, value]) => `${key}=${value}`);
  return { name: [name, ...words].join(' '), create: (space) => create(space, options) };
}

const policies: AllocatorDefinition[] = [
  ...BUILT_IN_ALLOCATORS.values(),
  await variantOf('ffs-groups', { realloc: 'on', cluster: '5' }),
  await variantOf('aligned', { chunk: '16' }),
  await variantOf('segregated', { small: '3', large: '40' }),
  await loadAllocator('examples/allocators/emptiest-group.js'),
];

describe('allocator fuzz', () => {
  for (const policy of policies) {
    it(`${policy.name} agrees with the model`, { timeout: milliseconds + 120_000 }, () => {
      const end = Date.now() + milliseconds / policies.length;
      let round = 0;
      while (round < rounds && (milliseconds === 0 || Date.now() < end)) {
        fuzzAllocator(policy, firstSeed + round, STEPS);
        round++;
      }
      if (summary === undefined) return;
      const last = firstSeed + round - 1;
      appendFileSync(
        summary,
        `${policy.name}: ${round} volumes of ${STEPS} steps, seeds ${firstSeed} to ${last}\n`,
      );
    });
  }

  it('notices a policy that hands out blocks in use, and says how to repeat it', () => {
    const liar = defineAllocator({
      name: 'liar',
      create: () => ({ allocate: () => ({ start: 5, length: 1 }) }),
    });
    expect(() => fuzzAllocator(liar, 7, 1000)).toThrow(
      /seed 7, step \d+: PolicyError: .*; repeat with: npm run fuzz -- .*--seed 7/,
    );
  });

  it('notices a policy that refuses although there is room', () => {
    const miser = defineAllocator({ name: 'miser', create: () => ({ allocate: () => undefined }) });
    expect(() => fuzzAllocator(miser, 7, 1000)).toThrow('repeat with');
  });
});
