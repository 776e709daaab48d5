/** Gives the cases to a harness. What it cannot do, it does not have: such a case is left out. */
import { describe, test } from 'vitest';
import type { Calls, Capability } from './calls.ts';
import type { Subject } from './subject.ts';

export interface Harness {
  readonly capabilities: readonly Capability[];
  /** Runs the work in an empty directory of its own; then whatever was made for it goes. */
  within(smallVolume: boolean, work: (fs: Calls) => Promise<void>): Promise<void>;
}

/** Registers the cases of these subjects as tests. */
export function runOn(harness: Harness, subjects: readonly Subject[]): void {
  for (const { name: subject, smallVolume, cases } of subjects) {
    describe(subject, () => {
      for (const { name, needs, run } of cases) {
        if (!needs.every((needed) => harness.capabilities.includes(needed))) continue;
        test(name, () => harness.within(smallVolume, run));
      }
    });
  }
}
