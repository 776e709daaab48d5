/**
 * The policies that come with Quarry.
 *
 * They are part of the program and asked directly; every other policy is somebody's, and asked
 * through the fence (fenced-policy.ts).
 */

import aligned from './aligned.ts';
import type { AllocatorDefinition } from './allocator.ts';
import appendOnly from './append-only.ts';
import bestFit from './best-fit.ts';
import buddy from './buddy.ts';
import ffsGroups from './ffs-groups.ts';
import firstFit from './first-fit.ts';
import goalAndWindow from './goal-and-window.ts';
import groupAndGoal from './group-and-goal.ts';
import nextFit from './next-fit.ts';
import randomPlace from './random-place.ts';
import segregated from './segregated.ts';
import worstFit from './worst-fit.ts';

/**
 * What a volume is mounted with if nobody says otherwise, and what decides in the place of a policy
 * that is at fault.
 */
export const DEFAULT_ALLOCATOR: AllocatorDefinition = goalAndWindow;

/** By name. */
export const BUILT_IN_ALLOCATORS: ReadonlyMap<string, AllocatorDefinition> = new Map(
  [
    goalAndWindow,
    groupAndGoal,
    firstFit,
    nextFit,
    bestFit,
    worstFit,
    buddy,
    segregated,
    ffsGroups,
    aligned,
    appendOnly,
    randomPlace,
  ].map((definition) => [definition.name, definition]),
);

/** Is it one of them, and not a module of the same name? */
export function isBuiltIn(definition: AllocatorDefinition): boolean {
  return BUILT_IN_ALLOCATORS.get(definition.name) === definition;
}
