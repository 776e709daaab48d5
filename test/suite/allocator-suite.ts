/**
 * What every allocator must do, whoever wrote it, as tests: `allocatorSuite(definition)` declares
 * them. The rules and the histories are those of `quarry lab verify`.
 */
import { describe, expect, it } from 'vitest';
import type { AllocatorDefinition } from '../../src/alloc/allocator.ts';
import { performHistory } from '../../src/lab/verify/performer.ts';
import { SCENARIOS } from '../../src/lab/verify/scenarios.ts';

export function allocatorSuite(definition: AllocatorDefinition): void {
  describe(`allocator ${definition.name}`, () => {
    it.each(SCENARIOS)('$title', (scenario) => {
      const { broken, varies } = performHistory(definition, scenario);
      expect({ broken, varies }).toEqual({ broken: undefined, varies: false });
    });
  });
}
